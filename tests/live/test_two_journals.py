"""Two journals with an action each on one real switch: HAProxy, nginx, a Service of Kubernetes, rules of AWS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from actions.gate import Gate
from actions.guards import Policy
from actions.journal.journal import Journal
from actions.models import Action, Actor, Consent, Request
from actions.runner import run_action
from backends.ports import SwitchState
from tests.actions.journals import here
from tests.chaos.benches import BENCHES, ConfiguredTargets, over_kubernetes
from tests.chaos.harness import Bench

pytestmark = [pytest.mark.live]

YES = Consent(confirmed=True, reason="a test")
FLIP, ROLLBACK = Request(kind="flip", service="analytics"), Request(kind="rollback", service="analytics")


class User:
    """A journal, a gate and runners of its own."""

    def __init__(self, name: str, directory: Path, targets: ConfiguredTargets) -> None:
        self.targets = targets
        self.journal = Journal(here(directory / name))
        policy = Policy(context="test", zone=UTC)
        self.gate = Gate(policy, self.journal, targets, Actor(login=name, host="bastion-1"), self._launch)
        self._runners: list[asyncio.Task[Any]] = []

    async def order(self, request: Request, status: str = "") -> Action:
        """The action when it has ended, or has that status or phase."""
        return await self.until(await self.gate.submit(await self.gate.plan(request), YES), status)

    async def until(self, action: Action, status: str = "", within_s: float = 60.0) -> Action:
        async with asyncio.timeout(within_s):
            async for seen in self.gate.watch(str(action.id)):
                action = seen
                if status in (seen.status, seen.phase):
                    break
        return action

    async def blocks(self, request: Request) -> list[str]:
        return [one.code for one in (await self.gate.plan(request)).findings if one.level == "block"]

    async def aclose(self) -> None:
        for runner in self._runners:
            runner.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)
        await self.targets.aclose()
        await self.journal.aclose()

    async def _launch(self, action_id: str, _: str) -> None:
        async def build(_: dict[str, Any]) -> Any:
            return self.targets.built()

        self._runners.append(asyncio.create_task(run_action(action_id, self.journal, build, self.gate.own)))


@pytest.fixture(
    params=[
        pytest.param("haproxy", marks=pytest.mark.xdist_group("proxies")),
        pytest.param("nginx", marks=pytest.mark.xdist_group("proxies")),
        pytest.param("kubernetes", marks=pytest.mark.xdist_group("kubernetes")),
        pytest.param("alb", marks=pytest.mark.xdist_group("aws-chaos")),
    ]
)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    over = BENCHES[request.param](tmp_path)
    if request.param == "kubernetes":
        over = over_kubernetes(request.getfixturevalue("kube"), tmp_path)
    async with over as found:
        await found.reset()
        yield found


async def over(adapter: Any) -> SwitchState:
    """The switch as soon as it says that its last action has ended: that comes right after the journal says so."""
    async with asyncio.timeout(60):
        while not (found := await adapter.observe()).ended:
            await asyncio.sleep(0.02)
    state: SwitchState = found
    return state


async def test_neither_is_in_the_way_back_of_the_other_and_the_loser_of_a_race_writes_nothing_more(
    bench: Bench, tmp_path: Path
) -> None:
    assert isinstance(bench.targets, ConfiguredTargets)
    async with AsyncExitStack() as stack:
        slow = bench.targets.having(bake="60s")
        mine, quick, theirs = (
            User(name, tmp_path, targets)
            for name, targets in (("mine", bench.targets.having()), ("quick", bench.targets.having()), ("theirs", slow))
        )
        for user in (mine, quick, theirs):
            stack.push_async_callback(user.aclose)
        adapter = (await mine.targets.switch("analytics")).adapter

        # Another journal's fence is as high as it likes.
        for request in (FLIP, ROLLBACK):
            assert (await quick.order(request)).status == "succeeded"
        found = await over(adapter)
        assert (found.fence, found.journal) == (2, await quick.journal.identity())
        assert await mine.blocks(FLIP) == []
        assert (await mine.order(FLIP)).status == "succeeded"
        assert (await adapter.observe()).fence == 1
        assert (await mine.order(ROLLBACK)).status == "succeeded"
        found = await over(adapter)
        assert (found.live, found.fence, found.journal) == ("blue", 2, await mine.journal.identity())

        # Two that begin at once.
        plans = [await user.gate.plan(FLIP) for user in (mine, quick)]
        begun = await asyncio.gather(
            *(user.gate.submit(plan, YES) for user, plan in zip((mine, quick), plans, strict=True))
        )
        ended = [await user.until(action) for user, action in zip((mine, quick), begun, strict=True)]
        assert sorted(action.status for action in ended) == ["aborted", "succeeded"]
        assert [action.error.kind for action in ended if action.error] == ["conflict"]
        assert (await over(adapter)).live == "green"

        # One has an open action, and another goes past it with a reason.
        flip = await theirs.order(FLIP, "bake")
        assert (await adapter.observe()).ended is False
        to_green = Request(kind="flip", service="analytics", to="green")
        assert await mine.blocks(to_green) == ["other-journal"]
        won = await mine.order(Request(kind="flip", service="analytics", to="green", overrides=("other-journal",)))
        assert won.status == "succeeded"
        lost = await theirs.until(flip, "conflict")
        assert lost.error is not None
        assert str(won.id) in lost.error.message
        found = await over(adapter)
        assert (found.live, found.stamp.partition(":")[0]) == ("green", won.id)
