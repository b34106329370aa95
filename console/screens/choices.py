"""What can be done with a thing now, and why the rest cannot. Pure functions over models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from actions.journal.steering import possible_orders
from actions.kinds import Kind, OrderPort, Place, kind_of, of_port
from actions.models import ORDER_CLASS, Action, GuardClass, OrderWord, Request
from backends.command_line import command
from backends.models import Alert, ControllerView, Deployment, Item, PipelineRun, Silence
from backends.text import side_name
from console import moment
from console.ports.alerts import why_not_silenced
from panels.kinds.deployments import no_way_back
from panels.words import ago

if TYPE_CHECKING:
    from console.session import Session

_STILL_RUNNING = ("queued", "running", "waiting")
_NOT_HIDDEN = ("firing", "pending")


class Choice(Struct, frozen=True, kw_only=True):
    """One entry of the menu. `reason` says why it cannot be done (empty: it can); `note` what to know before.

    What it opens: a plan of `request`, where `lasts` after the question for how long; the form of a trigger, a release
    or a silence (`form`); or, where `pauses`, a plan to pause or unpause.
    """

    id: str
    key: str
    label: str
    reason: str = ""
    note: str = ""
    request: Request | None = None
    form: bool = False
    pauses: bool = False
    lasts: bool = False


def choices(item: Item | Action | Silence, session: Session, *, alike: int = 1) -> list[Choice]:
    """Everything that the menu lists for `item`, in the order of their keys; none for what is only looked at. `alike`:
    of how many in one row it is the first."""
    match item:
        case Action():
            found = _action_choices(item, session)
        case PipelineRun():
            found = _run_choices(item, session)
        case Deployment():
            found = _deployment_choices(item, session)
        case Alert():
            found = _alert_choices(item, session, alike)
        case Silence():
            found = _silence_choices(item, session)
        case _:
            found = []
    keymap = session.context.keymap
    return [_rekeyed(choice, keymap.get(choice.id, choice.key)) for choice in found]


def _places(port: OrderPort) -> list[tuple[Kind, Place]]:
    return [(kind, place) for kind in of_port(port) for place in kind.menu]


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
            reason=_forbidden(kind, session) or why_not.get(kind.name, ""),
            request=None if place.form else Request(kind=kind.name, service=service, ref=run.ref),
            form=place.form,
            pauses=place.id == "run.pause",
        )
        for kind, place in _places("pipelines")
    ]


def _nothing_to_retry(run: PipelineRun) -> str:
    return "nothing failed in it; t triggers a new run" if run.state in ("success", "skipped") else ""


def _deployment_choices(deployment: Deployment, session: Session) -> list[Choice]:
    own = {
        "deploy.flip": _flips, "deploy.release": _release, "deploy.weights": _weights, "deploy.rollback": _rollback,
        "deploy.freeze": _freeze, "deploy.reject": _reject, "deploy.accept": _accept,
    }  # fmt: skip
    found: list[Choice] = []
    for kind, place in _places("deployments"):
        choice = Choice(
            id=place.id,
            key=place.key,
            label=kind.label,
            reason=_forbidden(kind, session),
            request=None if place.form else Request(kind=kind.name, service=deployment.service),
            form=place.form,
        )
        if deployment.controller is not None and place.id in ("deploy.flip", "deploy.weights"):
            continue  # its controller moves the traffic, in stages of its own
        found += own[place.id](choice, deployment, session) if place.id in own else [choice]
    return found + (_of_controller(deployment.controller, deployment, session) if deployment.controller else [])


def _of_controller(view: ControllerView, deployment: Deployment, session: Session) -> list[Choice]:
    """What is ordered of its controller; of an open action of ours, there."""
    ours = "an action is open on it: @ shows it" if deployment.action else ""
    return [
        Choice(
            id=f"deploy.{name}",
            key=key,
            label=f"{name}: {label}",
            reason=_forbidden(kind_of(name), session) or ours or view.offer(name).why,
            request=Request(kind=name, service=deployment.service),
        )
        for name, key, label in _CONTROLLER_ORDERS
    ] + [
        Choice(
            id=f"deploy.{name}",
            key="",
            label=f"{name}: {label}",
            reason=_forbidden(kind_of(f"{name}-release"), session) or ours,
            request=Request(kind=f"{name}-release", service=deployment.service),
        )
        for name, label in _WHERE_TAKEN
        if view.offer(name).allowed
    ]


_WHERE_TAKEN: tuple[tuple[Literal["retry", "pause", "resume", "restart"], str], ...] = (
    ("retry", "go FORWARD again to what was aborted"),
    ("pause", "its controller stops where it is"),
    ("resume", "its controller goes on"),
    ("restart", "its pods are replaced one after the other, the version stays"),
)
"""Orders that few controllers have: shown only where one takes them now."""

_CONTROLLER_ORDERS: tuple[tuple[Literal["promote", "abort"], str, str], ...] = (
    ("promote", "g", "go on from where its controller waits"),
    ("abort", "k", "end what its controller does, back to the stable version"),
)


def _idle(deployment: Deployment) -> list[str]:
    """The sides that traffic could be moved to; of a switch that is ARMED also the one that serves, which undoes it."""
    others = [color for color in deployment.colors if color != deployment.live]
    return [*others, deployment.live] if deployment.armed and deployment.live in deployment.colors else others


def _flips(choice: Choice, deployment: Deployment, session: Session) -> list[Choice]:
    """One for each side that could have the traffic; only the first has a key."""
    return [
        replace(
            choice,
            id=choice.id if n == 0 else f"{choice.id}.{color}",
            key=choice.key if n == 0 else "",
            label=choice.label.format(color=_side(deployment, color)),
            reason=choice.reason or _no_flip(deployment, color) or _frozen(deployment, session),
            note="" if choice.reason or _no_flip(deployment, color) else _past_a_freeze(deployment, "flip", to=color),
            request=Request(kind="flip", service=deployment.service, to=color),
        )
        for n, color in enumerate(_idle(deployment))
    ]


def _side(deployment: Deployment, color: str) -> str:
    """A side, and what runs there."""
    state = deployment.colors.get(color)
    return f"{color.upper()} {state.version}" if state is not None and state.version else color.upper()


def _left(deployment: Deployment, color: str) -> str:
    """Since when a side has had the traffic no more, where that was the last switch."""
    last = deployment.last_switch
    if last is None or last.from_ != color or last.to != deployment.live:
        return ""
    return f", live until {ago((moment.utc_now() - last.at).total_seconds())} ago"


def _past_a_freeze(deployment: Deployment, kind: str, **options: str) -> str:
    """The command that overrides it; no key of the console does. Empty where nothing is frozen."""
    if deployment.freeze is None:
        return ""
    flags = '--override freeze --reason "…"'
    return f"all the same: {command(f'deploy {kind}', deployment.service, flags=flags, **options)}"


def _release(choice: Choice, deployment: Deployment, session: Session) -> list[Choice]:
    no_deployer = session.ways(deployment.backend).no_deployer
    reason = choice.reason or no_deployer or _held(deployment)
    note = "" if reason else _past_a_freeze(deployment, "release", version="V")
    return [replace(choice, reason=reason or _frozen(deployment, session), note=note)]


def _weights(choice: Choice, deployment: Deployment, session: Session) -> list[Choice]:
    """A flip in stages."""
    idle, no_split = _idle(deployment), session.ways(deployment.backend).no_split
    unhealthy = _no_flip(deployment, idle[0]) if len(idle) == 1 else ""
    reason = choice.reason or no_split or _held(deployment) or unhealthy or _frozen(deployment, session)
    return [replace(choice, label="move traffic in stages", reason=reason)]


def _rollback(choice: Choice, deployment: Deployment, session: Session) -> list[Choice]:
    offer = deployment.rollback
    back = f" to {_side(deployment, offer.to)}{_left(deployment, offer.to)}" if offer and offer.to else ""
    nowhere = "" if back or deployment.action or deployment.action_unknown else no_way_back(deployment)
    # A side that is not ready is a note, not a no: the offer may be old, and the plan looks again.
    note = f"not ready: {offer.reason or offer.to}" if offer and offer.to and not offer.ready else ""
    return [replace(choice, label=f"{choice.label}{back}", reason=choice.reason or nowhere, note=note)]


def _held(deployment: Deployment) -> str:
    """Why nothing can be moved forward whatever the sides are."""
    if deployment.controller is not None and not deployment.action:
        return deployment.controller.offer("release").why
    if deployment.action:
        return "an action is open on it: @ shows it"
    if deployment.armed:
        return f"the switch is ARMED: {deployment.armed}"
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


def _freeze(choice: Choice, deployment: Deployment, session: Session) -> list[Choice]:
    """Or unfreeze, where a person has frozen it."""
    if deployment.freeze is None or deployment.freeze.by == "config":
        return [replace(choice, lasts=True)]
    reason = _forbidden(kind_of("unfreeze"), session)
    request = Request(kind="unfreeze", service=deployment.service)
    return [replace(choice, label=kind_of("unfreeze").label, reason=reason, request=request)]


def _reject(choice: Choice, deployment: Deployment, session: Session) -> list[Choice]:
    """The rejection of what the idle side runs: after a rollback that is the bad version."""
    version = next((found for color in _idle(deployment) if (found := deployment.colors[color].version)), "")
    return [
        replace(
            choice,
            label=choice.label.format(version=version or "the version of the idle side"),
            reason=choice.reason or ("" if version else "what the idle side runs is not known"),
            request=Request(kind="reject", service=deployment.service, version=version),
        )
    ]


def _accept(choice: Choice, deployment: Deployment, session: Session) -> list[Choice]:
    """That what is live is meant to be, although it was found bad."""
    live = [side.version for side in deployment.colors.values() if side.takes_traffic and side.version]
    version = next((each for each in live if (deployment.rejected or "").startswith(f"live {each} ")), "")
    nothing = "" if deployment.rejected else "nothing stands against the version that is live"
    unknown = "" if version else "what the live side runs is not known"
    return [
        replace(
            choice,
            label=choice.label.format(version=version or "the live version"),
            reason=choice.reason or nothing or unknown,
            request=Request(kind="accept", service=deployment.service, version=version),
        )
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
        found.append(_order(action, "r", "resume", "resume it, if it was paused by hand", "", session))
    found += [_order(action, key, word, label, why_not[word], session) for key, word, label in _ORDERS]
    back = why_not["rollback"] if action.open else _no_way_back(action)
    found.append(
        Choice(
            id="action.rollback",
            key="b",
            label=f"roll back to {side_name(action.from_)}" if action.from_ else "roll back",
            reason=_forbidden(kind_of("rollback"), session) or back,
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
        reason=_withheld(ORDER_CLASS[word], session) or why_not,
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
    why_not = {"extend": nothing, "unsilence": nothing}
    notes = {"ack": f"acknowledged by {alert.ack.by} already" if alert.ack is not None else ""}
    return [
        Choice(
            id=place.id,
            key=place.key,
            label=kind.label,
            reason=_forbidden(kind, session)
            or why_not_silenced(session.adapters, alert.backend)
            or why_not.get(kind.name, "")
            or ("" if alike == 1 or place.form else f"{alike:,} alerts are in one row: v shows each by itself"),
            note=notes.get(kind.name, ""),
            request=None if place.form else Request(kind=kind.name, service=alert.ref, ref=alert.ref),
            form=place.form,
        )
        for kind, place in _places("alerts")
    ]


def _silence_choices(silence: Silence, session: Session) -> list[Choice]:
    labels = {"extend": "extend it to 1h from now", "unsilence": "end it: what it hides is shown again"}
    over = "it has ended" if silence.state == "expired" else ""
    return [
        Choice(
            id=place.id,
            key=place.key,
            label=labels[kind.name],
            reason=_forbidden(kind, session) or why_not_silenced(session.adapters, silence.backend) or over,
            request=Request(kind=kind.name, service=silence.ref, ref=silence.ref),
        )
        for kind, place in _places("alerts")
        if kind.name in labels
    ]


def _because(detail: str) -> str:
    return f": {detail}" if detail else ""


def _forbidden(kind: Kind, session: Session) -> str:
    return _withheld(kind.guard_class, session)


def _withheld(guard_class: GuardClass, session: Session) -> str:
    context = session.context
    if context.read_only:
        return f"{context.name} is read-only (config)"
    if context.protected and not session.armed and guard_class in ("2", "3"):
        return "this console is read-only: ! arms it"
    return ""


def _rekeyed(choice: Choice, key: str) -> Choice:
    return choice if key == choice.key else replace(choice, key=key)
