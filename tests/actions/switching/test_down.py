"""A side that is down is left at once, and only for what it did itself: not for lag, nor for what else fails."""

import asyncio
import contextlib
import itertools
import os
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from actions import targets
from actions.endings import Failed
from actions.journal.steering import possible_orders
from actions.judging.stages import StageVerdict
from actions.models import Action, Consent, Refused
from actions.outcome import exit_code
from actions.switching import looks, way_back
from actions.switching.looks import Looks, Sample, Seen
from actions.switching.proof import Proof
from actions.switching.silence import silent
from actions.switching.watching import Watching
from actions.tally import Tally
from actions.waiting import waits
from backends.deployments.common import ProbeResult
from backends.deployments.file_switch import FileSwitch
from backends.errors import BackendError
from backends.models import TruthLayer
from backends.ports import RequestCounts, SwitchState
from backends.text import first_line
from tests.actions.fake_switch import FakeSwitch, FakeTarget
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.actions.switching.test_machine import CONFIG
from tests.own_time import Watch
from tests.two_colors import TwoColors

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}
GRADUAL = replace(ANALYTICS_FLIP, strategy="gradual")
BACK_WITHIN_S = 5.0


@pytest.fixture
async def house(tmp_path: Path, service: TwoColors) -> AsyncIterator[House]:
    stages: dict[str, Any] = {"stages": {"gradual": [50, 100]}, "stage_time": "600s"}
    async with House(tmp_path / "state", service, bake="600s", **stages) as house:
        yield house
        await house.kill_runner()


async def in_phase(house: House, service: TwoColors, phase: str) -> Action:
    request = GRADUAL if "[" in phase else ANALYTICS_FLIP
    if phase.startswith("verify"):
        service.router_frozen = "blue"  # as before: it is proven of BLUE, and stays in that phase
    return await house.reaches(await house.gate.submit(await house.gate.plan(request), YES), phase)


async def never_held(house: House, action: Action) -> Action:
    """The action at its end."""
    async for seen in house.gate.watch(str(action.id)):
        assert seen.hold is None, seen.hold
        action = seen
    return action


@pytest.mark.parametrize("phase", ["verify", "verify[50]", "analyse[50]", "bake"])
@pytest.mark.parametrize("how", ["refused", "unhealthy", "through the balancer"])
async def test_the_old_side_is_taken_back_within_seconds(
    house: House, service: TwoColors, phase: str, how: str
) -> None:
    action = await in_phase(house, service, phase)
    watch = Watch()
    if how == "refused":
        await service.stop("green")
    elif how == "unhealthy":
        service.sicken("green")
    else:
        service.router_says = (503, "green")
    while service.weights() != BLUE:
        assert watch.seconds() < BACK_WITHIN_S
        await asyncio.sleep(0.05)
    service.router_frozen, service.router_says = None, None
    ended = await never_held(house, action)
    assert (ended.status, exit_code(ended)) == ("rolled_back", 1)
    assert ended.error is not None
    assert (ended.error.kind, "GREEN" in ended.error.message) == ("health_failed", True)


@pytest.mark.parametrize(("strategy", "phase"), [("gradual", "verify[50]"), ("blue-green", "verify")])
async def test_a_side_whose_own_answers_do_not_come_is_left_within_seconds(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch, strategy: Any, phase: str
) -> None:
    """Its health answers at once, its users are never answered: no answer names it."""
    monkeypatch.setitem(house.targets._config, "probe_timeout", "500ms")
    service.router_loses = "green"
    watch = Watch()
    ended = await house.order(replace(ANALYTICS_FLIP, strategy=strategy))
    assert watch.seconds() < BACK_WITHIN_S + 0.5 + 3.0  # and the plan, the preflight and the proof
    assert (ended.status, service.weights()) == ("rolled_back", BLUE)
    assert ended.error is not None
    assert "was answered by GREEN" in ended.error.message
    assert "got no answer" in ended.error.message
    assert {step.name: step.status for step in ended.steps}[phase] == "failed"


