"""What a release and a retirement would do: observed now, nothing written."""

import re
from typing import Any

from msgspec.structs import replace

from actions.deadlines import left_of
from actions.expected import SwitchExpected
from actions.facts import Facts, driven, hash_of, shortened
from actions.guards import Policy
from actions.journal.journal import Journal
from actions.models import ActionError, Finding, Plan, PlanSummary, Refused, Request
from actions.switching.changes import newest_change
from actions.switching.conditions import conditions, without_production
from actions.switching.smoke import smoke_lines, template_values
from actions.switching.switch_plan import (
    CAPACITY,
    Move,
    block,
    full,
    in_the_way,
    live_unknown,
    make_plan,
    probe_self_test,
    shares_of,
    staged,
)
from actions.switching.versions import on_sides
from actions.switching.written_anew import as_the_journal_knows
from actions.targets import ServiceTarget, SwitchTarget
from backends.ports import SwitchState, retire_findings, retire_lines
from backends.settings import Duration
from backends.text import clean, first_line
from backends.together import together

_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")


class RetireFacts(Facts, frozen=True, kw_only=True, omit_defaults=True):
    """What a retirement is agreed to with. `runs`: what runs on the side; `entry` as for a move."""

    weights: dict[str, int]
    runs: str = ""
    down: bool = False
    entry: str = ""


async def plan_release(request: Request, policy: Policy, journal: Journal, target: SwitchTarget) -> Plan:
    """`request.version` onto the idle color, then the traffic there. Raises Refused for what can not be meant."""
    must_be_a_version(request.version)
    adapter, settings = target.adapter, target.settings
    state = await as_the_journal_knows(await adapter.observe(), journal, policy.context, request.service)
    findings = await in_the_way(policy, journal, target, state)
    if state.live not in settings.colors:
        findings.append(_no_idle_side(state))
        return make_plan(request, policy, target, Move(state=state, to=""), findings)
    to, problems = _idle(request, target, state)
    stages, unsplit = shares_of(request, target, state)
    live = await adapter.color_health(state.live)
    if live.version == request.version and state.weights == full(settings, state.live):
        text = f"{state.live.upper()} runs {request.version} and has all traffic already"
        done = Finding(level="ok", code="already", text=text)
        return make_plan(request, policy, target, Move(state=state, to=state.live, already=True), [*findings, done])
    findings += [*problems, *unsplit]
    deployer = adapter.deployer
    if deployer is None:
        fix = "add `deploy` to the deployment in the config, or deploy by hand and `teal deploy flip`"
        findings.append(block("no-deployer", f"nothing puts a version on a side of {request.service}", fix))
    if not to or deployer is None:
        return make_plan(request, policy, target, Move(state=state, to=to, stages=stages), findings)
    probe, own, ready = await together(
        probe_self_test(target, state.live),
        adapter.preflight(state, staged(settings, state.live, to, stages[0])),
        deployer.deploy_preflight(to, request.version),
    )
    now_there = await deployer.deployed(to)
    sides = await on_sides(target, state.live, to, request.version)
    found = await conditions(target, request, state.live, to, stages[0], sides.versions)
    findings += [probe, *ready, *(one for one in own if one.code != CAPACITY), *found, *_gates_note(target)]
    lines = [f"deploy   {now_there.version or 'nothing'} → {request.version} on {to.upper()}"]
    lines += deployer.describe_deploy(to, request.version)
    lines += smoke_lines(target, template_values(target, request.service, to, request.version))
    replaces = now_there.version or now_there.artifact
    move = Move(state=state, to=to, stages=stages, deploys=tuple(lines), replaces=replaces, sides=sides)
    return make_plan(request, policy, target, move, without_production(findings))


def must_be_a_version(version: str) -> None:
    """Raises Refused (2) for what no system would take for one."""
    if not _VERSION.fullmatch(version):
        message = f'"{clean(version, 64)}" is no version: letters, digits and _ . + - (at most 128)'
        raise Refused(2, ActionError(kind="usage", message=message, fix="--version 2.4.1"))


