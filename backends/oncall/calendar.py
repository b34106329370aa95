"""The events of an iCalendar feed (RFC 5545), expanded. What blocks; for a thread.

`icalendar` reads it, `recurring_ical_events` expands rules, exceptions and changed occurrences.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from backends.errors import BackendError
from backends.redaction import quoted
from backends.text import clean

MAX_BYTES = 8 * 2**20
_TOO_OFTEN = frozenset({"SECONDLY", "MINUTELY"})
"""Nobody is on call by the minute, and a month of it is more than can be expanded."""
_OF_TIME = frozenset({"DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID"})
_DAY = timedelta(days=1)
_FIX = "see what the scheduler exports: it must be an iCalendar feed"


class Event(NamedTuple):
    """One occurrence; `email`: of the one who attends, where that is one."""

    summary: str
    since: datetime
    until: datetime
    email: str


class Calendar:
    """A feed as it was read. `zone`: of times that name none, where the feed has no zone of its own; None: the host's.

    Raises BackendError(malformed) for what is no calendar, and for an event of which nobody can say when it is.
    """

    def __init__(self, body: bytes, where: str, zone: tzinfo | None) -> None:
        import icalendar
        import recurring_ical_events

        self._where = where
        self._zone = zone
        if len(body) > MAX_BYTES:
            raise self._malformed(f"more than {MAX_BYTES >> 20} MB")
        text = body.decode("utf-8-sig", "replace")
        if "BEGIN:VCALENDAR" not in text.upper():
            page = " but an HTML page (a proxy or a login page?)" if text.lstrip()[:1] == "<" else ""
            raise self._malformed(f"no calendar{page}")
        if not text.rstrip().upper().endswith("END:VCALENDAR"):  # the library takes what is there for all
            raise self._malformed("it is cut off before its end")
        try:
            calendars: Any = icalendar.Calendar.from_ical(text, multiple=True)
            events = [event for calendar in calendars for event in calendar.walk("VEVENT")]
            for event in events:
                self._refuse_odd(event)
            self._parts = [(recurring_ical_events.of(each), self._zone_of(each)) for each in calendars]
        except BackendError:
            raise
        except Exception as error:  # the library lets out what its parts raise: ValueError, KeyError, IndexError
            raise self._malformed(f"{type(error).__name__}: {error}") from None
        self.summaries = list(map(_summary, events))
        """Of all events, whenever they are."""

    def between(self, since: datetime, until: datetime) -> list[Event]:
        """What touches that time and is not canceled. Raises as the class."""
        try:
            return [event for part, zone in self._parts for event in _expanded(part, zone, since, until)]
        except Exception as error:  # a rule that the library, or dateutil below it, can not follow
            raise self._malformed(f"{type(error).__name__}: {error}") from None

    def _zone_of(self, calendar: Any) -> tzinfo | None:
        named = str(calendar.get("X-WR-TIMEZONE", "")).strip()
        try:
            return ZoneInfo(named) if named else self._zone
        except (LookupError, ValueError, OSError):
            raise self._malformed(f"its zone {named} is not known") from None

    def _refuse_odd(self, event: Any) -> None:
        """What the library would leave out without a word: then nobody would seem to be on call."""
        named = _summary(event) or clean(str(event.get("UID", "")), 60)
        odd = sorted({str(name) for name, _ in event.errors if str(name).upper() in _OF_TIME})
        start = event.get("DTSTART")
        if odd or start is None:
            raise self._malformed(f'event "{named}" has a bad {odd[0] if odd else "DTSTART"}')
        when = start.dt
        zone = start.params.get("TZID")
        if zone and isinstance(when, datetime) and when.tzinfo is None:
            raise self._malformed(f'event "{named}" is in the zone {zone}, which is not known')
        rules = event.get("RRULE", [])
        for rule in rules if isinstance(rules, list) else [rules]:
            if often := _TOO_OFTEN & {str(word).upper() for word in rule.get("FREQ", [])}:
                raise self._malformed(f'event "{named}" recurs {min(often).lower()}')

    def _malformed(self, words: str) -> BackendError:
        return BackendError("malformed", f"{self._where}: {quoted(words, 200)}", fix=_FIX)


def _expanded(part: Any, zone: tzinfo | None, since: datetime, until: datetime) -> Iterator[Event]:
    # What has no zone is looked for as if it were UTC: wider by a day, and chosen afterwards.
    for event in part.between(since - _DAY, until + _DAY):
        begin = _aware(event["DTSTART"].dt, zone)
        end = _aware(event["DTEND"].dt, zone) if "DTEND" in event else begin
        if str(event.get("STATUS", "")).upper() == "CANCELLED" or end <= since or begin >= until:
            continue
        yield Event(_summary(event), begin, end, _email(event))


def _aware(when: date | datetime, zone: tzinfo | None) -> datetime:
    """In UTC; a day begins at its midnight in `zone`."""
    if not isinstance(when, datetime):
        when = datetime.combine(when, time())
    # One without any zone is taken for the host's, whose clocks are changed too: no offset of today would know.
    return (when if when.tzinfo is not None else when.replace(tzinfo=zone)).astimezone(UTC)


def _summary(event: Any) -> str:
    return clean(str(event.get("SUMMARY", "")), 200)


def _email(event: Any) -> str:
    attendee = event.get("ATTENDEE")
    if attendee is None or isinstance(attendee, list):
        return ""
    scheme, _, address = str(attendee).partition(":")
    return clean(address, 200) if scheme.lower() == "mailto" else ""
