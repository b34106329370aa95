"""A running console goes by the config that it has read. That somebody edited it since is told, not taken over."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from console.config.load import load_config
from console.errors import CommandError
from console.ports.entry import Entry
from console.ports.store import SourceKey

LOOK_S = 4.0


class ConfigFiles:
    """The files that a config was read from; as they are when `edited` is first asked is as they were read. They are
    looked at each `look_s` at most, whoever asks."""

    def __init__(self, paths: Sequence[Path], look_s: float = LOOK_S) -> None:
        self._paths = tuple(dict.fromkeys(paths))
        self._look_s, self._looking, self._looked_at = look_s, asyncio.Lock(), -math.inf
        self._read: dict[Path, tuple[int, int]] | None = None
        self.found: dict[Path, tuple[int, int]] = {}
        """As they were when they were last looked at."""

    async def edited(self) -> str:
        """The name of one that has changed since, or is gone; empty where none has."""
        async with self._looking:
            if time.monotonic() - self._looked_at >= self._look_s:
                self.found = await asyncio.to_thread(self._look)  # a file system may hang
                self._looked_at = time.monotonic()
        if self._read is None:
            self._read = self.found
        return next((path.name for path in self._paths if self.found.get(path) != self._read.get(path)), "")

    def _look(self) -> dict[Path, tuple[int, int]]:
        found = {}
        for path in self._paths:
            with contextlib.suppress(OSError):
                of = path.stat()
                found[path] = (of.st_mtime_ns, of.st_size)
        return found


class EditedEntries:
    """Of which sources the file at `path` tells otherwise now than the entries of the context that were read. One that
    nobody can read says nothing: all are as they were."""

    def __init__(self, files: ConfigFiles, path: Path, context: str, entries: Mapping[str, Sequence[Entry]]) -> None:
        self._files = files
        self._path, self._context = path, context
        self._read = _by_source(entries)
        self._now: dict[SourceKey, Entry] = self._read
        self._seen: Mapping[Path, tuple[int, int]] = {}

    async def edited(self) -> Callable[[SourceKey], bool]:
        """Which sources are told otherwise now."""
        if not await self._files.edited():
            self._now = self._read
        elif self._files.found != self._seen:
            self._now = await asyncio.to_thread(self._again)
        self._seen = self._files.found
        return lambda key: self._now.get(key) != self._read.get(key)

    def _again(self) -> dict[SourceKey, Entry]:
        try:
            found = load_config(self._path, check_entries=False).contexts.get(self._context)
        except CommandError:
            return self._read
        return _by_source(found.entries) if found is not None else {}


def _by_source(entries: Mapping[str, Sequence[Entry]]) -> dict[SourceKey, Entry]:
    return {
        SourceKey(port, entry.name): replace(entry, problem="") for port, found in entries.items() for entry in found
    }
