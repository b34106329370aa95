"""Which actions are open, as the journal said last, and what is read anew when that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from backends.errors import BackendError
from console.session import who_acts

if TYPE_CHECKING:
    from actions.models import Action
    from console.session import Session


class News(NamedTuple):
    """What one reading brought: the actions that were not open before, and whether anything is to be shown anew."""

    new: list[Action]
    differs: bool


class OpenActions:
    """`found`: those that are open; `over`: the ids of those that were; `blind`: why it is not known, if it is not."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._asking = False
        self.found: list[Action] = []
        self.over: set[str | None] = set()
        self.blind = ""

    async def read(self) -> News | None:
        """Ask again. None where that is being asked."""
        if self._asking:
            return None
        self._asking = True
        before, was_blind = self.found, self.blind
        try:
            self.found, self.blind = await self._session.actions(open_only=True), ""
        except BackendError as error:
            self.blind = who_acts(error)
        finally:
            self._asking = False
        if list(map(_seen, before)) != list(map(_seen, self.found)):
            self._follow(before)
        known = {action.id for action in before}
        new = [action for action in self.found if action.id not in known]
        return News(new, self.blind != was_blind or self.found != before)

    def _follow(self, before: list[Action]) -> None:
        """Read what an action changes: while it goes on its service, once it has ended everything."""
        over = {action.id for action in before} - {action.id for action in self.found}
        self.over |= over
        if over:
            self._session.refresh()
        else:
            self._session.refresh("deployments")
            self._session.refresh("timeline")


def _seen(action: Action) -> tuple[object, ...]:
    """What of an action is told; its runner renews its lease all the time."""
    return action.id, action.status, action.phase, action.hold, action.orphaned_since is not None, action.stopped_pid
