"""`cloudwatch` logs: the contract and the odd ways of the service against the fake, and what a script reads of moto."""

import asyncio
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

import pytest

from backends.errors import BackendError
from backends.logs.merging import is_gap
from backends.models import LogEntry
from backends.ports import LogQuery, Logs, costs
from backends.testing.logs import PATIENCE_S, T0, Line, LogsContract, Write, take
from tests.backends.aws_fixtures import Connect, aws, connect
from tests.backends.fake_cloudwatch_logs import FakeLogs
from tests.fake_aws import FakeAws

__all__ = ["aws", "connect"]

pytestmark = pytest.mark.xdist_group("moto")

GROUP = "/ecs/analytics"
T0_MS = round(T0.timestamp() * 1000)


@pytest.fixture
def logs(aws: FakeAws) -> FakeLogs:
    return FakeLogs({GROUP: []}, page=7, empty=3).answer_by(aws)


@pytest.fixture
def adapter(connect: Connect, logs: FakeLogs) -> Logs:
    found: Logs = connect("logs", "cloudwatch", groups=[GROUP], poll="20ms")
    return found


class TestContract(LogsContract):
    @pytest.fixture
    def write(self, logs: FakeLogs) -> Write:
        def write(rows: list[Line]) -> None:
            for row in rows:
                logs.put(GROUP, round(row.at.timestamp() * 1000), f"{row.level} {row.message}")

        return write

    @pytest.fixture
    def adapter(self, connect: Connect, logs: FakeLogs) -> Logs:
        logs.page, logs.empty = 1_000, 0
        found: Logs = connect("logs", "cloudwatch", groups=[GROUP], poll="20ms")
        return found


def messages(entries: list[LogEntry]) -> list[str]:
    return [entry.message for entry in entries if not is_gap(entry)]


