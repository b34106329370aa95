"""The journal's database: its connection rules, its transactions, its schema brought up to date. Loads SQLAlchemy.

Alembic is loaded only where an upgrade is needed; the usual start asks two plain queries.
"""

import fcntl
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from actions.location import JournalLocation
from actions.tables import SCHEMA_VERSION
from backends.errors import BackendError
from backends.text import clean

BUSY_TIMEOUT_MS = 5000
CREATION_DEADLINE_S = 30.0
_POLL_S = 0.02
_READ_ONLY = "tealdeck_read_only"
_KNOWN = ("0001",)


class Database:
    """One database, created and upgraded when it is opened. Raises BackendError, and the statements' IntegrityError."""

    def __init__(self, location: JournalLocation) -> None:
        self._where = str(location.path or "(database)")
        with self._errors():
            self._engine = _open_engine(location)
            if not _is_up_to_date(self._engine, location, self._where):
                _bring_up_to_date(self._engine, location, self._where)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that excludes other writers, on disk at its end."""
        with self._errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view, beside a writer."""
        with self._errors(), self._engine.connect().execution_options(**{_READ_ONLY: True}) as connection:
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            if _is_busy(error):
                message = f"journal {self._where}: another writer keeps it"
                raise BackendError("timeout", message, fix="try again; nothing was written") from None
            message = f"journal {self._where}: {clean(str(error.orig), 200)}"
            raise BackendError("unreachable", message, fix="check its disk, its owner and its mode") from None
        except IntegrityError:
            raise
        except DBAPIError as error:
            message = f"journal {self._where}: {clean(str(error.orig), 200)}"
            raise BackendError("malformed", message, fix="restore it, or move it away and begin a new one") from None
        except OSError as error:
            message = f"journal {self._where}: {error.strerror or error}"
            raise BackendError("auth", message, fix="check the owner and mode of its directory") from None


def _open_engine(location: JournalLocation) -> Engine:
    """An engine of which every transaction is durable when it is committed and, in SQLite, a writer from its begin."""
    if location.path is None:
        return create_engine(location.url, pool_pre_ping=True, pool_size=1)
    engine = create_engine(location.url)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # BEGIN is ours: the driver's own is deferred, and lets two writers collide
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _is_up_to_date(engine: Engine, location: JournalLocation, where: str) -> bool:
    """Whether it can be used as it is. Raises BackendError(config) for one that a newer program wrote."""
    if not location.exists():
        return False
    return _schema_version(engine, where) == SCHEMA_VERSION and (location.path is None or _is_wal(engine))


def _bring_up_to_date(engine: Engine, location: JournalLocation, where: str) -> None:
    """Create or upgrade it, one process at a time: the others wait, and find it done."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with _alone(location, where):
        if location.path is not None:
            _create_file(location.path)
            _use_wal(engine)
        _schema_version(engine, where)  # what came meanwhile may be of a newer program
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


@contextmanager
def _alone(location: JournalLocation, where: str) -> Iterator[None]:
    """The directory locked while the file in it is made. Not the file: to close a second descriptor of it would drop
    the locks that SQLite holds on it in this process."""
    if location.path is None:
        yield
        return
    location.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(location.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + CREATION_DEADLINE_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    message = f"journal {where}: another process has been creating it for {CREATION_DEADLINE_S:g} s"
                    raise BackendError("timeout", message, fix="see who keeps its directory locked") from None
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _create_file(path: Path) -> None:
    """An empty file with the rights that its directory asks for, before SQLite makes one with the umask's."""
    mode = 0o660 if path.parent.stat().st_mode & stat.S_ISGID else 0o600
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        return
    os.fchmod(descriptor, mode)
    os.close(descriptor)


def _is_wal(engine: Engine) -> bool:
    with engine.connect().execution_options(**{_READ_ONLY: True}) as connection:
        return connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def _use_wal(engine: Engine) -> None:
    """The file remembers it. SQLite fails at once, whatever the busy timeout, while another connection is open."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    raw = engine.raw_connection()
    try:
        while True:
            try:
                raw.cursor().execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if time.monotonic() >= deadline:
                    raise OperationalError("PRAGMA journal_mode=WAL", None, error) from None
                time.sleep(_POLL_S)
    finally:
        raw.close()


def _schema_version(engine: Engine, where: str) -> str:
    """The version that the database has; empty for none. Raises BackendError(config) for an unknown one."""
    with engine.connect().execution_options(**{_READ_ONLY: True}) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return ""
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if found is not None and found not in _KNOWN:
        raise BackendError(
            "config",
            f"journal {where}: schema {found}, this program knows up to {SCHEMA_VERSION}",
            fix="upgrade tealdeck on this host; nothing was written",
        )
    return found or ""


def _is_busy(error: OperationalError) -> bool:
    """Whether another writer kept the database for longer than the busy timeout."""
    return "locked" in str(error.orig) or "busy" in str(error.orig)
