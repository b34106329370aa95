"""Backups in files: what matches the globs, in a thread that may be left behind where a file system hangs."""

import asyncio
import os
import stat
from glob import has_magic
from itertools import takewhile
from pathlib import Path

from msgspec import Struct

from backends.errors import BackendError, ErrorKind
from backends.matching import matching
from backends.paths import path_of
from backends.settings import Duration
from backends.stopwatch import timed
from backends.text import clean
from backends.threads import DaemonThreads

MAX_FILES = 100_000


class BackupFile(Struct, frozen=True, order=True):
    """A backup as its storage tells of it; they sort by age, oldest first. `archived`: the storage class that it must
    be restored from before it can be read."""

    written_at: float
    size: int
    path: str
    archived: str = ""


class Files:
    """Of file systems of this host."""

    noun = "file"

    def __init__(self, patterns: tuple[str, ...], base_dir: Path, *, timeout: Duration) -> None:
        self._patterns = patterns
        self._base_dir = base_dir
        self._timeout = timeout
        self._where = clean(", ".join(patterns), 200)
        self._threads = DaemonThreads(1, "backup")

    async def newest(self) -> tuple[list[BackupFile], list[BackendError]]:
        """The files, newest last, and what could not be looked at: one place of several does not take the others with
        it. Raises BackendError."""
        try:
            async with timed(self._timeout):
                files, unread = await asyncio.wrap_future(self._threads.submit(self._look))
        except TimeoutError:
            raise BackendError("timeout", f"{self._where}: no answer in {self._timeout}") from None
        except OSError as error:
            raise _refused(error) from None
        return files, [_refused(error) for error in unread]

    async def aclose(self) -> None:
        """Let the thread end; safe to call twice."""
        self._threads.close()

    def _look(self) -> tuple[list[BackupFile], list[OSError]]:
        look = matching((str(path_of(pattern, self._base_dir)) for pattern in self._patterns), most=MAX_FILES)
        if look.is_cut:
            raise OSError(0, f"more than {MAX_FILES} files: narrow the path", self._where)
        unread = list(look.closed)
        for pattern in look.unmatched:
            try:
                _refuse_missing(Path(pattern))
            except PermissionError:
                pass  # said as closed
            except OSError as error:
                unread.append(error)
        files: list[BackupFile] = []
        for match in look.found:
            try:
                file = _file(str(match.path))
            except OSError as error:
                unread.append(error)
            else:
                files += [file] if file is not None else []
        return sorted(files), [*unread, *(look.broken if files else ())]


def _refused(error: OSError) -> BackendError:
    kind: ErrorKind = "auth" if isinstance(error, PermissionError) else "unreachable"
    return BackendError(kind, f"{clean(str(error.filename), 200)}: {error.strerror}")


def _refuse_missing(pattern: Path) -> None:
    """Nothing matches in a directory that is not there, as of a file system that is not mounted."""
    fixed = takewhile(lambda part: not has_magic(part), pattern.parent.parts)
    with os.scandir(Path(*fixed)):
        pass


def _file(path: str) -> BackupFile | None:
    try:
        found = Path(path).stat()
    except FileNotFoundError:  # rotated away meanwhile
        return None
    return BackupFile(found.st_mtime, found.st_size, path) if stat.S_ISREG(found.st_mode) else None
