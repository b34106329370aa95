"""The journal: born with the first write, migrated, fenced, and won by one of many processes."""

import asyncio
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from actions.audit import AuditEntry
from actions.ids import new_id, now, time_of, time_text
from actions.journal import Journal
from actions.journal_sql import KeyUsed, Occupied
from actions.lease import Hold, LeaseHeld, LeaseLost, is_held, owner_file, release, take
from actions.location import JournalLocation, journal_location
from actions.models import Actor, Owner, Plan, PlanSummary, Request
from actions.rows import Changes, Draft, Event
from backends.errors import BackendError

ALICE = Actor(login="alice", host="bastion-1")
ROOT = Path(__file__).parents[2]


def here(directory: Path) -> JournalLocation:
    return journal_location(None, {"TEAL_STATE_DIR": str(directory)})


def draft(service: str = "analytics", key: str = "", **plan: Any) -> Draft:
    made = Plan(
        kind="flip", context="test", service=service, guard_class="3", protected=False, from_="blue", to="green",
        findings=(), summary=PlanSummary(effects=("e",), preconditions=(), undo="u"), hash="h", made_at=now(),
        request=Request(kind="flip", service=service), **plan,
    )  # fmt: skip
    return Draft(
        id=new_id(), plan=made, request_hash="r", idempotency_key=key or new_id(), actor=ALICE, reason="",
        steps=("preflight", "shift"),
    )  # fmt: skip


def owner(host: str = "bastion-1", *, ttl_s: float = 60, pid: int = 1) -> Owner:
    return Owner(user="alice", host=host, pid=pid, lease_expires_at=now() + timedelta(seconds=ttl_s))


@pytest.fixture
async def journal(tmp_path: Path) -> Any:
    journal = Journal(here(tmp_path / "state"))
    yield journal
    await journal.aclose()


async def begun(journal: Journal) -> Hold:
    action = await journal.begin(draft())
    assert action.id is not None
    return await journal.acquire(action.id, owner())


async def test_reading_what_is_not_there_finds_nothing_and_creates_nothing(journal: Journal) -> None:
    assert await journal.actions("test") == []
    assert await journal.open_action("test", "analytics") is None
    assert await journal.last_switch("test", "analytics") is None
    assert (await journal.audit_verify()).intact
    assert not journal.location.directory.exists()


