"""Where a round of chaos is played: a bench, and two journals that know nothing of each other."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actions.models import Action, Request
from tests.chaos.harness import Bench, Chaos, Load

MARGIN_S = 4.0
"""What a machine of two cores that plays all switches at once adds to a promise that is measured in seconds."""
SEEN_S = 2.0
ALL_BLUE = {"blue": 100, "green": 0}
ENDED = ("succeeded", "rolled_back", "aborted")


class Stage:
    """`mine` is the journal that a round begins with, `theirs` that of somebody else."""

    def __init__(self, bench: Bench, directory: Path) -> None:
        self.bench = bench
        self.mine = Chaos(bench, directory / "journal")
        self.theirs = Chaos(bench, directory / "another")
        self._instants: dict[str, int] = {}
        self._releases = 0

    async def aclose(self) -> None:
        """Close both."""
        await self.mine.aclose()
        await self.theirs.aclose()

    async def cleared(self) -> None:
        """As on the first day."""
        self.bench.relay.mood = "passes"
        for what in ("hang", "slow", "begun"):
            for path in self.bench.directory.glob(f"{what}-*"):
                path.unlink()
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

    async def splits(self) -> bool:
        """Whether the switch can give each side a share."""
        return bool((await self.bench.targets.switch(self.bench.service)).adapter.can_split)

    async def request(self, chance: random.Random) -> Request:
        """A flip or a release, now and then in stages where the switch can split."""
        strategy = "gradual" if await self.splits() and chance.random() < 0.1 else "blue-green"
        if chance.random() < 0.3:
            return Request(kind="flip", service=self.bench.service, strategy=strategy)
        return self.release(strategy=strategy)

    def touch(self, name: str) -> None:
        """Steer a command: `slow-smoke`, `hang-deploy`."""
        (self.bench.directory / name).touch()

    def forget(self, name: str) -> None:
        """It works as ever, or is not known to have begun."""
        (self.bench.directory / name).unlink(missing_ok=True)

    async def begun(self, what: str, unless: Callable[[], bool]) -> None:
        """Wait until that command works, or `unless`."""
        began = (self.bench.directory / f"begun-{what}").exists
        await until(lambda: began() or unless())

    async def has(self, color: str, share: int, unless: Callable[[], bool]) -> bool:
        """Wait until `color` has that share of traffic; False where `unless` comes first."""
        while not unless():
            if (await self.bench.weights())[color] == share:
                return True
            await asyncio.sleep(0.02)
        return False


async def until(condition: Callable[[], bool]) -> None:
    """Raises TimeoutError after a minute."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


def nothing_lost(load: Load, told: str) -> None:
    """Raises AssertionError."""
    assert load.lost == [], f"{told}: lost {load.lost[:3]}"


def one_has_all(weights: dict[str, int], told: str) -> None:
    """Raises AssertionError."""
    assert sorted(weights.values()) == [0, 100], f"{told}: {weights}"


async def settled(chaos: Chaos, action: Action, told: str) -> Action:
    """An action that is open is ended as a person would: taken back, and given up where it is not its own any more."""
    if not action.open:
        assert action.status in ENDED, f"{told}: {action.status} {action.error}"
        return action
    if action.status not in ("conflict", "in_doubt"):
        action = await chaos.rescued(action, "rollback")
    if action.open:
        assert action.status in ("conflict", "in_doubt"), f"{told}: {action.status} {action.error}"
        action = await chaos.ordered(action, "abandon")
    assert action.status != "rollback_failed", f"{told}: {action.error}"
    return action
