"""Reading an SQL database: read-only, bounded in time and rows, off the event loop, one error type.

SQLAlchemy is imported by the first query, in its thread. A relative SQLite path starts at the config file.
"""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from backends.errors import BackendError, ErrorKind
from backends.files import no_file
from backends.imports import import_in_turn
from backends.paths import path_of
from backends.redaction import quoted
from backends.settings import Secret, reveal
from backends.sql_session import FORMATS
from backends.stopwatch import timed
from backends.text import clean
from backends.threads import DaemonThreads

if TYPE_CHECKING:
    import sqlalchemy as sa

T = TypeVar("T")

LANES = 4
PROGRESS_STEPS = 10_000  # of SQLite's machine, about a millisecond, between two looks at the clock
LIBPQ = ("psycopg", "psycopg2")
_WITH_CONNECT_TIMEOUT = ("psycopg", "psycopg2", "pymysql", "mysqldb")
_READ_ONLY_TRANSACTION: dict[str, tuple[str, ...]] = {
    # One statement each: not every driver takes more at once.
    "postgresql": (
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY",  # a standby takes no serializable one
        "SET LOCAL statement_timeout = {ms}",
        *(f"SET LOCAL {name} = '{value}'" for name, value in FORMATS.items()),
    ),
}
_KIND_OF_SQLSTATE: dict[str, ErrorKind] = {
    "42P01": "not_found", "42703": "not_found", "3D000": "not_found", "3F000": "not_found",
    "42501": "auth", "28000": "auth", "28P01": "auth", "57014": "timeout", "55P03": "timeout",
    "25006": "config", "53300": "unreachable", "57P03": "unreachable",
}  # fmt: skip
# Classes: feature not supported, cardinality, data exception (as 1/0), SQL not complete, syntax error or access rule.
_OF_THE_QUERY = frozenset({"0A", "21", "22", "26", "42"})
_KIND_OF_WORDS: tuple[tuple[str, ErrorKind], ...] = (
    ("no such table", "not_found"),
    ("no such column", "not_found"),
    ("unknown database", "not_found"),
    ('database "', "not_found"),
    ('role "', "auth"),
    ("authentication failed", "auth"),
    ("access denied", "auth"),
    ("permission denied", "auth"),
    ("locked", "timeout"),
    ("interrupted", "timeout"),
    ("timeout expired", "timeout"),
    ("not a database", "malformed"),
    ("malformed", "malformed"),
    ("readonly", "config"),
    ("too many attached", "config"),
    ("syntax error", "config"),
    ("no such function", "config"),
    ("incomplete input", "config"),
)
_FIX: dict[ErrorKind, str] = {
    "not_found": "check the table and its columns",
    "auth": "check the user of the URL and what it may read",
    "timeout": "see what holds or slows the database, add an index, or raise `timeout`",
    "unreachable": "check that the database runs and that the URL is right",
    "malformed": "check that the URL names the right database",
    "config": "the query must be one `select`: run it in the database's own shell",
}


# What to do is told by what is wrong, where its kind does not tell it.
_FIX_OF_WORDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("database \"", "unknown database"), "check the database in the URL"),
    (("authentication failed", "role \"", "access denied", "no password supplied"),
     "check the user and the password of the URL"),
    (("permission denied",), "grant its user the right to read it"),
    (("ssl was required", "certificate verify failed", "sslmode"), "check `sslmode` in the URL, and the server's SSL"),
)  # fmt: skip
# No path of ours: where the whole URL is a secret, a word of it in a hint would be stars.
_WRITE_A_URL = "write it like postgresql://USER@HOST/DATABASE or sqlite:///FILE"
_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
# Of a server whose host is gone (s, ms): by the default of the system, a thread waits for it for 2 h.
_LOST_AFTER: dict[str, Any] = {
    "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 25_000,
}  # fmt: skip
_NO_UTF8 = "22021"  # of a database in SQL_ASCII, which keeps whatever bytes it is given
UTF8: dict[str, Any] = {"client_encoding": "utf8"}
"""How a connection of libpq speaks, also to a database in SQL_ASCII: from that, psycopg takes text for bytes."""


def libpq_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """What libpq is told besides what a URL says (`given`): the encoding, when a server is lost, and a passphrase for a
    client key where there is none, since OpenSSL would ask for it at the terminal. One that the key does not have does
    no harm."""
    has_one = "sslpassword" in given or "service" in given or "PGSERVICE" in os.environ
    told = {**UTF8, **{key: value for key, value in _LOST_AFTER.items() if key not in given}}
    return told if has_one else {**told, "sslpassword": "none"}


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def refuse_short_scheme(url: str) -> None:
    """Raises ValueError for `postgres://`, which libpq takes and SQLAlchemy does not."""
    if url.startswith(("postgres://", "postgres+")):
        raise ValueError("write postgresql:// instead of postgres://")


