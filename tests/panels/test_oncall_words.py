"""Who is on call in the header: as much as there is room for, what is wrong with it always, worse facts first."""

from datetime import UTC, datetime, timedelta
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from textual.geometry import Size

from backends.models import Deployment, OnCall, Shift
from panels.columns import Line, Moment
from panels.header import Header, Place, Strip, Trouble
from panels.kinds.oncall import duty, gap, is_me, says, when, worst_first
from panels.words import ASCII, UNICODE
from tests.console.fakes import deployment

NOW = datetime(2026, 11, 30, 13, 2, tzinfo=UTC)  # a Monday, 14:02 in Berlin
BERLIN = ZoneInfo("Europe/Berlin")
MOMENT = Moment(NOW, BERLIN)
HOUR = timedelta(hours=1)


def schedule(*who: str, name: str = "primary", emails: tuple[str, ...] = (), until: float = 4) -> OnCall:
    """One after the other, each for a day, the first one for `until` hours more."""
    shifts, since, end = [], NOW - HOUR, NOW + until * HOUR
    for people in who:
        names = tuple(filter(None, people.split("+")))
        shifts.append(Shift(who=names, since=since, until=end, emails=emails if names else ()))
        since, end = end, end + 24 * HOUR
    return OnCall(ref=name, backend=name, schedule=name, at=NOW, state="ok", shifts=tuple(shifts)).seen(NOW)


NIGHT_OF_NOBODY, NIGHT_OF_ALICE = schedule("", name="night"), schedule("alice", name="night")
UNKNOWN = OnCall(ref="primary", backend="primary", schedule="primary", at=NOW, state="unknown", reason="it is 2d old")


def text_of(line: Line) -> str:
    return "".join(cell.text for cell in line)


def header(width: int, *items: OnCall, me: str = "", protected: bool = True, deployments: int = 1) -> tuple[str, str]:
    """The header and the strip, of a context in which nothing else is wrong."""
    on_call = duty(items, [me] if me else (), MOMENT)
    live: list[Deployment] = [deployment(service=f"service-{n}") for n in range(deployments)]
    place = Place(name="production", title="analytics", identity="oncall@bastion-1", protected=protected)
    top, strip = Header(place), Strip()
    size = Size(width, 1)
    with (
        mock.patch.object(Header, "repaint"), mock.patch.object(Strip, "repaint"),
        mock.patch.object(Header, "size", size), mock.patch.object(Strip, "size", size),
    ):  # fmt: skip
        top.show(place, "ok", live, MOMENT, (), on_call)
        strip.show([], [] if top.tells_duty(width) else on_call)
        return text_of(top.line(0)).rstrip(), text_of(strip.line(0)).strip()


@pytest.mark.parametrize(
    ("items", "me", "wide", "narrow"),
    [
        ([schedule("alice", "bob")], "", "on call alice until 18:02, then bob", "on call alice"),
        ([schedule("alice", "bob")], "alice", "you are on call until 18:02, then bob", "you are on call"),
        ([schedule("", "bob", until=20)], "", "on call NOBODY until Tue 10:02, then bob", "on call NOBODY"),
        ([schedule("alice", "")], "", "on call alice until 18:02, then NOBODY", "on call alice"),
        ([schedule("alice+bob")], "", "on call alice, bob until 18:02", "on call alice, bob"),
        ([UNKNOWN], "", "on call UNKNOWN", "on call UNKNOWN"),
        ([schedule("alice"), NIGHT_OF_NOBODY], "", "on call night NOBODY until 18:02 +1", "on call night NOBODY +1"),
        ([schedule("bob"), NIGHT_OF_ALICE], "alice", "you are on call night until 18:02 +1", "you are on call"),
    ],
)  # fmt: skip
def test_now_and_next_and_what_is_wrong_first(items: list[OnCall], me: str, wide: str, narrow: str) -> None:
    assert wide in header(160, *items, me=me)[0]
    told, strip = header(80, *items, me=me)
    assert narrow in told + strip
    assert "all ok" in told
    assert "GREEN 2.4.1" in told
    assert "READ-ONLY" in told


