"""`teal deploy release`, `flip` and `rollback` behind a load balancer that really routes, under load, by the command
line."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.alb import LAG_S, Bench, alb_bench
from tests.live.moto import KEYS
from tests.live.teal import CommandLine
from tests.load import Load
from tests.two_colors import TwoColors

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("aws")]
RPS = 30.0
SEEN_S = 0.5  # between two reads of the rules by the data plane, and what it takes


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with alb_bench(tmp_path_factory.mktemp("aws")) as found:
        yield found


@pytest.fixture
async def colors(tmp_path: Path, bench: Bench) -> AsyncIterator[TwoColors]:
    async with bench.service(tmp_path) as service:
        await asyncio.to_thread(bench.reset)
        yield service


def teal_of(bench: Bench, colors: TwoColors, *, rules: int = 2, **more: Any) -> CommandLine:
    commands = {key: value for key, value in colors.config().items() if key in ("deploy", "retire")}
    given = {"bake": "1s", **commands, **more}
    return CommandLine(colors.directory, {"type": "alb", **bench.entry(colors, rules=rules, **given)}, KEYS)


async def test_a_release_and_its_rollback_lose_no_request(
    bench: Bench, colors: TwoColors, capsys: pytest.CaptureFixture[str]
) -> None:
    teal = teal_of(bench, colors, smoke=["true"])
    async with contextlib.AsyncExitStack() as loads:
        load = [await loads.enter_async_context(Load(f"{url}/health", RPS)) for url in bench.urls]
        released = await teal.action("deploy", "release", "analytics", "--version", "2.5.0", "-y", "--reason", "go")
        assert (released["exit"], released["status"]) == (0, "succeeded"), released
        assert (bench.live(), colors.version("green"), colors.version("blue")) == ({"green"}, "2.5.0", "2.4.0")
        assert released["switch"]["errors"] == 0
        pressed = time.monotonic()
        back = await teal.action("deploy", "rollback", "analytics", "-y", "--reason", "slow")
        took = time.monotonic() - pressed
        assert (back["exit"], back["status"], back["changed"]) == (0, "succeeded", True), back
        assert bench.live() == {"blue"}
        await asyncio.sleep(0.5)
    assert [gone for one in load for gone in one.lost] == []
    assert back["switch"]["last_old_s"] <= 2.0 + LAG_S + SEEN_S
    with capsys.disabled():
        seen = sum(len(one.seen) for one in load)
        print(f"\nalb: release and rollback under {RPS * len(load):g} requests/s: {seen} requests, 0 lost", end="; ")
        print(f"last answer of the old side {back['switch']['last_old_s']} s after the write began", end=", ")
        print(f"the command took {took:.2f} s", end=" ")
    code, _, complaints = await teal.run("audit", "verify")
    assert code == 0, complaints
