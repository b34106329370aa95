"""A controller in memory that can be wrong in the ways that real ones are, for tests of what drives it."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from msgspec.structs import replace

from actions.described import Described
from actions.targets import ControllerTarget
from backends.deployments.common import ProbeResult
from backends.errors import BackendError
from backends.models import (
    ColorState,
    ControllerView,
    Deployment,
    Finding,
    OrderName,
    OrderOffer,
    Revision,
    Truth,
    TruthLayer,
)
from backends.ports import ControllerState, Operation, Order, Pause
from tests.actions.fake_switch import Killed

NONE_HERE = "there is no pause here: a hook of the service pauses it"


class FakeController:
    """`fault` is taken by the next order: `lost`, `refused`, `killed before`, `killed after`, `external`. A release
    stands still in each of `waits` until `go` (or promote); what ends it by itself is in `end_with`. `deaf`: what it is
    told is taken and shows no effect, in these words. `wants`: an abort leaves it told to run what it took back.
    `preview`: where the candidate answers while it waits without traffic."""

    order_settles_s = 0.3
    heeds: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.serial = itertools.count(2)
        self.changes = 1
        self.history = [Operation(id="op-1", state="succeeded", target=self._revision("1.0"), took_s=61.0)]
        self.stable, self.past = "1.0", list[str]()
        self.candidate, self.share = "", 0
        self.stage, self.pause, self.back, self.arrived = "", "", False, False
        self.ordered: list[tuple[str, str]] = []
        self.fault, self.lying = "", ""
        self.foreign = False
        self.until = datetime.now(UTC)
        self.unreadable = ""
        self.deaf, self.wants = "", False
        self.preview = ""

    @property
    def object_id(self) -> str:
        return "fake"

    # ---- what the system does by itself

    def begin(self, version: str, *, stamp: str = "", by: str = "") -> None:
        newest = f"op-{next(self.serial)}"
        self.history.append(
            Operation(
                id=newest, state="open", target=self._revision(version), source=self._revision(self.stable),
                stamp=stamp, by=by, detail="SCALE_UP", began_at=datetime.now(UTC),
            )
        )  # fmt: skip
        self.candidate, self.share, self.stage, self.back = version, 0, "SCALE_UP", False
        self.changes += 1

    def shift(self, share: int) -> None:
        self.share, self.stage, self.pause = share, "PRODUCTION_TRAFFIC_SHIFT", ""
        self.changes += 1

    def arrive(self) -> None:
        """All traffic is there, and the old tasks stay."""
        self.share, self.stage, self.pause, self.arrived = 100, "TERMINATION_WAIT", "", True
        self.changes += 1

    def wait(self) -> None:
        self.pause = f"hook-{self.changes}"
        self.until = datetime.now(UTC) + timedelta(minutes=30, seconds=self.changes)
        self.changes += 1

    def complete(self) -> None:
        self.past.append(self.stable)
        self.stable, self.share, self.pause = self.candidate, 0, ""
        self._close("succeeded", "completed")

    def stop(self, why: str) -> None:
        """Ended where it is."""
        shares = {"stable": 100 - self.share, "candidate": self.share}
        self._close("stopped", why)
        self.history[-1] = replace(self.history[-1], shares=shares)

    def go_back(self, why: str) -> None:
        self.share, self.pause = 0, ""
        self._close("rolled_back", why)

    def _close(self, state: Any, detail: str) -> None:
        wanted = self.wants and state == "rolled_back"
        self.history[-1] = replace(self.history[-1], state=state, detail=detail, took_s=42.0, still_wanted=wanted)
        self.candidate, self.stage, self.changes = "", "", self.changes + 1
        self.arrived = False

    def _revision(self, version: str) -> Revision:
        return Revision(id=f"rev-{version}", version=version)

    # ---- the port

    async def observe(self) -> ControllerState:
        newest = await self.operation(self.history[-1].id)
        phase: Any = "healthy"
        if newest.open:
            phase = "rolling_back" if self.back else "paused" if self.pause else "progressing"
        pause = newest.pause
        view = ControllerView(
            type="fake", phase=phase, message=newest.detail, stage=self.stage,
            paused_until=pause.until if pause else None, then=pause.then_words if pause else "",
            stable=self._revision(self.stable),
            candidate=self._revision(self.candidate) if self.candidate else None, orders=tuple(self._offers(newest)),
        )  # fmt: skip
        before = self._revision(self.past[-1]) if self.past else None
        before = newest.source if newest.left else before
        returned = not newest.open and newest.target.version in self.past
        return ControllerState(
            view=view, revision=str(self.changes), newest=newest, before=before, returned=returned,
            unanswered=self.deaf,
        )  # fmt: skip

    def _offers(self, newest: Operation) -> Any:
        under_way = newest.open and not self.back
        why: dict[str, str] = {
            "release": f"{newest.id} is under way" if newest.open else "",
            "promote": "" if self.pause else "it waits for nobody",
            "abort": "" if under_way else "nothing is under way",
            "rollback": "" if self.past or newest.left or newest.still_wanted else "no version was stable before",
            "pause": NONE_HERE, "resume": NONE_HERE, "restart": NONE_HERE, "retry": "release it again",
            "retire": "it does so itself",
        }  # fmt: skip
        for name in get_args(OrderName):
            yield OrderOffer(order=name, allowed=not why[name], why=why[name])

    async def operation(self, operation: str) -> Operation:
        if self.unreadable:
            raise BackendError("unreachable", self.unreadable)
        found = next((each for each in self.history if each.id == operation), None)
        if found is None:
            raise BackendError("not_found", operation)
        if not found.open:
            return found
        pause = None
        if self.pause:
            pause = Pause(id=self.pause, why="POST_SCALE_UP", until=self.until, then="promote", preview=self.preview)
        shares = {"stable": 100 - self.share, "candidate": self.share}
        return replace(
            found, pause=pause, back=self.back, shares=shares, stage=self.stage, detail=self.stage, arrived=self.arrived
        )  # fmt: skip

    async def preflight(self, expected: ControllerState, order: Order) -> list[Finding]:
        if " " in order.version:
            return [Finding(level="block", code="version", text=f'"{order.version}" is no version', fix="2.4.1")]
        return []

    async def order(self, expected: ControllerState, order: Order, *, stamp: str) -> ControllerState:
        fault, self.fault = self.fault, ""
        if fault == "killed before":
            raise Killed
        if fault == "refused":
            raise BackendError("unreachable", "refused")
        if fault == "external":
            self.begin("9.9", by="mallory")
        if str(self.changes) != expected.revision:
            raise BackendError("conflict", "it is not as expected", fix="look again")
        offer = expected.view.offer(order.order)
        if not offer.allowed:
            raise BackendError("config", offer.why)
        self.ordered.append((order.order, order.version or order.revision))
        self._take(order, stamp)
        if fault == "killed after":
            raise Killed
        if fault == "lost":
            raise BackendError("timeout", "no answer")
        return await self.observe()

    def _take(self, order: Order, stamp: str) -> None:
        if order.order in ("release", "rollback"):
            self.begin(order.version or order.revision.removeprefix("rev-"), stamp=stamp)
        elif order.order == "promote":
            self.pause = ""
        elif order.order == "abort":
            self.go_back("stopped by the user")
        else:
            raise BackendError("config", NONE_HERE)
        self.changes += 1

    async def deployment(self) -> Deployment:
        layer = TruthLayer(value="stable", at=datetime.now(UTC))
        return Deployment(
            ref="svc/svc", backend="svc", service="svc", live="stable",
            colors={"stable": ColorState(version=self.stable, healthy=True, weight_pct=100)},
            truth=Truth(control=layer, endpoints=layer, data=layer), controller=(await self.observe()).view,
        )  # fmt: skip

    def describe_order(self, expected: ControllerState, order: Order) -> list[str]:
        return [f"{order.order:9}{order.version or order.revision or order.operation}"]

    def manual_commands(self, order: Order) -> list[str]:
        return [f"fake {order.order} {order.revision or order.operation}"]

    async def probe(self) -> ProbeResult:
        version = self.lying or (self.candidate if self.share == 100 else self.stable)
        return ProbeResult(color=version, at=asyncio.get_running_loop().time())

    async def aclose(self) -> None:
        """Nothing is held open."""


class ControllerTargets:
    """`Targets` with the one service `svc`, which has a controller."""

    def __init__(self, controller: FakeController, config: dict[str, Any]) -> None:
        self._controller, self._config = controller, config

    async def controller(self, service: str) -> ControllerTarget | None:
        root = Path("/")
        entry = Described(
            port="deployments", type="fake", name="svc", config=self._config, base_dir=root, state_dir=root,
            moves="fake",
        )  # fmt: skip
        return ControllerTarget(self._controller, entry)

    async def switch(self, service: str) -> Any:
        raise BackendError("config", "it has a controller")

    async def pipelines(self, backend: str) -> Any:
        raise BackendError("not_found", backend)

    async def incidents(self, backend: str) -> Any:
        return None

    async def silencer(self, backend: str) -> Any:
        raise BackendError("not_found", backend)
