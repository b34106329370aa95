"""A lock is waited for, taken when it comes free, and given up at its time."""

import fcntl
import threading
from pathlib import Path

import pytest

from backends.file_locks import lock_within


def test_a_lock_is_waited_for_and_given_up_at_its_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as mine, path.open() as others:
        assert lock_within(mine.fileno(), 0)
        assert not lock_within(others.fileno(), 0)
        assert not lock_within(others.fileno(), 0.05)
        freed = threading.Timer(0.1, lambda: fcntl.flock(mine, fcntl.LOCK_UN))
        freed.start()
        assert lock_within(others.fileno(), 10)
        freed.join()


def test_what_can_not_be_locked_is_an_error(tmp_path: Path) -> None:
    stream = (tmp_path / "lock").open("w")
    number = stream.fileno()
    stream.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        lock_within(number, 0)
