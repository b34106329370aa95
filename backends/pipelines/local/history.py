"""The history of `local` runs in SQL: tables, and the few statements that read and write them.

Times are seconds since the epoch. Imported only by what is about to use a database, since it imports SQLAlchemy.
"""

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from backends.errors import BackendError
from backends.paths import path_of
from backends.sql import LIBPQ, libpq_arguments
from backends.sql_session import FORMATS, set_local
from backends.text import clean

SCHEMA_VERSION = 1
BUSY_S = 10
WRITES = "teal_writes"
_TIMEOUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")

Row = dict[str, Any]

metadata = sa.MetaData()
meta = sa.Table(
    "local_meta",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.String(64), nullable=False),
)
pipelines = sa.Table(
    "local_pipelines",
    metadata,
    sa.Column("pipeline", sa.String(128), primary_key=True),
    sa.Column("paused", sa.Boolean, nullable=False),
)
specs = sa.Table(
    "local_specs",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("spec", sa.Text, nullable=False),
)
runs = sa.Table(
    "local_runs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("pipeline", sa.String(128), nullable=False),
    sa.Column("run_id", sa.String(200), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("trigger", sa.String(64), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("cancel_asked", sa.Boolean, nullable=False),
    sa.Column("logical_at", sa.Double),
    sa.Column("started_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Column("duration_s", sa.Double),
    sa.Column("tasks_done", sa.Integer, nullable=False),
    sa.Column("tasks_total", sa.Integer, nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("params", sa.Text, nullable=False),
    sa.Column("spec", sa.String(64), sa.ForeignKey("local_specs.digest"), nullable=False),
    sa.UniqueConstraint("pipeline", "run_id"),
    sa.Index("local_runs_newest", "pipeline", "id"),
    sa.Index("local_runs_successes", "pipeline", "state", "id"),
    sa.Index("local_runs_started", "pipeline", "started_at"),
    sa.Index("local_runs_ended", "pipeline", "ended_at"),
)
tasks = sa.Table(
    "local_tasks",
    metadata,
    sa.Column("run", sa.Integer, sa.ForeignKey("local_runs.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("task", sa.String(128), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("try_number", sa.Integer, nullable=False),
    sa.Column("pid", sa.Integer),
    sa.Column("started_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Column("depends_on", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
)

_LISTED = [column for column in runs.columns if column.name not in ("params", "spec")]


class NewRun(Struct, frozen=True, kw_only=True):
    """A run that was asked for. `tasks` are (name, depends_on) in topological order; `spec` and `params` are JSON."""

    pipeline: str
    run_id: str
    trigger: str
    logical_at: float
    params: str
    spec: str
    tasks: tuple[tuple[str, tuple[str, ...]], ...]
    host: str


def located(url: str, base_dir: Path) -> str:
    """`url` with a relative SQLite path made absolute. Raises BackendError(config) for what is no database URL."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise BackendError("config", "history: not a database URL", fix="write sqlite:///runs.db or the like") from None
    if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
        parsed = parsed.set(database=str(path_of(parsed.database, base_dir)))
    return parsed.render_as_string(hide_password=False)


class History:
    """Every method is one short transaction and may raise BackendError; thread-safe."""

    def __init__(self, url: str) -> None:
        self._url = sa.make_url(url)
        self._where = clean(self._url.render_as_string(hide_password=True))
        is_sqlite = self._url.get_backend_name() == "sqlite"
        self._file = self._url.database if is_sqlite else None
        self._created = False
        with self._guarded():
            connect_args = (
                {"timeout": BUSY_S}
                if is_sqlite
                else libpq_arguments(self._url.query)
                if self._url.get_driver_name() in LIBPQ
                else {}
            )
            self._engine = sa.create_engine(self._url, pool_pre_ping=not is_sqlite, connect_args=connect_args)
        if is_sqlite:
            sa.event.listen(self._engine, "connect", _set_up_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        elif self._url.get_backend_name() == "postgresql":
            sa.event.listen(self._engine, "begin", _begin_postgresql)

    @property
    def url(self) -> str:
        """The whole URL, password and all: for another process, not for people."""
        return self._url.render_as_string(hide_password=False)

    def dispose(self) -> None:
        """Close all connections; safe to call twice."""
        self._engine.dispose()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.IntegrityError:
            raise BackendError("conflict", f"history {self._where}: somebody wrote the same at the same time") from None
        except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
            raise BackendError("unreachable", clean(f"history {self._where}: {error.orig}")) from None
        except (sa.exc.ArgumentError, ImportError) as error:
            raise BackendError("config", clean(f"history {self._where}: {error}"), fix="install its driver") from None
        except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
            raise BackendError("malformed", clean(f"history {self._where}: {error}")) from None

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._guarded(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._guarded(), self._engine.connect() as connection:
            connection = connection.execution_options(**{WRITES: True})
            with connection.begin():
                yield connection

    def exists(self) -> bool:
        """Whether anything was ever written: a database that is missing or empty means that there are no runs yet."""
        if self._created:
            return True
        if self._file and self._file != ":memory:" and not os.path.exists(self._file):
            return False
        with self._reading() as connection:
            self._created = sa.inspect(connection).has_table(meta.name) and self._version(connection) is not None
        return self._created

    def create(self) -> None:
        """Make the tables where they are missing. Raises BackendError for tables of a later version."""
        if self._created:
            return
        if self._file and self._file != ":memory:":
            try:
                Path(self._file).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise BackendError("unreachable", clean(f"history {self._where}: {error.strerror}")) from None
        with self._writing() as connection:
            metadata.create_all(connection)
            if self._version(connection) is None:
                connection.execute(meta.insert().values(name="schema_version", value=str(SCHEMA_VERSION)))
        self._created = True

    def _version(self, connection: sa.Connection) -> int | None:
        found = connection.scalar(sa.select(meta.c.value).where(meta.c.name == "schema_version"))
        if found is not None and int(found) > SCHEMA_VERSION:
            raise BackendError(
                "malformed",
                f"history {self._where} has version {found}, this is version {SCHEMA_VERSION}",
                fix="upgrade",
            )
        return int(found) if found is not None else None

    # reading

    def find(self, pipeline: str, run_id: str) -> Row | None:
        """One run with all its columns, `spec` being the JSON itself."""
        if not self.exists():
            return None
        columns = [column for column in runs.columns if column.name != "spec"]
        query = (
            sa.select(*columns, specs.c.spec)
            .join(specs, specs.c.digest == runs.c.spec)
            .where(runs.c.pipeline == pipeline, runs.c.run_id == run_id)
        )
        with self._reading() as connection:
            found = connection.execute(query).mappings().first()
        return dict(found) if found is not None else None

    def listed(self, names: Sequence[str], since: float | None, limit: int) -> list[Row]:
        """Newest first: the last run of each of `names`, open runs, and up to `limit` of those that began or ended
        since a time."""
        if not names or not self.exists():
            return []
        of_names = runs.c.pipeline.in_(names)
        newest = [_newest(runs.c.pipeline == name, limit=1) for name in names]
        recent = sa.select(runs.c.id).where(of_names)
        if since is None:
            recent = recent.order_by(runs.c.id.desc())
        else:
            after = sa.or_(runs.c.started_at >= since, runs.c.ended_at >= since)
            recent = recent.where(after).order_by(runs.c.started_at.desc())
        recent = sa.select(recent.limit(limit).subquery().c.id)
        ids = sa.union_all(*newest, _newest(of_names, runs.c.ended_at.is_(None), limit=limit), recent)
        query = sa.select(*_LISTED).where(runs.c.id.in_(ids)).order_by(runs.c.id.desc())
        with self._reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def last_of_each(self, names: Sequence[str], count: int, *states: str) -> dict[str, list[Row]]:
        """The last `count` runs of each pipeline in one statement, newest first; only those in `states`, if given."""
        found: dict[str, list[Row]] = {name: [] for name in names}
        if not names or not self.exists():
            return found
        # First tries only: a retried run took as long as its failed tasks, not as long as the pipeline.
        of_states = [runs.c.state.in_(states), runs.c.attempt == 1] if states else []
        ids = sa.union_all(*(_newest(runs.c.pipeline == name, *of_states, limit=count) for name in names))
        query = sa.select(*_LISTED).where(runs.c.id.in_(ids)).order_by(runs.c.id.desc())
        with self._reading() as connection:
            for row in connection.execute(query).mappings():
                found[row["pipeline"]].append(dict(row))
        return found

    def good_before(self, pipeline: str, started_at: float, limit: int) -> list[Row]:
        """The newest successes of a pipeline that began before that time, newest first."""
        good = (runs.c.pipeline == pipeline, runs.c.state == "success", runs.c.started_at < started_at)
        query = sa.select(*_LISTED).where(*good).order_by(runs.c.id.desc()).limit(limit)
        with self._reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def tasks_of(self, run: int) -> list[Row]:
        """The tasks of one run, in order."""
        query = sa.select(tasks).where(tasks.c.run == run).order_by(tasks.c.position)
        with self._reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def paused(self) -> set[str]:
        """The pipelines whose schedule is paused."""
        if not self.exists():
            return set()
        with self._reading() as connection:
            return set(connection.scalars(sa.select(pipelines.c.pipeline).where(pipelines.c.paused)))

    def cancel_asked(self, run: int) -> bool:
        """Whether somebody wants this run to end."""
        with self._reading() as connection:
            return bool(connection.scalar(sa.select(runs.c.cancel_asked).where(runs.c.id == run)))

    # writing

    def add(self, new: NewRun) -> bool:
        """Put a run and its tasks down as queued; False where the pipeline has a run of that id already."""
        self.create()
        digest = hashlib.sha256(new.spec.encode()).hexdigest()
        with self._writing() as connection:
            taken = sa.select(runs.c.id).where(runs.c.pipeline == new.pipeline, runs.c.run_id == new.run_id)
            if connection.scalar(taken) is not None:
                return False
            if connection.scalar(sa.select(specs.c.digest).where(specs.c.digest == digest)) is None:
                connection.execute(specs.insert().values(digest=digest, spec=new.spec))
            inserted = connection.execute(
                runs.insert().values(
                    pipeline=new.pipeline, run_id=new.run_id, state="queued", trigger=new.trigger, attempt=1,
                    cancel_asked=False, logical_at=new.logical_at, tasks_done=0, tasks_total=len(new.tasks),
                    host=new.host, params=new.params, spec=digest,
                )
            )  # fmt: skip
            assert inserted.inserted_primary_key is not None  # of one row
            run = inserted.inserted_primary_key[0]
            connection.execute(
                tasks.insert(),
                [
                    {"run": run, "position": position, "task": name, "state": "queued", "try_number": 0,
                     "depends_on": json.dumps(depends_on)}
                    for position, (name, depends_on) in enumerate(new.tasks)
                ],
            )  # fmt: skip
        return True

    def requeue(self, run: int, host: str) -> bool:
        """Queue the tasks of an ended run that did not succeed; False where it is open, or nothing is to be done."""
        with self._writing() as connection:
            undone = (tasks.c.run == run) & (tasks.c.state != "success")
            count = connection.scalar(sa.select(sa.func.count()).where(undone)) or 0
            if not count:
                return False
            changed = connection.execute(
                runs.update().where(runs.c.id == run, runs.c.ended_at.is_not(None)).values(
                    state="queued", attempt=runs.c.attempt + 1, cancel_asked=False, started_at=None, ended_at=None,
                    duration_s=None, error=None, host=host, tasks_done=runs.c.tasks_total - count,
                )
            )  # fmt: skip
            if not changed.rowcount:
                return False
            reset = {"state": "queued", "pid": None, "started_at": None, "ended_at": None, "error": None}
            connection.execute(tasks.update().where(undone).values(reset))
        return True

    def start_run(self, run: int) -> None:
        """A queued run has begun."""
        with self._writing() as connection:
            connection.execute(runs.update().where(runs.c.id == run).values(state="running", started_at=time.time()))

    def end_run(self, run: int, state: str, error: str | None, open_tasks: str = "cancelled") -> None:
        """Close a run that is open, and those of its tasks that are."""
        now = time.time()
        with self._writing() as connection:
            still_open = runs.update().where(runs.c.id == run, runs.c.ended_at.is_(None))
            connection.execute(
                still_open.values(state=state, error=error, ended_at=now, duration_s=now - runs.c.started_at)
            )
            connection.execute(
                tasks.update()
                .where(tasks.c.run == run, tasks.c.state.in_(("queued", "running")))
                .values(state=open_tasks, ended_at=sa.case((tasks.c.started_at.is_not(None), now)))
            )

    def set_task(self, run: int, task: str, *, tasks_done: int | None = None, **values: Any) -> None:
        """Write columns of one task, and how many tasks of its run are done."""
        with self._writing() as connection:
            connection.execute(tasks.update().where(tasks.c.run == run, tasks.c.task == task).values(values))
            if tasks_done is not None:
                connection.execute(runs.update().where(runs.c.id == run).values(tasks_done=tasks_done))

    def ask_cancel(self, run: int) -> None:
        """Leave word for the process of an open run."""
        with self._writing() as connection:
            connection.execute(
                runs.update().where(runs.c.id == run, runs.c.ended_at.is_(None)).values(cancel_asked=True)
            )

    def set_paused(self, pipeline: str, paused: bool) -> None:
        """Remember whether a schedule is paused."""
        self.create()
        with self._writing() as connection:
            changed = connection.execute(
                pipelines.update().where(pipelines.c.pipeline == pipeline).values(paused=paused)
            )
            if not changed.rowcount:
                connection.execute(pipelines.insert().values(pipeline=pipeline, paused=paused))


def _newest(*conditions: sa.ColumnElement[bool], limit: int) -> sa.Select[tuple[int]]:
    """The ids of the newest runs; as a subquery, since not every database limits the parts of a union."""
    newest = sa.select(runs.c.id).where(*conditions).order_by(runs.c.id.desc()).limit(limit).subquery()
    return sa.select(newest.c.id)


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver would begin by itself, deferred and too late
    connection.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: sa.Connection) -> None:
    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    connection.exec_driver_sql(set_local({**FORMATS, **dict.fromkeys(_TIMEOUTS, f"{BUSY_S}s")}))
