"""Pipes of our own for what a command writes: asyncio waits for its own with the process, and what a command leaves
running keeps them open. The process is waited for by itself, and then no longer for what others may still write.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

GRACE_S = 0.5
MAX_BYTES = 4 * 1024 * 1024
"""So much is kept; a command that writes on is read, and not kept."""


@contextlib.asynccontextmanager
async def reading(end: int) -> AsyncIterator[asyncio.StreamReader]:
    """What comes out of the reading `end` of a pipe, which it closes."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(end, "rb", buffering=0)
    )
    try:
        yield reader
    finally:
        transport.close()


class Output:
    """What is written to `end`, up to `MAX_BYTES`; whoever has started the command calls `started`."""

    def __init__(self, reader: asyncio.StreamReader, end: int) -> None:
        self.end = end
        self._is_ours = True
        self._kept = bytearray()
        self._task = asyncio.create_task(self._read(reader))

    def started(self) -> None:
        """From here on only the command, and what it starts, holds the pipe open."""
        if self._is_ours:
            self._is_ours = False
            os.close(self.end)

    async def whole(self) -> bytes:
        """Once the command has ended; what it has left running may go on to write, and is not waited for."""
        await asyncio.wait({self._task}, timeout=GRACE_S)
        return bytes(self._kept)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(65536):
            self._kept += chunk[: MAX_BYTES - len(self._kept)]

    def close(self) -> None:
        """Read no more."""
        self.started()
        self._task.cancel()


@contextlib.asynccontextmanager
async def output() -> AsyncIterator[Output]:
    """An `Output` for one command."""
    reads, writes = os.pipe()
    async with reading(reads) as reader:
        found = Output(reader, writes)
        try:
            yield found
        finally:
            found.close()
