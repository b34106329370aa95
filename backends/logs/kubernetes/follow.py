"""Following the logs of pods that come and go: one connection for each container, opened again where it ended."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.logs.kubernetes.lines import Place, Position, entry_of, log_path
from backends.logs.merging import gap
from backends.logs.reading import LineFilter
from backends.models import LogEntry

LOOK_S = 2.0
IDLE_S = 60.0  # a silent connection may be a dead one: it is opened anew, which costs nothing
AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)
FRUITLESS = 3  # after so many attempts it is said
MAX_STREAMS = 64
MAX_WAITING = 2000


class PodFollower:
    """`entries()` until it is closed. `positions`: how far the logs that were there were read."""

    def __init__(
        self,
        api: KubernetesApi,
        places: Callable[[], Awaitable[list[Place]]],
        positions: dict[str, Position],
        wanted: LineFilter,
    ) -> None:
        self._api = api
        self._find = places
        self._positions = positions
        self._wanted = wanted
        self._known: dict[str, Place] = {}
        self._waiting: asyncio.Queue[LogEntry | BackendError] = asyncio.Queue(MAX_WAITING)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._left_out: set[str] = set()

    async def entries(self) -> AsyncGenerator[LogEntry, None]:
        """Raises BackendError where the pods cannot be listed at all."""
        looking = asyncio.create_task(self._look(), name="pods")
        try:
            while True:
                found = await self._waiting.get()
                if isinstance(found, BackendError):
                    raise found
                yield found
        finally:
            tasks = [looking, *self._tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            try:
                places = await self._find()
            except BackendError as error:
                if error.kind in ("auth", "not_found", "config"):
                    await self._waiting.put(error)
                    return
            else:
                self._known = {place.key: place for place in places}
                await self._follow_new()
            await asyncio.sleep(LOOK_S)

    async def _follow_new(self) -> None:
        self._tasks = {key: task for key, task in self._tasks.items() if key in self._known or not task.done()}
        for key, place in self._known.items():
            if key in self._tasks:
                continue
            if sum(not task.done() for task in self._tasks.values()) >= MAX_STREAMS:
                if key not in self._left_out:
                    self._left_out.add(key)
                    await self._waiting.put(gap(place.source, None, f"more than {MAX_STREAMS} containers at once"))
                continue
            self._tasks[key] = asyncio.create_task(self._follow(place), name=f"log {place.source}")

    async def _follow(self, place: Place) -> None:
        """To the end of the pod."""
        position = self._positions.pop(place.key, None) or Position(place.restarts)
        fruitless = 0
        while True:
            if place.restarts > position.restarts:
                await self._previous(place, position)
            try:
                came = await self._stream(place, position, follow="true")
                fruitless = 0 if came else fruitless + 1
                if place.has_ended:
                    return
            except BackendError as error:
                if error.status == 404:
                    return
                fruitless += error.kind != "timeout"
                if fruitless == FRUITLESS and error.status != 400:  # 400: it has not started yet
                    await self._waiting.put(gap(place.source, None, f"not read for now: {error.message}"))
                if error.kind == "auth":
                    await self._waiting.put(gap(place.source, None, error.message))
                    return
            await asyncio.sleep(AGAIN_S[min(fruitless, len(AGAIN_S) - 1)])
            # Whether it restarted must be known before the new container is read: then it is too late for the old one.
            with contextlib.suppress(BackendError):
                self._known = {one.key: one for one in await self._find()}
            if place.key not in self._known:
                return
            place = self._known[place.key]

    async def _previous(self, place: Place, position: Position) -> None:
        """What the container wrote between the last line that was read and its restart."""
        lost = place.restarts - position.restarts - 1
        position.restarts = place.restarts
        if lost > 0:
            await self._waiting.put(gap(place.source, None, f"it restarted {lost + 1} times in between"))
        with contextlib.suppress(BackendError):  # nothing is kept of it
            await self._stream(place, position, previous="true")

    async def _stream(self, place: Place, position: Position, **how: str) -> bool:
        """To the end of the answer, from where it was read to. Whether anything came."""
        params: dict[str, Any] = {"container": place.container, "timestamps": "true", **how}
        position.rewind()
        came = False
        if position.since is not None:
            params["sinceTime"] = position.since
        lines = self._api.lines(await log_path(self._api, place), params=params, idle_s=IDLE_S)
        async with contextlib.aclosing(lines):
            async for line in lines:
                if position.advance(line):
                    came = True
                    entry = entry_of(line, place, self._wanted, previous="previous" in how)
                    if entry is not None:
                        await self._waiting.put(entry)
        return came
