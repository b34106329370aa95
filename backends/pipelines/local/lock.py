"""Is the process of a run alive? It is while its lock file is locked: pids are used again, locks end with their holder.

The lock belongs to the open file, which whoever starts the process takes first and hands over: there is no moment at
which a run has begun and its lock is free.
"""

import os
from pathlib import Path

from backends.file_locks import is_locked, locked_or_closed
from backends.files import open_plain


def take(path: Path, wait_s: float) -> int | None:
    """The descriptor of the locked file, or None where it stays locked for `wait_s`. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = open_plain(path, os.O_RDWR, 0o644)
    return locked_or_closed(descriptor, wait_s)


def is_held(path: Path) -> bool | None:
    """Whether somebody holds the lock; None where the file cannot be looked at from here."""
    try:
        return is_locked(path)
    except OSError:
        return None
