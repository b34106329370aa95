"""How much room is left on a file system, and whether that will do for what is still to be written there."""

import os
from pathlib import Path

from msgspec import Struct

from backends.models import Health

ACTION_BYTES = 2**20
"""Less than the records of one action may take: nothing new is begun."""
LOW_BYTES = 32 * 2**20
_UNITS = ((2**20, "MiB"), (2**10, "KiB"), (1, "B"))
FIX = "free some, then try again"


class Room(Struct, frozen=True):
    """What is left at `place`, for this user; `free_files` is None where the file system counts none."""

    place: str
    free_bytes: int
    free_files: int | None = None

    @property
    def health(self) -> Health:
        """Critical where an action would not have room for its records, a warning where it soon will not."""
        if self.free_files == 0 or self.free_bytes < ACTION_BYTES:
            return "critical"
        return "warning" if self.free_bytes < LOW_BYTES else "ok"

    @property
    def words(self) -> str:
        """`/var/lib/tealdeck: no space is left (0 B free, an action needs 1 MiB)`; empty where there is enough."""
        if self.health == "ok":
            return ""
        if self.free_files == 0:
            return f"{self.place}: no space is left (no more files can be made there)"
        state = "no space is left" if self.health == "critical" else "little space is left"
        return f"{self.place}: {state} ({_amount(self.free_bytes)} free, an action needs {_amount(ACTION_BYTES)})"


def room_at(path: Path) -> Room | None:
    """At the nearest directory of `path` that is there; None where nobody can say."""
    there = next((each for each in (path, *path.parents) if os.path.isdir(each)), None)
    if there is None:
        return None
    try:
        found = os.statvfs(there)
    except OSError:
        return None
    files = found.f_favail if found.f_files else None
    return Room(str(there), found.f_bavail * found.f_frsize, files)


def _amount(count: int) -> str:
    size, unit = next((each for each in _UNITS if count >= each[0]), _UNITS[-1])
    return f"{count / size:.3g} {unit}"
