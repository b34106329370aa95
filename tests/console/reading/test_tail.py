"""Several sources followed as one: merged, and each taken up again where it was lost, without doubling a line."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.logs.lines import nanoseconds
from backends.logs.merging import is_gap
from backends.models import LogEntry
from backends.ports import LogQuery, Logs
from console.ports.store import Store
from console.reading import tail as tail_module
from console.reading.log_feed import LogFeed
from console.reading.tail import Tail

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATIENCE_S = 30.0


def line(seconds: float, message: str, source: str = "a") -> LogEntry:
    at = T0 + timedelta(seconds=seconds)
    return LogEntry(at=at, at_ns=str(nanoseconds(at)), source=source, message=message)


class Scripted:
    """A `Logs` whose follow gives each list of `streams` in turn, then the error behind it; the last one hangs."""

    def __init__(self, *streams: list[LogEntry], error: Exception | None = None) -> None:
        self.streams, self.error = list(streams), error or BackendError("unreachable", "connection lost")
        self.queries: list[LogQuery] = []
        self.closed = 0

    async def query(self, query: LogQuery) -> list[LogEntry]:
        raise AssertionError("a tail only follows")

    async def follow(self, query: LogQuery) -> AsyncIterator[LogEntry]:
        self.queries.append(query)
        last = len(self.queries) >= len(self.streams)
        try:
            for entry in self.streams[len(self.queries) - 1]:
                yield entry
            if last:
                await asyncio.sleep(3600)
            raise self.error
        finally:
            self.closed += 1

    async def aclose(self) -> None:
        """Nothing is open."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "BACKOFF_S", (0.01, 0.02))


async def read(tail: Tail, count: int) -> list[LogEntry]:
    entries: list[LogEntry] = []
    async with asyncio.timeout(PATIENCE_S), aclosing(tail.batches()) as batches:
        async for batch in batches:
            entries += batch
            if len(entries) >= count:
                break
    return entries


def followed(sources: dict[str, Callable[[], Logs]], query: LogQuery, **more: Any) -> Tail:
    return Tail(sources, dict.fromkeys(sources, query), **more)


def of(logs: Logs) -> Callable[[], Logs]:
    return lambda: logs


async def test_what_is_there_comes_at_once_and_in_order() -> None:
    one = Scripted([line(n, f"a{n}") for n in range(0, 300, 2)])
    two = Scripted([line(n, f"b{n}", "b") for n in range(1, 300, 2)])
    tail = followed({"one": of(one), "two": of(two)}, LogQuery())
    found = await read(tail, 300)
    assert [entry.message for entry in found] == [f"{'ab'[n % 2]}{n}" for n in range(300)]
    assert tail.merger.late == 0
    assert (one.closed, two.closed) == (1, 1)


class Slow(Scripted):
    """A source that says its lines one at a time, and lets the reader look in between."""

    async def follow(self, query: LogQuery) -> AsyncIterator[LogEntry]:
        async for entry in super().follow(query):
            await asyncio.sleep(0.002)
            yield entry


async def test_a22_what_was_there_is_out_at_once_and_never_shown_as_the_newest_while_more_comes() -> None:
    slow = Slow([line(n, f"line {n}") for n in range(200)])
    tail = followed({"one": of(slow)}, LogQuery())
    async with asyncio.timeout(PATIENCE_S), aclosing(tail.batches()) as batches:
        assert not tail.begun
        first = await anext(batches)
    assert (len(first), first[-1].message, tail.begun) == (200, "line 199", True)


@pytest.mark.parametrize("query", [LogQuery(limit=50), LogQuery(limit=0)])
async def test_a22_what_comes_behind_the_lines_that_were_asked_for_is_news(query: LogQuery) -> None:
    tail = followed({"one": of(Slow([line(n, f"line {n}") for n in range(200)]))}, query)
    async with asyncio.timeout(PATIENCE_S), aclosing(tail.batches()) as batches:
        assert query.limit <= len(await anext(batches)) < 200


async def test_a22_a_source_without_lines_holds_the_others_back_for_a_moment_only() -> None:
    sources = {"one": of(Scripted([line(1, "fine")])), "silent": of(Scripted([]))}
    assert [entry.message for entry in await read(followed(sources, LogQuery()), 1)] == ["fine"]


async def test_a_lost_source_is_taken_up_again_and_nothing_comes_twice() -> None:
    before = [line(n, f"line {n}") for n in range(100)]
    again = [*before[95:], line(99, "line 99"), line(100, "line 100"), line(101, "line 101")]
    said: list[str] = []
    source = Scripted(before, again)
    tail = followed({"one": of(source)}, LogQuery(limit=7), changed=said.append)
    found = await read(tail, 103)
    assert [entry.message for entry in found] == [f"line {n}" for n in range(100)] + ["line 99", "line 100", "line 101"]
    assert source.queries[0].limit == 7
    assert source.queries[1].since == T0 + timedelta(seconds=94)
    assert said == ["one"] * 3  # followed, lost, followed again
    assert tail.states["one"].error is None
    assert tail.merger.gaps == 0


