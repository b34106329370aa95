"""Commands that a config names: without stdin, bounded in time and output, ended with all that they started.

A command waits for a word before it begins, and gets it once its owner has recorded it: whoever started it may be
killed at any instant, and either it has had no effect, or it is known where it runs.
"""

import asyncio
import contextlib
import errno
import os
import secrets
import shutil
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from backends import pipes, processes
from backends.environment import MARK, command_environment
from backends.ownership import refuse_unsafe_command
from backends.processes import Running
from backends.redaction import redacted
from backends.text import clean

KEPT_BYTES = 16 * 1024
SUCCEEDED = "exit status 0"
GATE = ("/bin/sh", "-c", 'read -r _ || exit 125; exec "$@" </dev/null', "sh")
"""Goes before a command whose stdin is a pipe: it begins at the first line in that, and never where that ends first."""


class CommandEnd(Struct, frozen=True):
    """How a command ended. `status` is None where it did not start or did not end by itself; `output` is the end of
    what it wrote, cleaned, a line each; `why` says in words what went wrong, empty for exit status 0."""

    status: int | None
    output: tuple[str, ...]
    why: str


class Owner(Protocol):
    """Who answers for the commands that are run on his behalf (`OWNER`)."""

    stopping: asyncio.Event
    """Set: a command that runs is ended at once."""
    environment: Mapping[str, str]
    """What it is told besides."""

    def left_s(self) -> float:
        """Seconds that a command may take."""

    async def started(self, command: Running) -> None:
        """Record it; it begins when this returns, and never where this raises."""

    async def ended(self, command: Running, how: str) -> None:
        """It is over, with all that must end with it: `how` is `SUCCEEDED`, or why not. Where that raises of one that
        succeeded, it is taken to have failed."""


OWNER: ContextVar[Owner | None] = ContextVar("OWNER", default=None)


async def run_bounded(
    command: Sequence[str], directory: Path, *, timeout_s: float, env: Iterable[str] = ()
) -> CommandEnd:
    """Run it in a process group of its own; `env` names variables that it gets besides (`command_environment`).

    At the deadline, where its owner stops it, or where the caller is cancelled, it is ended with all that it started;
    so is what a command that failed has left. What one that succeeded has left is what it was meant to start.
    """
    owner, name = OWNER.get(), Path(command[0]).name
    if owner is not None:
        timeout_s = min(timeout_s, owner.left_s())
    if timeout_s <= 0:
        return CommandEnd(None, (), f"{name}: no time is left for it")
    mark = secrets.token_hex(8)
    told = {**command_environment(env), **(owner.environment if owner else {}), MARK: mark}
    async with _reading() as said:
        try:
            startable(command[0], directory, told.get("PATH", os.defpath))
            await asyncio.to_thread(refuse_unsafe_command, command, directory)
            process = await asyncio.create_subprocess_exec(
                *GATE, *command, cwd=directory, env=told, stdin=asyncio.subprocess.PIPE,
                stdout=said.end, stderr=said.end, start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            return CommandEnd(None, (), f"{name}: {getattr(error, 'strerror', None) or error}")
        finally:
            os.close(said.end)
        now = datetime.now(UTC)
        record = processes.running(process.pid, name, mark, now, now + timedelta(seconds=timeout_s))
        how, over = "interrupted", False
        try:
            if owner is not None:
                await owner.started(record)
            ended = await _run(process, record, owner, said, timeout_s)
            how, over = ended.why or SUCCEEDED, not ended.why
            if not over and not (over := await _end(process, record)):
                return replace(ended, why=f"{ended.why}; what it started can not be ended from here")
            return ended
        finally:
            over = over or await _end(process, record)
            if owner is not None and over:
                await owner.ended(record, how)


def filled(command: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """`command` with exactly the placeholders of `values` replaced (`{color}`); other braces stay."""
    found = []
    for word in command:
        for name, value in values.items():
            word = word.replace(f"{{{name}}}", value)
        found.append(word)
    return found


def startable(program: str, directory: Path, path: str) -> None:
    """Raises the OSError that an attempt would: the shell that waits at the gate only says it in its own words."""
    found = str(directory / program) if "/" in program else shutil.which(program, path=path)
    if found is None or not os.path.exists(found):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if os.path.isdir(found) or not os.access(found, os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


async def _run(
    process: asyncio.subprocess.Process, record: Running, owner: Owner | None, said: "_Said", timeout_s: float
) -> CommandEnd:
    """Let it begin, and wait for its end."""
    assert process.stdin is not None
    waiting = {asyncio.create_task(process.wait())}
    if owner is not None:
        waiting.add(asyncio.create_task(owner.stopping.wait()))
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has ended by itself
            process.stdin.write(b"\n")
            process.stdin.close()
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
    if process.returncode is not None:
        return _ended(record.name, process.returncode, await said())
    stopped = owner is not None and owner.stopping.is_set()
    why = "ended before its time" if stopped else f"no end in {timeout_s:.0f} s, killed"
    await _end(process, record)
    return CommandEnd(None, await said(), f"{record.name}: {why}")


def _ended(name: str, status: int, said: tuple[str, ...]) -> CommandEnd:
    if status == 0:
        return CommandEnd(0, said, "")
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    last = f": {said[-1]}" if said else ""
    return CommandEnd(status, said, f"{name}: {how}{last}")


@contextlib.asynccontextmanager
async def _reading() -> AsyncIterator["_Said"]:
    reads, writes = os.pipe()
    async with pipes.reading(reads) as reader:
        said = _Said(reader, writes)
        try:
            yield said
        finally:
            said.task.cancel()


class _Said:
    """The last that a command writes into the pipe whose writing `end` it is given."""

    def __init__(self, stream: asyncio.StreamReader, end: int) -> None:
        self.end = end
        self._kept: deque[bytes] = deque()
        self.task = asyncio.create_task(self._read(stream))

    async def __call__(self) -> tuple[str, ...]:
        """In lines; what it has left running may go on to write, and is not waited for."""
        await asyncio.wait({self.task}, timeout=1.0)
        whole = b"".join(self._kept)
        lines = redacted(whole.decode("utf-8", "replace")).splitlines()
        if len(whole) > KEPT_BYTES and len(lines) > 1:
            del lines[0]  # its beginning is gone, and what is left may be half of a secret
        return tuple(line for raw in lines[-20:] if (line := clean(raw, 300).strip()))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        kept, size = self._kept, 0
        while chunk := await stream.read(4096):
            kept.append(chunk)
            size += len(chunk)
            while size - len(kept[0]) >= KEPT_BYTES:
                size -= len(kept.popleft())


async def _end(process: asyncio.subprocess.Process, record: Running) -> bool:
    """End all of it; on a system without /proc, its group. False where something of it lives on: another user's."""
    left = []
    if record.start_ticks is not None:
        left = await processes.end(record, child=True)
    else:
        await processes.end_group(process.pid)
    if left:
        return False
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(processes.KILL_AFTER_S):
            await process.wait()
    return True
