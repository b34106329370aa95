"""One task per configured backend: read, put a snapshot in the store, wait. A dead or slow one delays nothing else."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from backends.errors import BackendError
from backends.host_limits import unexpected
from backends.missing import collected
from backends.retrying import backoff_s
from backends.stopwatch import Stopwatch, timed
from console import moment
from console.ports.store import Snapshot, SourceError, SourceKey, Store

DEADLINE_S = 15.0
MAX_BACKOFF_S = 120.0
GAP_S = 1.0
"""Between the looks of one reading: the least in which a count of requests says how many of them fail."""
FOR_GOOD_S = 1e9
"""Between two reads of what does not grow stale."""
JITTER = 0.1
LATE_S = 0.5
"""A host that was late by less is not worth a word."""


class Source(Struct, frozen=True):
    """A backend as a feed sees it: what it is called and how to read it once."""

    key: SourceKey
    type: str
    fetch: Callable[[], Awaitable[tuple[Any, ...]]]


class Feed:
    """Reads one source again and again, at most one read at a time.

    A read that fails keeps the last items and says why; the wait doubles with each failure, up to two minutes.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        *,
        interval_s: float,
        deadline_s: float = DEADLINE_S,
        keep: Callable[[Snapshot], None] | None = None,
        more_looks: Callable[[Any], int] = lambda item: 0,
    ) -> None:
        """`more_looks`: how many looks after the first one may tell more of an item."""
        self.source = source
        self._more_looks = more_looks
        self.interval_s = interval_s
        self._deadline_s = deadline_s
        self._keep = keep
        self._store = store
        self._failures = 0
        self._wake = asyncio.Event()
        self._reading: asyncio.Task[Snapshot] | None = None
        store.expect(Snapshot(key=source.key, type=source.type, interval_s=interval_s))

    async def read(self) -> Snapshot:
        """One read, put into the store and returned. Somebody else's read under way is joined, not doubled."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        return await asyncio.shield(self._reading)

    def more_looks(self, snapshot: Snapshot) -> int:
        """How many looks after the first one may tell more of what it tells of."""
        return max(map(self._more_looks, snapshot.items), default=0) if snapshot.error is None else 0

    async def run(self) -> None:
        """Read until cancelled."""
        try:
            while True:
                try:
                    await self.read()
                except Exception as defect:  # not the backend's; the next snapshot may be kept well
                    self._store.defects.happened(defect)
                self._wake.clear()
                try:
                    async with asyncio.timeout(self._wait_s()):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            if self._reading is not None:
                self._reading.cancel()

    def wake(self) -> None:
        """Read now instead of at the next interval."""
        self._wake.set()

    def _wait_s(self) -> float:
        longest = max(MAX_BACKOFF_S, self.interval_s)
        return backoff_s(self._failures, self.interval_s, longest) * random.uniform(1 - JITTER, 1 + JITTER)

    async def _read(self) -> Snapshot:
        items: tuple[Any, ...] | None = None
        error: BackendError | None = None
        lost: list[BackendError] = []
        with Stopwatch() as watch:
            try:
                async with timed(self._deadline_s):
                    with collected() as lost:
                        items = await self.source.fetch()
            except TimeoutError:
                late_s = watch.took().late_s
                late = f"; this host was late by {late_s:.1f} s of that itself" if late_s >= LATE_S else ""
                error = BackendError("timeout", f"no answer in {self._deadline_s:g} s{late}")
            except BackendError as failure:
                error = failure
            except Exception as failure:
                # A defect in one adapter must not take the screen with it; its kind and place are said, no data.
                error = unexpected(failure, self.source.type)
            latency_ms = watch.took().seconds * 1000
        snapshot = self._snapshot(items, error, lost, latency_ms)
        self._failures = self._failures + 1 if error else 0
        self._store.put(snapshot)
        if self._keep is not None and error is None:
            await asyncio.to_thread(self._keep, snapshot)
        return snapshot

    def _snapshot(
        self,
        items: tuple[Any, ...] | None,
        error: BackendError | None,
        lost: Sequence[BackendError],
        latency_ms: float,
    ) -> Snapshot:
        before = self._store.get(self.source.key)
        return Snapshot(
            key=self.source.key,
            type=self.source.type,
            items=items if items is not None else before.items if before else (),
            fetched_at=moment.utc_now() if items is not None else before.fetched_at if before else None,
            latency_ms=latency_ms,
            error=SourceError.of(error) if error else None,
            missing=tuple(map(SourceError.of, lost)) if error is None else (),
            interval_s=self.interval_s,
        )


async def read_once(sources: Iterable[Source], *, deadline_s: float) -> list[Snapshot]:
    """What each says, side by side, in a store of its own: it is of another time, or was asked for once, and nobody
    takes it for what is so now."""
    store = Store()
    await read_all([Feed(source, store, interval_s=FOR_GOOD_S) for source in sources], deadline_s=deadline_s)
    return store.snapshots()


async def read_all(feeds: list[Feed], *, deadline_s: float | None = None, patient: bool = False) -> bool:
    """Read every feed, side by side: once, and again where one look does not judge what it tells of. False where
    `deadline_s` came before each had answered; what did answer is in the store. `patient`: it is a time for others, and
    what this host is late by itself does not count."""
    answered: list[Feed] = []
    tasks = [asyncio.create_task(_read_until_judged(feed, answered)) for feed in feeds]
    if not tasks:
        return True
    with contextlib.suppress(TimeoutError):
        async with timed(deadline_s) if patient and deadline_s else asyncio.timeout(deadline_s):
            await asyncio.wait(tasks)
    for task in tasks:
        task.cancel()
    return len(answered) == len(feeds)


async def _read_until_judged(feed: Feed, answered: list[Feed]) -> None:
    snapshot = await feed.read()
    answered.append(feed)
    looks = 0
    while looks < feed.more_looks(snapshot):
        await asyncio.sleep(GAP_S)
        snapshot = await feed.read()
        looks += 1
