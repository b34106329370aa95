"""Rounds of phases: one that never ends, and the side that gains traffic dying in one."""

import asyncio
import random
import time
from collections.abc import Awaitable
from functools import partial

from actions.models import Action, Refused, Request
from backends.errors import BackendError
from tests.chaos.benches import TIMEOUT_S
from tests.chaos.harness import ROUND_S, YES, Load, Outcome
from tests.chaos.lateness import TooLate, within
from tests.chaos.stage import ALL_BLUE, MARGIN_S, Stage, nothing_lost
from tests.warm import Process

LEFT_S = 5.0
"""How long a side that is down may keep its traffic."""
SLACK_S = 1.0
"""What lies between a write and the last answer that was on its way before it."""
COMMANDS = ("deploy", "smoke")
HANGS = ("planning", "preflight", "deploy", "smoke", "health", "safe point", "stage", "verify")
DEATHS = ("verify", "bake", "stage")


async def hang(stage: Stage, chance: random.Random) -> Outcome:
    """One phase never ends: `--timeout` is the end of it. Traffic that has not moved stays, what has moved goes back,
    and what is at 100 percent without evidence is held."""
    phase = await _phase(stage, chance, HANGS)
    mood = chance.choice(["lags", "hangs"])
    await stage.cleared()
    began = time.monotonic()
    await stage.mine.gate.plan(stage.release())
    timeout_s = TIMEOUT_S + SLACK_S + 2 * (time.monotonic() - began)  # long enough to begin in
    began = time.monotonic()
    strategy = "gradual" if phase == "stage" else "blue-green"
    request = stage.release("-sick" if phase == "health" else "", strategy=strategy, timeout_s=timeout_s)
    if phase in COMMANDS:
        stage.touch(f"hang-{phase}")
    if phase == "planning":
        stage.bench.relay.mood = "hangs"
    status, told, held = "not begun", f"{phase} hung, --timeout {timeout_s:g}", False
    async with asyncio.timeout(ROUND_S), Load(stage.bench.url).running() as load:
        try:
            action, runner = await stage.mine.begun(request, first=partial(_hangs_from_the_first, stage, phase))
        except BackendError as error:
            if error.kind != "timeout":
                raise
            took, weights = time.monotonic() - began, await stage.bench.weights()
            if phase != "planning":
                raise TooLate(f"{told}: planning alone took {took:.1f} s") from None
        else:
            assert phase != "planning", f"{told}: it began"
            began = time.monotonic()
            await _steered(stage, phase, mood, action, runner)
            action = await _ended_or_held(stage, action, runner)
            took = time.monotonic() - began
            told = f"{told}: {action.status} after {took:.1f} s: {action.error}"
            held = action.open
            if held:
                assert phase in ("verify", "preflight", "safe point"), told
                action = await _taken_back(stage, action)
            status, weights = action.status, await stage.bench.weights()
    nothing_lost(load, told)
    if status == "succeeded":
        assert phase in ("verify", "safe point", "stage"), told
        assert weights["green"] == 100, told
        raise TooLate(f"{told}: it was over before its phase could hang")
    assert status in ("aborted", "rolled_back", "not begun"), f"{told}: {status}"
    assert weights == ALL_BLUE, f"{told}: {status}: {weights}"
    within(took, timeout_s + MARGIN_S, told)
    rescue = "rollback" if held else "timeout"
    return Outcome(f"hang {phase}", rescue, status, load.asked, 0, time.monotonic() - began)


