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
        own, strange = _parted(self._rows(), self._origins())
        return Book(episodes=[row.episode for row in own], elsewhere=[row.episode for row in strange])

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
        origins = self._origins()
        own, strange = _parted(self._rows(), origins)
        told = bounded(remembered([row.episode for row in own], news), now, MOST)
        kept = set(bounded([row.episode for row in strange], now, MOST))
        rows = [_Row(origins.get(episode.source, ""), episode) for episode in told]
        temporary = self._path.with_suffix(f".{os.getpid()}")
        write_plain(temporary, msgspec.msgpack.encode([*rows, *(row for row in strange if row.episode in kept)]))
        temporary.replace(self._path)

    def _rows(self) -> list[_Row]:
        try:
            return msgspec.msgpack.decode(read_regular(self._path), type=list[_Row])
        except (OSError, msgspec.MsgspecError):
            return []


def _parted(rows: Sequence[_Row], origins: Mapping[str, str]) -> tuple[list[_Row], list[_Row]]:
    """Those of the backends that are read now, and all others."""
    own: list[_Row] = []
    strange: list[_Row] = []
    for row in rows:
        (own if origins.get(row.episode.source, "") == row.origin != "" else strange).append(row)
    return own, strange
