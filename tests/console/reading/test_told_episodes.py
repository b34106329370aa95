"""What was wrong, as the timeline tells it: once, with its end, beside what is so now."""

from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from msgspec.structs import replace

from actions.journal.audit import AuditRecord
from actions.journal.episodes import TURNED, Book, Episode
from backends.models import TimelineEvent
from backends.ports import Point, Series
from console.reading.history import of_metrics, of_notes
from console.reading.told_episodes import of_episodes
from panels.kinds import timeline_once
from panels.kinds.timeline import events
from panels.kinds.timeline_event import Event
from tests.actions.journal.test_episodes import at, episode
from tests.console.reading.test_turning import alert, run


def told(*episodes: Episode, items: Any = (), more: Any = (), since: float = -60) -> list[str]:
    return [event.text for event in timeline(*episodes, items=items, more=more, since=since)]


def timeline(*episodes: Episode, items: Any = (), more: Any = (), since: float = -60) -> list[Event]:
    found = of_episodes(Book(episodes=episodes), at(since), at(60))
    return events([*items, *found, *more], at(since), at(60))


def test_each_beginning_and_each_end_is_an_event() -> None:
    began, ended = timeline(episode(0, 6, seen_at=at(5.9)))
    assert (began.text, began.health, began.sign) == ("Down firing", "critical", "critical")
    assert (ended.text, ended.health, ended.at) == ("Down stopped firing after 6m00s", "ok", at(6))
    (going_on,) = timeline(episode())
    assert isinstance(going_on.item, TimelineEvent)
    assert going_on.item.going_on


def test_what_fires_twice_within_minutes_begins_twice() -> None:
    assert told(episode(0, 0.75, seen_at=at(0.7)), episode(2.1, 2.8, seen_at=at(2.7))) == [
        "Down firing", "Down stopped firing after 45s", "Down firing", "Down stopped firing after 42s"
    ]  # fmt: skip


def test_an_end_that_nobody_saw_says_between_which_looks_it_was() -> None:
    assert told(episode(0, 30, seen_at=at(3)))[1] == (
        f"Down stopped firing between {at(3):%H:%M:%S} and {at(30):%H:%M:%S}"
    )


def test_t0_is_the_first_trouble_after_the_last_moment_at_which_all_was_well() -> None:
    """A12: with every row of both incidents kept."""
    first = [episode(0, 6), episode(1, 8, ref="am/2", subject="Late", text="Late firing")]
    second = [episode(20, None), episode(21, None, ref="am/2", subject="Late", text="Late firing")]
    assert [event.at for event in timeline(*first, *second) if event.t0] == [at(20)]
    assert [event.at for event in timeline(*first) if event.t0] == [at(0)]
    assert [event.at for event in timeline(*first, episode(7, 9, ref="am/3")) if event.t0] == [at(0)]
    acked = episode(20, None, state="silenced")
    assert [event.at for event in timeline(*first, acked) if event.t0] == [at(0)]


@pytest.mark.parametrize("since", [-60, 5, 19, 24.5, 30])
def test_t0_is_the_same_for_every_window(since: float) -> None:
    """Red from 12 on, while another came and went, and one was over long before."""
    rows = [
        episode(-30, -20), episode(20, 24, ref="am/2", subject="Late"),
        episode(12, None, ref="am/3", subject="orders", text="orders scored 0.50"),
        episode(25, 29, ref="am/4", subject="web"), episode(2, 3, state="warning", ref="am/5"),
    ]  # fmt: skip
    (zero,) = [event for event in timeline(*rows, since=since) if event.t0]
    assert zero.at == at(12)
    words = f"orders scored 0.50 (began before this window, at {at(12):%Y-%m-%d %H:%M:%S})"
    assert zero.text == (words if since > 12 else "orders scored 0.50")


def test_what_was_over_before_the_window_is_not_its_t0_and_an_end_is_told_alike_in_all() -> None:
    rows = [episode(0, 6), episode(5, 9, state="warning")]
    assert [event.text for event in timeline(*rows, since=9.5)] == []
    for since in (-60, 5.5, 8):
        assert timeline(*rows, since=since)[-1].text == "Down stopped firing after 9m00s"


def test_several_of_one_subject_end_once_and_a_silence_is_no_end() -> None:
    several = [episode(number, 9, ref=f"am/{number}") for number in range(3)]
    assert told(*several) == ["Down firing (×3)", "Down stopped firing after 9m00s"]
    silenced = episode(5, None, state="silenced", text="Down silenced")
    assert told(episode(0, 5), silenced) == ["Down firing", "Down silenced"]


