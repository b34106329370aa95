"""Files opened without ever waiting, since a pipe under the name of a file would hold its thread for ever; and, where
others may write in the same directory, without following what they put there."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_TRIES = 100  # a file may be taken away between two looks, by who has ended with it


class NotRegular(OSError):
    """It is there, and is a pipe, a socket or a device."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "not a regular file", str(path))


class Planted(OSError):
    """Something stands under the name that is not the file that was to be there."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(errno.EPERM, f"{what}: take it away", str(path))


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """What is raised within names the file: an OSError of a read, unlike one of an open, does not."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None


def open_regular(path: Path, *, buffering: int = -1) -> BinaryIO:
    """A file open for reading. Raises OSError; NotRegular for a pipe or a device, which are not read from."""
    file = open(path, "rb", buffering, opener=_without_waiting)  # noqa: SIM115 - the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise NotRegular(path)
    return file


def read_regular(path: Path, limit: int = -1) -> bytes:
    """The content, at most `limit` bytes of it. Raises as `open_regular`."""
    with open_regular(path) as file:
        return file.read(limit)


def open_plain(path: Path, flags: int, mode: int = 0o600, *, exact: bool = False) -> int:
    """The descriptor of a file in a directory where others may write too, which this call makes where it is not there.

    Never through a link, and no file that has a second name elsewhere. `mode` holds only for what this call makes;
    `exact`: in full, whatever the umask. Raises OSError: NotRegular for a pipe or a device, Planted for a link.
    """
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    for _ in range(_TRIES):
        try:
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            found = _open_found(path, flags & ~os.O_EXCL)
            if found is not None:
                return found
        else:
            if exact:
                os.fchmod(descriptor, mode)
            return descriptor
    raise Planted(path, "it comes and goes")


def write_plain(path: Path, content: bytes, mode: int = 0o600) -> None:
    """The whole content of a file as of `open_plain`, in place. Raises OSError."""
    with open(open_plain(path, os.O_WRONLY, mode), "wb") as file:
        file.truncate()
        file.write(content)


def must_be_plain(directory: Path) -> None:
    """Raises Planted for a link in the place of a directory, OSError where it is not there."""
    if stat.S_ISLNK(directory.lstat().st_mode):
        raise Planted(directory, "a symbolic link in the place of a directory")


def is_own_directory(directory: Path) -> bool:
    """Whether it is this user's, no link, and nobody else may write in it. Raises OSError."""
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return False
    own = found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and own


def _open_found(path: Path, flags: int) -> int | None:
    """None for one that is gone by now."""
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Planted(path, "a symbolic link in the place of a file") from None
        if error.errno == errno.ENXIO:
            raise NotRegular(path) from None
        raise
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise NotRegular(path)
    if found.st_nlink > 1:
        raise Planted(path, "a second name of another file")
    return None


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def no_file(path: Path) -> str:
    """Why what is there can hold no lines; empty where it can, where nothing is there, or where nobody may look."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    return "" if stat.S_ISREG(mode) else "a directory, not a file" if stat.S_ISDIR(mode) else "not a regular file"
