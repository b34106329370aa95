"""What a flip or a rollback would do: observed now, nothing written."""

import asyncio
from datetime import timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from actions.guards import Policy, context_findings, with_overrides
from actions.ids import digest, now
from actions.journal import Journal
from actions.models import GUARD_CLASS, Action, ActionError, Finding, Plan, PlanSummary, Refused, Request
from actions.targets import SwitchTarget
from backends.deployments.common import DeploymentConfig, ProbeResult
from backends.models import ColorState
from backends.ports import SwitchState
from backends.text import clean

IDLE_PROBES = 20
SELF_TEST_PROBES = 3
UNKNOWN_TRUTH, UNHEALTHY = "truth-unknown", "target-unhealthy"
PAGE_SOMEONE = frozenset({UNKNOWN_TRUTH, UNHEALTHY})


class Move(Struct, frozen=True, kw_only=True):
    """Where traffic would go: `state` is what was observed, `undoes` the flip that a rollback takes back, `queued_to`
    the open action that would do it."""

    state: SwitchState
    to: str
    already: bool = False
    undoes: str = ""
    queued_to: str = ""
    findings: tuple[Finding, ...] = ()


async def plan_flip(request: Request, policy: Policy, journal: Journal, target: SwitchTarget) -> Plan:
    """All traffic to `request.to`, or to the other of two colors. Raises Refused for a color that is not known."""
    settings = target.settings
    state = await target.adapter.observe()
    to = _wanted_color(request, settings, state)
    findings: list[Finding] = []
    if policy.protected and not request.to:
        findings.append(_block("to", "a protected context wants the color named", f"--to {to.upper() or 'COLOR'}"))
    occupied = await journal.open_action(policy.context, request.service)
    if occupied is not None:
        findings.append(_block("open-action", held_words(occupied), f"teal action watch {occupied.id}"))
    move = Move(state=state, to=to, already=bool(to) and state.weights == full(settings, to))
    if state.live == "mixed":
        findings.append(_mixed(request, state))
    if not move.already:
        findings += await _evidence(target, move, forward=True)
    return _plan(request, policy, target, move, findings)


async def plan_rollback(request: Request, policy: Policy, journal: Journal, target: SwitchTarget) -> Plan:
    """The last flip taken back: the open one, or the newest that nothing has undone."""
    state = await target.adapter.observe()
    occupied = await journal.open_action(policy.context, request.service)
    if occupied is not None:
        move = _take_back_open(occupied, state)
    else:
        move = _take_back_last(await journal.last_switch(policy.context, request.service), state, target.settings)
    findings = list(move.findings)
    if not move.already:
        findings += await _evidence(target, move, forward=False)
    return _plan(request, policy, target, move, findings)


def full(settings: DeploymentConfig, color: str) -> dict[str, int]:
    """All traffic on `color`."""
    return {name: 100 if name == color else 0 for name in settings.colors}


def held_words(action: Action) -> str:
    """Who holds a service, with what, since when."""
    who = f"{action.actor.login}@{action.actor.host}" if action.actor else "somebody"
    since = action.started_at.strftime("%H:%M:%SZ") if action.started_at else "?"
    return (
        f"{who} has {action.kind} {action.id} open on {action.service} since {since} ({action.phase or action.status})"
    )


def _wanted_color(request: Request, settings: DeploymentConfig, state: SwitchState) -> str:
    if request.to:
        to = request.to.lower()
        if to not in settings.colors:
            message = f'{request.service} has no color "{clean(to, 64)}"'
            raise Refused(5, ActionError(kind="not_found", message=message, fix=f"known: {', '.join(settings.colors)}"))
        return to
    others = [color for color in settings.colors if color != state.live]
    return others[0] if state.live in settings.colors and len(others) == 1 else ""


def _take_back_open(occupied: Action, state: SwitchState) -> Move:
    to = occupied.from_ if occupied.kind == "flip" else occupied.to
    queued = Finding(level="ok", code="open-action", text=f"goes to {held_words(occupied)}")
    return Move(state=state, to=to, queued_to=occupied.id or "", findings=(queued,))


def _take_back_last(last: tuple[Action, str | None] | None, state: SwitchState, settings: DeploymentConfig) -> Move:
    def nothing(text: str) -> Move:
        return Move(state=state, to=state.live, already=True, findings=(Finding(level="ok", code="undone", text=text),))

    if last is None:
        return nothing("the journal knows no flip of this service: nothing to undo")
    flip, undone_by = last
    if undone_by is not None:
        return nothing(f"the last flip, {flip.id}, was undone by {undone_by}")
    if flip.from_ not in settings.colors:
        text = f"the last flip, {flip.id}, came from a split"
        block = _block("split", text, f"teal deploy flip {flip.service} --to COLOR")
        return Move(state=state, to=flip.from_, undoes=flip.id or "", findings=(block,))
    if state.weights == full(settings, flip.from_):
        return nothing(f"{flip.from_.upper()} has all traffic already")
    findings: tuple[Finding, ...] = ()
    if state.live not in (flip.to, "unknown"):
        text = f"the last flip went to {flip.to.upper()}, and now it is {state.live.upper()}: somebody changed it since"
        findings = (Finding(level="warning", code="changed-since", text=text),)
    elif flip.ended_at is not None and now() - flip.ended_at > timedelta(seconds=settings.rollback_window):
        text = f"the rollback window of {settings.rollback_window} is over: {flip.from_.upper()} may be smaller now"
        findings = (Finding(level="warning", code="rollback-window", text=text),)
    return Move(state=state, to=flip.from_, undoes=flip.id or "", findings=findings)


