"""Rows of the journal as the Structs of an action, and back."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from actions.described import kept_entry
from actions.expected import expected_from
from actions.ids import canonical, time_of
from actions.journal.audit import AuditEntry
from actions.journal.errors import NO_SENSE
from actions.kinds import kind_of
from actions.models import (
    ENDED,
    Action,
    ActionError,
    ActionKind,
    ActionStatus,
    Actor,
    Finding,
    GateView,
    Hold,
    OrderWord,
    Owner,
    Pause,
    Plan,
    Step,
    StepStatus,
    SwitchReport,
)
from backends.command_line import command
from backends.json_text import decode_text
from backends.text import clean


class Draft(Struct, frozen=True, kw_only=True):
    """An action that is about to be written. `steps`: the names of those that will be, in order. `alone`: nothing may
    be open on its service, although it is over as soon as it is written."""

    id: str
    plan: Plan
    request_hash: str
    idempotency_key: str
    actor: Actor
    reason: str
    status: ActionStatus = "planned"
    steps: tuple[str, ...] = ()
    changed: bool = False
    alone: bool = False

    @property
    def digest(self) -> str:
        """That of the plan as it is kept: what the audit holds, and what a runner is told by who starts it."""
        return digest_of_plan(kept_plan(self.plan))


class Late(Struct, frozen=True, kw_only=True):
    """An action that no journal has seen. `plan`: the text of its plan, whose digest is in its records. `at`: when it
    was ordered; `ended` is None where its command was killed."""

    draft: Draft
    plan: str
    at: str
    entries: tuple[AuditEntry, ...]
    ended: Action | None


class Key(Struct, frozen=True):
    """The idempotency key of an order to an open action, and the hash of what was requested under it."""

    context: str
    key: str
    request_hash: str


class Occupied(Exception):
    """The service has an open action."""

    def __init__(self, action: Action) -> None:
        super().__init__(f"{action.service}: {action.id} is open")
        self.action = action


class KeyUsed(Exception):
    """The idempotency key belongs to an action already; `same` says whether it was the same request."""

    def __init__(self, action: Action, *, same: bool) -> None:
        super().__init__(f"idempotency key of {action.id}")
        self.action = action
        self.same = same


class Event(Struct, frozen=True, kw_only=True):
    """One append-only line of an action's history. `status` is set where the step changes its own."""

    step: str
    kind: str
    status: StepStatus | None = None
    detail: str = ""
    data: dict[str, Any] = field(default_factory=dict)


class StoredEvent(Struct, frozen=True, kw_only=True):
    """An event as it is stored."""

    id: int
    at: str
    fence: int
    event: Event


