"""One line of a pod's log, and how far a log was read."""

from collections import Counter
from datetime import UTC, datetime

from msgspec import Struct, structs

from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.wire import Pod
from backends.logs.lines import NANOSECONDS, parse_text, parse_time
from backends.logs.reading import LineFilter
from backends.models import LogEntry
from backends.text import clean

OVERLAP_S = 2  # so much older than the line before it may a line be: a container writes to two pipes at once


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


def places_of(pod: Pod, wanted: str) -> list[Place]:
    """The containers of a pod, those that prepare it and those for debugging too; or those of the name `wanted`."""
    spec, status = pod.spec, pod.status
    prepares = {one.name for one in spec.init_containers or () if one.restart_policy != "Always"}
    ephemeral = {one.name for one in spec.ephemeral_containers or ()}
    containers = [*(spec.init_containers or ()), *spec.containers, *(spec.ephemeral_containers or ())]
    all_statuses = (status.init_container_statuses, status.container_statuses, status.ephemeral_container_statuses)
    statuses = {one.name: one for some in all_statuses for one in some or ()}

    def has_ended(name: str) -> bool:
        state = statuses[name].state if name in statuses else None
        ended = state.terminated if state else None
        return ended is not None and (name in ephemeral or (name in prepares and ended.exit_code == 0))

    return [
        Place(
            uid=pod.metadata.uid,
            pod=clean(pod.metadata.name, 256),
            container=clean(one.name, 64),
            has_siblings=len(containers) > 1,
            restarts=statuses[one.name].restart_count if one.name in statuses else 0,
            has_ended=status.phase in ("Succeeded", "Failed") or has_ended(one.name),
        )
        for one in containers
        if wanted in ("", one.name)
    ]


class Position:
    """How far a log was read: which lines of its last seconds, since a line may be a little older than the one before.

    `sinceTime` is of whole seconds, so what it gives begins with lines that were read before; several lines may have
    one time, and may be the same. `begins_ns`: what is older is not asked for.
    """

    def __init__(self, restarts: int = 0, begins_ns: int = 0) -> None:
        self.restarts = restarts
        self._begins_ns = begins_ns
        self._newest_s = 0
        self._read: dict[int, Counter[int]] = {}  # by second: lines, by their hashes
        self._again: Counter[int] = Counter()

    @property
    def since(self) -> str | None:
        """The second from which to read on, as the API wants it; None where there was no line."""
        second = max(self._newest_s - OVERLAP_S, self._begins_ns // NANOSECONDS)
        return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if second > 0 else None

    def begin_at(self, ns: int) -> None:
        """Only the end of the log was read, from this time on."""
        self._begins_ns = max(self._begins_ns, ns)

    def rewind(self) -> None:
        """The log is read again from `since` on: what was read comes once more."""
        self._again = Counter()
        for lines in self._read.values():
            self._again += lines

    def advance(self, line: bytes) -> bool:
        """Whether that line is new; it is read then. A line without a time is (nobody can tell)."""
        at_ns = stamp_of(line)
        if at_ns is None:
            return True
        known = hash(line)
        if self._again[known] > 0:
            self._again[known] -= 1
            return False
        if at_ns < self._begins_ns:
            return False
        second = at_ns // NANOSECONDS
        if second > self._newest_s:
            self._newest_s = second
            self._read = {one: lines for one, lines in self._read.items() if one >= second - OVERLAP_S}
        if second >= self._newest_s - OVERLAP_S:
            self._read.setdefault(second, Counter())[known] += 1
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
