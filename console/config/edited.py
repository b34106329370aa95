"""A running console goes by the config that it has read. That somebody edited it since is told, not taken over."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path


class ConfigFiles:
    """The files that a config was read from; as they are when `edited` is first asked is as they were read."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(dict.fromkeys(paths))
        self._read: dict[Path, tuple[int, int]] | None = None

    async def edited(self) -> str:
        """The name of one that has changed since, or is gone; empty where none has."""
        now = await asyncio.to_thread(self._look)  # a file system may hang
        if self._read is None:
            self._read = now
        return next((path.name for path in self._paths if now.get(path) != self._read.get(path)), "")

    def _look(self) -> dict[Path, tuple[int, int]]:
        found = {}
        for path in self._paths:
            with contextlib.suppress(OSError):
                of = path.stat()
                found[path] = (of.st_mtime_ns, of.st_size)
        return found
