"""What stands against a service until somebody takes it back: a freeze, and versions that were rejected; and that one
which was found bad is meant to have the traffic.

An order of these kinds is a record in the journal and nothing else, so it is done when it is written; what holds now is
read from those records and from what became of releases.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from actions.doing import Desk, Doing
from actions.expected import SwitchExpected
from actions.facts import Facts, hash_of, shortened
from actions.guards import Policy, context_findings, in_window, with_overrides
from actions.ids import now
from actions.journal.errors import making_sense
from actions.journal.journal import Journal
from actions.journal.steering import ONWARD, begun_back
from actions.kinds import kind_of
from actions.models import Action, ActionError, Finding, Plan, PlanSummary, Refused, Request
from actions.switching.rejections import Candidate, against_live, rejected_by_hand, rejection_of, rejections
from actions.switching.standing import (
    agreed_at,
    candidate,
    forward_again,
    freeze_of,
    frozen_finding,
    standing_since,
)
from actions.targets import ControllerTarget, mover
from backends.command_line import command
from backends.errors import BackendError
from backends.models import Freeze
from backends.settings import Duration
from backends.text import clean

LONGEST_S = 366 * 86400.0


class StandingFacts(Facts, frozen=True, kw_only=True, omit_defaults=True):
    """What a record that stands is agreed to with."""

    version: str = ""
    for_s: float | None = None


class _Record(Struct, frozen=True, kw_only=True):
    """What a record comes to. `speaks_against`: an action that is open on the service."""

    from_: str = ""
    to: str
    effect: str
    undo: str = ""
    already: bool = False
    needs_reason: str = ""
    speaks_against: bool = False


OPEN_ACTION = "open-action"
_Look = Callable[[Request, Desk], Awaitable[_Record]]


async def _plan(look: _Look, request: Request, desk: Desk) -> Plan:
    """A freeze, its end, or the rejection of a version. Raises Refused (2) for what can not be meant."""
    await mover(desk.targets, request.service)  # there is such a service
    policy, guard_class = desk.policy, kind_of(request.kind).guard_class
    record = await look(request, desk)
    opened = await _still_open(request.service, desk) if record.speaks_against else ()
    if record.already and opened:  # an action that overrode the first may be open: it is held by a second
        record = replace(record, already=False)
    against = () if record.already else context_findings(replace(policy, freeze=()), guard_class, now())
    agreed = hash_of(
        StandingFacts(
            kind=request.kind, context=policy.context, service=request.service, from_=record.from_, to=record.to,
            version=request.version, for_s=request.for_s,
        )
    )  # fmt: skip
    return Plan(
        kind=request.kind, context=policy.context, service=request.service, guard_class=guard_class,
        protected=policy.protected, from_=record.from_, to=record.to,
        findings=(*against, *opened, *(() if record.already else policy.notes)),
        summary=PlanSummary(
            effects=() if record.already else (record.effect,), preconditions=(),
            undo="" if record.already else record.undo,
        ),
        hash=shortened(agreed), full_hash=agreed, made_at=now(), already=record.already, request=request,
        needs_reason="" if record.already else record.needs_reason,
    )  # fmt: skip


async def _still_open(service: str, desk: Desk) -> tuple[Finding, ...]:
    """That an action is open which goes forward: it is held before its next shift at most, and not taken back."""
    try:
        action = await desk.journal.open_action(desk.policy.context, service)
    except BackendError as error:  # it keeps nobody from stopping what is new
        text = f"what is open on {service} is not known: {error.message}"
        return (Finding(level="warning", code=OPEN_ACTION, text=text, fix=command("action list")),)
    if action is None or not kind_of(action.kind).held_back or action.status == "rolling_back":
        return ()
    text = f"{action.kind} {action.id} is open on {service}: what it has moved stays; this does not take it back"
    if isinstance(await mover(desk.targets, service), ControllerTarget):
        text += ", and does not keep its controller from going on by itself"
    return (Finding(level="warning", code=OPEN_ACTION, text=text, fix=command("deploy rollback", service)),)


async def _freeze(request: Request, desk: Desk) -> _Record:
    frozen = await freeze_of(desk.journal, desk.policy.context, request.service)
    if request.for_s is not None and not 0 < request.for_s <= LONGEST_S:
        raise _usage(f"for {request.for_s:g} s: more than 0s, at most {Duration(LONGEST_S)}", "--for 2h")
    how_long = "until it is unfrozen" if request.for_s is None else f"for {Duration(request.for_s)}"
    ends = None if request.for_s is None else now() + timedelta(seconds=request.for_s)
    return _Record(
        from_=_state(frozen), to="frozen", effect=f"freeze   {request.service} {how_long}",
        undo=command("deploy unfreeze", request.service), speaks_against=True,
        already=frozen is not None and (frozen.until is None or (ends is not None and ends <= frozen.until)),
    )  # fmt: skip


async def _unfreeze(request: Request, desk: Desk) -> _Record:
    frozen = await freeze_of(desk.journal, desk.policy.context, request.service)
    return _Record(
        from_=_state(frozen), to="open", effect=f"unfreeze {request.service}",
        undo=command("deploy freeze", request.service), already=frozen is None,
    )  # fmt: skip


async def _reject(request: Request, desk: Desk) -> _Record:
    if not request.version:
        raise _usage("no version to reject", command("deploy reject", request.service, "VERSION"))
    return _Record(
        to="rejected", effect=f"reject   {request.service} {request.version}", speaks_against=True,
        already=await rejected_by_hand(desk.journal, desk.policy.context, request.service, request.version),
    )  # fmt: skip


async def _accept(request: Request, desk: Desk) -> _Record:
    """Of the version on the side that it has traffic on; whatever it runs later, or wherever, was not accepted."""
    service, version = request.service, request.version
    if not version:
        raise _usage("no version to accept", command("deploy accept", service, "VERSION"))
    deployment = await (await mover(desk.targets, service)).adapter.deployment()
    taking = {color: side.version or "" for color, side in deployment.colors.items() if side.takes_traffic}
    on = [color for color, runs in taking.items() if runs == version]
    if not on:
        live = ", ".join(f"{color.upper()} {runs or 'of no version that it names'}" for color, runs in taking.items())
        message = f"{clean(version, 64)} has no traffic of {service}: live is {live or 'not known'}"
        raise Refused(5, ActionError(kind="not_found", message=message, fix=command("deploy status", service)))
    bad: Finding | None = None
    for to in on:
        serving = Candidate(color=to, version=version)
        bad = await against_live(desk.journal, desk.policy.context, service, serving, desk.policy.zone)
        if bad is not None and bad.level == "block":
            break
    against = bad.text if bad is not None and bad.level == "block" else ""
    return _Record(
        to=to, effect=f"accept   {service} {version} on {to.upper()}, although {against}",
        undo=command("deploy reject", service, version), already=not against,
        needs_reason="a version that was found bad is only accepted with a reason",
    )  # fmt: skip


def _state(frozen: Freeze | None) -> str:
    return "open" if frozen is None else "frozen"


FREEZE = Doing(plan=partial(_plan, _freeze), covers=StandingFacts)
UNFREEZE = Doing(plan=partial(_plan, _unfreeze), covers=StandingFacts)
REJECT = Doing(plan=partial(_plan, _reject), covers=StandingFacts)
ACCEPT = Doing(plan=partial(_plan, _accept), covers=StandingFacts)


async def held_back(plan: Plan, policy: Policy, journal: Journal) -> Plan:
    """`plan` with what stands against it. A way back is never held back: of the version that it goes to it is only said
    what was found bad, and nothing where an open action carries it out."""
    if plan.request.order or plan.already or plan.expected.queued_to:
        return plan
    found = []
    frozen = await freeze_of(journal, policy.context, plan.service) if kind_of(plan.kind).held_back else None
    if frozen is not None:
        found.append(frozen_finding(plan.service, frozen, policy.zone))
    gains = kind_of(plan.kind).gains
    if gains or kind_of(plan.kind).moves:
        try:
            rejected = await rejection_of(journal, policy.context, plan.service, candidate(plan), policy.zone)
        except BackendError:  # what can not be read of the past is in no rollback's way
            if gains:
                raise
            rejected = None
        if rejected is not None:
            found.append(rejected if gains else _only_told(rejected))
    if plan.summary.undo and kind_of(plan.kind).back:
        plan = await _undone_past_what_stands(plan, policy, journal)
    return replace(plan, findings=with_overrides((*plan.findings, *found), plan.request.overrides)) if found else plan


async def _undone_past_what_stands(plan: Plan, policy: Policy, journal: Journal) -> Plan:
    """`plan` to go back, whose undo is forward again: with what has to be overridden for that."""
    left = plan.from_
    version = plan.expecting(SwitchExpected).versions.get(left, "")
    try:
        flags = await forward_again(journal, policy.context, plan.service, left, version)
    except BackendError:  # what can not be read of the past is in no rollback's way
        return plan
    undo = command("deploy flip", plan.service, to=left, flags=flags)
    return replace(plan, summary=replace(plan.summary, undo=undo))


async def onward_held_back(order: Plan, action: Action, policy: Policy, journal: Journal) -> Plan:
    """The plan of an order to `action`, with what stands against going on with it since somebody last agreed to that.
    Nothing does against an order that stops it or takes it back, nor on the way back. Raises BackendError."""
    back = action.status == "rolling_back" or not kind_of(action.kind).held_back
    if order.request.order not in ONWARD or back or not action.open or order.blocked or action.started_at is None:
        return order
    history = await journal.history(action.id or "")
    with making_sense(journal.location.name):
        goes_back, since = begun_back(history) is not None, agreed_at(action.started_at, history)
    if goes_back:
        return order
    found = await standing_since(await journal.plan(action.id or ""), journal, policy.zone, since)
    return replace(order, findings=with_overrides((*order.findings, *found), order.request.overrides))


def _only_told(rejected: Finding) -> Finding:
    return replace(
        rejected, level="warning", text=f"{rejected.text}; it goes back there all the same", fix="", overridable=False
    )


async def standing_against(service: str, policy: Policy, journal: Journal) -> tuple[Freeze | None, list[Action]]:
    """The freeze that holds now, of the journal or of the config, and what rejects versions (`rejections`)."""
    frozen = await freeze_of(journal, policy.context, service) or window_freeze(policy, now())
    return frozen, await rejections(journal, policy.context, service)


def window_freeze(policy: Policy, at: datetime) -> Freeze | None:
    """The window of the config that `at` lies in, as a freeze."""
    for window in policy.freeze:
        try:
            if in_window(window, at, policy.zone):
                return Freeze(by="config", reason=f"{window} ({policy.zone})")
        except ValueError:
            continue  # what is not understood is said with each plan
    return None


def _usage(message: str, fix: str) -> Refused:
    return Refused(2, ActionError(kind="usage", message=clean(message, 200), fix=fix))
