"""The lines nearest to a time, also where none is close to it: a time that was typed of another zone, or day."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo

from msgspec.structs import replace

from backends.errors import BackendError
from backends.logs.around import around
from backends.logs.merging import is_gap, is_note
from backends.models import LogEntry
from backends.ports import LogQuery, Logs
from backends.together import together
from panels.words import ago, clock, zone_name

CLOSE = timedelta(minutes=5)
REACHES = (timedelta(hours=1), timedelta(days=1), timedelta(days=7))  # to either side, one after the other
PATIENCE_S = 10.0  # for each source, with all its reaches


def close_to(query: LogQuery, at: datetime, reach: timedelta = CLOSE) -> LogQuery:
    """`query` with the window of time around `at`."""
    return replace(query, since=at - reach, until=at + reach)


async def further(
    sources: Sequence[tuple[str, Callable[[], Logs]]], query: LogQuery, at: datetime, count: int
) -> tuple[list[LogEntry], list[str]]:
    """The lines of `sources` around `at`, of each within the least of `REACHES` that has any, in order of time; and why
    one was not read so far. Never raises for a source."""
    found = await together(*(_of(name, logs, query, at, count) for name, logs in sources))
    entries = [entry for part, _ in found for entry in part if entry.at is not None]
    return sorted(entries, key=lambda entry: entry.at or at), [problem for _, problem in found if problem]


async def _of(
    name: str, logs: Callable[[], Logs], query: LogQuery, at: datetime, count: int
) -> tuple[list[LogEntry], str]:
    reach, looked = CLOSE, CLOSE
    try:
        async with asyncio.timeout(PATIENCE_S):
            for reach in REACHES:
                found = await around(logs(), close_to(query, at, reach), at, before=count, after=count)
                lines = [entry for entry in found if entry.at is not None and not is_gap(entry) and not is_note(entry)]
                if lines:
                    return lines, ""
                looked = reach
    except BackendError as error:
        return [], f"{name}: {error.message}"
    except TimeoutError:
        return [], f"{name}: not read further than {_length(looked)} to either side: no answer in {PATIENCE_S:.0f} s"
    return [], ""


def nearest(entries: list[LogEntry], at: datetime, count: int) -> list[LogEntry]:
    """Of entries in time order, the `count` around a time: half before it, or more where there are few after it."""
    middle = next((n for n, entry in enumerate(entries) if entry.at is not None and entry.at >= at), len(entries))
    start = max(0, min(middle - count // 2, len(entries) - count))
    return entries[start : start + count]


def distance_words(entries: Sequence[LogEntry], at: datetime, zone: tzinfo, *, matching: bool) -> str:
    """`no line within 5m of 02:53:00 CET; the nearest is of 02:47:25 CET (5m earlier)`, or that there is none."""
    line = "line that matches" if matching else "line"
    times = [entry.at for entry in entries if entry.at is not None]
    if not times:
        return f"no {line} within {_length(REACHES[-1])} of {_stamp(at, at, zone)}"
    near = min(times, key=lambda time: abs(time - at))
    side = "earlier" if near < at else "later"
    return (
        f"no {line} within {_length(CLOSE)} of {_stamp(at, near, zone)}; "
        f"the nearest is of {_stamp(near, at, zone)} ({_length(abs(near - at))} {side})"
    )


def window_words(since: datetime | None, until: datetime | None, zone: tzinfo, *, matching: bool) -> str:
    """`no line since 2026-03-01 02:53:00 CET and until …`: the window as it was understood."""
    bounds = [f"{word} {_stamp(at, at, zone)}" for word, at in (("since", since), ("until", until)) if at is not None]
    return f"no {'line that matches' if matching else 'line'} {' and '.join(bounds)}"


def _length(length: timedelta) -> str:
    return ago(length.total_seconds())


def _stamp(at: datetime, other: datetime, zone: tzinfo) -> str:
    """With its date where `other` is of another day."""
    local = at.astimezone(zone)
    date = "" if local.date() == other.astimezone(zone).date() and other is not at else f"{local:%Y-%m-%d} "
    return f"{date}{clock(at, zone)} {zone_name(at, zone)}"
