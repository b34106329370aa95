"""Is the process of a run alive? It is while its lock file is locked: pids are used again, locks end with their holder.

The lock belongs to the open file, which whoever starts the process takes first and hands over: there is no moment at
which a run has begun and its lock is free.
"""

import fcntl
import os
from pathlib import Path

from backends.file_locks import lock_within
from backends.files import open_plain


def take(path: Path, wait_s: float) -> int | None:
    """The descriptor of the locked file, or None where it stays locked for `wait_s`. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = open_plain(path, os.O_RDWR, 0o644)
    try:
        if lock_within(descriptor, wait_s):
            return descriptor
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def is_held(path: Path) -> bool | None:
    """Whether somebody holds the lock; None where the file cannot be looked at from here."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
