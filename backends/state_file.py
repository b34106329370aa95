"""A small file that several processes share: replaced whole and atomically, under a lock beside it."""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from backends.file_locks import lock_within
from backends.files import open_plain, read_regular

LOCK_WAIT_S = 2.0


def state_file(directory: Path, name: str, of: Iterable[str], kind: str) -> "StateFile":
    """What the entry `name` keeps of `of`, the things that it is about: another config may have an entry and a context
    of the same names. A file of before, named by the entry alone, is read until it is written anew."""
    told = sha256("\n".join(sorted(of)).encode()).hexdigest()[:12]
    return StateFile(directory / f"{name}-{told}.{kind}", before=directory / f"{name}.{kind}")


class StateFile:
    """All methods block, and raise OSError."""

    def __init__(self, path: Path, before: Path | None = None) -> None:
        """`before`: the name that it had in an older version, read for as long as there is nothing under its own."""
        self.path = path
        self._before = before

    def read(self, limit: int = -1) -> bytes | None:
        """The content, at most `limit` bytes of it; None where there is no such file."""
        for path in filter(None, (self.path, self._before)):
            try:
                return read_regular(path, limit)
            except FileNotFoundError:
                continue
        return None

    def replace(self, content: bytes) -> None:
        """The whole content, synced before it takes the name."""
        handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with open(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with it; makes its directory. The lock is a file beside it, since the file itself is replaced."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(open_plain(self.path.with_name(f".{self.path.name}.lock"), os.O_RDWR), "rb+") as lock:
            if not lock_within(lock.fileno(), LOCK_WAIT_S):
                raise OSError("locked by another process")
            yield
