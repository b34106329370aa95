"""The mark beside a switch file of a write whose commands nobody has seen end: the file says one thing, and what its
reader runs may be another. Whoever finds the mark goes on from there: he writes, validates and reloads again.
"""

import contextlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from backends.deployments.file_store import file_error, keep_beside, read_bounded
from backends.deployments.sides import reload_words
from backends.deployments.switch_format import percent, revision_of
from backends.errors import BackendError
from backends.json_text import decode_text
from backends.ports import SwitchState

MAX_BYTES = 64 * 1024


class Pending(Struct, frozen=True, kw_only=True):
    """`revisions` of the file that it is about: with any other the file was written since, and the mark says nothing.
    `weights`: the mean of the two contents of which nobody knows which one the reader has read, so that it is neither.
    The rest is of the write that began."""

    revisions: tuple[str, ...]
    weights: dict[str, int]
    stamp: str
    fence: int = 0
    journal: str = ""


def between(before: SwitchState, after: SwitchState, *revisions: str) -> Pending:
    """The mark of a write from `before` to `after`, for a file that is `after`, or one of `revisions`."""
    mean = percent({color: before.weights.get(color, 0) + weight for color, weight in after.weights.items()})
    return Pending(
        revisions=(after.revision, *revisions),
        weights=mean,
        stamp=after.stamp,
        fence=after.fence,
        journal=after.journal,
    )


class PendingMark:
    """The mark of one switch file, hidden beside it. Writers hold the lock of that file. Raises BackendError."""

    def __init__(self, path: Path) -> None:
        self._switch = path
        self.path = path.with_name(f".{path.name}.pending")

    def read(self) -> Pending | None:
        """None where there is none."""
        content = read_bounded(self.path, MAX_BYTES)
        if content is None:
            return None
        try:
            return decode_text(content, Pending)
        except msgspec.DecodeError:
            fix = f"see what runs, reload it; then rm {self.path}"
            raise BackendError("malformed", f"{self.path}: no mark of this program", fix=fix) from None

    def write(self, mark: Pending | None, *, back: bool = False) -> None:
        """Keep it, durably; None removes it. `back`: it is of a way back, which goes on without it on a full disk."""
        if mark is not None:
            keep_beside(self.path, msgspec.json.encode(mark), back=back, like=self._switch)
            return
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        except OSError as error:
            raise file_error(self.path, error) from None


def in_force(file: SwitchState, mark: Pending | None, detail: str) -> SwitchState:
    """What the switch is: the file, or, with a mark of its revision, neither of two contents, as `detail` says; which
    one runs nobody knows."""
    if mark is None or file.revision not in mark.revisions or not file.weights:
        return file
    return replace(
        file, weights={color: mark.weights.get(color, 0) for color in file.weights}, detail=detail, stamp=mark.stamp,
        fence=mark.fence, journal=mark.journal, wrote={}, ended=False,
        armed=f"which side serves is not known, {reload_words(file.weights)}",
        revision=revision_of(file.revision.encode() + msgspec.json.encode(mark)),
    )  # fmt: skip
