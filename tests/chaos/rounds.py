"""What chaos does to a service, one kind of fault a function. Each begins from a service as on its first day, raises
AssertionError where a promise is broken, and leaves no action open."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from msgspec import Struct

from actions.models import Refused
from backends.errors import BackendError
from tests.chaos.benches import SLOW_S
from tests.chaos.harness import RESCUES, ROUND_S, Load, Outcome, Round
from tests.chaos.journals import broken_journal, two_journals
from tests.chaos.lateness import TooLate, within
from tests.chaos.phases import dead, hang
from tests.chaos.stage import ALL_BLUE, MARGIN_S, SEEN_S, Stage, nothing_lost, one_has_all


class Fault(Struct, frozen=True):
    """A kind of round: how often of a hundred, and how it is played."""

    name: str
    of_100: int
    play: Callable[[Stage, random.Random], Awaitable[Outcome]]


async def killed(stage: Stage, chance: random.Random) -> Outcome:
    """kill -9 of the runner at an instant; one of the four rescues."""
    request = await stage.request(chance)
    instant = chance.randint(1, await stage.instants(request))
    await stage.cleared()
    return await stage.mine.play(Round(request, instant, chance.choice(RESCUES)))


async def orphaned_command(stage: Stage, chance: random.Random) -> Outcome:
    """The runner dies while its command works. Whoever takes over ends the command first, so nothing comes late."""
    what = "deploy" if stage.bench.deploys_by_command and chance.random() < 0.7 else "smoke"
    rescue = chance.choice(RESCUES)
    await stage.cleared()
    stage.touch(f"slow-{what}")
    began = time.monotonic()
    before = await stage.bench.version("green")
    async with asyncio.timeout(ROUND_S), Load(stage.bench.url).running() as load:
        request = stage.release()
        action, runner = await stage.mine.begun(request)
        await stage.begun(what, runner.is_over)
        stage.forget(f"slow-{what}")
        runner.kill()
        at = time.monotonic()
        await runner.wait()
        action = await stage.mine.rescued(await stage.mine.gate.action(str(action.id)), rescue)
        told = f"killed in {what}, {rescue}: {action.status} {action.error}"
        version, weights = await stage.bench.version("green"), await stage.bench.weights()
        await asyncio.sleep(max(0.0, at + SLOW_S + 0.5 - time.monotonic()))
        late = await stage.bench.version("green")
    assert not action.open, told
    assert late == version == (request.version if action.status == "succeeded" else before), (
        f"{told}: {version}, then {late}"
    )
    assert weights == await stage.bench.weights(), told
    assert weights[action.to if action.status == "succeeded" else "blue"] == 100, f"{told}: {weights}"
    nothing_lost(load, told)
    return Outcome(f"command {what}", rescue, action.status, load.asked, 0, time.monotonic() - began)


async def edited(stage: Stage, chance: random.Random) -> Outcome:
    """Somebody moves the traffic by hand at any moment. It is seen within two seconds, and nothing is written over."""
    request = await stage.request(chance)
    to = chance.choice(["blue", "green"])
    await stage.cleared()
    began = time.monotonic()
    async with asyncio.timeout(ROUND_S), Load(stage.bench.url).running() as load:
        action, runner = await stage.mine.begun(request)
        await asyncio.sleep(chance.random() * 2)
        lived = runner.code is None
        await stage.bench.edit({**dict.fromkeys(ALL_BLUE, 0), to: 100})
        at = time.monotonic()
        await runner.wait()
        took = time.monotonic() - at
        action = await stage.mine.gate.action(str(action.id))
        weights = await stage.bench.weights()
        told = f"{request.kind} edited to {to}, lived {lived}: {action.status} after {took:.1f} s {action.error}"
        left_open = action.open
        if left_open:
            assert action.status == "conflict", told
            action = await stage.mine.ordered(action, "abandon")
        assert await stage.bench.weights() == weights, told
    if action.status == "abandoned" or not lived:
        assert weights[to] == 100, f"{told}: {weights}"
    if stage.bench.edited_node_by_node and 100 not in weights.values():
        assert action.error is not None, f"{told}: {weights}"
        assert (action.error.kind, "50 %" in action.error.message) == ("conflict", True), f"{told}: {weights}"
    else:
        one_has_all(weights, told)
    nothing_lost(load, told)
    if left_open:
        within(took, SEEN_S + MARGIN_S, told)
    return Outcome(f"edit to {to}", "abandon", action.status, load.asked, 0, time.monotonic() - began)


FAULTS = (
    Fault("killed", 40, killed),
    Fault("two journals", 15, two_journals),
    Fault("orphaned command", 11, orphaned_command),
    Fault("hang", 14, hang),
    Fault("dead side", 7, dead),
    Fault("broken journal", 5, broken_journal),
    Fault("edited", 8, edited),
)


async def play(stage: Stage, number: int, seed: int) -> tuple[Fault, Outcome]:
    """Round `number` of a seed. Raises AssertionError for a promise that was broken, TooLate for one in seconds."""
    chance = random.Random(f"{seed}/{number}")
    (fault,) = chance.choices(FAULTS, [fault.of_100 for fault in FAULTS])
    try:
        return fault, await fault.play(stage, chance)
    except (AssertionError, TooLate, TimeoutError, BackendError, Refused) as error:
        told = f"{fault.name}: {type(error).__name__} {error}"
        if isinstance(error, TooLate | TimeoutError) or (isinstance(error, BackendError) and error.kind == "timeout"):
            raise TooLate(told) from error
        raise AssertionError(told) from error
