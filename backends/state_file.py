"""A small file that several processes share: replaced whole and atomically, under a lock beside it."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from backends.file_locks import lock_within
from backends.files import open_plain, read_regular

LOCK_WAIT_S = 2.0


class StateFile:
    """All methods block, and raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes | None:
        """The content; None where there is no such file."""
        try:
            return read_regular(self.path)
        except FileNotFoundError:
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
