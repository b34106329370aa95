"""A controller whose orders run commands: they are recorded with the action before they begin, go on behind the order,
and are ended by whoever takes over an order that nobody saw the end of."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actions.journal.command_events import left_in
from backends.commands import run_bounded
from backends.ports import ControllerState, Order
from backends.processes import fate
from tests.actions.controlling.desk import PROBED, RELEASE, Desk, at_desk
from tests.actions.fake_controller import FakeController
from tests.actions.fake_switch import Killed


class Commanding(FakeController):
    """Each order runs a command that lasts; `dies`: whoever gives it is killed right after it has begun."""

    def __init__(self, begun: Path) -> None:
        super().__init__()
        self.begun = begun
        self.running = list[asyncio.Task[object]]()
        self.dies = False

    async def order(self, expected: ControllerState, order: Order, *, stamp: str) -> ControllerState:
        command = ["/bin/sh", "-c", f"touch {self.begun}; sleep 60"]
        self.running.append(asyncio.create_task(run_bounded(command, Path("/"), timeout_s=60.0)))
        while not self.begun.exists():
            await asyncio.sleep(0.01)
        if self.dies:
            self.dies = False
            raise Killed
        return await super().order(expected, order, stamp=stamp)

    async def stop(self) -> None:
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)


async def left(desk: Desk, ident: str) -> list[str]:
    """What became of the commands that are not recorded as over."""
    found = left_in(await desk.journal.history(ident))
    return [fate(each.command) for each in found]


@pytest.fixture
async def controller(tmp_path: Path) -> AsyncIterator[Commanding]:
    controller = Commanding(tmp_path / "begun")
    yield controller
    await controller.stop()


@pytest.fixture
async def desk(tmp_path: Path, controller: Commanding) -> AsyncIterator[Desk]:
    async with at_desk(tmp_path, PROBED, controller) as at:
        yield at


async def test_a_command_of_an_order_is_recorded_and_goes_on_behind_it(desk: Desk, controller: Commanding) -> None:
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    assert await left(desk, action.id or "") == ["here"]
    await controller.stop()
    assert await left(desk, action.id or "") == []


async def test_who_takes_over_an_order_that_nobody_saw_the_end_of_ends_its_command_first(
    desk: Desk, controller: Commanding
) -> None:
    controller.dies = True
    action = await desk.begin(RELEASE)
    async with asyncio.timeout(10):
        await asyncio.gather(*desk.runners)
    (first,) = left_in(await desk.journal.history(action.id or ""))
    assert fate(first.command) == "here"
    action = await desk.order(action, "resume")
    await desk.until(action, lambda seen: seen.phase == "follow")
    assert fate(first.command) == "gone"
    assert await left(desk, action.id or "") == ["here"]  # of the order that was given again
    assert len(controller.running) == 2
