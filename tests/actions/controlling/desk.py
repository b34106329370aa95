"""A gate over one controller in memory, whose runners are tasks of the test, which a fault may kill."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC
from pathlib import Path
from typing import Any
from unittest import mock

from actions import targets
from actions.controlling import baking, following, giving, machine
from actions.gate import Gate
from actions.guards import Policy
from actions.journal.journal import Journal
from actions.journal.location import journal_location
from actions.models import Action, Actor, Consent, Request
from actions.runner import run_action
from actions.switching import probing
from tests.actions.fake_controller import ControllerTargets, FakeController
from tests.actions.fake_switch import Killed
from tests.actions.said_once import must_say_it_once

YES = Consent(confirmed=True, reason="a test")
PROBED = {"probe": {"url": "http://127.0.0.1:1/", "version_header": "X-Version"}}
RELEASE = Request(kind="release", service="svc", version="2.0")
ROLLBACK = Request(kind="rollback", service="svc")
QUICK = (
    (following, "LOOK_S", 0.01), (baking, "LOOK_S", 0.01), (probing, "RATE_PER_S", 2000.0), (machine, "VERIFY_S", 1.0),
    (machine, "AGAIN_S", 0.01), (giving, "LOOK_S", 0.02),
)  # fmt: skip


class Desk:
    """A gate over one controller; runners of this process, which a fault may kill."""

    def __init__(self, directory: Path, config: dict[str, Any], controller: FakeController | None = None) -> None:
        self.controller = controller or FakeController()
        self.journal = Journal(journal_location(None, {"TEAL_STATE_DIR": str(directory)}))
        given: Any = ControllerTargets(self.controller, config)
        self.gate = Gate(Policy(context="c", zone=UTC), self.journal, given, Actor(login="alice"), self._launch)
        self.runners: list[asyncio.Task[None]] = []

    async def _launch(self, action_id: str, digest: str) -> None:
        self.runners.append(asyncio.create_task(self._run(action_id, digest)))

    async def _run(self, action_id: str, digest: str) -> None:
        async def build(_: Any) -> FakeController:
            return self.controller

        with contextlib.suppress(Killed):
            await run_action(action_id, self.journal, build, self.gate.own, digest=digest)

    async def begin(self, request: Request) -> Action:
        return await self.gate.submit(await self.gate.plan(request), YES)

    async def order(self, action: Action, word: Any) -> Action:
        return await self.begin(Request(kind=action.kind, service="svc", ref=action.id or "", order=word))

    async def ended(self, action: Action) -> Action:
        async with asyncio.timeout(20):
            async for seen in self.gate.watch(action.id or ""):
                action = seen
        must_say_it_once(action)
        return action

    async def until(self, action: Action, holds: Callable[[Action], bool]) -> Action:
        async with asyncio.timeout(20):
            while not holds(found := await self.gate.action(action.id or "")):
                await asyncio.sleep(0.01)
        return found


@contextlib.asynccontextmanager
async def at_desk(
    directory: Path, config: dict[str, Any], controller: FakeController | None = None
) -> AsyncIterator[Desk]:
    at = Desk(directory, config, controller)
    with contextlib.ExitStack() as patches:
        for module, name, value in QUICK:
            patches.enter_context(mock.patch.object(module, name, value))
        if config.get("probe"):
            probe = mock.patch.object(targets.ControllerTarget, "probe", side_effect=at.controller.probe)
            patches.enter_context(probe)
        try:
            yield at
        finally:
            for runner in at.runners:
                runner.cancel()
            await asyncio.gather(*at.runners, return_exceptions=True)
            await at.journal.aclose()


async def released(desk: Desk) -> Action:
    """A release that the controller brings to its end."""
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.shift(100)
    desk.controller.complete()
    return await desk.ended(action)
