"""What an order to a controller would do: observed now, nothing written."""

from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from actions.controlling.smoking import smoke_values
from actions.expected import ControlExpected
from actions.facts import Facts, driven, hash_of, shortened
from actions.guards import Policy, context_findings, with_overrides
from actions.ids import now
from actions.journal.journal import Journal
from actions.kinds import kind_of
from actions.models import ActionError, Finding, Plan, PlanSummary, Refused, Request
from actions.orphans import held_by
from actions.switching.conditions import conditions
from actions.switching.release_plan import must_be_a_version, window_findings
from actions.switching.smoke import smoke_lines
from actions.switching.switch_plan import SELF_TEST_PROBES, agreed_entry, block
from actions.targets import ControllerTarget
from backends.command_line import command
from backends.deployments.common import ProbeResult
from backends.deployments.controlled import heeded_by, unheeded
from backends.models import OrderName
from backends.ports import ControllerState, Operation, Order, read_stamp
from backends.ports.controllers import MIGRATES
from backends.text import short_id
from backends.together import together

_OF_ACTIONS: frozenset[OrderName] = frozenset({"promote", "pause", "resume"})
"""Orders that an open action takes too, by the same word."""
UNPROVEN, ORDER, UNHEEDED = "unproven", "order", "unheeded"


class ControlFacts(Facts, frozen=True, kw_only=True, omit_defaults=True):
    """What an order to a controller is agreed to with. `operation` is what it is about, `pause` where that waits;
    `revision` where a rollback goes; `entry` as for a move of traffic; `how`: what it skips."""

    order: str = ""
    version: str = ""
    operation: str = ""
    pause: str = ""
    revision: str = ""
    entry: str = ""
    how: str = ""


class Ordering(Struct, frozen=True, kw_only=True):
    """What would be ordered: from one version to another. `home`: the revision that the way back goes to; `undoes`,
    `queued_to` and `already` as of a move of traffic."""

    order: Order
    from_: str
    to: str
    home: str = ""
    already: bool = False
    undoes: str = ""
    queued_to: str = ""
    findings: tuple[Finding, ...] = ()


async def plan_release(request: Request, policy: Policy, journal: Journal, target: ControllerTarget) -> Plan:
    """`request.version` put out by the controller. Raises Refused for what can not be meant, and (6) while a change of
    somebody else is under way."""
    must_be_a_version(request.version)
    if request.strategy:
        message = f"{target.entry.type} has stages of its own: --strategy is not for it"
        raise Refused(2, ActionError(kind="usage", message=message, fix="without --strategy"))
    state = await target.adapter.observe()
    findings = await open_action(policy, journal, request.service)
    if not findings and state.open is not None:
        raise _locked(request.service, state.open)
    stable = state.view.stable
    order = Order(order="release", version=request.version)
    ordering = Ordering(
        order=order, from_=stable.words if stable else "", to=request.version, home=stable.id if stable else ""
    )
    if stable is not None and stable.version == request.version and not findings:
        done = Finding(level="ok", code="already", text=f"{request.version} is stable and has all traffic already")
        return make_plan(request, policy, target, state, replace(ordering, already=True), [done])
    findings += refused(state, "release")
    if problem := unheeded(target.settings, target.entry.type, heeded=heeded_by(target.adapter)):
        findings.append(block(UNHEEDED, problem, "as it says, in the entry of the deployment"))
    if not findings:
        own, proof = await together(target.adapter.preflight(state, order), self_test(target, state, forward=True))
        versions = {"stable": ordering.from_, "candidate": request.version}
        findings += [*own, *proof, *await conditions(target, request, "stable", "candidate", 100, versions)]
    return make_plan(request, policy, target, state, ordering, findings)


async def plan_steer(
    word: OrderName, request: Request, policy: Policy, journal: Journal, target: ControllerTarget
) -> Plan:
    """One order to what is under way, whoever began it."""
    state = await target.adapter.observe()
    its_own, how = word if word in _OF_ACTIONS else "show", request.strategy
    findings = refused(state, word, how) or await open_action(policy, journal, request.service, its_own)
    operation, view = state.newest, state.view
    order = Order(order=word, operation=operation.id if operation else "", how=how)
    to = view.candidate or view.stable
    ordering = Ordering(order=order, from_=view.stable.words if view.stable else "", to=to.words if to else "")
    if not findings:
        findings += await target.adapter.preflight(state, order)
        findings += await window_findings(policy, journal, request.service, target) if word == "retire" else []
    return make_plan(request, policy, target, state, ordering, findings)


async def refuse_flip(request: Request, policy: Policy, journal: Journal, target: ControllerTarget) -> Plan:
    """Raises Refused (3): there are no sides to flip."""
    words = f"the traffic of {request.service} is moved by {target.entry.type} itself: there is nothing to flip"
    fix = f"{command('deploy release', request.service)} puts a version out, promote goes on, rollback goes back"
    raise Refused(3, ActionError(kind="refused", message=words, fix=fix))


async def open_action(policy: Policy, journal: Journal, service: str, word: str = "show") -> list[Finding]:
    """That an action of ours is open on it, which takes these orders itself: `teal action WORD ID`."""
    occupied = await journal.open_action(policy.context, service)
    if occupied is None:
        return []
    return [block("open-action", *held_by(occupied, journal.location, policy.zone, word))]


