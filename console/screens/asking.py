"""A page that asks a person to agree to a write: no key acts before anybody can have seen what it would act on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.events import Key

from console.screens.page import Page

if TYPE_CHECKING:
    from console.session import Session

PLAN_TIMEOUT_S = 30.0
SUBMIT_TIMEOUT_S = 30.0
MAX_AGE_S = 60.0
"""A plan that is older is made anew before it is submitted."""
SEEN_S = 0.5
REASON_CHARS = 500


class AskingPage(Page):
    """Has the lines that are filled in (`.field`), what is said of them (`#said`), and `#buttons` below.

    Nothing has focus at first, so that keys typed before anybody can have seen the form are dropped: what a slow line
    still holds back of it, and what is left in the queues of the app and of this screen, which are drained.
    """

    WRITES = True
    AUTO_FOCUS = ""
    is_written_on = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace", "back", "back", id="back", key_display="Esc"),
    ]
    DEFAULT_CSS = """
    AskingPage {
        #reason-field { margin-top: 1; }
        .field { height: 1; }
        .field > Static { width: 10; height: 1; color: $text-muted; }
        .field > Input { width: 1fr; height: 1; background: $panel; }
        .field > Input:focus { background-tint: $foreground 10%; }
        #said { height: auto; max-height: 4; }
        #buttons { height: 1; margin-top: 1; }
        #buttons Button { min-width: 0; width: auto; height: 1; margin-right: 3; background: transparent; }
        #buttons Button:focus { text-style: reverse bold; }
    }
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.takes_keys = False
        self._typed_at = 0.0

    def on_key(self, event: Key) -> None:
        if not self.takes_keys and self.hold_key(event):
            self._typed_at = time.monotonic()

    def once_seen(self, focus: Callable[[], None]) -> None:
        """Take keys from then on, beginning with `focus`; call it when all that is asked is shown."""

        def soon() -> None:
            self.app.call_later(self.call_later, begin)

        def begin() -> None:
            if not self.is_attached:
                return
            # Whoever still types has not read it: on a busy machine keys may come later than any fixed wait.
            if time.monotonic() - self._typed_at < SEEN_S:
                self.set_timer(SEEN_S, soon)
                return
            self.takes_keys = True
            focus()

        self.call_after_refresh(self.set_timer, SEEN_S, soon)
