"""Files that a glob of logs matches and that are none: told by what they begin with, and named rather than printed.

Sources: the magic numbers of file(1); wtmp(5), utmp(5), lastlog(8).
"""

import errno
import os
import re
from pathlib import Path
from typing import BinaryIO

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_LOOKED_AT = 4096
_TAR_AT = 257
_MAGIC = {
    b"SQLite format 3\0": "a SQLite database", b"\x7fELF": "a program", b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image", b"LPKSHHRH": "a systemd journal, which `journald` reads", b"%PDF-": "a PDF",
}  # fmt: skip
_RECORDS = re.compile(r"(?:wtmp|btmp|utmp|lastlog|faillog|tallylog)\b")
_HOLE = re.compile(rb"\0{64,}")  # a writer without O_APPEND leaves one behind `truncate`
_CONTROL = bytes({*range(0x20), 0x7F} - set(b"\t\n\v\f\r\x08\x1b"))
_MOST_CONTROL = 0.05


def binary_of(file: BinaryIO, path: Path) -> str | None:
    """What a file is that holds no lines of text; None for one that may."""
    if _RECORDS.match(path.name):
        return "records of logins, which `last` reads"
    return binary_words(os.pread(file.fileno(), _LOOKED_AT, 0))


def binary_words(begins: bytes) -> str | None:
    """The same by its first bytes."""
    if found := next((name for magic, name in _MAGIC.items() if begins.startswith(magic)), None):
        return found
    if begins[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return "a tar archive"
    if begins.startswith(UTF_16):
        return None
    text = _HOLE.sub(b"", begins)
    controls = len(text) - len(text.translate(None, _CONTROL))
    return "no text" if text and controls / len(text) > _MOST_CONTROL else None


def refusal(what: str, path: Path) -> OSError:
    """That it is not read."""
    return OSError(errno.EOPNOTSUPP, f"{what}, not read", str(path))
