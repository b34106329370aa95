"""`ical` on real feeds: the contract by file and by HTTP, and what only calendars can do to one."""

import os
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backends.errors import BackendError
from backends.http import Http
from backends.models import OnCall
from backends.oncall.calendar import Calendar
from backends.oncall.ical import IcalConfig, IcalSchedule
from backends.oncall.shifts import Span, shifts_of
from backends.registry import AdapterContext, build
from backends.settings import decode_hook
from backends.testing.oncall import Lose, Plan, SchedulesContract, Turn
from tests.backends.faulty_server import FaultyServer

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Santiago"]
PRIORITY = ["Rotation", "Override"]
WHO = r"\w+: (.+)"


def event(summary: str, *lines: str, uid: str = "") -> str:
    return "\r\n".join(["BEGIN:VEVENT", f"UID:{uid or summary}", f"SUMMARY:{summary}", *lines, "END:VEVENT"])


def feed(*events: str, head: str = "") -> str:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//acme//oncall//EN", *filter(None, [head]), *events]
    return "\r\n".join([*lines, "END:VCALENDAR", ""])


def utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def feed_of(turns: Sequence[Turn]) -> str:
    return feed(
        *(
            event(
                f"{'Override' if turn.is_override else 'Rotation'}: {turn.who}",
                f"DTSTART:{utc(turn.since)}",
                f"DTEND:{utc(turn.until)}",
                uid=f"{index}@acme",
            )
            for index, turn in enumerate(turns)
        )
    )


def schedule(directory: Path, **config: Any) -> IcalSchedule:
    config = {"path": "oncall.ics", **config} if "url" not in config else config
    context = AdapterContext("primary", directory, directory, Http(), zone=BERLIN)
    adapter: IcalSchedule = build("oncall", "ical", config, context)
    return adapter


async def told(directory: Path, text: str, at: datetime, **config: Any) -> OnCall:
    (directory / "oncall.ics").write_text(text, newline="")
    adapter = schedule(directory, **config)
    try:
        (found,) = await adapter.on_call(at)
    finally:
        await adapter.aclose()
    return found


async def refused(directory: Path, text: str) -> str:
    with pytest.raises(BackendError) as caught:
        await told(directory, text, datetime.now(UTC))
    assert caught.value.kind == "malformed"
    return caught.value.message


class TestIcalFile(SchedulesContract):
    @pytest.fixture
    async def adapter(self, tmp_path: Path) -> AsyncIterator[IcalSchedule]:
        (tmp_path / "oncall.ics").write_text(feed())
        adapter = schedule(tmp_path, who=WHO, priority=PRIORITY)
        yield adapter
        await adapter.aclose()

    @pytest.fixture
    def plan(self, tmp_path: Path) -> Plan:
        return lambda turns: (tmp_path / "oncall.ics").write_text(feed_of(turns), newline="") and None

    @pytest.fixture
    def lose(self, tmp_path: Path) -> Lose:
        return (tmp_path / "oncall.ics").unlink


