"""An action that hangs in a phase of one's choice: a switch in memory, a real journal, a runner beside the test."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any
from unittest import mock

from msgspec.structs import replace

from actions import beside, targets
from actions.gate import Gate
from actions.guards import Policy
from actions.journal.audit import AuditEntry
from actions.journal.journal import Journal
from actions.journal.location import journal_location
from actions.models import Action, Actor, Consent, OrderWord, Request
from actions.runner import run_action
from actions.switching import machine as switching
from actions.switching import probing, proof, verifying, way_back
from backends.deployments.common import ProbeResult
from backends.models import ColorState, Finding
from backends.ports import Deployed, SwitchState
from tests.actions.fake_switch import COLORS, FakeDeployer, FakeSwitch, FakeTargets

YES = Consent(confirmed=True, reason="a test")
FOREVER_S = 600.0
QUICK: tuple[tuple[Any, str, float], ...] = (
    (probing, "RATE_PER_S", 500.0),
    (probing, "FIRST_ANSWER_S", 0.05),
    (proof, "SHARE_PROBES", 10),
    (verifying, "TELL_S", 0.1),
    (verifying, "AGAIN_S", 0.05),
    (switching, "VERIFY_S", FOREVER_S),
    (way_back, "VERIFY_S", 1.0),
    (switching, "HEALTH_AGAIN_S", 0.05),
    (beside, "WRITE_S", 0.3),
)


class HangingSwitch(FakeSwitch):
    """`at` is what never answers, from the moment on that its runner has started: `preflight`, `deploy` or `shift`.
    `hidden`: nobody can see how GREEN is."""

    def __init__(self) -> None:
        super().__init__()
        self.at = ""
        self.hidden = False
        self.hung = asyncio.Event()
        self._turns = itertools.cycle(COLORS)

    @property
    def deployer(self) -> "HangingDeployer":
        return HangingDeployer(self)

    async def hang(self, where: str) -> None:
        if self.at == where:
            self.hung.set()
            await asyncio.sleep(FOREVER_S)

    async def probe(self) -> ProbeResult:
        """By turns, so that each side gets its share of a split."""
        turn = next(self._turns)
        if self.lying is None and 0 < self.weights["green"] < 100:
            return ProbeResult(color=turn, at=asyncio.get_running_loop().time())
        return await super().probe()

    async def preflight(self, expected: SwitchState, weights: dict[str, int]) -> list[Finding]:
        await self.hang("preflight")
        return []

    async def color_health(self, color: str) -> ColorState:
        seen = await super().color_health(color)
        return replace(seen, healthy=None, detail="nobody could look") if self.hidden and color == "green" else seen

    async def shift(
        self, expected: SwitchState, weights: dict[str, int], *, stamp: str, **more: Any
    ) -> SwitchState:  # fmt: skip
        if not stamp.endswith("back"):
            await self.hang("shift")
        return await super().shift(expected, weights, stamp=stamp, **more)


class HangingDeployer(FakeDeployer):
    def __init__(self, switch: HangingSwitch) -> None:
        super().__init__(switch)
        self._hanging = switch

    async def deploy(self, expected: Deployed, color: str, version: str, **more: Any) -> Deployed:
        await self._hanging.hang("deploy")
        return await super().deploy(expected, color, version, **more)


class Bench:
    """`async with Bench(tmp_path)`: `begin` a release or a flip, and bring it into a phase."""

    def __init__(self, directory: Path, **config: Any) -> None:
        self.directory = directory
        self.switch = HangingSwitch()
        self.config: dict[str, Any] = {
            "probe": {"url": "http://127.0.0.1:1/"}, "health": dict.fromkeys(COLORS, "http://127.0.0.1:1/"),
            "bake": "100ms", "stages": {"half": [50, 100]}, "stage_time": "100ms", **config,
        }  # fmt: skip
        self.journal = Journal(journal_location(None, {"TEAL_STATE_DIR": str(directory / "state")}))
        self.gate = Gate(
            Policy(context="c", zone=UTC), self.journal, FakeTargets(self.switch, self.config),
            Actor(login="alice", host="here"), self._launch,
        )  # fmt: skip
        self.on_launch: Callable[[], None] = lambda: None
        self.runners: list[asyncio.Task[Action | None]] = []
        self._patches = contextlib.ExitStack()

    async def __aenter__(self) -> "Bench":
        for module, name, value in QUICK:
            self._patches.enter_context(mock.patch.object(module, name, value))
        self._patches.enter_context(mock.patch.object(targets.SwitchTarget, "probe", side_effect=self.switch.probe))
        # The first write makes the journal, which takes its time.
        await self.journal.audit(AuditEntry(kind="note", context="c", detail="begun"))
        return self

    async def __aexit__(self, *_: object) -> None:
        for runner in self.runners:
            runner.cancel()
        await asyncio.gather(*self.runners, return_exceptions=True)
        await self.journal.aclose()
        self._patches.close()

    async def begin(self, request: Request) -> Action:
        return await self.gate.submit(await self.gate.plan(request), YES)

    async def order(self, action: Action, word: OrderWord) -> Action:
        request = Request(kind=action.kind, service=action.service, ref=action.id or "", order=word)
        return await self.gate.submit(await self.gate.plan(request), YES)

    async def sees(self, action: Action, wanted: Callable[[Action], bool], within_s: float = 10.0) -> Action:
        """The action as soon as it is as `wanted`."""
        async with asyncio.timeout(within_s):
            while True:
                found = await self.gate.action(str(action.id))
                if wanted(found):
                    return found
                assert found.open, found
                await asyncio.sleep(0.02)

    async def _launch(self, action_id: str, _: str) -> None:
        async def build(_: Any) -> FakeSwitch:
            return self.switch

        self.on_launch()
        self.runners.append(asyncio.create_task(run_action(action_id, self.journal, build, self.gate.own)))
