"""Who runs an action. A lease with a fence number in the journal; on one host, a file locked for the owner's life.

A pid is used again and a clock may jump; a lock ends with the process that holds it. So on the same host a free lock
file proves that the owner is dead, whatever the lease says; from another host only an expired lease does.
"""

import contextlib
import os
import time
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from actions.journal.location import OWNERS, make_directory
from actions.models import Owner
from backends.errors import BackendError
from backends.file_locks import is_locked, locked_or_closed
from backends.files import open_plain, read_regular
from backends.processes import boot_id
from backends.redaction import redacted
from backends.text import clean

TAKE_WAIT_S = 1.0
LAST_WORDS_BYTES = 256
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # it goes on while the host sleeps


class LeaseTimes(Struct, frozen=True, kw_only=True):
    """A lease lasts `ttl_s` and is renewed every `renew_s`. A runner that has not renewed it for `self_fence_s` takes
    it to be lost before anybody else may win it, whatever the clocks of both hosts say."""

    ttl_s: float = 60.0
    renew_s: float = 10.0
    self_fence_s: float = 40.0


LONGEST_S = 2 * LeaseTimes().ttl_s
"""A lease is renewed for `ttl_s`. One that ends later than this, by any clock, was never won: it holds nobody up."""


class Lease(Struct, frozen=True):
    """A lease that was won: every write of the runner carries its `fence`, a number of `journal` alone."""

    action_id: str
    context: str
    service: str
    fence: int
    owner: Owner
    journal: str = ""


class LeaseLost(Exception):
    """Another runner took the action over; whoever holds the older fence only watches from now on."""


def left_s(owner: Owner, at: datetime) -> float:
    """Seconds until the lease of `owner` ends where the journal's clock says `at`; on its host and in its boot by the
    clock since boot, whatever became of the other one."""
    if owner.lease_ends_s and owner.boot == boot_id() != "":
        return owner.lease_ends_s - steady_clock()
    assert owner.lease_expires_at is not None
    return (owner.lease_expires_at - at).total_seconds()


def is_over(owner: Owner, at: datetime) -> bool:
    """Whether it is, or was never won."""
    return not 0 < left_s(owner, at) <= LONGEST_S


def ending_in(owner: Owner, at: datetime, seconds: float) -> Owner:
    """`owner` with a lease that ends so long after `at`."""
    ends_s = steady_clock() + seconds if owner.boot else 0.0
    return replace(owner, lease_expires_at=at + timedelta(seconds=seconds), seen_at=at, lease_ends_s=ends_s)


def steady_clock() -> float:
    """Seconds that no one can set, and that pass also while this process or its host is stopped."""
    return time.clock_gettime(_CLOCK)


class LeaseHeld(Exception):
    """The action has an owner that is alive."""

    def __init__(self, owner: Owner | None) -> None:
        who = f"{owner.user}@{owner.host} (pid {owner.pid})" if owner else "another runner"
        super().__init__(f"{who} runs it")
        self.owner = owner


def owner_file(directory: Path, action_id: str) -> Path:
    """The file that the owner of an action keeps locked."""
    return directory / OWNERS / f"{os.path.basename(action_id)}.lock"


def take(path: Path) -> int | None:
    """The descriptor of the locked file; None where another process keeps it locked. Blocks up to 1 s. Raises
    OSError."""
    make_directory(path.parent)
    opened = open_plain(path, os.O_RDWR, 0o660, exact=True)  # or the umask keeps the other operators out
    descriptor = locked_or_closed(opened, TAKE_WAIT_S)  # a reader that looks holds it shared for an instant
    if descriptor is not None:
        leave_words(descriptor, "")  # room for its own, on a disk that may be full by then
    return descriptor


def handed_over(descriptor: int, path: Path) -> bool:
    """Whether whoever started this process gave it the file at `path` open, as `take` does. It is kept from the
    commands of this process, which would hold it when this process is dead."""
    try:
        here, there = os.fstat(descriptor), path.stat()
        os.set_inheritable(descriptor, False)
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino) and is_held(path)


def leave_words(descriptor: int, words: str) -> None:
    """Why its owner ends before its action, in the locked file itself: what it could not write anywhere else. Nothing
    is raised where there is no room for it either."""
    with contextlib.suppress(OSError):
        os.pwrite(descriptor, words.encode()[:LAST_WORDS_BYTES].ljust(LAST_WORDS_BYTES), 0)


def why_ended(error: Exception) -> str:
    """One line that says why a runner ends: what it expected in its own words, anything else with its type."""
    if isinstance(error, BackendError):
        return error.message
    return clean(redacted(f"{type(error).__name__}: {str(error) or 'without a word'}"), LAST_WORDS_BYTES)


def leave_behind(directory: Path, action_id: str, words: str) -> None:
    """The same of a runner that ends before it has locked the file of its action, or just after. Nothing where another
    holds that."""
    with contextlib.suppress(OSError):
        path = owner_file(directory, action_id)
        descriptor = take(path)
        if descriptor is not None:
            leave_words(descriptor, words)
            release(descriptor, path, ended=False)


def last_words(path: Path) -> str:
    """What the last owner left there; empty where that is nothing, or can not be read."""
    try:
        return clean(read_regular(path, LAST_WORDS_BYTES).decode(errors="ignore"), LAST_WORDS_BYTES).strip()
    except OSError:
        return ""


def release(descriptor: int, path: Path, *, ended: bool) -> None:
    """Unlock; the file goes only with an ended action, which nobody takes any more."""
    if ended:
        path.unlink(missing_ok=True)
    os.close(descriptor)


def living(directory: Path) -> list[str]:
    """The ids of the actions whose owner lives on this host and keeps its files in `directory`. Raises OSError where
    that can not be looked at."""
    try:
        names = os.listdir(directory / OWNERS)
    except FileNotFoundError:
        return []
    files = [directory / OWNERS / name for name in names if name.endswith(".lock")]
    return sorted(path.stem for path in files if is_held(path))


def is_held(path: Path) -> bool:
    """Whether a living process of this host holds it; what can not be looked at is taken to be alive."""
    try:
        return is_locked(path)
    except FileNotFoundError:
        return False
    except OSError:
        return True