async def test_a_source_that_comes_back_elsewhere_has_a_gap() -> None:
    source = Scripted([line(1, "before")], [line(60, "after")])
    tail = followed({"one": of(source)}, LogQuery())
    before, gap, after = await read(tail, 3)
    assert (before.message, is_gap(gap), after.message) == ("before", True, "after")
    assert tail.merger.gaps == 1


async def test_one_that_is_broken_says_why_and_the_others_go_on() -> None:
    def broken() -> Logs:
        raise BackendError("config", "logs.two: no secret")

    defect = Scripted([], [], error=ZeroDivisionError("at\x1b[31m home"))
    sources = {"one": of(Scripted([line(1, "fine")])), "two": broken, "three": of(defect)}
    tail = followed(sources, LogQuery())
    (found,) = await read(tail, 1)
    assert found.message == "fine"
    async with asyncio.timeout(PATIENCE_S), aclosing(tail.batches()) as batches:
        reading = asyncio.ensure_future(anext(batches))
        while not (tail.states["two"].error and tail.states["three"].error):
            await asyncio.sleep(0.01)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    two, three = tail.states["two"].error, tail.states["three"].error
    assert two is not None
    assert (two.kind, two.message) == ("config", "logs.two: no secret")
    assert three is not None
    assert (three.kind, three.message) == ("internal", "ZeroDivisionError in three: at home")


async def test_a_reader_that_is_slow_holds_the_sources_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "MAX_WAITING", 100)
    source = Scripted([line(n / 100, f"line {n}") for n in range(5000)])
    tail = followed({"one": of(source)}, LogQuery())
    entries: list[LogEntry] = []
    async with asyncio.timeout(PATIENCE_S), aclosing(tail.batches()) as batches:
        async for batch in batches:
            assert len(batch) <= 300
            entries += batch
            if len(entries) >= 1000:
                break
    assert [entry.message for entry in entries] == [f"line {n}" for n in range(len(entries))]
    assert tail.states["one"].lines <= len(entries) + 300


async def test_a_stream_without_a_line_counts_as_open_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "QUIET_S", 0.05)
    said: list[str] = []
    tail = followed({"one": of(Scripted([]))}, LogQuery(), changed=said.append)
    async with asyncio.timeout(PATIENCE_S), aclosing(tail.batches()) as batches:
        reading = asyncio.ensure_future(anext(batches))
        while not said:
            await asyncio.sleep(0.01)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert tail.states["one"].followed_since is not None


async def test_lines_without_times_are_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Scripted([LogEntry(at=None, source="a", message="x")], [LogEntry(at=None, source="a", message="x")])
    tail = followed({"one": of(source)}, LogQuery())
    found = await read(tail, 3)
    assert [is_gap(entry) for entry in found] == [False, True, False]
    assert [query.limit for query in source.queries] == [500, 0]


async def test_late_lines_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "WINDOW_S", 0.05)

    class Slow(Scripted):
        async def follow(self, query: LogQuery) -> AsyncIterator[LogEntry]:
            yield line(1, "early", "b")
            await asyncio.sleep(1.0)
            yield line(5, "late", "b")
            await asyncio.sleep(3600)

    tail = followed({"one": of(Scripted([line(10, "young")])), "two": of(Slow())}, LogQuery())
    found = await read(tail, 3)
    assert [(entry.message, entry.late) for entry in found] == [("early", False), ("young", False), ("late", True)]
    assert tail.merger.late == 1


async def test_a22_the_log_panel_has_no_age_before_the_tail_is_there() -> None:
    store, seen = Store(), list[tuple[int, bool]]()
    feed = LogFeed({"one": ("files", of(Slow([line(n, f"line {n}") for n in range(100)])))}, store, 60.0)
    shown = 0
    full = asyncio.Event()

    def lines(batch: list[LogEntry] | None) -> None:
        nonlocal shown
        shown += len(batch or ())
        if shown == 100:
            full.set()

    feed.listen(lines)
    store.listen(lambda snapshot: seen.append((shown, snapshot.fetched_at is not None)))
    feed.start(lambda _: LogQuery())
    await asyncio.wait_for(full.wait(), PATIENCE_S)
    await feed.aclose()
    assert seen == [(0, False), (0, True)]  # opened; then as the lines come, all at once


async def test_a_follower_that_fails_is_told_and_nothing_is_called_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was silent, and the panel said "following" for ever."""
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path))
    monkeypatch.setattr("console.reading.tail.Tail._due", lambda _: 1 / 0)
    store, told, lost = Store(), list[str](), asyncio.Event()
    store.defects.tell = told.append
    store.listen(lambda snapshot: lost.set() if snapshot.error is not None else None)
    feed = LogFeed({"one": ("files", of(Scripted([line(1, "a line")])))}, store, 60.0)
    feed.start(lambda _: LogQuery())
    await asyncio.wait_for(lost.wait(), PATIENCE_S)
    await feed.aclose()
    (found,) = store.snapshots("logs")
    assert found.error is not None
    assert (found.error.kind, "no line is read any more" in found.error.message) == ("internal", True)
    (path,) = tmp_path.glob("crash-*.txt")
    assert told == [f"A part of the console failed: ZeroDivisionError: this is a defect; report it with {path}."]