async def test_empty_pages_end_nothing(adapter: Logs, logs: FakeLogs) -> None:
    for number in range(100):
        logs.put(GROUP, T0_MS + number // 10, f"line {number}")
    assert messages(await adapter.query(LogQuery(limit=60))) == [f"line {n}" for n in range(40, 100)]
    assert messages(await adapter.query(LogQuery(limit=60, first=True))) == [f"line {n}" for n in range(60)]


async def test_the_same_events_as_a_script_reads(aws: FakeAws, connect: Connect) -> None:
    client, begin = aws.client("logs"), round((time.time() - 600) * 1000)
    client.create_log_group(logGroupName=GROUP)
    for stream in ("a", "b"):
        client.create_log_stream(logGroupName=GROUP, logStreamName=stream)
        events = [{"timestamp": begin + n * 10, "message": f"{stream} {n}"} for n in range(300)]
        client.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)
    pages = client.get_paginator("filter_log_events").paginate(logGroupName=GROUP, interleaved=True)
    script = sorted((event["timestamp"], event["message"]) for page in pages for event in page["events"])
    found = await connect("logs", "cloudwatch", groups=[GROUP]).query(LogQuery(limit=10_000, first=True))
    assert sorted((int(entry.at_ns or 0) // 1_000_000, entry.message) for entry in found) == script
    assert {entry.labels["stream"] for entry in found} == {"a", "b"}


async def test_several_groups_are_one_log_and_one_that_is_gone_is_said(
    aws: FakeAws, connect: Connect, logs: FakeLogs
) -> None:
    other = "arn:aws:logs:eu-central-1:210987654321:log-group:/other"
    logs.groups[other] = []
    for number in range(6):
        logs.put((GROUP, other)[number % 2], T0_MS + number, f"line {number}")
    found = await connect("logs", "cloudwatch", groups=[GROUP, "/gone", f"{other}:*"]).query(LogQuery(limit=5))
    assert messages(found) == [f"line {number}" for number in range(1, 6)]
    assert {entry.source for entry in found} == {GROUP, "/other"}
    found = await connect("logs", "cloudwatch", groups=[GROUP, "/gone"]).query(LogQuery(limit=9))
    (said,) = [entry for entry in found if is_gap(entry)]
    assert (said.source, "/gone: AWS eu-central-1: ResourceNotFoundException" in said.message) == ("/gone", True)
    with pytest.raises(BackendError, match="/gone: ") as caught:
        await connect("logs", "cloudwatch", groups=["/gone"]).query(LogQuery())
    assert caught.value.kind == "not_found"


async def test_streams_by_their_prefixes_each_once_and_a_pattern_of_cloudwatch(
    connect: Connect, logs: FakeLogs
) -> None:
    for stream in ("prod/a", "prod/b", "test/a"):
        logs.put(GROUP, T0_MS, f"of {stream}", stream)
        logs.put(GROUP, T0_MS, f"debug of {stream}", stream)
    adapter = connect("logs", "cloudwatch", groups=[GROUP], stream_prefixes=["prod/", "prod/a"], filter='"debug"')
    assert sorted(messages(await adapter.query(LogQuery()))) == ["debug of prod/a", "debug of prod/b"]


async def test_a_stack_trace_has_the_level_of_its_error(adapter: Logs, logs: FakeLogs) -> None:
    for stream in ("a", "b"):
        for text in ("INFO fine", "ERROR broken", "Traceback (most recent call last):", "  File main.py"):
            logs.put(GROUP, T0_MS, f"{text}" if text[0] in "T " else f"{text} {stream}", stream)
    found = await adapter.query(LogQuery(level="error"))
    assert sorted(messages(found)) == sorted(
        ["broken a", "broken b", *["Traceback (most recent call last):", "  File main.py"] * 2]
    )


async def test_what_is_older_than_aws_reads_backwards_is_said(adapter: Logs, logs: FakeLogs) -> None:
    logs.put(GROUP, T0_MS, "new")
    found = await adapter.query(LogQuery(since=datetime(2020, 1, 1, tzinfo=UTC)))
    assert [is_gap(entry) for entry in found] == [True, False]
    assert "older than 2024" in found[0].message


async def test_late_equal_and_unordered_events_come_once_each_and_late_ones_are_marked(
    adapter: Logs, logs: FakeLogs
) -> None:
    """10,000 events, in bursts; a tenth of them up to a minute late; ten share each millisecond."""
    logs.page, dice = 1_000, random.Random(5)
    begin = round(time.time() * 1000) - 100_000
    order = [(begin + n // 10 * 10, n) for n in range(10_000)]
    arrivals = sorted(order, key=lambda each: each[0] + (dice.randrange(3_000) if dice.random() < 0.1 else 0))
    waiting = [arrivals[n : n + 200] for n in range(0, len(arrivals), 200)]

    def arrive() -> None:
        if waiting and logs.pages_read % 4 == 0:
            for at, number in waiting.pop(0):
                logs.put(GROUP, at, f"event {number}")

    stream = adapter.follow(LogQuery(limit=0))
    taking = asyncio.ensure_future(take(stream, 10_000, 120))
    while logs.pages_read < 3:
        await asyncio.sleep(0.01)
    logs.on_read = arrive
    found = await taking
    numbers = [int(entry.message.removeprefix("event ")) for entry in found]
    assert sorted(numbers) == list(range(10_000))
    younger = list(accumulate((int(entry.at_ns or 0) for entry in found), max))
    after = [int(entry.at_ns or 0) < newest for entry, newest in zip(found, younger, strict=True)]
    assert [entry.late for entry in found] == after
    assert 100 < sum(after) < 2_000
    assert not waiting
    await stream.aclose()


async def test_an_event_of_the_future_hides_nothing(adapter: Logs, logs: FakeLogs) -> None:
    now = round(time.time() * 1000)
    logs.put(GROUP, now + 7_000_000, "from a wrong clock")
    stream = adapter.follow(LogQuery(limit=1))
    assert messages(await take(stream, 1)) == ["from a wrong clock"]
    waiting = asyncio.ensure_future(take(stream, 1, PATIENCE_S))
    await asyncio.sleep(0.1)
    logs.put(GROUP, now, "of now")
    (entry,) = await waiting
    assert (entry.message, entry.late) == ("of now", True)
    await stream.aclose()


async def test_a_group_that_goes_while_it_is_followed_is_said_once(connect: Connect, logs: FakeLogs) -> None:
    logs.groups["/b"] = []
    adapter = connect("logs", "cloudwatch", groups=[GROUP, "/b"], poll="20ms")
    stream = adapter.follow(LogQuery(limit=0))
    waiting = asyncio.ensure_future(take(stream, 2, PATIENCE_S))
    await asyncio.sleep(0.2)
    del logs.groups["/b"]
    read = logs.pages_read
    while logs.pages_read < read + 20:
        await asyncio.sleep(0.01)
    logs.put(GROUP, round(time.time() * 1000), "new")
    said, line = await waiting
    assert (is_gap(said), said.source, line.message) == (True, "/b", "new")
    await stream.aclose()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"code": "ThrottlingException"}, "rate_limited"), ({"code": "AccessDeniedException"}, "auth"),
        ({"how": "html"}, "malformed"), ({"how": "close"}, "unreachable"), ({"how": "hang"}, "timeout"),
        ({"code": "ServiceUnavailable", "status": 503}, "unreachable"),
    ],
)  # fmt: skip
async def test_each_fault_is_one_error(
    aws: FakeAws, connect: Connect, logs: FakeLogs, fault: dict[str, Any], kind: str
) -> None:
    adapter = connect("logs", "cloudwatch", groups=[GROUP], timeout="5s" if fault.get("how") == "hang" else "20s")
    await adapter.query(LogQuery())
    aws.fail(**fault)
    with pytest.raises(BackendError) as caught:
        await adapter.query(LogQuery())
    assert (caught.value.kind, caught.value.message.startswith(f"{GROUP}: ")) == (kind, True), caught.value.message


