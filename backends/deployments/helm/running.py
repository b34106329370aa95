"""Runs the commands that change a release: noted beside the release before they begin, and ended from wherever they can
be found."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextvars import copy_context
from pathlib import Path
from typing import Any

from backends import processes
from backends.commands import OWNER, CommandEnd, Owner, run_bounded
from backends.processes import Fate, Running

CLOSES_S = 1.0
AGAIN_S = 0.1
Note = Callable[[Running], Awaitable[None]]


class Runs:
    """Those that this process has begun."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[CommandEnd]] = set()
        self._noting: set[asyncio.Task[Any] | None] = set()

    def begin(
        self,
        command: Sequence[str],
        directory: Path,
        *,
        timeout_s: float,
        env: Sequence[str],
        told: Mapping[str, str],
        note: Note,
        after: Callable[[CommandEnd], Awaitable[None]],
    ) -> "asyncio.Task[CommandEnd]":
        """Start it; it runs on behind the order that began it. `note` is awaited before it has any effect, and where
        that raises it has none; `after` once it has ended."""

        async def run() -> CommandEnd:
            OWNER.set(_Noting(OWNER.get(), note, told))
            ended = await run_bounded(command, directory, timeout_s=timeout_s, env=env)
            self._noting.add(asyncio.current_task())
            await after(ended)
            return ended

        return self._keep(run())

    async def end(self, command: Running) -> bool:
        """End it, wherever it was begun; False where that can not be done from here."""
        await self._cancelled()
        if await asyncio.to_thread(processes.fate, command) == "elsewhere":
            return False
        until = time.monotonic() + processes.KILL_AFTER_S
        while await processes.end(command):  # one that just dies carries no mark any more
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(AGAIN_S)
        return True

    async def aclose(self) -> None:
        """End what runs still; safe to call twice."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=CLOSES_S)
        await self._cancelled()

    async def _cancelled(self) -> None:
        """Their commands ended; how one ended is noted to its end."""
        tasks = set(self._tasks)
        for task in tasks - self._noting:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _keep(self, doing: Coroutine[Any, Any, CommandEnd]) -> "asyncio.Task[CommandEnd]":
        task = asyncio.create_task(doing, context=copy_context())
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: "asyncio.Task[CommandEnd]") -> None:
        self._tasks.discard(task)
        self._noting.discard(task)
        if not task.cancelled():
            task.exception()  # told by the order that began it, where that still waits


def fate_of(command: Running | None) -> Fate:
    """Blocks."""
    return "gone" if command is None else processes.fate(command)


class _Noting:
    """The `Owner` of one command: notes it, besides what the owner of the order does."""

    def __init__(self, outer: Owner | None, note: Note, told: Mapping[str, str]) -> None:
        self.stopping = outer.stopping if outer is not None else asyncio.Event()
        self.environment: Mapping[str, str] = {**(outer.environment if outer is not None else {}), **told}
        self._outer = outer
        self._note = note

    def left_s(self) -> float:
        return self._outer.left_s() if self._outer is not None else float("inf")

    async def started(self, command: Running) -> None:
        if self._outer is not None:
            await self._outer.started(command)
        await self._note(command)

    async def ended(self, command: Running, how: str) -> None:
        if self._outer is not None:
            await self._outer.ended(command, how)