@pytest.mark.parametrize("share", [20, 50])
async def test_a_side_that_hangs_after_it_was_proven_is_not_promoted(
    tmp_path: Path, service: TwoColors, share: int
) -> None:
    """Too few requests went to it in the stage to say that it answers none: it went on to all traffic."""
    staged: dict[str, Any] = {"stages": {"gradual": [share, 100]}, "stage_time": "6s", "probe_timeout": "300ms"}
    async with House(tmp_path / "state", service, bake="600s", **staged) as house:
        flip = await house.gate.submit(await house.gate.plan(GRADUAL), YES)
        await house.reaches(flip, f"analyse[{share}]")
        service.router_loses = "green"
        until = Watch()
        async for seen in house.gate.watch(str(flip.id)):
            assert service.weights()["green"] in (0, share)
            if not seen.open or (seen.hold is not None and "got no answer" in seen.hold.why) or until.seconds() > 30:
                break
        assert seen.status == "rolled_back" or (seen.hold is not None and seen.hold.until is not None), seen
        if seen.open:
            await house.kill_runner()


def test_requests_that_one_of_both_sides_did_not_answer_hold_a_stage_by_its_share() -> None:
    async def never() -> Sample:
        raise AssertionError

    for share, lost, of, holds in [
        (0.2, 2, 16, True),
        (0.2, 1, 6, True),
        (0.2, 1, 16, False),
        (0.2, 0, 9, False),
        (0.2, 2, 60, False),
        (1, 8, 16, True),
    ]:
        looks = Looks(never, 0.1, frozenset())
        for n in range(of):
            looks._take(Sample("unproven" if n < lost else "good", "no answer in 300 ms"), float(n))
        assert bool(looks.unanswered(share)) == holds, (share, lost, of)


@pytest.mark.parametrize("counts", [True, False])
async def test_a_side_that_hangs_in_the_bake_is_left_where_the_load_balancer_counts_its_failures(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch, counts: bool
) -> None:
    """Its health answers; a request that nobody answers names no side: it kept all traffic, held."""
    monkeypatch.setitem(house.targets._config, "probe_timeout", "300ms")
    taken = itertools.count(100)

    async def counted(_: FileSwitch) -> RequestCounts:
        number = next(taken) if counts else 100
        return RequestCounts(requests={"blue": 50, "green": number}, failures={"blue": 0, "green": number - 90})

    monkeypatch.setattr(FileSwitch, "request_counts", counted)
    action = await in_phase(house, service, "bake")
    service.router_loses = "green"
    async for seen in house.gate.watch(str(action.id)):
        if not seen.open or (seen.hold is not None and not counts):  # held until enough is counted
            break
    service.router_loses = ""
    assert (seen.status == "rolled_back", seen.hold is None) == (counts, counts)
    if counts:
        assert seen.error is not None
        assert "that GREEN took failed" in seen.error.message


@pytest.mark.parametrize("phase", ["verify[50]", "analyse[50]"])
async def test_where_the_old_side_goes_down_it_is_held_and_a_person_may_go_on(
    house: House, service: TwoColors, phase: str
) -> None:
    """Most users were on it: a canary at 20 % verified on for two minutes, and promote and accept were refused."""
    action = await in_phase(house, service, phase)
    service.faults["blue"].status = 500
    service.router_frozen = None
    held = await house.stands(action, "paused")
    assert held.hold is not None
    assert held.error is not None
    assert "BLUE, which has 50 % of the traffic, is not healthy: HTTP 500" in held.error.message
    assert f"teal action accept {action.id}" in held.error.fix
    assert "rollback" not in held.error.fix  # it would be refused: nobody is served there
    watch = Watch()
    while service.weights() != GREEN:
        seen = await house.gate.action(str(action.id))
        if seen.hold is not None and seen.status == "paused":
            accept = replace(GRADUAL, order="accept", ref=str(action.id))
            with contextlib.suppress(Refused):  # it was released meanwhile
                await house.gate.submit(await house.gate.plan(accept), Consent(confirmed=True, reason="BLUE is dead"))
        assert watch.seconds() < 40
        await asyncio.sleep(0.3)


async def test_a_side_that_hangs_at_the_end_of_its_bake_has_not_passed_it(tmp_path: Path, service: TwoColors) -> None:
    """The last look hung, and the one before it was good: the bake ended well over a dead side."""
    async with House(tmp_path / "state", service, bake="3s", probe_timeout="20s") as house:
        action = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        await house.reaches(action, "bake")
        await asyncio.sleep(1)
        service.router_loses = "green"
        await asyncio.sleep(4)
        seen = await house.gate.action(str(action.id))
        assert (seen.open, seen.status != "succeeded") == (True, True), seen
        service.router_loses = ""
        await service.stop("green")
        ended = await house.ended(action)
        assert (ended.status, service.weights()) == ("rolled_back", BLUE)