def refused(state: ControllerState, word: OrderName, how: str = "") -> list[Finding]:
    """Why the controller does not take an order now, with what it has instead."""
    why = state.view.offer(word).refuses(how)
    return [block(ORDER, f"{word}: {why}", "")] if why else []


def _locked(service: str, operation: Operation) -> Refused:
    ours = read_stamp(operation.stamp).action
    who = operation.by or (f"the action {ours}" if ours else "somebody")
    words = f"{service}: {operation.name} of {who} is under way, to {operation.target.words}: {operation.detail}"
    fix = operation.ask or f"wait until it has ended, or {command('deploy abort', service)}"
    return Refused(6, ActionError(kind="held", message=words, fix=fix))


async def self_test(target: ControllerTarget, state: ControllerState, *, forward: bool) -> list[Finding]:
    """Whether fresh requests prove which version is live now. Without a probe nothing will be proven, and is said."""
    if target.settings.probe is None:
        text = f"no probe: the end will be what {target.entry.type} says, and no fresh request proves it"
        fix = "add `probe` with `version_header` or `version_json` to the deployment"
        return [Finding(level="warning", code=UNPROVEN, text=text, fix=fix)]
    known = (state.view.stable, state.view.candidate)
    wanted = {each.version for each in known if each is not None and each.version}
    seen = await together(*(target.probe() for _ in range(SELF_TEST_PROBES)))
    problem = next((why for each in seen if each is not None and (why := _problem(each, wanted))), "")
    if not problem:
        words = " or ".join(sorted(wanted))
        return [Finding(level="ok", code="probe", text=f"a fresh request proves {words} now")]
    fix = "see that the probe's URL answers with the version that runs"
    level = Finding(level="block", code="probe", text=problem, fix=fix, overridable=True)
    return [level if forward else Finding(level="warning", code="probe", text=problem, fix=fix)]


def _problem(seen: ProbeResult, wanted: set[str]) -> str:
    if seen.color is None:
        return f"the probe can not prove what is live: {seen.error}"
    if wanted and seen.color not in wanted:
        return f"a fresh request says {seen.color}, and the controller {' or '.join(sorted(wanted))}"
    return ""


def make_plan(
    request: Request,
    policy: Policy,
    target: ControllerTarget,
    state: ControllerState,
    ordering: Ordering,
    findings: list[Finding],
) -> Plan:
    """The plan of `ordering`."""
    kind, at, order, to = kind_of(request.kind), now(), ordering.order, ordering.to
    skips = order.how if order.order == "promote" else ""
    effects: tuple[str, ...] = ()
    if not ordering.already and not any(each.code == ORDER for each in findings):
        effects = tuple(target.adapter.describe_order(state, order))
        if order.order == "release":
            values = smoke_values(request.service, to, target.entry.config.get("preview", ""))
            effects = (*effects, *smoke_lines(target, values))
    if ordering.queued_to:
        effects = (*effects, f"order  the open action {short_id(ordering.queued_to)} takes itself back")
    all_findings = [*ordering.findings, *findings]
    if not ordering.already:
        all_findings += [*context_findings(policy, kind.guard_class, at), *policy.notes]
    agreed = hash_of(_facts(request, policy, target, state, ordering))
    return Plan(
        kind=request.kind, context=policy.context, service=request.service,
        guard_class="3" if any(each.code == MIGRATES for each in findings) else kind.guard_class,
        protected=policy.protected, from_=ordering.from_, to=to,
        findings=with_overrides(all_findings, request.overrides),
        summary=PlanSummary(
            effects=effects,
            preconditions=() if ordering.already else _preconditions(target, state),
            undo=command("deploy rollback", request.service) if kind.forward and not ordering.already else "",
        ),
        hash=shortened(agreed), full_hash=agreed, made_at=at, already=ordering.already,
        expected=ControlExpected(
            weights={ordering.from_: 100} if ordering.from_ else {}, to_weights={to: 100} if to else {},
            versions={version: version for version in (ordering.from_, to) if version},
            revision=state.revision, order=order.order, home=ordering.home or order.revision,
            operation=state.newest.id if state.newest else "",
            undoes=ordering.undoes, queued_to=ordering.queued_to,
        ),
        target=target.entry.kept(), request=request,
        needs_reason=f"`--{skips}` skips what {target.entry.type} would judge" if skips else "",
    )  # fmt: skip


def _facts(
    request: Request, policy: Policy, target: ControllerTarget, state: ControllerState, ordering: Ordering
) -> ControlFacts:
    """The same whoever carries it out: this action, or the open one that it is ordered of."""
    order, open_ = ordering.order, state.open
    return ControlFacts(
        kind=request.kind, context=policy.context, service=request.service, from_=ordering.from_, to=ordering.to,
        target=driven(target.entry), order=order.order, version=order.version,
        operation=order.operation, revision=order.revision,
        pause=open_.pause.id if order.order == "promote" and open_ is not None and open_.pause is not None else "",
        entry=agreed_entry(request, target.entry), how=order.how,
    )  # fmt: skip


def _preconditions(target: ControllerTarget, state: ControllerState) -> tuple[str, ...]:
    return (f"{target.entry.type} still says {state.view.phase}, unchanged since it was read",)


PROMOTE, RETRY, PAUSE, RESUME, RESTART, RETIRE = (
    partial(plan_steer, word) for word in ("promote", "retry", "pause", "resume", "restart", "retire")
)
