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
from actions.journal.errors import only_read
from actions.journal.location import JournalLocation
from backends.errors import BackendError
from backends.file_locks import lock_within
from backends.sql import libpq_arguments
from backends.sql_session import FORMATS, set_local

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
POSTGRESQL_SETTINGS = {
    **FORMATS,
    "timezone": "UTC",
    "standard_conforming_strings": "on",
    "row_security": "off",  # rows that a policy hides are an error, and not rows that are not there
    "statement_timeout": "10000",
    # A writer that is stopped in a transaction (Ctrl-Z, a frozen host) must not keep the others out.
    "idle_in_transaction_session_timeout": "10000",
    "transaction_timeout": "0",
}
_DURABLE = (
    "SELECT pg_catalog.set_config('synchronous_commit', 'on', true) "
    "WHERE pg_catalog.current_setting('synchronous_commit') = 'off'"
)
_ALONE = (
    f"SELECT pg_catalog.pg_advisory_xact_lock({_WRITER}), pg_catalog.pg_is_in_recovery(), "
    "pg_catalog.current_setting('transaction_read_only')::boolean"
)


def open_engine(location: JournalLocation) -> Engine:
    """An engine whose transactions are durable when they are committed and, unless READ_ONLY, exclude other writers."""
    if location.path is None:
        arguments = {**libpq_arguments(make_url(location.url).query), **_CONNECT}
        engine = create_engine(location.url, pool_pre_ping=True, pool_size=1, connect_args=arguments)
        event.listen(engine, "begin", partial(_begin_postgresql, location.name))
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


def _begin_postgresql(where: str, connection: Connection) -> None:
    # One view of everything for a reader, as in SQLite; one writer after the other, as there.
    reads = _reads(connection)
    level = "REPEATABLE READ READ ONLY" if reads else "READ COMMITTED"
    lock_ms = BUSY_TIMEOUT_MS if (asked := _wait_ms(connection)) is None else asked
    settings = set_local({**POSTGRESQL_SETTINGS, "lock_timeout": str(lock_ms)})
    connection.exec_driver_sql(f"SET TRANSACTION ISOLATION LEVEL {level}; {settings}")
    if not reads:
        connection.exec_driver_sql(_DURABLE)
        _, standby, read_only = connection.exec_driver_sql(_ALONE).one()
        if standby or read_only:
            raise why_only_read(connection, where)


def why_only_read(connection: Connection, where: str) -> BackendError:
    """What is said of a server that takes no writes, or none of this role."""
    standby, source = connection.exec_driver_sql(
        "SELECT pg_catalog.pg_is_in_recovery(), (SELECT source FROM pg_catalog.pg_settings WHERE name = "
        "'default_transaction_read_only')"
    ).one()
    return only_read(where, standby=standby, source=source or "")


def _wait_ms(connection: Connection) -> int | None:
    asked = connection.get_execution_options().get(WAIT_MS)
    return None if asked is None else int(asked)


def _reads(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get(READ_ONLY, False))
