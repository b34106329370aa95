"""A window that is dragged: the first size is drawn and the last, and none of those between.

Each is up to 100 kB, and keys wait behind what a slow terminal has not read yet.
"""

from typing import Any

from textual.app import App
from textual.events import Resize
from textual.timer import Timer

SETTLE_S = 0.3


class Settling:
    """The sizes of an app, of which only some are drawn."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._timer: Timer | None = None
        self._held: Resize | None = None
        self._drawn_at = 0.0

    def draws(self, event: Resize) -> bool:
        """Whether that size is drawn now. The last of those that are not comes again once the window has settled."""
        newer = event.time >= self._drawn_at
        draws = newer and self._timer is None
        if draws:
            self._drawn_at = event.time
        elif newer:
            self._held = event
        if self._timer is not None:
            self._timer.stop()
        self._timer = self._app.set_timer(SETTLE_S, self._settle)
        return draws

    def _settle(self) -> None:
        """Everything is drawn anew: what was under way for an older size may have come last."""
        held, self._timer, self._held = self._held, None, None
        if held is None:
            self._app.refresh(layout=True)
            return
        last = Resize(held.size, held.virtual_size, held.container_size, held.pixel_size)
        last.time = held.time  # what comes before it is newer
        self._app.post_message(last)
