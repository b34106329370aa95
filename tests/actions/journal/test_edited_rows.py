"""The row of an action that somebody edited, or a trigger did, is not believed: the audit holds a digest of what was
agreed to. The way back then goes by the mark on the switch, and nothing goes forward."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from actions.journal.errors import JournalError
from actions.kinds import TABLE
from actions.models import Action, Plan, Request
from actions.outcome import exit_code
from backends.errors import BackendError
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.actions.journals import execute, rechain, without_digest
from tests.actions.orders.test_orders import in_phase
from tests.actions.switching.test_unjournalled import Unjournalled
from tests.two_colors import TwoColors

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}
SWAPPED = "'$.from', 'green', '$.to', 'blue'"
SET_PLAN = "UPDATE actions SET plan = json_set(plan, {})"
EDITS = {
    "from": SET_PLAN.format("'$.from', 'green'"),
    "to": SET_PLAN.format("'$.to', 'blue'"),
    "both, and their columns": SET_PLAN.format(SWAPPED) + ", from_color = 'green', to_color = 'blue'",
    "the columns alone": "UPDATE actions SET from_color = 'green', to_color = 'blue'",
    "weights": SET_PLAN.format("""'$.expected.weights', json('{"blue":0,"green":100}')"""),
    "stages": SET_PLAN.format("'$.expected.stages', json('[1]')"),
    "service": SET_PLAN.format("'$.service', 'another'"),
    "version": SET_PLAN.format("'$.request.version', '6.6.6'"),
    "no record": "DELETE FROM audit",
    "the record": """UPDATE audit SET text = replace(text, '"plan_digest":"', '"plan_digest":"0')""",
}


async def agreed(house: House) -> Plan:
    return await house.gate.plan(ANALYTICS_ROLLBACK)


async def gone_back(house: House, service: TwoColors) -> Action:
    """A rollback, whose runner may need to be the command itself."""
    back = await house.gate.submit(await agreed(house), YES, without_journal=Unjournalled(house))
    back = back if not back.open else await house.ended(back)
    assert service.weights() == BLUE
    return back


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
async def test_of_an_open_action_it_goes_back_by_the_mark_and_not_on(
    tmp_path: Path, service: TwoColors, edit: str
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        opened = await in_phase(house, "bake")
        await house.kill_runner()
        execute(house.location, edit)
        for word in ("resume", "takeover", "rollback"):
            request = Request(kind="flip", service="analytics", ref=str(opened.id), order=word)
            with pytest.raises(JournalError) as caught:
                await house.gate.plan(request)
            assert "was edited" in caught.value.message
            assert "teal deploy rollback analytics -y" in (caught.value.fix or "")
        plan = await agreed(house)
        assert (plan.to, plan.already, plan.blocked) == ("blue", False, False)
        assert {"no-journal", "by-the-mark"} <= {finding.code for finding in plan.findings}
        back = await gone_back(house, service)
        assert (back.status, exit_code(back)) == ("succeeded", 0)
        assert (await agreed(house)).already
        request = Request(kind="flip", service="analytics", ref=str(opened.id), order="abandon")
        assert (await house.gate.plan(request)).blocked is False


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
async def test_of_the_newest_flip_back_already_is_not_believed(house: House, service: TwoColors, edit: str) -> None:
    await house.order(ANALYTICS_FLIP)
    execute(house.location, edit)
    assert not (await agreed(house)).already
    await gone_back(house, service)


@pytest.mark.parametrize(
    "edit", ["UPDATE actions SET changed = 0", "UPDATE actions SET status = 'aborted', changed = 0", "DELETE"]
)
async def test_a_change_that_the_journal_no_longer_tells_of_is_known_by_the_mark(
    house: House, service: TwoColors, edit: str
) -> None:
    for _ in range(3):
        newest = await house.order(ANALYTICS_FLIP)
    assert service.weights() == GREEN
    if edit == "DELETE":
        for table in ("events", "commands"):
            execute(house.location, f"DELETE FROM {table} WHERE action_id = '{newest.id}'")
        execute(house.location, f"DELETE FROM actions WHERE id = '{newest.id}'")
    else:
        execute(house.location, f"{edit} WHERE id = '{newest.id}'")
    assert not (await agreed(house)).already
    await gone_back(house, service)


async def test_an_older_row_is_not_in_the_way_of_a_rollback_and_nothing_goes_forward(
    house: House, service: TwoColors
) -> None:
    old = await house.order(ANALYTICS_FLIP)
    await house.order(ANALYTICS_FLIP)
    newest = await house.order(ANALYTICS_FLIP)
    execute(house.location, f"{SET_PLAN.format(SWAPPED)} WHERE id = '{old.id}'")
    with pytest.raises(BackendError, match="was edited"):
        await house.gate.plan(Request(kind="flip", service="analytics"))
    plan = await agreed(house)
    assert plan.expected.undoes == newest.id
    await gone_back(house, service)


TRIGGERS = {
    "actions": f"CREATE TRIGGER evil AFTER INSERT ON actions BEGIN {SET_PLAN.format(SWAPPED)} WHERE id = NEW.id; END",
    "columns": "CREATE TRIGGER evil AFTER INSERT ON actions BEGIN "
    "UPDATE actions SET from_color = NEW.to_color, to_color = NEW.from_color WHERE id = NEW.id; END",
    "audit": "CREATE TRIGGER evil AFTER INSERT ON audit BEGIN "
    "UPDATE audit SET text = replace(NEW.text, 'green', 'blue') WHERE seq = NEW.seq; END",
    "owner": f"CREATE TRIGGER evil AFTER UPDATE OF owner ON actions BEGIN {SET_PLAN.format(SWAPPED)}; END",
}


@pytest.mark.parametrize("trigger", TRIGGERS.values(), ids=TRIGGERS.keys())
async def test_a_trigger_that_edits_what_is_begun_moves_no_traffic_elsewhere(
    house: House, service: TwoColors, trigger: str
) -> None:
    await house.order(ANALYTICS_FLIP)
    execute(house.location, trigger)
    assert (await gone_back(house, service)).status == "succeeded"
    if "AFTER INSERT" in trigger:
        with pytest.raises(BackendError, match="was edited"):
            await house.order(Request(kind="flip", service="analytics"))
        assert service.weights() == BLUE


async def test_a_runner_goes_by_the_digest_that_it_was_told_whatever_the_journal_says(
    house: House, service: TwoColors
) -> None:
    def evil() -> None:
        execute(house.location, f"{EDITS['both, and their columns']} WHERE ended_at IS NULL")
        rechain(house.location, without_digest)

    house.before_runner = evil
    opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
    (failure,) = await asyncio.gather(house.runners[-1], return_exceptions=True)
    assert isinstance(failure, JournalError)
    assert "not the one that its runner was started for" in failure.message
    assert (opened.status, opened.owner, service.weights()) == ("planned", None, BLUE)


@pytest.mark.parametrize("kind", [*TABLE, "nonsense"])
async def test_an_open_action_is_closed_whatever_kind_its_row_was_given(
    tmp_path: Path, service: TwoColors, kind: str
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        opened = await in_phase(house, "bake")
        await house.kill_runner()
        execute(house.location, f"UPDATE actions SET kind = '{kind}'")
        request = Request(kind=kind, service="analytics", ref=str(opened.id), order="abandon")
        closed = await house.gate.submit(await house.gate.plan(request), replace(YES, reason="edited"))
        if closed.open:  # its runner obeys in its own time
            await house.ended(closed)
        assert (await house.gate.actions(open_only=True)) == []


@pytest.mark.parametrize(
    ("edited", "which"), [("weights", 0), ("both, and their columns", -1), ("the record", -1), ("the columns alone", 0)]
)
async def test_one_that_has_ended_is_in_nobodys_way_once_it_is_noted_that_it_is_not_believed(
    house: House, service: TwoColors, edited: str, which: int
) -> None:
    edit = EDITS[edited]
    flips = [await house.order(ANALYTICS_FLIP) for _ in range(3)]
    assert service.weights() == GREEN
    of = f" WHERE id = '{flips[which].id}'"
    if "audit" in edit:
        of = f" {'AND' if ' WHERE ' in edit else 'WHERE'} text LIKE '%{flips[which].id}%plan_digest%'"
    execute(house.location, edit + of)
    forward = Request(kind="flip", service="analytics")
    with pytest.raises(JournalError, match="was edited") as caught:
        await house.gate.plan(forward)
    assert f"teal action abandon {flips[which].id}" in (caught.value.fix or "")
    note = Request(kind="flip", service="analytics", ref=str(flips[which].id), order="abandon")
    plan = await house.gate.plan(note)
    assert (plan.blocked, plan.needs_reason != "") == (False, True)
    noted = await house.gate.submit(plan, replace(YES, reason="a hand was in it"))
    assert (noted.status, service.weights()) == ("succeeded", GREEN)
    assert (await house.gate.audit_records())[-1].result == "not-believed"
    assert (await house.gate.plan(note)).blocked, "once is enough"
    if which == -1:  # the way back does not go by an older change
        assert "by-the-mark" in {finding.code for finding in (await agreed(house)).findings}
    assert (await house.order(forward)).status == "succeeded"
    assert service.weights() == BLUE
    back = await house.gate.plan(ANALYTICS_ROLLBACK)
    assert (back.to, "by-the-mark" in {finding.code for finding in back.findings}) == ("green", False)


async def test_one_that_has_ended_as_it_was_agreed_to_is_not_abandoned(house: House) -> None:
    ended = await house.order(ANALYTICS_FLIP)
    request = Request(kind="flip", service="analytics", ref=str(ended.id), order="abandon")
    assert (await house.gate.plan(request)).blocked


async def test_an_order_to_an_action_does_not_stand_for_the_record_that_began_it(
    tmp_path: Path, service: TwoColors
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        opened = await in_phase(house, "bake")
        pause = Request(kind="flip", service="analytics", ref=str(opened.id), order="pause")
        await house.gate.submit(await house.gate.plan(pause), YES)
        await house.kill_runner()
        execute(house.location, EDITS["weights"])
        execute(house.location, "UPDATE audit SET text = text || ' ' WHERE text LIKE '%plan_digest%'")
        with pytest.raises(JournalError, match="was edited"):
            await house.journal.plan(str(opened.id))
        await house.gate.plan(replace(pause, order="abandon"))
