"""The journal on PostgreSQL: the server's clock, a server that goes away and comes back, and what it may refuse."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from actions.ids import now
from actions.journal.journal import Journal
from actions.journal.lease import LeaseTimes
from actions.journal.location import JournalLocation, journal_location
from actions.journal.rows import Event
from backends.checks.postgres.check import PostgresCheck, PostgresCheckConfig
from backends.errors import BackendError
from backends.http import Http
from backends.registry import AdapterContext
from backends.settings import Secret
from backends.sql import Database
from tests.actions.journals import begun, draft, execute, owner
from tests.live.postgres import PASSWORD, PostgresServer, postgres

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("journal-postgresql")]


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    with postgres() as server:
        yield server


@pytest.fixture
def location(own_server: PostgresServer, tmp_path: Path) -> JournalLocation:
    own_server.start()
    own_server.sql("DROP DATABASE IF EXISTS journal WITH (FORCE)")
    own_server.sql("CREATE DATABASE journal")
    return journal_location(own_server.url(database="journal"), {"TEAL_STATE_DIR": str(tmp_path)})


@pytest.fixture
async def journal(location: JournalLocation) -> AsyncIterator[Journal]:
    journal = Journal(location)
    yield journal
    await journal.aclose()


async def test_a_lease_ends_by_the_servers_clock(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = now() + timedelta(hours=3)
    for module in ("actions.ids", "actions.journal.sql", "actions.journal.engines"):
        monkeypatch.setattr(f"{module}.now", lambda: ahead)  # this host's clock is three hours ahead
    hold = await begun(journal)
    assert hold.owner.lease_expires_at is not None
    assert timedelta(seconds=-30) < hold.owner.lease_expires_at - (ahead - timedelta(hours=3)) < timedelta(seconds=120)
    (seen,) = await journal.action("test", hold.action_id)
    assert seen.owner is not None
    assert not seen.owner.lease_over


async def test_a_write_outlives_a_restart_of_the_server_and_is_written_once(
    journal: Journal, own_server: PostgresServer
) -> None:
    hold = await begun(journal)
    await asyncio.to_thread(own_server.stop)
    write = asyncio.create_task(journal.write(hold, Event(step="shift", kind="observed")))
    await asyncio.sleep(0.5)
    assert not write.done()
    await asyncio.to_thread(own_server.start)
    assert await asyncio.wait_for(write, 60)
    kinds = [line.event.kind for line in await journal.history(hold.action_id)]
    assert kinds.count("observed") == 1
    assert (await journal.audit_verify()).intact


async def test_with_the_server_gone_for_longer_than_the_lease_is_sure_a_write_fails(
    location: JournalLocation, own_server: PostgresServer
) -> None:
    journal = Journal(location, LeaseTimes(ttl_s=3, renew_s=0.5, self_fence_s=1))
    hold = await begun(journal)
    await asyncio.to_thread(own_server.stop)
    with pytest.raises(BackendError) as caught:
        await asyncio.wait_for(journal.write(hold, Event(step="shift", kind="intent")), 60)
    assert caught.value.kind == "unreachable"
    assert PASSWORD not in f"{caught.value.message} {caught.value.fix}"
    await journal.aclose()


async def test_a_writer_that_stands_still_in_a_transaction_is_put_out(
    journal: Journal, location: JournalLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begun(journal)
    from actions.journal.engines import _WRITER, POSTGRESQL_SETTINGS

    assert "idle_in_transaction_session_timeout" in POSTGRESQL_SETTINGS
    url = location.url.replace("+psycopg", "")
    with contextlib.closing(psycopg.connect(url)) as stopped:
        stopped.execute("SET idle_in_transaction_session_timeout = 1000")
        stopped.commit()
        stopped.execute(f"SELECT pg_advisory_xact_lock({_WRITER})")
        assert await asyncio.wait_for(journal.begin(draft("other")), 60)
        with pytest.raises(psycopg.Error):
            stopped.execute("SELECT 1")


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (("teal:", "nobody:"), "auth", "password authentication failed"),
        ((f":{PASSWORD}", ":wrong"), "auth", "password authentication failed"),
        (("/journal", "/nosuch"), "unreachable", 'database "nosuch" does not exist'),
        (("teal:", "monitor:"), "auth", "permission denied"),
    ],
)
async def test_what_it_refuses_is_one_line_without_the_password(
    location: JournalLocation, tmp_path: Path, change: tuple[str, str], kind: str, words: str
) -> None:
    other = journal_location(location.url.replace(*change), {"TEAL_STATE_DIR": str(tmp_path)})
    journal = Journal(other)
    with pytest.raises(BackendError, match=words) as caught:
        await journal.begin(draft())
    assert caught.value.kind == kind
    told = f"{caught.value.message} {caught.value.fix}"
    assert "\n" not in told
    assert PASSWORD not in told
    await journal.aclose()


async def test_what_can_only_be_read_says_why(journal: Journal, location: JournalLocation) -> None:
    await begun(journal)
    execute(location, "ALTER DATABASE journal SET default_transaction_read_only = on")
    other = Journal(location)
    assert len(await other.actions("test")) == 1
    why = "it can only be read: default_transaction_read_only is on for its database$"
    with pytest.raises(BackendError, match=why) as caught:
        await other.begin(draft("other"))
    assert "standby" not in caught.value.fix
    with pytest.raises(BackendError, match=why):
        await other.writable()  # what `teal doctor` asks
    await journal.writable()
    await other.aclose()


async def test_a_database_in_sql_ascii_is_a_journal_like_another(
    own_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`initdb` under the C locale; psycopg takes text for bytes from there."""
    own_server.start()
    own_server.sql("DROP DATABASE IF EXISTS ascii WITH (FORCE)")
    own_server.sql("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    url = own_server.url(database="ascii")
    journal = Journal(journal_location(url, {"TEAL_STATE_DIR": str(tmp_path)}))
    hold = await begun(journal)
    (seen,) = await journal.action("test", hold.action_id)
    assert seen.id == hold.action_id
    await journal.aclose()
    with psycopg.connect(url, client_encoding="utf8") as connection:
        connection.execute("CREATE TABLE s (dataset text, score float, evaluated_at timestamptz)")
        connection.execute("INSERT INTO s VALUES ('größe', 0.5, now())")
    database = Database(url, base_dir=tmp_path)
    assert [row["dataset"] for row in await database.rows("SELECT dataset FROM s", limit=5)] == ["größe"]
    with psycopg.connect(url, client_encoding="sql_ascii", autocommit=True) as connection:
        connection.execute(b"INSERT INTO s VALUES (E'lat\\xe4in', 0.4, now()), ('plain', 0.3, now())")
    rows = await database.rows("SELECT dataset, score, evaluated_at FROM s ORDER BY score DESC", limit=5)
    assert [row["dataset"] for row in rows] == ["größe", "lat\ufffdin", "plain"], "one odd row costs itself alone"
    assert isinstance(rows[1]["score"], float)
    assert rows[1]["evaluated_at"].tzinfo is not None
    await database.aclose()
    context = AdapterContext("pg", tmp_path, tmp_path / "state", Http())
    monkeypatch.setenv("ASCII_URL", url)
    result = await PostgresCheck(PostgresCheckConfig(url=Secret(env="ASCII_URL"), role="any"), context).run()
    assert result.state in ("ok", "warning"), result


async def test_another_hosts_owner_without_a_lock_file_here_is_alive(journal: Journal) -> None:
    hold = await begun(journal)
    (seen,) = await journal.action("test", hold.action_id)
    assert seen.owner == hold.owner
    assert owner().lock == hold.owner.lock