async def test_an_end_that_comes_while_the_gates_are_asked_waits_for_a_look_of_it() -> None:
    """Whether the looks had caught up was asked before, of a window that was not over yet."""

    async def nothing(*_: object, **__: object) -> float:
        return 0.6

    async def sample(*_: object) -> Sample:
        if looked:
            await asyncio.Event().wait()
        looked.append(True)
        return Sample("good", "GREEN answers")

    async def slow() -> StageVerdict:
        await asyncio.sleep(0.9)
        return StageVerdict(word="pass", detail="")

    looked: list[bool] = []
    steering = SimpleNamespace(promoted=False, accepted=False, paused=False, next_stage=lambda: None)
    work: Any = SimpleNamespace(
        steering=steering, late=False,
        steps=SimpleNamespace(last_seen=lambda step: 0.0), hold=SimpleNamespace(left_s=lambda: None),
        begin=nothing, end=nothing, progress=nothing, held=nothing, released=nothing, stand=nothing,
    )  # fmt: skip
    judge: Any = SimpleNamespace(look=slow, due_s=60.0, hold_s=60.0)
    proof: Any = SimpleNamespace(sample=sample)
    sides = {"blue": 90, "green": 10}
    watching = Watching(work, proof, "analyse[10]", sides, "green", seconds=0.2, all_down_s=1, judge=judge)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await watching.run()


def tally(*answers: tuple[str | None, float, bool]) -> Tally:
    """Of answers after a write: the color, when it came, and whether anything was reached."""
    seen = Tally()
    seen._add(ProbeResult(color="blue", at=0.0))
    seen.moving()
    for color, at, reached in answers:
        seen._add(ProbeResult(color=color, at=at, seconds=0.5, error="" if color else "no answer", reached=reached))
    return seen


LAG = [("blue", n / 25, True) for n in range(200)]
LOST: list[tuple[str | None, float, bool]] = [(None if n % 10 == 9 else "blue", n / 25, True) for n in range(100)]


@pytest.mark.parametrize(
    ("percent", "answers", "silent_"),
    [
        (10, LOST, True),
        (10, LAG, False),  # nothing is lost: the write is not in force yet
        (10, [*LAG, (None, 9.0, True), (None, 9.6, True)], False),  # too few for its share: the other side's
        (10, [*LOST, ("green", 9.0, True)], False),
        (10, [("green", -1.0, True), *LOST], True),  # it answered once, and then no more
        (10, LOST[:40], False),  # by chance
        (10, [(color, at, color is not None) for color, at, _ in LOST], False),  # nobody takes the connection
        (100, [(None, n / 25, True) for n in range(20)], True),
        (100, [(None, n / 250, True) for n in range(20)], False),  # within half a second
        (100, [("green", -1.0, True), *((None, n / 25, True) for n in range(20))], False),  # or the balancer hangs
        (0, LOST, False),
    ],
)
def test_a_side_is_silent_where_requests_are_lost_as_its_share_says(
    percent: int, answers: list[tuple[str | None, float, bool]], silent_: bool
) -> None:
    assert bool(silent(tally(*answers), "green", percent)) == silent_


@pytest.mark.parametrize("phase", ["verify", "analyse[50]", "bake"])
@pytest.mark.parametrize("what", ["the old side", "the load balancer"])
async def test_what_fails_with_something_else_is_held_and_traffic_stays(
    house: House, service: TwoColors, phase: str, what: str
) -> None:
    action = await in_phase(house, service, phase)
    split = service.weights()
    also = "blue" if what == "the old side" else "router"
    await service.stop(also)
    await service.stop("green")
    held = await house.stands(action, "paused")
    assert (held.phase, service.weights(), exit_code(held)) == (phase, split, 9)
    assert held.hold is not None
    told = await house.gate.enrich(await (await house.targets.switch("analytics")).adapter.deployment())
    assert told.action_held == first_line(held.hold.why)
    assert ("BLUE is not healthy" if also == "blue" else "the load balancer can not be reached") in held.hold.why
    service.router_frozen = None
    await service.start("green")  # first: alone it is down, and left, however short the time in between
    await service.start(also)
    found = await house.stands(action, "running")
    assert (found.hold, service.weights()) == (None, split)
    if phase == "verify":
        assert (await house.reaches(action, "bake")).phase == "bake"


