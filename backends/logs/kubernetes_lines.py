"""One line of a pod's log, and how far a log was read."""

from datetime import UTC, datetime

from msgspec import Struct, structs

from backends.kubernetes_api import KubernetesApi
from backends.logs.lines import parse_text, parse_time
from backends.logs.reading import LineFilter
from backends.models import LogEntry


class Place(Struct, frozen=True, kw_only=True):
    """One container of one pod as it was looked at: how often it restarted, and whether it never will again."""

    uid: str
    pod: str
    container: str
    has_siblings: bool
    restarts: int
    has_ended: bool

    @property
    def key(self) -> str:
        """The same as long as the pod lives."""
        return f"{self.uid}/{self.container}"

    @property
    def source(self) -> str:
        """The pod, with its container where it has several."""
        return f"{self.pod}/{self.container}" if self.has_siblings else self.pod


async def log_path(api: KubernetesApi, place: Place) -> str:
    """Of its log in the API."""
    return await api.path("v1", "pods", place.pod, "log")


class Position:
    """How far a log was read: the time of its last line, and how many lines of that time there were.

    `sinceTime` is of whole seconds, so what it gives begins with lines that were read before; several lines may have
    one time.
    """

    def __init__(self, restarts: int = 0) -> None:
        self.restarts = restarts
        self._last_ns = 0
        self._count = 0
        self._to_skip = 0

    @property
    def since(self) -> str | None:
        """The second of the last line, as the API wants it; None where there was no line."""
        if not self._last_ns:
            return None
        return datetime.fromtimestamp(self._last_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def rewind(self) -> None:
        """The log is read again from `since` on: what was read comes once more."""
        self._to_skip = self._count

    def advance(self, line: bytes) -> bool:
        """Whether that line is new; it is read then. A line without a time is (nobody can tell)."""
        at_ns = stamp_of(line)
        if at_ns is None:
            return True
        if at_ns < self._last_ns:
            return False
        if at_ns == self._last_ns:
            if self._to_skip > 0:
                self._to_skip -= 1
                return False
            self._count += 1
            return True
        self._last_ns, self._count, self._to_skip = at_ns, 1, 0
        return True


def stamp_of(line: bytes) -> int | None:
    """The time that the node put before a line, in nanoseconds."""
    found = parse_time(line.partition(b" ")[0].decode("ascii", "replace"))
    return found[1] if found else None


def entry_of(line: bytes, place: Place, wanted: LineFilter, *, previous: bool = False) -> LogEntry | None:
    """The line with the time at which the node got it; None where it is not `wanted`."""
    stamp, _, rest = line.partition(b" ")
    at = parse_time(stamp.decode("ascii", "replace"))
    text = (rest if at else line).decode("utf-8", "replace")
    if not text.strip() or (wanted.level is None and not wanted.matches(text)):
        return None
    labels = {"pod": place.pod, "container": place.container} | ({"previous": "true"} if previous else {})
    entry = parse_text(text, source=place.source, labels=labels)
    if at:
        entry = structs.replace(entry, at=at[0], at_ns=str(at[1]))
    return entry if wanted.takes(text, entry, (place.key, previous)) else None
