"""The one clock of runs, logs and timeline: at now, where they are followed, or at one time of the past."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from console.ports.store import Snapshot
from console.ports.table import dated
from console.screens import readings
from console.screens.board import Board
from panels.columns import Moment
from panels.header import Trouble
from panels.words import ago, clock

if TYPE_CHECKING:
    from console.reading.past import Past
    from console.session import Session

RECENT = timedelta(minutes=5)
LEAD = timedelta(seconds=5)  # so many of the lines before a time are in sight with it


class Clock:
    """Moves the three panels of `board` that have a time; what can be switched or acknowledged stays as it is now."""

    def __init__(self, session: Session, board: Board, dirty: Callable[[str], None]) -> None:
        """`dirty` is told of a panel that has to be drawn anew."""
        self._session, self._board, self._dirty = session, board, dirty
        self._pointed = False

    @property
    def past(self) -> Past | None:
        """What is shown of the past; None at now."""
        return self._board.past

    @property
    def away(self) -> bool:
        """Whether there is a way back to now: the past is shown, or the logs wait where they were sent."""
        return self.past is not None or (self._pointed and not self._board.logs.follow)

    async def go(self, at: datetime) -> None:
        """Show what was so around `at`. Of the last minutes it is all there already: only the cursors move."""
        if self.past is None and self._board.moment("").now - at < RECENT:
            self._point(at)
            self._pointed = True
            return
        past = self._board.past = self._session.past(at)
        past.store.listen(self._heard)
        self._board.logs.reset()
        for name in dated():
            self._dirty(name)
        await past.read()
        if self.past is past:
            self._board.show(set(dated()))  # the cursors go where the rows are now
            self._point(at)

    def back(self) -> None:
        """To now: the logs are followed again."""
        self._pointed = False
        if self.past is not None:
            self._board.past = None
            self._board.logs.reset()
            self._session.refresh("logs")
            for name in dated():
                self._dirty(name)
        self._board.logs.to_end()
        timeline = self._board.listing("timeline")
        timeline.move_to(len(timeline.items) - 1)

    def said(self, now: Moment) -> list[Trouble]:
        """That it does not stand at now, for the strip."""
        past = self.past
        if past is None:
            return []
        when = f"{clock(past.at, now.zone)}, {ago(now.since(past.at))} ago"
        return [Trouble("strong", "<", f"runs, logs and timeline at {when}; . is back to now")]

    def _heard(self, snapshot: Snapshot) -> None:
        past = self.past
        if past is None or past.store.get(snapshot.key) is not snapshot:
            return  # another time was chosen meanwhile
        if snapshot.key.panel == "logs":
            self._board.logs.reset()
            self._board.logs.extend(readings.log_entries(past.store.snapshots("logs")), self._board.moment("logs"))
            self._board.logs.go_to(past.at - LEAD)
        self._dirty(snapshot.key.panel)

    def _point(self, at: datetime) -> None:
        self._board.logs.go_to(at - LEAD)
        listing = self._board.listing("timeline")
        later = [index for index, event in enumerate(listing.items) if event.at >= at]
        listing.move_to(later[0] if later else len(listing.items) - 1)
