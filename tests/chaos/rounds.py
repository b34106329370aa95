"""What chaos does to a service, one kind of fault a function. Each begins from a service as on its first day, raises
AssertionError where a promise is broken, and leaves no action open."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from actions.models import Action, OrderWord, Refused, Request
from tests.chaos.benches import SLOW_S, TIMEOUT_S
from tests.chaos.harness import RESCUES, YES, Bench, Chaos, Load, Outcome, Round
from tests.chaos.runners import Runners

ROUND_S = 60.0
MARGIN_S = 6.0
"""What a busy machine of two cores adds to a promise that is measured in seconds."""
SEEN_S = 2.0
ALL_BLUE = {"blue": 100, "green": 0}
ENDINGS: tuple[OrderWord, ...] = ("abort", "rollback")


class Stage:
    """A bench with two journals: `mine`, and `theirs`, of somebody who knows nothing of it."""

    def __init__(self, bench: Bench, directory: Path) -> None:
        self._runners = Runners()
        self.bench = bench
        self.mine = Chaos(bench, directory / "journal", self._runners)
        self.theirs = Chaos(bench, directory / "another", self._runners)
        self._instants: dict[str, int] = {}
        self._releases = 0

    async def aclose(self) -> None:
        """Close both, and what forks the runners."""
        await self.mine.aclose()
        await self.theirs.aclose()
        await self._runners.aclose()

    async def cleared(self) -> None:
        """As on the first day."""
        self.bench.relay.mood = "passes"
        for path in self.bench.directory.glob("*-deploy"), self.bench.directory.glob("*-smoke"):
            for each in path:
                each.unlink()
        await self.bench.reset()

    async def instants(self, request: Request) -> int:
        """How many there are in an undisturbed run."""
        if request.strategy + request.kind not in self._instants:
            await self.cleared()
            first = self.release(strategy=request.strategy) if request.version else request
            self._instants[request.strategy + request.kind] = len(await self.mine.instants(first))
        return self._instants[request.strategy + request.kind]

    def release(self, traits: str = "", **more: Any) -> Request:
        """Of a version that nobody has judged yet."""
        self._releases += 1
        return Request(kind="release", service=self.bench.service, version=f"2.5.{self._releases}{traits}", **more)

    async def request(self, chance: random.Random) -> Request:
        """A flip or a release, now and then in stages where the switch can split."""
        splits = (await self.bench.targets.switch(self.bench.service)).adapter.splits
        strategy = "gradual" if splits and chance.random() < 0.1 else "blue-green"
        if chance.random() < 0.3:
            return Request(kind="flip", service=self.bench.service, strategy=strategy)
        return self.release(strategy=strategy)


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


async def two_journals(stage: Stage, chance: random.Random) -> Outcome:
    """The runner of one journal is killed somewhere, or lives; somebody with another journal goes on with the service.
    Forward is refused while the first has not ended, and with an override the loser writes nothing more."""
    request = await stage.request(chance)
    instant = chance.randint(1, await stage.instants(request)) if chance.random() < 0.6 else 0
    await stage.cleared()
    began = time.monotonic()
    async with asyncio.timeout(ROUND_S), Load(stage.bench.url).running() as load:
        mine, runner = await stage.mine.begun(request, instant)
        if instant:
            await runner.wait()
        else:
            await asyncio.sleep(chance.random() * 2)
        theirs = await _another(stage, chance)
        if theirs is not None:
            theirs = await stage.theirs.ended(theirs)
        await runner.wait()
        mine = await stage.mine.gate.action(str(mine.id))
        told = f"{mine.kind} killed at {instant}, {mine.status}; theirs {theirs.status if theirs else 'refused'}"
        mine = await _settled(stage.mine, mine, told)
        if theirs is not None:
            theirs = await _settled(stage.theirs, theirs, told)
        weights = await stage.bench.weights()
    assert sorted(weights.values()) == [0, 100], f"{told}: {weights}"
    assert load.lost == [], f"{told}: lost {load.lost[:3]}"
    for journal in (stage.mine, stage.theirs):
        assert (await journal.gate.verify_audit()).intact
    return Outcome(f"instant {instant}", "another", mine.status, load.asked, 0, time.monotonic() - began)


async def _another(stage: Stage, chance: random.Random) -> Action | None:
    """What a console with the other journal does; None where it may not."""
    gate = stage.theirs.gate
    live = max(weights := await stage.bench.weights(), key=lambda color: weights[color])
    to = "green" if live == "blue" else "blue"
    overrides = ("other-journal", "mixed") if chance.random() < 0.5 else ()
    flip = Request(kind="flip", service=stage.bench.service, to=to, overrides=overrides)
    plan = await gate.plan(flip)
    blocked = [finding.code for finding in plan.findings if finding.level == "block"]
    if blocked:
        try:
            refused = await gate.submit(plan, YES)
        except Refused:
            return None
        raise AssertionError(f"{blocked} stood against it, and it began: {refused}")
    try:
        return await gate.submit(plan, YES)
    except Refused as no:
        if no.exit_code not in (3, 6):
            raise AssertionError(f"refused with {no.exit_code}: {no}") from no
        return None


async def _settled(chaos: Chaos, action: Action, told: str) -> Action:
    """An action that is open is ended as a person would: taken back, and given up where it is not its own any more."""
    if not action.open:
        assert action.status in ("succeeded", "rolled_back", "aborted"), f"{told}: {action.error}"
        return action
    if action.status not in ("conflict", "in_doubt"):
        action = await chaos.rescued(action, "rollback")
    if action.open:
        assert action.status in ("conflict", "in_doubt"), f"{told}: {action.status} {action.error}"
        action = await chaos.ordered(action, "abandon")
    assert action.status != "rollback_failed", f"{told}: {action.error}"
    return action


async def orphaned_command(stage: Stage, chance: random.Random) -> Outcome:
    """The runner dies while its command works. Whoever takes over ends the command first, so nothing comes late."""
    deploys = stage.bench.name != "kubernetes"
    what = "deploy" if deploys and chance.random() < 0.7 else "smoke"
    rescue = chance.choice(RESCUES)
    await stage.cleared()
    directory = stage.bench.directory
    (directory / f"slow-{what}").touch()
    began = time.monotonic()
    before = await stage.bench.version("green")
    async with asyncio.timeout(ROUND_S), Load(stage.bench.url).running() as load:
        request = stage.release()
        action, runner = await stage.mine.begun(request)
        await _until((directory / f"begun-{what}").exists)
        (directory / f"slow-{what}").unlink()
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
    assert load.lost == [], f"{told}: lost {load.lost[:3]}"
    return Outcome(f"command {what}", rescue, action.status, load.asked, 0, time.monotonic() - began)


async def hang(stage: Stage, chance: random.Random) -> Outcome:
    """One phase never ends: `--timeout` is the end of it. Traffic that has not moved stays, what has moved goes back,
    and what is at 100 percent without evidence is held."""
    deploys = stage.bench.name != "kubernetes"
    phase = chance.choice(["deploy", "smoke", "health", "verify", "safe point"][0 if deploys else 1 :])
    await stage.cleared()
    directory, began = stage.bench.directory, time.monotonic()
    request = stage.release("-sick" if phase == "health" else "", timeout_s=TIMEOUT_S + 1)
    if phase in ("deploy", "smoke"):
        (directory / f"hang-{phase}").touch()
    async with asyncio.timeout(ROUND_S), Load(stage.bench.url).running() as load:
        action, runner = await stage.mine.begun(request)
        if phase in ("deploy", "smoke"):
            await _until((directory / f"begun-{phase}").exists)
            (directory / f"hang-{phase}").unlink()  # what puts the old version back must not hang, too
        if phase == "safe point":
            pause = Request(kind=action.kind, service=action.service, ref=str(action.id), order="pause")
            await stage.mine.gate.submit(await stage.mine.gate.plan(pause), YES)
        if phase == "verify":
            while (await stage.bench.weights())["green"] != 100 and runner.code is None:
                stage.bench.relay.mood = "lags" if "shift" in stage.mine.reached() else "passes"
                await asyncio.sleep(0.01)
            stage.bench.relay.mood = "lags"
        await runner.wait()
        action = await stage.mine.gate.action(str(action.id))
        took = time.monotonic() - began
        told = f"{phase} hung, --timeout {request.timeout_s:g}: {action.status} after {took:.1f} s: {action.error}"
        stage.bench.relay.mood = "passes"
        held = action.open
        if held:
            assert phase in ("verify", "safe point"), told
            action = await stage.mine.rescued(action, "rollback")
        weights = await stage.bench.weights()
    assert took < request.timeout_s + MARGIN_S, told  # type: ignore[operator]
    if action.status == "succeeded":  # it was over before its phase could hang
        assert phase in ("verify", "safe point"), told
        assert weights["green"] == 100, told
    else:
        assert action.status in ("aborted", "rolled_back"), told
        assert weights == ALL_BLUE, f"{told}: {weights}"
    assert load.lost == [], f"{told}: lost {load.lost[:3]}"
    return Outcome(f"hang {phase}", "timeout", action.status, load.asked, 0, time.monotonic() - began)


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
        if action.open:
            assert action.status == "conflict", told
            assert took < SEEN_S + MARGIN_S, told
            action = await stage.mine.ordered(action, "abandon")
        assert await stage.bench.weights() == weights, told
    if action.status == "abandoned" or not lived:
        assert weights[to] == 100, f"{told}: {weights}"
    assert sorted(weights.values()) == [0, 100], f"{told}: {weights}"
    assert load.lost == [], f"{told}: lost {load.lost[:3]}"
    return Outcome(f"edit to {to}", "abandon", action.status, load.asked, 0, time.monotonic() - began)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


FAULTS = (
    Fault("killed", 50, killed),
    Fault("two journals", 15, two_journals),
    Fault("orphaned command", 12, orphaned_command),
    Fault("hang", 12, hang),
    Fault("edited", 11, edited),
)


async def play(stage: Stage, number: int, seed: int) -> tuple[Fault, Outcome]:
    """Round `number` of a seed; raises AssertionError or TimeoutError for a promise that was broken."""
    chance = random.Random(f"{seed}/{number}")
    (fault,) = chance.choices(FAULTS, [fault.of_100 for fault in FAULTS])
    try:
        return fault, await fault.play(stage, chance)
    except (AssertionError, TimeoutError) as error:
        raise AssertionError(f"{fault.name}: {type(error).__name__} {error}") from error
