"""What an error is that this host brings about and no program: too many open files, no memory, a disk that is full."""

import errno
from collections.abc import Iterator

from backends.errors import BackendError
from backends.text import clean

_WORDS = {
    errno.EMFILE: ("too many open files", "raise the limit of this user: ulimit -n 4096"),
    errno.ENFILE: ("this host has too many open files", "see who holds them: lsof"),
    errno.ENOMEM: ("this host has no memory left", "see who takes it, or raise the limit (ulimit -v)"),
    errno.ENOSPC: ("no space is left", "free some, then try again"),
    errno.EDQUOT: ("the quota of this user is used up", "free some space, then try again"),
}


def limit_of(error: BaseException) -> tuple[str, str] | None:
    """What of this host ran out, and what to do; None for any other error."""
    for each in _behind(error, set()):
        if isinstance(each, MemoryError):
            return _WORDS[errno.ENOMEM]
        if isinstance(each, OSError) and each.errno in _WORDS:
            words, fix = _WORDS[each.errno]
            on_disk = isinstance(each.filename, str) and each.errno in (errno.ENOSPC, errno.EDQUOT)
            return (f"{each.filename}: {words}" if on_disk else words), fix
    return None


def unexpected(error: Exception, where: str) -> BackendError:
    """What is said of an error that no adapter should raise: its kind and place, no data; what this host lacks is no
    defect."""
    if (limit := limit_of(error)) is not None:
        return BackendError("unreachable", f"{where}: {limit[0]}", fix=limit[1])
    return BackendError("internal", f"{type(error).__name__} in {where}: {clean(str(error), 200)}")


def _behind(error: BaseException, seen: set[int]) -> Iterator[BaseException]:
    """The error and what led to it."""
    if id(error) in seen:
        return
    seen.add(id(error))
    yield error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for each in (*inner, error.__cause__, error.__context__):
        if each is not None:
            yield from _behind(each, seen)