async def dead(stage: Stage, chance: random.Random) -> Outcome:
    """The side that gains traffic goes down for good in verify, in the bake or in a stage: the other has it back in
    five seconds, and no request is lost before or after that."""
    phase = await _phase(stage, chance, DEATHS)
    await stage.cleared()
    began = time.monotonic()
    request = stage.release(strategy="gradual" if phase == "stage" else "blue-green")
    async with asyncio.timeout(ROUND_S), Load(stage.bench.url).running() as load:
        action, runner = await stage.mine.begun(request)
        if phase == "stage":
            await stage.has("green", 50, runner.is_over)
        else:
            await stage.begun("smoke", runner.is_over)
            await _lagging(stage, runner)
        if phase == "bake":  # its second smoke test keeps it from passing before the death is seen
            stage.forget("begun-smoke")
            stage.touch("hang-smoke")
            stage.bench.relay.mood = "passes"
            await stage.begun("smoke", runner.is_over)
        at = time.monotonic()
        await stage.bench.fail("green")
        down = time.monotonic()
        gone = await stage.has("blue", 100, runner.is_over)
        took = time.monotonic() - down
        await runner.wait()
        over = time.monotonic()
        action = await stage.mine.gate.action(str(action.id))
        told = f"GREEN died in {phase}: {action.status} after {took:.1f} s: {action.error}"
        await asyncio.sleep(SLACK_S)
        weights = await stage.bench.weights()
    assert action.status == "rolled_back", told
    assert gone or runner.is_over(), told
    assert weights == ALL_BLUE, f"{told}: {weights}"
    stray = [each for each, (begun, ended) in zip(load.lost, load.lost_at, strict=True) if ended <= at or begun >= over]
    assert not stray, f"{told}: lost {stray[:3]}"
    last = max((begun for begun, _ in load.lost_at), default=down)
    within(took, LEFT_S + MARGIN_S, told)
    within(last - down - took, SLACK_S, f"{told}: lost after it was left")
    return Outcome(f"dead in {phase}", "guard", action.status, load.asked, len(load.lost), time.monotonic() - began)


async def _phase(stage: Stage, chance: random.Random, phases: tuple[str, ...]) -> str:
    """One that this switch has."""
    phase = chance.choice(phases)
    if (phase == "deploy" and not stage.bench.deploys_by_command) or (phase == "stage" and not await stage.splits()):
        return "verify"
    return phase


def _hangs_from_the_first(stage: Stage, phase: str) -> None:
    if phase == "preflight":
        stage.bench.relay.mood = "hangs"


async def _steered(stage: Stage, phase: str, mood: str, action: Action, runner: Process) -> None:
    """The phase hangs from now on."""
    if phase in COMMANDS:
        await stage.begun(phase, runner.is_over)
        stage.forget(f"hang-{phase}")  # what puts the old version back must not hang, too
    elif phase == "safe point":
        await _order(stage, action, "pause")
    elif phase == "stage":
        if await stage.has("green", 50, runner.is_over):
            await _order(stage, action, "pause")
    elif phase == "verify":
        await _lagging(stage, runner)
        stage.bench.relay.mood = "hangs" if mood == "hangs" else "lags"


async def _lagging(stage: Stage, runner: Process) -> None:
    """Fresh requests go on to find the old side after the write: it can not be proven."""
    while (await stage.bench.weights())["green"] != 100 and runner.code is None:
        stage.bench.relay.mood = "lags" if "shift" in stage.mine.reached() else "passes"
        await asyncio.sleep(0.01)
    stage.bench.relay.mood = "lags"


async def _ended_or_held(stage: Stage, action: Action, runner: Process) -> Action:
    """As it is at its end, or once it stands at its deadline because evidence is missing. What goes back does so while
    nothing can be proven: traffic first."""
    while not runner.is_over():
        action = await stage.mine.gate.action(str(action.id))
        if action.status == "paused" and action.error and "out of time" in action.error.message:
            return action
        if action.status == "rolling_back" and await stage.has("blue", 100, runner.is_over):
            stage.bench.relay.mood = "passes"
        await asyncio.sleep(0.1)
    return await stage.mine.gate.action(str(action.id))


async def _taken_back(stage: Stage, action: Action) -> Action:
    """By hand, while nothing can be proven still: traffic goes first."""
    back = asyncio.create_task(_raced(stage.mine.ordered(action, "rollback"), stage, action))
    if await stage.has("blue", 100, back.done):
        stage.bench.relay.mood = "passes"
    return await back


async def _raced(ordered: Awaitable[Action], stage: Stage, action: Action) -> Action:
    try:
        return await ordered
    except Refused as no:  # it has ended meanwhile
        if no.exit_code not in (3, 6):
            raise
        return await stage.mine.gate.action(str(action.id))


async def _order(stage: Stage, action: Action, word: str) -> None:
    order = Request(kind=action.kind, service=action.service, ref=str(action.id), order=word)

    async def given() -> Action:
        return await stage.mine.gate.submit(await stage.mine.gate.plan(order), YES)

    await _raced(given(), stage, action)
