"""Rows of the journal that somebody edited: none is in the way of a rollback, and nothing goes forward by them."""

from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from actions.ids import time_text
from actions.journal.errors import JournalError
from actions.journal.journal import Journal
from actions.journal.lease import LONGEST_S, LeaseHeld
from actions.journal.rows import Event
from actions.models import Action, Refused, Request
from actions.outcome import exit_code
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.actions.journals import ALICE, begun, draft, execute, owner
from tests.actions.orders.test_orders import in_phase
from tests.actions.switching.test_unjournalled import Unjournalled
from tests.two_colors import TwoColors

DEEP = '{"kind":"command","x":' + "[" * 200_000
BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}


def json_time(at: datetime) -> str:
    return str(msgspec.to_builtins(at))


def insert_event(house: House, action: Action, step: str, kind: str, data: str) -> None:
    values = f"'{action.id}', '2026-01-01T00:00:00.000000Z', 1, '{step}', '{kind}', '', '', '{data}'"
    statement = f"INSERT INTO events (action_id, at, fence, step, kind, status, detail, data) VALUES ({values})"
    execute(house.location, statement)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("command", '{"command":{"x":1}}'),
        ("command", "{}"),
        ("command-ended", "{}"),
        ("command-ended", '{"mark":[]}'),
        ("command", "[]"),
        ("command", "["),
    ],
)
async def test_an_odd_command_is_passed_by_on_the_way_back_and_stops_what_goes_forward(
    house: House, service: TwoColors, kind: str, data: str
) -> None:
    flip = await house.order(ANALYTICS_FLIP)
    insert_event(house, flip, "deploy", kind, data)
    without_journal = Unjournalled(house)
    plan = await house.gate.plan(ANALYTICS_ROLLBACK)
    back = await house.gate.submit(plan, YES, without_journal=without_journal)
    if not without_journal.told:
        back = await house.ended(back)
    assert (back.status, exit_code(back), service.weights()) == ("succeeded", 0, BLUE)
    if (kind, data[0]) == ("command", "{"):
        assert without_journal.told == []
        with pytest.raises(Refused) as caught:
            await house.order(ANALYTICS_FLIP)
        assert caught.value.exit_code == 3
        assert "can not be read" in caught.value.error.message


async def left_with(house: House, step: str, kind: str, data: str) -> Action:
    """A flip whose runner died in the bake, with one row more in its history."""
    opened = await in_phase(house, "bake")
    await house.kill_runner()
    insert_event(house, opened, step, kind, data)
    return opened


ODD_OF_OPEN = [
    ("shift", "observed", "{}"),
    ("shift", "observed", '{"result":"applied"}'),
    ("shift", "observed", '{"result":"applied","after":{"weights":7,"revision":""}}'),
    ("shift", "intent", '{"before":{}}'),
    ("shift", "progress", '{"gates":7}'),
    ("shift", "begun", '{"until":"soon"}'),
    ("", "order", "{}"),
    ("", "status", '{"by_hand":true}'),
    ("", "held", '{"until":[]}'),
]


