"""Commands that a config names: without stdin, bounded in time and output, ended with all that they started."""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from backends.text import clean

KEPT_BYTES = 16 * 1024
KILL_AFTER_S = 3.0


class CommandEnd(Struct, frozen=True):
    """How a command ended. `status` is None where it did not start or did not end in time; `output` is the end of what
    it wrote, cleaned, a line each; `why` says in words what went wrong, empty for exit status 0."""

    status: int | None
    output: tuple[str, ...]
    why: str


async def run_bounded(command: Sequence[str], directory: Path, *, timeout_s: float) -> CommandEnd:
    """Run it in a process group of its own. At the deadline, or where the caller is cancelled, the group is killed."""
    name = Path(command[0]).name
    try:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=directory, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        return CommandEnd(None, (), f"{name}: {getattr(error, 'strerror', None) or error}")
    assert process.stdout is not None
    kept: deque[bytes] = deque()
    reading = asyncio.create_task(_read_end(process.stdout, kept))
    try:
        async with asyncio.timeout(timeout_s):
            await process.wait()
    except TimeoutError:
        await _kill(process)
        return CommandEnd(None, await _said(reading, kept), f"{name}: no end in {timeout_s:.0f} s, killed")
    except asyncio.CancelledError:
        await _kill(process)
        reading.cancel()
        raise
    said = await _said(reading, kept)
    if process.returncode == 0:
        return CommandEnd(0, said, "")
    status = process.returncode or 0
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    last = f": {said[-1]}" if said else ""
    return CommandEnd(status, said, f"{name}: {how}{last}")


def filled(command: Sequence[str], values: dict[str, str]) -> list[str]:
    """`command` with exactly the placeholders of `values` replaced (`{color}`); other braces stay."""
    found = []
    for word in command:
        for name, value in values.items():
            word = word.replace(f"{{{name}}}", value)
        found.append(word)
    return found


async def _read_end(stream: asyncio.StreamReader, kept: deque[bytes]) -> None:
    size = 0
    while chunk := await stream.read(4096):
        kept.append(chunk)
        size += len(chunk)
        while size - len(kept[0]) >= KEPT_BYTES:
            size -= len(kept.popleft())


async def _said(reading: "asyncio.Task[None]", kept: deque[bytes]) -> tuple[str, ...]:
    # A grandchild that has left the group may keep the pipe open for ever.
    await asyncio.wait({reading}, timeout=1.0)
    reading.cancel()
    text = b"".join(kept)[-KEPT_BYTES:].decode("utf-8", "replace")
    return tuple(line for raw in text.splitlines()[-20:] if (line := clean(raw, 300).strip()))


async def _kill(process: asyncio.subprocess.Process) -> None:
    for number, grace_s in ((signal.SIGTERM, KILL_AFTER_S), (signal.SIGKILL, KILL_AFTER_S)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await process.wait()
                break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