async def plan_retire(request: Request, policy: Policy, journal: Journal, target: SwitchTarget) -> Plan:
    """The side that has no traffic taken down to nothing, once nobody will want to go back to it."""
    adapter, settings = target.adapter, target.settings
    state = await as_the_journal_knows(await adapter.observe(), journal, policy.context, request.service)
    findings = await in_the_way(policy, journal, target, state)
    if state.live not in settings.colors:
        findings.append(_no_idle_side(state))
        return make_plan(request, policy, target, Move(state=state, to=""), findings)
    to, problems = _idle(request, target, state)
    findings += problems
    deployer = adapter.deployer
    if deployer is None:
        findings.append(block("no-deployer", f"nothing takes a side of {request.service} down", "do it by hand"))
        return make_plan(request, policy, target, Move(state=state, to=to), findings)
    found = await deployer.deployed(to)
    already = found.desired == 0
    if not already:
        findings += [
            await probe_self_test(target, state.live),
            *await window_findings(policy, journal, request.service, target),
        ]
        findings += await retire_findings(deployer, to)
    plan = make_plan(request, policy, target, Move(state=state, to=to, already=already), findings)
    what = found.version or found.artifact or "what runs there"
    effect = f"retire   {to.upper()} ({what}): {found.desired if found.desired is not None else '?'} → 0"
    summary = PlanSummary(
        effects=() if already else (effect, *retire_lines(deployer, to)),
        preconditions=(f"{to.upper()} takes no traffic when it is written",),
        undo="",  # a rollback brings the side up again, and then moves the traffic there
    )
    agreed = hash_of(
        RetireFacts(
            kind=request.kind, context=policy.context, service=request.service, to=to, target=driven(target.entry),
            weights=state.weights, runs=found.version or found.artifact or "", down=already,
            entry=target.entry.digest,
        )
    )  # fmt: skip
    expected = replace(plan.expecting(SwitchExpected), stages=())
    return replace(plan, summary=summary, expected=expected, hash=shortened(agreed), full_hash=agreed)


async def window_findings(policy: Policy, journal: Journal, service: str, target: ServiceTarget[Any]) -> list[Finding]:
    """That a rollback is still likely: what it would go back to is not taken down."""
    change = await newest_change(journal, policy.context, service)
    if change is None or change.at is None or (change.back and not change.failed):
        return []
    left_s = left_of(float(target.settings.rollback_window), change.at)
    if left_s <= 0:
        return []
    text = f"the rollback window is open for another {Duration(max(1, round(left_s)))}: a rollback would be slow"
    return [Finding(level="block", code="rollback-window", text=text, fix="wait until it is over", overridable=True)]


def _idle(request: Request, target: SwitchTarget, state: SwitchState) -> tuple[str, list[Finding]]:
    colors = target.settings.colors
    if request.to and request.to.lower() not in colors:
        message = f'{request.service} has no color "{clean(request.to, 64)}"'
        raise Refused(5, ActionError(kind="not_found", message=message, fix=f"known: {', '.join(colors)}"))
    others = [request.to.lower()] if request.to else [color for color in colors if color != state.live]
    if len(others) != 1:
        return "", [block("to", "several other colors could take it", "say which: --to COLOR")]
    if state.weights.get(others[0]):
        text = f"{others[0].upper()} takes traffic: nothing is deployed or taken down there"
        return others[0], [block("takes-traffic", text, "the other color")]
    return others[0], []


def _no_idle_side(state: SwitchState) -> Finding:
    if state.live == "mixed":
        text = first_line(state.detail) if state.armed else "traffic is split now: no side is idle"
        return block("mixed", text, "finish that first, or flip with --to COLOR")
    return live_unknown(state)


def _gates_note(target: SwitchTarget) -> list[Finding]:
    """A release that only health and smoke test look at is worth a word."""
    settings = target.settings
    if settings.smoke or settings.gates or settings.presets:
        return []
    text = "no smoke test and no gates: only health is looked at"
    return [Finding(level="warning", code="no-smoke", text=text, fix="add `smoke` or `presets` to the deployment")]