class TestIcalUrl(SchedulesContract):
    @pytest.fixture
    async def server(self) -> AsyncIterator[FaultyServer]:
        async with FaultyServer() as server:
            server.answer = lambda _: (200, feed())
            yield server

    @pytest.fixture
    async def adapter(
        self, server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[IcalSchedule]:
        monkeypatch.setenv("ONCALL_FEED", f"{server.url}/private-3fa9c1d7e2/basic.ics")
        adapter = schedule(tmp_path, url={"env": "ONCALL_FEED"}, who=WHO, priority=PRIORITY)
        yield adapter
        await adapter._context.http.aclose()
        await adapter.aclose()

    @pytest.fixture
    def plan(self, server: FaultyServer) -> Plan:
        def write(turns: Sequence[Turn]) -> None:
            server.answer = lambda _: (200, feed_of(turns))

        return write

    @pytest.fixture
    def lose(self, server: FaultyServer) -> Lose:
        def stop() -> None:
            server.fault = "reset"

        return stop

    async def test_no_message_says_the_address(self, adapter: IcalSchedule, server: FaultyServer) -> None:
        for answer in ((404, "no private-3fa9c1d7e2 here"), (200, "<html>Sign in</html>")):
            server.answer = lambda _, answer=answer: answer
            with pytest.raises(BackendError) as caught:
                await adapter.on_call(datetime.now(UTC))
            assert "3fa9c1d7e2" not in caught.value.message + caught.value.fix
        assert "no calendar but an HTML page" in caught.value.message

    async def test_what_did_not_change_is_not_sent_again(self, adapter: IcalSchedule, server: FaultyServer) -> None:
        at = datetime.now(UTC)
        text = feed_of([Turn("alice", at - timedelta(hours=1), at + timedelta(hours=1))]).encode()

        async def respond(writer: Any, request: Any) -> None:
            known = request.headers.get("if-none-match") == '"7"'
            await server.send(writer, 304 if known else 200, b"" if known else text, {"etag": '"7"'})

        server.respond = respond
        for _ in range(3):
            (found,) = await adapter.on_call(at)
            assert found.state == "ok"
        assert [request.headers.get("if-none-match") for request in server.requests] == [None, '"7"', '"7"']
        server.fault = "500"
        with pytest.raises(BackendError):
            await adapter.on_call(at)

    async def test_what_a_cache_kept_for_long_is_unknown(self, adapter: IcalSchedule, server: FaultyServer) -> None:
        at = datetime.now(UTC)
        text = feed_of([Turn("alice", at - timedelta(hours=1), at + timedelta(hours=1))])
        for header, value, state in (
            ("age", "86000", "ok"), ("age", "86500", "unknown"),
            ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT", "unknown"), ("last-modified", "yesterday", "ok"),
        ):  # fmt: skip

            async def respond(writer: Any, request: Any, header: str = header, value: str = value) -> None:
                await server.send(writer, 200, text.encode(), {header: value})

            server.respond = respond
            (found,) = await adapter.on_call(at)
            assert found.state == state, (header, value)
        assert found.now is not None


# ---- recurrence and zones


def daily(summary: str, start: datetime, hours: int, *, every: int = 1, zone: str = "Europe/Berlin") -> str:
    end = start + timedelta(hours=hours)
    return event(
        summary,
        f"DTSTART;TZID={zone}:{start:%Y%m%dT%H%M%S}",
        f"DTEND;TZID={zone}:{end:%Y%m%dT%H%M%S}",
        f"RRULE:FREQ=DAILY;INTERVAL={every}",
    )


@pytest.mark.parametrize("day", [date(2026, 10, 25), date(2027, 3, 28)])
async def test_a_handover_stays_at_its_hour_of_the_clock_when_that_is_changed(tmp_path: Path, day: date) -> None:
    """An hour of nobody, or of two, is what a length in hours would make of it."""
    first = datetime(2026, 10, 1, 9, tzinfo=BERLIN)
    text = feed(daily("alice", first, 24, every=2), daily("bob", first + timedelta(days=1), 24, every=2))
    noon = datetime(day.year, day.month, day.day, 2, 30, tzinfo=BERLIN)
    found = await told(tmp_path, text, noon.astimezone(UTC))
    assert found.now is not None
    assert found.now.since is not None
    assert found.now.until is not None
    assert found.now.since.astimezone(BERLIN).hour == found.now.until.astimezone(BERLIN).hour == 9
    hours = (found.now.until - found.now.since) / timedelta(hours=1)
    assert hours == (25 if day.month == 10 else 23)
    assert [shift.who for shift in found.shifts[:3]] in (
        [("alice",), ("bob",), ("alice",)],
        [("bob",), ("alice",), ("bob",)],
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    zone=st.sampled_from(ZONES),
    start=st.tuples(st.integers(0, 364), st.integers(6, 17)),  # no clock is changed at these hours
    people=st.integers(1, 4),
    days=st.sampled_from([1, 7]),
    later=st.integers(0, 800 * 24),
)  # fmt: skip
def test_a_rotation_leaves_no_hour_to_nobody_or_to_two(
    zone: str, start: tuple[int, int], people: int, days: int, later: int
) -> None:
    first = datetime(2025, 1, 1, start[1], tzinfo=ZoneInfo(zone)) + timedelta(days=start[0])
    text = feed(
        *(
            daily(f"person {n}", first + timedelta(days=days * n), 24 * days, every=days * people, zone=zone)
            for n in range(people)
        )
    )
    at = (first + timedelta(hours=later)).astimezone(UTC)
    events = Calendar(text.encode(), "feed", UTC).between(at - timedelta(days=8), at + timedelta(days=30))
    shifts = shifts_of([Span(each.summary, each.since, each.until) for each in events], at)
    assert shifts[0].covers(at)
    for shift in shifts[:-1]:
        assert len(shift.who) == 1
        assert shift.until is not None
        assert shift.until.astimezone(ZoneInfo(zone)).hour == first.hour
    by_the_clock = at.astimezone(ZoneInfo(zone)) - first  # of one zone: as the clocks on the wall say
    turn = by_the_clock // timedelta(days=days) % people
    assert shifts[0].who == (f"person {turn}",)


@settings(max_examples=200, deadline=None)
@given(
    spans=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 40), st.integers(0, 15), st.integers(0, 2)), max_size=8
    ),
    at=st.integers(-5, 60),
)  # fmt: skip
def test_shifts_say_of_each_minute_what_a_look_at_all_spans_says(
    spans: list[tuple[str, int, int, int]], at: int
) -> None:
    zero = datetime(2026, 1, 1, tzinfo=UTC)

    def minute(n: int) -> datetime:
        return zero + timedelta(minutes=n)

    made = [Span(who, minute(begin), minute(begin + length), rank) for who, begin, length, rank in spans]
    shifts = shifts_of(made, minute(at))
    for n in range(at, 61):
        active = [span for span in made if span.since <= minute(n) < span.until]
        best = max((span.rank for span in active), default=0)
        (shift,) = [shift for shift in shifts if shift.covers(minute(n))]
        assert shift.who == tuple(sorted({span.who for span in active if span.rank == best}))


