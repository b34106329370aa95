"""Files opened for reading without ever waiting: a pipe under the name of a file would hold its thread for ever."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


class NotRegular(OSError):
    """It is there, and is a pipe, a socket or a device."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "not a regular file", str(path))


def open_regular(path: Path, *, buffering: int = -1) -> BinaryIO:
    """A file open for reading. Raises OSError; NotRegular for a pipe or a device, which are not read from."""
    file = open(path, "rb", buffering, opener=_without_waiting)  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise NotRegular(path)
    return file


def read_regular(path: Path, limit: int = -1) -> bytes:
    """The content, at most `limit` bytes of it. Raises as `open_regular`."""
    with open_regular(path) as file:
        return file.read(limit)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
