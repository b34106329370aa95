"""Queries of Logs Insights: progress, partial results, what they may scan, and their stop when they are left."""

import asyncio
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.logs.cloudwatch import insights
from backends.ports import LogQuery, Searched
from tests.backends.aws_fixtures import Connect, aws, connect
from tests.fake_aws import FakeAws, Refused
from tests.live.moto import REGION

__all__ = ["aws", "connect"]

pytestmark = pytest.mark.xdist_group("moto")

GROUP = "/ecs/analytics"
GB = 1e9


class FakeInsights:
    """One query; each look at it goes a step on. A step is (status, rows, bytes)."""

    def __init__(self, aws: FakeAws) -> None:
        self.steps: list[tuple[str, int, float]] = [("Running", 0, 0.0), ("Running", 1, GB), ("Complete", 3, 2 * GB)]
        self.stored = 5 * GB
        self.stopped: list[str] = []
        self.asked: dict[str, Any] = {}
        aws.answers["logs.StartQuery"] = self.start
        aws.answers["logs.GetQueryResults"] = self.results
        aws.answers["logs.StopQuery"] = self.stop
        aws.answers["logs.DescribeLogGroups"] = lambda asked: {
            "logGroups": [{"storedBytes": int(self.stored), "creationTime": round((time.time() - 10 * 3600) * 1000)}]
        }

    def start(self, asked: dict[str, Any]) -> dict[str, Any]:
        if "fields" not in asked["queryString"] and "stats" not in asked["queryString"]:
            raise Refused("MalformedQueryException", "unexpected symbol found at line 1")
        self.asked = asked
        return {"queryId": "q-1"}

    def results(self, asked: dict[str, Any]) -> dict[str, Any]:
        status, rows, scanned = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        found = [
            [
                {"field": "@timestamp", "value": f"2026-03-01 12:00:0{number}.500"},
                {"field": "@message", "value": f"ERROR line {number}"},
                {"field": "@logStream", "value": "main"}, {"field": "@ptr", "value": "xyz"},
            ]
            for number in range(rows)
        ]  # fmt: skip
        return {"status": status, "results": found, "statistics": {"bytesScanned": scanned, "recordsMatched": rows}}

    def stop(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.stopped.append(asked["queryId"])
        return {"success": True}


@pytest.fixture
def fake(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> FakeInsights:
    monkeypatch.setattr(insights, "POLL_S", 0.01)
    return FakeInsights(aws)


async def searched(adapter: Any, text: str = "fields @message", hours: float = 1) -> list[Searched]:
    until = datetime.now(UTC)
    return [state async for state in adapter.search(text, since=until - timedelta(hours=hours), until=until, limit=100)]


async def test_progress_partial_results_and_the_end(fake: FakeInsights, connect: Connect) -> None:
    states = await searched(connect("logs", "cloudwatch", groups=[GROUP, "arn:aws:logs:x:1:log-group:/b:*"]))
    assert [(len(state.entries), state.done, state.scanned_bytes) for state in states] == [
        (0, False, 0), (1, False, GB), (3, True, 2 * GB),
    ]  # fmt: skip
    entry = states[-1].entries[1]
    assert (entry.message, entry.level, entry.labels) == ("line 1", "error", {"@logStream": "main"})
    assert entry.at == datetime(2026, 3, 1, 12, 0, 1, 500_000, tzinfo=UTC)
    assert fake.asked["logGroupIdentifiers"] == [GROUP, "arn:aws:logs:x:1:log-group:/b"]
    assert fake.asked["endTime"] - fake.asked["startTime"] == 3600
    assert fake.stopped == []


async def test_what_scans_too_much_is_stopped_and_keeps_what_it_has(fake: FakeInsights, connect: Connect) -> None:
    fake.steps = [("Running", 1, 0.4 * GB), ("Running", 2, 0.7 * GB), ("Complete", 9, 9 * GB)]
    *_, last = await searched(connect("logs", "cloudwatch", groups=[GROUP], max_scan="0.5GB"))
    assert (len(last.entries), last.done, fake.stopped) == (2, True, ["q-1"])
    assert last.note == "stopped at 700 MB, over max_scan of 500 MB: there may be more"


async def test_what_would_scan_far_too_much_is_not_started(aws: FakeAws, fake: FakeInsights, connect: Connect) -> None:
    fake.stored = 5000 * GB  # of ten hours
    adapter = connect("logs", "cloudwatch", groups=[GROUP], max_scan="10GB")
    with pytest.raises(BackendError, match="would scan about 500 GB, far over max_scan of 10 GB") as caught:
        await searched(adapter)
    assert (caught.value.kind, aws.called("logs.StartQuery")) == ("config", [])
    assert (await searched(adapter, hours=0.1))[-1].done


async def test_one_that_is_left_is_stopped(fake: FakeInsights, connect: Connect) -> None:
    fake.steps = [("Running", 1, GB)]
    adapter, until = connect("logs", "cloudwatch", groups=[GROUP]), datetime.now(UTC)
    search = adapter.search("fields @message", since=until - timedelta(hours=1), until=until, limit=10)
    assert not (await anext(search)).done
    await search.aclose()
    assert fake.stopped == ["q-1"]
    waiting = asyncio.ensure_future(searched(adapter))
    await asyncio.sleep(0.2)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert fake.stopped == ["q-1", "q-1"]


async def test_one_that_is_left_while_it_is_started_is_stopped(
    aws: FakeAws, fake: FakeInsights, connect: Connect
) -> None:
    aws.fail("logs.StartQuery", how="slow", seconds=0.4)
    adapter = connect("logs", "cloudwatch", groups=[GROUP])
    await adapter.query(LogQuery(limit=0))
    waiting = asyncio.ensure_future(searched(adapter))
    await asyncio.sleep(0.2)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (len(aws.called("logs.StartQuery")), fake.stopped) == (1, ["q-1"])


@pytest.mark.parametrize("status", ["Failed", "Cancelled", "Timeout"])
async def test_an_end_that_is_none_is_said(fake: FakeInsights, connect: Connect, status: str) -> None:
    fake.steps = [(status, 1, GB)]
    (last,) = await searched(connect("logs", "cloudwatch", groups=[GROUP]))
    assert (last.done, len(last.entries), bool(last.note), fake.stopped) == (True, 1, True, [])


async def test_a_query_that_is_none_says_why(fake: FakeInsights, connect: Connect) -> None:
    with pytest.raises(BackendError, match="MalformedQueryException: unexpected symbol found at line 1"):
        await searched(connect("logs", "cloudwatch", groups=[GROUP]), "nonsense")


@pytest.mark.parametrize("size", ["10", "0GB", "x GB", "10 gigabytes"])
def test_a_size_that_is_none_is_refused(connect: Connect, size: str) -> None:
    with pytest.raises(BackendError, match="is no size"):
        connect("logs", "cloudwatch", groups=[GROUP], max_scan=size)


def test_the_command_prints_rows_and_says_what_was_scanned(aws: FakeAws, fake: FakeInsights, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f'[contexts.c]\n[[contexts.c.logs]]\nname = "cw"\ntype = "cloudwatch"\ngroups = ["{GROUP}"]\n'
        f'aws = {{ region = "{REGION}", endpoint_url = "{aws.endpoint_url}" }}\n'
        '[[contexts.c.logs]]\nname = "host"\ntype = "files"\npaths = ["*.log"]\n'
    )
    config.chmod(0o600)
    place = {"TEAL_CONFIG": str(config), "TEAL_STATE_DIR": str(tmp_path / "state"), "HOME": str(tmp_path)}

    def teal(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "console.cli.main", "log", *arguments]
        return subprocess.run(
            command, env={**os.environ, **place}, capture_output=True, text=True, timeout=120, check=False
        )

    done = teal("--insights", "fields @message", "-o", "jsonl")
    messages = [json.loads(line)["message"] for line in done.stdout.splitlines()]
    assert (done.returncode, messages) == (0, ["line 0", "line 1", "line 2"]), done.stderr
    assert "cw: 3 rows, 2,000.0 MB scanned" in done.stderr
    assert teal("host", "--insights", "fields @message").returncode == 2
    assert teal("-f", "--insights", "fields @message").returncode == 2
