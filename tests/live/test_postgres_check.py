"""The `postgres` check against a real server and a real standby: each fault has its own line."""

import asyncio
import contextlib
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from backends.checks.postgres.check import PostgresCheck
from backends.errors import BackendError
from backends.http import Http
from backends.models import CheckResult
from backends.registry import AdapterContext, build
from backends.testing.checks import BuildCheck, CheckContract, consistent
from tests.live.postgres import PASSWORD, PostgresServer, postgres, postgres_directory
from tests.live.process import until

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("postgres")]

SETTINGS = ("max_connections=20", "superuser_reserved_connections=3", "wal_receiver_status_interval=1")
Build = Callable[..., PostgresCheck]


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresServer]:
    with postgres(*SETTINGS) as server:
        yield server


@pytest.fixture
def server(cluster: PostgresServer) -> PostgresServer:
    cluster.start(*SETTINGS)  # where the test before has stopped it
    return cluster


@pytest.fixture(scope="module")
def standby(cluster: PostgresServer) -> Iterator[PostgresServer]:
    cluster.start(*SETTINGS)
    with postgres_directory() as directory:
        server = cluster.copy(directory)
        server.start(*SETTINGS)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def build_postgres(server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    def factory(at: PostgresServer = server, *, user: str = "monitor", password: str = PASSWORD, **config: Any) -> Any:
        variable = f"TEAL_TEST_URL_{at.port}_{user}"
        monkeypatch.setenv(variable, at.url(user, password))
        context = AdapterContext("mine", tmp_path, tmp_path, Http())
        return build("checks", "postgres", {"url": {"env": variable}, "timeout": "10s", **config}, context)

    return factory


async def look(check: PostgresCheck) -> CheckResult:
    result = await check.run()
    consistent(result)
    assert PASSWORD not in result.message
    return result


def values(result: CheckResult) -> dict[str, float | None]:
    return {datum.label: datum.value for datum in result.perfdata}


class TestPostgresCheck(CheckContract):
    """The part that all checks share: the connection and its latency."""

    @pytest.fixture
    def build_check(self, build_postgres: Build) -> BuildCheck:
        return lambda **config: build_postgres(skip=["connections", "replication", "blocked", "archiver"], **config)

    @pytest.fixture
    def system(self, server: PostgresServer) -> Any:
        class Stoppable:
            async def stop(self) -> None:
                server.stop()

        return Stoppable()


async def test_a_healthy_primary(build_postgres: Build) -> None:
    result = await look(build_postgres())
    assert result.state == "ok"
    assert result.message.startswith("PostgreSQL ")
    assert " of 20 connections, connected in " in result.message
    connections = next(datum for datum in result.perfdata if datum.label == "connections")
    assert (connections.warn, connections.crit, connections.min, connections.max) == ("16", "18", 0, 20)
    assert connections.value is not None
    assert 1 <= connections.value < 10
    assert {"time", "blocked"} <= set(values(result))


async def test_stopped(server: PostgresServer, build_postgres: Build) -> None:
    server.stop()
    result = await look(build_postgres())
    assert (result.state, result.message) == ("critical", f"127.0.0.1:{server.port}/postgres: connection refused")


@pytest.mark.parametrize("user", ["monitor", "nobody_of_that_name"])
async def test_wrong_password(server: PostgresServer, build_postgres: Build, user: str) -> None:
    result = await look(build_postgres(user=user, password="hunter2-s3cret"))
    words = f'127.0.0.1:{server.port}/postgres: password authentication failed for user "{user}"'
    assert (result.state, result.message) == ("critical", words)


async def test_full(server: PostgresServer, build_postgres: Build) -> None:
    check = build_postgres()
    with contextlib.ExitStack() as open_sessions:
        for _ in range(17):
            open_sessions.enter_context(psycopg.connect(server.url("monitor")))
        result = await look(check)
        assert result.state == "critical"
        assert result.message.startswith(f"127.0.0.1:{server.port}/postgres: full: ")
        open_sessions.enter_context(psycopg.connect(server.url("teal")))
        as_admin = await look(build_postgres(user="teal"))
        assert (as_admin.state, as_admin.message) == ("critical", "19 of 20 connections are taken")
        tolerant = await look(build_postgres(user="teal", connections_crit=95))
        assert tolerant.state == "warning"


async def test_read_only(server: PostgresServer, build_postgres: Build) -> None:
    server.sql("alter role monitor set default_transaction_read_only = on")
    assert (await look(build_postgres())).state == "ok", "the monitor's own setting"
    server.sql("alter system set default_transaction_read_only = on")
    server.sql("select pg_reload_conf()")
    try:
        until(lambda: server.sql("show default_transaction_read_only") == [("on",)], "the setting")
        result = await look(build_postgres(user="teal"))
        words = "read-only: default_transaction_read_only is on"
        assert (result.state, result.message) == ("critical", words)
    finally:
        with psycopg.connect(server.url(), autocommit=True, options="-c default_transaction_read_only=off") as session:
            session.execute("alter system reset default_transaction_read_only")
            session.execute("select pg_reload_conf()")
            session.execute("alter role monitor reset default_transaction_read_only")


async def test_the_check_cannot_write(server: PostgresServer, build_postgres: Build, monkeypatch: Any) -> None:
    monkeypatch.setattr("backends.checks.postgres.check.SERVER", "create table written (id int)")
    result = await look(build_postgres(user="teal"))
    assert result.state == "critical"
    assert "read-only transaction" in result.message


async def test_a_statement_that_takes_too_long(build_postgres: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.checks.postgres.check.SERVER", "select pg_sleep(60)")
    result = await look(build_postgres(timeout="1s"))
    assert result.state == "critical"
    assert result.message.partition("/postgres: ")[2] in ("a statement took too long", "connected, but no answer in 1s")


async def test_a_server_that_hangs(server: PostgresServer, build_postgres: Build) -> None:
    server.signal(signal.SIGSTOP)
    try:
        result = await look(build_postgres(timeout="1s"))
    finally:
        server.signal(signal.SIGCONT)
    words = f"127.0.0.1:{server.port}/postgres: no connection in 1s"
    assert (result.state, result.message) == ("critical", words)


async def test_another_role_than_expected(
    server: PostgresServer, standby: PostgresServer, build_postgres: Build
) -> None:
    result = await look(build_postgres(standby))
    words = "read-only: it is a standby, expected a primary"
    assert (result.state, result.message.partition(";")[0]) == ("critical", words)
    result = await look(build_postgres(server, role="standby"))
    assert (result.state, result.message) == ("critical", "it is a primary, expected a standby")


async def test_a_standby_that_follows(server: PostgresServer, standby: PostgresServer, build_postgres: Build) -> None:
    until(lambda: server.sql("select 1 from pg_stat_replication where state = 'streaming'"), "streaming")
    server.sql("create table if not exists numbers (n int)")
    until(lambda: server.sql("select 1 from pg_stat_replication where replay_lsn is not null"), "a standby's answer")
    result = await look(build_postgres(standby, role="standby"))
    assert (result.state, "standby, " in result.message) == ("ok", True)
    assert values(result)["lag"] == pytest.approx(0, abs=2)
    result = await look(build_postgres(server, user="teal", standbys=1))
    assert (result.state, values(result)["standbys"]) == ("ok", 1)
    assert "lag_bytes" in values(result)
    assert (await look(build_postgres(server, standbys=1))).state == "ok", "without privileges"
    result = await look(build_postgres(server, standbys=2))
    assert (result.state, result.message) == ("critical", "1 of 2 standbys follow")


async def test_lagging(server: PostgresServer, standby: PostgresServer, build_postgres: Build) -> None:
    until(lambda: server.sql("select 1 from pg_stat_replication where state = 'streaming'"), "streaming")
    limits = {"lag_warn": "100ms", "lag_crit": "1h"}
    standby.sql("select pg_wal_replay_pause()")
    try:
        server.sql("create table if not exists numbers (n int)")
        server.sql("insert into numbers select generate_series(1, 1000)")
        query = "select 1 from pg_stat_replication where replay_lag > interval '1.5 s'"
        until(lambda: server.sql("insert into numbers values (1)") or server.sql(query), "lag")
        result = await look(build_postgres(server, user="teal", **limits))
        assert result.state == "warning"
        assert result.message.startswith("standby walreceiver lags ")
        result = await look(build_postgres(standby, role="standby", **limits))
        assert result.state == "warning"
        assert result.message.startswith("replay is paused; replay lags ")
        lag = values(result)["lag_bytes"]
        assert lag is not None
        assert lag > 0
        result = await look(build_postgres(standby, role="standby", lag_warn="100ms", lag_crit="200ms"))
        assert result.state == "critical"
        assert result.message.startswith("replay lags ")
    finally:
        standby.sql("select pg_wal_replay_resume()")


async def test_a_standby_whose_primary_is_gone(
    server: PostgresServer, standby: PostgresServer, build_postgres: Build
) -> None:
    server.stop()
    until(lambda: standby.sql("select count(*) from pg_stat_wal_receiver") == [(0,)], "the receiver gone")
    result = await look(build_postgres(standby, role="standby"))
    assert (result.state, result.message) == ("warning", "receives nothing from its primary")


async def test_blocked(server: PostgresServer, build_postgres: Build) -> None:
    server.sql("create table if not exists held (n int)")
    with psycopg.connect(server.url()) as holder, psycopg.connect(server.url()) as waiter:
        holder.execute("lock table held")
        waiting = asyncio.create_task(asyncio.to_thread(lambda: waiter.execute("lock table held")))
        until_waiting = "select 1 from pg_locks where not granted"
        await asyncio.to_thread(until, lambda: server.sql(until_waiting), "a session that waits")
        assert (await look(build_postgres())).state == "ok", "not for 10 s yet"
        result = await look(build_postgres(blocked_for="1ms"))
        words = f"1 blocked, longest {{}}s by process {holder.info.backend_pid}"
        assert result.state == "warning"
        assert result.message in (words.format(0), words.format(1), words.format(2))
        assert values(result)["blocked"] == 1
        assert (await look(build_postgres(blocked_for="1ms", blocked_crit=0))).state == "critical"
        holder.rollback()
        await waiting
    assert (await look(build_postgres(blocked_for="1ms"))).state == "ok"


async def test_an_archiver_that_fails(server: PostgresServer, build_postgres: Build) -> None:
    assert "archive_failures" not in values(await look(build_postgres()))
    server.stop()
    server.start(*SETTINGS, "archive_mode=on", "archive_command=false")
    try:
        server.sql("create table if not exists numbers (n int)")
        server.sql("insert into numbers values (1)")
        server.sql("select pg_switch_wal()")
        until(lambda: server.sql("select 1 from pg_stat_archiver where failed_count > 0"), "a failure")
        result = await look(build_postgres())
        assert result.state == "critical"
        assert re.fullmatch(r"archiver fails: \d+s ago at [0-9A-F]{24}", result.message)
        assert (await look(build_postgres(skip=["archiver"]))).state == "ok"
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("url", "words"),
    [("postgresql://[", "not a PostgreSQL URL"), ("mysql://host/db", "not a PostgreSQL URL"), ("x", "not a Postgre")],
)
async def test_where_nobody_could_look_it_is_an_error(tmp_path: Path, url: str, words: str) -> None:
    check = build("checks", "postgres", {"url": url}, AdapterContext("mine", tmp_path, tmp_path, Http()))
    with pytest.raises(BackendError, match=words) as caught:
        await check.run()
    assert caught.value.kind == "config"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"url": "postgresql://u:p@host/"}, "a password inside a URL"),
        ({"url": "host=db password=x"}, "a literal password"),
        ({"url": "postgresql+psycopg://u:p@host/"}, "a password inside a URL"),
        ({"timeout": "0s"}, "timeout"),
        ({"warn": "2s", "crit": "1s"}, "warn is not more than crit"),
        ({"connections_warn": 95}, "connections_warn"),
        ({"lag_warn": "1h"}, "lag_warn"),
        ({"standbys": -1}, "standbys"),
        ({"role": "leader"}, "role"),
        ({"skip": ["arciver"]}, "skip"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    context = AdapterContext("mine", tmp_path, tmp_path, Http())
    with pytest.raises(BackendError, match=words):
        build("checks", "postgres", {"url": "postgresql://host/", **config}, context)
