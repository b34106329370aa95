"""Where artifacts are: what a storage gives, a directory of this host; `backends.artifacts.s3` is another."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from backends.errors import BackendError, ErrorKind
from backends.matching import Inode, inode_of
from backends.text import clean


class Artifact(Struct, frozen=True):
    """One file: its name under the root with `/` between its parts, bytes, seconds since the epoch, and a `tag` that
    changes with every write. `inode`: what other names of it share; None where a file has one name only."""

    name: str
    size: int
    modified_at: float
    tag: str
    inode: Inode | None = None
    is_link: bool = False


class Closed(Struct, frozen=True):
    """A place under the root that may not be looked into, named as an artifact is, and why; or one file, where a link
    leads nowhere."""

    name: str
    error: BackendError
    is_file: bool = False


class Content(Struct, frozen=True):
    """A file that was read; `body` is None where it still has the tag that was given."""

    artifact: Artifact
    body: bytes | None


class Storage(Protocol):
    """Where files are. `walk` and `read` block; all raise BackendError."""

    where: str

    async def open(self) -> None:
        """Resolve secrets; no I/O with the storage."""

    def walk(self) -> Iterator[Artifact | Closed]:
        """All files, at any depth, and what may not be looked into."""

    def read(self, name: str, *, unless: str, max_bytes: int) -> Content | None:
        """One file, without its body where its tag is `unless`; None where there is none."""


class Directory:
    """A directory of this host. A FIFO or a socket in it is no file; links to files are followed, those to
    directories are not."""

    def __init__(self, path: Path) -> None:
        self.where = clean(str(path), 200)
        self._path = path

    async def open(self) -> None:
        """Nothing to do."""

    def walk(self) -> Iterator[Artifact | Closed]:
        """Raises BackendError(unreachable) where it is not there, `auth` where it may not be read."""
        closed: list[OSError] = []
        with _translated(self.where):
            os.scandir(self._path).close()  # os.walk says nothing of a missing root
            for directory, _, names in os.walk(self._path, onerror=closed.append):
                for name in names:
                    path = Path(directory, name)
                    under = path.relative_to(self._path).as_posix()
                    try:
                        found = path.stat()
                    except OSError as error:
                        if not isinstance(error, FileNotFoundError) or path.is_symlink():
                            yield Closed(under, _as_backend(error, self.where), is_file=True)
                        continue
                    if stat.S_ISREG(found.st_mode):
                        artifact = _artifact(under, found)
                        yield replace(artifact, inode=inode_of(found), is_link=path.is_symlink())
        for refused in closed:
            if not isinstance(refused, FileNotFoundError):  # one that went away meanwhile holds nothing
                yield Closed(
                    Path(refused.filename).relative_to(self._path).as_posix(), _as_backend(refused, self.where)
                )

    def read(self, name: str, *, unless: str, max_bytes: int) -> Content | None:
        """As `Storage.read`; the directory itself has to be there."""
        with _translated(self.where):
            try:
                handle = os.open(self._path / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                self._path.stat()
                return None
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):  # of a directory, Python makes no file to close
                os.close(handle)
                raise BackendError("malformed", f"{self.where}: {clean(name, 200)} is not a file")
            with open(handle, "rb") as file:
                artifact = _artifact(name, found)
                if artifact.tag == unless:
                    return Content(artifact, None)
                refuse_large(self.where, artifact, max_bytes)
                return Content(artifact, file.read(max_bytes))


def refuse_large(where: str, artifact: Artifact, max_bytes: int) -> None:
    """Raises BackendError(malformed)."""
    if artifact.size > max_bytes:
        raise BackendError(
            "malformed",
            f"{where}: {clean(artifact.name, 200)} has {artifact.size >> 20} MB, more than {max_bytes >> 20} MB",
        )


def _artifact(name: str, found: os.stat_result) -> Artifact:
    return Artifact(name, found.st_size, found.st_mtime, f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}")


@contextlib.contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _as_backend(error, where) from None


def _as_backend(error: OSError, where: str) -> BackendError:
    kind: ErrorKind = "auth" if isinstance(error, PermissionError) else "unreachable"
    place = clean(str(error.filename or where), 200)
    return BackendError(kind, f"{place}: {(error.strerror or str(error)).lower()}", fix="check `path`")
