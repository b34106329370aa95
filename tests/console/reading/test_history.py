"""What the timeline remembers: actions, notes, alerts that came and went, in one order with what is so now."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actions.journal.audit import AuditRecord
from actions.models import Action, ActionError, Actor, Hold, Owner, Watch
from backends.models import (
    Acknowledgement,
    Alert,
    Deployment,
    LastSwitch,
    PipelineRun,
    TimelineEvent,
    Truth,
    TruthLayer,
)
from backends.ports import Point, Series
from console.reading.history import of_actions, of_metrics, of_moves, of_notes, of_watches
from console.reading.recorded_times import in_order
from panels.kinds.timeline import events

NOW = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)
SINCE = NOW - timedelta(hours=1)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def action(status: str = "succeeded", *, ended: float | None = 10, **fields: Any) -> Action:
    return Action(
        **{
            "id": "7F3", "kind": "flip", "service": "analytics", "status": status, "phase": "", "from_": "blue",
            "to": "green", "started_at": ago(12), "ended_at": ago(ended) if ended is not None else None,
            "actor": Actor(login="alice"), "changed": True, **fields,
        }
    )  # fmt: skip


def test_an_action_is_told_where_it_ended_with_who_and_why() -> None:
    (event,) = of_actions([action(reason="2.4.1 go")], SINCE, NOW)
    assert (event.at, event.ref, event.health) == (ago(10), "7F3", "ok")
    assert event.text == 'flip analytics BLUE → GREEN succeeded by alice: "2.4.1 go"'
    assert of_actions([action("rollback_failed")], SINCE, NOW)[0].health == "critical"


def test_who_ordered_it_is_not_said_to_have_taken_it_back() -> None:
    error = ActionError(kind="verify_failed", message="GREEN does not answer")
    (event,) = of_actions([action("rolled_back", reason="ticket 12", error=error)], SINCE, NOW)
    assert event.text == 'flip analytics BLUE → GREEN by alice: "ticket 12", rolled back by its verification'


def test_what_moves_traffic_is_told_where_it_does_and_what_it_caused_comes_after_it() -> None:
    """A canary that goes back tells its end: what it did to users began with its first shift."""

    def observed(minutes: float, step: str, blue: int, result: str = "applied", order: str = "release") -> AuditRecord:
        return AuditRecord(
            seq=1, at=ago(minutes).isoformat(), kind="observed", action="7F3", order=order, target="analytics",
            step=step, after={"weights": {"blue": blue, "green": 100 - blue}}, result=result,
        )  # fmt: skip

    words = "the switch has BLUE 100 %, GREEN 0 % now: changed by somebody else"
    conflict = AuditRecord(
        seq=2, at=ago(5).isoformat(), kind="verdict", action="7F3", order="release", target="analytics",
        result="conflict", detail=words,
    )  # fmt: skip
    records = [
        observed(90, "shift[1]", 1), observed(40, "shift[10]", 10), observed(20, "shift", 100),
        observed(19, "shift[25]", 25, "not applied"), observed(18, "deploy", 0), observed(17, "shift-back", 0),
        observed(16, "shift", 100, order="rollback"), conflict,
    ]  # fmt: skip
    one = action("rolled_back")
    told = of_moves([one], records, SINCE, NOW)
    assert [(event.at, event.ref, event.health, event.text) for event in told] == [
        (ago(40), "7F3", "ok", "flip analytics: traffic moved: BLUE 10 %, GREEN 90 %"),
        (ago(20), "7F3", "ok", "flip analytics: traffic moved: BLUE 100 %"),
        (ago(5), "7F3", "warning", f"flip analytics: {words}"),
    ]
    assert of_moves([], records, SINCE, NOW)[0].text.startswith("release analytics: ")
    alert = TimelineEvent(at=ago(39), kind="alert", ref="a", text="fires", health="critical", going_on=True)
    lines = events([*told, *of_actions([one], SINCE, NOW), alert], SINCE, NOW)
    assert [(line.t0, line.before) for line in lines][:2] == [(False, "1m before"), (True, "")]


def test_an_open_one_is_told_where_it_began_and_an_old_one_not_at_all() -> None:
    assert [event.at for event in of_actions([action("running", ended=None)], SINCE, NOW)] == [ago(12)]
    assert of_actions([action(ended=90)], SINCE, NOW) == []
    (alone,) = of_actions([action("running", ended=None, orphaned_since=ago(5))], SINCE, NOW)
    assert alone.text == "flip analytics BLUE → GREEN by alice: nobody runs it", "it does not run as well"
    assert alone.at == ago(5), "when it began, somebody ran it"
    owner = Owner(user="alice", host="b1", pid=1, lease_expires_at=NOW, seen_at=ago(4))
    hold = Hold(why="no requests", since=ago(3), until=None)
    (stopped,) = of_actions([action("running", ended=None, stopped_pid=1, owner=owner)], SINCE, NOW)
    (held,) = of_actions([action("paused", ended=None, hold=hold)], SINCE, NOW)
    assert (stopped.at, held.at) == (ago(4), ago(3))
    (old,) = of_actions([action("running", ended=None, started_at=ago(90), orphaned_since=ago(5))], SINCE, NOW)
    assert old.at == ago(5), "what stands in the window is told in it"


def test_what_nobody_watched_is_said_from_the_first_watch_on_that_is_known() -> None:
    def gaps(*watched: tuple[float, float], since: datetime = SINCE) -> list[tuple[datetime, datetime | None]]:
        found = of_watches([Watch(ago(opened), ago(closed)) for opened, closed in watched], since, NOW)
        assert all(event.kind == "unwatched" and event.health == "ok" for event in found)
        return [(event.at, event.until) for event in found]

    assert gaps() == []
    assert gaps((50, 40)) == [(ago(40), NOW)], "of the ten minutes before the first, nothing is known"
    assert gaps((90, 80), (40, 0.5)) == [(SINCE, ago(40))]
    assert gaps((58, 30), (50, 45), (22, 0)) == [], "eight minutes are a coffee"
    assert gaps((55, 50), (52, 35), (20, 0)) == [(ago(35), ago(20))]
    (event,) = of_watches([Watch(ago(300), ago(252))], NOW - timedelta(hours=6), NOW)
    assert event.text == "nobody looked for 4h12m"


def test_notes_say_who_wrote_them_and_recorded_checks_what_changed() -> None:
    records = [
        AuditRecord(seq=1, at=ago(90).isoformat(), kind="note", detail="too old"),
        AuditRecord(seq=2, at=ago(5).isoformat(), kind="note", detail="called the vendor", actor=Actor(login="mia")),
        AuditRecord(seq=3, at=ago(4).isoformat(), kind="note", target="check:db", result="critical", detail="refused"),
        AuditRecord(seq=4, at=ago(3).isoformat(), kind="command", detail="no note"),
        AuditRecord(seq=5, at="", kind="note", detail="unreadable"),
        AuditRecord(
            seq=6, at=ago(1).isoformat(), kind="note", detail="of before", late=True, happened_at=ago(90).isoformat()
        ),
    ]
    assert [event.text for event in of_notes(records, SINCE, NOW)] == ["mia: called the vendor", "db critical: refused"]


class Ranges:
    def __init__(self, *series: Series) -> None:
        self.series = list(series)

    async def range(self, query: str, *, start: datetime, end: datetime, step: float) -> list[Series]:
        assert 'alertstate="firing"' in query
        assert (start, end, step) == (SINCE, NOW, 15.0)
        return self.series


def series(*minutes: float) -> Series:
    points = tuple(Point(ago(at), 1.0) for at in minutes)
    return Series(labels={"alertname": "HighErrorRate", "service": "analytics", "severity": "page"}, points=points)


async def test_each_time_that_an_alert_fired_and_stopped_is_told_once() -> None:
    found = await of_metrics(Ranges(series(50, 49.75, 49.5, 20, 19.75)), "prom", SINCE, NOW)
    assert [(event.at, event.text, event.health) for event in found] == [
        (ago(50), "HighErrorRate analytics fired for 45s", "critical"),
        (ago(20), "HighErrorRate analytics fired for 30s", "critical"),
    ]


@pytest.mark.parametrize("window_h", [1, 12, 24, 24 * 7])
@pytest.mark.parametrize("later_s", [0, 1, 7.5, 14, 100])
async def test_an_alert_has_the_same_time_whenever_it_is_asked_for(later_s: float, window_h: int) -> None:
    fired, stopped = ago(30).timestamp() + 4.321, ago(20).timestamp() + 4.321
    asked: list[tuple[datetime, datetime, float]] = []

    class Server:
        """As Prometheus evaluates the query: samples each 15 s, the first of them within each step."""

        async def range(self, query: str, *, start: datetime, end: datetime, step: float) -> list[Series]:
            asked.append((start, end, step))
            assert query.startswith("min_over_time(timestamp(")
            fine = float(query.rpartition(":")[2].rstrip(")]s"))
            samples = [fired + 15 * each for each in range(40)]
            points, at = [], start.timestamp()
            while at <= end.timestamp():
                looks = [at - fine * each for each in range(int(step // fine))]
                seen = [max(s for s in samples if s <= look) for look in looks if fired <= look < stopped]
                points += [Point(datetime.fromtimestamp(at, UTC), min(seen))] if seen else []
                at += step
            return [Series(labels={"alertname": "Down"}, points=tuple(points))]

    until = NOW + timedelta(hours=2 if window_h > 1 else 0, seconds=later_s)
    (event,) = await of_metrics(Server(), "prom", until - timedelta(hours=window_h), until)
    assert all(at.timestamp() % step == 0 for start, end, step in asked for at in (start, end))
    assert abs(event.at.timestamp() - fired) < (1 if window_h <= 24 else 120)
    if window_h == 1:
        assert event.text == "Down fired for 10m"


async def test_what_still_fires_is_left_to_the_alerts() -> None:
    assert await of_metrics(Ranges(series(1, 0.75, 0.5, 0.25, 0)), "prom", SINCE, NOW) == []


def test_a_switch_whose_action_tells_of_itself_is_not_told_twice() -> None:
    layer = TruthLayer(value="green")
    service = Deployment(
        ref="a/analytics", backend="a", service="analytics", live="green", colors={},
        truth=Truth(control=layer, endpoints=layer, data=layer),
        last_switch=LastSwitch(at=ago(10), by="alice", from_="blue", to="green", action="7F3"),
    )  # fmt: skip
    told = of_actions([action()], SINCE, NOW)
    assert [event.kind for event in events([service, *told], SINCE)] == ["action"]
    assert [event.kind for event in events([service], SINCE)] == ["switch"]


def test_t0_is_the_first_that_is_wrong_and_what_came_before_says_how_long() -> None:
    alert = Alert(
        ref="am/1", backend="am", fingerprint="1", name="Down", severity="critical", state="firing", since=ago(4)
    )
    found = events([*of_actions([action()], SINCE, NOW), alert], SINCE, NOW)
    assert [(event.kind, event.t0, event.before) for event in found] == [
        ("action", False, "6m before"),
        ("alert", True, ""),
    ]


def test_nothing_after_the_end_of_the_window_is_told() -> None:
    event = TimelineEvent(at=ago(1), kind="paused", ref="air/load", text="mia paused load")
    assert events([event], SINCE, ago(2)) == []


def test_an_acknowledgement_that_was_ordered_here_is_told_once() -> None:
    ack = Acknowledgement(by="mia", silence_id="s1")
    alert = Alert(
        ref="am/1", backend="am", fingerprint="1", name="Down", severity="critical", state="acknowledged",
        since=ago(30), hidden_since=ago(10), ack=ack,
    )  # fmt: skip
    ordered = replace(action(), kind="ack", ref="am/s1")
    told = of_actions([ordered], SINCE, NOW)
    assert [event.kind for event in events([alert, *told], SINCE, NOW)] == ["alert", "action"]
    assert [event.kind for event in events([alert], SINCE, NOW)] == ["alert", "alert"]


def test_a_note_is_no_success_and_what_goes_on_has_not_ended() -> None:
    note = AuditRecord(seq=1, at=ago(5).isoformat(), kind="note", actor=Actor(login="mia"), detail="looking")
    check = AuditRecord(
        seq=2, at=ago(4).isoformat(), kind="note", target="check:db", result="critical", detail="refused"
    )
    open_one = action("running", ended=None)
    items = [*of_notes([note, check], SINCE, NOW), *of_actions([open_one], SINCE, NOW)]
    found = events(items, SINCE, NOW)
    assert [(event.sign, event.t0) for event in found] == [("running", False), ("pending", False), ("critical", True)]


def test_t0_is_the_first_trouble_after_the_last_moment_at_which_all_was_well() -> None:
    def a_run(number: int, state: str, ended: float, pipeline: str = "load", **more: Any) -> PipelineRun:
        ref = f"air/{pipeline}/{number}"
        told: dict[str, Any] = {
            "ref": ref,
            "backend": "air",
            "pipeline": pipeline,
            "run_id": str(number),
            "state": state,
        }
        return PipelineRun(**told, started_at=ago(ended + 1), ended_at=ago(ended), **more)

    def t0(*items: Any) -> list[str]:
        return [event.text for event in events(items, SINCE, NOW) if event.t0]

    failed, mended = a_run(1, "failed", 50), a_run(2, "success", 45)
    bad_data = a_run(3, "success", 10, data="critical", data_reason="orders 0.70 < 0.80")
    assert t0(failed, mended) == ["load #1 failed"], "after recovery it is still the incident"
    assert t0(failed, mended, bad_data)[0].startswith("load #3 bad data")
    assert t0(failed, a_run(4, "failed", 10, "other")) == ["load #1 failed"], "it was never well between"
    fired = TimelineEvent(at=ago(48), kind="alert", ref="a", text="A fired", health="critical", until=ago(20))
    assert t0(failed, mended, fired, a_run(4, "failed", 30, "other")) == ["load #1 failed"], "they overlap"
    assert t0(failed, mended, fired, a_run(4, "failed", 10, "other")) == ["other #4 failed"]
    down, up = (
        AuditRecord(seq=seq, at=ago(at).isoformat(), kind="note", target="check:db", result=result, detail="")
        for seq, at, result in ((1, 40, "critical"), (2, 35, "ok"))
    )
    assert t0(*of_notes([down, up], SINCE, NOW), bad_data)[0].startswith("load #3 bad data")
    assert t0(*of_notes([down], SINCE, NOW), bad_data) == ["db critical: "], "nobody recorded that it is well"


def test_what_a_clock_ahead_recorded_is_told_now_and_not_when_that_time_comes() -> None:
    ahead = action(ended=-10)
    note = AuditRecord(seq=1, at=ago(-10).isoformat(), kind="note", actor=Actor(login="alice"), detail="look")
    told = [*of_actions([ahead], SINCE, NOW, now=NOW), *of_notes([note], SINCE, NOW, now=NOW)]
    assert [event.at for event in told] == [NOW, NOW]
    before = NOW - timedelta(minutes=30)
    assert of_actions([ahead], SINCE, before, now=NOW) == []


def test_the_records_of_a_journal_are_told_in_its_order() -> None:
    """A clock was ten minutes ahead for the first action, and was set right since."""

    def of(name: str, minutes: float, kind: Any = "result", **more: Any) -> AuditRecord:
        return AuditRecord(seq=1, at=ago(minutes).isoformat(), kind=kind, action=name, **more)

    records = [
        of("", 40, "note", detail="begun", actor=Actor(login="mia")), of("A", 20), of("B", 29), of("B", 28),
        of("", 27, "note", detail="well", actor=Actor(login="mia")),
        of("L", 27, late=True, happened_at=ago(35).isoformat()),
    ]  # fmt: skip
    first, second, late = action(id="A", ended=20), action(id="B", ended=28), action(id="L", ended=35)
    told = of_actions([second, first, late], SINCE, NOW, now=NOW, records=records) + of_notes(records, SINCE, NOW)
    assert [event.ref for event in sorted(told, key=lambda event: event.at)] == ["note/1", "A", "L", "B", "note/1"]
    (moved,) = [event for event in told if event.ref == "A"]
    assert moved.text.endswith(" (20m00s later by its host's clock: when it was is not known better)")
    assert not [event for event in told if event is not moved and "clock" in event.text]


@pytest.mark.parametrize(
    ("minutes", "order"),
    [
        ((10, 20, 5), (20, 20, 5)), ((20, 10, 5), (20, 10, 5)), ((-10,), (0,)), ((-10, 5), (5, 5)),
        ((40, 30, 90, 28, 27), (40, 30, 30, 28, 27)), ((), ()),
    ],
)  # fmt: skip
def test_as_few_times_as_can_be_are_not_believed(minutes: tuple[float, ...], order: tuple[float, ...]) -> None:
    found = in_order([ago(each) for each in minutes], NOW)
    assert [round((NOW - at).total_seconds() / 60, 3) for at in found] == list(order)
    assert found == sorted(found)
