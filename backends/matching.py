"""The files that globs match: each once, whatever paths lead to it.

`glob.glob` follows a link that leads back up some 40 times, two of them 2**40 times; and it says nothing of a directory
that may not be listed. Matching is as of glob(3) with `**`: what begins with a dot is matched by a dot only, and links
to directories are followed, also out of the tree.
"""

import errno
import os
from collections import deque
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from glob import has_magic
from itertools import takewhile
from pathlib import Path

from msgspec import Struct

MAX_NAMES = 100_000  # so many names are looked through in one look

Inode = tuple[int, int]  # the device, and the number of the file on it


class Match(Struct, frozen=True):
    """What is there under the shortest of the paths that match."""

    path: Path
    status: os.stat_result


class Matches(Struct):
    """What one look found, by path.

    `unmatched`: patterns that match nothing. `broken`: links that lead nowhere. `closed`: directories that may not be
    listed, and what may not be looked at. `is_cut`: there are more names than are looked through.
    """

    found: list[Match]
    unmatched: list[str]
    broken: list[OSError]
    closed: list[OSError]
    is_cut: bool = False


def matching(patterns: Iterable[str], *, most: int = MAX_NAMES) -> Matches:
    """What matches one of the absolute `patterns`, files or not; the places that lie least deep are looked at first."""
    return _Look(most).of(patterns)


def inode_of(status: os.stat_result) -> Inode:
    """What tells a file from every other one of this host."""
    return status.st_dev, status.st_ino


class _Look:
    def __init__(self, most: int) -> None:
        self._left = most
        self._found: dict[Inode, Match] = {}
        self._broken: dict[str, OSError] = {}
        self._closed: dict[Path, OSError] = {}
        self._is_cut = False

    def of(self, patterns: Iterable[str]) -> Matches:
        unmatched = []
        for pattern in dict.fromkeys(patterns):
            taken = [self._take(path) for path in self._paths(Path(pattern))]
            if not any(taken):
                unmatched.append(pattern)
        found = sorted(self._found.values(), key=lambda match: match.path)
        return Matches(found, unmatched, list(self._broken.values()), list(self._closed.values()), self._is_cut)

    def _paths(self, pattern: Path) -> Iterator[str]:
        fixed = list(takewhile(lambda part: not has_magic(part), pattern.parts))
        parts = pattern.parts[len(fixed) :]
        if not parts:
            yield str(pattern)
            return
        places = deque([(str(Path(*fixed)), 0)])
        been: set[tuple[Inode, int]] = set()
        while places:
            place, at = places.popleft()
            try:
                here = inode_of(os.stat(place)), at
                if here in been:
                    continue
                been.add(here)
                names = self._names(place) if has_magic(parts[at]) else [(parts[at], True)]
            except OSError as error:
                self._refuse(place, error)
                continue
            anywhere = parts[at] == "**"
            wanted = parts[at:][anywhere:]  # `**` matches no directory too
            for name, may_lead_on in names:
                path = os.path.join(place, name)
                if (not wanted and not name.startswith(".")) or (len(wanted) == 1 and _fits(name, wanted[0])):
                    yield path
                if not may_lead_on:
                    continue
                if anywhere and not name.startswith("."):
                    places.append((path, at))
                elif not anywhere and len(wanted) > 1 and _fits(name, wanted[0]):
                    places.append((path, at + 1))
            if anywhere and len(wanted) > 1:
                places.append((place, at + 1))

    def _names(self, place: str) -> list[tuple[str, bool]]:
        """Each with whether it is a directory."""
        names = []
        with os.scandir(place) as entries:
            for entry in entries:
                if self._left <= 0:
                    self._is_cut = True
                    break
                self._left -= 1
                names.append((entry.name, _is_directory(entry)))
        return sorted(names)

    def _take(self, path: str) -> bool:
        """Whether it is there."""
        try:
            status = os.stat(path)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and os.path.islink(path):
                self._broken[path] = OSError(errno.ENOENT, "a link to what is not there", path)
            self._refuse(path, error)
            return False
        match, inode = Match(Path(path), status), inode_of(status)
        known = self._found.get(inode)
        if known is None or _rank(match.path) < _rank(known.path):
            self._found[inode] = match
        return True

    def _refuse(self, path: str, error: OSError) -> None:
        """A directory that may not be searched is named once, not each name in it."""
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return  # nothing of it is, as the pattern says
        place = Path(path)
        if isinstance(error, PermissionError) and not os.access(place.parent, os.X_OK):
            place = place.parent
        self._closed.setdefault(place, OSError(error.errno, error.strerror or str(error), str(place)))


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) and (not name.startswith(".") or pattern.startswith("."))


def _rank(path: Path) -> tuple[int, bool, int, str]:
    """Least for the path that names a file: the shortest one; a link, which may lead elsewhere tomorrow, comes last."""
    return len(path.parts), path.is_symlink(), len(str(path)), str(path)


def _is_directory(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link that nobody can follow
