"""What was wrong, kept beside the user's snapshots where the journal can not be written."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from actions.journal.episodes import Book, Episode, bounded, remembered
from backends.file_locks import lock_within
from backends.files import open_plain, read_regular, write_plain

FILE_NAME = "episodes.msgpack"
MOST = 1000
ALONE_WITHIN_S = 0.5


class _Row(msgspec.Struct, frozen=True):
    origin: str
    episode: Episode


class EpisodeFile:
    """A file in `directory`, which is made when there is something to keep. It outlives each edit of the config: a row
    is kept with the backend that its source read (`origins`, by source)."""

    def __init__(self, directory: Path, origins: Callable[[], Mapping[str, str]]) -> None:
        self._directory = directory
        self._path = directory / FILE_NAME
        self._origins = origins

    def read(self) -> Book:
        """All of them, oldest first, and beside them those of other backends, by their old names; none where there is
        no file that this version can read."""
        return self._split(self._rows())

    def keep(self, news: Sequence[Episode], now: datetime) -> None:
        """Add what began and what ended; a disk that is full or read-only costs the memory, nothing else."""
        with contextlib.suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = open_plain(self._path.with_suffix(".lock"), os.O_RDWR)
            try:
                if lock_within(lock, ALONE_WITHIN_S):
                    self._write(news, now)
            finally:
                os.close(lock)

    def _write(self, news: Sequence[Episode], now: datetime) -> None:
        rows, origins = self._rows(), self._origins()
        own = bounded(remembered(self._split(rows).episodes, news), now, MOST)
        strange = [row for row in rows if not self._is_own(row, origins)]
        kept = set(bounded([row.episode for row in strange], now, MOST))
        told = [_Row(origins.get(episode.source, ""), episode) for episode in own]
        temporary = self._path.with_suffix(f".{os.getpid()}")
        write_plain(temporary, msgspec.msgpack.encode([*told, *(row for row in strange if row.episode in kept)]))
        temporary.replace(self._path)

    def _split(self, rows: Sequence[_Row]) -> Book:
        origins = self._origins()
        own = [row.episode for row in rows if self._is_own(row, origins)]
        return Book(episodes=own, elsewhere=[row.episode for row in rows if not self._is_own(row, origins)])

    @staticmethod
    def _is_own(row: _Row, origins: Mapping[str, str]) -> bool:
        return origins.get(row.episode.source, "") == row.origin != ""

    def _rows(self) -> list[_Row]:
        try:
            return msgspec.msgpack.decode(read_regular(self._path), type=list[_Row])
        except (OSError, msgspec.MsgspecError):
            return []
