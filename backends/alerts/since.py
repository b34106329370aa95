"""Since when each alert is there: a small JSON file, shared by all processes that evaluate the same rules."""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

LOCK_WAIT_S = 2.0


class SinceFile:
    """`{rule: {fingerprint: first seen}}`. Replaced whole and atomically, under a lock, only where it changes."""

    def __init__(self, path: Path) -> None:
        self.trouble = ""
        self._path = path

    def update(self, seen: Mapping[str, Sequence[str]], blind: set[str], now: datetime) -> dict[str, datetime]:
        """When each fingerprint of `seen` (by rule) was seen first: `now` for a new one. Blocks for 2 s at most.

        What is gone is forgotten, except of the rules in `blind`, which nobody could look at. Where the file cannot
        be written, `trouble` says why and the new ones are left out.
        """
        self.trouble = ""
        try:
            before = self._read()
            after = _merge(before, seen, blind, now)
            if after != before:
                with self._locked():
                    after = _merge(before := self._read(), seen, blind, now)
                    if after != before:
                        self._write(after)
        except OSError as error:
            self.trouble = f"{self._path.name}: {error.strerror or error}"
            after = before = self._read_or_nothing()
        return {
            fingerprint: datetime.fromtimestamp(at, UTC)
            for rule, found in after.items()
            for fingerprint, at in found.items()
            if fingerprint in seen.get(rule, ())
        }

    def _read(self) -> dict[str, dict[str, float]]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, dict[str, float]])
        except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
            return {}  # a damaged file costs the ages, not the alerts

    def _read_or_nothing(self) -> dict[str, dict[str, float]]:
        with contextlib.suppress(OSError):
            return self._read()
        return {}

    def _write(self, content: dict[str, dict[str, float]]) -> None:
        handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        try:
            with open(handle, "wb") as file:
                file.write(msgspec.json.encode(content))
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self._path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """The lock is a file beside it, since the file itself is replaced."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self._path.with_name(f".{self._path.name}.lock"), "ab") as lock:
            deadline = time.monotonic() + LOCK_WAIT_S
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise OSError("locked by another process") from None
                    time.sleep(0.02)
            yield


def _merge(
    before: Mapping[str, Mapping[str, float]], seen: Mapping[str, Sequence[str]], blind: set[str], now: datetime
) -> dict[str, dict[str, float]]:
    after = {rule: dict(before[rule]) for rule in blind if rule in before}
    for rule, fingerprints in seen.items():
        known = before.get(rule, {})
        if fingerprints:
            after[rule] = {fingerprint: known.get(fingerprint, now.timestamp()) for fingerprint in fingerprints}
    return after
