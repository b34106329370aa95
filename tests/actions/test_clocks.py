"""A clock that was ahead, was set back, or is another host's: what came before what is what the journal recorded."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from actions.deadlines import ending_in, left_of, left_s
from actions.dora import dora
from actions.expected import SwitchExpected
from actions.ids import now, time_text
from actions.journal.audit import AuditEntry
from actions.journal.journal import Journal
from actions.journal.lease import steady_clock
from actions.journal.rows import Changes, Late, kept_plan
from actions.models import Action, Actor, Consent, Refused, Request
from actions.orphans import orphaned_since
from actions.work import Work
from tests.actions.conftest import Clock
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.actions.journals import ALICE, begun, draft, execute, here
from tests.actions.switching.test_moved_since import shown
from tests.two_colors import TwoColors

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}
AHEAD = timedelta(minutes=10)
NONE = timedelta()


async def flipped(house: House, clock: Clock, ahead: timedelta = NONE, **more: Any) -> Action:
    """A flip by a clock that is so far ahead meanwhile."""
    clock.ahead = ahead
    done = await house.order(replace(ANALYTICS_FLIP, **more))
    clock.ahead = NONE
    return done


@pytest.mark.parametrize("ahead", [AHEAD, timedelta(days=900)])
async def test_the_way_back_is_of_what_was_recorded_last(
    house: House, service: TwoColors, clock: Clock, ahead: timedelta
) -> None:
    first = await flipped(house, clock, ahead)
    second = await flipped(house, clock)
    assert service.weights() == BLUE
    assert [action.id for action in await house.gate.actions()] == [second.id, first.id]
    seen = await shown(house)
    assert (seen.last_switch.action, seen.changed_since) == (second.id, None)
    assert (seen.rollback.to, (await house.gate.action(str(second.id))).undo != "") == ("green", True)
    assert (await house.gate.action(str(first.id))).undo == ""
    back = await house.order(ANALYTICS_ROLLBACK)
    assert (back.changed, service.weights()) == (True, GREEN)
    assert (await house.order(ANALYTICS_ROLLBACK)).changed is False


async def test_no_older_change_than_the_newest_is_taken_back(house: House, service: TwoColors, clock: Clock) -> None:
    await flipped(house, clock, timedelta(minutes=3))
    await flipped(house, clock)
    third = await flipped(house, clock)
    assert (await house.gate.plan(ANALYTICS_ROLLBACK)).expected.undoes == third.id


async def test_a_clock_that_was_behind_makes_nothing_older(house: House, service: TwoColors, clock: Clock) -> None:
    await flipped(house, clock)
    second = await flipped(house, clock, -AHEAD)
    assert (await house.gate.plan(ANALYTICS_ROLLBACK)).expected.undoes == second.id
    assert (await shown(house)).last_switch.action == second.id


async def test_the_mark_of_an_older_action_with_a_later_id_is_known(
    house: House, service: TwoColors, clock: Clock
) -> None:
    """A write may leave no mark: what stands there is that of the one before it."""
    first = await flipped(house, clock, AHEAD)
    second = await flipped(house, clock)
    service.write(BLUE, stamp=f"{first.id}:shift")
    assert str(first.id) > str(second.id)
    assert (await house.gate.plan(ANALYTICS_ROLLBACK)).expected.undoes == second.id


async def test_what_is_meant_and_what_is_accepted_is_so_whatever_the_time_was(
    house: House, service: TwoColors, clock: Clock
) -> None:
    await flipped(house, clock, AHEAD)
    service.write(BLUE)
    assert (await shown(house)).changed_since is not None
    assert (await flipped(house, clock, to="blue")).changed is False
    assert (await shown(house)).changed_since is None
    clock.ahead = AHEAD
    await house.order(Request(kind="reject", service="analytics", version="2.4.0"))
    clock.ahead = NONE
    assert (await shown(house)).rejected is not None
    accept = Request(kind="accept", service="analytics", version="2.4.0")
    await house.order(accept, Consent(confirmed=True, reason="it is good"))
    assert (await shown(house)).rejected is None


async def test_a_rejection_after_a_success_of_a_clock_ahead_stands(
    house: House, service: TwoColors, clock: Clock
) -> None:
    await flipped(house, clock, AHEAD)
    await flipped(house, clock)
    await house.order(Request(kind="reject", service="analytics", version="2.4.1"))
    codes = [(each.code, each.level) for each in (await house.gate.plan(ANALYTICS_FLIP)).findings]
    assert ("rejected", "block") in codes


async def test_what_is_unfrozen_is_open(house: House, service: TwoColors, clock: Clock) -> None:
    clock.ahead = AHEAD
    await house.order(Request(kind="freeze", service="analytics"))
    clock.ahead = NONE
    with pytest.raises(Refused, match="frozen"):
        await house.order(ANALYTICS_FLIP)
    await house.order(Request(kind="unfreeze", service="analytics"))
    assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"


# ---- the journal on both databases: hosts whose clocks are apart write the same one


async def ended(journal: Journal, clock: Clock, ahead: timedelta, **more: Any) -> str:
    clock.ahead = ahead
    hold = await begun(journal)
    await journal.write(hold, changes=Changes(status="succeeded", changed=True))
    clock.ahead = NONE
    return hold.action_id


async def test_hosts_with_clocks_apart_write_one_order(journal: Journal, clock: Clock) -> None:
    hosts = (AHEAD, NONE, -AHEAD, timedelta(seconds=5), timedelta(days=900), NONE)
    written = [await ended(journal, clock, ahead) for ahead in hosts]
    assert [action.id for action in await journal.actions("test")] == written[::-1]
    assert [action.id for action in await journal.actions("test", limit=2)] == written[:-3:-1]
    assert [action.id for action in await journal.moved("test", "analytics", limit=1)] == written[-1:]
    assert [action.id for action, _ in await journal.planned("test", "analytics", ("flip",))] == written[::-1]
    for place, one in enumerate(written):
        (found,) = await journal.action("test", one)
        assert bool(found.undo) is (one == written[-1])
        assert [await journal.is_later(one, other) for other in written] == [each < place for each in range(6)]
    assert not await journal.is_later("NOBODY", written[0])
    assert not await journal.is_later(written[0], "NOBODY")


async def test_a_journal_of_before_gets_the_order_in_which_it_was_recorded(journal: Journal, clock: Clock) -> None:
    written = [await ended(journal, clock, ahead) for ahead in (NONE, AHEAD, NONE, NONE)]
    long_ago, at = draft(), time_text(now() - timedelta(days=1))
    entry = AuditEntry(kind="command", action=long_ago.id, late=True, happened_at=at)
    late = Late(draft=long_ago, plan=kept_plan(long_ago.plan), at=at, entries=(entry,), ended=None)
    assert await journal.add_late(late)
    await journal.aclose()
    execute(journal.location, "UPDATE actions SET created_at = started_at")
    execute(journal.location, "UPDATE alembic_version SET version_num = '0006'")
    upgraded = Journal(journal.location)
    assert [action.id for action in await upgraded.actions("test")] == [*written[::-1], long_ago.id]
    await upgraded.aclose()


async def test_what_was_done_without_the_journal_has_the_place_where_it_was_done(
    journal: Journal, clock: Clock
) -> None:
    """After what wrote the switch before it, whatever the clock said; before what was recorded later."""
    first = await ended(journal, clock, AHEAD)
    made = draft(expected=SwitchExpected(weights={}, revision="", stamp=f"{first}:shift", undoes=first))
    done = time_text(now())
    entry = AuditEntry(kind="command", action=made.id, late=True, happened_at=done)
    late = Late(draft=made, plan=kept_plan(made.plan), at=done, entries=(entry,), ended=None)
    assert await journal.add_late(late)
    assert [action.id for action in await journal.actions("test")] == [made.id, first]
    long_ago = draft()
    at = time_text(now() - timedelta(days=1))
    assert await journal.add_late(Late(draft=long_ago, plan=kept_plan(long_ago.plan), at=at, entries=(), ended=None))
    assert [action.id for action in await journal.actions("test")] == [made.id, first, long_ago.id]


async def test_the_rest_of_what_an_older_copy_knows_is_added_whatever_the_clock_was_set_to(
    journal: Journal, clock: Clock
) -> None:
    clock.ahead = AHEAD
    hold = await begun(journal)
    known = AuditEntry(kind="intent", action=hold.action_id, step="shift", attempt=1)
    await journal.write(hold, audit=[known])
    (told,) = [record for record in await journal.audit_records() if record.kind == "intent"]
    clock.ahead = NONE
    entries = (
        replace(known, late=True, happened_at=told.at),
        AuditEntry(
            kind="observed", action=hold.action_id, step="shift", result="applied", late=True,
            happened_at=time_text(now()),
        ),
    )  # fmt: skip
    made = replace(draft(), id=hold.action_id)
    assert await journal.add_late(Late(draft=made, plan="", at=told.at, entries=entries, ended=None))
    kinds = [record.kind for record in await journal.audit_records() if record.action == hold.action_id]
    assert kinds.count("intent") == 1
    assert kinds[-1] == "observed"


async def test_a_record_that_a_step_back_cut_off_is_shown_and_told_once(journal: Journal, clock: Clock) -> None:
    note = AuditEntry(kind="note", step="notify", order="unwatched-pause", target="analytics", result="paused")
    since = now() - timedelta(minutes=5)
    assert await journal.note_once(note, since)
    clock.ahead = -timedelta(hours=2)
    for number in range(6):
        await journal.audit(AuditEntry(kind="note", detail=str(number)))
    clock.ahead = NONE
    assert not await journal.note_once(note, since)
    assert (await journal.audit_records(since=since))[0].order == "unwatched-pause"


@pytest.mark.parametrize("location", ["sqlite"], indirect=True)  # PostgreSQL goes by its own clock
async def test_a_console_that_was_killed_is_forgotten_after_a_step_back(journal: Journal, clock: Clock) -> None:
    await ended(journal, clock, NONE)
    clock.ahead = AHEAD
    await journal.seen("A", "test", ALICE, 1, armed=False)
    clock.ahead = NONE
    await journal.seen("B", "test", Actor(login="bob"), 2, armed=False)
    assert [on.actor.login for on in await journal.who_is_on("test")] == ["bob"]


# ---- what lasts for a while


@pytest.mark.parametrize("step", [timedelta(hours=1), -timedelta(hours=1)])
async def test_an_end_comes_when_it_was_to_come(tmp_path: Path, clock: Clock, step: timedelta) -> None:
    told = ending_in(60.0)
    plan = draft()
    journal = Journal(here(tmp_path))
    hold = await begun(journal)
    made = replace(plan.plan, request=replace(plan.plan.request, timeout_s=60.0))
    work = Work(journal, hold, made, [])
    await work.held("evidence is missing", 60.0)
    assert 50 < await work.begin("bake", lasts_s=60.0) <= 60
    clock.ahead = step
    assert 50 < (left_s(told) or 0) <= 60
    assert 50 < work.remaining_s(60.0) <= 60
    assert 50 < (work.hold.left_s() or 0) <= 60
    assert work.steps.last_seen("bake") > 3000
    assert 50 < await work.begin("bake", lasts_s=60.0) <= 60
    elsewhere = {**told, "boot": "another"}
    assert (left_s(elsewhere) or 0) <= 60
    assert (left_s(elsewhere) == 0) is (step > NONE)
    await work.stop(ended=False)
    await journal.aclose()


def test_what_was_sent_later_than_now_may_take_effect_for_no_longer_than_it_takes() -> None:
    assert left_of(30.0, now() + timedelta(hours=1)) == 30.0
    assert 19 < left_of(30.0, now() - timedelta(seconds=10)) <= 20
    assert left_of(30.0, now() - timedelta(hours=1)) == 0.0


async def test_what_nobody_started_before_a_step_back_is_an_orphan(tmp_path: Path, clock: Clock) -> None:
    journal = Journal(here(tmp_path))
    clock.ahead = AHEAD
    action = await journal.begin(draft())
    clock.ahead = NONE
    since = orphaned_since(action, journal.location)
    assert since is not None
    assert since <= now()
    await journal.aclose()


def test_dora_goes_by_the_order_of_the_journal(clock: Clock) -> None:
    at = now()

    def done(number: int, kind: Any, ahead: timedelta) -> Action:
        return Action(
            id=f"A{number}", kind=kind, status="succeeded", service="analytics", phase="", from_="blue", to="green",
            changed=True, started_at=at + ahead, ended_at=at + ahead + timedelta(seconds=60),
        )  # fmt: skip

    newest_first = [done(2, "rollback", NONE), done(1, "flip", AHEAD)]
    row = dora(newest_first, since=at - AHEAD, until=at + 2 * AHEAD)[0]
    assert (row.deployments, row.failed, row.restored) == (1, 1, 1)


@pytest.mark.parametrize("step", [timedelta(hours=1), -timedelta(hours=1)])
async def test_a_bake_lasts_as_long_as_it_was_to_last(
    tmp_path: Path, service: TwoColors, clock: Clock, step: timedelta
) -> None:
    async with House(tmp_path / "state", service, bake="3s") as house:
        flip = await house.gate.submit(await house.gate.plan(replace(ANALYTICS_FLIP, timeout_s=600.0)), YES)
        await house.reaches(flip, "bake")
        clock.ahead = step
        began = steady_clock()
        assert (await house.ended(flip)).status == "succeeded"
        assert 1.5 < steady_clock() - began < 60
        back = await house.order(ANALYTICS_ROLLBACK)
        assert (back.status, back.changed, service.weights()) == ("succeeded", True, BLUE)
