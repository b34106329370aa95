"""The last snapshots on disk: the first data after a start, marked with their age.

Private (0700/0600), keyed by what the config says of the backend, a day's life; never log lines or run parameters.
"""

import contextlib
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from backends.files import read_regular, write_plain
from console import moment
from console.paths import home
from console.ports.store import Snapshot, SourceKey
from console.ports.table import reading_of

LIFE_S = 24 * 3600.0


class _Record(msgspec.Struct, frozen=True):
    type: str
    fetched_at: datetime
    latency_ms: float | None
    interval_s: float
    items: msgspec.Raw


def cache_dir(environ: dict[str, str] | None = None) -> Path:
    """`$TEAL_STATE_DIR/snapshots`, else `$XDG_CACHE_HOME/tealdeck/snapshots`, else below ~/.cache."""
    env = os.environ if environ is None else environ
    if state := env.get("TEAL_STATE_DIR"):
        return Path(state) / "snapshots"
    return Path(env.get("XDG_CACHE_HOME") or home() / ".cache") / "tealdeck" / "snapshots"


def _is_kept(key: SourceKey) -> bool:
    reading = reading_of(key.panel)
    return reading is not None and reading.kept


def _decoder(panel: str) -> msgspec.msgpack.Decoder[Any]:
    reading = reading_of(panel)
    return msgspec.msgpack.Decoder(list[reading.item if reading else Any])  # type: ignore[misc]  # made at run time


class SnapshotFiles:
    """One file a source, below a directory that is named for the context and the digest of its config."""

    def __init__(self, context: str, digest: str, root: Path | None = None) -> None:
        self.directory = (root or cache_dir()) / f"{context}-{digest}"

    def save(self, snapshot: Snapshot) -> None:
        """Write it atomically; a disk that is full or read-only costs the cache, nothing else."""
        if not _is_kept(snapshot.key) or snapshot.fetched_at is None or snapshot.error or snapshot.missing:
            return
        record = _Record(
            snapshot.type,
            snapshot.fetched_at,
            snapshot.latency_ms,
            snapshot.interval_s,
            msgspec.Raw(msgspec.msgpack.encode(snapshot.items)),
        )
        with contextlib.suppress(OSError):  # a full disk costs the next start its old data
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            target = self._file(snapshot.key)
            temporary = target.with_suffix(f".{os.getpid()}")
            write_plain(temporary, msgspec.msgpack.encode(record))
            temporary.replace(target)

    def load(self, key: SourceKey) -> Snapshot | None:
        """The last snapshot of `key`, where there is one of the last day that this version can read."""
        if not _is_kept(key):
            return None
        try:
            record = msgspec.msgpack.decode(read_regular(self._file(key)), type=_Record)
            items = tuple(_decoder(key.panel).decode(record.items))
        except (OSError, msgspec.MsgspecError):
            return None
        if (moment.utc_now() - record.fetched_at).total_seconds() > LIFE_S:
            return None
        return Snapshot(
            key=key,
            type=record.type,
            items=items,
            fetched_at=record.fetched_at,
            latency_ms=record.latency_ms,
            interval_s=record.interval_s,
        )

    def _file(self, key: SourceKey) -> Path:
        name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in key.name)
        return self.directory / f"{key.panel}.{name}.msgpack"
