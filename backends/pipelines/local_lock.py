"""Is the process of a run alive? It is while its lock file is locked: pids are used again, locks end with their holder.

The lock belongs to the open file, which whoever starts the process takes first and hands over: there is no moment at
which a run has begun and its lock is free.
"""

import fcntl
import os
import time
from pathlib import Path

_PROBE_S = 0.02  # as long as another reader may hold a shared lock in order to look


def take(path: Path, wait_s: float) -> int | None:
    """The descriptor of the locked file, or None where it stays locked for `wait_s`. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(_PROBE_S)
        except OSError:
            os.close(descriptor)
            raise


def is_held(path: Path) -> bool | None:
    """Whether somebody holds the lock; None where the file cannot be looked at from here."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
