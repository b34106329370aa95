"""What the audit keeps of an order, and the hash by which the same request is known again."""

from typing import Any

from actions.ids import digest, time_text
from actions.journal.audit import AuditEntry, AuditKind
from actions.kinds import kind_of
from actions.models import Actor, Consent, Plan, Request


def entry_of(kind: AuditKind, plan: Plan, actor: Actor, result: str, **told: Any) -> AuditEntry:
    """A record of what became of `plan`."""
    return AuditEntry(
        kind=kind, order=plan.request.order or plan.kind, context=plan.context, target=plan.service,
        actor=actor, plan_hash=plan.hash, overrides=plan.request.overrides, undo=plan.summary.undo,
        result=result, **told,
    )  # fmt: skip


def command_entry(plan: Plan, consent: Consent, actor: Actor, result: str, action_id: str) -> AuditEntry:
    """The record of the command itself: what was seen before it, what it asks for."""
    before, requested = plan.expected.before, {"to": plan.to, "effects": plan.summary.effects}
    return entry_of(
        "command", plan, actor, result, action=action_id, reason=consent.reason, before=before, requested=requested
    )


def override_entries(plan: Plan, consent: Consent, actor: Actor, action_id: str) -> list[AuditEntry]:
    """One record for each finding that was overridden."""
    return [
        entry_of("override", plan, actor, finding.code, action=action_id, detail=finding.text, reason=consent.reason)
        for finding in plan.findings
        if finding.code in plan.request.overrides and finding.overridable
    ]


def request_hash(request: Request) -> str:
    """What makes two requests under one idempotency key the same."""
    asked = [request.kind, request.service, request.ref, request.to, request.params]
    if request.order:
        return digest([*asked, request.order])
    if request.version or request.strategy:
        asked += [request.version, request.strategy]
    if request.until:
        asked.append(time_text(request.until))
    return digest([*asked, *(getattr(request, name) for name in kind_of(request.kind).asks)])
