"""Alone with a file, or not: advisory locks, which end with whoever holds them."""

import fcntl
import time

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
