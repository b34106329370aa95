"""What each kind of thing says: the worst first, its reason in one line, its counts in the title."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import pytest
from msgspec.structs import replace

from backends.models import (
    Acknowledgement,
    Alert,
    AlertState,
    ColorState,
    ControllerView,
    Deployment,
    FailedExpectation,
    OrderOffer,
    QualityScore,
    RollbackOffer,
    RunState,
    TrendPoint,
    Truth,
    TruthLayer,
)
from console.ports.alerts import ALERTS as ALERT_PORT
from console.ports.deployments import DEPLOYMENTS as PORT
from console.printing.tables import View, item_table, reasons
from panels.columns import Kind, Line, Moment, counts, fit, row, text_of
from panels.kinds import alerts, deployments, pipelines, quality, timeline
from panels.widths import display_width
from panels.words import ASCII, UNICODE
from tests.console.fakes import NOW, ago, alert, deployment, incident, run, score

MOMENT = Moment(NOW)
STORE = incident().store


@dataclass
class Listed:
    """Rows of a kind as text."""

    kind: Kind[Any]
    items: list[Any]

    def lines(self, width: int = 100) -> list[str]:
        rows = sorted(self.kind.fold(self.items), key=self.kind.sort_key)
        placed = fit(self.kind.columns, width, rows, MOMENT)
        return [text_of(row(placed, item, MOMENT)) for item in rows]


def words(line: Line) -> list[str]:
    return [cell.text for cell in line]


def test_pipelines_are_sorted_worst_first() -> None:
    states = [text.split()[0] for text in Listed(pipelines.PIPELINES, STORE.items("pipelines")).lines()]
    assert states == ["✗", "▲", "…", "✓", "✓"]


def test_an_unknown_state_is_worse_than_a_warning_and_says_its_word() -> None:
    odd = run("p", "1", "unknown", raw_state="deferred")
    late = run("q", "2", "running", late=True, started_at=ago(minutes=3), usual_s=60)
    assert sorted([late, odd], key=pipelines.PIPELINES.sort_key) == [odd, late]
    assert pipelines.reason(odd) == 'state "deferred" is not known here'
    assert pipelines.reason(late) == "late: usually 1m"


def test_a_run_that_goes_on_shows_tasks_and_one_that_ended_its_duration() -> None:
    lines = "\n".join(Listed(pipelines.PIPELINES, STORE.items("pipelines")).lines(120))
    assert "8 of 9" in lines
    assert "4m12s" in lines


@pytest.mark.parametrize(
    ("run_id", "shown"),
    [
        ("1842", "#1842"),
        ("scheduled__2026-08-22T14:00:00+00:00", "08-22 14:00"),
        ("manual__x", "manual__x"),
        ("manual__01M8N0FWA1X1MQGHERG3A8JHF8", "11-30 01:18"),
        ("manual__7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "manual__7ZZZZZZZZZZZZZZZZZZZZZZZZZ"),
        ("", ""),
    ],
)
def test_runs_are_called_as_people_say_them(run_id: str, shown: str) -> None:
    assert pipelines.run_name(run_id) == shown


def test_a_run_is_named_by_its_time_in_the_zone_that_is_shown() -> None:
    zone = timezone(timedelta(hours=2))
    assert pipelines.run_name("scheduled__2026-08-22T23:00:00+00:00", zone) == "08-23 01:00"
    assert pipelines.run_name("manual__2026-08-22T23:00:00.123456+00:00_x7", zone) == "08-23 01:00"
    assert pipelines.run_name("manual__2026-99-22T23:00:00+00:00", zone) == "manual__2026-99-22T23:00:00+00:00"
    failed = replace(run("a", "scheduled__2026-08-22T23:00:00+00:00", "failed"), ended_at=NOW)
    (event,) = timeline.events([failed], NOW, NOW, zone)
    assert event.text.startswith("a 08-23 01:00 failed")


@pytest.mark.parametrize("again", [True, False], ids=["fired again", "fires still"])
def test_an_acknowledgement_is_of_the_firing_that_was_seen(again: bool) -> None:
    """A silence hides each later firing, too, and whoever acknowledged the first one has not seen it."""
    taken = NOW - timedelta(minutes=30)
    began = taken + timedelta(minutes=20) if again else taken - timedelta(minutes=1)
    seen = replace(
        alert("A", "critical", 1, state="acknowledged", ack=Acknowledgement(by="mia")), since=began, hidden_since=taken
    )  # fmt: skip
    assert (seen.fired_again, seen.health) == (again, "warning" if again else "ok")
    assert ("fired again since" in item_table(Alert, [seen], View(NOW, UTC))[1]) is again
    (row,) = alerts.fold([seen])
    cell = alerts._about(row, MOMENT)
    assert (cell.text.startswith("fired again since mia"), cell.tone == "warning") == (again, again)
    assert bool(ALERT_PORT.reading and ALERT_PORT.reading.quiet(seen)) is again
    assert not replace(seen, state="firing").fired_again


def test_counts_name_what_is_wrong_and_ok_only_alone() -> None:
    assert words(counts(pipelines.PIPELINES, STORE.items("pipelines"))) == ["1 failed", "1 late", "1 running"]
    fine = [run("a", "1", "success"), run("b", "2", "success")]
    assert words(counts(pipelines.PIPELINES, fine)) == ["2 ok"]
    assert words(counts(pipelines.PIPELINES, [])) == []


def test_a_breached_limit_shows_both_numbers() -> None:
    assert quality.score_words(score("a", 0.71, "critical", 1)) == "0.71 < 0.80"
    assert quality.score_words(score("a", 0.93, "warning", 1)) == "0.93 < 0.95"
    assert quality.score_words(score("a", 0.99, "ok", 1)) == "0.99"
    assert quality.score_words(score("a", None, "unknown", 1)) == "no data"


def test_a_quality_reason_is_the_first_failed_check() -> None:
    failures = (FailedExpectation("amount", "37 rows"), FailedExpectation("currency", ""))
    assert quality.reason(score("a", 0.7, "critical", 1, failures=failures)) == "amount: 37 rows  (+1 more)"
    assert quality.reason(score("a", 0.99, "ok", 1, failures=failures)) == ""
    assert quality.reason(score("a", 0.7, "unknown", 1, failures=failures, reason="too old")) == "too old"


def test_a_fall_shows_in_the_trend_and_bars_stay_within_their_height() -> None:
    bars = quality.trend(score("a", 0.1, "critical", 1), 13, "01234567")
    assert len(bars) == 13
    assert bars[-1] == "0"
    assert bars[0] > bars[-1]


@pytest.mark.parametrize("values", [(0.99, 0.93), (0.99, 0.94), (0.96, 0.9)])
def test_a_breach_of_the_warning_limit_is_seen_in_panel_and_table(values: tuple[float, float]) -> None:
    item = replace(score("a", 0.9, "warning", 1), trend=tuple(TrendPoint(NOW, value) for value in values))
    panel = quality.trend(item, 13, UNICODE.bars)
    assert panel[0] > panel[1]
    assert panel in item_table(QualityScore, [item], View(NOW, UTC))[1]


def test_alerts_of_one_name_group_and_state_are_one_row() -> None:
    lines = Listed(alerts.ALERTS, STORE.items("alerts")).lines()
    assert sum("ProcessingLatency" in line for line in lines) == 1
    assert any("ProcessingLatency ×3" in line for line in lines)
    assert [line.split()[0] for line in lines] == ["✗", "✗", "▲", "◌", "◌"]


def test_alerts_without_a_group_are_one_row_by_their_source_and_of_other_state_stay_apart() -> None:
    one, two = alert("A", "critical", 1, fingerprint="1"), alert("A", "critical", 2, fingerprint="2")
    assert len(alerts.fold([one, two])) == 1
    assert len(alerts.fold([one, replace(two, backend="other")])) == 2
    assert [group.alerts for group in alerts.apart([one, two])] == [(one,), (two,)]
    grouped = [alert("A", "critical", 1, fingerprint=name, group="g", state=state) for name, state in
               (("1", "firing"), ("2", "firing"), ("3", "silenced"))]  # fmt: skip
    assert sorted(len(group.alerts) for group in alerts.fold(grouped)) == [1, 2]
    assert alerts.ALERTS.item(alerts.fold(grouped)[0]) in grouped


def test_an_acknowledged_alert_says_by_whom_and_until_when() -> None:
    taken = alert(
        "A", "critical", 1, state="acknowledged", ack=Acknowledgement(by="mia", until=NOW + timedelta(hours=1))
    )
    assert "mia until 14:02" in Listed(alerts.ALERTS, [taken]).lines()[0]
    assert words(counts(alerts.ALERTS, [taken])) == ["1 acked"]


def block(item: Any, width: int = 50, moment: Moment = MOMENT) -> list[str]:
    lines = deployments.block(item, moment, width)
    assert len(lines) == deployments.height(item, moment.roomy)
    return [text_of(line) for line in lines]


def test_a_service_says_what_is_live_and_the_way_back_in_words() -> None:
    lines = block(deployment())
    assert lines[0].split() == ["analytics", "live", "GREEN", "2.4.1"]
    assert lines[1].split()[:2] == ["▶", "GREEN"]
    assert lines[2].split()[0] == "BLUE"
    assert lines[3].strip() == "back to BLUE 2.4.0: ready, at once  (12m ago)"


def test_layers_that_disagree_are_said_and_never_dropped() -> None:
    truth = Truth(control=TruthLayer(value="green"), endpoints=TruthLayer(value="green"), data=TruthLayer(value="blue"))
    item = deployment("analytics", "mixed", truth=truth, colors=deployment().colors)
    for roomy in (True, False):
        lines = block(item, 30, Moment(NOW, roomy=roomy))
        assert any("control GREEN · endpoints GREEN" in line for line in lines)
    assert deployments.health(item) == "critical"
    assert words(counts(deployments.DEPLOYMENTS, [item])) == ["1 critical"]


def test_a_split_made_by_an_open_action_is_on_the_move_and_no_fault() -> None:
    layer = TruthLayer(value="mixed")
    item = deployment(
        "m", "mixed", colors=deployment().colors, action="8A1", truth=Truth(control=layer, endpoints=layer, data=layer)
    )
    assert deployments.health(item) == "running"
    assert any("action 8A1 is open" in line for line in block(item, 30, Moment(NOW, roomy=False)))


def test_an_unready_way_back_and_a_side_that_is_down_are_said() -> None:
    colors = {
        "green": ColorState(version="2", weight_pct=100, healthy=True),
        "blue": ColorState(version="1", weight_pct=0, healthy=False),
    }
    item = deployment(colors=colors, rollback=RollbackOffer(to="blue", ready=False, reason="health answers 503"))
    lines = block(item, 60)
    assert "down" in lines[2]
    assert lines[3].strip() == "back to BLUE 1: not ready, health answers 503"


@pytest.mark.parametrize("width", [29, 48, 118])
def test_a_live_side_whose_requests_fail_is_critical_and_its_share_is_never_dropped(width: int) -> None:
    sides = deployment().colors
    failing = replace(sides["green"], error_pct=100.0, healthy=True)
    item = deployment(colors={**sides, "green": failing})
    lines = block(item, width, Moment(NOW, roomy=False))
    assert lines[0].startswith("✗ analytics")
    assert lines[1] == "✗ GREEN: 100 % of its requests fail"[: max(width, 35)]
    assert lines[2].count("100 %") == 2, "its weight and its errors"
    assert (item.health, words(counts(deployments.DEPLOYMENTS, [item]))) == ("critical", ["1 critical"])
    assert deployments.why_not_well(item) == "GREEN: 100 % of its requests fail"
    few = deployment(colors={**sides, "green": replace(failing, error_pct=4.9)})
    assert few.health == "ok"
    assert "4.9 %" in block(few, width, Moment(NOW, roomy=False))[1]
    split = deployment("m", "mixed", action="8A1", colors={**sides, "blue": replace(failing, weight_pct=5)})
    assert split.health == "critical", "a canary that fails is not somebody's plan"
    sick = {
        "blue": replace(sides["blue"], weight_pct=20),
        "green": replace(sides["green"], weight_pct=80, healthy=False),
    }
    assert deployment("m", "mixed", action="8A1", colors=sick).health == "critical", "the old side has most users"
    idle = deployment(colors={**sides, "blue": replace(failing, weight_pct=0)})
    assert idle.health == "ok", "nobody is sent there"


@pytest.mark.parametrize("width", [29, 48, 118])
def test_of_few_requests_their_number_stands_where_their_share_would(width: int) -> None:
    sides = deployment().colors
    few = replace(sides["green"], rps=0.2, requests=19, failed=2, error_pct=10.53, p95_ms=4000)
    item = deployment(colors={**sides, "green": few})
    lines = block(item, width, Moment(NOW, roomy=False))
    assert lines[0].startswith("▲ analytics")
    assert lines[1].startswith("▲ GREEN: 2 of 19 requests")
    assert "2 of 19" in lines[2]
    assert ("0.2/s" in lines[2]) == (width > 29), "it is not asked nothing"
    assert (item.health, deployments.why_not_well(item)) == (
        "warning", "GREEN: 2 of 19 requests failed, too few to judge"
    )  # fmt: skip
    enough = deployment(colors={**sides, "green": replace(few, requests=20)})
    assert (enough.health, deployments.failures(enough)) == ("critical", ["GREEN: 10.5 % of its 20 requests fail"])
    calm = deployment(colors={**sides, "green": replace(few, failed=0, error_pct=0.0)})
    assert (calm.health, "0 of 19" in block(calm, width, Moment(NOW, roomy=False))[1]) == ("ok", True)


@pytest.mark.parametrize("width", [20, 26, 30, 40, 48, 80, 118])
def test_a_block_never_wraps(width: int) -> None:
    for item in STORE.items("deployments"):
        for line in deployments.block(item, MOMENT, width)[1:3]:
            assert display_width(text_of(line)) <= width


def test_the_timeline_marks_where_it_began_and_what_came_before() -> None:
    items = [item for panel in ("pipelines", "quality", "alerts", "deployments") for item in STORE.items(panel)]
    earlier = deployment("other", "green")
    found = timeline.events([*items, earlier], NOW - timedelta(hours=1))
    assert [event.at for event in found] == sorted(event.at for event in found)
    zero = next(event for event in found if event.t0)
    assert zero.text == "transactions scored 0.71"
    assert all(event.before.endswith("before") for event in found if event.at < zero.at)
    (began_before,) = timeline.events(items, NOW)
    assert (began_before.at, began_before.t0) == (zero.at, True)
    assert began_before.text.startswith("transactions scored 0.71 (began before this window, at 2026-")


def test_a_score_of_then_is_told_where_it_was_measured_with_what_has_become_of_it() -> None:
    (first, *_) = [score for score in STORE.items("quality") if score.state == "critical"]
    trend = tuple(TrendPoint(at=ago(minutes=at), score=score) for at, score in ((30, 0.99), (20, 0.78), (10, 0.62)))
    worse = replace(first, trend=trend, score=0.62, evaluated_at=ago(minutes=10), warn=0.95, crit=0.8)
    (event,) = timeline.events([worse], NOW - timedelta(hours=1))
    assert (event.at, event.text) == (ago(minutes=20), f"{worse.dataset} scored 0.78, 0.62 now")
    (alone,) = timeline.events([replace(worse, trend=())], NOW - timedelta(hours=1))
    assert (alone.at, alone.text) == (ago(minutes=10), f"{worse.dataset} scored 0.62")


@pytest.mark.parametrize("state", ["acknowledged", "silenced"])
def test_an_alert_fired_when_it_began_and_was_hidden_when_it_was_hidden(state: AlertState) -> None:
    ack = Acknowledgement(by="mia") if state == "acknowledged" else None
    hidden = alert("A", "critical", 30, state=state, ack=ack, hidden_since=ago(minutes=10), summary="bad")
    fired, quiet = timeline.events([hidden], ago(hours=1))
    assert (fired.at, fired.text, fired.health) == (ago(minutes=30), "A firing: bad", "critical")
    assert (quiet.at, quiet.text) == (ago(minutes=10), f"A {state} by mia" if ack else f"A {state}")
    assert fired.t0 is (state == "acknowledged")


def test_a_run_that_ends_well_is_news_only_after_a_failure() -> None:
    good, bad, again = (
        run("p", str(n), cast(RunState, state), started_at=ago(minutes=9 - n), ended_at=ago(minutes=8 - n))
        for n, state in enumerate(("success", "failed", "success"))
    )
    texts = [event.text for event in timeline.events([good, bad, again], ago(hours=1))]
    assert texts == ["p #1 failed", "p #2 succeeded again"]


def test_ascii_rows_hold_nothing_else() -> None:
    moment = Moment(NOW, symbols=ASCII)
    listed: list[tuple[Kind[Any], list[Any]]] = [
        (pipelines.PIPELINES, STORE.items("pipelines")),
        (quality.QUALITY, STORE.items("quality")),
        (alerts.ALERTS, STORE.items("alerts")),
    ]
    for kind, items in listed:
        rows = list(kind.fold(items))
        placed = fit(kind.columns, 118, rows, moment)
        for item in rows:
            assert text_of(row(placed, item, moment)).replace("–", "-").isascii()


def test_hostile_names_stay_one_line_of_plain_cells() -> None:
    hostile = Alert(ref="a/1", backend="a", fingerprint="1", name="[red]x[/red] [/] [0] 漢字🔥", severity="critical",
                    state="firing", summary="[link=x]y", labels={"service": "[b]"})  # fmt: skip
    line = Listed(alerts.ALERTS, [hostile]).lines(60)[0]
    assert "[red]x[/red]" in line
    assert display_width(line) == 60


def test_a_run_over_bad_data_is_nowhere_a_success() -> None:
    bad = run(
        "load",
        "1",
        "success",
        ended_at=ago(minutes=2),
        data="critical",
        data_reason="orders 0.70 < 0.80",
        history=("success",) * 3,
    )
    (event,) = timeline.events([bad], ago(hours=1))
    assert (event.sign, event.text) == (
        "critical",
        "load #1 bad data: orders 0.70 < 0.80",
    )
    assert "✓✓✗" in Listed(pipelines.PIPELINES, [bad]).lines()[0]


def test_who_does_what_stands_in_the_block_and_one_that_nobody_runs_is_loud() -> None:
    about = "root: flip BLUE → GREEN, bake"
    lines = block(deployment(action="8A1", action_about=about), 60)
    assert lines[-1].strip() == f"… {about}"
    assert block(deployment(action_about="X of another journal"), 60)[-1].strip() == "… X of another journal"
    alone = deployment(action="8A1", action_about=about, orphaned_since=ago(minutes=3))
    lines = block(alone, 60)
    assert lines[0].startswith("✗ analytics")
    assert lines[-1].strip() == f"✗ nobody runs it: {about}"


def test_what_the_journal_knows_against_the_traffic_is_said_below_the_name() -> None:
    moved = "changed since: live is GREEN 2.4.1, root's flip left BLUE 2.4.0"
    item = deployment(changed_since=f"{moved}\nwhere that is meant: teal deploy flip analytics --to GREEN")
    lines = block(item, 100)
    assert (item.health, lines[1]) == ("warning", f"▲ {moved}")
    bad = replace(item, rejected="live 2.4.1 was rejected by alice")
    assert (bad.health, block(bad, 100)[1:3]) == ("critical", ["✗ live 2.4.1 was rejected by alice", f"▲ {moved}"])
    assert len(block(bad, 100)) == deployments.DEPLOYMENTS.height(bad, True)
    assert PORT.reading is not None
    assert PORT.reading.says is not None
    assert PORT.reading.says(bad) == f"analytics live GREEN, live 2.4.1 was rejected by alice, {moved}"
    assert [line for line in reasons([bad]) if moved in line] == [
        f"analytics: {moved}\n  where that is meant: teal deploy flip analytics --to GREEN"
    ]


def controlled(phase: Any, **more: Any) -> Any:
    """A service that ECS moves, in the midst of a change."""
    layer = TruthLayer(value="stable", at=NOW)
    offers = (OrderOffer(order="promote", allowed=True), OrderOffer(order="abort", allowed=True))
    view = ControllerView(type="ecs-native", phase=phase, orders=offers, **more)
    return deployment(
        live="stable", controller=view, last_switch=None, truth=Truth(control=layer, endpoints=layer, data=layer),
        colors={"stable": ColorState(version="2.4.0", weight_pct=100, healthy=True),
                "candidate": ColorState(version="2.5.0", weight_pct=0, healthy=None)},
        rollback=RollbackOffer(to="2.4.0", ready=True, reason="not instant"),
    )  # fmt: skip


def test_what_a_controller_waits_for_is_loud() -> None:
    item = controlled(
        "paused", stage="POST_SCALE_UP", step=4, steps_total=10, message="it PROMOTES ITSELF at 03:40 UTC"
    )
    lines = block(item, 100)
    waits = "PAUSED POST_SCALE_UP (4 of 10): it PROMOTES ITSELF at 03:40 UTC"
    assert lines[1] == f"▲ {waits}, no action of ours watches it"
    assert block(replace(item, action="A1"), 100)[1] == f"▲ {waits}"
    blind = replace(item, action_unknown="who acts is unknown: no journal")
    assert block(blind, 100)[1] == f"▲ {waits}, whether an action of ours watches it is unknown"
    assert not deployments.unwatched(blind)
    assert item.health == "warning"
    assert deployments.why_not_well(item).startswith("PAUSED POST_SCALE_UP")
    assert "back to 2.4.0: ready, not instant" in lines[-1]
    offer = RollbackOffer(to="v2.4.0-rc1", ready=True, reason="not instant")
    assert "back to v2.4.0-rc1: ready, not instant" in block(replace(item, rollback=offer), 100)[-1]


def test_a_controller_at_work_is_no_fault_and_one_at_rest_is_not_told() -> None:
    item = controlled("progressing", stage="SCALE_UP", message="SCALE_UP, 1 of 3 new tasks running")
    assert deployments.health(item) == "running"
    assert block(item, 100)[1].endswith("PROGRESSING SCALE_UP: 1 of 3 new tasks running")
    assert deployments.controller_words(controlled("healthy", message="completed")) == ""


def test_a_pause_that_nobody_watches_is_said_with_its_end_by_every_reader() -> None:
    until = datetime.now(UTC).replace(hour=3, minute=40)
    item = controlled("paused", stage="READY_WAIT", message="", paused_until=until, then="rolls back by itself")
    said = "PAUSED READY_WAIT: it rolls back by itself at 03:40 UTC, no action of ours watches it"
    sick = replace(item, colors={**item.colors, "stable": replace(item.colors["stable"], healthy=False)})
    assert PORT.reading is not None
    assert PORT.reading.says is not None
    assert PORT.reading.problems is not None
    for each, word in ((item, "warning"), (sick, "critical")):
        assert said in PORT.reading.says(each)
        assert [problem.state for problem in PORT.reading.problems([each])] == [word]
        assert any(said in line for line in reasons([each]))
        assert deployments.unwatched(each)
    assert not deployments.unwatched(replace(item, action="A1"))


def test_the_timeline_has_the_words_of_the_panel_for_why_a_run_failed() -> None:
    failed = run("etl", "1", "failed", error="suite: SuiteError: column amount_eur is not there")
    assert timeline.ended(failed) == "failed: suite: column amount_eur is not there"
    assert pipelines.reason(failed) == "suite: column amount_eur is not there"


def test_a_way_back_that_was_gone_names_actions_as_lists_do() -> None:
    reason = "back already: BLUE has all traffic; 01M0SX5B800000000000000001 was taken back by rollback 01M0SXEG70TH"
    offer = RollbackOffer(to=None, ready=False, reason=reason)
    told = deployments.no_way_back(deployment(rollback=offer))
    assert told == "back already: BLUE has all traffic; 000001 was taken back by rollback 01M0SXEG70TH"


def test_an_alert_by_itself_says_which_it_is() -> None:
    """5,000 rows of `DeadLetters` stood below each other, each by itself, and each alike."""
    labels = {"alertname": "DeadLetters", "partition": "1953", "severity": "warning", "stream": "clicks"}
    one = alert("DeadLetters", "warning", 1, labels=labels)
    (each,) = alerts.apart([one])
    assert alerts.subject(each) == "partition=1953 stream=clicks"
    (both,) = alerts.fold(
        [one, alert("DeadLetters", "warning", 1, fingerprint="2", labels={**labels, "partition": "7"})]
    )
    assert alerts.subject(both) == ""


@pytest.mark.parametrize("width", [38, 50, 78, 118])
def test_a_switch_that_is_armed_says_so_at_every_width(width: int) -> None:
    """What runs is live, and what the file would do is loud beside it: at 80 columns no panel said ARMED."""
    item = deployment(armed="any reload goes to BLUE 100 %")
    lines = block(item, width)
    assert lines[0].split()[:5] == ["✗", "analytics", "live", "GREEN", "2.4.1"]
    assert (item.health, lines[0].split()[5]) == ("critical", "ARMED")
    assert "ARMED: any reload goes to BLUE 100 %" in " ".join(line.strip(" ✗") for line in lines)


def test_a_hold_says_why_once_and_what_comes_of_it_by_itself() -> None:
    then = "goes back by itself at 14:12:00 UTC"
    item = deployment(
        live="mixed", action="8A1", action_about="canary 25 %, held: no requests", action_held="no requests",
        action_then=then,
    )  # fmt: skip
    assert then in " ".join(line.strip() for line in block(item, 60))
    (line,) = item_table(Deployment, [item], View.at_now(UTC))[1:]
    assert (line.count("no requests"), then in line) == (1, True)


def test_a_split_that_nobody_is_known_to_have_made_says_that_it_is_one() -> None:
    """It was critical, and no line said why."""
    half = TruthLayer(value="mixed", detail="BLUE 50 %   GREEN 50 %")
    item = deployment(live="mixed", truth=Truth(control=half, endpoints=half, data=TruthLayer(value="green")))
    item = replace(item, colors={name: replace(side, weight_pct=50) for name, side in item.colors.items()})
    words = "traffic is split, and no action is open on it: BLUE 50 %   GREEN 50 %"
    assert (item.health, reasons([item])[0]) == ("critical", f"analytics: {words}")
    unknown = replace(item, colors={name: replace(side, weight_pct=None) for name, side in item.colors.items()})
    assert reasons([unknown])[0] == f"analytics: {words}", "as of nodes that differ: nobody knows the shares"
    theirs = replace(item, action_about="A1 of another journal", mark=None)
    assert "no action of this journal is open" in reasons([theirs])[0]


def test_why_there_is_no_way_back_is_not_cut_at_the_mark() -> None:
    reason = "by the mark on the switch (01M0SX5B800000000000000001:shift[50]) it is not known which side is back"
    item = deployment(rollback=RollbackOffer(to=None, ready=False, reason=reason))
    assert reason in item_table(Deployment, [item], View.at_now(UTC))[1]
    already = RollbackOffer(to=None, ready=False, reason="back already: BLUE has all traffic")
    assert "BLUE has all" not in item_table(Deployment, [deployment(rollback=already)], View.at_now(UTC))[1]