async def test_changed_moved_and_left_out_occurrences(tmp_path: Path) -> None:
    zone = "TZID=Europe/Berlin"
    text = feed(
        event(
            "alice", f"DTSTART;{zone}:20261102T090000", f"DTEND;{zone}:20261102T170000",
            "RRULE:FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR", f"EXDATE;{zone}:20261104T090000", uid="rotation",
        ),
        event(
            "bob", f"DTSTART;{zone}:20261103T100000", f"DTEND;{zone}:20261103T170000",
            f"RECURRENCE-ID;{zone}:20261103T090000", uid="rotation",
        ),
        event("carol", f"DTSTART;{zone}:20261105T090000", f"DTEND;{zone}:20261105T170000", "STATUS:CANCELLED"),
    )  # fmt: skip
    for day, hour, who in ((2, 12, "alice"), (3, 9, ""), (3, 12, "bob"), (4, 12, ""), (5, 12, "alice"), (7, 12, "")):
        found = await told(tmp_path, text, datetime(2026, 11, day, hour, tzinfo=BERLIN).astimezone(UTC))
        assert found.now is not None
        assert found.now.who == tuple(filter(None, [who])), (day, hour)


@pytest.mark.parametrize(
    ("head", "lines", "zone"),
    [
        ("", ("DTSTART:20260701T090000", "DTEND:20260701T170000"), "Europe/Berlin"),
        ("X-WR-TIMEZONE:America/New_York", ("DTSTART:20260701T090000", "DTEND:20260701T170000"), "America/New_York"),
        ("", ("DTSTART;TZID=W. Europe Standard Time:20260701T090000", "DURATION:PT8H"), "Europe/Berlin"),
        ("X-WR-TIMEZONE:America/New_York", ("DTSTART:20260701T090000Z", "DTEND:20260701T170000Z"), "UTC"),
    ],
)
async def test_times_without_a_zone_are_of_the_feed_or_of_the_context(
    tmp_path: Path, head: str, lines: tuple[str, ...], zone: str
) -> None:
    found = await told(tmp_path, feed(event("alice", *lines), head=head), datetime(2026, 7, 1, tzinfo=UTC))
    assert found.next is not None
    begin = datetime(2026, 7, 1, 9, tzinfo=ZoneInfo(zone))
    assert (found.next.since, found.next.until) == (begin, begin + timedelta(hours=8))


async def test_without_any_zone_times_are_of_the_host_also_when_its_clocks_are_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        rule = ("DTSTART:20261001T090000", "DTEND:20261001T170000", "RRULE:FREQ=DAILY")
        (tmp_path / "oncall.ics").write_text(feed(event("alice", *rule)), newline="")
        adapter: IcalSchedule = build(
            "oncall", "ical", {"path": "oncall.ics"}, AdapterContext("primary", tmp_path, tmp_path, Http())
        )
        for day in (24, 26):  # the clocks were changed between them
            at = datetime(2026, 10, day, 9, 30, tzinfo=BERLIN)
            (found,) = await adapter.on_call(at.astimezone(UTC))
            assert found.now is not None
            assert found.now.since == at.replace(minute=0)
        await adapter.aclose()
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_whole_days_begin_at_midnight_of_the_zone(tmp_path: Path) -> None:
    days = event("alice", "DTSTART;VALUE=DATE:20261024", "DTEND;VALUE=DATE:20261026")
    found = await told(tmp_path, feed(days), datetime(2026, 10, 25, 12, tzinfo=UTC))
    assert found.now is not None
    assert found.now.since == datetime(2026, 10, 24, tzinfo=BERLIN)
    assert found.now.until == datetime(2026, 10, 26, tzinfo=BERLIN)


# ---- who, priority, age


NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
DAY = ("DTSTART:20261130T000000Z", "DTEND:20261201T000000Z")


