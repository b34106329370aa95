"""Alone with a file, or not: advisory locks, which end with whoever holds them."""

import fcntl
import os
import time
from pathlib import Path

POLL_S = 0.02  # as long as another reader may hold a shared lock in order to look


def lock_within(descriptor: int, wait_s: float) -> bool:
    """Whether the open file was locked for us alone before `wait_s` were over; it stays so until it is closed by all
    that have it. Raises OSError where its file system has no locks."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_S)


def locked_or_closed(descriptor: int, wait_s: float) -> int | None:
    """The open file, locked for us alone; None, and it is closed, where another kept it for `wait_s`. Raises OSError,
    closed, too, where its file system has no locks."""
    try:
        if lock_within(descriptor, wait_s):
            return descriptor
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def is_locked(path: Path) -> bool:
    """Whether a living process of this host has it locked for itself alone. Raises OSError where nobody can look."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
