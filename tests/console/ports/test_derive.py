"""What follows from several backends at once."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from backends.models import Alert, PipelineRun, QualityScore, TrendPoint
from console.ports.derive import impact, judge_quality, judge_runs, latest_runs, linked, names_of
from console.ports.links import LinkRow, Links
from console.ports.store import Snapshot, SourceError, SourceKey
from console.reading.health import panel_health

NOW = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
LINKS = Links(
    rows=(LinkRow(pipeline="load", datasets=("orders",), services=("shop",), owner="data", channel="#oncall"),)
)


def score(minutes_ago: float, dataset: str = "orders") -> QualityScore:
    return QualityScore(
        ref=f"dq/{dataset}", backend="dq", dataset=dataset, score=0.99, warn=0.95, crit=0.8, state="ok",
        evaluated_at=NOW - timedelta(minutes=minutes_ago),
    )  # fmt: skip


def run(started_ago: float, ended_ago: float, state: str = "success", pipeline: str = "load") -> PipelineRun:
    return PipelineRun(
        ref=f"air/{pipeline}/{started_ago}", backend="air", pipeline=pipeline, run_id=str(started_ago), state=state,
        started_at=NOW - timedelta(minutes=started_ago), ended_at=NOW - timedelta(minutes=ended_ago),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("evaluated", "runs", "state"),
    [
        (30, [run(20, 10)], "unknown"),
        (15, [run(20, 10)], "ok"),
        (30, [run(20, 10, "failed")], "ok"),
        (30, [run(20, 10, pipeline="other")], "ok"),
        (30, [run(20, -1)], "ok"),
        (30, [], "ok"),
    ],
    ids=["older", "of that run", "the run failed", "another pipeline", "ended after the scores were read", "no runs"],
)
def test_a_score_older_than_the_last_good_run_is_unknown(evaluated, runs, state):
    [judged] = judge_quality([score(evaluated)], runs, LINKS, read_at=NOW)
    assert judged.state == state
    assert (judged.reason is None) == (state == "ok")


def test_the_newest_run_of_each_pipeline_counts():
    runs = [run(5, 4, "failed"), run(20, 10), run(6, 5, pipeline="other")]
    assert [found.run_id for found in latest_runs(runs)] == ["5", "6"]


def test_impact_names_what_is_linked_and_whom_to_tell():
    alert = Alert(
        ref="am/1", backend="am", fingerprint="1", name="Bad", severity="critical", state="firing",
        labels={"dataset": "orders"},
    )  # fmt: skip
    assert impact(alert, LINKS) == [
        "pipeline load",
        "datasets orders",
        "services shop",
        "owner data",
        "channel #oncall",
    ]
    assert impact(score(1, "nobody knows"), LINKS) == []


def test_a_score_names_the_run_that_wrote_what_it_is_about():
    runs = [run(5, 4), run(20, 10), run(30, 28), run(11, 9, pipeline="other")]
    [judged] = judge_quality([score(8)], runs, LINKS, read_at=NOW - timedelta(minutes=6))
    assert judged.run_ref == "air/load/20"
    known = replace(score(8), run_ref="dbt/said/so")
    assert judge_quality([known], runs, LINKS, read_at=NOW)[0].run_ref == "dbt/said/so"
    assert judge_quality([score(40)], runs, LINKS, read_at=NOW)[0].run_ref is None


def test_impact_of_a_run_names_what_is_made_of_its_datasets():
    made = replace(score(8, "orders"), downstream=("dashboard kpis (Finance)", "revenue"))
    elsewhere = replace(score(8, "others"), downstream=("nobody",))
    assert impact(run(20, 10), LINKS, [made, elsewhere])[-2:] == [
        "downstream dashboard kpis (Finance)",
        "downstream revenue",
    ]


def test_a_lost_source_is_never_ok():
    fine = Snapshot(key=SourceKey("quality", "a"), type="sql", items=(score(1),), fetched_at=NOW)
    lost = Snapshot(key=SourceKey("quality", "b"), type="sql", error=SourceError("unreachable", "refused", ""))
    assert panel_health([fine], NOW) == "ok"
    assert panel_health([fine, lost], NOW) == "unknown"
    assert panel_health([fine], NOW + timedelta(minutes=10)) == "unknown"


@pytest.mark.parametrize(
    ("evaluated", "state", "data", "health"),
    [
        (5, "critical", "critical", "critical"),
        (5, "warning", "warning", "warning"),
        (5, "ok", "ok", "ok"),
        (30, "critical", None, "ok"),
        (5, "unknown", None, "ok"),
    ],
    ids=["bad", "not good", "fine", "of the run before", "nobody knows"],
)
def test_a_green_run_is_as_bad_as_what_it_wrote(evaluated, state, data, health):
    [judged] = judge_runs([run(20, 10)], [replace(score(evaluated), state=state)], LINKS)
    assert (judged.state, judged.data, judged.health) == ("success", data, health)
    assert judge_runs([judged], [], LINKS) == [run(20, 10)], "and no longer where nobody says so"


@pytest.mark.parametrize(
    ("trend", "data"),
    [
        ([(25, 0.99), (8, 0.97), (5, 0.55)], None),
        ([(25, 0.99), (8, 0.55), (5, 0.55)], "critical"),
        ([(25, 0.99), (15, 0.97), (5, 0.55)], "critical"),
        ([(8, 0.9), (5, 0.55)], None),
        ([(8, 0.55), (7, 0.97), (5, 0.55)], "critical"),
        ([(5, 0.55)], "critical"),
        ([], "critical"),
    ],
    ids=["fell later", "first was bad", "first is the newest", "from warning", "came and went", "alone", "no trend"],
)
def test_a_score_that_falls_long_after_a_run_is_not_what_it_wrote(trend, data):
    """A gauge that is scraped all the time is measured after every run, whatever made it fall."""
    points = tuple(TrendPoint(NOW - timedelta(minutes=ago), value) for ago, value in trend)
    fell = replace(score(5), score=0.55, state="critical", trend=points)
    [judged] = judge_runs([run(20, 10)], [fell], LINKS)
    assert judged.data == data


def test_only_the_newest_run_of_a_pipeline_wrote_what_is_there():
    newest, older = judge_runs([run(20, 10, "failed"), run(40, 30)], [replace(score(5), state="critical")], LINKS)
    assert (newest.data, older.data) == (None, None)


def test_labels_that_the_config_leaves_out_keep_their_default():
    alert = Alert(
        ref="am/1", backend="am", fingerprint="1", name="Down", severity="critical", state="firing",
        labels={"service": "web", "app": "shop", "dag_id": "etl", "table": "orders"},
    )  # fmt: skip
    assert names_of(alert, Links()) == {"web", "etl"}
    assert names_of(alert, Links(labels={"service": ("app",)})) == {"shop", "etl"}
    assert names_of(alert, Links(labels={"dataset": ("table",), "pipeline": ()})) == {"web", "orders"}
    assert Links(labels={"dataset": ("table",)}).alert_labels["service"] == ("service",)


def test_what_goes_with_a_thing_is_its_run_then_what_is_worst():
    bad = Alert(
        ref="am/1", backend="am", fingerprint="1", name="Bad", severity="critical", state="firing",
        labels={"dataset": "orders"},
    )  # fmt: skip
    old, new, apart = run(60, 50), run(20, 10), run(5, 4, pipeline="other")
    wrote = replace(score(15), run_ref=old.ref)
    others = [new, old, apart, wrote, score(15, "unlinked"), bad]
    assert linked(wrote, LINKS, others) == [old, bad, new]
    assert linked(bad, LINKS, others) == [new, wrote]
    assert linked(apart, LINKS, others) == []
