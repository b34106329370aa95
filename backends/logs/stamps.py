"""Times as log lines write them. A time that could be one of two is None: it is never guessed.

Sources: ISO 8601; RFC 5322 4.3 (names of American zones); the zones of the tz database by the name that they have then.
A line without a year is of the newest year in which it is not younger than its file (`written`) by more than a day.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

NANOSECONDS = 1_000_000_000
Stamp = tuple[datetime, int]  # aware UTC, and nanoseconds since the epoch

HOST_ZONE = "/etc/localtime"
_EARLIEST_S = 1e8  # 1973; a smaller number under a time's name is a duration
_AHEAD = timedelta(days=1)  # a clock or a zone that is wrong must not make a line a year old
_ZONES = {
    "Z": 0, "UTC": 0, "GMT": 0, "WET": 0, "WEST": 60, "BST": 60, "CET": 60, "CEST": 120, "EET": 120, "EEST": 180,
    "MSK": 180, "SAST": 120, "EST": -300, "EDT": -240, "CST": -360, "CDT": -300, "MST": -420, "MDT": -360, "PST": -480,
    "PDT": -420, "AKST": -540, "AKDT": -480, "HST": -600, "NST": -210, "NDT": -150, "BRT": -180, "ART": -180,
    "EAT": 180, "WAT": 60, "CAT": 120, "IDT": 180, "AST": -240, "ADT": -180, "SST": -660, "WITA": 480, "WIT": 540,
    "JST": 540, "KST": 540, "HKT": 480, "SGT": 480, "PHT": 480, "WIB": 420, "PKT": 300, "NPT": 345,
    "AWST": 480, "ACST": 570, "ACDT": 630, "AEST": 600, "AEDT": 660, "NZST": 720, "NZDT": 780,
    "IST": None,  # India, Israel or Ireland: only where the source's own zone is one of them
}  # fmt: skip
_MONTHS = {
    name: n
    for n, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)
}

# A sign may be U+2212, as ISO 8601 has it; ` -03` is how PostgreSQL writes a zone that has no name; `[Europe/Berlin]`
# behind an offset is Java's.
OFFSET = (
    r"(?:(?P<z>Z|z\b| Z\b| ?(?:UTC|GMT)[+\-\u2212]\d\d?(?::?\d\d)?\b| ?[+\-\u2212]\d\d:?\d\d\b|[+\-\u2212]\d\d\b"
    r"| [+-](?:0\d|1[0-4])(?![\w.:,%])| ?[A-Z]{3,4}\b(?![/.])| \([A-Z]{3,4}\)"
    r"| [A-Z][a-z]+(?:/[A-Z][\w+-]*){1,2})(?:\[(?:UTC|GMT|Z|[A-Z][a-z]+(?:/[A-Z][\w+-]*){1,2})\])?)?"
)
FRACTION = r"(?:[.,:](?P<f>\d{1,9})\d*)?"
CLOCK = rf"(?P<H>\d\d?):(?P<M>\d\d)(?::(?P<S>\d\d))?{FRACTION}"
MONTH = r"(?P<b>[A-Z][a-z]{2})"
ISO = re.compile(
    r"(?P<Y>\d{4})(?P<s>[-/.]?)(?P<m>\d\d)(?P=s)(?P<d>\d\d)(?=[Tt]|[^T]{1,2}\d?\d:)(?:[Tt \t_-]|, |  )"
    rf"(?P<H>[ \d]?\d):?(?P<M>\d\d)(?::?(?P<S>\d\d)(?:[.,:](?P<f>\d{{1,9}})\d*)?)?{OFFSET}"
)
_SIGNS = {"+": 1, "-": -1, "\u2212": -1}
_BRACKETS = {"[": "]", "(": ")", '"': '"'}


def nanoseconds(at: datetime) -> int:
    """An aware time as nanoseconds since the epoch, exactly."""
    whole = at.replace(microsecond=0)
    return int(whole.timestamp()) * NANOSECONDS + at.microsecond * 1000


def iso_at_start(text: str, zone: ZoneInfo | None) -> tuple[Stamp, int] | None:
    """The ISO 8601 time that a text begins with, in brackets or not, and where it ends."""
    closing = _BRACKETS.get(text[:1], "")
    found = ISO.match(text, 1 if closing else 0)
    if found is None:
        return None
    year, _, month, day, hour, minute, second, fraction, offset = found.groups()
    if offset and not offset[-1].isdigit() and offset not in ("Z", "z"):
        at, end = stamp_to(found, zone)
    else:
        whole = _second(
            int(year), month, int(day), int(hour), int(minute), int(second or 0), "", (offset or "").strip(), zone, None
        )
        at, end = _with_fraction(whole, fraction), found.end()
    if at is None:
        return None
    return at, end + (closing != "" and text.startswith(closing, end))


def stamp_to(
    found: "re.Match[str]", zone: ZoneInfo | None, written: datetime | None = None
) -> tuple[Stamp | None, int]:
    """The time of a match, and where it ends: before a word behind it that is no zone."""
    group = found.groupdict()
    name = (group.get("z") or "").strip(" ()")
    end = found.end()
    if name and name.isalpha() and name not in _ZONES and not _is_name_of(zone, name):
        end, group["z"] = found.start("z"), None
    return stamp(group, zone, written), end


def stamp(group: Mapping[str, str | None], zone: ZoneInfo | None, written: datetime | None = None) -> Stamp | None:
    """The time of named parts: `Y m|b d H M S f z p` as in strftime (`f`: any fraction, `z`: an offset or a zone's
    name, `p`: AM or PM), or `e`: seconds since the epoch, with `f`."""
    if epoch := group.get("e"):
        fraction = int((group.get("f") or "0").ljust(9, "0"))
        return parse_time(int(epoch) * NANOSECONDS + fraction) if len(epoch) == 10 else None
    year = group.get("Y")
    if year is None:
        written = (written or datetime.now(UTC)).replace(hour=0, minute=0, second=0, microsecond=0)
    month = group.get("m") or group.get("b") or ""
    second = _second(
        int(year) if year else None, month, int(group["d"] or 0), int(group["H"] or 0), int(group["M"] or 0),
        int(group.get("S") or 0), (group.get("p") or "").upper(), (group.get("z") or "").strip(" ()"), zone,
        None if year else written,
    )  # fmt: skip
    return _with_fraction(second, group.get("f"))


def _with_fraction(second: Stamp | None, digits: str | None) -> Stamp | None:
    if second is None or digits is None:
        return second
    fraction = int(digits.ljust(9, "0"))
    return second[0].replace(microsecond=fraction // 1000), second[1] + fraction


@lru_cache(maxsize=4096)
def _second(
    year: int | None, month: str, day: int, hour: int, minute: int, second: int, half: str, offset: str,
    zone: ZoneInfo | None, written: datetime | None,
) -> Stamp | None:  # fmt: skip
    """A whole second in UTC; log lines come in bunches, so most are found in the cache."""
    number = int(month) if month.isdecimal() else _MONTHS.get(month.lower(), 0)
    if half:
        hour = hour % 12 + (12 if half == "PM" else 0)
    if year is not None and year < 100:
        year += 2000
    leap = second == 60  # as a leap second is written
    try:
        if year is not None:
            years: tuple[int, ...] = (year,)
        else:
            assert written is not None
            years = tuple(written.year + 1 - back for back in range(9))
        for candidate in years:
            try:
                naive = datetime(candidate, number, day, hour, minute, second - leap)  # noqa: DTZ001 - its zone comes next
            except ValueError:
                continue
            at = _aware(naive, offset, zone)
            if at is not None and (written is None or at < written + 2 * _AHEAD):
                at += timedelta(seconds=leap)
                return at, nanoseconds(at)
    except (ValueError, OverflowError):
        pass
    return None


def _aware(naive: datetime, offset: str, zone: ZoneInfo | None) -> datetime | None:
    """A naive time in the zone that is written behind it, else in that of its source, in UTC."""
    own = naive.replace(tzinfo=zone or host_zone())
    if not offset or own.tzname() == offset:
        return own.astimezone(UTC)
    signed = offset[3:] if offset[:3] in ("UTC", "GMT") else offset
    if signed[:1] in _SIGNS and signed:
        digits = signed[1:].replace(":", "")
        hours, rest = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
        minutes: int | None = (int(hours) * 60 + int(rest)) * _SIGNS[signed[0]]
    elif "/" in offset:
        try:
            return naive.replace(tzinfo=ZoneInfo(offset)).astimezone(UTC)
        except (KeyError, OSError, ValueError):
            return None
    else:
        minutes = _ZONES.get(offset.upper())
    if minutes is None:
        return None
    return naive.replace(tzinfo=timezone(timedelta(minutes=minutes))).astimezone(UTC)


@cache
def host_zone() -> tzinfo:
    """That of this host, whatever `TZ` says: a job under cron, which has none, and a console of somebody elsewhere read
    the same instant. UTC where the host has none."""
    try:
        with open(HOST_ZONE, "rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC


@lru_cache(maxsize=256)
def _is_name_of(zone: ZoneInfo | None, name: str) -> bool:
    """Whether a zone is called that in some season of these years."""
    seasons = [datetime(datetime.now(UTC).year, month, 1) for month in (1, 7)]  # noqa: DTZ001 - in any zone
    return any(at.replace(tzinfo=zone or host_zone()).tzname() == name for at in seasons)


def parse_time(value: Any, zone: ZoneInfo | None = None) -> Stamp | None:
    """(aware UTC time, nanoseconds since the epoch) of ISO-8601 text or of a number since the epoch, else None.

    A number is taken for seconds, milli-, micro- or nanoseconds by its size. A naive text is in `zone`, else in that of
    this host.
    """
    if isinstance(value, str):
        found = iso_at_start(value.strip(), zone)
        return found[0] if found else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not _EARLIEST_S <= value < 1e19:
        return None
    ns = int(value * 1e6) * 1000 if value < 1e11 else int(value)
    while ns < 1e17:
        ns *= 1000
    try:
        return datetime.fromtimestamp(ns // NANOSECONDS, UTC).replace(microsecond=ns % NANOSECONDS // 1000), ns
    except (ValueError, OverflowError, OSError):
        return None
