"""What is not well by its causes, while the console runs: worked out beside the keys, said once above all panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from console.reading.not_well import Causes
from console.screens.places import CAUSES
from console.screens.working import Work
from panels.header import Trouble
from panels.kinds.cause import Cause

if TYPE_CHECKING:
    from console.ports.store import Snapshot
    from console.session import Session
    from panels.words import Symbols

HANDFUL = 5
"""More than these of one cause are said once, above all panels."""
SETTLE_S = 0.3
"""So long after a source was read its news are worked out, with those that come meanwhile."""


class Folding:
    """Works out the causes of what the store of a session holds, whenever a source was read."""

    def __init__(
        self, node: Screen[Any], session: Session, now: Callable[[], datetime], shown: Callable[[str], None]
    ) -> None:
        self._node, self._session, self._now, self._shown = node, session, now, shown
        self.causes = Causes(session.store, session.links)
        self._waiting = False

    def listen(self) -> Callable[[], None]:
        """From now on, beginning with what is known; returns the way to stop."""
        self._heard()
        return self._session.store.listen(self._heard)

    def _heard(self, _: Snapshot | None = None) -> None:
        if not self._waiting:
            self._waiting = True
            self._node.set_timer(SETTLE_S, self._begin)

    def _begin(self) -> None:
        self._waiting = False
        Work(node=self._node, name="causes", asked=self._read, group="causes").begin()

    async def _read(self) -> None:
        if await self.causes.read(self._now()):
            self._shown(CAUSES)


def shared(causes: Sequence[Cause], symbols: Symbols) -> list[Trouble]:
    """What the strip says of those that many things share."""
    return [
        Trouble(
            cause.health, symbols.of(cause.health), f"{len(cause.members):,} of one cause: {cause.likely.text}", cause
        )
        for cause in causes if len(cause.members) > HANDFUL and cause.health != "ok"
    ]  # fmt: skip
