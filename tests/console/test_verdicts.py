"""A green run that wrote bad data: the same verdict whatever else is asked, and its reason everywhere."""

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backends.models import PipelineRun, QualityScore, TrendPoint
from console.cli.commands import teal
from console.cli.ending import run_command
from console.ports.derive import judge_quality, judge_runs
from console.ports.links import LinkRow, Links

WHY = "orders 0.71 < 0.80: amount: 37 rows"
CONFIG = """
[contexts.t]
[[contexts.t.pipelines]]
name = "local"
type = "local"
history = "sqlite:///runs.db"
logs = "logs"
[[contexts.t.pipelines.dags]]
name = "load"
params = { rows = 5 }
tasks = [{ name = "load", command = ["true"] }]
[[contexts.t.quality]]
name = "dq"
type = "sql"
url = "sqlite:///dq.db"
[[contexts.t.links.rows]]
pipeline = "load"
datasets = ["orders"]
"""
Teal = Callable[..., tuple[int, str]]


@pytest.fixture
def teal_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Teal:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    config.chmod(0o600)
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))

    def call(*arguments: str) -> tuple[int, str]:
        whole = [*arguments, "-c", str(config), "-C", "t"]
        code = run_command(teal, whole)
        told = capsys.readouterr()
        return code, told.out + "".join(line for line in told.err.splitlines(True) if "--override" in line)

    return call


def test_a_green_run_that_wrote_bad_data(teal_in: Teal, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "dq.db") as db:
        db.execute("CREATE TABLE data_quality_log (dataset, score, evaluated_at, failures)")
    code, printed = teal_in("run", "trigger", "load", "-y", "--wait")
    assert code == 0, printed
    with sqlite3.connect(tmp_path / "dq.db") as db:
        failures = json.dumps([{"check": "amount", "detail": "37 rows"}])
        at = datetime.now(UTC).isoformat()
        db.execute("INSERT INTO data_quality_log VALUES ('orders', 0.71, ?, ?)", (at, failures))

    for names in ([], ["pipelines"], ["pipelines", "quality"]):
        code, printed = teal_in("check", *names)
        assert code == 2
        assert f"pipelines: load success: it ended well, and wrote bad data: {WHY}" in printed
    [run] = json.loads(teal_in("run", "list", "-o", "json")[1])["items"]
    assert (run["state"], run["data"], run["data_reason"]) == ("success", "critical", WHY)
    document = json.loads(teal_in("run", "list", "-o", "json")[1])
    assert document["health"] == "critical"
    assert {source["panel"] for source in document["sources"]} == {"pipelines"}
    [line] = [line for line in teal_in("run", "list")[1].splitlines() if " load " in line]
    assert "✗ bad data" in line
    assert WHY in line
    assert WHY in teal_in("status")[1]
    assert f"bad data: {WHY}" in teal_in("timeline")[1]
    report = teal_in("report")[1]
    assert f"bad data: {WHY}".replace("<", "\\<") in report
    assert "nobody is known to have looked in this window" in report, "no console, and no `check --record`"
    assert teal_in("check", "--record")[0] == 2
    assert "nobody is known to have looked before " in teal_in("report")[1]


def test_runs_are_listed_where_their_quality_is_lost_and_it_is_said(teal_in: Teal) -> None:
    assert teal_in("run", "trigger", "load", "-y", "--wait")[0] == 0
    code, printed = teal_in("run", "list", "-o", "json")
    document = json.loads(printed)
    assert (code, len(document["items"]), document["partial"]) == (0, 1, True)
    assert document["errors"][0]["source"] == "quality.dq"


def test_a_param_that_is_not_declared_is_refused(teal_in: Teal) -> None:
    for word in ("--dry-run", "-y"):
        code, printed = teal_in("run", "trigger", "load", "-p", "rwos=9", word, "-o", "json")
        [action] = json.loads(printed)["items"]
        said = [finding["text"] for finding in action["findings"] if finding["level"] == "block"]
        assert (code, said) == (3, ['no param "rwos": did you mean "rows"?'])
    assert json.loads(teal_in("run", "list", "-o", "json")[1])["items"] == []
    order = ("run", "trigger", "load", "-p", "rwos=9", "--dry-run", "--override", "unknown-param", "--reason", "t")
    assert teal_in(*order)[0] == 0
    code, printed = teal_in(*order, "--override", "frobnicate")
    said = "--override frobnicate: no finding of this plan is called so; this plan has unknown-param"
    assert (code, said in printed) == (2, True)


def test_an_override_that_goes_past_nothing_is_said(teal_in: Teal) -> None:
    order = ("run", "trigger", "load", "--dry-run", "--reason", "t", "--override")
    code, printed = teal_in(*order, "frobnicate")
    assert code == 2
    assert "frobnicate: no finding of this plan is called so; nothing in this plan needs an override" in printed
    assert "leave it out, or name what the plan has" in printed
    code, printed = teal_in(*order, "unknown-param")
    assert (code, "--override unknown-param: no finding" in printed) == (0, True), "it may be needed at another time"
    refused = ("run", "trigger", "load", "-p", "rwos=9", "--dry-run", "--override", "frobnicate", "--reason", "t")
    code, printed = teal_in(*refused)
    assert (code, "--override frobnicate: no finding" in printed) == (3, True), "what forbids it decides"


NOW = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
LINKS = Links(rows=(LinkRow(pipeline="load", datasets=("orders",)),))


def _score(value: float, state: str, minutes: float, reason: str | None = None) -> QualityScore:
    return QualityScore(
        ref="dq/orders", backend="dq", dataset="orders", score=value, warn=0.95, crit=0.8, state=state,
        evaluated_at=NOW - timedelta(minutes=minutes), reason=reason, trend=(TrendPoint(NOW, value),),
    )  # fmt: skip


def _run(began: float) -> PipelineRun:
    return PipelineRun(
        ref="air/load/1", backend="air", pipeline="load", run_id="1", state="success",
        started_at=NOW - timedelta(minutes=began), ended_at=NOW - timedelta(minutes=began - 5),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "state", "judged"), [(0.99, "ok", "unknown"), (0.9, "warning", "warning"), (0.5, "critical", "critical")]
)
def test_a_score_of_before_the_last_good_run(value: float, state: str, judged: str) -> None:
    """A good one says nothing of the new data; a bad one was not taken back. Neither is a verdict on the new run."""
    [found] = judge_quality([_score(value, state, 30)], [_run(20)], LINKS, read_at=NOW)
    assert (found.state, found.reason) == (judged, "older than the last good run of load")
    assert judge_quality([found], [_run(20)], LINKS, read_at=NOW) == [found], "judged once"
    [run] = judge_runs([_run(20)], [found], LINKS)
    assert (run.data, run.data_reason) == (None, None)