async def _evidence(target: SwitchTarget, move: Move, *, forward: bool) -> list[Finding]:
    """Health of where traffic would go, and whether the probe proves what is live now: no proof of the present, no
    proof of the future. A rollback only warns of the latter: the side that it leaves may be what is broken."""
    if move.state.live == "unknown":
        text = f"what is live is unknown: {move.state.detail or 'no weights'}"
        return [_block(UNKNOWN_TRUTH, text, "look at the control object, then put it right by hand")]
    if not move.to:
        return [_block("to", "there is more than one other color", "say where to: --to COLOR")]
    if move.to not in target.settings.colors:
        return []
    health, probes = await asyncio.gather(
        target.adapter.color_health(move.to), asyncio.gather(*(target.probe() for _ in range(SELF_TEST_PROBES)))
    )
    live = move.state.live
    wanted = set(target.settings.colors) if live == "mixed" else {live}
    probe = _probe_finding(live, wanted, probes)
    if probe.level == "block" and not forward:
        probe = replace(probe, level="warning")
    return [_health_finding(move.to, health), probe]


def _probe_finding(live: str, wanted: set[str], probes: list[ProbeResult | None]) -> Finding:
    wrong = [seen for seen in probes if seen is None or seen.color not in wanted]
    if not wrong:
        return Finding(level="ok", code="probe", text=f"a fresh request proves {live.upper()} now")
    if wrong[0] is None:
        fix = "add `probe` to the deployment in the config"
        return _block("probe", "no probe: a switch could not be proven", fix)
    if wrong[0].color is None:
        text = f"the probe can not prove what is live: {wrong[0].error}"
        return _block("probe", text, "see that the probe's URL answers")
    text = f"the layers disagree: control says {live.upper()}, a fresh request says {wrong[0].color.upper()}"
    return _block("layers", text, "wait until they agree, or put the control object right")


def _health_finding(color: str, health: ColorState) -> Finding:
    if health.healthy:
        version = f" {health.version}" if health.version else ""
        return Finding(level="ok", code="health", text=f"{color.upper()}{version} is healthy")
    word = "is not known to be healthy" if health.healthy is None else "is unhealthy"
    return _block(UNHEALTHY, f"{color.upper()} {word}: {health.detail}", f"make {color.upper()} healthy first")


def _mixed(request: Request, state: SwitchState) -> Finding:
    shares = ", ".join(f"{color.upper()} {weight} %" for color, weight in state.weights.items())
    if request.to:
        return Finding(level="warning", code="mixed", text=f"traffic is split now: {shares}")
    return _block("mixed", f"traffic is split now: {shares}", "say where to: --to COLOR")


def _block(code: str, text: str, fix: str) -> Finding:
    return Finding(level="block", code=code, text=text, fix=fix)


def _plan(request: Request, policy: Policy, target: SwitchTarget, move: Move, findings: list[Finding]) -> Plan:
    settings, state = target.settings, move.state
    weights = full(settings, move.to) if move.to in settings.colors else {}
    effects = () if move.already or not weights else tuple(target.adapter.describe_shift(state, weights))
    if move.queued_to:
        effects = (*effects, f"order  to {move.queued_to}, which carries it out")
    guard_class = GUARD_CLASS[request.kind]
    if not move.already:
        findings += [*context_findings(policy, guard_class, now()), *policy.notes]
    return Plan(
        kind=request.kind,
        context=policy.context,
        service=request.service,
        guard_class=guard_class,
        protected=policy.protected,
        from_=state.live,
        to=move.to,
        findings=with_overrides(findings, request.overrides),
        summary=PlanSummary(
            effects=effects,
            preconditions=() if move.already else _preconditions(request, state, move.to),
            undo="" if move.already else _undo(request, state),
        ),
        hash=_hash(request, policy, target.target, state, weights, effects),
        made_at=now(),
        already=move.already,
        expected={
            "weights": state.weights, "revision": state.revision, "stamp": state.stamp,
            "to_weights": weights, "undoes": move.undoes, "queued_to": move.queued_to,
        },
        target=target.target,
        request=request,
    )  # fmt: skip


def _hash(
    request: Request,
    policy: Policy,
    target: dict[str, Any],
    state: SwitchState,
    weights: dict[str, int],
    effects: tuple[str, ...],
) -> str:
    uid = [policy.context, target.get("type"), target.get("name")]
    what = [request.kind, request.service, state.weights, weights, uid, effects]
    return digest(what)


def _preconditions(request: Request, state: SwitchState, to: str) -> tuple[str, ...]:
    probes = IDLE_PROBES if request.kind == "flip" else SELF_TEST_PROBES
    return (
        f"the control object still says {state.live.upper()}, unchanged since it was read",
        f"{to.upper()} is healthy in {probes} of {probes} probes before traffic moves",
    )


def _undo(request: Request, state: SwitchState) -> str:
    if request.kind == "flip":
        return f"teal deploy rollback {request.service}"
    return f"teal deploy flip {request.service} --to {state.live}"