def test_what_is_so_now_is_told_by_itself_with_the_thing_to_open() -> None:
    fires = alert(1)
    assert fires.since is not None
    window = (fires.since - timedelta(hours=1), fires.since + timedelta(hours=1))
    row = Episode(
        source="alerts.am", kind="alert", ref=fires.ref, state="critical", subject="Down web", text="Down firing",
        since=fires.since, seen_at=fires.since + timedelta(seconds=55),
    )  # fmt: skip
    assert [event.item for event in events([fires, *of_episodes(Book(episodes=[row]), *window)], *window)] == [fires]
    over = replace(row, until=fires.since + timedelta(minutes=1))
    again = replace(fires, since=fires.since + timedelta(minutes=9))
    texts = [event.text for event in events([again, *of_episodes(Book(episodes=[over]), *window)], *window)]
    assert texts == ["Down firing", "Down web stopped firing after 1m00s", "Down web firing: no answer"]


def test_a_recovery_is_told_by_the_run_that_is_known_still() -> None:
    bad, good = run(1, 0), run(2, 4, "success")
    assert bad.ended_at is not None
    assert good.ended_at is not None
    row = Episode(
        source="pipelines.local", kind="run", ref=bad.ref, state="critical", subject="etl", text="etl failed",
        since=bad.ended_at, seen_at=good.ended_at, until=good.ended_at,
    )  # fmt: skip
    window = (bad.ended_at - timedelta(hours=1), good.ended_at + timedelta(hours=1))
    rows = of_episodes(Book(episodes=[row]), *window)
    assert [event.text for event in events([good, bad, *rows], *window)] == ["etl #1 failed", "etl #2 succeeded again"]
    assert [event.text for event in events([good, *rows], *window)] == ["etl failed", "etl is well again after 4m00s"]


async def test_what_a_metric_remembers_and_a_check_noted_is_not_told_again() -> None:
    class Metric:
        async def range(self, query: str, *, start: Any, end: Any, step: float) -> list[Series]:
            points = tuple(Point(at=start + timedelta(seconds=step * n), value=None) for n in range(20, 24))
            return [Series(labels={"alertname": "Down"}, points=points)]

    (spell,) = await of_metrics(Metric(), "prom", at(-60), at(60))
    assert spell.until is not None
    row = Episode(
        source="alerts.am", kind="alert", ref="am/1", state="warning", subject="Down", text="Down firing",
        since=spell.at, seen_at=spell.until, until=spell.until,
    )  # fmt: skip
    assert len(told(row, more=[spell])) == 2
    check = episode(0, 9, source="checks.router", kind="check", ref="router", subject="router", text="check router")
    notes = [_note(1, "critical", 0.1), _note(2, "ok", 9.1), _note(3, "critical", 30), _note(4, "ok", 31, "other")]
    kept = told(check, more=of_notes(notes, at(-60), at(60)))
    assert kept == ["check router", "router is well again after 9m00s", "router critical: 502", "other ok: 502"]


def _note(seq: int, state: str, minutes: float, name: str = "router") -> AuditRecord:
    when = at(minutes).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return AuditRecord(kind="note", seq=seq, at=when, target=f"check:{name}", result=state, detail="502")


def test_one_firing_is_one_event_with_one_start_and_one_end_however_soon_after_another() -> None:
    """The second began 108 s after the first: told by the samples of its metric only, 14 s late, T0 was another's."""
    first, second = episode(0, 0.5, seen_at=at(0.45)), episode(1.8, 2.25, seen_at=at(2.2))
    spells = [
        TimelineEvent(
            at=began, kind="alert", ref="prom/Down/", text="Down fired for 16s", health="critical", subject="Down",
            until=began + timedelta(seconds=16), measured=True,
        )
        for began in (at(0.03), at(2.03))
    ]  # fmt: skip
    orphan = TimelineEvent(at=at(2.02), kind="action", ref="8A1", text="nobody runs it", health="critical")
    found = timeline(first, second, more=[*spells, orphan], since=1)
    assert [event.text for event in found] == ["Down firing", "nobody runs it", "Down stopped firing after 27s"]
    assert (found[0].at, found[0].t0) == (at(1.8), True)


