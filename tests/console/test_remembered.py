"""On a sandbox: an incident that is over is in timeline and report still, and T0 is that of the newest one."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.console.test_acceptance import Teal

pytestmark = pytest.mark.xdist_group("remembered")
SOON_S = 60.0


@pytest.fixture(scope="module")
def teal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Teal]:
    runner = Teal(tmp_path_factory.mktemp("remembered"))
    started = runner.run("sandbox", "start")
    assert started.returncode == 0, started.stderr
    yield runner
    runner.run("sandbox", "stop")


def well_again(teal: Teal) -> None:
    deadline = time.monotonic() + SOON_S
    while teal.json("status")["alerts"]:
        assert time.monotonic() < deadline, "an alert fires still"
        time.sleep(0.5)


def told(teal: Teal) -> dict[str, dict[str, Any]]:
    return {change["text"]: change for change in teal.json("timeline")["items"]}


def of(found: dict[str, dict[str, Any]], words: str) -> dict[str, Any]:
    return next(change for text, change in found.items() if words in text)


def test_a12_a13_what_began_and_ended_is_kept_and_t0_is_of_the_newest_incident(teal: Teal) -> None:
    teal.run("check", "--record")
    teal.run("sandbox", "break", "bad-data")
    teal.run("check", "--record")
    broken = told(teal)
    assert of(broken, "transactions scored 0.70")["t0"]
    assert not [text for text in broken if text.startswith(("quality ", "alerts ", "pipelines "))]  # notes of the same
    teal.run("sandbox", "fix")
    well_again(teal)
    teal.run("check", "--record")
    found = told(teal)
    alert = "DataQualityDegradation transactions"
    for words in ("transactions scored 0.70", "production_data_pipeline bad data", f"{alert} firing"):
        began = of(found, words)
        assert (began["health"], began["going_on"]) == ("critical", False)
    assert of(found, "transactions scored 0.70")["t0"]
    for words in ("transactions is well again", "production_data_pipeline is well", f"{alert} stopped firing"):
        assert of(found, words)["health"] == "ok"
    report = teal.run("report").stdout
    assert "transactions scored 0.70" in report.partition("## Timeline")[0].partition("T0: ")[2]
    assert "stopped firing" in report

    rows = f"file:{Path(teal.env['TEAL_STATE_DIR']) / 'journal.db'}?mode=ro"
    with sqlite3.connect(rows, uri=True) as journal:
        kept = journal.execute("SELECT source, ref, state, since, until FROM episodes").fetchall()
    assert {source for source, *_ in kept} >= {"quality.scores", "alerts.rules", "pipelines.local"}
    assert len({row[:4] for row in kept}) == len(kept)
    assert all(until is not None for *_, until in kept)

    # A later one, that only `teal status` saw: it is kept beside the snapshots, and T0 is its beginning.
    teal.run("sandbox", "break", "failing-task")
    teal.run("status")
    teal.run("sandbox", "fix")
    well_again(teal)
    found = told(teal)
    (zero,) = [change for change in found.values() if change["t0"]]
    assert zero["text"].startswith("production_data_pipeline")
    assert "failed" in zero["text"]
    assert of(found, "transactions scored 0.70")["before_s"] > 0
    assert of(found, "PipelineFailureRate production_data_pipeline stopped firing")
