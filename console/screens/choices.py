"""What can be done with a thing now, and why the rest cannot. Pure functions over models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from actions.journal.steering import possible_orders
from actions.kinds import kind_of
from actions.models import ORDER_CLASS, Action, OrderWord, Request
from backends.models import Alert, Deployment, Item, PipelineRun, Silence
from backends.text import side_name
from console.ports.alerts import linked_params, ordered_by, why_not_silenced
from console.screens.choice import Choice, forbidden, places, withheld
from console.screens.deployment_choices import deployment_choices
from panels.kinds.alerts import over_words

if TYPE_CHECKING:
    from console.session import Session

_STILL_RUNNING = ("queued", "running", "waiting")
_NOT_HIDDEN = ("firing", "pending")


def choices(item: Item | Action | Silence, session: Session, *, alike: int = 1) -> list[Choice]:
    """Everything that the menu lists for `item`, in the order of their keys; none for what is only looked at. `alike`:
    of how many in one row it is the first."""
    match item:
        case Action():
            found = _action_choices(item, session)
        case PipelineRun():
            found = _run_choices(item, session)
        case Deployment():
            found = deployment_choices(item, session)
        case Alert():
            found = _alert_choices(item, session, alike)
        case Silence():
            found = _silence_choices(item, session)
        case _:
            found = []
    keymap = session.context.keymap
    return [_rekeyed(choice, keymap.get(choice.id, choice.key)) for choice in found]


def _run_choices(run: PipelineRun, session: Session) -> list[Choice]:
    service = f"{run.backend}/{run.pipeline}"
    running = run.state in _STILL_RUNNING
    why_not = {
        "retry": "the run is still running" if running else _nothing_to_retry(run),
        "cancel": "" if running or run.state == "unknown" else f"the run has ended: {run.state}",
        "approve": "" if run.state == "waiting" else "nothing in it waits",
    }
    return [
        Choice(
            id=place.id,
            key=place.key,
            label=kind.label.format(pipeline=run.pipeline),
            reason=forbidden(kind, session) or why_not.get(kind.name, ""),
            request=None if place.form else Request(kind=kind.name, service=service, ref=run.ref),
            form=place.form,
            pauses=place.id == "run.pause",
        )
        for kind, place in places("pipelines")
    ]


def _nothing_to_retry(run: PipelineRun) -> str:
    return "nothing failed in it; t triggers a new run" if run.state in ("success", "skipped") else ""


_ORDERS: tuple[tuple[str, OrderWord, str], ...] = (
    ("g", "promote", "promote: skip the rest of this wait"),
    ("i", "accept", "accept the missing evidence of this stage; a reason is asked for"),
    ("k", "abort", "abort: traffic that has moved goes back"),
    ("t", "takeover", "take over: a new runner goes on with it"),
)


def _action_choices(action: Action, session: Session) -> list[Choice]:
    """The orders to an action. `p` is what can be done of pause and resume; a held action may be paused as well."""
    why_not = possible_orders(action, orphaned=is_orphaned(action))
    resumes = not why_not["resume"] and not (action.hold is not None and not is_orphaned(action))
    found = [
        _order(action, "p", "resume", "resume it, after a look at what is true", why_not["resume"], session)
        if resumes
        else _order(action, "p", "pause", "pause at the next safe point; judging goes on", why_not["pause"], session)
    ]
    if not resumes and not why_not["resume"]:
        found.append(_order(action, "r", "resume", "resume it, if it was paused by hand", "", session))
    found += [_order(action, key, word, label, why_not[word], session) for key, word, label in _ORDERS]
    back = why_not["rollback"] if action.open else _no_way_back(action)
    found.append(
        Choice(
            id="action.rollback",
            key="b",
            label=f"roll back to {side_name(action.from_)}" if action.from_ else "roll back",
            reason=forbidden(kind_of("rollback"), session) or back,
            request=Request(kind="rollback", service=action.service),
        )
    )
    if not why_not["abandon"]:
        label = "abandon it as it is: nothing is moved; a reason is asked for"
        found.append(_order(action, "d", "abandon", label, "", session))
    return found


def is_orphaned(action: Action) -> bool:
    """Whether nobody runs it, as the gate found when the action was read."""
    return action.orphaned_since is not None


def _order(action: Action, key: str, word: OrderWord, label: str, why_not: str, session: Session) -> Choice:
    return Choice(
        id="action.pause" if key == "p" else f"action.{word}",
        key=key,
        label=label,
        reason=withheld(ORDER_CLASS[word], session) or why_not,
        request=Request(kind=action.kind, service=action.service, ref=action.id or "", order=word),
    )


def _no_way_back(action: Action) -> str:
    if action.status == "rollback_failed":
        return ""  # the same way back is tried again
    if not kind_of(action.kind).forward:
        return f"a {action.kind} moves no traffic forward"
    if action.status == "rolled_back":
        return "back already: it went back"
    unsure = action.status == "abandoned" and action.changed
    return "" if action.status == "succeeded" or unsure else f"it has ended: {action.status.replace('_', ' ')}"


def acknowledgement(alert: Alert, session: Session, *, alike: int = 1) -> Choice:
    """The choice to acknowledge `alert`, which `a` takes without the menu."""
    return next(choice for choice in _alert_choices(alert, session, alike) if choice.id == "alert.acknowledge")


def _alert_choices(alert: Alert, session: Session, alike: int) -> list[Choice]:
    nothing = "nothing silences it" if alert.state in _NOT_HIDDEN and alert.ack is None else ""
    how = ordered_by(session.adapters, alert.backend)
    with_it = linked_params(alert, session.adapters, session.store) if alert.incident is not None else {}
    no_order = why_not_silenced(session.adapters, alert.backend) if how == "silence" else ""
    why_not = {"extend": nothing, "unsilence": nothing}
    acked = f"acknowledged by {alert.ack.by} already" if alert.ack is not None else ""
    notes = {"ack": acked, "ack-incident": acked, "resolve": over_words(alert, session.context.zone)}
    alike = 1 if alert.incident is not None else alike  # an incident and its alerts are one
    return [
        Choice(
            id=place.id,
            key=place.key,
            label=kind.label,
            reason=forbidden(kind, session)
            or no_order
            or why_not.get(kind.name, "")
            or ("" if alike == 1 or place.form else f"{alike:,} alerts are in one row: v shows each by itself"),
            note=notes.get(kind.name, ""),
            request=None
            if place.form
            else Request(kind=kind.name, service=alert.ref, ref=alert.ref, params=with_it if place.key == "a" else {}),
            form=place.form,
        )
        for kind, place in places("alerts")
        if kind.on == how
    ]


def _silence_choices(silence: Silence, session: Session) -> list[Choice]:
    labels = {"extend": "extend it to 1h from now", "unsilence": "end it: what it hides is shown again"}
    over = "it has ended" if silence.state == "expired" else ""
    return [
        Choice(
            id=place.id,
            key=place.key,
            label=labels[kind.name],
            reason=forbidden(kind, session) or why_not_silenced(session.adapters, silence.backend) or over,
            request=Request(kind=kind.name, service=silence.ref, ref=silence.ref),
        )
        for kind, place in places("alerts")
        if kind.name in labels
    ]


def _rekeyed(choice: Choice, key: str) -> Choice:
    return choice if key == choice.key else replace(choice, key=key)