@pytest.mark.parametrize(("step", "kind", "data"), ODD_OF_OPEN)
async def test_an_odd_row_of_an_open_action_keeps_nobody_from_going_back(
    tmp_path: Path, service: TwoColors, step: str, kind: str, data: str
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        await left_with(house, step, kind, data)
        plan = await house.gate.plan(ANALYTICS_ROLLBACK)
        without_journal = Unjournalled(house)
        back = await house.gate.submit(plan, YES, without_journal=without_journal)
        if not without_journal.told:
            back = await house.ended(back)
        assert (back.status, service.weights()) == ("succeeded" if without_journal.told else "rolled_back", BLUE)


ODD_FORWARD = [
    *ODD_OF_OPEN,
    ("preflight", "verdict", '{"baseline":7}'),
    ("preflight", "verdict", '{"baseline":{"errors":{"value":"many"}}}'),
    ("shift", "intent", '{"before":{"weights":{},"revision":""},"requested":{"weights":{}}}'),
    ("deploy", "intent", '{"before":7,"requested":{"stamp":""}}'),
    ("deploy", "observed", "{}"),
]


@pytest.mark.parametrize(("step", "kind", "data"), ODD_FORWARD)
async def test_what_would_go_on_by_an_odd_row_ends_in_one_line_and_leaves_all_as_it_is(
    tmp_path: Path, service: TwoColors, step: str, kind: str, data: str
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        opened = await left_with(house, step, kind, data)
        resume = Request(kind="flip", service="analytics", ref=str(opened.id), order="resume")
        for going_on in (house.gate.plan(resume), house.run(str(opened.id))):
            with pytest.raises(JournalError) as caught:
                await going_on
            assert "makes no sense" in caught.value.message
            assert "\n" not in caught.value.message
        told = execute(house.location, "SELECT status, phase, changed FROM actions")
        assert (told, service.weights()) == ([("running", "bake", 1)], GREEN)


async def test_by_an_open_action_that_can_not_be_gone_by_no_older_change_is_taken_back(
    tmp_path: Path, service: TwoColors
) -> None:
    async with House(tmp_path / "state", service, bake="100ms") as house:
        await house.order(ANALYTICS_FLIP)
        house.halts_in = "preflight"
        opened = await in_phase(house, "preflight")
        await house.kill_runner()
        execute(house.location, f"UPDATE actions SET from_color = 'red' WHERE id = '{opened.id}'")
        plan = await house.gate.plan(ANALYTICS_ROLLBACK)
        (why,) = [finding for finding in plan.findings if finding.level == "block"]
        assert f"{opened.id} is open" in why.text
        assert why.fix == "look, then name it: teal deploy rollback analytics --to BLUE"


@pytest.mark.parametrize("edit", ["DELETE FROM events WHERE kind IN ('observed', 'intent')", "not applied"])
async def test_a_rollback_goes_by_the_switch_where_the_journal_says_that_nothing_moved(
    tmp_path: Path, service: TwoColors, edit: str
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        opened = await in_phase(house, "bake")
        await house.kill_runner()
        if edit == "not applied":
            edit = "UPDATE events SET data = replace(data, '\"applied\"', '\"not applied\"') WHERE kind = 'observed'"
        execute(house.location, edit)
        assert service.weights() == GREEN
        ended = await house.order(ANALYTICS_ROLLBACK)
        assert (ended.id, ended.status, service.weights()) == (opened.id, "rolled_back", BLUE)


async def test_an_ordered_end_says_that_somebody_else_has_moved_the_traffic(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        opened = await in_phase(house, "preflight")
        await house.kill_runner()
        service.write({"blue": 90, "green": 10}, stamp="somebody")
        ended = await house.order(ANALYTICS_ROLLBACK)
        assert (ended.id, ended.status, exit_code(ended, ordered="rollback")) == (opened.id, "aborted", 6)
        assert ended.error is not None
        assert "10" in ended.error.message
        assert service.weights() == {"blue": 90, "green": 10}


LONG_AGO = "started_at = '2020-01-01T00:00:00.000000Z'"
ODD_COLUMNS = [
    "UPDATE actions SET plan = '{'", "UPDATE actions SET plan = '7'", "UPDATE actions SET started_at = 'soon'",
    "UPDATE actions SET actor = '['", f"UPDATE actions SET owner = '{{', {LONG_AGO}",
    "UPDATE actions SET status = 'odd'", "UPDATE events SET data = '['", "UPDATE events SET at = 'soon'",
]  # fmt: skip


@pytest.mark.parametrize("edit", ODD_COLUMNS)
async def test_an_open_action_that_makes_no_sense_is_shown_and_can_be_abandoned(
    tmp_path: Path, service: TwoColors, edit: str
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        rejected = Request(kind="reject", service="analytics", version="9.9")
        before = (await house.gate.submit(await house.gate.plan(rejected), YES)).id
        opened = await in_phase(house, "bake")
        await house.kill_runner()
        execute(house.location, edit if "events" in edit else f"{edit} WHERE id = '{opened.id}'")
        listed = await house.gate.actions()
        assert [action.id for action in listed] == [opened.id, before]
        assert (listed[0].open, listed[0].orphaned_since is not None, listed[1].status) == (True, True, "succeeded")
        request = Request(kind="flip", service="analytics", ref=str(opened.id), order="abandon")
        ended = await house.gate.submit(await house.gate.plan(request), replace(YES, reason="its row is odd"))
        ended = await house.ended(ended)
        assert (ended.id, ended.open, ended.status, service.weights()) == (opened.id, False, "abandoned", GREEN)


@pytest.mark.parametrize("unreadable", ["[", DEEP], ids=["cut", "deep"])
async def test_a_lease_whose_owner_can_not_be_read_is_taken_over(journal: Journal, unreadable: str) -> None:
    old = await begun(journal)
    execute(journal.location, f"UPDATE leases SET owner = '{unreadable}'")
    assert (await journal.acquire(old.action_id, owner("bastion-2"))).fence == 2


@pytest.mark.parametrize(
    "column", ["actions.plan", "actions.actor", "events.data", "commands.actor", "consoles.actor", "audit.text"]
)
async def test_what_is_nested_too_deep_is_a_row_that_makes_no_sense(journal: Journal, column: str) -> None:
    hold = await begun(journal)
    await journal.write(hold, Event(step="shift", kind="intent"))
    await journal.enqueue(hold.action_id, "pause", ALICE, "")
    await journal.seen("here", "test", ALICE, 1, armed=False)
    table, _, name = column.partition(".")
    execute(journal.location, f"UPDATE {table} SET {name} = '{DEEP}'")
    reads = {
        "actions.plan": lambda: journal.plan(hold.action_id),
        "actions.actor": lambda: journal.open_action("test", "analytics"),
        "events.data": lambda: journal.history(hold.action_id),
        "commands.actor": lambda: journal.waiting(hold.action_id),
        "consoles.actor": lambda: journal.who_is_on("test"),
        "audit.text": lambda: journal.plan(hold.action_id),
    }
    with pytest.raises(JournalError) as caught:
        await reads.get(column, lambda: journal.action("test", hold.action_id))()
    assert caught.value.kind == "malformed"


async def test_a_lease_that_no_runner_ever_had_holds_nobody_up(journal: Journal) -> None:
    action = await journal.begin(draft())
    hold = await journal.acquire(str(action.id), owner("bastion-2"))
    with pytest.raises(LeaseHeld):
        await journal.acquire(hold.action_id, owner())
    was = hold.owner.lease_expires_at
    assert was is not None
    ends_at = was + timedelta(seconds=2 * LONGEST_S)
    execute(journal.location, f"UPDATE leases SET expires_at = '{time_text(ends_at)}'")
    edited = f"replace(owner, '{json_time(was)}', '{json_time(ends_at)}')"
    execute(journal.location, f"UPDATE actions SET owner = {edited}")
    (seen,) = await journal.action("test", hold.action_id)
    assert seen.owner is not None
    assert (seen.owner.lease_expires_at, seen.owner.lease_over) == (ends_at, True)
    assert (await journal.acquire(hold.action_id, owner())).fence == 2