def test_without_a_schedule_the_header_is_as_it_was() -> None:
    for width in (80, 120, 160):
        told, strip = header(width)
        assert "on call " not in told + strip
    assert header(80)[0].startswith(" analytics · PRODUCTION")


@pytest.mark.parametrize("width", range(60, 200, 7))
@pytest.mark.parametrize("deployments", [0, 1, 3])
def test_at_any_width_who_is_on_call_is_in_the_header_or_on_the_strip(width: int, deployments: int) -> None:
    bare, _ = header(width, deployments=deployments)
    told, strip = header(width, schedule("alice", "bob"), deployments=deployments)
    assert ("alice" in told) != ("alice" in strip)
    for fact in ("all ok", "READ-ONLY", "PRODUCTION", *(["GREEN 2.4.1"] if "GREEN 2.4.1" in bare else [])):
        assert fact in told, "what is live and how it is are not given up for it"
    assert len(told) <= width


def test_on_the_strip_it_comes_after_all_that_is_wrong() -> None:
    strip = Strip()
    wrong = [
        Trouble("critical", UNICODE.critical, "warehouse connection refused"),
        Trouble("unknown", "?", "loki stale"),
    ]
    on_call = duty([schedule("alice", "bob")], (), MOMENT)
    for width, end in (
        (160, "on call alice until 18:02, then bob"),
        (80, "on call alice → bob 18:02"),
        (60, "on call alice"),
    ):
        with mock.patch.object(Strip, "repaint"), mock.patch.object(Strip, "size", Size(width, 1)):
            strip.show(wrong)
            alone = text_of(strip.line(0)).rstrip()
            strip.show(wrong, on_call)
            told = text_of(strip.line(0)).rstrip()
        assert told.startswith(alone)
        assert told == alone or told.endswith(end)
    assert strip.first is None, "nothing opens of it"


def test_says_and_when_and_gap() -> None:
    assert says(schedule("alice", "bob")) == "primary: alice is on call for another 4h, then bob"
    assert says(schedule("", "bob")) == "primary: nobody is on call for another 4h, then bob"
    assert says(schedule("alice+bob")) == "primary: alice, bob are on call for another 4h"
    assert says(UNKNOWN) == "primary: who is on call is unknown: it is 2d old"
    assert when(NOW + 2 * HOUR, NOW, BERLIN) == "16:02"
    assert when(NOW + 11 * HOUR, NOW, BERLIN) == "Tue 01:02"
    assert when(NOW + 200 * HOUR, NOW, BERLIN) == "2026-12-08 22:02"
    assert when(NOW - 20 * HOUR, NOW, BERLIN) == "2026-11-29 18:02"
    hole = gap(schedule("alice", "", "bob"))
    assert hole is not None
    assert hole.since == NOW + 4 * HOUR
    assert gap(schedule("alice", "bob", "")) is None, "the end of what is planned is no hole in it"
    arrow = duty([schedule("alice", "bob")], (), Moment(NOW, BERLIN, ASCII))[1]
    assert text_of(arrow) == "   on call alice -> bob 18:02"


@pytest.mark.parametrize(
    ("who", "emails", "me", "mine"),
    [
        ("alice", (), "alice", True), ("Alice Smith", (), "alice.smith", True), ("Alice", (), "bob", False),
        ("Smith, A.", ("alice@example.com",), "alice", True), ("Alice", (), "", False), ("", (), "", False),
        ("Alicia", (), "alice", False),
    ],
)  # fmt: skip
def test_it_is_me_by_name_or_address_and_by_no_guess(who: str, emails: tuple[str, ...], me: str, mine: bool) -> None:
    assert is_me(schedule(who, emails=emails).now, [me]) == mine


def test_a_shift_ends_by_the_clock() -> None:
    item = schedule("alice", "bob", "")
    for hours, state, who in ((0, "ok", ("alice",)), (4, "ok", ("bob",)), (28, "warning", ()), (60, "unknown", None)):
        seen = item.seen(NOW + hours * HOUR)
        assert (seen.state, seen.now.who if seen.now else None) == (state, who)
    assert [each.schedule for each in worst_first([schedule("a"), schedule("", name="n"), UNKNOWN], ())] == [
        "primary", "n", "primary",
    ]  # fmt: skip
