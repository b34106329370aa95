"""An incident and the alerts that opened it, acknowledged by one order: one way, each system by itself.

Which they are, the front door says (`also` of the request's `params`); a linked acknowledgement links no further one.
"""

from datetime import timedelta

from msgspec import Struct

from actions.beside import uninterrupted
from actions.doing import Desk, Ground
from actions.expected import LinkedAck, NewSilence
from actions.ids import now
from actions.models import ActionError, Finding, Request
from actions.orders.alerts import Asked, acknowledgement
from actions.work import Work
from backends.errors import BackendError
from backends.ports.incidents import IncidentOrder
from backends.text import clean

HOUR_S = 3600.0
MOST = 20


class Linked(Struct, frozen=True, kw_only=True):
    """What is acknowledged besides: its orders, a sentence of each, and what speaks against it."""

    acks: tuple[LinkedAck, ...] = ()
    effects: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def also_of(request: Request) -> tuple[str, ...]:
    """The refs that are acknowledged with it."""
    found = request.params.get("also")
    return tuple(sorted({str(ref) for ref in found})) if isinstance(found, list | tuple) else ()


async def linked(request: Request, desk: Desk) -> Linked:
    """Nothing is written. Raises Refused or BackendError for one that is not there."""
    refs = also_of(request)
    acks: list[LinkedAck] = []
    effects: list[str] = []
    findings: list[Finding] = []
    if len(refs) > MOST:
        text = f"{len(refs)} alerts of it would be acknowledged one by one"
        fix = "silence what they have in common: teal alert silence -m K=V"
        findings.append(Finding(level="block", code=f"linked-{len(refs)}", text=text, fix=fix, overridable=True))
    for ref in refs:
        source, _, fingerprint = ref.partition("/")
        incidents = await desk.targets.incidents(source)
        if incidents is not None:
            found, by = await incidents.adapter.incident(fingerprint), await incidents.adapter.orders_as()
            acks.append(LinkedAck(source=source, ref=ref, order=IncidentOrder.of("acknowledge", found, by)))
            effects.append(f"{source}: ack incident #{found.number} as {by.name}")
            continue
        target = await desk.targets.silencer(source)
        asked = Asked(
            request=Request(kind="ack", service=ref, ref=ref), target=target, for_s=HOUR_S,
            until=now() + timedelta(seconds=HOUR_S), by=clean(str(desk.actor), 100), zone=desk.policy.zone,
        )  # fmt: skip
        made = await acknowledgement(asked)
        assert isinstance(made.expected, NewSilence)
        acks.append(LinkedAck(source=source, ref=ref, silence=made.expected))
        effects += [f"{source}: {words}" for words in (*made.effects, *made.facts)]
        findings += made.findings
    return Linked(acks=tuple(acks), effects=tuple(effects), findings=tuple(findings))


def steps_of(acks: tuple[LinkedAck, ...]) -> tuple[str, ...]:
    """One step a thing."""
    return tuple(f"ack {each.ref}" for each in acks)


async def acknowledge(work: Work, on: Ground, acks: tuple[LinkedAck, ...], comment: str) -> ActionError | None:
    """Each of them by itself: what one system refuses keeps no other from it. What was refused, of all. Raises
    LeaseLost."""
    errors: list[BackendError] = []
    for each, step in zip(acks, steps_of(acks), strict=True):
        await work.begin(step)
        await work.intent(step, {}, {"ref": each.ref})
        try:
            words, told = await uninterrupted(_one(each, on, comment, work.action_id))
        except BackendError as error:
            errors.append(error)
            await work.end(step, "failed", error.message)
            continue
        await work.observed(step, told, "applied")
        await work.end(step, "succeeded", words)
    if not errors:
        return None
    return ActionError(kind=errors[0].kind, message="; ".join(error.message for error in errors), fix=errors[0].fix)


async def _one(each: LinkedAck, on: Ground, comment: str, order: str) -> tuple[str, dict[str, object]]:
    adapter = await on.sources("alerts", each.source)
    if each.order is not None:
        found = (await adapter.order_incident(each.order)).now
        return f"incident #{found.number} is {found.status}", {"status": found.status}
    assert each.silence is not None
    new = each.silence
    made = await adapter.silence(new.matchers, until=new.until, by=new.by, comment=comment, ack=True, order=order)
    if made.behind or not made.visible_on:
        raise BackendError("failed", f"{each.source}: silence {made.id} was ordered, and is not shown everywhere")
    return f"silence {made.id}", {"id": made.id}
