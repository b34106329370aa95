"""How a connection to the journal behaves: durable commits, one writer at a time, nobody waits for ever, its own clock.

The same promises on SQLite for one host and on PostgreSQL for many. Loads SQLAlchemy.
"""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import OperationalError

from actions.ids import now
from actions.journal.audit import not_text
from actions.journal.location import JournalLocation
from backends.errors import BackendError
from backends.file_locks import lock_within
from backends.sql import libpq_arguments

READ_ONLY = "tealdeck_read_only"
WAIT_MS = "tealdeck_wait_ms"
BUSY_TIMEOUT_MS = 5000
READING_WAITS_MS = 2000  # no writer is in its way but one that has locked the whole file
CREATION_DEADLINE_S = 30.0
_POLL_S = 0.02
_WRITER = 0x7EA1DEC  # the advisory lock of a PostgreSQL journal: any number that no other program of that database has
_CONNECT = {
    "connect_timeout": 5,
    "application_name": "tealdeck",
    # A route that is gone is noticed within the life of a lease.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15000,
    "prepare_threshold": None,  # a pooler between may give each transaction another session
}
# A writer that is stopped in a transaction (Ctrl-Z, a frozen host) must not keep the others out.
_POSTGRESQL_SETTINGS = (
    f"SET lock_timeout = {BUSY_TIMEOUT_MS}",
    "SET statement_timeout = 10000",
    "SET idle_in_transaction_session_timeout = 10000",
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
)


def open_engine(location: JournalLocation) -> Engine:
    """An engine whose transactions are durable when they are committed and, unless READ_ONLY, exclude other writers."""
    if location.path is None:
        arguments = {**libpq_arguments(make_url(location.url).query), **_CONNECT}
        engine = create_engine(location.url, pool_pre_ping=True, pool_size=1, connect_args=arguments)
        event.listen(engine, "connect", _configure_postgresql)
        event.listen(engine, "begin", _begin_postgresql)
    else:
        engine = create_engine(URL.create("sqlite", database=str(location.path)))
        event.listen(engine, "do_connect", partial(refuse_planted, location.path))
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def database_now(connection: Connection) -> datetime:
    """The clock by which leases end: the server's where there is one, since hosts disagree."""
    if connection.dialect.name == "sqlite":
        return now()
    at: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    return at


def is_wal(engine: Engine) -> bool:
    """Whether readers and a writer of the SQLite file do not wait for each other."""
    with engine.connect().execution_options(**{READ_ONLY: True}) as connection:
        return connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def use_wal(engine: Engine) -> None:
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


def create_file(path: Path) -> None:
    """An empty file with the rights that its directory asks for, before SQLite makes one with the umask's."""
    mode = 0o660 if path.parent.stat().st_mode & stat.S_ISGID else 0o600
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        return
    os.fchmod(descriptor, mode)
    os.close(descriptor)


@contextmanager
def alone_in(directory: Path, where: str) -> Iterator[None]:
    """The directory locked while the file in it is made. Not the file: to close a second descriptor of it would drop
    the locks that SQLite holds on it in this process."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not lock_within(descriptor, CREATION_DEADLINE_S):
            message = f"journal {where}: another process has been creating it for {CREATION_DEADLINE_S:g} s"
            raise BackendError("timeout", message, fix="see who keeps its directory locked")
        yield
    finally:
        os.close(descriptor)


def _text(stored: bytes) -> str:
    """A cell that holds no text, which only another program writes, is no reason to read nothing else."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return not_text(stored)


def refuse_planted(path: Path, *_: Any) -> None:
    """SQLite follows links. Raises BackendError(auth) for one of somebody else, who may write beside the journal."""
    for name in (path, *(Path(f"{path}{end}") for end in ("-wal", "-journal", "-shm"))):
        try:
            found = name.lstat()
        except OSError:
            continue  # SQLite says it in its own words
        if stat.S_ISLNK(found.st_mode) and found.st_uid not in (0, os.geteuid()):
            message = f"journal {path}: {name.name} is a symbolic link that user {found.st_uid} has put there"
            raise BackendError("auth", message, fix="see who did, and take it away")


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.text_factory = _text
    connection.isolation_level = None  # BEGIN is ours: the driver's own is deferred, and lets two writers collide
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    reads = _reads(connection)
    wait_ms = _wait_ms(connection) or (READING_WAITS_MS if reads else BUSY_TIMEOUT_MS)
    connection.exec_driver_sql(f"PRAGMA busy_timeout={wait_ms}")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _configure_postgresql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        for setting in _POSTGRESQL_SETTINGS:
            cursor.execute(setting)
    connection.commit()


def _begin_postgresql(connection: Connection) -> None:
    # One view of everything for a reader, as in SQLite; one writer after the other, as there.
    if _reads(connection):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    else:
        if (wait_ms := _wait_ms(connection)) is not None:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {wait_ms}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER})")


def _wait_ms(connection: Connection) -> int | None:
    asked = connection.get_execution_options().get(WAIT_MS)
    return None if asked is None else int(asked)


def _reads(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get(READ_ONLY, False))
