"""Which rollback `b` plans where the cursor stands on no service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actions.kinds import kind_of
from actions.models import Action, Request
from actions.telling import title
from backends.errors import BackendError
from backends.models import Deployment
from console.screens.choices import choices
from console.session import who_acts

if TYPE_CHECKING:
    from console.session import Session


async def way_back(subject: Any, session: Session) -> tuple[Request | None, str]:
    """The order, or why there is none: of `subject` where that is a service or an action, else of the one action that
    is open, else of the only service. Where several could be meant, none is guessed."""
    if isinstance(subject, Action):
        return _of_action(subject, session)
    if isinstance(subject, Deployment):
        return _of_service(subject.service, subject.ref), ""
    services: dict[str, str] = {item.service: item.ref for item in session.store.items("deployments")}
    try:
        moving = [action for action in await session.actions(open_only=True) if kind_of(action.kind).forward]
    except BackendError as error:
        if len(services) != 1:
            return None, f"{who_acts(error)}; 4 shows the services, b there plans the rollback of one"
        moving = []
    if len(moving) == 1:
        return _of_action(moving[0], session)
    if moving:
        return None, f"{len(moving)} actions are open: @ shows them, b there plans the rollback of one"
    if len(services) == 1:
        return _of_service(*next(iter(services.items()))), ""
    if not services:
        return None, "there is no service to roll back"
    return None, f"{len(services)} services: 4 shows them, b there plans the rollback of one"


def _of_action(action: Action, session: Session) -> tuple[Request | None, str]:
    choice = next(choice for choice in choices(action, session) if choice.id == "action.rollback")
    return (None, f"{title(action)}: {choice.reason}") if choice.reason else (choice.request, "")


def _of_service(service: str, ref: str) -> Request:
    return Request(kind="rollback", service=service, ref=ref)
