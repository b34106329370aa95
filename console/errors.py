"""What ends a command early, with its exit code (docs/contract.md, Exit codes)."""

from pathlib import Path
from typing import Literal

from msgspec import Struct

EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_AUTH = 4
EXIT_NOT_FOUND = 5
EXIT_CONFLICT = 6
EXIT_UNREACHABLE = 7
EXIT_INTERNAL = 70

_EXIT_OF_KIND = {
    "auth": EXIT_AUTH, "not_found": EXIT_NOT_FOUND, "conflict": EXIT_CONFLICT, "config": EXIT_USAGE, "internal": 70,
}  # fmt: skip


def exit_code_of(kind: str) -> int:
    """The exit code for the kind of a backend's error: 4, 5, 6, 2, 70, and 7 for everything that may pass by itself."""
    return _EXIT_OF_KIND.get(kind, EXIT_UNREACHABLE)


class CommandError(Exception):
    """A command cannot go on: its exit code, a kind for the JSON, one line what and where, one line what to do."""

    def __init__(self, exit_code: int, kind: str, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.kind = kind
        self.message = message
        self.fix = fix


class ConfigError(CommandError):
    """The config cannot be used."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(EXIT_USAGE, "config", message, fix=fix)


class Problem(Struct, frozen=True):
    """One thing wrong in a config: file, line, path of the key, what, what to do.

    `context` and `entry` say what it disables; both empty: the file as a whole. A `warning` disables nothing.
    `unshown`: its text would drive a terminal, so that nothing is done by what it is in.
    """

    file: Path
    line: int | None
    path: str
    message: str
    fix: str = ""
    context: str = ""
    entry: str = ""
    level: Literal["error", "warning"] = "error"
    unshown: bool = False

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        return f"{place}: {self.path}: {self.message}" + (f" ({self.fix})" if self.fix else "")
