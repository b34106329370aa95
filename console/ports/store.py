"""The last thing that each backend said, and who wants to know when it says something new."""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from backends.errors import BackendError, ErrorKind
from backends.models import Health, Panel
from console import moment
from console.crash import Defects

READS_KEPT = 60
STALE_AFTER_INTERVALS = 3
UNKNOWN_AFTER_S = 300.0


class SourceError(Struct, frozen=True):
    """Why a read failed: kind, one cleaned line, what to do; `answered`: the system itself said so."""

    kind: ErrorKind
    message: str
    fix: str
    answered: bool = False

    @classmethod
    def of(cls, error: BackendError) -> "SourceError":
        """The same, without the traceback."""
        return cls(error.kind, error.message, error.fix, error.answered)


class SourceKey(Struct, frozen=True, order=True):
    """One configured backend: which panel it feeds and what the config calls it."""

    panel: Panel
    name: str


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything one backend said at one time. `items` are the last good ones; `error` is why the newest read failed.

    `missing`: what is not in `items`, though the source answered. `fetched_at` is when `items` were read (None: never),
    `latency_ms` how long that took.
    """

    key: SourceKey
    type: str
    items: tuple[Any, ...] = ()
    fetched_at: datetime | None = None
    latency_ms: float | None = None
    error: SourceError | None = None
    missing: tuple[SourceError, ...] = ()
    interval_s: float = 15.0

    @property
    def unread(self) -> bool:
        """True until the first answer, or the first that fails."""
        return self.fetched_at is None and self.error is None

    def age_s(self, now: datetime | None = None) -> float | None:
        """Seconds since `items` were read; None where they never were."""
        if self.fetched_at is None:
            return None
        return max(0.0, ((now or moment.utc_now()) - self.fetched_at).total_seconds())

    def stale(self, now: datetime | None = None) -> bool:
        """True where the items are older than three intervals."""
        age = self.age_s(now)
        return age is None or age > STALE_AFTER_INTERVALS * self.interval_s

    def trust(self, now: datetime | None = None) -> Health:
        """`ok` while fresh, `warning` while stale, `unknown` when never fetched or older than five minutes."""
        age = self.age_s(now)
        if age is None or age > max(UNKNOWN_AFTER_S, STALE_AFTER_INTERVALS * self.interval_s):
            return "unknown"
        return "warning" if self.stale(now) else "ok"


class Read(Struct, frozen=True):
    """One read of a source: when it was there, how long it took, and why it failed, if it did."""

    at: datetime
    ms: float
    error: str = ""


Listener = Callable[[Snapshot], None]


class Store:
    """Snapshots by source. Feeds put, panels listen; everything happens on the event loop."""

    def __init__(self) -> None:
        self._snapshots: dict[SourceKey, Snapshot] = {}
        self._reads: dict[SourceKey, deque[Read]] = {}
        self._listeners: list[Listener] = []
        self.defects = Defects()

    def put(self, snapshot: Snapshot) -> None:
        """Replace what was known of one source and tell everybody."""
        before = self._snapshots.get(snapshot.key)
        if before is None or _read(before) != _read(snapshot):
            self._note(snapshot)
        self._snapshots[snapshot.key] = snapshot
        for listener in tuple(self._listeners):
            try:
                listener(snapshot)
            except Exception as defect:  # not the source's, nor of those that hear of it too
                self.defects.happened(defect)

    def expect(self, snapshot: Snapshot) -> None:
        """A source that is configured and was not read yet; whoever is told of what is read is not told of it."""
        self._snapshots.setdefault(snapshot.key, snapshot)

    def get(self, key: SourceKey) -> Snapshot | None:
        """What is known of one source; None for one that nobody expects."""
        return self._snapshots.get(key)

    def reads(self, key: SourceKey) -> Sequence[Read]:
        """The last reads of one source that were timed, oldest first."""
        return tuple(self._reads.get(key, ()))

    def _note(self, snapshot: Snapshot) -> None:
        if snapshot.latency_ms is None:
            return
        failed = snapshot.error
        at = snapshot.fetched_at if failed is None and snapshot.fetched_at is not None else moment.utc_now()
        read = Read(at, snapshot.latency_ms, failed.message if failed is not None else "")
        self._reads.setdefault(snapshot.key, deque(maxlen=READS_KEPT)).append(read)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each snapshot from now on; returns the way to stop."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def snapshots(self, panel: Panel | None = None) -> list[Snapshot]:
        """What is known, in the order of panels and names; of one panel or of all."""
        return [self._snapshots[key] for key in sorted(self._snapshots) if panel is None or key.panel == panel]

    def items(self, panel: Panel) -> list[Any]:
        """The items of all sources of one panel, as last read."""
        return [item for snapshot in self.snapshots(panel) for item in snapshot.items]


def _read(snapshot: Snapshot) -> tuple[object, ...]:
    """What is another with each read, and stays where only items are judged anew."""
    return snapshot.fetched_at, snapshot.latency_ms, snapshot.error
