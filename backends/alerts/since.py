"""Since when each alert is there: a small JSON file, shared by all processes that evaluate the same rules."""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from backends.json_text import decode_text
from backends.state_file import StateFile

KEPT_S = 30 * 86400.0
"""A rule that nobody asks about any more is forgotten then; until then it may be another config's."""


class SinceFile:
    """`{rule: {fingerprint: first seen}}`. Replaced whole and atomically, under a lock, only where it changes."""

    def __init__(self, path: Path) -> None:
        self.trouble = ""
        self._file = StateFile(path)

    def update(self, seen: Mapping[str, Sequence[str]], blind: set[str], now: datetime) -> dict[str, datetime]:
        """When each fingerprint of `seen` (by rule) was seen first: `now` for a new one. Blocks for 2 s at most.

        What is gone is forgotten, except of the rules in `blind`, which nobody could look at, and of those that are in
        neither: another config, of a context of the same name, has them. Where the file cannot be written, `trouble`
        says why and the new ones are left out.
        """
        self.trouble = ""
        try:
            before = self._read()
            after = _merge(before, seen, blind, now)
            if after != before:
                with self._file.locked():
                    after = _merge(before := self._read(), seen, blind, now)
                    if after != before:
                        self._file.replace(msgspec.json.encode(after))
        except OSError as error:
            self.trouble = f"{self._file.path}: {error.strerror or error}"
            after = before = self._read_or_nothing()
        return {
            fingerprint: datetime.fromtimestamp(at, UTC)
            for rule, found in after.items()
            for fingerprint, at in found.items()
            if fingerprint in seen.get(rule, ())
        }

    def _read(self) -> dict[str, dict[str, float]]:
        try:
            return decode_text(self._file.read() or b"{}", dict[str, dict[str, float]])
        except msgspec.DecodeError:
            return {}  # a damaged file costs the ages, not the alerts

    def _read_or_nothing(self) -> dict[str, dict[str, float]]:
        with contextlib.suppress(OSError):
            return self._read()
        return {}


def _merge(
    before: Mapping[str, Mapping[str, float]], seen: Mapping[str, Sequence[str]], blind: set[str], now: datetime
) -> dict[str, dict[str, float]]:
    young = now.timestamp() - KEPT_S
    after = {
        rule: dict(found)
        for rule, found in before.items()
        if rule in blind or (rule not in seen and max(found.values(), default=0.0) > young)
    }
    for rule, fingerprints in seen.items():
        known = before.get(rule, {})
        if fingerprints:
            after[rule] = {fingerprint: known.get(fingerprint, now.timestamp()) for fingerprint in fingerprints}
    return after
