"""The logs of a session: all sources followed as one, their lines to whoever listens, their state into the store."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from backends.models import LogEntry
from console import moment
from console.ports.store import Snapshot, SourceError, SourceKey, Store

if TYPE_CHECKING:
    from backends.ports import LogQuery, Logs
    from console.reading.tail import Tail

KEPT = 500  # lines of each source in the store: for what does not listen

_NOT_FOLLOWED = SourceError("internal", "a part of the console failed: no line is read any more", "press r")

Listener = Callable[[list[LogEntry] | None], None]


class LogFeed:
    """`start` follows from a query on; again with another one. Listeners get batches, None where all begins anew."""

    def __init__(self, sources: Mapping[str, tuple[str, Callable[[], Logs]]], store: Store, interval_s: float) -> None:
        """`sources`: by name the type of the adapter and how to get it."""
        self._sources, self._store, self._interval_s = sources, store, interval_s
        self._listeners: list[Listener] = []
        self._task: asyncio.Task[None] | None = None
        self._recent: deque[LogEntry] = deque(maxlen=KEPT)
        self._tail: Tail | None = None

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many lines came late, how many gaps there are, and how many lines are missing in them at least."""
        merger = self._tail.merger if self._tail else None
        return (merger.late, merger.gaps, merger.missing) if merger else (0, 0, 0)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` from now on; returns the way to stop."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def start(self, query_of: Callable[[str], LogQuery]) -> None:
        """Follow every source from its query, by type, on; what was followed before is left."""
        self.stop()
        self._recent.clear()
        for listener in tuple(self._listeners):
            listener(None)
        if self._sources:
            self._task = asyncio.create_task(self._run(query_of), name="logs")

    def stop(self) -> None:
        """Follow nothing; safe to call twice."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def aclose(self) -> None:
        """As `stop`, and wait until the streams are closed."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # ---- inside

    async def _run(self, query_of: Callable[[str], LogQuery]) -> None:
        from console.reading.tail import Tail

        queries = {name: query_of(kind) for name, (kind, _) in self._sources.items()}
        adapters = {name: adapter for name, (_, adapter) in self._sources.items()}
        tail = self._tail = Tail(adapters, queries, changed=lambda name: self._put(tail, name))
        states = asyncio.create_task(self._put_states(tail))
        try:
            async with aclosing(tail.batches()) as batches:
                async for batch in batches:
                    if not self._recent:
                        self._put_followed(tail)
                    self._recent.extend(batch)
                    for listener in tuple(self._listeners):
                        try:
                            listener(batch)
                        except Exception as defect:  # the next batch may be shown well
                            self._store.defects.happened(defect)
        except Exception as defect:  # from now on nothing is followed
            self._store.defects.happened(defect)
            for name, state in tail.states.items():
                state.error, state.followed_since = _NOT_FOLLOWED, None
                self._put(tail, name)
        finally:
            states.cancel()

    async def _put_states(self, tail: Tail) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            self._put_followed(tail)

    def _put_followed(self, tail: Tail) -> None:
        for name in self._sources:
            if tail.states[name].followed_since is not None:
                self._put(tail, name)

    def _put(self, tail: Tail, name: str) -> None:
        """What is known of a source: as fresh as its stream is open, whether or not anything is written; nothing new
        before all that was there is out."""
        state, key = tail.states[name], SourceKey("logs", name)
        is_at_now = state.followed_since is not None and (tail.begun or not state.lines)
        before = self._store.get(key)
        heard: Any = before.fetched_at if before else None
        self._store.put(
            Snapshot(
                key=key,
                type=self._sources[name][0],
                items=tuple(self._recent) if len(self._sources) == 1 else (),
                fetched_at=moment.utc_now() if is_at_now else heard,
                error=state.error,
                interval_s=self._interval_s,
            )
        )