def test_nor_does_it_load_a_database_library(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from actions.gate import Gate\nfrom actions.journal import Journal\n"
        "from actions.location import journal_location\n"
        f"journal = Journal(journal_location(None, {{'TEAL_STATE_DIR': {str(tmp_path)!r}}}))\n"
        "assert asyncio.run(journal.actions('test')) == []\n"
        "print([name for name in ('sqlalchemy', 'alembic', 'httpx', 'textual') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_alembic_is_loaded_only_to_upgrade(tmp_path: Path) -> None:
    journal = Journal(here(tmp_path))
    await journal.audit(AuditEntry(kind="note"))
    await journal.aclose()
    script = (
        "import asyncio, sys\nfrom actions.journal import Journal\nfrom actions.location import journal_location\n"
        f"journal = Journal(journal_location(None, {{'TEAL_STATE_DIR': {str(tmp_path)!r}}}))\n"
        "assert asyncio.run(journal.audit_verify()).records == 1\nprint('alembic' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


async def test_it_is_private_durable_and_in_wal_mode(journal: Journal) -> None:
    await journal.begin(draft())
    path = journal.location.path
    assert path is not None
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    assert journal._sql is not None
    with journal._sql._database.writing() as inside:
        assert inside.exec_driver_sql("PRAGMA synchronous").scalar() == 2


async def test_the_migrations_make_what_the_tables_say(journal: Journal) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import create_engine

    from actions import tables

    await journal.audit(AuditEntry(kind="note"))
    engine = create_engine(journal.location.url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    engine.dispose()


async def test_a_newer_schema_is_refused_with_a_clear_line(journal: Journal) -> None:
    await journal.begin(draft())
    await journal.aclose()
    assert journal.location.path is not None
    with sqlite3.connect(journal.location.path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0042'")
    connection.close()
    newer = Journal(journal.location)
    with pytest.raises(BackendError, match="schema 0042, this program knows up to") as caught:
        await newer.actions("test")
    assert caught.value.kind == "config"
    await newer.aclose()


async def test_a_file_that_is_no_database_is_left_as_it_is(journal: Journal) -> None:
    assert journal.location.path is not None
    journal.location.directory.mkdir()
    journal.location.path.write_text("not a database, but a diary\n" * 100)
    with pytest.raises(BackendError, match="not a database"):
        await journal.begin(draft())
    assert "diary" in journal.location.path.read_text()


async def test_one_open_action_for_each_service(journal: Journal) -> None:
    first = await journal.begin(draft())
    with pytest.raises(Occupied) as caught:
        await journal.begin(draft())
    assert caught.value.action.id == first.id
    await journal.begin(draft("other"))
    assert [action.service for action in await journal.actions("test", open_only=True)] == ["other", "analytics"]


async def test_a_key_is_used_once_also_for_an_ended_action(journal: Journal) -> None:
    action = await journal.begin(draft(key="k"))
    await journal.close_orphan(str(action.id), Changes(status="abandoned"))
    with pytest.raises(KeyUsed) as caught:
        await journal.begin(draft(key="k"))
    assert (caught.value.same, caught.value.action.id) == (True, action.id)
    with pytest.raises(KeyUsed) as caught:
        await journal.begin(replace(draft(key="k"), request_hash="another"))
    assert not caught.value.same


async def test_an_id_is_found_by_any_prefix_and_case(journal: Journal) -> None:
    action = await journal.begin(draft())
    assert action.id is not None
    assert [found.id for found in await journal.action("test", action.id[:20].lower())] == [action.id]
    assert await journal.action("another", action.id) == []
    assert await journal.action("test", "%") == []
    assert await journal.action("test", "0'; DROP TABLE actions; --") == []


async def test_steps_are_folded_from_their_events(journal: Journal) -> None:
    hold = await begun(journal)
    await journal.write(hold, Event(step="preflight", kind="begun", status="running"))
    await journal.write(hold, Event(step="preflight", kind="verdict", status="succeeded", detail="7 checks"))
    await journal.write(hold, Event(step="shift", kind="begun", status="running"), changes=Changes(phase="shift"))
    (action,) = await journal.actions("test")
    assert [(step.name, step.status, step.detail) for step in action.steps] == [
        ("preflight", "succeeded", "7 checks"),
        ("shift", "running", ""),
    ]
    preflight, shift = action.steps
    assert preflight.started_at is not None
    assert preflight.ended_at is not None
    assert preflight.started_at <= preflight.ended_at
    assert (shift.ended_at, action.phase) == (None, "shift")


async def test_the_fence_goes_up_and_the_older_holder_writes_nothing_more(journal: Journal) -> None:
    old = await begun(journal)
    new = await journal.acquire(old.action_id, owner(pid=2))
    assert new.fence == old.fence + 1
    before = await journal.history(old.action_id)
    for write in (
        journal.write(old, Event(step="shift", kind="intent")),
        journal.renew(old),
        journal.let_go(old),
        journal.taken(old, 1),
    ):
        with pytest.raises(LeaseLost):
            await write
    assert await journal.history(old.action_id) == before
    assert (await journal.renew(new)).owner.lease_expires_at is not None


async def test_an_owner_of_another_host_is_alive_until_its_lease_ends(journal: Journal) -> None:
    action = await journal.begin(draft())
    await journal.acquire(str(action.id), owner("bastion-2"))
    with pytest.raises(LeaseHeld, match="bastion-2"):
        await journal.acquire(str(action.id), owner())
    other = await journal.begin(draft("other"))
    await journal.acquire(str(other.id), owner("bastion-2", ttl_s=-1))
    assert (await journal.acquire(str(other.id), owner())).fence == 2


async def test_nobody_becomes_owner_of_what_has_ended(journal: Journal) -> None:
    hold = await begun(journal)
    await journal.write(hold, changes=Changes(status="succeeded"))
    with pytest.raises(BackendError, match="no open action"):
        await journal.acquire(hold.action_id, owner())


async def test_nothing_succeeds_while_an_order_waits(journal: Journal) -> None:
    hold = await begun(journal)
    assert await journal.enqueue(hold.action_id, "rollback", ALICE, "errors")
    assert await journal.write(hold, changes=Changes(status="succeeded")) is False
    (command,) = await journal.waiting(hold.action_id)
    assert (command.word, command.reason, command.actor) == ("rollback", "errors", ALICE)
    await journal.taken(hold, command.id)
    assert await journal.write(hold, changes=Changes(status="rolled_back")) is True
    assert await journal.enqueue(hold.action_id, "rollback", ALICE, "") is False


async def test_the_last_switch_is_the_newest_that_stayed(journal: Journal) -> None:
    first = await begun(journal)
    await journal.write(first, changes=Changes(status="succeeded", changed=True))
    second = await begun(journal)
    await journal.write(second, changes=Changes(status="rolled_back", changed=True))
    third = await begun(journal)
    await journal.write(third, changes=Changes(status="aborted"))
    found = await journal.last_switch("test", "analytics")
    assert found is not None
    assert (found[0].id, found[1]) == (first.action_id, None)


def test_a_lock_file_tells_the_living_from_the_dead(tmp_path: Path) -> None:
    path = owner_file(tmp_path, "A")
    assert not is_held(path)
    descriptor = take(path)
    assert descriptor is not None
    assert is_held(path)
    assert take(path) is None
    release(descriptor, path, ended=False)
    assert not is_held(path)


def test_ids_sort_by_time_and_times_by_text() -> None:
    ids = [new_id() for _ in range(50)]
    assert len(set(ids)) == 50
    assert all(len(made) == 26 for made in ids)
    assert [made[:10] for made in ids] == sorted(made[:10] for made in ids)
    at = now()
    assert time_of(time_text(at)) == at
    assert time_text(at.replace(microsecond=0)) < time_text(at.replace(microsecond=1))


@pytest.mark.parametrize(
    ("configured", "env", "url", "shared"),
    [
        (None, {"TEAL_STATE_DIR": "/s"}, "sqlite:////s/journal.db", False),
        (None, {"XDG_STATE_HOME": "/x"}, "sqlite:////x/tealdeck/journal.db", False),
        (None, {"HOME": "/h"}, "sqlite:////h/.local/state/tealdeck/journal.db", False),
        ("sqlite:////j/a.db", {}, "sqlite:////j/a.db", False),
        ("postgresql+psycopg://db/teal", {"HOME": "/h"}, "postgresql+psycopg://db/teal", True),
    ],
)
def test_where_the_journal_is(
    configured: str | None, env: dict[str, str], url: str, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actions.location.SHARED_DIR", Path("/nonexistent"))
    found = journal_location(configured, env)
    assert (found.url, found.shared, found.finding is None) == (url, shared, shared)


def test_a_group_writable_setgid_directory_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o2770)
    monkeypatch.setattr("actions.location.SHARED_DIR", tmp_path)
    found = journal_location(None, {"HOME": "/h"})
    assert (found.path, found.shared, found.finding) == (tmp_path / "journal.db", True, None)


RACER = """
import asyncio, sys
from pathlib import Path
from actions.journal_sql import Occupied
from tests.actions.test_journal import Journal, draft, here

async def main():
    journal = Journal(here(Path(sys.argv[1])))
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        action = await journal.begin(draft())
        print("won", action.id)
    except Occupied as held:
        print("lost", held.action.id)
    await journal.aclose()

asyncio.run(main())
"""


@pytest.mark.parametrize("exists", [False, True])
async def test_of_three_processes_one_wins_a_service(tmp_path: Path, exists: bool) -> None:
    if exists:
        journal = Journal(here(tmp_path))
        await journal.audit(AuditEntry(kind="note"))
        await journal.aclose()
    racers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", RACER, str(tmp_path), cwd=ROOT,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout is not None
        assert await racer.stdout.readline() == b"ready\n"
    outputs = await asyncio.gather(*(racer.communicate(b"go\n") for racer in racers))
    words = [output.decode().split() for output, _ in outputs]
    assert sorted(word[0] for word in words) == ["lost", "lost", "won"]
    assert len({word[1] for word in words}) == 1