async def test_a_load_balancer_that_is_away_is_told_and_nothing_is_moved(house: House, service: TwoColors) -> None:
    action = await in_phase(house, service, "bake")
    await service.stop("router")
    held = await house.stands(action, "paused")
    assert (service.weights(), exit_code(held)) == (GREEN, 8)
    await service.start("router")
    assert (await house.stands(action, "running")).hold is None


async def test_an_order_that_can_not_be_carried_out_is_none_when_it_could(house: House, service: TwoColors) -> None:
    """Nothing works: neither is offered what goes past that, nor does it wait for a side that comes back."""
    action = await in_phase(house, service, "bake")
    await service.stop("blue")
    await service.stop("green")
    held = await house.stands(action, "paused")
    possible = possible_orders(held, orphaned=False)
    assert ("mended first" in possible["promote"], "mended first" in possible["accept"]) == (True, True)
    health, words = waits(held, UTC)
    assert (health, "accept" in words, "make BLUE healthy, then teal deploy rollback" in words) == (
        "critical", False, True,
    )  # fmt: skip
    for word in ("promote", "accept"):
        ordered = replace(ANALYTICS_FLIP, ref=str(held.id), order=word)
        (block,) = [found for found in (await house.gate.plan(ordered)).findings if found.level == "block"]
        assert block.fix.startswith("make GREEN healthy, it goes on by itself then")
        await house.journal.enqueue(str(held.id), word, house.gate.actor, "as if it had come a moment earlier")
        while not any(
            f"{word} not carried out" in told.event.detail for told in await house.journal.history(str(action.id))
        ):
            await asyncio.sleep(0.05)
    await service.start("green")
    assert (await house.stands(action, "running")).hold is None
    await asyncio.sleep(0.5)
    assert (await house.gate.action(str(action.id))).phase == "bake"


async def test_an_order_to_go_on_is_of_its_stage_alone(house: House, service: TwoColors) -> None:
    """It came when that was over, and the next one had not begun."""
    action = await in_phase(house, service, "verify[50]")
    await house.journal.enqueue(str(action.id), "promote", house.gate.actor, "")
    while await house.journal.waiting(str(action.id)):
        await asyncio.sleep(0.05)
    service.router_frozen = None
    await house.reaches(action, "analyse[50]")
    await asyncio.sleep(0.5)
    assert (await house.gate.action(str(action.id))).phase == "analyse[50]"


