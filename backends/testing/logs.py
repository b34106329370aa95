"""What every adapter of the port `Logs` does. An adapter's test class inherits this and gives the two fixtures:

`adapter` (a fresh one, closed afterwards) and `write`: a callable that makes the system hold these lines, in order.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from backends.errors import BackendError
from backends.logs.around import around
from backends.models import LogEntry
from backends.ports import LogQuery, Logs

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Line(NamedTuple):
    at: datetime
    level: str
    message: str


PATIENCE_S = 30.0
Write = Callable[[list[Line]], None]


def lines(count: int) -> list[Line]:
    """One line a second from T0 on; each tenth is an ERROR."""
    return [Line(T0 + timedelta(seconds=n), "INFO" if n % 10 else "ERROR", f"line {n}") for n in range(count)]


async def take(stream: AsyncIterator[LogEntry], count: int, seconds: float = 10) -> list[LogEntry]:
    """The next entries of a followed log."""
    entries: list[LogEntry] = []
    async with asyncio.timeout(seconds):
        while len(entries) < count:
            entries.append(await anext(stream))
    return entries


class LogsContract:
    async def test_nothing_written_is_no_error(self, adapter: Logs) -> None:
        assert await adapter.query(LogQuery()) == []

    async def test_last_lines_oldest_first(self, adapter: Logs, write: Write) -> None:
        write(lines(40))
        found = await adapter.query(LogQuery(limit=3))
        assert [entry.message for entry in found] == ["line 37", "line 38", "line 39"]
        assert [entry.at for entry in found] == [T0 + timedelta(seconds=n) for n in (37, 38, 39)]
        assert found[0].at_ns == str(int(T0.timestamp() + 37) * 1_000_000_000)
        assert all(entry.source for entry in found)

    async def test_since_and_until_are_inclusive(self, adapter: Logs, write: Write) -> None:
        write(lines(40))
        window = LogQuery(since=T0 + timedelta(seconds=10), until=T0 + timedelta(seconds=12))
        assert [entry.message for entry in await adapter.query(window)] == ["line 10", "line 11", "line 12"]

    async def test_limit_counts_matches_from_the_end(self, adapter: Logs, write: Write) -> None:
        write(lines(40))
        assert [entry.message for entry in await adapter.query(LogQuery(grep=r"line \d$", limit=2))] == [
            "line 8",
            "line 9",
        ]
        assert await adapter.query(LogQuery(limit=0)) == []

    async def test_the_first_lines_from_a_time_on_however_many_follow(self, adapter: Logs, write: Write) -> None:
        write(lines(400))
        at = T0 + timedelta(seconds=10)
        found = await adapter.query(LogQuery(since=at, limit=3, first=True))
        assert [entry.message for entry in found] == ["line 10", "line 11", "line 12"]
        found = await adapter.query(LogQuery(since=at, grep="0$", level="error", limit=2, first=True))
        assert [entry.message for entry in found] == ["line 10", "line 20"]
        found = await adapter.query(LogQuery(since=at, until=at + timedelta(seconds=1), first=True))
        assert [entry.message for entry in found] == ["line 10", "line 11"]
        assert [entry.message for entry in await adapter.query(LogQuery(limit=1, first=True))] == ["line 0"]

    async def test_the_lines_around_a_time_have_no_hole(self, adapter: Logs, write: Write) -> None:
        write(lines(400))
        at = T0 + timedelta(seconds=200)
        found = await around(adapter, LogQuery(), at, before=2, after=2)
        assert [entry.message for entry in found] == ["line 198", "line 199", "line 200", "line 201"]

    async def test_the_lines_nearest_to_a_time_that_none_is_close_to(self, adapter: Logs, write: Write) -> None:
        write(lines(40))
        reach = timedelta(hours=1)
        for away, nearest in ((timedelta(minutes=30), ["line 38", "line 39"]), (-reach / 2, ["line 0", "line 1"])):
            query = LogQuery(since=T0 + away - reach, until=T0 + away + reach)
            found = await around(adapter, query, T0 + away, before=2, after=2)
            assert [entry.message for entry in found if entry.at is not None] == nearest

    async def test_level_is_the_least_severe(self, adapter: Logs, write: Write) -> None:
        write([Line(T0, level, level.lower()) for level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")])
        found = await adapter.query(LogQuery(level="warning"))
        assert [entry.level for entry in found] == ["warning", "error", "critical"]

    async def test_bad_pattern_is_a_usage_error(self, adapter: Logs) -> None:
        with pytest.raises(BackendError) as caught:
            await adapter.query(LogQuery(grep="("))
        assert caught.value.kind == "config"

    async def test_hostile_bytes_never_reach_a_model(self, adapter: Logs, write: Write) -> None:
        write([Line(T0, "INFO", "a\x1b]52;c;cm0gLXJm\x07b\x1b[2Jc\u202egreen\x9b31m")])
        (entry,) = await adapter.query(LogQuery())
        assert entry.message == "abcgreen"

    async def test_follow_gives_what_is_new_and_matches(self, adapter: Logs, write: Write) -> None:
        write(lines(5))
        stream = adapter.follow(LogQuery(grep="new"))
        waiting = asyncio.ensure_future(take(stream, 2, PATIENCE_S))
        await asyncio.sleep(0.4)
        now = T0 + timedelta(seconds=5)
        write([Line(now, "INFO", "new 1"), Line(now, "INFO", "old"), Line(now, "INFO", "new 2")])
        assert [entry.message for entry in await waiting] == ["new 1", "new 2"]
        await stream.aclose()  # type: ignore[attr-defined]  # a follow is a generator

    async def test_follow_begins_with_the_last_lines_and_loses_none(self, adapter: Logs, write: Write) -> None:
        write(lines(40))
        stream = adapter.follow(LogQuery(limit=3))
        assert [entry.message for entry in await take(stream, 3, PATIENCE_S)] == ["line 37", "line 38", "line 39"]
        waiting = asyncio.ensure_future(take(stream, 30, PATIENCE_S))
        for number in range(30):
            write([Line(T0 + timedelta(seconds=40), "INFO", f"new {number}")])
            await asyncio.sleep(0.01)
        assert [entry.message for entry in await waiting] == [f"new {number}" for number in range(30)]
        await stream.aclose()  # type: ignore[attr-defined]  # a follow is a generator

    async def test_since_bounds_only_the_beginning_of_a_follow(self, adapter: Logs, write: Write) -> None:
        write(lines(40))
        stream = adapter.follow(LogQuery(since=T0 + timedelta(seconds=38)))
        assert [entry.message for entry in await take(stream, 2, PATIENCE_S)] == ["line 38", "line 39"]
        await stream.aclose()  # type: ignore[attr-defined]  # a follow is a generator

    async def test_close_twice(self, adapter: Logs) -> None:
        await adapter.query(LogQuery())
        await adapter.aclose()
        await adapter.aclose()
