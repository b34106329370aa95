"""A journal on PostgreSQL whose role, database or server has been set otherwise than the program relies on."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.live.postgres import PASSWORD, PostgresServer, postgres
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


def teal_of(server: PostgresServer, service: TwoColors, home: Path) -> CommandLine:
    """Its role has a schema of its own."""
    with psycopg.connect(server.url(database="journal"), autocommit=True) as connection:
        connection.execute("create schema if not exists own authorization ops")
    entry = {"type": "file-switch", **service.config(bake="0s")}
    url = server.url("ops", database="journal")
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
