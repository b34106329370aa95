"""What began and what ended, by one snapshot after the other."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actions.journal.episodes import Episode
from backends.models import (
    Alert,
    CheckResult,
    ColorState,
    Deployment,
    LastSwitch,
    PipelineRun,
    QualityScore,
    SwitchMark,
    TrendPoint,
    Truth,
    TruthLayer,
)
from console.ports.deployments import DEPLOYMENTS
from console.ports.store import Snapshot, SourceError, SourceKey
from console.reading.turning import AT_ONCE, JUST_BEFORE, Turning
from tests.console.fakes import deployment

NOW = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def alert(number: int = 1, since: float | None = -2, **fields: Any) -> Alert:
    return Alert(
        **{
            "ref": f"am/{number}", "backend": "am", "fingerprint": str(number), "name": "Down", "severity": "critical",
            "state": "firing", "since": None if since is None else at(since), "labels": {"service": "web"},
            "summary": "no answer", **fields,
        }
    )  # fmt: skip


def run(number: int, ended: float | None, state: str = "failed", **fields: Any) -> PipelineRun:
    return PipelineRun(
        ref=f"local/etl/{number}", backend="local", pipeline="etl", run_id=str(number), state=state,
        started_at=at(-50), ended_at=None if ended is None else at(ended), **fields,
    )  # fmt: skip


def score(value: float | None, evaluated: float, state: str, trend: Sequence[tuple[float, float]] = ()) -> QualityScore:
    points = tuple(TrendPoint(at=at(minute), score=point) for minute, point in trend)
    return QualityScore(
        ref="q/orders", backend="q", dataset="orders", score=value, warn=0.95, crit=0.8, state=state,
        evaluated_at=at(evaluated), passed=0, total=0, failures=(), trend=points,
    )  # fmt: skip


def check(state: str) -> CheckResult:
    return CheckResult(ref="router", name="router", state=state, message="502")


class Look:
    """One source, read each minute."""

    def __init__(self, panel: str, *, began: float = 0) -> None:
        self.key, self.turning = SourceKey(panel, "am"), Turning(at(began))

    def __call__(
        self, minute: float, *items: Any, error: str = "", read: float | None = None, sure: bool = True
    ) -> list[tuple[str, str, datetime, datetime | None]]:
        found = SourceError("unreachable", error, "") if error else None
        snapshot = Snapshot(
            key=self.key, type="fake", items=items, fetched_at=at(minute if read is None else read), error=found
        )
        return [
            (each.ref, each.state, each.since, each.until)
            for each in self.turning.look(snapshot, at(minute), sure=sure)
        ]


def test_a_check_began_when_it_was_seen_and_ended_when_it_was_seen_well() -> None:
    look = Look("checks")
    assert look(1, check("ok")) == []
    assert look(2, check("critical")) == [("router", "critical", at(2), None)]
    assert look(3, check("critical")) == []
    assert look(4, check("ok")) == [("router", "critical", at(2), at(4))]
    assert look(5, check("ok")) == []


def test_a_read_that_says_the_same_is_a_sign_that_it_is_still_so() -> None:
    look = Look("checks")
    look(1, check("critical"), sure=False)
    assert look(1.3, check("critical"), sure=False) == []
    assert look(1.6, check("critical"), sure=True) == []
    (ended,) = look.turning.look(
        Snapshot(key=look.key, type="fake", items=(), fetched_at=at(9)), at(9), sure=True
    )  # fmt: skip
    assert (ended.seen_at, ended.until) == (at(1.6), at(9))


def test_another_state_of_the_same_is_another_episode() -> None:
    look = Look("checks")
    look(1, check("warning"))
    assert look(2, check("critical")) == [
        ("router", "critical", at(2), None), ("router", "warning", at(1), at(2)),
    ]  # fmt: skip


def test_an_alert_began_when_its_source_says_and_its_ack_ends_nothing() -> None:
    look = Look("alerts")
    assert look(1, alert()) == [("am/1", "critical", at(-2), None)]
    assert look(2, alert(state="acknowledged")) == []
    assert look(3, alert(state="silenced", hidden_since=at(2.5))) == [
        ("am/1", "silenced", at(2.5), None), ("am/1", "critical", at(-2), at(3)),
    ]  # fmt: skip
    assert look(4) == [("am/1", "silenced", at(2.5), at(4))]


def test_one_that_began_anew_between_two_looks_ended_before() -> None:
    look = Look("alerts")
    look(1, alert())
    ended, began = look(5, alert(since=4))
    assert (ended, began) == (
        ("am/1", "critical", at(-2), at(4) - JUST_BEFORE), ("am/1", "critical", at(4), None)
    ), "two that touched were one, from the first beginning on"  # fmt: skip


def test_one_that_is_back_with_its_old_time_began_anew_when_it_was_seen() -> None:
    look = Look("alerts")
    look(1, alert())
    look(2)
    assert look(3, alert()) == [("am/1", "critical", at(3), None)]


@pytest.mark.parametrize("quiet", [alert(state="pending"), alert(severity="none")])
def test_what_asks_for_nobody_yet_is_no_episode(quiet: Alert) -> None:
    assert Look("alerts")(1, quiet) == []


def test_a_flood_of_one_group_is_one_and_of_many_names_so_many_and_a_count() -> None:
    look = Look("alerts")
    assert len(look(1, *(alert(number, group="g") for number in range(500)))) == 1
    many = Look("alerts")(1, *(alert(number, name=f"Down{number}") for number in range(500)))
    assert len(many) == AT_ONCE + 1
    assert many[-1][0] == "alerts.am/more"


def test_a_run_is_over_with_the_next_good_one_and_not_when_the_window_leaves_it_behind() -> None:
    look = Look("pipelines")
    assert look(1, run(1, 0)) == [("local/etl/1", "critical", at(0), None)]
    assert look(2) == []
    assert look(3, run(2, 2.5, "running")) == []
    assert look(5, run(2, 4, "success")) == [("local/etl/1", "critical", at(0), at(4))]


def test_a_retry_of_the_same_run_that_ended_well_is_its_end() -> None:
    look = Look("pipelines")
    look(1, run(1, 0))
    assert look(2, run(1, None, "running")) == []
    assert look(3, run(1, 2.5, "success")) == [("local/etl/1", "critical", at(0), at(2.5))]


def test_runs_that_failed_before_the_good_one_are_told_once_with_their_end() -> None:
    look = Look("pipelines")
    runs = (run(3, -1, "success", data="ok"), run(2, -5), run(1, -9))
    assert look(1, *runs) == [("local/etl/2", "critical", at(-5), at(-1)), ("local/etl/1", "critical", at(-9), at(-1))]
    assert look(2, *runs) == []
    look(3, run(4, 2), *runs)
    assert look(4, run(5, 3, "success"), run(4, 2), *runs) == [("local/etl/4", "critical", at(2), at(3))]


def test_bad_data_of_a_green_run_is_over_with_the_next_good_run() -> None:
    look = Look("pipelines")
    assert look(1, run(1, 0, "success", data="critical")) == [("local/etl/1", "critical", at(0), None)]
    later = (run(2, 4, "success", data="ok"), run(1, 0, "success"))
    assert look(5, *later) == [("local/etl/1", "critical", at(0), at(4))]


def test_a_score_began_with_its_first_bad_measurement_and_ended_with_the_first_good_one() -> None:
    look = Look("quality")
    assert look(1, score(0.7, 0.5, "critical", [(-9, 0.99), (-2, 0.7), (0.5, 0.7)])) == [
        ("q/orders", "critical", at(-2), None)
    ]
    assert look(2, score(0.7, 0.5, "unknown")) == []  # nobody knows: that is no recovery
    assert look(3, score(0.99, 2.5, "ok")) == [("q/orders", "critical", at(-2), at(2.5))]


def test_a_source_is_lost_once_what_it_said_is_stale_and_answers_again() -> None:
    look = Look("alerts")
    look(1, alert())
    assert look(1.1, alert(), error="refused", read=1) == []
    assert look(3, alert(), error="refused", read=1) == [("am", "unknown", at(1.1), None)]
    assert look(4, alert(), error="refused", read=1) == []
    assert look(5, alert()) == [("am", "unknown", at(1.1), at(5))]


def test_what_is_not_sure_begins_and_does_not_end() -> None:
    look = Look("quality")
    look(1, score(0.7, 0.5, "critical"), sure=False)
    assert look(2, score(0.99, 1.5, "ok"), sure=False) == []
    assert look(3, score(0.99, 1.5, "ok")) == [("q/orders", "critical", at(0.5), at(1.5))]


def test_what_lay_on_disk_says_nothing_and_what_is_in_the_books_is_ended() -> None:
    look = Look("checks", began=10)
    look.turning.know([
        Episode(
            source="checks.am", kind="check", ref="router", state="critical", subject="router", text="check router",
            since=at(2), seen_at=at(5),
        )
    ])  # fmt: skip
    assert look(11, check("ok"), read=9) == []
    assert look(12, check("ok")) == [("router", "critical", at(2), at(12))]


def test_a_split_that_somebody_is_at_is_no_trouble_and_one_of_nobodys_is() -> None:
    layer = TruthLayer(value="mixed")
    truth = Truth(control=layer, endpoints=layer, data=layer)
    split = Deployment(ref="d/web", backend="d", service="web", live="mixed", colors={}, truth=truth, action="A")
    assert Look("deployments")(1, split) == []
    alone = Deployment(ref="d/web", backend="d", service="web", live="mixed", colors={}, truth=truth)
    assert Look("deployments")(1, alone) == [("d/web", "critical", at(1), None)]


@pytest.mark.parametrize(
    ("about", "fields", "wrong"),
    [
        ("release 2.4.2, deploying", {}, 0),
        ("release 2.4.2, waiting for health", {}, 0),
        ("flip, baking", {}, 1),  # the side that it came from: there is no way back
        ("release 2.4.2, deploying", {"orphaned_since": NOW}, 1),
        ("release 2.4.2, deploying", {"live": "blue"}, 1),  # it has the traffic
    ],
)
def test_a_side_that_is_being_deployed_to_is_no_trouble(about: str, fields: dict[str, Any], wrong: int) -> None:
    """Our own deploy restarted BLUE, and the timeline told it as trouble: not healthy, well again."""
    item = deployment(**{"live": "green", **fields}, action="7F3", action_about=about)
    item.colors["blue"] = replace(item.colors["blue"], healthy=False, detail="connection refused")
    assert DEPLOYMENTS.reading is not None
    assert len(DEPLOYMENTS.reading.problems([item])) == wrong


def serving(live: str = "blue", error_pct: float | None = None, **fields: Any) -> Deployment:
    layer = TruthLayer(value=live)
    sides = {
        "blue": ColorState(weight_pct=100, healthy=True, error_pct=error_pct, rps=0.0 if error_pct is None else 9.0),
        "green": ColorState(weight_pct=0, healthy=True),
    }
    return Deployment(
        ref="d/web", backend="d", service="web", live=live, colors=fields.pop("colors", sides),
        truth=Truth(control=layer, endpoints=layer, data=layer), **fields,
    )  # fmt: skip


def test_a_side_that_failed_is_well_again_only_by_its_rate() -> None:
    look = Look("deployments")
    assert look(1, serving(error_pct=30.0)) == [("d/web/blue", "critical", at(1), None)]
    pending = {"blue": ColorState(weight_pct=100, healthy=True, rates_pending=True), "green": ColorState(healthy=True)}
    for minute, unjudged in ((2, serving()), (3, serving(colors=pending)), (4, serving(error_pct=31.0))):
        assert look(minute, unjudged) == []
    assert look(5, serving(error_pct=0.0)) == [("d/web/blue", "critical", at(1), at(5))]


def test_what_fails_of_few_requests_is_a_warning_and_no_end_of_worse() -> None:
    def seen(requests: int, failed: int) -> Deployment:
        rate = round(100 * failed / requests, 2)
        side = ColorState(weight_pct=100, healthy=True, rps=1.0, requests=requests, failed=failed, error_pct=rate)
        return serving(colors={"blue": side, "green": ColorState(weight_pct=0, healthy=True)})

    look = Look("deployments")
    assert look(1, seen(2, 2)) == [("d/web/blue", "warning", at(1), None)]
    assert look(2, seen(30, 30)) == [
        ("d/web/blue", "critical", at(2), None), ("d/web/blue", "warning", at(1), at(2))
    ]  # fmt: skip
    assert look(3, seen(2, 1)) == [("d/web/blue", "warning", at(3), None)]
    assert look(4, seen(3, 0)) == [
        ("d/web/blue", "critical", at(2), at(4)), ("d/web/blue", "warning", at(3), at(4))
    ]  # fmt: skip


def test_the_first_look_of_another_reader_ends_nothing_that_it_can_not_judge() -> None:
    first, other = Look("deployments"), Look("deployments", began=2)
    began = first.turning.look(
        Snapshot(key=first.key, type="fake", items=(serving(error_pct=30.0),), fetched_at=at(1)), at(1), sure=True
    )  # fmt: skip
    other.turning.know(began)
    assert other(3, serving()) == []
    assert other(4, serving(error_pct=1.0)) == [("d/web/blue", "critical", at(1), at(4))]


def test_a_side_that_takes_no_traffic_any_more_fails_nobody() -> None:
    look = Look("deployments")
    look(1, serving(error_pct=30.0))
    drained = {"blue": ColorState(weight_pct=0, healthy=True), "green": ColorState(weight_pct=100, healthy=True)}
    assert look(2, serving("green", colors=drained)) == [
        ("d/web/turned", "turned", at(1), at(2)), ("d/web/blue", "critical", at(1), at(2)),
    ]  # fmt: skip


def test_what_an_own_action_is_in_the_midst_of_is_no_trouble_and_no_end_of_one() -> None:
    between = {"live": "mixed", "action": "A", "action_about": "canary 25 %, paused"}
    assert Look("deployments")(1, serving(**between)) == []
    held = serving(**between, action_held="no data")
    assert Look("deployments")(1, held) == [("d/web", "warning", at(1), None)]
    look = Look("deployments")
    ill = {"blue": ColorState(weight_pct=100, healthy=True), "green": ColorState(weight_pct=0, healthy=False)}
    assert look(1, serving(colors=ill)) == [("d/web", "warning", at(1), None)]
    assert look(2, serving(**between)) == []
    assert look(3, serving()) == [("d/web", "warning", at(1), at(3))]


def test_a_look_older_than_the_last_sign_ends_nothing_and_who_looks_ends_what_another_saw_begin() -> None:
    look = Look("checks")
    look(1, check("ok"))
    other = Look("checks").turning.look(
        Snapshot(key=look.key, type="fake", items=(check("critical"),), fetched_at=at(3)), at(3), sure=True
    )
    look.turning.know(other)
    assert look(3.1, check("ok"), read=2) == []
    assert look(4, check("ok")) == [("router", "critical", at(3), at(4))]


def test_a_read_from_before_the_end_of_an_own_action_finds_no_split_of_nobodys() -> None:
    layer = TruthLayer(value="mixed", at=at(1))
    truth = Truth(control=layer, endpoints=layer, data=layer)
    for ended, begun in ((1.01, 0), (0.9, 1), (9, 1)):
        last = LastSwitch(at=at(ended), by="root", from_="blue", to="green")
        item = replace(serving("mixed"), truth=truth, last_switch=last)
        assert len(Look("deployments")(2, item)) == begun


def well_at(look: Look, minute: float, *items: Any) -> Snapshot:
    return Snapshot(key=look.key, type="fake", items=items, fetched_at=at(minute))


def test_an_end_is_sure_only_from_the_first_time_on_in_which_nobody_looked() -> None:
    """W5: bad at two looks that are minutes apart may be two outages; a source that tells since when is believed."""
    look = Look("checks")
    look(0, check("critical"))
    look(0.3, check("critical"))
    look(4, check("critical"))
    look(4.1, check("critical"))
    (ended,) = look.turning.look(well_at(look, 4.2, check("ok")), at(4.2), sure=True)
    assert (ended.since, ended.seen_at, ended.until) == (at(0), at(0.3), at(4.2))
    look = Look("alerts")
    look(0, alert(since=-2))
    look(4, alert(since=-2, summary="still"))
    (ended,) = look.turning.look(well_at(look, 4.2), at(4.2), sure=True)
    assert (ended.since, ended.seen_at, ended.until) == (at(-2), at(4), at(4.2))


def test_a_lost_source_that_another_reader_lost_before_is_lost_still() -> None:
    """Each reader knows only since when it has no answer itself: that the source answered in between is no news of it.
    The timeline said "answers again" of an Alertmanager that was dead, since its readers came one after another."""
    lost = Episode(
        source="alerts.am", kind="source", ref="am", state="unknown", subject="alerts am",
        text="alerts am gives no answer: refused", since=at(0), seen_at=at(0.5),
    )  # fmt: skip
    for minute in (1.0, 8.0):
        look = Look("alerts", began=minute)
        look.turning.know([lost])
        assert look(minute + 0.1, error="refused", read=-10) == []
        assert look(minute + 0.2, error="refused", read=-10) == []
        assert look(minute + 0.3) == [("am", "unknown", at(0), at(minute + 0.3))]


BLIND = "who acts is unknown: journal postgresql: no answer within 2.0s"


def test_a_journal_that_is_not_read_ends_no_trouble_and_begins_none() -> None:
    """A frozen PostgreSQL made a rejected live version well again, and T0 began when it answered."""
    look, rejected = Look("deployments"), "live 3.1.0 was rejected by mia"
    assert look(1, serving(rejected=rejected)) == [("d/web", "critical", at(1), None)]
    assert look(2, serving(action_unknown=BLIND)) == []
    assert look(3, serving(live="mixed", action_unknown=BLIND)) == []  # it may be what an action does
    assert look(4, serving(rejected=rejected)) == []
    assert look(5, serving()) == [("d/web", "critical", at(1), at(5))]


def test_what_is_wrong_without_the_journal_is_told_without_it() -> None:
    sick = {"blue": ColorState(weight_pct=100, healthy=False, detail="HTTP 503"), "green": ColorState(healthy=True)}
    look = Look("deployments")
    assert look(1, serving(colors=sick, action_unknown=BLIND)) == [("d/web", "critical", at(1), None)]


def test_traffic_that_was_moved_outside_came_between_two_looks() -> None:
    """It had no row: what was live before, and by whom it was moved, was nowhere."""
    look, green = Look("deployments"), deployment()
    blue = replace(green, live="blue")
    assert look(1, green) == []
    assert look(2, green) == []
    assert [each for each in look(3, replace(green, live="mixed")) if each[1] == "turned"] == []
    assert look(4, blue)[0] == ("analytics/analytics/turned", "turned", at(2), at(4))
    assert look(5, blue) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"action": "8A"}),
        ({"action": "8A"}, {}),
        ({}, {"last_switch": LastSwitch(at=at(1), by="bob", from_="green", to="blue", action="8A")}),
        ({}, {"action_unknown": "journal: locked"}),
        ({"last_switch": LastSwitch(at=at(1), by="bob", from_="green", to="blue", action="8A")},) * 2,
    ],
)
def test_what_an_action_moved_or_may_have_moved_was_not_moved_outside(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    layer = TruthLayer(value="green", at=at(1))
    look, green = Look("deployments"), deployment(truth=Truth(control=layer, endpoints=layer, data=layer))
    look(1, replace(green, **before))
    assert [each for each in look(2, replace(green, live="blue", **after)) if each[1] == "turned"] == []


def test_who_moved_it_is_told_where_the_mark_says_so() -> None:
    green = deployment(mark=SwitchMark(stamp="7F3:shift"))
    by_hand, theirs = replace(green, live="blue"), replace(green, live="blue", mark=SwitchMark(stamp="9C:shift"))
    turned = DEPLOYMENTS.reading.turned if DEPLOYMENTS.reading else None
    assert turned is not None
    words = "analytics GREEN → BLUE by hand or by another program: who is not known; seen"
    assert turned(green, by_hand) == (by_hand, words)
    assert turned(green, theirs)[1] == "analytics GREEN → BLUE by action 9C of another journal; seen"