@pytest.mark.parametrize(
    ("who", "people"),
    [
        (".+", ("Holiday", "On call: Alice (primary)")),
        (r"On call: (.+) \(", ("Alice",)),
        (r"On (?P<what>\w+): (?P<who>\w+)", ("Alice",)),
        (r"A\w+", ("Alice",)),
    ],
)
async def test_who_is_a_pattern_over_the_summary(tmp_path: Path, who: str, people: tuple[str, ...]) -> None:
    text = feed(
        event("On call: Alice (primary)", *DAY, "ATTENDEE;CN=Alice:mailto:alice@example.com"), event("Holiday", *DAY)
    )
    found = await told(tmp_path, text, NOON, who=who)
    assert found.now is not None
    assert (found.now.who, found.now.emails) == (people, ("alice@example.com",))


async def test_of_overlapping_events_the_later_in_priority_wins(tmp_path: Path) -> None:
    names = ("[L1] alice", "[L2] bob", "[L2] carol", "dave")
    text = feed(*(event(name, *DAY) for name in names))

    async def on_call(*priority: str) -> tuple[str, ...]:
        found = await told(tmp_path, text, NOON, who=r"(?:\[L\d\] )?(\w+)", priority=list(priority))
        assert found.now is not None
        return found.now.who

    assert await on_call() == ("alice", "bob", "carol", "dave")
    assert await on_call(r"\[L1\]", r"\[L2\]") == ("bob", "carol")
    assert await on_call(r"\[L2\]", r"\[L1\]") == ("alice",)
    assert await on_call(r"\[L2\]", r"\[L1\]", "^dave") == ("dave",)


async def test_where_who_finds_no_event_nobody_knows(tmp_path: Path) -> None:
    found = await told(tmp_path, feed(event("alice", *DAY)), NOON, who="On call: (.+)")
    assert (found.state, found.now, found.reason) == ("unknown", None, "of 1 events of the feed `who` finds none")


async def test_a_feed_older_than_a_day_is_unknown_and_says_what_it_had(tmp_path: Path) -> None:
    (tmp_path / "oncall.ics").write_text(feed(event("alice", *DAY)), newline="")
    adapter = schedule(tmp_path)
    for hours, state in ((0, "ok"), (23.9, "ok"), (49, "unknown")):
        at = time.time() - hours * 3600
        os.utime(tmp_path / "oncall.ics", (at, at))
        (found,) = await adapter.on_call(NOON)
        assert found.state == state, hours
    assert found.now is None
    assert found.reason == "the feed was written 2d1h ago, more than 1d, it had alice"
    await adapter.aclose()
    (found,) = await schedule(tmp_path, max_age="3d").on_call(NOON)
    assert found.state == "ok"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no calendar"),
        (feed(event("alice", *DAY), event("bob", *DAY))[:-60], "it is cut off before its end"),
        (feed(event("alice", "DTSTART:soon", "DTEND:20261201T000000Z")), 'event "alice" has a bad DTSTART'),
        (feed(event("alice", *DAY, "RRULE:FREQ=SOMETIMES")), "RRULE|FREQ|SOMETIMES"),
        (feed(event("alice", *DAY, "RRULE:FREQ=SECONDLY")), 'event "alice" recurs secondly'),
        (
            feed(event("alice", "DTSTART;TZID=Mars/Base:20261130T000000", "DURATION:PT8H")),
            "Mars/Base, which is not known",
        ),
        (feed(event("alice", *DAY), head="X-WR-TIMEZONE:Mars/Base"), "zone|Mars/Base"),
    ],
)
async def test_what_can_not_be_understood_is_an_error_and_never_nobody(tmp_path: Path, text: str, words: str) -> None:
    message = await refused(tmp_path, text)
    assert message.startswith("oncall.primary: ")
    assert any(word in message for word in words.split("|")), message


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "exactly one"),
        ({"path": "a.ics", "url": {"env": "X"}}, "exactly one"),
        ({"url": "https://calendar.example.com/private/basic.ics"}, "Expected `object"),
        ({"path": "a.ics", "who": "("}, "who: not a regular expression"),
        ({"path": "a.ics", "priority": ["*"]}, "priority: not a regular expression"),
        ({"path": "a.ics", "max_age": "0s"}, "more than 0s"),
    ],
)
def test_a_config_that_can_not_be_meant_is_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words.replace("(", r"\(")):
        msgspec.convert(config, IcalConfig, dec_hook=decode_hook)


async def test_a_feed_that_did_not_change_is_parsed_once(tmp_path: Path) -> None:
    (tmp_path / "oncall.ics").write_text(feed(event("alice", *DAY)), newline="")
    adapter = schedule(tmp_path)
    await adapter.on_call(NOON)
    first = adapter._feed
    await adapter.on_call(NOON)
    assert first is not None
    assert adapter._feed is not None
    assert adapter._feed.calendar is first.calendar
    (tmp_path / "oncall.ics").write_text(feed(event("bob", *DAY)), newline="")
    (found,) = await adapter.on_call(NOON)
    assert found.now is not None
    assert found.now.who == ("bob",)
    await adapter.aclose()
