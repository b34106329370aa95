"""What can be done with a deployment now: its switch, or its controller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from actions.kinds import kind_of
from actions.models import Request
from backends.command_line import command
from backends.models import ControllerView, Deployment
from console import moment
from console.screens.choice import Choice, because, forbidden, places
from panels.kinds.deployments import no_way_back
from panels.words import ago

if TYPE_CHECKING:
    from console.session import Session


def deployment_choices(deployment: Deployment, session: Session) -> list[Choice]:
    """Everything that the menu lists for it, before the keymap."""
    own = {
        "deploy.flip": _flips, "deploy.release": _release, "deploy.weights": _weights, "deploy.rollback": _rollback,
        "deploy.freeze": _freeze, "deploy.reject": _reject, "deploy.accept": _accept,
    }  # fmt: skip
    found: list[Choice] = []
    for kind, place in places("deployments"):
        choice = Choice(
            id=place.id,
            key=place.key,
            label=kind.label,
            reason=forbidden(kind, session),
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
            reason=forbidden(kind_of(name), session) or ours or view.offer(name).why,
            request=Request(kind=name, service=deployment.service),
        )
        for name, key, label in _CONTROLLER_ORDERS
    ] + [
        Choice(
            id=f"deploy.{name}",
            key="",
            label=f"{name}: {label}",
            reason=forbidden(kind_of(f"{name}-release"), session) or ours,
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
        return "frozen by the config" + because(freeze.reason)
    until = f" until {freeze.until.astimezone(session.context.zone):%d %b %H:%M}" if freeze.until else ""
    return f"frozen by {freeze.by}{until}" + because(freeze.reason) + "; h unfreezes it"


def _freeze(choice: Choice, deployment: Deployment, session: Session) -> list[Choice]:
    """Or unfreeze, where a person has frozen it."""
    if deployment.freeze is None or deployment.freeze.by == "config":
        return [replace(choice, lasts=True)]
    reason = forbidden(kind_of("unfreeze"), session)
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
        return f"whether {name} is healthy is not known" + because(side.detail)
    return "" if side.healthy else f"{name} is not healthy" + because(side.detail)
