"""The journal's database: its transactions, its errors, its schema brought up to date. Loads SQLAlchemy.

Alembic is loaded only where an upgrade is needed; the usual start asks two plain queries.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from actions.engines import READ_ONLY, alone_in, create_file, is_wal, open_engine, use_wal
from actions.journal_errors import told, told_by_sqlite
from actions.location import FILE_NAME, JournalLocation
from actions.tables import SCHEMA_VERSION
from backends.errors import BackendError
from backends.text import clean

_KNOWN = ("0001", "0002", "0003", "0004")


class Database:
    """One database, created and upgraded when it is opened. Raises BackendError, and the statements' IntegrityError."""

    def __init__(self, location: JournalLocation) -> None:
        self._where = location.name
        with self._errors():
            if location.path is not None and location.path.is_dir():
                fix = f"name a file in it: {location.path / FILE_NAME}"
                raise BackendError("config", f"journal {self._where}: a directory, where its file should be", fix=fix)
            self._engine = open_engine(location)
            try:
                if not _is_up_to_date(self._engine, location):
                    _bring_up_to_date(self._engine, location)
            except BaseException:
                self._engine.dispose()
                raise

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
        with self._errors(), self._engine.connect().execution_options(**{READ_ONLY: True}) as connection:
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise told(error, self._where) from None
        except sqlite3.Error as error:  # of a connection that SQLAlchemy hands over raw
            raise told_by_sqlite(error, self._where) from None
        except (NoSuchModuleError, ImportError) as error:
            message = f"journal {self._where}: {clean(str(error), 200)}"
            raise BackendError("config", message, fix="sqlite:///… or postgresql+psycopg://…") from None
        except SQLAlchemyError as error:
            message = f"journal {self._where}: {clean(str(error), 200)}"
            raise BackendError("malformed", message, fix="restore it, or move it away and begin a new one") from None
        except OSError as error:
            message = f"journal {self._where}: {error.strerror or error}"
            raise BackendError("auth", message, fix="check the owner and mode of its directory") from None


def _is_up_to_date(engine: Engine, location: JournalLocation) -> bool:
    """Whether it can be used as it is. Raises BackendError(config) for one that a newer program wrote."""
    if not location.exists():
        return False
    return _schema_version(engine, location) == SCHEMA_VERSION and (location.path is None or is_wal(engine))


def _bring_up_to_date(engine: Engine, location: JournalLocation) -> None:
    """Create or upgrade it, one process at a time: the others wait, and find it done. All of it, or nothing."""
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
            _version_in(connection, location)  # what came meanwhile may be of a newer program
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _schema_version(engine: Engine, location: JournalLocation) -> str:
    with engine.connect().execution_options(**{READ_ONLY: True}) as connection:
        return _version_in(connection, location)


def _version_in(connection: Connection, location: JournalLocation) -> str:
    """The version that the database has; empty for none. Raises BackendError(config) for an unknown one."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if found is not None and found not in _KNOWN:
        raise BackendError(
            "config",
            f"journal {location.name}: schema {found}, this program knows up to {SCHEMA_VERSION}",
            fix="upgrade tealdeck on this host; nothing was written",
        )
    return found or ""
