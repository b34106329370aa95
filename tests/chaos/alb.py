"""A load balancer of AWS as a switch that chaos is let loose on: two listeners, so that a set may be half written."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from backends.http import Http
from tests.chaos.benches import DEPLOY, ConfiguredTargets, eventful, failed, forget_deployed, opened, revived
from tests.chaos.harness import Bench
from tests.chaos.relay import Relay
from tests.live import alb
from tests.live.kubernetes import answering
from tests.live.moto import KEYS
from tests.live.process import until
from tests.two_colors import COLORS, TwoColors


class AlbBench:
    """Rules of two listeners, over one target group a color."""

    name = "alb"
    service = "analytics"
    edited_node_by_node = True
    deploys_by_command = True

    def __init__(self, colors: TwoColors, under: alb.Bench, relay: Relay, http: Http) -> None:
        self._colors, self._under, self.relay = colors, under, relay
        self.directory = colors.directory
        self.url = f"{under.urls[0]}/health"
        shared = {key: value for key, value in colors.config().items() if key == "retire"}
        config = {**under.entry(colors, rules=2), **shared, **eventful(relay), "deploy": DEPLOY}
        config["aws"] = {**under.lab.access, **keys_in(colors.directory)}
        self.targets = ConfiguredTargets(self.name, self.service, config, colors.directory, http)

    async def reset(self) -> None:
        """As on the first day."""
        forget_deployed(self._colors.directory, self.service)
        await revived(self._colors)
        await asyncio.to_thread(self._under.reset)

    async def weights(self) -> dict[str, int]:
        """What the rules say; half of each color where they differ."""
        live = await asyncio.to_thread(self._under.live)
        return {color: 0 if color not in live else 100 if len(live) == 1 else 50 for color in COLORS}

    async def edit(self, weights: dict[str, int]) -> None:
        """By hand, one rule after the other."""
        for rule in self._under.balancer.rules:
            await asyncio.to_thread(self._under.lab.weigh, rule, self._under.balancer.groups, weights)
        live = max(weights, key=lambda color: weights[color])
        for url in self._under.urls:
            there = f"{url}/health"
            if weights[live] == 100:
                await asyncio.to_thread(until, lambda there=there: answering(there) == live, "requests follow")

    async def fail(self, color: str) -> None:
        """It refuses connections."""
        await failed(self._colors, color)

    async def version(self, color: str) -> str:
        """What it says."""
        return self._colors.version(color)


def keys_in(directory: Path) -> dict[str, dict[str, str]]:
    """References for a config: runners have an environment of their own."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        (directory / name).touch(mode=0o600)
        (directory / name).write_text(KEYS[name])
    return {"access_key_id": {"file": "AWS_ACCESS_KEY_ID"}, "secret_access_key": {"file": "AWS_SECRET_ACCESS_KEY"}}


@contextlib.asynccontextmanager
async def over_alb(under: alb.Bench, directory: Path) -> AsyncIterator[Bench]:
    """`AlbBench` in `directory`."""
    async with (
        under.service(directory) as colors,
        Relay(f"{under.urls[0]}/health") as relay,
        opened(lambda http: AlbBench(colors, under, relay, http)) as bench,
    ):
        await bench.reset()
        yield bench


@contextlib.asynccontextmanager
async def alb_bench(directory: Path) -> AsyncIterator[Bench]:
    """The same on a load balancer of its own."""
    with contextlib.ExitStack() as stack:
        under = await asyncio.to_thread(stack.enter_context, alb.alb_bench(directory))
        async with over_alb(under, directory) as bench:
            yield bench
