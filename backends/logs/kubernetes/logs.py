"""Logs of the pods that a label selector chooses: their end, a window of time, and what is being written.

```toml
[[contexts.production.logs]]
type = "kubernetes"
kubeconfig = "~/.kube/config"          # default: as kubectl looks for it, then the service account of the pod
kube_context = "prod"                  # default: the current one
namespace = "analytics"                # default: that of the context
selector = "app=analytics"             # as of `kubectl logs -l`; empty: every pod of the namespace
container = "analytics"                # default: all of a pod, those that prepare it too
```

Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#get-read-log-of-the-specified-pod
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.wire import Items, Pod
from backends.logs.kubernetes.follow import PodFollower
from backends.logs.kubernetes.lines import OVERLAP_S, Place, Position, entry_of, log_path, places_of, stamp_of
from backends.logs.lines import NANOSECONDS, nanoseconds
from backends.logs.merging import gap
from backends.logs.reading import LineFilter, line_filter
from backends.models import LogEntry
from backends.ports import LogQuery
from backends.registry import AdapterContext
from backends.together import together

AT_ONCE = 8
LEAST_TAIL = 50  # so that of the lines with the last one's time, all are seen
MAX_TAIL = 100_000  # lines of one container that are looked through for a pattern or a level


class KubernetesLogsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which pods of which cluster.

    kubeconfig: its path; by default as kubectl looks for it, then the service account of the pod.
    kube_context: by default the current one.
    namespace: by default that of the kube_context.
    selector: as of `kubectl logs -l`; empty: every pod of the namespace.
    container: by default all of a pod, those that prepare it, too.
    """

    kubeconfig: str = ""
    kube_context: str = ""
    namespace: str = ""
    selector: str = ""
    container: str = ""


class KubernetesLogs:
    """`Logs` over pods. A selector that matches none is no error: they may come."""

    api = 1
    Config = KubernetesLogsConfig

    def __init__(self, config: KubernetesLogsConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._api = KubernetesApi(
            kubeconfig=config.kubeconfig,
            context=config.kube_context,
            namespace=config.namespace,
            base_dir=context.base_dir,
        )

    async def query(self, query: LogQuery) -> list[LogEntry]:
        """The last `limit` matching lines over all containers, and over what ran in them before their last restart.

        Raises BackendError: `auth`, `unreachable`, …; `config` for a `grep` that is no regular expression.
        """
        wanted = line_filter(query, self._name)
        if query.limit <= 0:
            return []
        found, _ = await self._read(query, wanted)
        return found

    async def follow(self, query: LogQuery) -> AsyncIterator[LogEntry]:
        """What `query` gives, then what is written, also by pods that come later. Raises as `query`.

        A connection that ends is opened again where it was: no line is lost by that, and none comes twice.
        """
        wanted = line_filter(query, self._name)
        first, positions = await self._read(query, wanted)
        for entry in first if query.limit > 0 else ():
            yield entry
        following = PodFollower(self._api, self._places, positions, line_filter(replace(query, since=None), self._name))
        async with contextlib.aclosing(following.entries()) as entries:
            async for entry in entries:
                yield entry

    async def aclose(self) -> None:
        """Close the connections to the API server; safe to call twice."""
        await self._api.aclose()

    async def _places(self) -> list[Place]:
        params = {"labelSelector": self._config.selector} if self._config.selector else {}
        pods = (await self._api.get(await self._api.path("v1", "pods"), Items[Pod], params=params)).items
        return [place for pod in pods for place in places_of(pod, self._config.container)]

    async def _read(self, query: LogQuery, wanted: LineFilter) -> tuple[list[LogEntry], dict[str, Position]]:
        """The last matching lines of all containers in order of time, and how far each of them was read."""
        places = await self._places()
        turn = asyncio.Semaphore(AT_ONCE)

        async def read(place: Place) -> tuple[list[LogEntry], Position] | BackendError:
            async with turn:
                try:
                    return await self._read_one(place, query, wanted)
                except BackendError as error:
                    return error

        answers = await together(*(read(place) for place in places))
        entries: list[LogEntry] = []
        gaps: list[LogEntry] = []
        positions: dict[str, Position] = {}
        failures = [answer for answer in answers if isinstance(answer, BackendError)]
        if failures and len(failures) == len(answers):
            raise failures[0]
        for place, answer in zip(places, answers, strict=True):
            if isinstance(answer, BackendError):
                gaps.append(gap(place.source, None, answer.message))
                positions[place.key] = Position(place.restarts, time.time_ns())  # what was before is in the gap
            else:
                entries += answer[0]
                positions[place.key] = answer[1]
        entries.sort(key=lambda entry: int(entry.at_ns or 0))
        entries = entries[: query.limit] if query.first else entries[-query.limit :] if query.limit > 0 else []
        return [*gaps, *entries], positions

    async def _read_one(self, place: Place, query: LogQuery, wanted: LineFilter) -> tuple[list[LogEntry], Position]:
        found: deque[LogEntry] = deque(maxlen=None if query.first else max(1, query.limit))
        position = Position(place.restarts, nanoseconds(query.since) if query.since else 0)
        params: dict[str, Any] = {}
        most = None  # from where it is asked on, up to a time or a number of lines: however many there are later
        if not query.first and query.until is None:
            most = MAX_TAIL if query.grep is not None or query.level is not None else max(LEAST_TAIL, query.limit)
            params["tailLines"] = most
        if query.since is not None:
            params["sinceTime"] = query.since.strftime("%Y-%m-%dT%H:%M:%SZ")
        last_ns = nanoseconds(query.until) + OVERLAP_S * NANOSECONDS if query.until else None
        for previous in (True, False) if place.restarts else (False,):
            count, oldest = 0, 0
            async with contextlib.aclosing(self._lines(place, params, previous)) as lines:
                async for line in lines:
                    count += 1
                    at_ns = stamp_of(line) or 0
                    if last_ns is not None and at_ns > last_ns:
                        break
                    oldest = min(oldest or at_ns, at_ns)
                    if not previous:
                        position.advance(line)
                    entry = entry_of(line, place, wanted, previous=previous)
                    if entry is not None:
                        found.append(entry)
                        if query.first and len(found) >= query.limit:
                            return list(found), position
            if not previous and count == most:
                position.begin_at(oldest)
            if most == MAX_TAIL and count == most and len(found) < query.limit:
                found.appendleft(gap(place.source, None, f"only the last {most:,} lines were searched"))
        return list(found), position

    async def _lines(self, place: Place, params: dict[str, Any], previous: bool) -> AsyncGenerator[bytes, None]:
        more = {"container": place.container, "timestamps": "true"} | ({"previous": "true"} if previous else {})
        try:
            async for line in self._api.lines(await log_path(self._api, place), params=params | more, idle_s=10.0):
                yield line
        except BackendError as error:
            # 400: it has not started yet, or nothing is kept of what ran before. 404: it has gone since it was listed.
            if error.status not in (400, 404):
                raise