async def test_throttled_every_second_time_is_still_read(aws: FakeAws, adapter: Logs, logs: FakeLogs) -> None:
    for number in range(30):
        logs.put(GROUP, T0_MS + number, f"line {number}")
    aws.fail("logs.FilterLogEvents", "ThrottlingException", every=2)
    found = await adapter.query(LogQuery(since=T0 - timedelta(seconds=1), limit=10))
    assert messages(found) == [f"line {number}" for number in range(20, 30)]


@pytest.mark.parametrize(
    ("config", "words"),
    [({"groups": []}, "groups"), ({"groups": ["x", " "]}, "groups"), ({"groups": ["x"], "overlap": "0s"}, "overlap")],
)
def test_a_config_that_makes_no_sense_is_refused(connect: Connect, config: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendError, match=words):
        connect("logs", "cloudwatch", **config)


async def test_json_is_unfolded_and_its_time_is_that_of_the_event(adapter: Logs, logs: FakeLogs) -> None:
    logs.put(GROUP, T0_MS + 5, '{"level": "error", "msg": "no such table", "time": "2020-01-01T00:00:00Z", "run": 7}')
    (entry,) = await adapter.query(LogQuery())
    assert (entry.level, entry.message, entry.labels["run"]) == ("error", "no such table", "7")
    assert entry.at == T0 + timedelta(milliseconds=5)


# ---- live tail


@pytest.fixture
def live(connect: Connect, logs: FakeLogs) -> Iterator[Logs]:
    logs.page, logs.empty = 1_000, 0
    yield connect("logs", "cloudwatch", groups=[GROUP], live_tail=True)
    logs.tell(None)


class TestLiveTail(TestContract):
    @pytest.fixture
    def adapter(self, live: Logs) -> Logs:
        return live


async def test_a_sample_and_the_end_of_a_session_are_said(live: Logs, logs: FakeLogs) -> None:
    stream = live.follow(LogQuery(limit=0))
    waiting = asyncio.ensure_future(take(stream, 4, PATIENCE_S))
    while not logs.live:
        await asyncio.sleep(0.01)
    logs.put(GROUP, T0_MS, "first")
    logs.tell({"sessionUpdate": {"sessionMetadata": {"sampled": True}, "sessionResults": []}})
    logs.tell({"SessionTimeoutException": {"message": "three hours"}})
    while len(logs.live) < 2:
        await asyncio.sleep(0.01)
    logs.put(GROUP, T0_MS + 1, "of the next session")
    first, sampled, ended, last = await waiting
    assert (first.message, last.message) == ("first", "of the next session")
    assert is_gap(sampled)
    assert is_gap(ended)
    assert "shows a sample" in sampled.message
    assert "its time was over" in ended.message
    await stream.aclose()


async def test_what_a_live_tail_costs_is_said(live: Logs, adapter: Logs) -> None:
    assert costs(live) == "Live Tail: each minute that it is followed is paid"
    assert costs(adapter) == ""


async def test_a_live_tail_of_too_many_or_unknown_groups(connect: Connect, logs: FakeLogs) -> None:
    with pytest.raises(BackendError, match="of 10 groups at most"):
        connect("logs", "cloudwatch", groups=[f"g{number}" for number in range(11)], live_tail=True)
    stream = connect("logs", "cloudwatch", groups=["/gone"], live_tail=True).follow(LogQuery(limit=0))
    with pytest.raises(BackendError, match="/gone: no such log group"):
        await anext(stream)