@pytest.mark.parametrize("severity", ["critical", "page", "error", "emergency", "warning", ""])
async def test_an_alert_is_as_bad_by_its_metric_as_it_was_by_itself(severity: str) -> None:
    """Else it is told twice."""

    class Metric:
        async def range(self, query: str, *, start: Any, end: Any, step: float) -> list[Series]:
            points = tuple(Point(at=start + timedelta(seconds=step * n), value=None) for n in range(20, 24))
            return [Series(labels={"alertname": "Down", "severity": severity}, points=points)]

    (spell,) = await of_metrics(Metric(), "prom", at(-60), at(60))
    assert spell.health == replace(alert("1"), severity=severity, state="firing").health


def test_what_was_forgotten_is_said_and_no_more_than_that() -> None:
    found = of_episodes(Book(episodes=[episode(0, 1)], whole_from=at(0)), at(-60), at(60))
    assert [(event.at, event.until, event.kind) for event in found if event.ref == "episodes"] == [
        (at(-60), at(0), "unwatched")
    ]
    month = timedelta(days=40)
    assert [each.ref for each in of_episodes(Book(), at(0) - month, at(0))] == ["episodes"]
    assert of_episodes(Book(), at(-60), at(60)) == []


def test_what_another_wrote_into_the_journal_is_words_only() -> None:
    assert "\x1b" not in told(episode(text="\x1b[31mDown\nfiring"))[0]


def test_of_a_flapping_day_no_episode_is_compared_with_all_others() -> None:
    flapping = [episode(minute, minute + 0.1, seen_at=at(minute + 0.1)) for minute in range(-400, 0, 4)]
    with mock.patch.object(timeline_once, "_covers", wraps=timeline_once._covers) as covers:
        found = timeline(*flapping, since=-400)
    assert len(found) == 2 * len(flapping)
    assert covers.call_count <= len(found)


def between(start: float, end: float) -> str:
    return f"between {at(start):%H:%M:%S} and {at(end):%H:%M:%S}"


def test_how_long_it_lasted_is_told_only_where_somebody_looked_all_the_time() -> None:
    """W5: two outages of half a minute were one of 4m33s, as fact."""
    assert told(episode(0, 4.5, seen_at=at(0.2)))[-1] == f"Down stopped firing {between(0.2, 4.5)}"
    watched = episode(0, 4, ref="am/2", state="warning")
    assert told(watched, episode(0, 4.1, seen_at=at(0.2)))[-1] == "Down stopped firing after 4m06s"
    late = episode(3, 5)
    assert told(episode(0, 4, seen_at=at(0.2)), late)[-1] == f"Down stopped firing {between(0.2, 5)}"


def test_an_end_that_its_source_measured_is_that() -> None:
    """W5: Prometheus knows that an alert fired for 70 s, while nobody looked for seven minutes."""
    spell = TimelineEvent(
        at=at(0.1), kind="alert", ref="prom/Down/", text="Down fired for 1m10s", health="critical", subject="Down",
        until=at(0.1) + timedelta(seconds=70), measured=True,
    )  # fmt: skip
    began, ended = timeline(episode(0, 7, seen_at=at(0.2)), more=[spell])
    assert (ended.at, ended.text) == (spell.until, "Down stopped firing after 1m16s"), "from when its source says"
    assert isinstance(began.item, TimelineEvent)
    assert began.item.until == spell.until
    before = replace(spell, until=at(0.15))
    assert timeline(episode(0, 7, seen_at=at(0.2)), more=[before])[-1].text.endswith(between(0.2, 7))


def test_an_action_that_was_proven_ends_the_trouble_that_it_mended() -> None:
    shop = episode(0, 5, seen_at=at(0.5), source="deployments.shop", kind="service", ref="shop/shop", subject="shop")
    back = TimelineEvent(at=at(1.5), kind="action", ref="8A1", text="rollback", mends="shop")
    *_, action, ended = timeline(shop, more=[back])
    assert (action.item, ended.at, ended.text) == (back, at(1.5), "shop is well again after 1m30s")
    for other in (replace(back, mends="web"), replace(back, at=at(0.4)), replace(back, at=at(6))):
        assert any(event.text == f"shop is well again {between(0.5, 5)}" for event in timeline(shop, more=[other]))


def test_what_was_moved_outside_is_one_row_with_the_looks_that_it_came_between() -> None:
    moved = episode(
        2, 3, seen_at=at(2), state=TURNED, kind="service", subject="analytics",
        text="analytics GREEN → BLUE by hand or by another program: who is not known; seen",
    )  # fmt: skip
    (row,) = timeline(moved)
    assert (row.at, row.health, row.sign) == (at(3), "ok", row.sign)
    assert row.text.startswith("analytics GREEN → BLUE by hand or by another program: who is not known; seen between ")
    assert told(moved, since=10) == []
