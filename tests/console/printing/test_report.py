"""The incident report and the handover: what they say, what they leave to nobody, and that words stay words."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from actions.journal.audit import AuditRecord
from actions.models import Action, ActionError, Actor, SwitchReport
from backends.models import (
    Acknowledgement,
    Alert,
    FailedExpectation,
    Freeze,
    Incident,
    Matcher,
    PipelineRun,
    QualityScore,
    Silence,
    TimelineEvent,
    TrendPoint,
    Truth,
    TruthLayer,
)
from backends.ports import PipelineInfo
from console.ports.links import Links
from console.ports.store import Snapshot, SourceError, SourceKey
from console.printing.causes import SHOWN
from console.printing.report import Facts, handover, incident, open_items
from console.reading.cause_reports import cause_reports
from console.reading.one_cause import fold
from panels.kinds.timeline import events
from tests.console.fakes import deployment
from tests.console.test_foreground import Teal
from tests.console.test_orders import written
from tests.two_colors import TwoColors

NOW = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def alert(hours: float, name: str = "Down", summary: str = "it is down") -> Alert:
    return Alert(
        ref=f"am/{name}", backend="am", fingerprint=name, name=name, severity="critical", state="firing",
        since=ago(hours), summary=summary,
    )  # fmt: skip


def action(**fields: Any) -> Action:
    return Action(
        **{
            "id": "7F3", "kind": "flip", "service": "analytics", "status": "rolled_back", "phase": "", "from_": "blue",
            "to": "green", "started_at": ago(1), "ended_at": ago(0.9), "actor": Actor(login="alice", host="b1"),
            "reason": "2.4.1 go", "switch": SwitchReport(requests=105, errors=3, first_new_s=0.1, last_old_s=0.2),
            **fields,
        }
    )  # fmt: skip


def facts(*items: Any, actions: tuple[Action, ...] = (), sources: tuple[Snapshot, ...] = ()) -> Facts:
    since = ago(2)
    return Facts(
        title="analytics", made_at=NOW, since=since, until=NOW, zone=UTC, sources=sources,
        events=events(items, since, NOW), actions=actions, items=items,
    )  # fmt: skip


def test_an_incident_names_t0_evidence_actions_with_reasons_and_what_was_not_seen() -> None:
    lost = Snapshot(key=SourceKey("logs", "loki"), type="loki", error=SourceError("timeout", "loki: timeout", ""))
    score = QualityScore(
        ref="dq/orders", backend="dq", dataset="orders", score=0.71, warn=0.95, crit=0.8, state="critical",
        evaluated_at=ago(0.5), failures=(FailedExpectation("amount 0..100", "37 rows"),),
    )  # fmt: skip
    text = "\n".join(incident(facts(alert(1.5), score, actions=(action(),), sources=(lost,))))
    assert "T0: 01:30:00: Down firing: it is down" in text
    assert "- dataset `orders` critical 0.71 (limit 0.8): amount 0..100: 37 rows" in text
    assert (
        '`7F3` flip analytics BLUE → GREEN rolled_back by alice@b1, reason "2.4.1 go", 105 requests and 3 errors'
        in text
    )
    assert "- logs loki: loki: timeout" in text


def test_an_acknowledged_alert_is_a_problem_still() -> None:
    ack = Acknowledgement(by="mia", until=NOW + timedelta(hours=1))
    acknowledged = replace(alert(1.5), state="acknowledged", ack=ack)
    lines = incident(facts(acknowledged))
    assert "- alert `Down` still fires, acknowledged by mia until 04:00:00: it is down" in lines
    longer = replace(acknowledged, hidden_until=acknowledged.ack.until + timedelta(hours=2))
    words = "acknowledged by mia until 04:00:00, hidden by a silence until 06:00:00: it is down"
    assert f"- alert `Down` still fires, {words}" in incident(facts(longer)), "it comes back then, not before"


def test_a_handover_tells_one_line_a_cause_with_its_count_and_hides_nothing() -> None:
    down = [replace(alert(1 - at / 100), ref=f"am/{at}", labels={"service": "*search*"}) for at in range(9)]
    released = TimelineEvent(at=ago(1.1), kind="action", ref="7F3", text="release *search* 2 succeeded by alice")
    other = alert(1.5, "Other", "a thing of its own")
    causes = fold([*down, other], [released], Links(), NOW)
    lines = handover([], replace(facts(*down, other), causes=causes))
    now = lines[lines.index("## Problems now") + 2 :]
    now = now[: now.index("")]
    words = r"release \*search\* 2 succeeded by alice: a change of \*search\*, 6m before (9 alerts)"
    assert now[0] == f"- ✗ ×9  1h  {words}"
    assert now[1:7] == ["  - alert `Down *search*` firing: it is down"] * SHOWN + [f"  - and {9 - SHOWN} more"]
    assert now[7:] == ["- alert `Other` firing: a thing of its own"]
    data = cause_reports(causes)
    assert sorted(ref for each in data for ref in each.refs) == sorted([*(item.ref for item in down), other.ref])
    assert [each.count for each in data] == [9, 1]
    assert data[0].suspects[0].ref == "7F3"


def test_a_quiet_window_says_so_in_every_section() -> None:
    assert incident(facts()).count("None.") == 4


def test_what_nobody_could_read_is_not_said_to_be_none() -> None:
    """Each section says so of the sources that it depends on, and of no other."""
    error = SourceError("unreachable", "connection refused", "")
    dead = Snapshot(key=SourceKey("alerts", "am"), type="alertmanager", error=error)
    text = "\n".join(handover([], facts(sources=(dead, dead))))
    said = dict(each.split("\n\n", 1) for each in text.split("## ")[1:])
    unknown = "Unknown: alerts am could not be read."
    for heading in ("Problems now", "Red for a day", "Acknowledged", "Silenced"):
        assert said[heading].strip() == unknown, heading
    for heading in ("Open actions", "Frozen", "Rejected versions", "Paused pipelines", "Overridden guards"):
        assert said[heading].strip() == "None.", heading
    assert said["What could not be seen"].strip() == "- alerts am: connection refused"
    lost = replace(dead, key=SourceKey("timeline", "journal"), type="journal")
    text = "\n".join(handover([], facts(sources=(lost,))))
    assert text.count("Unknown: the journal could not be read.") == 4
    report = "\n".join(incident(facts(alert(1), sources=(dead, lost))))
    assert "- Not all is known: alerts am could not be read." in report
    assert "## Actions\n\nUnknown: the journal could not be read." in report


def test_a_part_that_is_missing_is_not_none_either() -> None:
    part = SourceError("unreachable", "peer-2: connection refused", "")
    half = Snapshot(key=SourceKey("alerts", "am"), type="alertmanager", fetched_at=NOW, missing=(part,))
    text = "\n".join(handover([], facts(sources=(half,))))
    assert "## Silenced\n\nUnknown: a part of alerts am could not be read." in text
    assert "- alerts am: peer-2: connection refused" in text
    lost = Snapshot(key=SourceKey("alerts", "am"), type="alertmanager", error=part)
    text = "\n".join(handover([], facts(sources=(half, lost))))
    assert "## Silenced\n\nUnknown: alerts am could not be read." in text, "the part is of what is lost anyway"


def test_words_from_outside_are_no_markdown() -> None:
    named = replace(alert(1, summary="<script> [x](http://evil) `rm`"), labels={"dataset": "a` [x](http://evil) `b"})
    text = "\n".join(incident(facts(named)))
    assert "\\<script\\> \\[x\\](http://evil) \\`rm\\`" in text
    assert "- alert `Down a' [x](http://evil) 'b` firing" in text


def test_of_several_problems_of_one_name_each_says_which_it_is() -> None:
    """Two alerts of one rule, two suites of one dataset, and a service of which nobody knows what is live."""
    down = [replace(alert(1, summary=""), ref=f"am/{host}", labels={"instance": host}) for host in ("db-1", "db-2")]
    suites = [
        QualityScore(
            ref=f"dq/orders/{suite}", backend="dq", dataset="orders", suite=suite, score=value, warn=0.95, crit=0.8,
            state="critical", evaluated_at=ago(0.5), trend=(TrendPoint(ago(30), value), TrendPoint(ago(0.5), value)),
            reason="older than twice its cadence",
        ) for suite, value in (("nulls", 0.71), ("ranges", 0.62))
    ]  # fmt: skip
    lost = TruthLayer(value="unknown", detail="web.conf: no such file")
    service = deployment(live="unknown", truth=Truth(control=lost, endpoints=lost, data=lost))
    found = facts(*down, *suites, service)
    text = "\n".join(incident(found))
    assert "- alert `Down db-1` firing" in text
    assert "- alert `Down db-2` firing" in text
    assert "- dataset `orders (nulls)` critical 0.71 (limit 0.8): older than twice its cadence" in text
    assert "- dataset `orders (ranges)` critical 0.62" in text
    assert "orders (nulls) scored 0.71" in text
    assert "data unknown); web.conf: no such file" in text
    red = [each.text for each in open_items(found, silences=[], pipelines=[], records=[]) if each.kind == "red"]
    assert {"orders (nulls) below 0.8 for a day or longer", "orders (ranges) below 0.8 for a day or longer"} <= {*red}


def test_a_handover_lists_what_is_open_by_kind_with_who_and_until_when() -> None:
    silence = Silence(
        ref="am/1", backend="am", id="1", matchers=(Matcher(name="service", value="x"),), state="active",
        created_by="mia", comment="known", ends_at=NOW + timedelta(hours=1), is_ack=True,
    )  # fmt: skip
    ended = Silence(ref="am/2", backend="am", id="2", matchers=(), state="expired")
    failed = PipelineRun(
        ref="air/load/1",
        backend="air",
        pipeline="load",
        run_id="1",
        state="failed",
        ended_at=ago(30),
        started_at=ago(31),
    )
    record = AuditRecord(
        seq=1, at=ago(1).isoformat(), kind="override", order="flip", target="analytics", result="freeze"
    )
    about = facts(
        alert(25), alert(3, "New"), failed, actions=(action(), action(id="8A1", status="paused", ended_at=None))
    )
    found = open_items(
        about, silences=[silence, ended], records=[record, replace(record, seq=2, detail="of another gate")],
        pipelines=[("air", PipelineInfo(pipeline="load", paused=True)), ("air", PipelineInfo(pipeline="other"))],
    )  # fmt: skip
    assert [(item.kind, item.ref) for item in found] == [
        ("action", "8A1"), ("ack", "am/1"), ("paused", "air/load"), ("override", ""), ("red", "am/Down"),
        ("red", "air/load/1"),
    ]  # fmt: skip
    text = "\n".join(handover(found, about))
    assert '`am/1` service="x": "known", by mia, until 2026-11-26 04:00:00' in text
    assert "Down fires for 25h" in text or "Down fires for 1d" in text


def test_a_handover_lists_incidents_whose_alert_is_over() -> None:
    left = Incident(id="P1", ref="am/Down", number=7, alerts=1, over_since=ago(2))
    about = facts(replace(alert(3), incident=left, targets=("Alice",)), replace(alert(3, "New"), incident=left))
    (found,) = open_items(about, silences=[], pipelines=[], records=[])
    assert (found.kind, found.ref, found.by) == ("incident", "am/Down", "Alice")
    text = "\n".join(handover([found], about))
    assert "## Incidents whose alert is over" in text
    assert "alert over, incident still open since" in text
    assert "teal alert resolve am/Down" in text


def test_a_handover_begins_with_what_is_wrong_now() -> None:
    failing = deployment("shop", "blue")
    failing.colors["blue"] = replace(failing.colors["blue"], error_pct=30.0)
    red = QualityScore(
        ref="q/orders", backend="q", dataset="orders", score=0.5, warn=0.95, crit=0.8, state="critical",
        evaluated_at=ago(1), passed=0, total=0, failures=(), trend=(),
    )  # fmt: skip
    yellow = replace(red, ref="q/customers", dataset="customers", score=0.85, warn=0.95, crit=0.8, state="warning")
    about = facts(alert(0.1, "HighErrorRate"), failing, red, yellow)
    text = "\n".join(handover(open_items(about, silences=[], pipelines=[], records=[]), about))
    now, _, rest = text.partition("## Problems now")[2].partition("## ")
    assert rest.startswith("Open actions")
    for words in (
        "alert `HighErrorRate` firing",
        "`shop` live BLUE",
        "BLUE: 30.0 % of its requests fail",
        "`orders`",
        "`customers` warning 0.85 (limit 0.95)",
    ):
        assert words in now, now


def test_a_handover_names_what_stands_against_a_service_and_the_ways_out_of_an_action_that_nobody_runs() -> None:
    left = action(id="8A1", status="running", phase="bake", ended_at=None, orphaned_since=ago(0.5))
    rejected = action(id="9B2", kind="reject", status="succeeded", version="2.5.0", reason="leaks")
    error = ActionError(kind="gate_failed", message="3 % of errors")
    failed = action(id="9C3", kind="release", version="2.6.0", error=error)
    freeze = Freeze(by="mia@b1", since=ago(1), until=NOW + timedelta(hours=1), reason="quarter end")
    about = facts(actions=(left,))
    found = open_items(
        about, silences=[], pipelines=[], records=[], freezes=[("analytics", freeze)], rejections=[rejected, failed]
    )
    text = "\n".join(handover(found, about))
    assert "`analytics` analytics is frozen: quarter end, by mia@b1, until 2026-11-26 04:00:00" in text
    assert "`9B2` analytics 2.5.0: leaks, since 2026-11-26 02:06:00, by alice@b1" in text
    assert "`9C3` analytics 2.6.0: rolled back by a metric gate: 3 % of errors, since 2026-11-26 02:06:00" in text
    assert "nobody runs it since" in text
    assert "teal action resume 8A1, or teal deploy rollback analytics" in text


def test_an_incident_says_of_an_action_that_nobody_runs_it_and_what_to_do() -> None:
    left = action(id="8A1", status="running", phase="bake", ended_at=None, orphaned_since=ago(0.5))
    ways = "teal action resume 8A1, or teal deploy rollback analytics"
    service = deployment(action="8A1", orphaned_since=ago(0.5), ways_out=ways)
    problems, _, actions = "\n".join(incident(facts(service, actions=(left,)))).partition("## Actions")
    assert f"live GREEN (control green, endpoints green, data green); `8A1`: nobody runs it: {ways}" in problems
    assert "flip analytics BLUE → GREEN nobody runs it by alice@b1" not in actions
    assert "flip analytics BLUE → GREEN: nobody runs it by alice@b1" in actions


async def test_the_handover_reads_freezes_and_rejections_from_the_journal(tmp_path: Path) -> None:
    async with TwoColors(tmp_path) as service:
        teal = Teal(tmp_path, written(service, ""))
        for words in (("freeze", "analytics"), ("reject", "analytics", "2.5.0")):
            process = await teal.start("deploy", *words, "-y", "--reason", "leaks", "--foreground")
            assert await process.wait() == 0
        (report,) = (await teal.document("report", "--handover"))["items"]
    assert [(item["kind"], item["text"].partition(", since")[0]) for item in report["open"]] == [
        ("freeze", "analytics is frozen: leaks"), ("rejected", "analytics 2.5.0: leaks"),
    ]  # fmt: skip


def test_a_score_is_red_for_a_day_only_where_it_was_seen_for_a_day() -> None:
    def score(*hours: float) -> QualityScore:
        trend = tuple(TrendPoint(ago(at), 0.5) for at in hours)
        return QualityScore(
            ref="dq/a", backend="dq", dataset="a", score=0.5, warn=0.9, crit=0.8, state="critical", trend=trend
        )

    assert [item.kind for item in open_items(facts(score(30, 2)), silences=[], pipelines=[], records=[])] == ["red"]
    assert open_items(facts(score(3, 2)), silences=[], pipelines=[], records=[]) == []


def test_where_nobody_looked_nothing_is_told_as_well() -> None:
    """W4: a report said that nothing was wrong, and that all was seen, over what it did not tell."""
    told = TimelineEvent(at=ago(0.5), kind="unwatched", ref="elsewhere", text="not told: 4 troubles of checks.web")
    about = facts(told)
    report = "\n".join(incident(about))
    assert "T0: nothing is known to be wrong in this window, not all of which was seen." in report
    for first, words in ((ago(0.5), "before 02:30:00"), (NOW, "in this window")):
        early = "\n".join(incident(replace(facts(), unwatched_until=first)))
        assert "nothing is known to be wrong in this window, not all" in early
        assert f"- nobody is known to have looked {words}: what no source remembers" in early
    for text in (report, "\n".join(handover([], about))):
        assert "4 troubles of checks.web" in text.partition("## What could not be seen")[2]
