"""kill -9 in a rollback of Helm: of its runner, of the `helm` that this runs, of both. Whoever comes next takes the
release to where it was going, with one `helm` at a time, and nobody is left behind. The program is a stand-in that
writes revisions as Helm does, through a loopback API server; both are processes of their own."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actions.described import Described
from actions.journal.command_events import left_in
from actions.models import Action, OrderWord, Request
from actions.targets import ControllerTarget
from backends.processes import Running, fate
from tests.actions.fake_controller import ControllerTargets
from tests.backends.helm_fixtures import Lab, Make, make_helm
from tests.backends.stand_in_helm import release_of
from tests.chaos.harness import YES, Chaos

__all__ = ["make_helm"]
BACK = Request(kind="rollback", service="svc")


class HelmTargets(ControllerTargets):
    """The release of a lab; its runners build adapters of their own."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        controller: Any = lab.adapter
        super().__init__(controller, lab.entry)
        self._of = lab.adapter
        self._entry = Described(
            port="deployments", type="helm", name="svc", config=lab.entry, base_dir=directory, state_dir=directory,
            moves="helm",
        )  # fmt: skip

    async def controller(self, service: str) -> ControllerTarget | None:
        return ControllerTarget(self._of, self._entry)


class Killed:
    """A release that runs 2.5.0 and goes back to 2.4.0."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        bench: Any = SimpleNamespace(service="svc", targets=HelmTargets(lab, directory))
        self.chaos = Chaos(bench, directory / "journal")

    def hold(self) -> None:
        """No `helm` comes to its end."""
        (self.lab.directory / "hold").touch()

    def let_go(self) -> None:
        (self.lab.directory / "hold").unlink(missing_ok=True)

    async def helm_at_work(self) -> Running:
        """The `helm` that makes a revision, as soon as that is pending."""
        async with asyncio.timeout(60):
            while (command := await self._command()) is None:
                await asyncio.sleep(0.02)
        return command

    async def _command(self) -> Running | None:
        marked = (await self.lab.adapter._store.mark()).mark
        pending = (await self.lab.adapter._store.revisions())[-1].pending
        return marked.command if pending and marked is not None else None

    async def follows(self, action: Action) -> None:
        """Until its order is recorded as given."""
        async with asyncio.timeout(60):
            while (await self.chaos.gate.action(str(action.id))).phase != "follow":
                await asyncio.sleep(0.02)

    async def goes_back_again(self, action: Action) -> None:
        """What was killed half way is told as a way back that failed, with the command; the next one arrives."""
        assert (action.status, action.changed) == ("rollback_failed", True), action
        assert action.error is not None
        assert "helm rollback model 1 " in action.error.fix
        again = await self.chaos.gate.submit(await self.chaos.gate.plan(BACK), YES)
        await self.is_back(await self.chaos.ended(again))

    async def is_back(self, action: Action) -> None:
        """What must be so at the end."""
        state = await self.lab.adapter.observe()
        assert action.status == "succeeded", f"{action.status} {action.error}"
        assert state.view.stable is not None
        assert (state.view.phase, state.view.stable.version) == ("healthy", "2.4.0")
        assert {tuple(call[:3]) for call in self.lab.calls()} == {("rollback", "model", "1")}
        left = left_in(await self.chaos.journal.history(str(action.id)))
        assert [fate(each.command) for each in left if fate(each.command) != "gone"] == []
        assert (await self.chaos.gate.verify_audit()).intact


@pytest.fixture
async def at(make_helm: Make, tmp_path: Path) -> AsyncIterator[Killed]:
    lab = await make_helm(release_of(1, "2.4.0", "superseded"), release_of(2, "2.5.0"))
    found = Killed(lab, tmp_path)
    yield found
    found.let_go()
    await found.chaos.aclose()


@pytest.mark.parametrize(
    ("instant", "word"),
    [
        ("before order", "resume"),
        ("after journal: command-ended rollback", "rollback"),  # of `helm version`: nothing was begun
        ("after order", "takeover"),
        ("after journal: observed rollback", "rollback"),
        ("before journal: verdict follow", "takeover"),
    ],
)
async def test_a_runner_that_is_killed_leaves_a_way_back_that_anybody_goes_on_with(
    at: Killed, instant: str, word: OrderWord
) -> None:
    action, runner = await at.chaos.begun(BACK, instant)
    assert await runner.wait() == -signal.SIGKILL
    assert at.chaos.reached() == instant
    await at.is_back(await at.chaos.rescued(await at.chaos.gate.action(str(action.id)), word))


@pytest.mark.parametrize("word", ["resume", "rollback"])
async def test_a_helm_whose_runner_is_killed_comes_to_its_end_and_is_followed_there(
    at: Killed, word: OrderWord
) -> None:
    at.hold()
    action, runner = await at.chaos.begun(BACK)
    first = await at.helm_at_work()
    await at.follows(action)
    runner.kill()
    await runner.wait()
    async with asyncio.timeout(120):
        rescue = asyncio.create_task(at.chaos.rescued(await at.chaos.gate.action(str(action.id)), word))
        await asyncio.sleep(1)
        assert fate(first) != "gone"
        at.let_go()
        await at.is_back(await rescue)
    assert len(at.lab.calls()) == 1


@pytest.mark.parametrize("word", ["resume", "rollback"])
async def test_a_helm_that_is_killed_with_its_runner_is_told_and_gone_back_from(at: Killed, word: OrderWord) -> None:
    at.hold()
    action, runner = await at.chaos.begun(BACK)
    first = await at.helm_at_work()
    await at.follows(action)
    runner.kill()
    os.killpg(first.pid, signal.SIGKILL)
    await runner.wait()
    at.let_go()
    async with asyncio.timeout(120):
        found = await at.chaos.rescued(await at.chaos.gate.action(str(action.id)), word)
        await at.goes_back_again(found)


async def test_a_helm_that_is_killed_beside_its_runner_is_told_with_the_command(at: Killed) -> None:
    at.hold()
    action, runner = await at.chaos.begun(BACK)
    os.killpg((await at.helm_at_work()).pid, signal.SIGKILL)
    at.let_go()
    await runner.wait()
    await at.goes_back_again(await at.chaos.gate.action(str(action.id)))
