"""What can be done with a thing now, and why the rest cannot. Pure functions over models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from actions.journal.steering import possible_orders
from actions.models import (
    GUARD_CLASS,
    MOVES_FORWARD,
    ORDER_CLASS,
    Action,
    ActionKind,
    GuardClass,
    OrderWord,
    Request,
)
from backends.models import Alert, Deployment, Item, PipelineRun
from console.ports.alerts import why_not_silenced
from panels.kinds.deployments import no_way_back

if TYPE_CHECKING:
    from console.session import Session

_STILL_RUNNING = ("queued", "running", "waiting")
_NOT_HIDDEN = ("firing", "pending")


class Choice(Struct, frozen=True, kw_only=True):
    """One entry of the menu. `reason` says why it cannot be done (empty: it can); `note` what to know before.

    What it opens: a plan of `request`; the form of a trigger, a release or a silence (`form`); or, where `pauses`, a
    plan to pause or unpause.
    """

    id: str
    key: str
    label: str
    reason: str = ""
    note: str = ""
    request: Request | None = None
    form: bool = False
    pauses: bool = False


def choices(item: Item | Action, session: Session) -> list[Choice]:
    """Everything that the menu lists for `item`, in the order of their keys; none for what is only looked at."""
    match item:
        case Action():
            found = _action_choices(item, session)
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
                reason=_forbidden("flip", session) or _no_flip(deployment, color) or _frozen(deployment, session),
                request=Request(kind="flip", service=deployment.service, to=color),
            )
        )
    found += _forward_choices(deployment, idle, session)
    offer = deployment.rollback
    back = f" to {offer.to.upper()}" if offer and offer.to else ""
    nowhere = "" if back or deployment.action or deployment.action_unknown else no_way_back(deployment)
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


def _forward_choices(deployment: Deployment, idle: list[str], session: Session) -> list[Choice]:
    """A release of a version, and a flip in stages; each has a form."""
    ways = session.ways(deployment.backend)
    held = _held(deployment)
    unhealthy = _no_flip(deployment, idle[0]) if len(idle) == 1 else ""
    return [
        Choice(
            id="deploy.release",
            key="d",
            label="release a version onto the idle side, then move the traffic",
            reason=_forbidden("release", session) or ways.no_deployer or held or _frozen(deployment, session),
            form=True,
        ),
        Choice(
            id="deploy.weights",
            key="w",
            label="move traffic in stages",
            reason=_forbidden("flip", session) or ways.no_split or held or unhealthy or _frozen(deployment, session),
            form=True,
        ),
    ]


def _held(deployment: Deployment) -> str:
    """Why nothing can be moved forward whatever the sides are."""
    if deployment.action:
        return f"action {deployment.action} is open on it; @ shows it"
    if deployment.live == "unknown":
        return "what is live is not known"
    return "the layers of truth disagree; b rolls back" if deployment.live == "mixed" else ""


def _frozen(deployment: Deployment, session: Session) -> str:
    freeze = deployment.freeze
    if freeze is None:
        return ""
    if freeze.by == "config":
        return "frozen by the config" + _because(freeze.reason)
    until = f" until {freeze.until.astimezone(session.context.zone):%d %b %H:%M}" if freeze.until else ""
    return f"frozen by {freeze.by}{until}" + _because(freeze.reason) + "; h unfreezes it"


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
    if held := _held(deployment):
        return held
    if side.healthy is None:
        return f"whether {name} is healthy is not known" + _because(side.detail)
    return "" if side.healthy else f"{name} is not healthy" + _because(side.detail)


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
        found.append(_order(action, "", "resume", "resume it, if it was paused by hand", "", session))
    found += [_order(action, key, word, label, why_not[word], session) for key, word, label in _ORDERS]
    back = why_not["rollback"] if action.open else _no_way_back(action)
    found.append(
        Choice(
            id="action.rollback",
            key="b",
            label=f"roll back to {action.from_.upper()}" if action.from_ else "roll back",
            reason=_forbidden("rollback", session) or back,
            request=Request(kind="rollback", service=action.service),
        )
    )
    if not why_not["abandon"]:
        label = "abandon it as it is: nothing is moved; a reason is asked for"
        found.append(_order(action, "", "abandon", label, "", session))
    return found


def is_orphaned(action: Action) -> bool:
    """Whether nobody runs it, as the gate found when the action was read."""
    return action.orphaned_since is not None


def _order(action: Action, key: str, word: OrderWord, label: str, why_not: str, session: Session) -> Choice:
    return Choice(
        id="action.pause" if key == "p" else f"action.{word}",
        key=key,
        label=label,
        reason=_withheld(ORDER_CLASS[word], session) or why_not,
        request=Request(kind=action.kind, service=action.service, ref=action.id or "", order=word),
    )


def _no_way_back(action: Action) -> str:
    if action.status == "rollback_failed":
        return ""  # the same way back is tried again
    if action.kind not in MOVES_FORWARD:
        return f"a {action.kind} moves no traffic forward"
    if action.status == "rolled_back":
        return "back already: it went back"
    unsure = action.status == "abandoned" and action.changed
    return "" if action.status == "succeeded" or unsure else f"it has ended: {action.status.replace('_', ' ')}"


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
    return _forbidden("ack", session) or why_not_silenced(session.adapters, alert.backend)


def _because(detail: str) -> str:
    return f": {detail}" if detail else ""


def _forbidden(kind: ActionKind, session: Session) -> str:
    return _withheld(GUARD_CLASS[kind], session)


def _withheld(guard_class: GuardClass, session: Session) -> str:
    context = session.context
    if context.read_only:
        return f"{context.name} is read-only (config)"
    if context.protected and not session.armed and guard_class in ("2", "3"):
        return "this console is read-only: ! arms it"
    return ""


def _rekeyed(choice: Choice, key: str) -> Choice:
    return choice if key == choice.key else replace(choice, key=key)
