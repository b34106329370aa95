"""`sql` quality on a real PostgreSQL: the contract on `data_quality_log`, a session that can only read, each fault."""

import asyncio
import math
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from backends.errors import BackendError
from backends.http import Http
from backends.quality.sql import SqlQuality
from backends.registry import AdapterContext, build
from backends.testing.quality import MINUTE, Evaluate, Evaluation, Lose, QualityContract, now
from tests.live.postgres import PASSWORD, PostgresServer, postgres

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("sql-quality")]

TABLE = """
create schema if not exists dq;
drop table if exists dq.data_quality_log cascade;
create table dq.data_quality_log (id bigserial primary key, dataset text not null, suite text, score numeric,
    passed integer, total integer, failures jsonb, evaluated_at timestamptz, run_id text, run_ref text);
grant usage on schema dq to monitor; grant select on all tables in schema dq to monitor;
"""
INSERT = "insert into dq.data_quality_log (dataset, score, evaluated_at, failures) values (%s, %s, %s, %s)"
Connect = Callable[..., SqlQuality]


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresServer]:
    with postgres("max_connections=20", "superuser_reserved_connections=3") as server:
        yield server


@pytest.fixture
def server(cluster: PostgresServer) -> PostgresServer:
    cluster.start("max_connections=20", "superuser_reserved_connections=3")  # where the test before has stopped it
    cluster.sql(TABLE)
    return cluster


@pytest.fixture
async def connect(server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connect]:
    opened: list[SqlQuality] = []

    def connected(user: str = "monitor", password: str = PASSWORD, options: str = "", **config: Any) -> SqlQuality:
        monkeypatch.setenv("WAREHOUSE_URL", server.url(user, password) + options)
        place: dict[str, Any] = {"url": {"env": "WAREHOUSE_URL"}, "timeout": "20s"}
        place |= {} if "query" in config else {"table": "dq.data_quality_log"}
        opened.append(build("quality", "sql", {**place, **config}, AdapterContext("dq", tmp_path, tmp_path, Http())))
        return opened[-1]

    yield connected
    for adapter in opened:
        await adapter.aclose()


def insert(server: PostgresServer, *row: Any) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(INSERT, row)


class TestContract(QualityContract):
    @pytest.fixture
    def adapter(self, connect: Connect) -> SqlQuality:
        return connect()

    @pytest.fixture
    def evaluate(self, server: PostgresServer) -> Evaluate:
        def put(evaluation: Evaluation) -> None:
            failures = [{"check": check, "detail": "3 of 10 rows"} for check in evaluation.failed_checks]
            insert(server, evaluation.dataset, evaluation.score, evaluation.at, Jsonb(failures))

        return put

    @pytest.fixture
    def lose(self, server: PostgresServer) -> Lose:
        return server.stop


async def refusal(adapter: SqlQuality) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await adapter.scores()
    assert PASSWORD not in caught.value.message + caught.value.fix
    assert caught.value.message.isprintable()
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize(
    "query",
    [
        "insert into dq.data_quality_log (dataset) values ('x') returning dataset, score, evaluated_at",
        "with gone as (delete from dq.data_quality_log returning *) select dataset, score, evaluated_at from gone",
        "select nextval('dq.data_quality_log_id_seq') as dataset, 1 as score, now() as evaluated_at",
        "create table dq.mine as select 1",
        "select 1 as dataset, 1 as score, now() as evaluated_at; drop table dq.data_quality_log",
    ],
)
async def test_it_can_only_read_even_as_the_owner(connect: Connect, server: PostgresServer, query: str) -> None:
    insert(server, "customers", 1, now(), None)
    error = await refusal(connect(user="teal", query=query))
    assert error.kind in ("config", "auth")
    assert server.sql("select count(*) from dq.data_quality_log") == [(1,)]


async def test_how_the_role_writes_values_changes_none(connect: Connect, server: PostgresServer) -> None:
    """psycopg reads no dates but ISO's, no intervals but the server's own, and only the digits that it is given."""
    told = ("datestyle = 'German, DMY'", "intervalstyle = 'sql_standard'", "extra_float_digits = -10")
    for setting in (*told, "default_transaction_isolation = 'serializable'", "bytea_output = 'escape'"):
        server.sql(f"alter role monitor set {setting}")
    try:
        query = "select 'customers' as dataset, 0.123456789::float8 as score, now() as evaluated_at, interval '1h'"
        (found,) = await connect(query=query).scores()
        assert found.score == 0.123456789
        assert found.evaluated_at is not None
        assert abs(found.evaluated_at - now()) < 5 * MINUTE
    finally:
        server.sql("alter role monitor reset all")


async def test_a_slow_query_is_ended_by_the_server(connect: Connect, server: PostgresServer) -> None:
    slow = "select pg_sleep(600)::text as dataset, 1 as score, now() as evaluated_at"
    error = await refusal(connect(query=slow, timeout="1s"))
    assert error.kind == "timeout"
    async with asyncio.timeout(30):
        while server.sql("select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' and state = 'active'"
                         " and pid <> pg_backend_pid()") != [(0,)]:  # fmt: skip
            await asyncio.sleep(0.1)


