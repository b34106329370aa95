"""Which version, and how its traffic is moved: what is written here goes into a plan, and only from there on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.events import ScreenResume
from textual.widgets import Button, Input, Static

from actions.models import Request
from backends.models import Deployment
from backends.text import clean
from console.screens import deployment_lines as lines
from console.screens.parts import KEY_ORDER, MUTED, Frame, Page, Paragraphs, mark, row
from console.screens.plan import PlanScreen
from panels.keybar import KeyBar

if TYPE_CHECKING:
    from console.session import Session

FIELD_CHARS = 128


class ReleaseForm(Page):
    """A version and a strategy; of a flip in stages (`flips`) only the strategy. Enter goes on, the button plans."""

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace", "back", "back", id="back", key_display="Esc"),
    ]
    DEFAULT_CSS = """
    ReleaseForm {
        #about { margin-bottom: 1; }
        #fields { height: 1fr; }
        .param { height: 1; }
        .param > Static { width: 10; height: 1; color: $text-muted; }
        .param > Input { width: 1fr; height: 1; background: $panel; }
        .param > Input:focus { background-tint: $foreground 10%; }
        #known { margin-top: 1; }
        #buttons { height: 1; margin-top: 1; }
        #buttons Button { min-width: 0; width: auto; height: 1; margin-right: 3; background: transparent; }
        #buttons Button:focus { text-style: reverse bold; }
    }
    """

    def __init__(self, session: Session, deployment: Deployment, *, flips: bool = False) -> None:
        super().__init__(session)
        self.deployment = deployment
        self.flips = flips
        self.strategies = session.ways(deployment.backend).strategies
        self._planned: PlanScreen | None = None

    def compose(self) -> ComposeResult:
        with Frame(title="Flip in stages" if self.flips else "Release", id="frame"):
            yield Paragraphs(lines.SIDE_INDENT, id="about")
            with VerticalScroll(id="fields", can_focus=False):
                if not self.flips:
                    yield self._field("version", "Version")
                yield self._field("strategy", "Strategy")
                yield Paragraphs(10, id="known")
            yield Paragraphs(2, id="said")
            with Horizontal(id="buttons"):
                yield Button(Content("[ Cancel ]"), id="cancel", compact=True)
                yield Button(Content("[ Plan it ]"), id="go", compact=True)
        yield KeyBar(KEY_ORDER)

    def on_mount(self) -> None:
        title = f"Flip {self.deployment.service} in stages" if self.flips else f"Release {self.deployment.service}"
        self.query_one(Frame).titles(left=title, right=self.place())
        self.query_one("#about", Paragraphs).show(lines.side_rows(self.deployment, self.of))
        default = "" if self.flips else "; empty: all at once, as blue-green"
        known = row("", f"{', '.join(self.strategies)}{default}", MUTED)
        self.query_one("#known", Paragraphs).show([known])
        self.query_one("#said").display = False
        self.query(Input).first().focus()

    @staticmethod
    def _field(name: str, label: str) -> Horizontal:
        entry = Input(id=name, placeholder="_" * 40, compact=True, max_length=FIELD_CHARS, select_on_focus=False)
        entry.cursor_blink = False
        return Horizontal(Static(label, markup=False), entry, classes="param")

    def request(self) -> Request:
        """What was asked for. Raises ValueError with what is lacking; whether it can be is for the plan to say."""
        strategy = self._value("strategy")
        if strategy and strategy not in self.strategies:
            raise ValueError(f'no strategy "{clean(strategy, 40)}": {", ".join(self.strategies)}')
        if self.flips:
            if not strategy:
                raise ValueError("a strategy is needed: f in the menu flips all at once")
            return Request(kind="flip", service=self.deployment.service, strategy=strategy)
        version = self._value("version")
        if not version:
            raise ValueError("a version is needed, as 2.4.1")
        return Request(kind="release", service=self.deployment.service, version=version, strategy=strategy)

    def _value(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.focus_next()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "cancel":
            self.action_back()
            return
        said = self.query_one("#said", Paragraphs)
        try:
            request = self.request()
        except ValueError as error:
            said.show([row(mark("critical", self.of), str(error))])
            return
        said.show([])
        self._planned = PlanScreen(self.session, request)
        self.app.push_screen(self._planned)

    def on_screen_resume(self, event: ScreenResume) -> None:
        """A form whose order was given has done its work: the way back passes it."""
        if self._planned is not None and self._planned.submitted:
            self.call_later(self._pass)

    def _pass(self) -> None:
        if self.is_current:
            self.action_back()
