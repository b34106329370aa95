"""Orders to an incident: acknowledge, snooze, resolve, escalate, reassign, note; in somebody's name, each sent once."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial

from msgspec import UNSET, Struct
from msgspec.structs import replace

from actions.beside import uninterrupted, unless
from actions.doing import Desk, Doing, Ground
from actions.endings import OutOfTime
from actions.expected import IncidentExpected, LinkedAck
from actions.facts import Facts, driven, hash_of, shortened
from actions.guards import context_findings, with_overrides
from actions.ids import now
from actions.journal.rows import Changes
from actions.kinds import kind_of
from actions.models import ActionError, Finding, GuardClass, Plan, PlanSummary, Request
from actions.orders.linked_acks import Linked, acknowledge, linked, steps_of
from actions.work import Work
from backends.command_line import command
from backends.errors import BackendError
from backends.ports.incidents import (
    IncidentNow,
    IncidentOrder,
    IncidentOrderName,
    IncidentResult,
    Incidents,
    Person,
    ids_of,
)
from backends.settings import Duration
from backends.text import clean, counted

STEPS = ("order",)
SHORT_S = 7200.0
HOUR_S = 3600.0
LONGEST_SNOOZE_S = 604_800.0
MAX_NOTE_CHARS = 2000


class IncidentFacts(Facts, frozen=True, kw_only=True, omit_defaults=True):
    """What an order to an incident is agreed to with."""

    ref: str = ""
    order: IncidentOrder | None = None
    also: tuple[LinkedAck, ...] = ()


class _Ordered(Struct, frozen=True, kw_only=True):
    """What an order comes to."""

    order: IncidentOrder
    effect: str
    to: str
    findings: tuple[Finding, ...] = ()
    already: bool = False
    undo: str = ""


class _Asked(Struct, frozen=True, kw_only=True):
    request: Request
    adapter: Incidents
    now: IncidentNow
    by: Person
    order: IncidentOrder


_Look = Callable[[_Asked], Awaitable[_Ordered]]


async def _plan(look: _Look, what: IncidentOrderName, request: Request, desk: Desk) -> Plan:
    """What would be sent, in whose name. Raises Refused, or BackendError for an incident that is not there."""
    backend, _, fingerprint = request.ref.partition("/")
    target, policy = await desk.targets.incidents(backend), desk.policy
    if target is None:
        fix = f"`teal alert ack` and `silence` are for it; {request.kind} is for an incident"
        raise BackendError("config", f"alerts.{backend} has alerts, and no incidents", fix=fix)
    incident, by = await target.adapter.incident(fingerprint), await target.adapter.orders_as()
    order = IncidentOrder.of(what, incident, by)
    found = await look(_Asked(request=request, adapter=target.adapter, now=incident, by=by, order=order))
    guard_class: GuardClass = "2" if found.order.for_s > SHORT_S else kind_of(request.kind).guard_class
    at = now()
    besides = await linked(request, desk) if what == "acknowledge" else Linked()
    already = found.already and not besides.acks
    findings = [] if already else [*found.findings, *besides.findings, *context_findings(policy, guard_class, at)]
    agreed = hash_of(
        IncidentFacts(
            kind=request.kind, context=policy.context, service=request.service, from_=incident.status, to=found.to,
            target=driven(target.entry), ref=request.ref, order=found.order,
            also=tuple(_timeless(each) for each in besides.acks),
        )
    )  # fmt: skip
    state = f"incident #{incident.number} is {incident.status}, and {_named(incident.assigned) or 'nobody'} has it"
    return Plan(
        kind=request.kind, context=policy.context, service=request.service, guard_class=guard_class,
        protected=policy.protected, from_=incident.status, to=found.to,
        findings=with_overrides(findings, request.overrides),
        summary=PlanSummary(
            effects=() if already else (found.effect, f"as       {by.name}", *besides.effects),
            preconditions=() if already else (state,),
            undo="" if already else found.undo,
        ),
        hash=shortened(agreed), full_hash=agreed, made_at=at, already=already,
        expected=IncidentExpected(order=found.order, also=besides.acks or UNSET), target=target.entry.kept(),
        request=request, about=clean(f"#{incident.number} {incident.title}", 200),
    )  # fmt: skip


def _timeless(ack: LinkedAck) -> LinkedAck:
    """No time and no count is a fact."""
    silence = ack.silence and replace(ack.silence, until=datetime.fromtimestamp(0, UTC), matches=0, extends=UNSET)
    return replace(ack, silence=silence)


# ---- what each of them is


async def _acknowledge(asked: _Asked) -> _Ordered:
    if asked.request.for_s is not None:
        words = "its service says how long an acknowledgement lasts"
        raise BackendError("config", words, fix=command("alert snooze", asked.request.ref, flags="--for 2h"))
    mine = asked.now.status == "acknowledged" and asked.by.id in ids_of(asked.now.acked_by)
    effect = "ack      it is not resolved by that, and calls again when the acknowledgement runs out"
    return _Ordered(
        order=asked.order, effect=effect, to="acknowledged", already=mine, findings=_of_others(asked)
    )  # fmt: skip


async def _snooze(asked: _Asked) -> _Ordered:
    for_s = HOUR_S if asked.request.for_s is None else asked.request.for_s
    if not 1 <= for_s <= LONGEST_SNOOZE_S:
        words = f"for {for_s:g} s: at least 1s, at most {Duration(LONGEST_SNOOZE_S)}"
        raise BackendError("config", words, fix="--for 2h")
    order = replace(asked.order, for_s=for_s)
    effect = f"snooze   for {Duration(for_s)}; then it is triggered again"
    return _Ordered(order=order, effect=effect, to="acknowledged", findings=_of_others(asked))


async def _resolve(asked: _Asked) -> _Ordered:
    findings: tuple[Finding, ...] = ()
    if asked.now.alerts_firing:
        text = f"of {counted(asked.now.alerts_firing, 'alert')} of it no end has come: it calls nobody while they last"
        findings = (Finding(level="warning", code="still-firing", text=text, fix="acknowledge it where they still do"),)
    effect = "resolve  it calls nobody any more, and is not opened again: what fires anew opens another one"
    return _Ordered(order=asked.order, effect=effect, to="resolved", findings=findings)


async def _escalate(asked: _Asked) -> _Ordered:
    next_ = await asked.adapter.escalation(asked.now)
    effect = f"call     {_named(next_.people)}, level {next_.level} of its escalation policy"
    order = replace(asked.order, level=next_.level)
    return _Ordered(order=order, effect=effect, to="triggered", undo=_back(asked))


async def _reassign(asked: _Asked) -> _Ordered:
    person = await asked.adapter.person(asked.request.to)
    already = ids_of(asked.now.assigned) == (person.id,)
    effect = f"call     {person.name}, who has it then, alone"
    order = replace(asked.order, to=person.id)
    return _Ordered(order=order, effect=effect, to=asked.now.status, already=already, undo=_back(asked))


async def _note(asked: _Asked) -> _Ordered:
    text = str(asked.request.params.get("text", "")).strip()
    if not text or len(text) > MAX_NOTE_CHARS:
        words = f"a note has words, and at most {MAX_NOTE_CHARS:,} characters"
        raise BackendError("config", words, fix=command("alert note", asked.request.ref, "TEXT"))
    order = replace(asked.order, text=text)
    return _Ordered(order=order, effect=f"note     {clean(text, 200)}", to=asked.now.status)


def _of_others(asked: _Asked) -> tuple[Finding, ...]:
    others = [each for each in asked.now.acked_by if each.id != asked.by.id]
    if not others or asked.now.status != "acknowledged":
        return ()
    return (Finding(level="warning", code="acknowledged", text=f"{_named(others)} has acknowledged it"),)


def _back(asked: _Asked) -> str:
    if len(asked.now.assigned) != 1:
        return ""
    return command("alert reassign", asked.request.ref, to=asked.now.assigned[0].id)


def _named(people: Sequence[Person]) -> str:
    return ", ".join(each.name or each.id for each in people)


# ---- carrying it out


async def _run(work: Work, on: Ground) -> None:
    """Returns when the action has ended. Raises LeaseLost."""
    try:
        words = await unless(_ordered(work, on.adapter), work.in_time())
    except BackendError as error:
        failed = ActionError(kind=error.kind, message=error.message, fix=error.fix)
        await work.finish("aborted", error=failed)
    except OutOfTime as late:
        await work.finish("aborted", error=ActionError(kind="deadline", message=await work.break_off(str(late))))
    else:
        comment = on.reason.strip() or f"acknowledged with teal, with {words}"
        refused = await acknowledge(work, on, _also(work.plan), comment)
        await work.finish("aborted" if refused else "succeeded", error=refused)


def _also(plan: Plan) -> tuple[LinkedAck, ...]:
    return plan.expecting(IncidentExpected).also or ()


async def _ordered(work: Work, adapter: Incidents) -> str:
    order = work.plan.expecting(IncidentExpected).order
    await work.begin("order")
    before = {"status": order.status, "assigned": order.assigned}
    told = {"kind": work.plan.kind, "incident": order.incident, "to": order.to, "level": order.level}
    await work.intent("order", before, {name: value for name, value in told.items() if value})
    result: IncidentResult = await uninterrupted(adapter.order_incident(order))
    now_ = result.now
    after = {"status": now_.status, "assigned": ids_of(now_.assigned)}
    changes = Changes(changed=result.changed, ref=work.plan.request.ref)
    await work.observed("order", after, "applied" if result.changed else "already so", changes=changes)
    words = f"incident #{now_.number} is {now_.status}"
    words += f", {_named(now_.assigned)} has it" if now_.assigned else ""
    await work.end("order", "succeeded", words if result.changed else f"{words}: it was so already")
    return f"incident #{now_.number}"


def _doing(look: _Look, what: IncidentOrderName) -> Doing:
    return Doing(
        plan=partial(_plan, look, what), covers=IncidentFacts,
        steps=lambda plan, entry: (*STEPS, *steps_of(_also(plan))), run=_run,
    )  # fmt: skip


ACK_INCIDENT = _doing(_acknowledge, "acknowledge")
SNOOZE = _doing(_snooze, "snooze")
RESOLVE = _doing(_resolve, "resolve")
ESCALATE = _doing(_escalate, "escalate")
REASSIGN = _doing(_reassign, "reassign")
NOTE_INCIDENT = _doing(_note, "note")
