"""A copy of a journal's file in memory, to read what it said last.

A disk without room, a lock or a read-only file system keeps SQLite from the original, and no one from its bytes.
Another process reads them: to close a file drops every lock that this process has on it, those of SQLite too, and
whoever closes the journal next deletes the log that this process goes on to write (sqlite.org/howtocorrupt.html, 2.2).
"""

import asyncio
import contextlib
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from actions.journal.errors import JournalError
from actions.journal.journal import Journal
from actions.journal.location import FILE_NAME, JournalLocation
from backends.text import clean

MEMORY = Path("/dev/shm")
LARGEST_BYTES = 256 * 1024 * 1024
COPY_TIMEOUT_S = 20.0  # a disk that hangs: the way back goes by the mark on the switch then


@contextlib.asynccontextmanager
async def copied(location: JournalLocation) -> AsyncIterator[Journal]:
    """A journal of the same locks and other bytes. Raises JournalError where none that is whole can be had in time."""
    if location.path is None:
        raise JournalError("unreachable", f"journal {location.name}: no copy of a server")
    with _directory(location) as directory:
        path = Path(directory) / FILE_NAME
        try:
            await asyncio.to_thread(_copy, location.path, path)
        except OSError as error:
            raise JournalError("unreachable", f"journal {location.name}: {error.strerror or error}") from None
        where = JournalLocation(f"sqlite:///{path}", path, location.directory, location.shared)
        journal = Journal(where)
        try:
            await journal.check_whole()
            yield journal
        finally:
            await journal.aclose()


def in_memory() -> Path | None:
    """A file system that no full disk concerns, where the host has one."""
    return MEMORY if MEMORY.is_dir() else None


@contextlib.contextmanager
def _directory(location: JournalLocation) -> Iterator[str]:
    try:
        made = tempfile.TemporaryDirectory(prefix="teal-", dir=in_memory())
    except OSError as error:
        raise JournalError("unreachable", f"journal {location.name}: {error.strerror or error}") from None
    with made as directory:
        yield directory


def _copy(source: Path, to: Path) -> None:
    """The file first: what is written back into it meanwhile is in the log, too. A log without an end is cut there."""
    if not source.is_file() or source.stat().st_size > LARGEST_BYTES:
        raise OSError(0, "not a file that can be copied into memory")
    _in_another_process(source, to)
    log = Path(f"{source}-wal")
    if log.exists():
        _in_another_process(log, Path(f"{to}-wal"))


def _in_another_process(source: Path, to: Path) -> None:
    try:
        done = subprocess.run(
            ["cp", "--", source, to],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=COPY_TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise OSError(0, f"not copied in {COPY_TIMEOUT_S:g} s") from None
    if done.returncode != 0 and source.exists():  # a log goes with the last who has the journal open
        raise OSError(0, clean(done.stderr, 200) or "it can not be copied")
