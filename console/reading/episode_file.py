"""What was wrong, kept beside the user's snapshots where the journal can not be written."""

import contextlib
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from actions.journal.episodes import Episode, bounded, remembered
from backends.file_locks import lock_within
from backends.files import open_plain, read_regular, write_plain

FILE_NAME = "episodes.msgpack"
MOST = 1000
ALONE_WITHIN_S = 0.5


class EpisodeFile:
    """A file in `directory`, which is made when there is something to keep."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / FILE_NAME

    def read(self) -> list[Episode]:
        """All of them, oldest first; none where there is no file that this version can read."""
        try:
            return msgspec.msgpack.decode(read_regular(self._path), type=list[Episode])
        except (OSError, msgspec.MsgspecError):
            return []

    def keep(self, news: Sequence[Episode], now: datetime) -> None:
        """Add what began and what ended; a disk that is full or read-only costs the memory, nothing else."""
        with contextlib.suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = open_plain(self._path.with_suffix(".lock"), os.O_RDWR)
            try:
                if lock_within(lock, ALONE_WITHIN_S):
                    kept = bounded(remembered(self.read(), news), now, MOST)
                    temporary = self._path.with_suffix(f".{os.getpid()}")
                    write_plain(temporary, msgspec.msgpack.encode(kept))
                    temporary.replace(self._path)
            finally:
                os.close(lock)
