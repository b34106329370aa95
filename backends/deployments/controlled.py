"""What all adapters of controllers share: their sides as a panel shows them, their offers, the way back, the probe."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import get_args

from msgspec.structs import replace

from backends.deployments.common import DeploymentConfig, fresh_version, live_color
from backends.errors import BackendError
from backends.models import ColorState, Deployment, OrderName, OrderOffer, RollbackOffer, Truth, TruthLayer
from backends.ports import ControllerState, Operation, Order
from backends.settings import Duration

SEEN_WITHIN_S = 10.0
ACTED_S = 15.0
"""After this long without an effect nobody knows whether one comes."""
LOOK_S = 0.3
REST = {"stable": 100, "candidate": 0}
_UNHEEDED = {
    "deploy": "it puts versions out itself", "retire": "it takes the old tasks down itself",
    "stages": "it moves the traffic in stages of its own", "health": "its sides have no address of their own",
    "exposition": "its sides have no address of their own",
    "smoke": "its candidate has no address here before it gets traffic: test it in a hook of the service",
    "env": "it runs no command of the entry",
}  # fmt: skip
_OF_GATES = ("stage_time", "bake")
_DEFAULTS = DeploymentConfig()


def unheeded(config: DeploymentConfig, mover: str, *, heeded: Collection[str] = ()) -> str:
    """What of an entry does nothing where `mover` moves the traffic itself, and what to do; empty where all counts.
    `heeded`: the keys that its adapter knows what to do with in spite of that (`heeded_by`)."""
    idle = [key for key in _UNHEEDED if key not in heeded and getattr(config, key) != getattr(_DEFAULTS, key)]
    told = [f"{key} ({_UNHEEDED[key]})" for key in idle]
    if not config.gates and not config.presets:
        idle = [key for key in _OF_GATES if getattr(config, key) != getattr(_DEFAULTS, key)]
        told += [f"{key} (only gates are judged for that long, and there are none)" for key in idle]
    return f"{mover} moves the traffic itself; leave out {', '.join(told)}" if told else ""


def heeded_by(adapter: object) -> Collection[str]:
    """The keys of an entry that commands need, where the adapter of a controller runs some: its `heeds`."""
    return getattr(adapter, "heeds", ())


def offers(
    why_not: Mapping[OrderName, str], forms: Mapping[OrderName, tuple[str, ...]] | None = None
) -> tuple[OrderOffer, ...]:
    """One for each order there is, from the reasons why it is not taken (empty: it is; missing: the system has none).
    `forms`: the explicit ones."""
    told = {name: why_not.get(name, f"it has no {name}") for name in get_args(OrderName)}
    return tuple(
        OrderOffer(order=name, allowed=not why, why=why, forms=(forms or {}).get(name, ()))
        for name, why in told.items()
    )


def about(order: Order, state: ControllerState) -> tuple[str, ...]:
    """What must still be so when `order` is given: of what begins a change all, of what ends or steers one only what
    it is about, since stages go on by themselves."""
    open_ = state.open
    if order.order in ("release", "rollback"):
        return (state.revision,)
    pause = open_.pause if open_ is not None else None
    steers = order.order in ("promote", "retire")
    return (open_.id if open_ else "", pause.id if pause is not None and steers else "")


def refuse_untaken(order: Order, expected: ControllerState, now: ControllerState, where: str) -> None:
    """Raises BackendError: `conflict` where what the order is about has changed since `expected`, `config` where the
    system does not take it."""
    if about(order, now) != about(order, expected):
        raise BackendError("conflict", f"{where}: it has changed: {now.view.message}")
    if why := now.view.offer(order.order).refuses(order.how):
        raise BackendError("config", f"{order.order}: {why}")


async def shown(
    observe: Callable[[], Awaitable[ControllerState]], holds: Callable[[ControllerState], bool], unseen: str
) -> ControllerState:
    """The state as soon as it `holds` what was ordered. Raises BackendError(timeout), in the words `unseen`."""

    async def look() -> tuple[ControllerState, str]:
        state = await observe()
        return state, "" if holds(state) else unseen

    state, left = await _looked(look, SEEN_WITHIN_S)
    if left:
        raise BackendError("timeout", left)
    return state


async def acted_on(look: Callable[[], Awaitable[tuple[ControllerState, str]]]) -> ControllerState:
    """The state once the system has acted on an order that it took: `look` says what of it shows no effect yet, empty
    for nothing. After `ACTED_S` as it is, and `unanswered`: nobody knows then whether it comes. Raises as `look`."""
    state, left = await _looked(look, ACTED_S)
    return replace(state, unanswered=f"{left}, for {ACTED_S:g} s: is its controller running?") if left else state


async def _looked(
    look: Callable[[], Awaitable[tuple[ControllerState, str]]], within_s: float
) -> tuple[ControllerState, str]:
    until = time.monotonic() + within_s
    while True:
        state, left = await look()
        if not left or time.monotonic() >= until:
            return state, left
        await asyncio.sleep(LOOK_S)


def shares_of(state: ControllerState) -> dict[str, int]:
    """Percent by side, as the system says; empty where it does not."""
    if state.open is not None:
        return state.open.shares
    return REST if state.view.phase != "unknown" and state.view.stable else {}


def live_side(state: ControllerState) -> str:
    """The side that has all traffic, as the system says; `mixed` and `unknown` as of a switch."""
    taking = [side for side, share in shares_of(state).items() if share > 0]
    return taking[0] if len(taking) == 1 else "mixed" if taking else "unknown"


async def version_layer(state: ControllerState, config: DeploymentConfig) -> TruthLayer:
    """Which side has the version that one fresh request says. Never raises."""
    at = datetime.now(UTC)
    if config.probe is None:
        return TruthLayer(value="unknown", detail="no probe in the config", at=at)
    seen = await fresh_version(config.probe, float(config.probe_timeout))
    at = datetime.now(UTC)
    if seen.color is None:
        return TruthLayer(value="unknown", detail=seen.error, at=at)
    detail = f"a fresh request says {seen.color}, in {seen.seconds * 1000:.0f} ms"
    for side, revision in (("stable", state.view.stable), ("candidate", state.view.candidate)):
        if revision is not None and revision.version == seen.color:
            return TruthLayer(value=side, detail=detail, at=at)
    return TruthLayer(value="unknown", detail=f"{detail}: neither the stable version nor the candidate", at=at)


def deployment_of(
    name: str,
    state: ControllerState,
    where: str,
    *,
    endpoints: TruthLayer,
    data: TruthLayer,
    sides: Mapping[str, ColorState],
) -> Deployment:
    """The service as a panel shows it. `where`: what says what is live, in words; `sides`: what is known of each,
    besides version and share."""
    said = f"{where}: {state.view.message}"
    control = TruthLayer(value=live_side(state), detail=said, at=datetime.now(UTC))
    truth = Truth(control=control, endpoints=endpoints, data=data)
    shares, shown = shares_of(state), {}
    for side, revision in (("stable", state.view.stable), ("candidate", state.view.candidate)):
        if revision is not None:
            known = sides.get(side, ColorState())
            weight = float(shares[side]) if side in shares else None
            shown[side] = replace(known, version=revision.version, weight_pct=weight)
    return Deployment(
        ref=f"{name}/{name}", backend=name, service=name, live=live_color(truth), colors=shown, truth=truth,
        controller=state.view, rollback=way_back(state),
    )  # fmt: skip


def way_back(state: ControllerState) -> RollbackOffer:
    """Where a rollback would go now: what is under way is stopped; after that it is a new change, and not instant."""
    operation, before = state.open, state.before
    if operation is not None and (operation.back or state.returned):
        return RollbackOffer(to=None, ready=False, reason=f"on its way back already: {operation.detail}")
    if operation is not None:
        to = operation.source.words if operation.source else None
        if why := _refused(state, "abort"):
            return RollbackOffer(to=to, ready=False, reason=why)
        return RollbackOffer(to=to, ready=to is not None, instant=to is not None, reason="what is under way is stopped")
    newest = state.newest
    if newest is not None and newest.still_wanted and newest.source is not None:
        words = f"{newest.target.words} went back and is still wanted: that is put right, and no traffic moves"
        return RollbackOffer(to=newest.source.words, ready=True, instant=True, reason=words)
    if state.returned or (state.newest is not None and state.newest.state == "rolled_back"):
        return RollbackOffer(to=None, ready=False, reason="back already: the newest change went back")
    if before is None:
        return RollbackOffer(to=None, ready=False, reason="no version is known that was stable before")
    if why := _refused(state, "rollback"):
        return RollbackOffer(to=before.words, ready=False, reason=why)
    if state.at_once:
        return RollbackOffer(to=before.words, ready=True, instant=True, reason=state.at_once)
    return RollbackOffer(
        to=before.words, ready=True, reason=f"not instant: a new change, with its stages{took(state.newest)}"
    )


def _refused(state: ControllerState, word: OrderName) -> str:
    """Why the system does not take that order; empty where it does, or says nothing of it."""
    return next((offer.why for offer in state.view.orders if offer.order == word), "")


def goes_back(history: Sequence[str], came_from: str, to: str) -> bool:
    """Whether a change is a way back: `to` was there before `came_from` came for the first time. `history`: the ids of
    the revisions that were stable, the oldest first. What was left and comes again goes forward, however often."""
    return to in history and came_from in history and history.index(to) < history.index(came_from)


def took(operation: Operation | None) -> str:
    """`; the last one took 12m`; empty where that is not known."""
    if operation is None or not operation.took_s:
        return ""
    return f"; the last one took {Duration(max(1, round(operation.took_s)))}"
