"""Which journal was at a place: its id, as this user saw it last, kept apart from the journal.

A file system that is not mounted looks like a place where none ever was.
"""

import contextlib
import hashlib
from pathlib import Path

from backends.files import read_regular, write_plain
from backends.text import clean

_ID_CHARS = 64


def memory_of(place: str, directory: Path | None, state: Path) -> Path | None:
    """The file for the journal at `place`, in the user's `state`; None where the journal is in there itself: what takes
    that away takes the memory, too."""
    if directory is not None and directory.resolve().is_relative_to(state.resolve()):
        return None
    return state / "journals" / f"{hashlib.sha256(place.encode()).hexdigest()[:16]}.id"


def remembered(memory: Path | None) -> str:
    """The id of the journal that was there; empty where this user has seen none, or that can not be read."""
    if memory is None:
        return ""
    try:
        return clean(read_regular(memory, _ID_CHARS).decode(errors="ignore"), _ID_CHARS).strip()
    except OSError:
        return ""


def remember(memory: Path | None, journal: str) -> None:
    """Keep the id of the journal that is there now. Nothing is raised: it is no reason to do without the journal."""
    if memory is None or not journal or remembered(memory) == journal:
        return
    with contextlib.suppress(OSError):
        memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_plain(memory, journal.encode())
