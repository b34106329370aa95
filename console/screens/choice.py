"""One thing that can be done, and what stands against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from actions.kinds import Kind, OrderPort, Place, of_port
from actions.models import GuardClass, Request

if TYPE_CHECKING:
    from console.session import Session


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


def places(port: OrderPort) -> list[tuple[Kind, Place]]:
    """Where the menu has the kinds of a port, each with its kind."""
    return [(kind, place) for kind in of_port(port) for place in kind.menu]


def because(detail: str) -> str:
    """The end of a sentence; nothing where no detail is known."""
    return f": {detail}" if detail else ""


def forbidden(kind: Kind, session: Session) -> str:
    """Why nothing of this kind is ordered from here; empty where it is."""
    return withheld(kind.guard_class, session)


def withheld(guard_class: GuardClass, session: Session) -> str:
    """Why nothing of this guard class is; empty where it is."""
    context = session.context
    if context.read_only:
        return f"{context.name} is read-only (config)"
    if context.protected and not session.armed and guard_class in ("2", "3"):
        return "this console is read-only: ! arms it"
    return ""
