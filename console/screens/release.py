"""Which version, and how its traffic is moved: what is written here goes into a plan, and only from there on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Input, Static

from actions.models import Request
from backends.models import Deployment
from backends.text import clean
from console.screens import deployment_lines as lines
from console.screens.order_form import OrderForm
from console.screens.parts import KEY_ORDER, MUTED, Frame, Paragraphs, row
from panels.keybar import KeyBar

if TYPE_CHECKING:
    from console.session import Session

FIELD_CHARS = 128


class ReleaseForm(OrderForm):
    """A version and a strategy; of a flip in stages (`flips`) only the strategy. Enter goes on, the button plans."""

    DEFAULT_CSS = """
    ReleaseForm {
        #about { margin-bottom: 1; }
        #fields { height: 1fr; }
        #known { margin-top: 1; }
    }
    """

    def __init__(self, session: Session, deployment: Deployment, *, flips: bool = False) -> None:
        super().__init__(session)
        self.deployment = deployment
        self.flips = flips
        self.strategies = session.ways(deployment.backend).strategies

    def compose(self) -> ComposeResult:
        with Frame(title="Flip in stages" if self.flips else "Release", id="frame"):
            yield Paragraphs(lines.SIDE_INDENT, id="about")
            with VerticalScroll(id="fields", can_focus=False):
                if not self.flips:
                    yield self._field("version", "Version")
                yield self._field("strategy", "Strategy")
                yield Paragraphs(10, id="known")
            yield Paragraphs(2, id="said")
            yield from self.buttons()
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
        return Horizontal(Static(label, markup=False), OrderForm.entry(name, max_length=FIELD_CHARS), classes="field")

    def order(self) -> Request:
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
