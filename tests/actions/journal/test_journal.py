"""The journal on SQLite and on a real PostgreSQL: migrated, fenced, and won by one of many processes."""

import asyncio
import contextlib
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from actions.expected import SwitchExpected
from actions.ids import canonical, now, time_text
from actions.journal.audit import AuditEntry
from actions.journal.errors import JournalNewer
from actions.journal.journal import Journal
from actions.journal.lease import LeaseHeld, LeaseLost, LeaseTimes, take
from actions.journal.location import JournalLocation
from actions.journal.rows import Changes, Event, KeyUsed, Late, Occupied, kept_plan
from actions.models import ActionError
from actions.who import runner_owner
from backends.errors import BackendError
from backends.processes import is_stopped
from tests.actions.journal.test_episodes import at, episode
from tests.actions.journals import ALICE, ROOT, begun, draft, execute, here, owner, until_won


async def test_the_migrations_make_what_the_tables_say(journal: Journal) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import create_engine

    from actions.journal import tables

    await journal.audit(AuditEntry(kind="note"))
    engine = create_engine(journal.location.url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    engine.dispose()


async def test_what_an_older_program_wrote_is_upgraded_and_kept(location: JournalLocation) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    location.directory.mkdir(mode=0o700)
    config = Config()
    config.set_main_option("script_location", str(ROOT / "actions" / "journal" / "migrations"))
    config.set_main_option("path_separator", "os")
    engine = create_engine(location.url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    execute(location, "UPDATE audit_head SET seq = 1, hash = 'h'")
    execute(location, "INSERT INTO audit (seq, prev_hash, hash, text) VALUES (1, '', 'h', '{}')")
    columns, told = "context, service, action_id, fence, owner, expires_at", canonical(owner())
    execute(location, f"INSERT INTO leases ({columns}) VALUES ('test', 'analytics', 'A', 41, '{told}', '2026')")
    journal = Journal(location)
    hold = await begun(journal)
    assert hold.fence == 42
    assert (await journal.audit_records())[1].prev_hash == "h"
    await journal.aclose()


async def test_a_newer_journal_is_read_and_says_who_may_write_it(journal: Journal) -> None:
    action = await journal.begin(draft())
    await journal.aclose()
    execute(journal.location, "UPDATE alembic_version SET version_num = '0042'")
    newer = Journal(journal.location)
    await newer.begin(draft("other"))  # it says that programs of schema 0004 may write
    await newer.aclose()
    execute(journal.location, "UPDATE identity SET oldest_writer = '0042'")
    newer = Journal(journal.location)
    assert [found.service for found in await newer.actions("test")] == ["other", "analytics"]
    for ask in (newer.begin(draft("third")), newer.acquire(str(action.id), owner())):
        with pytest.raises(JournalNewer, match="schema 0042, this program knows up to") as caught:
            await ask
        assert caught.value.kind == "config"
        assert "secret" not in caught.value.message
    await newer.aclose()


async def test_each_journal_has_an_id_of_its_own_that_its_leases_carry(journal: Journal, tmp_path: Path) -> None:
    hold = await begun(journal)
    other = Journal(here(tmp_path / "other"))
    assert await other.identity() == ""  # it does not exist, and asking makes none
    theirs = await begun(other)
    assert hold.journal == await journal.identity() != ""
    assert theirs.journal == await other.identity() != hold.journal
    known = [await journal.context_of(each.action_id) for each in (hold, theirs)]
    assert known == [hold.context, ""] != ["", ""]
    assert (await journal.renew(hold)).journal == hold.journal
    await other.aclose()


async def test_no_migration_while_an_action_is_open(journal: Journal) -> None:
    hold = await begun(journal)
    await journal.aclose()
    execute(journal.location, "UPDATE alembic_version SET version_num = '0004'")
    for table in ("identity", "episodes"):
        execute(journal.location, f"DROP TABLE {table}")
    early = Journal(journal.location)
    assert not await early.keep("test", [episode()])
    assert not (await early.episodes("test", at(-60), at(60))).episodes
    assert (await early.actions("test"))[0].open
    assert await early.identity() == ""
    taken = await early.acquire(hold.action_id, owner())
    assert (taken.journal, taken.fence) == ("", 2)
    await early.write(taken, changes=Changes(status="succeeded"))
    await early.aclose()
    assert execute(journal.location, "SELECT version_num FROM alembic_version") == [("0004",)]
    later = Journal(journal.location)
    assert len(await later.identity()) == 16
    await later.aclose()


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
    assert [found.id for found in await journal.action("test", action.id[-6:].lower())] == [action.id]
    assert await journal.action("test", action.id[-5:]) == []  # less is what many end with
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
    short = Journal(journal.location, LeaseTimes(ttl_s=0.0))
    other = await short.begin(draft("other"))
    await short.acquire(str(other.id), owner("bastion-2"))
    (seen,) = await journal.action("test", str(other.id))
    assert seen.owner is not None
    assert seen.owner.lease_over
    assert (await journal.acquire(str(other.id), owner())).fence == 2
    await short.aclose()


async def test_an_owner_without_the_lock_waits_also_on_the_same_host(journal: Journal, tmp_path: Path) -> None:
    action = await journal.begin(draft())
    descriptor = take(tmp_path / "A.lock")
    assert descriptor is not None
    await journal.acquire(str(action.id), owner(lock=str(tmp_path / "A.lock")))
    with pytest.raises(LeaseHeld):
        await journal.acquire(str(action.id), owner(pid=2, lock=""))
    os.close(descriptor)
    assert (await journal.acquire(str(action.id), owner(pid=2, lock=""))).fence == 2


async def test_another_lock_file_that_nobody_holds_proves_the_owner_dead(journal: Journal) -> None:
    action = await journal.begin(draft())
    await journal.acquire(str(action.id), owner(lock="/nowhere/of-another-user"))
    assert (await journal.acquire(str(action.id), owner(pid=2))).fence == 2


async def test_a_write_whose_answer_was_lost_is_not_written_twice(journal: Journal) -> None:
    hold = await begun(journal)
    event, entry = Event(step="shift", kind="intent"), AuditEntry(kind="intent", step="shift")
    before = len(await journal.audit_records())
    for _ in range(2):
        assert await journal._do(lambda sql: sql.write(hold, [event], None, [entry], None, "the same write"))
    history = await journal.history(hold.action_id)
    assert [line.event.kind for line in history].count("intent") == 1
    assert len(await journal.audit_records()) == before + 1
    assert (await journal.audit_verify()).intact


async def test_a_lease_that_is_not_sure_any_more_is_read_again_before_a_write(location: JournalLocation) -> None:
    stopped = Journal(location, LeaseTimes(self_fence_s=0.0))
    hold = await begun(stopped)
    assert await stopped.write(hold, Event(step="shift", kind="begun"))
    await stopped.acquire(hold.action_id, owner(pid=2))
    with pytest.raises(LeaseLost):
        await stopped.write(hold, Event(step="shift", kind="intent"))
    await stopped.aclose()


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


async def test_what_may_have_moved_traffic_is_found_newest_first(journal: Journal) -> None:
    first = await begun(journal)
    await journal.write(first, changes=Changes(status="succeeded", changed=True))
    second = await begun(journal)
    await journal.write(second, changes=Changes(status="rolled_back", changed=True))
    third = await begun(journal)
    await journal.write(third, changes=Changes(status="aborted"))
    moved = await journal.moved("test", "analytics")
    assert [action.id for action in moved] == [second.action_id, first.action_id]
    every = await journal.planned("test", "analytics", ("flip",))
    assert [action.id for action, _ in every] == [third.action_id, second.action_id, first.action_id]
    assert await journal.planned("test", "analytics", ("release",)) == []


@pytest.mark.parametrize("exists", [False, True])
async def test_of_many_processes_one_wins_a_service(location: JournalLocation, exists: bool) -> None:
    if exists:
        journal = Journal(location)
        await journal.audit(AuditEntry(kind="note"))
        await journal.aclose()
    command = [sys.executable, "-m", "tests.actions.racing", location.url, str(location.directory), "5"]
    racing = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(racing.communicate(), 120)
    words = [line.split() for line in output.decode().splitlines()]
    assert sorted(word[0] for word in words) == ["lost"] * 4 + ["won"], output.decode()
    assert len({word[1] for word in words}) == 1


async def test_a_runner_that_was_stopped_for_longer_than_its_lease_writes_nothing_more(
    location: JournalLocation,
) -> None:
    journal = Journal(location)
    action = await journal.begin(draft())
    assert action.id is not None
    command = [sys.executable, "-m", "tests.actions.owning", location.url, str(location.directory), action.id, "3"]
    old = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert old.stdout is not None
    try:
        assert await asyncio.wait_for(old.stdout.readline(), 60) == b"owns\n"
        while not any(line.event.kind == "by-the-old-owner" for line in await journal.history(action.id)):
            await asyncio.sleep(0.05)
        with pytest.raises(LeaseHeld):
            await journal.acquire(action.id, runner_owner())
        await stopped_between_two_writes(old, journal)
        hold = await until_won(journal, action.id)
        assert hold.fence == 2
        written = [line for line in await journal.history(action.id) if line.fence == 1]
        old.send_signal(signal.SIGCONT)
        assert (await asyncio.wait_for(old.stdout.readline(), 60)).startswith(b"LeaseLost fence 2")
        assert [line for line in await journal.history(action.id) if line.fence == 1] == written
        assert await journal.write(hold, Event(step="", kind="by-the-new-owner"))
    finally:
        with contextlib.suppress(ProcessLookupError):
            old.kill()
        await old.wait()
        await journal.aclose()


async def stopped_between_two_writes(process: asyncio.subprocess.Process, journal: Journal) -> None:
    """One that is stopped in a transaction of SQLite keeps its file locked, and nothing can be done about that."""
    async with asyncio.timeout(60):
        while True:
            process.send_signal(signal.SIGSTOP)
            try:
                return await journal.audit(AuditEntry(kind="note"))
            except BackendError:
                process.send_signal(signal.SIGCONT)
                await asyncio.sleep(0.05)


async def test_who_is_on_and_who_has_left(journal: Journal) -> None:
    await journal.seen("A", "test", ALICE, 1, armed=False)
    if journal.location.path is not None:
        assert not journal.location.exists()  # a console makes no journal
    await journal.audit(AuditEntry(kind="note"))
    await journal.seen("A", "test", ALICE, 1, armed=False)
    await journal.seen("B", "test", replace(ALICE, login="bob"), 2, armed=False)
    await journal.seen("C", "elsewhere", ALICE, 3, armed=False)
    await journal.seen("A", "test", ALICE, 1, armed=True)
    assert [(on.actor.login, on.armed) for on in await journal.who_is_on("test")] == [("alice", True), ("bob", False)]
    await journal.gone("A")
    assert [on.pid for on in await journal.who_is_on("test")] == [2]
    execute(journal.location, "UPDATE consoles SET seen_at = '2026-01-01T00:00:00.000000Z'")  # killed, long ago
    assert await journal.who_is_on("test") == []
    await journal.seen("D", "test", ALICE, 4, armed=False)
    assert execute(journal.location, "SELECT id FROM consoles") == [("D",)]


async def test_when_consoles_were_open_is_kept_also_of_those_that_were_killed(journal: Journal) -> None:
    await journal.audit(AuditEntry(kind="note"))
    for name in ("A", "B", "C"):
        await journal.seen(name, "test", ALICE, 1, armed=False)
    await journal.seen("D", "elsewhere", ALICE, 1, armed=False)
    await journal.gone("A")
    killed = (now() - timedelta(hours=2), now() - timedelta(hours=1))
    opened_at, seen_at = (time_text(at) for at in killed)
    execute(journal.location, f"UPDATE consoles SET opened_at = '{opened_at}', seen_at = '{seen_at}' WHERE id = 'B'")
    await journal.seen("C", "test", ALICE, 1, armed=False)
    watched = await journal.watched("test")
    assert len(watched) == 3
    assert (watched[0].opened_at, watched[0].closed_at) == killed
    assert all(watch.opened_at <= watch.closed_at <= now() for watch in watched)
    assert execute(journal.location, "SELECT id FROM consoles WHERE context = 'test'") == [("C",)]
    month_ago = time_text(now() - timedelta(days=32))
    execute(journal.location, f"UPDATE watches SET closed_at = '{month_ago}' WHERE opened_at = '{opened_at}'")
    await journal.gone("C")
    assert len(await journal.watched("test")) == 2


async def test_of_those_who_claim_one_is_the_first_and_a_new_lease_is_a_new_matter(journal: Journal) -> None:
    hold = await begun(journal)
    others = [Journal(journal.location) for _ in range(3)]
    claims = await asyncio.gather(*(each.claim(hold.action_id, "told", lambda _: True) for each in (journal, *others)))
    for other in others:
        await other.aclose()
    assert sorted(claims) == [False, False, False, True]
    assert not await journal.claim(hold.action_id, "something else", lambda _: False)
    await journal.let_go(hold)
    await journal.acquire(hold.action_id, owner(pid=2))
    assert await journal.claim(hold.action_id, "told", lambda found: found.open)
    assert not await journal.claim("NOBODY", "told", lambda _: True)


async def test_what_was_done_without_it_is_added_once_and_takes_back_what_it_took_back(journal: Journal) -> None:
    flip = await begun(journal)
    await journal.write(flip, changes=Changes(status="succeeded", changed=True))
    back = draft(expected=SwitchExpected(weights={}, revision="", undoes=flip.action_id))
    entries = (AuditEntry(kind="command", action=back.id, late=True, happened_at="2026-01-01T00:00:00.000000Z"),)
    ended = (await journal.action("test", flip.action_id))[0]
    late = Late(
        draft=back,
        plan=kept_plan(back.plan),
        at=time_text(now()),
        entries=entries,
        ended=replace(ended, id=back.id, changed=True),
    )
    assert [await journal.add_late(late) for _ in range(2)] == [True, False]
    undone = f"SELECT undone_by FROM actions WHERE id = '{flip.action_id}'"
    assert execute(journal.location, undone) == [(back.id,)]
    assert [record.late for record in await journal.audit_records()][-1:] == [True]
    assert (await journal.audit_verify()).intact
    killed = replace(late, draft=draft(), ended=None)
    assert await journal.add_late(killed)
    (kept,) = await journal.action("test", killed.draft.id)
    assert (kept.status, kept.open) == ("abandoned", False)


@pytest.mark.parametrize(("jump", "boot", "over"), [(86400, "this", False), (-86400, "this", False), (86400, "", True)])
async def test_on_its_own_host_a_lease_ends_by_the_clock_that_nobody_sets(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, jump: int, boot: str, over: bool
) -> None:
    """A clock that was set says of a runner that lives neither that nobody runs it, nor that it may be taken over."""
    action = await journal.begin(draft())
    here = runner_owner("/nowhere/A.lock")
    assert here.boot
    hold = await journal.acquire(str(action.id), replace(here, host="bastion-1", boot=here.boot if boot else ""))
    for module in ("actions_sql", "lease_sql"):
        monkeypatch.setattr(f"actions.journal.{module}.database_now", lambda _: now() + timedelta(seconds=jump))
    (seen,) = await journal.action("test", hold.action_id)
    assert seen.owner is not None
    assert seen.owner.lease_over is over
    if over:
        assert (await journal.acquire(hold.action_id, owner("bastion-2"))).fence == 2
        return
    with pytest.raises(LeaseHeld):
        await journal.acquire(hold.action_id, owner("bastion-2"))
    await journal.let_go(hold)
    assert (await journal.acquire(hold.action_id, owner("bastion-2"))).fence == 2


async def test_a_stopped_owner_is_superseded_only_between_two_writes(journal: Journal) -> None:
    process = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        process.send_signal(signal.SIGSTOP)
        async with asyncio.timeout(10):
            while not is_stopped(process.pid):
                await asyncio.sleep(0.01)
        action = await journal.begin(draft())
        old = await journal.acquire(str(action.id), owner(pid=process.pid, lock=""))
        await journal.write(old, Event(step="shift", kind="intent"))
        with pytest.raises(LeaseHeld):
            await journal.acquire(str(action.id), owner(pid=os.getpid(), lock=""))
        await journal.write(old, Event(step="shift", kind="observed"))
        assert (await journal.acquire(str(action.id), owner(pid=os.getpid(), lock=""))).fence == old.fence + 1
        with pytest.raises(LeaseLost):
            await journal.write(old, Event(step="shift", kind="intent"))
    finally:
        process.kill()
        await process.wait()


async def test_the_commands_of_an_older_action_are_of_a_situation_that_is_over(journal: Journal) -> None:
    """Typed then they would move traffic: `by hand` of a rollback that failed, the undo of a flip."""
    error = ActionError(kind="rollback_failed", message="refused", fix="printf %b old > switch.json")
    failed = await begun(journal)
    await journal.write(failed, changes=Changes(status="rollback_failed", changed=True, error=error))

    async def told() -> list[tuple[str, str]]:
        shown = await journal.action("test", failed.action_id)
        shown += [each for each in await journal.actions("test") if each.id == failed.action_id]
        return [(each.undo, each.error.fix) for each in shown if each.error is not None]

    assert [fix for _, fix in await told()] == [error.fix] * 2
    newer = await begun(journal)
    await journal.write(newer, changes=Changes(status="aborted"))
    assert [fix for _, fix in await told()] == [error.fix] * 2, "nothing was moved since"
    newer = await begun(journal)
    await journal.write(newer, changes=Changes(status="succeeded", changed=True))
    assert await told() == [("", "")] * 2