class Changes(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The fields of an action that a runner may change; those that are UNSET stay. Any terminal status ends it."""

    status: ActionStatus | msgspec.UnsetType = msgspec.UNSET
    phase: str | msgspec.UnsetType = msgspec.UNSET
    changed: bool | msgspec.UnsetType = msgspec.UNSET
    ref: str | msgspec.UnsetType = msgspec.UNSET
    undo: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    error: ActionError | msgspec.UnsetType | None = msgspec.UNSET
    switch: SwitchReport | msgspec.UnsetType = msgspec.UNSET


ORDERS: tuple[str, ...] = get_args(OrderWord)
"""The words that a runner of this version obeys; those of a later one are none of its business."""


class Command(Struct, frozen=True, kw_only=True):
    """An order to a running action, as `rollback`. `at`: when it was given, as `time_text`."""

    id: int
    at: str
    word: str
    actor: Actor
    reason: str


def dropped_by(audit: Sequence[AuditEntry], word: str, order: Command) -> AuditEntry:
    """The note that nobody obeyed `order` before `word` came, which `audit` tells of."""
    of = audit[0] if audit else AuditEntry(kind="note")
    detail = f"{order.word} of {order.actor.person} was not obeyed: {word} came, and drops it"
    return AuditEntry(
        kind="note", action=of.action, order=of.order, context=of.context, target=of.target, actor=of.actor,
        result="dropped", detail=detail,
    )  # fmt: skip


def kept_plan(plan: Plan) -> str:
    """The text of a plan in its row."""
    return canonical(plan)


class _Kept(Struct):
    """What of the text of a plan is read by its kind, or as an older version kept it."""

    expected: msgspec.Raw = msgspec.Raw(b"{}")
    target: msgspec.Raw = msgspec.Raw(b"{}")


def plan_from(text: str) -> Plan:
    """The inverse of `kept_plan`, also of what another version kept: of a kind that only a later one knows, without
    what it goes by. Raises msgspec.DecodeError."""
    plan, kept = decode_text(text, Plan), decode_text(text, _Kept)
    expected = expected_from(bytes(kept.expected), kind_of(plan.kind).expects())
    return replace(plan, expected=expected, target=kept_entry(bytes(kept.target)))


def digest_of_plan(text: str) -> str:
    """Of a plan's text, byte for byte."""
    return hashlib.sha256(text.encode()).hexdigest()


def draft_row(draft: Draft, at: str, *, place: str) -> dict[str, Any]:
    """The row of a new action that began `at`; one whose status is an end has ended. `place`: among the others."""
    plan, ended = draft.plan, draft.status != "planned"
    return {
        "id": draft.id, "context": plan.context, "kind": plan.kind, "service": plan.service, "status": draft.status,
        "phase": "" if ended else "plan", "from_color": plan.from_, "to_color": plan.to, "changed": draft.changed,
        "ref": plan.request.ref or None, "plan_hash": plan.hash,
        "plan": kept_plan(plan),
        "request_hash": draft.request_hash, "reason": draft.reason, "actor": canonical(draft.actor),
        "undo": plan.summary.undo, "idempotency_key": draft.idempotency_key,
        "created_at": place, "started_at": at, "ended_at": at if ended else None,
    }  # fmt: skip


def draft_of(row: Mapping[Any, Any]) -> Draft:
    """What an action was begun with, by its row."""
    return Draft(
        id=row["id"], plan=plan_of(row), request_hash=row["request_hash"], idempotency_key=row["idempotency_key"],
        actor=_read(row["actor"], Actor), reason=row["reason"],
    )  # fmt: skip


def event_row(action_id: str, fence: int, at: str, event: Event) -> dict[str, Any]:
    """The row of an event."""
    return {
        "action_id": action_id, "at": at, "fence": fence, "step": event.step, "kind": event.kind,
        "status": event.status or "", "detail": event.detail, "data": canonical(event.data),
    }  # fmt: skip


def stored_event(row: Mapping[Any, Any]) -> StoredEvent:
    """The inverse of `event_row`."""
    event = Event(
        step=row["step"], kind=row["kind"], status=row["status"] or None,
        detail=row["detail"], data=decode_text(row["data"], dict[str, Any]),
    )  # fmt: skip
    return StoredEvent(id=row["id"], at=row["at"], fence=row["fence"], event=event)


def change_row(changes: Changes) -> dict[str, Any]:
    """The columns of what changes."""
    given = {
        name: value for name in changes.__struct_fields__ if (value := getattr(changes, name)) is not msgspec.UNSET
    }
    return {
        name: value if isinstance(value, (str, bool)) or value is None else canonical(value)
        for name, value in given.items()
    }


def plan_of(row: Mapping[Any, Any]) -> Plan:
    """The plan as it was agreed to."""
    return plan_from(row["plan"])


def action_of(row: Mapping[Any, Any], history: Iterable[StoredEvent]) -> Action:
    """An action with its steps, folded from its events."""
    told_lines = list(history)
    plan = decode_text(row["plan"], Plan)  # whatever it goes by: that is shown to nobody
    kind: ActionKind = row["kind"]
    return Action(
        id=row["id"], kind=kind, service=row["service"], status=row["status"], phase=row["phase"],
        from_=row["from_color"], to=row["to_color"], changed=bool(row["changed"]),
        started_at=time_of(row["started_at"]), ended_at=time_of(row["ended_at"]), steps=steps_of(told_lines),
        switch=_read(row["switch"], SwitchReport), findings=plan.findings, plan_hash=row["plan_hash"],
        reason=row["reason"], actor=_read(row["actor"], Actor), owner=_read(row["owner"], Owner),
        plan=plan.summary, undo=_undo(row), ref=row["ref"], error=_read(row["error"], ActionError),
        version=plan.request.version, strategy=plan.request.strategy, for_s=plan.request.for_s,
        hold=None if row["ended_at"] else hold_of(told_lines), gates=gates_of(told_lines), about=plan.about,
        paused=pause_of(told_lines) if row["status"] == "paused" else None,
    )  # fmt: skip


def odd_action(row: Mapping[Any, Any], why: str) -> Action:
    """What the columns say of an action whose row makes no sense: enough to name it, and to abandon it."""
    ended = _sense(time_of, row["ended_at"])
    known = row["status"] in get_args(ActionStatus) and (row["status"] in ENDED) == (row["ended_at"] is not None)
    text = f"its row in the journal makes no sense: {clean(why, 200)}"
    fix = f"see who edited it: `teal audit list`; then {command('action abandon', row['id'])}"
    return Action(
        id=row["id"], kind=row["kind"], service=row["service"], phase=row["phase"],
        status=row["status"] if known else "in_doubt" if row["ended_at"] is None else "abandoned",
        from_=row["from_color"], to=row["to_color"], changed=bool(row["changed"]),
        started_at=_sense(time_of, row["started_at"]) or datetime.fromtimestamp(0, UTC), ended_at=ended,
        findings=(Finding(level="block", code="row-odd", text=text, fix=fix),), plan_hash=row["plan_hash"],
        reason=row["reason"], actor=_sense(_read, row["actor"], Actor), owner=_sense(_read, row["owner"], Owner),
        ref=row["ref"], error=_sense(_read, row["error"], ActionError),
    )  # fmt: skip


def _sense(read: Callable[..., Any], *given: Any) -> Any:
    with contextlib.suppress(*NO_SENSE):
        return read(*given)
    return None


def _undo(row: Mapping[Any, Any]) -> str:
    """How to take it back; nothing where nothing is left to take back: it ended without an effect, went back by itself,
    came from a split, which is no side, or was taken back since. What a rollback that failed left is no place to go
    to."""
    gone = row["status"] in ("rolled_back", "aborted") or row["undone_by"] is not None
    no_effect = row["ended_at"] is not None and not row["changed"] and row["status"] == "succeeded"
    failed = kind_of(row["kind"]).back and row["status"] != "succeeded"
    split = kind_of(row["kind"]).forward and kind_of(row["kind"]).moves and row["from_color"] == "mixed"
    undo: str = row["undo"]
    return "" if split or gone or no_effect or failed else undo


def may_be_writing(history: Iterable[StoredEvent]) -> bool:
    """Whether a write was intended that nobody saw end: whoever intended it may do it yet, whoever owns the action."""
    open_: set[str] = set()
    for line in history:
        if line.event.kind == "intent":
            open_.add(line.event.step)
        elif line.event.kind == "observed":
            open_.discard(line.event.step)
    return bool(open_)


def steps_of(history: Iterable[StoredEvent]) -> tuple[Step, ...]:
    """The steps in the order in which they were first named, each as its last event left it."""
    steps: dict[str, Step] = {}
    for line in history:
        event, at = line.event, time_of(line.at)
        if not event.step:
            continue
        step = steps.get(event.step, Step(name=event.step))
        status = event.status or step.status
        over = status in ("succeeded", "failed", "skipped")
        steps[event.step] = Step(
            name=event.step,
            status=status,
            started_at=at if status == "running" and step.status != "running" else step.started_at,
            ended_at=at if over and (status != "skipped" or step.started_at is not None) else None,
            until=None if over else time_of(event.data.get("until")) or step.until,
            detail=event.detail or step.detail,
        )
    return tuple(steps.values())


def gates_of(history: Iterable[StoredEvent]) -> tuple[GateView, ...]:
    """The gates as the newest sample of any stage left them."""
    told = next((line.event.data["gates"] for line in reversed(list(history)) if "gates" in line.event.data), ())
    return tuple(msgspec.convert(each, GateView) for each in told)


def hold_of(history: Iterable[StoredEvent]) -> Hold | None:
    """The hold that the action is in; None where none was begun, or the last one is over."""
    found: Hold | None = None
    for line in history:
        if line.event.kind == "held":
            found = Hold(why=line.event.detail, since=time_of(line.at), until=time_of(line.event.data.get("until")))
        elif line.event.kind == "released":
            found = None
    return found


def baseline_of(history: Sequence[StoredEvent]) -> dict[str, Any]:
    """What production showed before the first stage, as the newest preflight kept it; nothing where none did."""
    looks = (line.event.data for line in reversed(history) if line.event.step == "preflight")
    return next((dict(data["baseline"]) for data in looks if "baseline" in data), {})


def pause_of(history: Iterable[StoredEvent]) -> Pause | None:
    """The pause that a person ordered and nobody has ended; None where there is none."""
    found: Pause | None = None
    for line in history:
        event, at = line.event, time_of(line.at)
        if event.kind != "order":
            continue
        word = event.data["word"]
        if word == "pause" and at is not None:
            found = Pause(by=str(event.data.get("by", "")), since=at, reason=str(event.data.get("reason", "")))
        elif word != "accept":
            found = None
    return found


def _read(text: str | None, kind: type[Any]) -> Any:
    return None if text is None else decode_text(text, kind)