async def test_a_table_that_somebody_locks(connect: Connect, server: PostgresServer) -> None:
    with psycopg.connect(server.url()) as holder:
        holder.execute("lock table dq.data_quality_log in access exclusive mode")
        assert (await refusal(connect(timeout="1s"))).kind == "timeout"


async def test_a_server_that_hangs(connect: Connect, server: PostgresServer) -> None:
    adapter = connect(timeout="1s")
    server.signal(signal.SIGSTOP)
    try:
        assert (await refusal(adapter)).kind == "timeout"
    finally:
        server.signal(signal.SIGCONT)


async def test_sessions_that_were_ended_are_opened_anew(connect: Connect, server: PostgresServer) -> None:
    insert(server, "customers", 1, now(), None)
    adapter = connect()
    assert len(await adapter.scores()) == 1
    server.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'monitor'")
    assert len(await adapter.scores()) == 1


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"password": "wrong"}, "auth", "password authentication failed"),
        ({"user": "nobody"}, "auth", "authentication failed"),
        ({"table": "dq.nothing"}, "not_found", "dq.nothing"),
        ({"table": "nothing.here"}, "not_found", "nothing"),
        ({"query": "select dataset from dq.data_quality_log"}, "config", ""),
        ({"query": "selct 1"}, "config", "syntax error"),
        ({"query": "select no_such from dq.data_quality_log"}, "not_found", "no_such"),
    ],
)
async def test_what_is_wrong_is_named(
    connect: Connect, server: PostgresServer, change: dict[str, Any], kind: str, words: str
) -> None:
    insert(server, "customers", 1, now(), None)
    error = await refusal(connect(**change))
    if words:
        assert (error.kind, words in error.message) == (kind, True), error.message
    else:
        assert "no column score, evaluated_at" in error.message


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        ({"password": "wrong"}, "check the user and the password of the URL"),
        ({"options": "?sslmode=require"}, "check `sslmode` in the URL"),
        ({"table": "dq.nothing"}, "the table needs the columns dataset, score and evaluated_at"),
        (
            {"query": "select no_such from dq.data_quality_log"},
            "check the tables and the columns that its `query` names",
        ),
    ],
)
async def test_what_to_do_fits_what_is_wrong(connect: Connect, change: dict[str, Any], fix: str) -> None:
    error = await refusal(connect(**change))
    assert error.fix.startswith(fix)


async def test_a_database_that_is_not_there(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", server.url(database="warehose"))
    config = {"url": {"env": "WAREHOUSE_URL"}, "table": "t"}
    adapter = build("quality", "sql", config, AdapterContext("dq", tmp_path, tmp_path, Http()))
    error = await refusal(adapter)
    await adapter.aclose()
    assert error.message.startswith(f"postgresql 127.0.0.1:{server.port}/warehose: ")
    assert error.fix == "check the database in the URL"


async def test_the_short_scheme_is_named(tmp_path: Path) -> None:
    config = {"url": "postgres://monitor@127.0.0.1/x", "table": "t"}
    adapter = build("quality", "sql", config, AdapterContext("dq", tmp_path, tmp_path, Http()))
    error = await refusal(adapter)
    assert (error.kind, error.fix) == ("config", "write postgresql:// instead of postgres://")


async def test_a_table_that_may_not_be_read(connect: Connect, server: PostgresServer) -> None:
    server.sql("revoke select on dq.data_quality_log from monitor")
    error = await refusal(connect())
    assert (error.kind, "permission denied" in error.message) == ("auth", True)
    assert error.fix == "grant its user the right to read it"


async def test_no_connection_is_left(connect: Connect, server: PostgresServer) -> None:
    adapter = connect()
    with_all = [psycopg.connect(server.url()) for _ in range(17)]
    try:
        found = await refusal(adapter)
        assert (found.kind, "connection" in found.message) == ("unreachable", True)
    finally:
        for connection in with_all:
            connection.close()


async def test_the_types_of_the_database(connect: Connect, server: PostgresServer) -> None:
    server.sql("""create view dq.typed as select 'orders'::varchar as dataset, 'NaN'::numeric as score,
        now() at time zone 'UTC' as evaluated_at, '[{"check": "a", "detail": "b"}]'::json as failures""")
    server.sql("grant select on dq.typed to monitor")
    (found,) = await connect(table="dq.typed").scores()
    assert (found.state, found.reason) == ("unknown", "score is NaN")
    assert (found.failures[0].check, found.age_s is not None and found.age_s < 60) == ("a", True)
    assert math.isfinite(found.age_s or 0)


async def test_a_large_log_is_answered_by_the_newest_of_each(connect: Connect, server: PostgresServer) -> None:
    server.sql("""insert into dq.data_quality_log (dataset, score, evaluated_at)
        select 'd' || (n % 50), 0.99, now() - n * interval '1 second' from generate_series(1, 100000) n""")
    found = await connect(cadence="1h").scores()
    assert [(score.state, len(score.trend)) for score in found] == [("ok", 24)] * 50


async def test_an_evaluation_with_another_zone(connect: Connect, server: PostgresServer) -> None:
    insert(server, "customers", 1, (now() - MINUTE).astimezone(timezone(timedelta(hours=9))), None)
    (found,) = await connect().scores()
    assert found.age_s == pytest.approx(60, abs=30)
