"""The journal's database: its transactions, its errors, its schema brought up to date. Loads SQLAlchemy.

Alembic is loaded only where an upgrade is needed; the usual start asks two plain queries.
"""

import re
import shlex
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from msgspec import Struct
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError

from actions.journal.engines import (
    READ_ONLY,
    WAIT_MS,
    alone_in,
    create_file,
    is_wal,
    open_engine,
    refuse_planted,
    use_wal,
    why_only_read,
)
from actions.journal.errors import JournalNewer, how_to_move_away, journal_error, sqlite_error
from actions.journal.location import FILE_NAME, JournalLocation
from actions.journal.remembered import remember, remembered
from actions.journal.tables import OLDEST_SERVED, SCHEMA_VERSION
from backends.errors import BackendError
from backends.imports import import_in_turn
from backends.text import clean

BESIDE_WAITS_S = 0.5  # what can be done by the next who comes keeps nobody waiting
_ALEMBIC = threading.Lock()  # its context is one of the process
_VERSION = re.compile(r"\d{4}")
_ONLY_READ = "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean"
_HIDDEN = """
SELECT namespace.nspname FROM pg_catalog.pg_class AS head
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = head.relnamespace
JOIN pg_catalog.pg_class AS version ON version.relnamespace = head.relnamespace AND version.relname = 'alembic_version'
WHERE head.relname = 'audit_head' AND head.relkind = 'r' AND NOT pg_catalog.pg_table_is_visible(head.oid)
AND pg_catalog.has_schema_privilege(namespace.oid, 'USAGE') AND pg_catalog.has_table_privilege(head.oid, 'SELECT')
ORDER BY 1 LIMIT 1
"""


