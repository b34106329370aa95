"""A journal on PostgreSQL whose role, database or server has been set otherwise than the program relies on."""

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.live.postgres import PASSWORD, PostgresServer, postgres
from tests.live.process import free_port, started
from tests.live.require import program
from tests.live.teal import CommandLine
from tests.two_colors import TwoColors

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("journal-roles")]

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}
SETTINGS = (
    ("datestyle = 'German, DMY'",),
    (
        "datestyle = 'SQL, DMY'", "intervalstyle = 'sql_standard'", "timezone = '<+03>-03'", "bytea_output = 'escape'",
        "standard_conforming_strings = off", "client_encoding = 'LATIN1'", "extra_float_digits = -15",
        "transform_null_equals = on", "search_path = 'own'", "synchronous_commit = off",
    ),
    (
        "statement_timeout = '50ms'", "lock_timeout = '1ms'", "idle_in_transaction_session_timeout = '100ms'",
        "default_transaction_isolation = 'serializable'", "default_transaction_deferrable = on",
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresServer]:
    with postgres("max_connections=20", "superuser_reserved_connections=3") as server:
        yield server


@pytest.fixture
def server(cluster: PostgresServer) -> PostgresServer:
    """With a database `journal` of a role `ops` that may do nothing else, and has set nothing."""
    cluster.start("max_connections=20", "superuser_reserved_connections=3")
    cluster.sql("drop database if exists journal with (force)")
    cluster.sql("drop role if exists ops")
    cluster.sql(f"create role ops login password '{PASSWORD}'")
    cluster.sql("create database journal owner ops")
    return cluster


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[TwoColors]:
    async with TwoColors(tmp_path) as service:
        yield service


def teal_of(server: PostgresServer, service: TwoColors, home: Path, url: str = "") -> CommandLine:
    """Its role has a schema of its own. `url`: of what is between, if anything is."""
    with psycopg.connect(server.url(database="journal"), autocommit=True) as connection:
        connection.execute("create schema if not exists own authorization ops")
    entry = {"type": "file-switch", **service.config(bake="0s")}
    url = url or server.url("ops", database="journal")
    return CommandLine(home, entry, {"JOURNAL_URL": url}, journal={"env": "JOURNAL_URL"})


@pytest.mark.parametrize("settings", SETTINGS)
async def test_what_a_role_has_set_changes_nothing(
    server: PostgresServer, service: TwoColors, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    for setting in settings:
        server.sql(f"alter role ops set {setting}")
    teal = teal_of(server, service, tmp_path)
    await there_and_back(teal, service)


async def there_and_back(teal: CommandLine, service: TwoColors) -> None:
    """A flip and its rollback, each in the journal."""
    for word, weights in (("flip", GREEN), ("rollback", BLUE)):
        code, output, complaints = await teal.run("deploy", word, "analytics", "-y")
        assert (code, service.weights()) == (0, weights), (output, complaints)
        assert "not in the journal" not in complaints
    code, output, complaints = await teal.run("audit", "verify")
    assert code == 0, (output, complaints)


@contextlib.contextmanager
def pooled(server: PostgresServer, directory: Path) -> Iterator[str]:
    """A PgBouncer before the database that hands each transaction to another of two sessions; its URL."""
    port = free_port()
    config = directory / "pgbouncer.ini"
    config.write_text(
        f"""[databases]
journal = host=127.0.0.1 port={server.port} dbname=journal user=ops password={PASSWORD}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
server_round_robin = 1
"""
    )
    url = f"postgresql://ops@127.0.0.1:{port}/journal"

    def answers() -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(url, connect_timeout=2).close()
            return True
        return False

    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    directory.chmod(0o755)
    config.chmod(0o644)
    with started([program("pgbouncer"), *user, str(config)], directory / "pgbouncer.log", answers):
        yield url


async def test_a_pooler_of_transactions_is_left_as_it_was(
    server: PostgresServer, service: TwoColors, tmp_path: Path
) -> None:
    for setting in ("datestyle = 'German, DMY'", "statement_timeout = '3s'", "row_security = on"):
        server.sql(f"alter role ops set {setting}")
    with tempfile.TemporaryDirectory() as directory, pooled(server, Path(directory)) as url:
        await there_and_back(teal_of(server, service, tmp_path, url), service)
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
            for _ in range(4):
                told = connection.execute(
                    "select current_setting('statement_timeout'), current_setting('lock_timeout')"
                )
                assert told.fetchone() == ("3s", "0"), "what others use after us"


async def test_the_way_back_needs_no_second_connection(
    server: PostgresServer, service: TwoColors, tmp_path: Path
) -> None:
    teal = teal_of(server, service, tmp_path)
    assert (await teal.run("deploy", "flip", "analytics", "-y"))[0] == 0
    server.sql("alter role ops connection limit 1")
    code, output, complaints = await teal.run("deploy", "rollback", "analytics", "-y")
    assert (code, service.weights()) == (0, BLUE), (output, complaints)
    assert "its runner died: once more, in this process" in complaints
    assert "not in the journal" not in complaints


async def test_the_way_back_needs_no_lease(server: PostgresServer, service: TwoColors, tmp_path: Path) -> None:
    """The journal takes the order, and lets nobody run it."""
    teal = teal_of(server, service, tmp_path)
    assert (await teal.run("deploy", "flip", "analytics", "-y"))[0] == 0
    with psycopg.connect(server.url(database="journal"), autocommit=True) as connection:
        connection.execute("alter table leases owner to teal")
    code, output, complaints = await teal.run("deploy", "rollback", "analytics", "-y")
    assert (code, service.weights()) == (0, BLUE), (output, complaints)
    assert "permission denied for table leases" in complaints
    assert "its records are in" in complaints
    found = await teal.action("action", "list", "--open")
    why = "permission denied for table leases"
    assert why in next(each["text"] for each in found["findings"] if each["code"] == "orphaned")
    code, output, _ = await teal.run("deploy", "flip", "analytics", "-y")
    assert (code, why in output + _) == (6, True)


async def test_each_refusal_of_the_server_is_one_line(
    server: PostgresServer, service: TwoColors, tmp_path: Path
) -> None:
    teal = teal_of(server, service, tmp_path)
    assert (await teal.run("deploy", "flip", "analytics", "-y"))[0] == 0
    where = f"journal postgresql://127.0.0.1:{server.port}/journal: "
    for change, back, words, fix in (
        ("set search_path = own", "reset search_path", "its tables are in schema public, which is not in search_path",
         "put it into the search_path of its role"),
        ("set default_transaction_read_only = on", "reset default_transaction_read_only",
         "it can only be read: default_transaction_read_only is on for its role", "see who set it"),
        ("connection limit 0", "connection limit -1", 'too many connections for role "ops"', "end sessions"),
        ("nologin", "login", 'role "ops" is not permitted to log in', "check the user"),
    ):  # fmt: skip
        server.sql(f"alter role ops {change}")
        code, output, complaints = await teal.run("deploy", "flip", "analytics", "-y")
        assert code in (2, 4, 7), (output, complaints)
        assert complaints.startswith(f"teal: {where}{words} ({fix}"), complaints
        assert complaints.count("\n") == 1
        server.sql(f"alter role ops {back}")
