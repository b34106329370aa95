"""A form whose way on is a plan: what the forms of a release, a run and a silence have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import ScreenResume
from textual.widgets import Button, Input

from actions.models import Request
from console.screens.page import Field, Page
from console.screens.parts import Paragraphs, mark, row
from console.screens.plan import PlanScreen

if TYPE_CHECKING:
    from console.session import Session


class OrderForm(Page):
    """Fields in a fitted Frame, `#said` for what is wrong, and two buttons: back, and on to the plan of what `order`
    returns. Enter and Tab go from field to field, and from the last one to the button that goes on."""

    WRITES = True
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace", "back", "back", id="back", key_display="Esc"),
    ]
    DEFAULT_CSS = """
    OrderForm {
        .top > #about { margin-bottom: 1; }
        .field { height: 1; }
        .field > Static { width: 10; height: 1; color: $text-muted; }
        .field > Input { width: 1fr; height: 1; background: $panel; }
        .field > Input:focus { background-tint: $foreground 10%; }
        #buttons { height: 1; margin-top: 1; }
        #buttons Button { min-width: 0; width: auto; height: 1; margin-right: 3; background: transparent; }
        #buttons Button:focus { text-style: reverse bold; }
    }
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._planned: PlanScreen | None = None

    @property
    def is_written_on(self) -> bool:
        return not self._is_done

    @property
    def _is_done(self) -> bool:
        """Whether its order was given."""
        return self._planned is not None and self._planned.submitted

    def order(self) -> Request:
        """What is to be planned. Raises ValueError with what is wrong or lacking."""
        raise NotImplementedError

    @staticmethod
    def bottom() -> ComposeResult:
        """What is always to be seen of a form, as its last lines: what is wrong, and the buttons."""
        with Vertical(classes="bottom"):
            yield Paragraphs(2, id="said")
            with Horizontal(id="buttons"):
                yield Button(Content("[ Cancel ]"), id="leave", compact=True)
                yield Button(Content("[ Plan it ]"), id="go", compact=True)

    @staticmethod
    def entry(name: str, value: str = "", *, max_length: int = 0) -> Input:
        """A field to write into."""
        return Field(name, value, max_length=max_length)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "leave":
            self.action_back()
            return
        try:
            request = self.order()
        except ValueError as error:
            self._say(str(error))
            return
        self._say("")
        self._planned = PlanScreen(self.session, request)
        self.app.push_screen(self._planned)

    def _say(self, text: str) -> None:
        """What is wrong with what is written; nothing."""
        self.query_one("#said", Paragraphs).show([row(mark("critical", self.of), text)] if text else [])

    def on_screen_resume(self, event: ScreenResume) -> None:
        """A form whose order was given has done its work: the way back passes it."""
        if self._is_done:
            self.call_later(self._pass)

    def _pass(self) -> None:
        if self.is_current:
            self.action_back()
