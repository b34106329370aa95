"""What is told of the sides that fresh requests saw is what was seen, and of what was not known nothing is made up."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from actions.judging.stages import StageVerdict
from actions.models import Action, Request, SwitchReport
from actions.switching.looks import Sample
from actions.switching.probing import Prober
from actions.switching.proof import Proof
from actions.switching.watching import Watching
from actions.tally import Tally, Times
from backends.deployments.common import ProbeResult
from console.cli.writing import action_lines
from tests.actions.house import ANALYTICS_FLIP, YES, House
from tests.actions.orders.test_orders import in_phase
from tests.two_colors import TwoColors


async def test_what_comes_late_while_the_other_layers_are_asked_is_not_proven(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A side that answers after a second still answers when the twenty of the other have come."""
    proven, sample, probers = Prober.proven, Proof.sample, list[Prober]()

    async def asked(self: Prober, color: str, deadline_s: float) -> bool:
        found = await proven(self, color, deadline_s)
        probers.append(self)
        return found

    async def slow(self: Proof, weights: dict[str, int], color: str) -> Sample:
        looked = await sample(self, weights, color)
        if len(probers) == 1:
            late = ProbeResult(color="blue", at=time.monotonic())
            probers[0]._last.extend([late] * 4)
        return looked

    monkeypatch.setattr(Prober, "proven", asked)
    monkeypatch.setattr(Proof, "sample", slow)
    ended = await house.order(ANALYTICS_FLIP)
    (verify,) = (step for step in ended.steps if step.name == "verify")
    assert (verify.status, verify.detail.split(",")[0]) == ("succeeded", "20 of 20 fresh requests GREEN")
    assert len(probers) > 1, "it was proven anew"


async def test_whoever_goes_on_in_verify_tells_what_was_seen(house: House, service: TwoColors) -> None:
    house.halts_in = "verify"
    opened = await in_phase(house, "verify")
    await house.kill_runner()
    order = Request(kind="flip", service="analytics", ref=str(opened.id), order="takeover")
    ended = await house.order(order, replace(YES, reason="its runner died"))
    assert (ended.status, ended.switch and ended.switch.new_seen) == ("succeeded", True)
    assert "none of them was answered by GREEN" not in "\n".join(action_lines(ended))


async def test_whoever_takes_it_back_tells_what_the_runner_before_saw() -> None:
    """nginx's log had 40 of the action's requests answered by BLUE; `action abort` said that none was: the runner was
    killed before it had told the times of its stage."""

    async def green() -> ProbeResult:
        return ProbeResult(color="green", at=time.monotonic())

    first = Tally(new="green")
    first.begin()
    assert not (first.news() or SwitchReport()).new_seen
    await first.counted(green)()
    told = first.news()
    assert told is not None
    assert (told.new_seen, told.first_new_s) == (True, None)
    second = Tally(told, new="green")
    second.timed(Times())
    assert second.news() is None, "nothing is new"
    assert second._report().new_seen


def test_no_time_of_its_own_takes_that_of_another_runner_away() -> None:
    first = Tally()
    first.begin()
    first.timed(Times(first_new_s=0.3, last_old_s=0.2))
    told = first.news()
    second = Tally(told)
    second.timed(Times())
    assert second.news() is None
    unknown = Tally()
    unknown.begin()
    unknown.timed(Prober(unknown, silent).times("blue", "green"))
    report = unknown.news()
    assert report is not None
    assert (report.first_new_s, report.last_old_s, report.new_seen) == (None, None, False)


def test_one_version_on_both_sides_is_no_other_side_that_answered() -> None:
    """ "another side last after 8.55 s" of traffic that never moved."""
    prober = Prober(Tally(), silent)
    prober._written_at = 0.0
    prober._seen = [ProbeResult(at=at, seconds=0.1, color="1.1.0") for at in (0.2, 8.55)]
    assert prober.times("1.1.0", "1.1.0").last_old_s is None


async def silent() -> None:
    return None


async def test_a_side_that_keeps_its_share_is_not_said_to_have_answered_last(
    tmp_path: Path, service: TwoColors
) -> None:
    async with House(tmp_path / "state", service, stages={"gradual": [25, 100]}, stage_time="600s") as house:
        opened = await in_phase(house, "analyse[25]", replace(ANALYTICS_FLIP, strategy="gradual"))
        seen = await house.gate.action(str(opened.id))
        assert seen.switch is not None
        assert seen.switch.first_new_s is not None
        assert seen.switch.last_old_s is None
        assert "last after" not in words(seen)
        await house.ended(await house.gate.submit(await house.gate.plan(back(opened)), YES))


def back(action: Action) -> Request:
    return Request(kind="flip", service="analytics", ref=str(action.id), order="rollback")


def words(action: Action) -> str:
    return "\n".join(action_lines(action))


async def test_a_stage_that_was_held_lasted_as_long_as_it_did() -> None:
    ended: list[str] = []

    async def nothing(*_: object) -> None:
        return None

    async def end(step: str, status: str, words: str) -> None:
        ended.append(words)

    steering = SimpleNamespace(promoted=False, accepted=False)
    work: Any = SimpleNamespace(steering=steering, released=nothing, stand=nothing, end=end)
    proof: Any = None
    sides = {"blue": 90, "green": 10}
    watching = Watching(work, proof, "analyse[10]", sides, "green", seconds=16, all_down_s=1)
    for lasted_s in (16.4, 91.2):
        watching._began = time.monotonic() - lasted_s
        await watching._succeed(StageVerdict(word="pass", detail=""))
    assert [words.split(",")[0] for words in ended] == ["0 looks in 16s", "0 looks in 1m31s"]
