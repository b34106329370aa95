"""Two journals on one switch, as two users of a host have them: who may go forward, and who sees whom."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from actions.models import Consent, Refused, Request
from backends.models import Deployment
from console.ports.deployments import DEPLOYMENTS
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.two_colors import TwoColors

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}
ANYWAY = Request(kind="flip", service="analytics", to="blue", overrides=("other-journal",))
BECAUSE = Consent(confirmed=True, reason="it is an old test")


@pytest.fixture
async def mine(tmp_path: Path, service: TwoColors) -> AsyncIterator[House]:
    async with House(tmp_path / "mine", service) as house:
        yield house


@pytest.fixture
async def theirs(tmp_path: Path, service: TwoColors) -> AsyncIterator[House]:
    async with House(tmp_path / "theirs", service, bake="60s") as house:
        yield house


async def codes(house: House, request: Request, level: str) -> list[str]:
    return [one.code for one in (await house.gate.plan(request)).findings if one.level == level]


def mark(service: TwoColors) -> tuple[str, str, bool]:
    """Action, journal and end of the last write."""
    said = json.loads(service.switch.read_text())
    return said["stamp"].partition(":")[0], said.get("journal", ""), said.get("ended") == said["stamp"]


async def test_what_goes_forward_past_another_journals_fence_goes_back(mine: House, service: TwoColors) -> None:
    service.write(BLUE, stamp="X:shift", fence=6, journal="other", ended="X:shift")
    flip = await mine.order(ANALYTICS_FLIP)
    assert (flip.status, service.weights()) == ("succeeded", GREEN)
    assert mark(service) == (flip.id, await mine.journal.identity(), True)
    assert json.loads(service.switch.read_text())["fence"] == 1
    back = await mine.order(ANALYTICS_ROLLBACK)
    assert (back.status, service.weights()) == ("succeeded", BLUE)
    assert mark(service) == (back.id, await mine.journal.identity(), True)


@pytest.mark.parametrize("more", [{}, {"journal": "other"}, {"journal": "other", "ended": "another:shift"}])
async def test_a_mark_without_an_end_forbids_the_way_forward_until_it_is_overridden(
    mine: House, service: TwoColors, more: dict[str, str]
) -> None:
    service.write(GREEN, stamp="X:shift", fence=6, **more)
    assert await codes(mine, ANALYTICS_FLIP, "block") == ["other-journal"]
    with pytest.raises(Refused) as caught:
        await mine.order(ANALYTICS_FLIP)
    assert (caught.value.exit_code, "--override other-journal" in caught.value.error.fix) == (3, True)
    with pytest.raises(Refused, match="only overridden with a reason"):
        await mine.order(ANYWAY)
    assert service.weights() == GREEN
    flip = await mine.order(ANYWAY, BECAUSE)
    assert (flip.status, service.weights()) == ("succeeded", BLUE)
    back = await mine.order(ANALYTICS_ROLLBACK)
    assert (back.status, service.weights()) == ("succeeded", GREEN)
    assert await codes(mine, ANALYTICS_FLIP, "block") == []


async def test_a_split_that_another_journal_left_is_asked_about(mine: House, service: TwoColors) -> None:
    service.write({"blue": 75, "green": 25}, stamp="X:shift[25]", fence=2, journal="other", ended="X:shift[25]")
    assert "other-journal" in await codes(mine, Request(kind="flip", service="analytics", to="blue"), "block")


@pytest.mark.parametrize("step", ["shift", "shift[100]", "shift[25]"])
async def test_a_split_made_by_hand_since_is_of_nobodys_journal(mine: House, service: TwoColors, step: str) -> None:
    service.write({"blue": 50, "green": 50}, stamp=f"X:{step}", fence=2, journal="other", ended=f"X:{step}")
    plan = await mine.gate.plan(Request(kind="flip", service="analytics", to="blue"))
    (found,) = [one for one in plan.findings if one.code in ("other-journal", "changed-since")]
    assert (found.level, found.code, "by hand since" in found.text) == ("warning", "changed-since", True)
    assert "journal" not in found.fix
    service.write({"blue": 50, "green": 50}, stamp=f"X:{step}", fence=2, journal="other")
    plan = await mine.gate.plan(Request(kind="flip", service="analytics", to="blue"))
    (found,) = [one for one in plan.findings if one.level == "block"]
    assert (found.code, "by hand since" in found.text) == ("other-journal", True)


async def test_a_split_that_another_journal_went_back_to_is_not_said_to_be_a_hands(
    mine: House, service: TwoColors
) -> None:
    service.write({"blue": 50, "green": 50}, stamp="X:shift-back", fence=2, journal="other", ended="X:shift-back")
    assert "other-journal" in await codes(mine, Request(kind="flip", service="analytics", to="blue"), "block")


@pytest.mark.parametrize("stamp", ["", "hand", "manual"])
async def test_what_a_hand_wrote_is_of_no_journal(mine: House, service: TwoColors, stamp: str) -> None:
    service.write(BLUE, stamp=stamp, fence=6)
    assert await codes(mine, ANALYTICS_FLIP, "block") == []


async def test_what_an_older_program_wrote_over_our_mark_is_not_ours(mine: House, service: TwoColors) -> None:
    flip = await mine.order(ANALYTICS_FLIP)
    said = json.loads(service.switch.read_text())  # it keeps keys that it does not know
    service.switch.write_text(json.dumps(said | {"stamp": "X:shift", "fence": 1}))
    assert (await mine.gate.plan(ANALYTICS_FLIP)).from_ == "green"
    assert await codes(mine, ANALYTICS_FLIP, "block") == ["other-journal"]
    assert flip.changed


async def test_an_old_mark_is_ours_where_our_journal_knows_the_action(mine: House, service: TwoColors) -> None:
    flip = await mine.order(ANALYTICS_FLIP)
    service.write(GREEN, stamp=f"{flip.id}:shift", fence=1)
    assert await codes(mine, ANALYTICS_FLIP, "block") == []


async def test_of_two_journals_with_an_open_action_the_loser_sees_it_and_writes_nothing_more(
    mine: House, theirs: House, service: TwoColors
) -> None:
    flip = await theirs.gate.submit(await theirs.gate.plan(ANALYTICS_FLIP), YES)
    await theirs.reaches(flip, "bake")
    assert mark(service) == (flip.id, await theirs.journal.identity(), False)
    assert await codes(mine, ANALYTICS_FLIP, "block") == ["other-journal"]
    won = await mine.order(ANYWAY, BECAUSE)
    assert (won.status, service.weights()) == ("succeeded", BLUE)
    lost = await theirs.stands(flip, "conflict")
    assert lost.error is not None
    assert str(won.id) in lost.error.message
    await asyncio.sleep(0.1)
    assert (mark(service), service.weights()) == ((won.id, await mine.journal.identity(), True), BLUE)
    assert await codes(theirs, ANALYTICS_ROLLBACK, "block") == []  # the open one, and nothing forbids it


async def test_the_way_back_is_told_of_another_journal_and_not_stopped(
    mine: House, theirs: House, service: TwoColors
) -> None:
    flip = await mine.order(ANALYTICS_FLIP)
    assert flip.status == "succeeded"
    to_blue = Request(kind="flip", service="analytics", to="blue")
    other = await theirs.gate.submit(await theirs.gate.plan(to_blue), YES)
    await theirs.reaches(other, "bake")
    service.write(GREEN, stamp=f"{other.id}:shift", fence=9, journal=await theirs.journal.identity())
    await theirs.stands(other, "conflict")
    plan = await mine.gate.plan(ANALYTICS_ROLLBACK)
    assert [one.code for one in plan.findings if one.level == "block"] == []
    assert "other-journal" in [one.code for one in plan.findings if one.level == "warning"]
    back = await mine.order(ANALYTICS_ROLLBACK)
    assert (back.status, service.weights()) == ("succeeded", BLUE)


@pytest.mark.parametrize("ended", [{}, {"ended": "X:shift[10]"}], ids=["open", "left"])
async def test_a_canary_of_another_journal_is_what_a_rollback_takes_back_whatever_this_one_did_before(
    mine: House, service: TwoColors, ended: dict[str, str]
) -> None:
    assert (await mine.order(ANALYTICS_FLIP)).status == "succeeded"
    service.write({"blue": 10, "green": 90}, stamp="X:shift[10]", fence=9, journal="other", **ended)
    shown = await mine.gate.enrich(await (await mine.targets.switch("analytics")).adapter.deployment())
    assert shown.rollback is not None
    assert (shown.rollback.to, shown.rollback.ready) == ("green", True)
    back = await mine.order(ANALYTICS_ROLLBACK)
    assert (back.status, service.weights()) == ("succeeded", GREEN)


async def test_what_another_journal_moved_wholly_and_has_not_ended_goes_back_too(
    mine: House, service: TwoColors
) -> None:
    assert (await mine.order(ANALYTICS_FLIP)).status == "succeeded"
    service.write(BLUE, stamp="X:shift", fence=9, journal="other")
    back = await mine.order(ANALYTICS_ROLLBACK)
    assert (back.status, service.weights()) == ("succeeded", GREEN)


@pytest.mark.parametrize("weights", [{"blue": 50, "green": 50}, {"blue": 30, "green": 70}], ids=["as-left", "by-hand"])
async def test_of_two_equal_halves_the_mark_says_who_gained(
    mine: House, service: TwoColors, weights: dict[str, int]
) -> None:
    """Every default list of stages has one of 50 %: there a rollback without that journal was refused."""
    stamp = "X:shift[50]:green"
    written = {"stamp": stamp, "weights": {"blue": 50, "green": 50}}
    service.write(weights, stamp=stamp, fence=9, journal="other", written=written)
    shown = await mine.gate.enrich(await (await mine.targets.switch("analytics")).adapter.deployment())
    assert shown.rollback is not None
    assert (shown.rollback.to, shown.rollback.ready) == ("blue", True)
    back = await mine.order(ANALYTICS_ROLLBACK)
    assert (back.status, service.weights()) == ("succeeded", BLUE)


async def test_a_canary_at_half_is_taken_back_by_a_journal_that_does_not_know_it(
    tmp_path: Path, mine: House, service: TwoColors
) -> None:
    staged = {"stages": {"gradual": [50, 100]}, "stage_time": "60s"}
    async with House(tmp_path / "their", service, **staged) as their:
        halves = await their.gate.plan(replace(ANALYTICS_FLIP, strategy="gradual"))
        await their.reaches(await their.gate.submit(halves, YES), "analyse[50]")
        assert service.weights() == {"blue": 50, "green": 50}
        back = await mine.order(ANALYTICS_ROLLBACK)
        assert (back.status, service.weights()) == ("succeeded", BLUE)


async def test_of_an_older_mark_of_two_equal_halves_the_operator_names_the_side(
    mine: House, service: TwoColors
) -> None:
    service.write({"blue": 50, "green": 50}, stamp="X:shift[50]", fence=9, journal="other")
    with pytest.raises(Refused, match="it is not known which side is back"):
        await mine.order(ANALYTICS_ROLLBACK)
    with pytest.raises(Refused, match="no color"):
        await mine.order(replace(ANALYTICS_ROLLBACK, to="red"))
    back = await mine.order(replace(ANALYTICS_ROLLBACK, to="blue"))
    assert (back.status, service.weights()) == ("succeeded", BLUE)


async def test_a_canary_that_somebody_took_back_by_hand_is_back_already(mine: House, service: TwoColors) -> None:
    service.write({"blue": 100, "green": 0}, stamp="X:shift[25]:green", fence=9, journal="other")
    back = await mine.order(ANALYTICS_ROLLBACK)
    assert (back.status, back.changed, service.weights()) == ("succeeded", False, BLUE)


async def test_where_a_hand_changed_the_canary_of_another_journal_nobody_guesses(
    mine: House, service: TwoColors
) -> None:
    assert (await mine.order(ANALYTICS_FLIP)).status == "succeeded"
    service.write({"blue": 30, "green": 70}, stamp="X:shift[10]", fence=9, journal="other")
    with pytest.raises(Refused, match="it is not known which side is back") as caught:
        await mine.order(ANALYTICS_ROLLBACK)
    assert (caught.value.exit_code, service.weights()) == (5, {"blue": 30, "green": 70})


async def test_an_empty_journal_goes_back_by_the_mark_of_another_and_is_told_whose_action_it_is(
    mine: House, service: TwoColors
) -> None:
    service.write({"blue": 50, "green": 50}, stamp="X:shift[50]", fence=2, journal="other")
    shown = await mine.gate.enrich(await (await mine.targets.switch("analytics")).adapter.deployment())
    assert "action X of journal other" in shown.action_about
    assert (shown.action, shown.health) == (None, "critical")  # that it ends is not known here
    service.write({"blue": 75, "green": 25}, stamp="X:shift[25]", fence=2, journal="other")
    plan = await mine.gate.plan(ANALYTICS_ROLLBACK)
    assert (plan.blocked, plan.to) == (False, "blue")
    back = await mine.order(ANALYTICS_ROLLBACK)
    assert (back.status, service.weights()) == ("succeeded", BLUE)


async def test_what_another_journal_ended_is_the_newest_change_and_goes_back(
    mine: House, tmp_path: Path, service: TwoColors
) -> None:
    """Mine went to GREEN and to BLUE, theirs to GREEN: "back already" was said of mine, and the bad one stayed."""
    async with House(tmp_path / "quick", service) as quick:
        assert (await mine.order(ANALYTICS_FLIP)).status == "succeeded"
        assert (await mine.order(Request(kind="flip", service="analytics", to="blue"))).status == "succeeded"
        assert (await quick.order(ANALYTICS_FLIP)).status == "succeeded"
        shown = await mine.gate.enrich(await (await mine.targets.switch("analytics")).adapter.deployment())
        assert shown.rollback is not None
        assert (shown.rollback.to, shown.rollback.ready, shown.elsewhere) == ("blue", True, "")
        back = await mine.order(ANALYTICS_ROLLBACK)
        assert (back.status, service.weights()) == ("succeeded", BLUE)
        # And theirs finds that: nothing more goes back, in either journal.
        for house in (mine, quick):
            plan = await house.gate.plan(ANALYTICS_ROLLBACK)
            assert (plan.already, plan.to) == (True, "blue"), plan


@pytest.mark.parametrize("live", [BLUE, GREEN])
async def test_an_action_of_another_journal_that_has_not_ended_is_not_well(
    mine: House, service: TwoColors, live: dict[str, int]
) -> None:
    """Its journal was deleted, or is elsewhere: whether anybody runs it is not known here, and all looks well."""

    async def shown() -> Deployment:
        return await mine.gate.enrich(await (await mine.targets.switch("analytics")).adapter.deployment())

    service.write(live, stamp="X:shift", fence=9, journal="other")
    found = await shown()
    said = "an action that this journal does not know has not said that it is over: action X of journal other"
    assert said in found.elsewhere
    assert (found.health, found.action) == ("warning", None)
    assert DEPLOYMENTS.reading.says(found).endswith(found.elsewhere)
    back = next(color for color in live if not live[color])
    assert found.rollback is not None
    assert (found.rollback.to, found.rollback.ready) == (back, True)
    adapter = (await mine.targets.switch("analytics")).adapter
    await adapter.mark_ended(await adapter.observe())
    found = await shown()
    assert (found.elsewhere, found.health) == ("", "ok")


async def test_an_empty_journal_finds_what_another_took_back_and_names_nothing(mine: House, service: TwoColors) -> None:
    service.write(BLUE, stamp="X:shift-back", fence=2, journal="other")
    plan = await mine.gate.plan(ANALYTICS_ROLLBACK)
    assert (plan.already, plan.to, [one.code for one in plan.findings]) == (True, "blue", ["by-the-mark"])


ENDED = {"stamp": "X:shift", "journal": "other", "ended": "X:shift"}
WROTE = {"stamp": "X:shift", "weights": GREEN}


@pytest.mark.parametrize("weights", [GREEN, {"blue": 40, "green": 60}])
async def test_an_empty_journal_takes_back_what_an_ended_action_left_and_a_hand_did_not_take_away(
    mine: House, service: TwoColors, weights: dict[str, int]
) -> None:
    service.write(weights, **ENDED, written=WROTE)
    plan = await mine.gate.plan(ANALYTICS_ROLLBACK)
    assert (plan.blocked, plan.already, plan.to) == (False, False, "blue")
    assert "by-the-mark" in [one.code for one in plan.findings if one.level == "warning"]
    back = await mine.order(ANALYTICS_ROLLBACK)
    assert (back.status, service.weights()) == ("succeeded", BLUE)
    again = await mine.gate.plan(ANALYTICS_ROLLBACK)
    assert (again.already, again.to) == (True, "blue")


async def test_what_a_hand_has_taken_back_since_an_ended_action_is_back_already(
    mine: House, service: TwoColors
) -> None:
    service.write(BLUE, **ENDED, written=WROTE)  # GREEN was bad: nothing goes there again
    plan = await mine.gate.plan(ANALYTICS_ROLLBACK)
    assert (plan.already, plan.to, [one.code for one in plan.findings]) == (True, "blue", ["by-the-mark"])
    assert "GREEN gained the traffic, and BLUE has all of it since" in plan.findings[0].text


async def test_the_other_journal_tells_of_its_action_as_ours_would(
    mine: House, theirs: House, service: TwoColors
) -> None:
    """The mark of a real action, as it is when it has ended."""
    assert (await theirs.order(ANALYTICS_FLIP)).status == "succeeded"
    plan = await mine.gate.plan(ANALYTICS_ROLLBACK)
    assert (plan.already, plan.to) == (False, "blue")
    assert plan.to == (await theirs.gate.plan(ANALYTICS_ROLLBACK)).to


@pytest.mark.parametrize(
    "mark",
    [
        {"stamp": "X:shift"},  # of a program that marked its way back alike
        {"stamp": "X:shift", "journal": "other", "ended": "X:shift"},  # it does not say to which side it went
        {**ENDED, "written": {"stamp": "W:shift", "weights": GREEN}},  # of a write before, which an older program kept
    ],
)
async def test_the_flip_that_is_named_where_the_mark_says_nothing_is_one_that_is_taken(
    mine: House, service: TwoColors, mark: dict[str, str]
) -> None:
    service.write(GREEN, **mark)
    with pytest.raises(Refused) as caught:
        await mine.gate.plan(ANALYTICS_ROLLBACK)
    past = "" if "ended" in mark else " --override other-journal --reason WHY"
    assert (caught.value.exit_code, caught.value.error.fix) == (5, f"teal deploy flip analytics --to BLUE{past}")
    assert (await mine.order(ANYWAY, BECAUSE)).status == "succeeded"


async def test_of_two_that_begin_at_once_one_moves_traffic(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "one", service) as one, House(tmp_path / "two", service) as two:
        houses = (one, two)
        plans = [await house.gate.plan(ANALYTICS_FLIP) for house in houses]
        begun = await asyncio.gather(*(house.gate.submit(plan, YES) for house, plan in zip(houses, plans, strict=True)))
        ended = [await house.ended(action) for house, action in zip(houses, begun, strict=True)]
    (moved,) = [action for action in ended if action.changed]
    (aborted,) = [action for action in ended if not action.changed]
    assert moved.status == "succeeded"
    assert (aborted.status, aborted.error is not None and aborted.error.kind) == ("aborted", "conflict")
    assert (mark(service)[0], service.weights()) == (moved.id, GREEN)


async def test_a_mark_that_can_not_be_read_is_somebody_elses(mine: House, service: TwoColors) -> None:
    flip = await mine.order(ANALYTICS_FLIP)
    said = json.loads(service.switch.read_text())
    service.switch.write_text(json.dumps({**said, "stamp": {"version": 2}}))
    again = Request(kind="flip", service="analytics", to="blue")
    assert await codes(mine, again, "block") == ["other-journal"]
    assert "other-journal" in await codes(mine, ANALYTICS_ROLLBACK, "warning")
    assert flip.status == "succeeded"
    back = await mine.order(ANALYTICS_ROLLBACK)
    assert (back.status, service.weights()) == ("succeeded", BLUE)


async def test_a_color_named_for_a_switch_that_can_not_be_read_is_told_why(mine: House, service: TwoColors) -> None:
    await mine.order(ANALYTICS_FLIP)
    service.switch.write_bytes(b"[" * 100_000)
    for to in ("", "blue"):
        with pytest.raises(Refused) as caught:
            await mine.order(Request(kind="rollback", service="analytics", to=to))
        assert caught.value.exit_code == 9
        assert "nested too deep" in caught.value.error.message


async def test_the_newest_change_of_another_context_of_this_journal_is_taken_back_by_its_mark(
    house: House, service: TwoColors
) -> None:
    """Two contexts name one switch: each is told of the other's actions, and neither of a row that was edited."""
    await house.order(ANALYTICS_FLIP)
    gate = house.under(context="another")
    plan = await gate.plan(ANALYTICS_ROLLBACK)
    assert (plan.to, plan.blocked) == ("blue", False)
    codes = {finding.code for finding in plan.findings}
    assert ("by-the-mark" in codes, "no-journal" in codes) == (True, False)
    ended = await house.order(ANALYTICS_ROLLBACK)
    assert (ended.status, service.weights()["blue"]) == ("succeeded", 100)
