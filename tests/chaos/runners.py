"""Runners by the hundred: one process that has imported everything forks each of them, real and by itself.

A thousand rounds of two runners each spend most of their time in importing SQLAlchemy otherwise.
"""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import msgspec
from msgspec import Struct


class Job(Struct, frozen=True):
    """`arguments` of `tests.chaos.doomed`, and the journal that they speak of."""

    number: int
    arguments: list[str]
    journal: str


class Told(Struct, frozen=True):
    """A runner's process; `code` once it has ended (negative: the signal that ended it)."""

    number: int
    pid: int
    code: int | None = None


class Runner:
    """One process."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0
        self.code: int | None = None
        self.started, self.ended = asyncio.Event(), asyncio.Event()

    async def wait(self) -> int:
        """How it ended."""
        await self.ended.wait()
        assert self.code is not None
        return self.code

    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.code is not None

    def kill(self) -> None:
        """SIGKILL, if it lives."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """As of a process."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Runners:
    """The process that forks them; started with the first."""

    def __init__(self) -> None:
        self._forker: asyncio.subprocess.Process | None = None
        self._known: dict[int, Runner] = {}
        self._reading: asyncio.Task[None] | None = None

    async def start(self, arguments: list[str], journal: str) -> Runner:
        """A runner that has begun to live."""
        if self._forker is None:
            self._forker = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.chaos.doomed", "--serve", cwd=Path(__file__).parents[2],
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            self._reading = asyncio.create_task(self._read(self._forker))
        assert self._forker.stdin is not None
        runner = self._known[len(self._known) + 1] = Runner(len(self._known) + 1)
        self._forker.stdin.write(msgspec.json.encode(Job(runner.number, arguments, journal)) + b"\n")
        await self._forker.stdin.drain()
        await runner.started.wait()
        return runner

    async def aclose(self) -> None:
        """End the one that forks; its children end by themselves."""
        if self._forker is None or self._forker.stdin is None or self._reading is None:
            return
        self._forker.stdin.close()
        await self._forker.wait()
        await self._reading
        self._forker = None

    async def _read(self, forker: asyncio.subprocess.Process) -> None:
        assert forker.stdout is not None
        async for line in forker.stdout:
            told = msgspec.json.decode(line, type=Told)
            runner = self._known[told.number]
            runner.pid, runner.code = told.pid, told.code
            runner.started.set()
            if told.code is not None:
                runner.ended.set()
