"""A switch in memory that can be wrong in the ways that real ones are, for tests of what drives it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backends.deployments.common import ProbeResult
from backends.deployments.switch_format import refuse_older_fence
from backends.errors import BackendError
from backends.models import ColorState, Deployment, Finding, Truth, TruthLayer
from backends.ports import Deployed, Deployer, RequestCounts, Rollout, SwitchState

COLORS = ("blue", "green")


class Killed(Exception):
    """The process that runs it is gone: nothing above it may catch this."""


class FakeSwitch:
    """`fault` is taken by the next write, by name: `lost`, `refused`, `late`, `killed before`, `killed after`,
    `external`, or any that a test has put into `faults`."""

    can_split = True
    write_settles_s = 0.3

    def __init__(self) -> None:
        self.weights = {"blue": 100, "green": 0}
        self.revision, self.stamp, self.fence, self.journal, self.ended = 1, "hand", 0, "", False
        self.wrote: dict[str, int] = {}
        self.healthy = dict.fromkeys(COLORS, True)
        self.versions = {"blue": "1.0", "green": "1.1"}
        self.lying: str | None = None  # the color that every fresh request says, whoever has the traffic
        self.fault = ""
        self.faults: dict[str, Callable[[], None]] = {}
        self.unsafe: list[str] = []
        self.writes: list[tuple[dict[str, int], dict[str, int]]] = []  # of ours: the weights before and after
        self.foreign = False
        self._late: list[asyncio.Task[None]] = []

    @property
    def deployer(self) -> Deployer | None:
        return FakeDeployer(self)

    async def observe(self) -> SwitchState:
        return SwitchState(
            weights=dict(self.weights), revision=str(self.revision), stamp=self.stamp, fence=self.fence,
            journal=self.journal, wrote=self.wrote, ended=self.ended,
        )  # fmt: skip

    async def color_health(self, color: str) -> ColorState:
        healthy = self.healthy[color]
        return ColorState(version=self.versions[color], healthy=healthy, detail="healthy" if healthy else "down")

    async def endpoints(self) -> TruthLayer:
        return TruthLayer(value=(await self.observe()).live)

    async def request_counts(self) -> RequestCounts:
        return RequestCounts()

    async def preflight(self, expected: SwitchState, weights: dict[str, int]) -> list[Finding]:
        return []

    async def probe(self) -> ProbeResult:
        color = self.lying or max(COLORS, key=lambda name: self.weights[name])
        return ProbeResult(color=color, at=asyncio.get_running_loop().time())

    async def shift(
        self, expected: SwitchState, weights: dict[str, int], *, stamp: str, fence: int = 0, journal: str = ""
    ) -> SwitchState:
        fault, self.fault = self.fault, ""
        if fault in self.faults:
            self.faults[fault]()
        if fault == "killed before":
            raise Killed
        if fault == "refused":
            raise BackendError("unreachable", "refused")
        if fault == "external":
            self.write_by_hand({"blue": 0, "green": 100} if self.weights["blue"] else {"blue": 100, "green": 0})
        if fault == "late":
            self._late.append(asyncio.create_task(self._apply_late(expected, weights, stamp, fence, journal)))
            raise BackendError("timeout", "no answer")
        self._apply(expected, weights, stamp, fence, journal)
        if fault == "killed after":
            raise Killed
        if fault == "lost":
            raise BackendError("timeout", "no answer")
        return await self.observe()

    async def mark_ended(self, expected: SwitchState) -> None:
        if str(self.revision) != expected.revision or self.weights != expected.weights:
            raise BackendError("conflict", "it is not as expected")
        self.ended = True

    def write_by_hand(self, weights: dict[str, int]) -> None:
        """Somebody else writes it."""
        self.weights, self.stamp, self.foreign, self.ended = dict(weights), "somebody", True, False
        self.wrote = {}
        self.revision += 1

    async def settle(self) -> None:
        """Wait for what was to come late."""
        await asyncio.gather(*self._late, return_exceptions=True)
        self._late.clear()

    def _apply(self, expected: SwitchState, weights: dict[str, int], stamp: str, fence: int, journal: str) -> None:
        if str(self.revision) != expected.revision or self.weights != expected.weights:
            raise BackendError("conflict", "it is not as expected")
        refuse_older_fence("switch", expected, stamp, fence, journal)
        if sum(weights.values()) != 100:
            self.unsafe.append(f"{weights} do not sum to 100")
        for color, weight in weights.items():
            if weight > self.weights[color] and not self.healthy[color]:
                self.unsafe.append(f"{stamp}: traffic to {color}, which is down")
        self.writes.append((self.weights, dict(weights)))
        self.weights, self.stamp, self.fence = dict(weights), stamp, fence
        self.journal, self.wrote, self.ended = journal, dict(weights), False
        self.revision += 1

    async def _apply_late(
        self, expected: SwitchState, weights: dict[str, int], stamp: str, fence: int, journal: str
    ) -> None:
        await asyncio.sleep(0.1)
        self._apply(expected, weights, stamp, fence, journal)

    async def deployment(self) -> Deployment:
        layer = TruthLayer(value=(await self.observe()).live)
        sides = {
            color: ColorState(version=self.versions[color], healthy=self.healthy[color], weight_pct=self.weights[color])
            for color in COLORS
        }
        return Deployment(
            ref="svc/svc", backend="svc", service="svc", live=layer.value, colors=sides,
            truth=Truth(control=layer, endpoints=layer, data=layer),
        )  # fmt: skip

    def describe_shift(self, before: SwitchState, weights: dict[str, int]) -> list[str]:
        return [f"control  {before.weights} → {weights}"]

    def manual_commands(self, weights: dict[str, int]) -> list[str]:
        return [f"put {weights}"]

    async def aclose(self) -> None:
        """Nothing is held open."""


class FakeDeployer:
    """Versions in memory; one that ends in `-sick` is never healthy."""

    def __init__(self, switch: FakeSwitch) -> None:
        self._switch = switch

    async def deployed(self, color: str) -> Deployed:
        version = self._switch.versions[color]
        return Deployed(version=version, artifact=version, desired=1, ready=1, revision=version)

    async def deploy_preflight(self, color: str, version: str) -> list[Finding]:
        return []

    async def deploy(
        self, expected: Deployed, color: str, version: str, *, replicas: int | None, stamp: str, fence: int = 0
    ) -> Deployed:
        if self._switch.weights[color]:
            raise BackendError("conflict", f"{color} takes traffic")
        self._switch.versions[color] = version
        self._switch.healthy[color] = not version.endswith("-sick")
        return Deployed(version=version, artifact=version, desired=1, ready=1, revision=version, stamp=stamp)

    async def rollout(self, color: str, version: str) -> Rollout:
        return Rollout(state="complete", detail="1 of 1")

    async def restore(
        self, expected: Deployed, color: str, recorded: Deployed, *, stamp: str, fence: int = 0
    ) -> Deployed:
        return await self.deploy(expected, color, recorded.version or "", replicas=None, stamp=stamp, fence=fence)

    async def retire(self, expected: Deployed, color: str, *, stamp: str, fence: int = 0) -> Deployed:
        raise BackendError("config", "no")

    def describe_deploy(self, color: str, version: str) -> list[str]:
        return [f"deploy {version}"]

    def describe_retire(self, color: str) -> list[str]:
        return [f"retire {color}"]


class FakeTargets:
    """`Targets` with the one service `svc`."""

    def __init__(self, switch: FakeSwitch, config: dict[str, Any]) -> None:
        self._switch = switch
        self._config = config

    async def controller(self, service: str) -> Any:
        return None

    async def switch(self, service: str) -> Any:
        return FakeTarget(self._switch, self._config)

    async def pipelines(self, backend: str) -> Any:
        raise BackendError("not_found", backend)

    async def incidents(self, backend: str) -> Any:
        return None

    async def silencer(self, backend: str) -> Any:
        raise BackendError("not_found", backend)


def FakeTarget(switch: FakeSwitch, config: dict[str, Any]) -> Any:  # noqa: N802 - it makes one
    from actions.described import Described
    from actions.targets import SwitchTarget

    root = Path("/")
    entry = Described(port="deployments", type="fake", name="svc", config=config, base_dir=root, state_dir=root)
    return SwitchTarget(switch, entry)
