"""What a database says when it cannot do its work, as one line of ours. No database library is loaded for it."""

import contextlib
import os
import shlex
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from backends.errors import BackendError
from backends.redaction import redacted
from backends.text import clean

NO_SENSE = (msgspec.MsgspecError, ValueError, LookupError, TypeError, AttributeError)
"""What reading a row raises that is not of the shape that this program writes."""
_NOTHING_WRITTEN = "nothing was written"
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_LOCK_NOT_AVAILABLE = ("55P03", "40P01", "40001")
_CANCELED = "57014"
_NO_SPACE = ("53100", "54000")
_READ_ONLY = "25006"
_STOOD_STILL = "25P03"
_MAY_BE_FULL = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL)
_SHARED_MEMORY_BYTES = 64 * 1024  # the -shm file, and a page of the -wal: https://www.sqlite.org/walformat.html
_SET_FOR = {
    "database": "its database", "user": "its role", "database user": "its role in this database",
    "client": "its connection", "session": "its connection",
}  # fmt: skip
"""The `source` of a setting: https://www.postgresql.org/docs/current/view-pg-settings.html"""
_NO_RIGHT, _NO_PRIVILEGE, _NO_SCHEMA = ("28000", "28P01"), "42501", "3F000"
# While it connects, libpq hands on no SQLSTATE.
_NOT_LET_IN = ("authentication failed", "no pg_hba.conf entry", "not permitted to log in")
_NO_CONNECTION_LEFT = ("too many connections", "too many clients", "remaining connection slots")


class JournalError(BackendError):
    """The journal can not be read or written now: what is live is known without it, who acts is not."""


class JournalFull(JournalError):
    """There is no room for one record more; what must be recorded before it is done can not be done."""

    def __init__(self, where: str) -> None:
        super().__init__("unreachable", f"journal {where}: no space is left", fix="free some, then try again")


class JournalNewer(JournalError):
    """A newer program has made it such that this one may only read it."""

    def __init__(self, where: str, version: str, known: str) -> None:
        message = f"journal {where}: schema {version}, this program knows up to {known}"
        super().__init__("config", message, fix="upgrade tealdeck on this host; nothing was written")


def how_to_move_away(where: str) -> str:
    """What is done about a journal that is damaged: it is never replaced unasked. A command names the true file, or
    there is none."""
    if "://" in where:
        return "restore the database; or name an empty one in `journal` to begin a new one"
    if redacted(where) != where:
        return "restore it; or move it away, its -wal and -shm with it, to begin a new one"
    path = shlex.quote(where)
    return f"restore it; or move it away (mv {path} {path}.damaged; rm -f {path}-wal {path}-shm) to begin a new one"


def without_sense(error: Exception, where: str) -> JournalError:
    """What is said of a row that can not be read as what it must be."""
    words = f"journal {where}: a row makes no sense: {clean(str(error), 200)}"
    return JournalError("malformed", words, fix=how_to_move_away(where))


@contextlib.contextmanager
def making_sense(where: str) -> Iterator[None]:
    """What is folded from rows of the journal at `where`. Raises JournalError where they make no sense."""
    try:
        yield
    except NO_SENSE as error:
        raise without_sense(error, where) from None


def _is_full(directory: Path) -> bool:
    """Whether there is no room for the shared memory of SQLite, which it says with words of its own."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _SHARED_MEMORY_BYTES or found.f_favail == 0 < found.f_files


def only_read(where: str, *, standby: bool = False, source: str = "") -> BackendError:
    """What is said of a server that takes no writes: `standby`, or where `default_transaction_read_only` is set, by the
    `source` of pg_settings."""
    if standby:
        words, fix = "the server is a standby", "name its primary in `journal`"
    else:
        words = f"default_transaction_read_only is on for {_SET_FOR.get(source, 'the server')}"
        fix = "see who set it and why (a full disk, maintenance), then set it off; `journal` may name another server"
    return BackendError("unreachable", f"journal {where}: it can only be read: {words}", fix=fix)


def journal_error(error: Any, where: str) -> BackendError:
    """The SQLAlchemy `DBAPIError` of the journal at `where` as a BackendError."""
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return sqlite_error(cause, where)
    return _of_postgresql(cause, where)


def sqlite_error(cause: sqlite3.Error, where: str) -> BackendError:
    """The same for the driver's own error."""
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    words = f"journal {where}: {clean(str(cause), 200)}"
    if code in _MAY_BE_FULL and _is_full(Path(where).parent):
        return JournalFull(where)
    match code:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            message = f"journal {where}: another writer keeps it"
            return BackendError("timeout", message, fix=f"try again; {_NOTHING_WRITTEN}")
        case sqlite3.SQLITE_FULL:
            return JournalFull(where)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return BackendError("auth", words, fix="check its owner and mode, and those of its directory")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_ERROR:
            return BackendError("malformed", words, fix=how_to_move_away(where))
    return BackendError("unreachable", words, fix="check its disk, its owner and its mode")


def _of_postgresql(cause: Any, where: str) -> BackendError:
    state = getattr(cause, "sqlstate", None) or ""
    first_line = str(cause).strip().partition("\n")[0]
    if "connection to server" in first_line:  # libpq repeats host and port
        first_line = first_line.rpartition("failed: ")[2].removeprefix("FATAL:").strip()
    words = f"journal {where}: {clean(first_line, 200)}"
    if state in _LOCK_NOT_AVAILABLE:
        return BackendError("timeout", f"journal {where}: another writer keeps it", fix="try again")
    if state == _CANCELED:
        return BackendError("timeout", words, fix="see what slows the server, or who canceled it; then try again")
    if state in _NO_SPACE:
        return JournalFull(where)
    if state == _READ_ONLY:
        return only_read(where)
    if state == _NO_PRIVILEGE:
        fix = "grant the role of `journal` select, insert, update and delete on all of its tables"
        return BackendError("auth", words, fix=fix)
    if state in _NO_RIGHT or any(part in first_line for part in _NOT_LET_IN):
        return BackendError("auth", words, fix="check the user and password of `journal`, and what it may do")
    if state == _NO_SCHEMA:
        return BackendError("config", words, fix="put a schema that is there into the search_path of its role")
    if any(part in first_line for part in _NO_CONNECTION_LEFT):
        fix = "end sessions that nobody needs, or raise max_connections or the CONNECTION LIMIT of its role or database"
        return BackendError("unreachable", words, fix=fix)
    if state == _STOOD_STILL or state[:2] in ("", "08", "53", "57"):  # no connection, too many, shutting down
        return BackendError("unreachable", words, fix="check that the server runs and that this host may reach it")
    return BackendError("malformed", words, fix="check that the database is the journal's own")