async def test_users_refused_by_a_load_balancer_that_is_dead_are_counted(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With it goes what says where its traffic goes, as with nginx and HAProxy: the requests go on all the same."""
    observe, dead = FileSwitch.observe, asyncio.Event()

    async def while_it_runs(switch: FileSwitch) -> SwitchState:
        if dead.is_set():
            raise BackendError("unreachable", "no nginx runs")
        return await observe(switch)

    monkeypatch.setattr(FileSwitch, "observe", while_it_runs)
    async with House(tmp_path / "state", service, bake="2s") as house:
        action = await house.reaches(await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES), "bake")
        await service.stop("router")
        dead.set()
        await house.stands(action, "paused")
        await service.start("router")
        dead.clear()
        ended = await house.ended(action)
    assert ended.status == "succeeded"
    assert ended.switch is not None
    assert ended.switch.phases["bake"].errors >= 2
    (bake,) = [step.detail for step in ended.steps if step.name == "bake"]
    assert "of them failed (no nginx runs; a fresh request failed: " in bake


async def test_an_answer_of_the_old_side_is_lag(house: House, service: TwoColors) -> None:
    action = await in_phase(house, service, "verify")
    await asyncio.sleep(3)
    assert ((await house.gate.action(str(action.id))).phase, service.weights()) == ("verify", GREEN)
    service.router_frozen = None
    assert (await house.reaches(action, "bake")).phase == "bake"


@pytest.mark.parametrize(
    ("seen", "down"),
    [
        (["down", "good", "down", "good"], False),
        (["down", "down"], True),
        (["down", "all down", "down", "all down"], False),
        (["other", "other", "other"], False),
        (["unseen", "down", "down"], True),
    ],
)
async def test_two_bad_looks_in_a_row_count(monkeypatch: pytest.MonkeyPatch, seen: list[Seen], down: bool) -> None:
    monkeypatch.setattr(looks, "APART_S", 0.01)
    left = iter(seen)

    async def look() -> Sample:
        return Sample(next(left, seen[-1] if down else "good"), "as told")  # a late machine begins two at once

    looking = Looks(look, 0.02, frozenset({"down"}))
    with pytest.raises(Failed if down else TimeoutError):
        async with asyncio.timeout(30 if down else 0.3):
            await looking.run()


async def test_looks_that_hang_are_begun_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A side that swallows every request is left as soon as one that refuses them, but for the time of one request."""
    monkeypatch.setattr(looks, "APART_S", 0.1)

    async def look() -> Sample:
        await asyncio.sleep(0.5)
        return Sample("down", "no answer in 0.5 s")

    watch = Watch()
    with pytest.raises(Failed):
        await Looks(look, 0.1, frozenset({"down"})).run()
    assert watch.seconds() < 0.9


@pytest.mark.parametrize("phase", ["verify", "analyse[50]", "bake"])
@pytest.mark.parametrize("what", ["a pipe", "a directory"])
async def test_a_switch_that_is_no_file_any_more_is_held_and_the_way_back_says_what_to_type(
    house: House, service: TwoColors, phase: str, what: str
) -> None:
    action = await in_phase(house, service, phase)
    service.router_frozen = "blue" if phase == "verify" else "green"
    service.switch.unlink()
    if what == "a pipe":
        os.mkfifo(service.switch)
    else:
        service.switch.mkdir()
    held = await house.stands(action, "paused", 5)
    assert held.hold is not None
    assert "switch.json" in held.hold.why
    with pytest.raises(Refused) as refused:
        await house.order(ANALYTICS_ROLLBACK)
    assert refused.value.exit_code == 9
    subprocess.run(["sh", "-c", refused.value.error.fix.partition("by hand: ")[2]], check=True, cwd="/")
    assert service.weights() == BLUE


async def test_where_nothing_works_for_long_it_goes_back_as_soon_as_it_can(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(way_back, "HEALTHY_AGAIN_S", 3.0)
    action = await in_phase(house, service, "bake")
    await service.stop("blue")
    await service.stop("green")
    await house.stands(action, "paused")
    await house.reaches(action, "shift-back")
    await service.start("blue")
    ended = await house.ended(action)
    assert (ended.status, service.weights()) == ("rolled_back", BLUE)


@pytest.mark.parametrize(("ready", "seen"), [(0, "down"), (1, "all down"), (None, "all down")])
async def test_a_balancer_that_only_forwards_refuses_because_the_side_is_down(
    monkeypatch: pytest.MonkeyPatch, ready: int | None, seen: Seen
) -> None:
    """A Kubernetes Service without a ready pod refuses connections itself."""
    switch = FakeSwitch()
    switch.healthy["green"] = False
    state = await switch.observe()
    monkeypatch.setattr(switch, "endpoints", _answering(TruthLayer(value="unknown", ready=ready)))
    refused = _answering(ProbeResult(color=None, error="connection refused", at=0.0, reached=False))
    monkeypatch.setattr(targets.SwitchTarget, "probe", lambda _: refused())
    target = FakeTarget(switch, CONFIG)
    work: Any = SimpleNamespace(seen=Tally())
    proof = Proof(work, target, SimpleNamespace(is_ours=lambda _: True))
    assert (await proof.sample(state.weights, "green")).seen == seen


@pytest.mark.parametrize(("healthy", "seen"), [(True, "unseen"), (False, "down")])
async def test_what_has_not_taken_the_weights_over_is_no_proof_and_hides_no_side_that_is_down(
    monkeypatch: pytest.MonkeyPatch, healthy: bool, seen: Seen
) -> None:
    """A second Gateway, that no fresh request goes through, has the old weights still."""
    switch = FakeSwitch()
    state = await switch.observe()
    switch.healthy["blue"] = healthy
    words = "Gateway inner has not taken generation 4 over yet"
    monkeypatch.setattr(switch, "observe", _answering(replace(state, pending=words)))
    monkeypatch.setattr(targets.SwitchTarget, "probe", lambda _: switch.probe())
    work: Any = SimpleNamespace(seen=Tally())
    proof = Proof(work, FakeTarget(switch, CONFIG), SimpleNamespace(is_ours=lambda _: True))
    sample = await proof.sample(state.weights, "blue")
    assert (sample.seen, sample.detail == words) == (seen, healthy)


def _answering(answer: Any) -> Any:
    async def answered() -> Any:
        return answer

    return answered