class Database:
    """One database to read from. Created without I/O; `where` names it in messages once its URL is known."""

    def __init__(self, url: str | Secret, *, base_dir: Path, timeout_s: float = 10.0) -> None:
        self.where = "database"
        self._url = url
        self._base_dir = base_dir
        self._timeout_s = timeout_s
        self._engine: sa.Engine | None = None
        self._opening = threading.Lock()
        self._threads = DaemonThreads(LANES, "sql")

    async def open(self) -> None:
        """Resolve the URL and load its driver, without a connection. Raises BackendError(config)."""
        if self._engine is None:
            url = await reveal(self._url, self._base_dir)
            await self._in_thread(lambda: self._create_engine(url))

    async def rows(
        self, query: "str | Callable[[], sa.Select[Any]]", *, limit: int, columns: str = ""
    ) -> list[dict[str, Any]]:
        """The first `limit` rows of `query` (SQL text, or what builds a select once SQLAlchemy is loaded).

        Each call is one read-only transaction; `columns` says what to do where a table lacks some. Raises BackendError:
        `not_found` for a missing table or column, `unreachable`, `auth`, `timeout` (locked, too), `malformed`, `config`
        for a query that is no valid select.
        """
        await self.open()
        deadline = time.monotonic() + self._timeout_s
        try:
            return await self._in_thread(lambda: self._read(query, limit, deadline))
        except BackendError as error:
            if error.kind == "auth":
                await self.aclose()  # a rotated password is resolved anew
            if error.fix == _FIX["not_found"] and columns:
                raise BackendError(error.kind, error.message, fix=columns) from None
            raise

    async def aclose(self) -> None:
        """Close all connections and let the threads end; safe to call twice, and the database can be used again."""
        self._threads.close()
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            async with timed(self._timeout_s):
                return await asyncio.wrap_future(self._threads.submit(work))
        except TimeoutError:
            raise self._error("timeout", f"no answer in {self._timeout_s:g} s") from None

    def _create_engine(self, url: str) -> None:
        import_in_turn("sqlalchemy")
        import sqlalchemy as sa

        with self._opening:
            if self._engine is not None:
                return
            try:
                refuse_short_scheme(url)
                parsed = sa.make_url(url)
            except ValueError as error:
                raise self._error("config", "not a database URL", str(error)) from None
            except sa.exc.ArgumentError:
                raise self._error("config", "not a database URL", _WRITE_A_URL) from None
            if parsed.get_backend_name() == "sqlite":
                self._engine = self._sqlite_engine(parsed.database or "")
                return
            if parsed.drivername == "postgresql":  # until SQLAlchemy 2.1 that is psycopg2, which is not installed
                parsed = parsed.set(drivername="postgresql+psycopg")
            port = parsed.port or _PORTS.get(parsed.get_backend_name())
            host = f"{parsed.host}:{port}" if parsed.host and port else parsed.host or ""
            self.where = f"{parsed.get_backend_name()} {host}/{parsed.database or ''}"
            try:
                connect_args: dict[str, Any] = {}
                if parsed.get_driver_name() in _WITH_CONNECT_TIMEOUT:
                    connect_args["connect_timeout"] = max(2, int(self._timeout_s))
                if parsed.get_driver_name() in LIBPQ:
                    connect_args |= libpq_arguments(parsed.query)
                self._engine = sa.create_engine(parsed, pool_pre_ping=True, pool_size=LANES, connect_args=connect_args)
            except ImportError as error:
                missing = error.name or "its driver"
                raise self._error("config", f"the Python module {missing} is missing", f"install {missing}") from None
            except sa.exc.NoSuchModuleError:
                raise self._error("config", f"no database is known by {parsed.drivername}://", _WRITE_A_URL) from None
            except (sa.exc.SQLAlchemyError, TypeError) as error:
                words = quoted(str(error).splitlines()[0])
                raise self._error("config", words, "write a URL as SQLAlchemy documents it") from None

    def _sqlite_engine(self, database: str) -> "sa.Engine":
        import sqlalchemy as sa

        if database in ("", ":memory:"):
            raise self._error("config", "an SQLite URL without a file", _WRITE_A_URL)
        path = path_of(database, self._base_dir)
        self.where = clean(str(path), 300)

        def connect() -> sqlite3.Connection:
            try:
                path.stat()
            except (FileNotFoundError, NotADirectoryError):
                raise self._error("unreachable", "no such file", "start what writes it, or correct the URL") from None
            except OSError as error:
                raise self._error("auth", error.strerror or str(error), "check who may search its directory") from None
            if why := no_file(path):
                raise self._error("unreachable", why, "correct the URL")
            if not os.access(path, os.R_OK):
                raise self._error("auth", "permission denied", "check who may read the file")
            uri = f"file:{quote(str(path.absolute()))}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, timeout=self._timeout_s / 2, check_same_thread=False)
            connection.text_factory = lambda text: text.decode("utf-8", "replace")  # one bad row must not cost all
            connection.execute("PRAGMA query_only = ON")
            connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)  # another file would be created, whatever the mode
            return connection

        # No pool: a file that is replaced must be seen, and opening one costs a tenth of a millisecond.
        return sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool)

    def _read(self, query: "str | Callable[[], sa.Select[Any]]", limit: int, deadline: float) -> list[dict[str, Any]]:
        import sqlalchemy as sa

        engine = self._engine
        if engine is None:
            raise self._error("unreachable", "closed")
        pool = engine.pool
        try:
            try:
                with engine.connect() as connection:
                    return self._fetch(connection, query, limit, deadline)
            except sa.exc.DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) != _NO_UTF8:
                    raise
                with engine.connect() as connection:
                    return self._fetch(connection, query, limit, deadline, as_bytes=True)
        except sa.exc.SQLAlchemyError as error:
            raise self._translated(error, own_query=isinstance(query, str)) from None
        except (sqlite3.Error, UnicodeDecodeError, ValueError, OverflowError) as error:
            # The drivers' own, from fetching: a text that is no UTF-8, a date that is none.
            raise self._error("malformed", quoted(str(error))) from None
        finally:
            if self._engine is not engine:  # closed meanwhile, and with it the pool that took the connection back
                pool.dispose()

    def _fetch(
        self, connection: "sa.Connection", query: "str | Callable[[], sa.Select[Any]]", limit: int, deadline: float,
        *, as_bytes: bool = False,
    ) -> list[dict[str, Any]]:  # fmt: skip
        driver = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            driver.set_progress_handler(lambda: time.monotonic() > deadline, PROGRESS_STEPS)
        for statement in _READ_ONLY_TRANSACTION.get(connection.dialect.name, ()):
            connection.exec_driver_sql(statement.format(ms=int(self._timeout_s * 1000)))
        if as_bytes:  # the server converts nothing then, and refuses no row
            connection.exec_driver_sql("set local client_encoding to 'SQL_ASCII'")
        if isinstance(query, str):  # no parameters, or a `%` in it would be taken for one
            result = connection.execution_options(no_parameters=True).exec_driver_sql(query)
        else:
            result = connection.execute(query())
        if not result.returns_rows:
            raise self._error("config", "the query returns no rows")
        columns = list(result.keys())
        rows = [dict(zip(columns, row, strict=True)) for row in result.fetchmany(limit)]
        return [{key: _text(value) for key, value in row.items()} for row in rows] if as_bytes else rows

    def _translated(self, error: "sa.exc.SQLAlchemyError", *, own_query: bool) -> BackendError:
        import sqlalchemy as sa

        cause = getattr(error, "orig", None) or error
        words = str(cause).strip().partition("\n")[0]
        if "connection to server" in words:  # libpq repeats host and port
            words = words.rpartition("failed: ")[2].removeprefix("FATAL:").strip()
        words = quoted(words)
        sqlstate = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or ""
        kind = _KIND_OF_SQLSTATE.get(sqlstate)
        if kind is None:
            said = str(cause).casefold()
            kind = next((kind for part, kind in _KIND_OF_WORDS if part in said), None)
        if kind is None and sqlstate:
            kind = "config" if sqlstate[:2] in _OF_THE_QUERY else "unreachable"
        if kind is None:
            lost = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.TimeoutError)
            kind = "unreachable" if lost else "malformed"
        said = words.casefold()
        fix = next((fix for parts, fix in _FIX_OF_WORDS if any(part in said for part in parts)), "")
        if not fix and kind == "not_found" and own_query:
            fix = "check the tables and the columns that its `query` names"
        found = self._error(kind, "out of time" if words == "interrupted" else words, fix)
        found.answered = bool(sqlstate) or kind == "config"
        return found

    def _error(self, kind: ErrorKind, words: str, fix: str = "") -> BackendError:
        return BackendError(kind, f"{self.where}: {words}", fix=fix or _FIX.get(kind, ""))