class Database:
    """One database, created and upgraded when it is opened. Raises BackendError."""

    def __init__(self, location: JournalLocation) -> None:
        self._where = location.name
        with self._errors():
            if location.path is not None and location.path.is_dir():
                fix = f"name a file in it: {location.path / FILE_NAME}"
                raise BackendError("config", f"journal {self._where}: a directory, where its file should be", fix=fix)
            _must_be_what_was_written(location)
            self._engine = open_engine(location)
            try:
                self._found = _ready(self._engine, location)
                remember(location.memory, self._found.identity)
                self._path, self._file = location.path, _file_at(location.path)
            except BaseException:
                self._engine.dispose()
                raise

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def is_there(self) -> bool:
        """Whether the file that is open is still the one of that name: another writes what nobody else will read."""
        return self._file is None or _file_at(self._path) == self._file

    def writable(self) -> None:
        """Raises BackendError where it could only be read: it is of a newer program, a standby, or was made so."""
        self._refuse_newer()
        with self.reading() as connection:
            if connection.dialect.name != "sqlite" and connection.execute(text(_ONLY_READ)).scalar_one():
                raise why_only_read(connection, self._where)

    def _refuse_newer(self) -> None:
        if self._found.newer:
            raise JournalNewer(self._where, self._found.version, SCHEMA_VERSION)

    @contextmanager
    def writing(self, wait_s: float | None = None) -> Iterator[Connection]:
        """A transaction that excludes other writers, on disk at its end; they are waited for, for `wait_s` at most.
        Raises JournalNewer where a newer program has said that this one may not write."""
        self._refuse_newer()
        options = {} if wait_s is None else {WAIT_MS: round(wait_s * 1000)}
        with self._errors(), self._engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view, beside a writer."""
        with self._errors(), self._engine.connect().execution_options(**{READ_ONLY: True}) as connection:
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise journal_error(error, self._where) from None
        except sqlite3.Error as error:  # of a connection that SQLAlchemy hands over raw
            raise sqlite_error(error, self._where) from None
        except (NoSuchModuleError, ImportError) as error:
            message = f"journal {self._where}: {clean(str(error), 200)}"
            raise BackendError("config", message, fix="name a path or postgresql://… in `journal`") from None
        except SQLAlchemyError as error:
            message = f"journal {self._where}: {clean(str(error), 200)}"
            raise BackendError("malformed", message, fix=how_to_move_away(self._where)) from None
        except OSError as error:
            message = f"journal {self._where}: {error.strerror or error}"
            raise BackendError("auth", message, fix="check the owner and mode of its directory") from None


def _must_be_what_was_written(location: JournalLocation) -> None:
    """Raises BackendError where the file is behind a link to nothing, or was emptied: a new one made in its place would
    say that nothing was ever done."""
    if (link := location.dangling()) is not None:
        refuse_planted(link)
        words = f"journal {location.name}: {link} is a link to what is not there"
        raise BackendError("unreachable", words, fix="mount or make what it leads to, or take the link away")
    _must_not_be_gone(location, location.gone())
    if not _is_empty(location.path) or not location.was_acted_by():
        return
    with alone_in(location.directory, location.name):  # nobody is just making it
        if _is_empty(location.path):
            words = f"journal {location.name}: it is empty, and actions have run by it: what it recorded is lost"
            raise BackendError("malformed", words, fix=how_to_move_away(location.name))


def _must_not_be_gone(location: JournalLocation, known: str) -> None:
    """Raises BackendError where a journal `known` was, and none is now."""
    if known:
        words = f"journal {location.name}: the journal that was here ({known}) is gone, and no new one was made"
        begin = f"to begin a new one: rm {shlex.quote(str(location.memory))}"
        first = "is its file system mounted?" if location.path is not None else "is this its database?"
        raise BackendError("unreachable", words, fix=f"{first} {begin}")


def _is_empty(path: Path | None) -> bool:
    return path is not None and path.is_file() and path.stat().st_size == 0


def _file_at(path: Path | None) -> tuple[int, int] | None:
    """What tells a file from another of its name; None for a server."""
    if path is None:
        return None
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return (0, 0)
    return found.st_dev, found.st_ino


class _Found(Struct, frozen=True):
    """A database as it was found. `version` is empty for none; `is_open`: it is older, and an action has not ended;
    `identity`: its id, empty before 0005."""

    version: str
    oldest_writer: str
    is_open: bool
    identity: str = ""

    @property
    def served(self) -> bool:
        """Whether the statements are right for it as it is."""
        return self.version >= OLDEST_SERVED

    @property
    def newer(self) -> bool:
        """Whether only a newer program may write it."""
        return self.version > SCHEMA_VERSION and not "" < self.oldest_writer <= SCHEMA_VERSION


def identity_of(connection: Connection) -> str:
    """The id of the journal; empty in a schema before 0005."""
    return _identity(connection)[0]


def _ready(engine: Engine, location: JournalLocation) -> _Found:
    """Create or upgrade it where that can be. One with an open action stays as it is, since its runner may be of an
    older program; so does one that can not be written, which readers and the way back need not care about."""
    found = None
    if location.exists():
        with engine.connect().execution_options(**{READ_ONLY: True}) as connection:
            found = _found(connection, location)
        wal = location.path is None or is_wal(engine)
        if (found.served and found.is_open) or (found.version >= SCHEMA_VERSION and wal):
            return found
    try:
        return _bring_up_to_date(engine, location)
    except (BackendError, DBAPIError, sqlite3.Error, OSError):
        if found is None or not found.served:
            raise
        return found


def _bring_up_to_date(engine: Engine, location: JournalLocation) -> _Found:
    """One process at a time: the others wait, and find it done. All of it, or nothing."""
    import_in_turn("alembic.command", "alembic.config")
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with alone_in(location.path.parent, location.name) if location.path is not None else nullcontext():
        if location.path is not None:
            create_file(location.path)
            use_wal(engine)
        with engine.begin() as connection:
            found = _found(connection, location)  # somebody may have been here meanwhile
            if found.version >= SCHEMA_VERSION or (found.served and found.is_open):
                return found
            config.attributes["connection"] = connection
            with _ALEMBIC:
                command.upgrade(config, "head")
            return _found(connection, location)


def _found(connection: Connection, location: JournalLocation) -> _Found:
    """Raises BackendError(config) for a version that is none of ours, and for tables that are hidden: a second journal
    beside them would say that nothing was ever done."""
    if not inspect(connection).has_table("alembic_version"):
        hidden = connection.execute(text(_HIDDEN)).scalar() if connection.dialect.name == "postgresql" else None
        if hidden is not None:
            message = (
                f"journal {location.name}: its tables are in schema {clean(hidden, 63)}, which is not in search_path"
            )
            raise BackendError(
                "config", message, fix="put it into the search_path of its role, or name another database"
            )
        _must_not_be_gone(location, remembered(location.memory))
        return _Found("", "", False)
    version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() or ""
    if version and not _VERSION.fullmatch(version):
        raise JournalNewer(location.name, clean(version, 40), SCHEMA_VERSION)
    still_open = text("SELECT 1 FROM actions WHERE ended_at IS NULL LIMIT 1")
    is_open = OLDEST_SERVED <= version < SCHEMA_VERSION and connection.execute(still_open).first() is not None
    identity, oldest_writer = _identity(connection)
    return _Found(version, oldest_writer, is_open, identity)


def _identity(connection: Connection) -> tuple[str, str]:
    if not inspect(connection).has_table("identity"):
        return "", ""
    row = connection.execute(text("SELECT id, oldest_writer FROM identity")).first()
    return ("", "") if row is None else (row[0], row[1])
