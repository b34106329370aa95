"""A pause of a controller that no action of ours watches: those whom a config names are told of it, once."""

from collections.abc import Sequence
from datetime import timedelta

from actions.described import Described
from actions.ids import now
from actions.journal.audit import AuditEntry
from actions.journal.journal import Journal
from actions.models import Actor
from actions.notices import Notices
from actions.targets import Build
from backends.models import ControllerView, Deployment
from backends.ports import ActionEvent
from backends.text import clean

TOLD = "unwatched-pause"
LONGEST = timedelta(days=14)
"""A pause whose begin its system does not tell is looked for in the records of this time."""
CLOCKS = timedelta(hours=1)
"""The clocks of its system and of those who write the journal differ by less."""


async def tell_unwatched(
    journal: Journal,
    deployment: Deployment,
    words: str,
    context: str,
    notify: Sequence[Described],
    build: Build,
    *,
    actor: Actor,
) -> None:
    """Tell those of `notify` of the pause in which `deployment` stands, in `words`, unless somebody has. Who tells
    claims it in the audit first. Raises BackendError where that can not be written."""
    view = deployment.controller
    if view is None or not notify:
        return
    entry = AuditEntry(
        kind="note", step="notify", order=TOLD, context=context, target=deployment.service, actor=actor,
        result=_pause_of(view), detail=words,
    )  # fmt: skip
    since = view.paused_since - CLOCKS if view.paused_since is not None else now() - LONGEST
    if not await journal.note_once(entry, since):
        return
    event = ActionEvent(
        what="held", context=context, kind="release", service=clean(deployment.service, 200),
        from_=clean(view.stable.words if view.stable else "", 64),
        to=clean(view.candidate.words if view.candidate else "", 64), by="", reason="", action="", at=now(),
        text=clean(f"{context}: {words}", 1000),
    )  # fmt: skip
    async with Notices(journal, context, notify, build) as notices:
        notices.tell(event)


def _pause_of(view: ControllerView) -> str:
    """What no two pauses of a service share, as far as its system tells."""
    candidate = view.candidate.id if view.candidate else ""
    at = view.paused_until or view.paused_since
    return clean(f"{candidate} {view.stage} {at.isoformat() if at else ''}".strip(), 400)
