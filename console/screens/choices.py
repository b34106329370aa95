"""What can be done with a thing now, and why the rest cannot. Pure functions over models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from actions.models import GUARD_CLASS, ActionKind, Request
from backends.models import Alert, Deployment, Item, PipelineRun

if TYPE_CHECKING:
    from console.session import Session

_STILL_RUNNING = ("queued", "running", "waiting")
_NOT_HIDDEN = ("firing", "pending")


class Choice(Struct, frozen=True, kw_only=True):
    """One entry of the menu. `reason` says why it cannot be done (empty: it can); `note` what to know before.

    What it opens: a plan of `request`; the form of a trigger or a silence (`form`); or, where `pauses`, a plan to pause
    or unpause.
    """

    id: str
    key: str
    label: str
    reason: str = ""
    note: str = ""
    request: Request | None = None
    form: bool = False
    pauses: bool = False


def choices(item: Item, session: Session) -> list[Choice]:
    """Everything that the menu lists for `item`, in the order of DESIGN §7; none for what is only looked at."""
    match item:
        case PipelineRun():
            found = _run_choices(item, session)
        case Deployment():
            found = _deployment_choices(item, session)
        case Alert():
            found = _alert_choices(item, session)
        case _:
            found = []
    keymap = session.context.keymap
    return [_rekeyed(choice, keymap.get(choice.id, choice.key)) for choice in found]


def _run_choices(run: PipelineRun, session: Session) -> list[Choice]:
    service = f"{run.backend}/{run.pipeline}"
    running = run.state in _STILL_RUNNING
    retry = "the run is still running" if running else _nothing_to_retry(run)
    cancel = "" if running or run.state == "unknown" else f"the run has ended: {run.state}"
    return [
        Choice(
            id="run.retry",
            key="r",
            label="retry its failed tasks",
            reason=_forbidden("retry", session) or retry,
            request=Request(kind="retry", service=service, ref=run.ref),
        ),
        Choice(
            id="run.trigger",
            key="t",
            label=f"trigger a new run of {run.pipeline}",
            reason=_forbidden("trigger", session),
            form=True,
        ),
        Choice(
            id="run.cancel",
            key="c",
            label="cancel the run",
            reason=_forbidden("cancel", session) or cancel,
            request=Request(kind="cancel", service=service, ref=run.ref),
        ),
        Choice(
            id="run.pause",
            key="p",
            label="pause or unpause the schedule",
            reason=_forbidden("pause", session),
            request=Request(kind="pause", service=service),
            pauses=True,
        ),
        Choice(
            id="run.approve",
            key="v",
            label="approve what waits in it",
            reason=_forbidden("approve", session) or ("" if run.state == "waiting" else "nothing in it waits"),
            request=Request(kind="approve", service=service, ref=run.ref),
        ),
    ]


def _nothing_to_retry(run: PipelineRun) -> str:
    return "nothing failed in it; t triggers a new run" if run.state in ("success", "skipped") else ""


def _deployment_choices(deployment: Deployment, session: Session) -> list[Choice]:
    found: list[Choice] = []
    idle = [color for color in deployment.colors if color != deployment.live]
    for color in idle:
        found.append(
            Choice(
                id="deploy.flip" if not found else f"deploy.flip.{color}",
                key="f" if not found else "",
                label=f"flip traffic to {color.upper()}",
                reason=_forbidden("flip", session) or _no_flip(deployment, color),
                request=Request(kind="flip", service=deployment.service, to=color),
            )
        )
    offer = deployment.rollback
    back = f" to {offer.to.upper()}" if offer and offer.to else ""
    nowhere = "" if back or deployment.action else "nothing to roll back to" + (f": {offer.reason}" if offer else "")
    # A side that is not ready is a note, not a no: the offer may be old, and the plan looks again.
    note = f"not ready: {offer.reason or offer.to}" if offer and offer.to and not offer.ready else ""
    found.append(
        Choice(
            id="deploy.rollback",
            key="b",
            label=f"roll back{back}",
            reason=_forbidden("rollback", session) or nowhere,
            note=note,
            request=Request(kind="rollback", service=deployment.service),
        )
    )
    return [*found, *_standing_choices(deployment, idle, session)]


def _standing_choices(deployment: Deployment, idle: list[str], session: Session) -> list[Choice]:
    """Freeze or unfreeze, and the rejection of what the idle side runs: after a rollback that is the bad version."""
    by_hand = deployment.freeze is not None and deployment.freeze.by != "config"
    kind: ActionKind = "unfreeze" if by_hand else "freeze"
    version = next((found for color in idle if (found := deployment.colors[color].version)), "")
    return [
        Choice(
            id="deploy.freeze",
            key="h",
            label=f"{kind} it" + ("" if by_hand else ": nothing new goes out, a rollback still does"),
            reason=_forbidden(kind, session),
            request=Request(kind=kind, service=deployment.service),
        ),
        Choice(
            id="deploy.reject",
            key="j",
            label=f"reject {version or 'the version of the idle side'}: it is not released again",
            reason=_forbidden("reject", session) or ("" if version else "what the idle side runs is not known"),
            request=Request(kind="reject", service=deployment.service, version=version),
        ),
    ]


def _no_flip(deployment: Deployment, color: str) -> str:
    side, name = deployment.colors[color], color.upper()
    if deployment.action:
        return f"action {deployment.action} is open on it; @ shows it"
    if deployment.live == "unknown":
        return "what is live is not known"
    if deployment.live == "mixed":
        return "the layers of truth disagree; b rolls back"
    if side.healthy is None:
        return f"whether {name} is healthy is not known" + _because(side.detail)
    return "" if side.healthy else f"{name} is not healthy" + _because(side.detail)


def acknowledgement(alert: Alert, session: Session) -> Choice:
    """The choice to acknowledge `alert`, which `a` takes without the menu."""
    known = alert.ack
    return Choice(
        id="alert.acknowledge",
        key="a",
        label="acknowledge it for 1h",
        reason=_not_silenced(alert, session),
        note=f"acknowledged by {known.by} already" if known is not None else "",
        request=Request(kind="ack", service=alert.ref, ref=alert.ref),
    )


def _alert_choices(alert: Alert, session: Session) -> list[Choice]:
    reason = _not_silenced(alert, session)
    nothing = "nothing silences it" if alert.state in _NOT_HIDDEN and alert.ack is None else ""
    return [
        acknowledgement(alert, session),
        Choice(id="alert.silence", key="s", label="silence it, or more than it, for a time", reason=reason, form=True),
        Choice(
            id="alert.extend",
            key="e",
            label="extend what silences it to 1h from now",
            reason=reason or nothing,
            request=Request(kind="extend", service=alert.ref, ref=alert.ref),
        ),
        Choice(
            id="alert.unsilence",
            key="u",
            label="unsilence it",
            reason=reason or nothing,
            request=Request(kind="unsilence", service=alert.ref, ref=alert.ref),
        ),
    ]


def _not_silenced(alert: Alert, session: Session) -> str:
    return _forbidden("ack", session) or session.why_not_silenced(alert.backend)


def _because(detail: str) -> str:
    return f": {detail}" if detail else ""


def _forbidden(kind: ActionKind, session: Session) -> str:
    context = session.context
    if context.read_only:
        return f"{context.name} is read-only (config)"
    if context.protected and not session.armed and GUARD_CLASS[kind] in ("2", "3"):
        return "this console is read-only: ! arms it"
    return ""


def _rekeyed(choice: Choice, key: str) -> Choice:
    return choice if key == choice.key else replace(choice, key=key)
