"""Several log sources followed as one: merged by time, in batches, each source taken up again where it was lost."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from backends.errors import BackendError
from backends.host_limits import unexpected
from backends.logs.merging import WINDOW_S, Merger, gap
from backends.models import LogEntry
from backends.retrying import backoff_s
from console import moment
from console.ports.store import SourceError

if TYPE_CHECKING:
    from backends.ports import LogQuery, Logs

FLUSH_S = 0.1
BUSY_FLUSH_S = 0.25  # a screen that changes wholly each time: four frames a second leave the loop to the keys
BUSY_LINES = 500
BEGIN_S = 0.15  # a source that says nothing for so long has said what was there
UNHEARD_S = 1.5  # so long those that have lines wait at first for one that may have none
AT_NOW_S = 2.0
MAX_WAITING = 20_000
TURN_LINES = 200  # after so many lines of one source, others and the keys get their turn
OVERLAP_S = 5.0
RESUME_LINES = 5000
QUIET_S = 12.0  # a stream that has neither a line nor an error by then is open: adapters give up after 10 s
BACKOFF_S = (1.0, 30.0)

Identity = tuple[str, str, str]


class TailState(Struct, kw_only=True):
    """How one source is doing: since when it is followed (None: it is not), why not, when it was heard of last, the
    time of its newest line."""

    followed_since: datetime | None = None
    error: SourceError | None = None
    heard_at: datetime | None = None
    newest_at: datetime | None = None
    lines: int = 0

    def is_at(self, now: datetime) -> bool:
        """Whether its newest line was written just now."""
        return self.newest_at is not None and abs((now - self.newest_at).total_seconds()) <= AT_NOW_S


class Tail:
    """`batches()` is to be read by one reader, and closed. `states` by name of source; `merger` counts what was late,
    early or missing. `adapter` may raise BackendError, as for a broken entry."""

    def __init__(
        self,
        sources: Mapping[str, Callable[[], Logs]],
        queries: Mapping[str, LogQuery],
        *,
        changed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._sources, self._queries, self._changed = sources, queries, changed
        self.states = {name: TailState() for name in sources}
        self.merger = Merger(WINDOW_S if len(sources) > 1 else 0.0)
        self._room = asyncio.Event()
        self._news = asyncio.Event()
        self._pushed_at: dict[str, float] = {}
        self._looked: Counter[str] = Counter()
        self._started = time.monotonic()
        self.begun = False
        """Whether all that was there is out: before, what is shown as the newest would be minutes old."""

    async def batches(self) -> AsyncGenerator[list[LogEntry], None]:
        """Lines in order of time, those of the queries first, then what is written; at most ten batches a second."""
        pumps = [asyncio.create_task(self._pump(name), name=f"tail {name}") for name in self._sources]
        try:
            while True:
                await self._news.wait()
                batch = self._due()
                self._room.set()
                if not self.merger.held:
                    self._news.clear()
                if batch:
                    yield batch
                await asyncio.sleep(FLUSH_S if len(batch) < BUSY_LINES else BUSY_FLUSH_S)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    def _due(self) -> list[LogEntry]:
        """What the window lets out; at the beginning nothing, and then at once all that was there."""
        now = time.monotonic()
        if self.begun:
            return self.merger.pop(now)
        caught_up = [self._caught_up(name, now) for name in self._sources]
        self._looked = Counter({name: state.lines for name, state in self.states.items()})
        if not all(caught_up):
            return []
        self.begun = True
        return self.merger.flush()

    def _caught_up(self, name: str, now: float) -> bool:
        """Whether a source has said all that was there before: so many lines as were asked for, one of now, or nothing
        more since the last look."""
        state = self.states[name]
        if name not in self._pushed_at:
            return now - self._started >= UNHEARD_S
        if state.error is not None or state.lines >= self._queries[name].limit or state.is_at(moment.utc_now()):
            return True
        return state.lines == self._looked[name] and now - self._pushed_at[name] >= BEGIN_S

    async def _pump(self, name: str) -> None:
        """Follow one source for ever; what ends it is said, and it is begun again after a growing while."""
        state, seen, failures = self.states[name], _Recent(), 0
        while True:
            lines = state.lines
            try:
                await self._follow(name, state, seen)
                error = BackendError("unreachable", f"{name}: the stream of lines has ended")
            except BackendError as failure:
                error = failure
            except Exception as failure:
                # A defect in one adapter must not take the other sources with it; its data is not said.
                error = unexpected(failure, name)
            failures = 0 if state.lines > lines else failures
            state.error, state.followed_since = SourceError.of(error), None
            self._pushed_at.setdefault(name, time.monotonic())
            self._news.set()
            self._changed(name)
            await asyncio.sleep(backoff_s(failures, *BACKOFF_S))
            failures += 1

    async def _follow(self, name: str, state: TailState, seen: _Recent) -> None:
        query, known = self._queries[name], Counter(seen.identities())
        newest = seen.newest
        if newest is not None:
            query = structs.replace(query, since=newest - timedelta(seconds=OVERLAP_S), limit=RESUME_LINES)
        elif state.lines:  # lines without times: what came meanwhile cannot be told from what was there before
            query = structs.replace(query, limit=0)
        resumed, again = state.lines > 0, 0
        stream = self._sources[name]().follow(query)
        quiet = asyncio.get_running_loop().call_later(QUIET_S, self._open, name, state)
        try:
            async for entry in stream:
                if newest is not None and entry.at is not None and entry.at > newest:
                    known.clear()
                identity = _identity(entry)
                if known.get(identity, 0) > 0:
                    known[identity] -= 1
                    again += 1
                    self._open(name, state)
                    continue
                if resumed and not again:
                    self._push(name, state, gap(name, None, "it was lost, and taken up again behind its last line"))
                resumed = False
                seen.add(entry, identity)
                self._push(name, state, entry)
                self._open(name, state)
                while self.merger.held >= MAX_WAITING:
                    self._room.clear()
                    await self._room.wait()
                if state.lines % TURN_LINES == 0:
                    await asyncio.sleep(0)
        finally:
            quiet.cancel()
            await stream.aclose()  # type: ignore[attr-defined]  # a follow is a generator

    def _open(self, name: str, state: TailState) -> None:
        if state.followed_since is None:
            state.followed_since, state.error = moment.utc_now(), None
            self._changed(name)

    def _push(self, name: str, state: TailState, entry: LogEntry) -> None:
        state.lines += 1
        state.heard_at = moment.utc_now()
        state.newest_at = entry.at or state.newest_at
        now = self._pushed_at[name] = time.monotonic()
        self.merger.push(name, entry, now)
        self._news.set()


class _Recent:
    """The lines of the last seconds of one source, by which a new stream is told from the one before it."""

    def __init__(self) -> None:
        self.newest: datetime | None = None
        self._lines: deque[tuple[datetime | None, Identity]] = deque(maxlen=RESUME_LINES)

    def add(self, entry: LogEntry, identity: Identity) -> None:
        """One more line."""
        self._lines.append((entry.at, identity))
        if entry.at is not None and (self.newest is None or entry.at > self.newest):
            self.newest = entry.at

    def identities(self) -> list[Identity]:
        """Those that a resumed stream may bring again."""
        if self.newest is None:
            return []
        oldest = self.newest - timedelta(seconds=OVERLAP_S)
        return [identity for at, identity in self._lines if at is None or at >= oldest]


def _identity(entry: LogEntry) -> Identity:
    return entry.at_ns or "", entry.source, entry.message
