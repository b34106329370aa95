"""Which version, and how its traffic is moved: what is written here goes into a plan, and only from there on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Resize
from textual.widgets import Input, OptionList, Static

from actions.models import Request
from backends.models import Deployment
from backends.text import clean
from console.screens import deployment_lines as lines
from console.screens.order_form import OrderForm
from console.screens.parts import KEY_ORDER, Frame, Paragraphs
from panels.keybar import KeyBar
from panels.words import Symbols, took

if TYPE_CHECKING:
    from console.reading.release_options import ReleaseOptions
    from console.session import Session

FIELD_CHARS = 128


class ReleaseForm(OrderForm):
    """A version and a strategy; of a flip in stages (`flips`) only the strategy, from a list that says what each means.

    Up and Down choose one, letters narrow it down to one; what is none is said at once.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "choose(-1)", "strategy", id="release.up", key_display="↑↓", tooltip="another strategy"),
        Binding("down", "choose(1)", "strategy", id="release.down", show=False),
    ]
    DEFAULT_CSS = """
    ReleaseForm {
        #known { height: auto; margin-left: 10; border: none; padding: 0; background: transparent; }
        #known > .option-list--option { padding: 0; }
    }
    """

    def __init__(self, session: Session, deployment: Deployment, *, flips: bool = False) -> None:
        super().__init__(session)
        self.deployment = deployment
        self.flips = flips
        self._ways = session.ways(deployment.backend)
        self.strategies = self._ways.strategies

    def compose(self) -> ComposeResult:
        with Frame(title="Flip in stages" if self.flips else "Release", id="frame", fitted=True):
            with Vertical(classes="top"):
                yield Paragraphs(0, id="about")
            with VerticalScroll(id="fields", can_focus=False):
                if not self.flips:
                    yield self._field("version", "Version")
                yield self._field("strategy", "Strategy")
                known = OptionList(*map(self._meaning, self.strategies), id="known", markup=False)
                known.can_focus = False
                yield known
            yield from self.bottom()
        yield KeyBar(KEY_ORDER)

    def on_mount(self) -> None:
        title = f"Flip {self.deployment.service} in stages" if self.flips else f"Release {self.deployment.service}"
        self.query_one(Frame).titles(left=title, right=self.place())
        self.query_one("#said").display = False
        self.query(Input).first().focus()
        self._mark()

    def on_resize(self, event: Resize) -> None:
        columns = lines.side_columns(self.deployment, event.size.width - 4)
        about = self.query_one("#about", Paragraphs)
        about.indent = lines.side_indent(columns)
        about.show(lines.side_rows(self.deployment, self.of, columns))

    @staticmethod
    def _field(name: str, label: str) -> Horizontal:
        return Horizontal(Static(label, markup=False), OrderForm.entry(name, max_length=FIELD_CHARS), classes="field")

    def _meaning(self, strategy: str) -> str:
        """`gradual     10 → 50 → 100, 10m each`."""
        width = max(map(len, self.strategies))
        return f"{strategy:<{width}}   {stage_words(self._ways, strategy, self.of)}"

    # ---- which strategy

    def _begun(self) -> list[str]:
        """Those that begin with what is written; the one that is it."""
        written = self._value("strategy")
        begun = [name for name in self.strategies if name.startswith(written)]
        return [written] if written in begun else begun

    def _mark(self) -> None:
        """The strategy that is meant, in the list; where nothing is written, what that means."""
        begun, written = self._begun(), self._value("strategy")
        default = self.strategies[0] if self.strategies and not self.flips else ""
        meant = begun[0] if written and len(begun) == 1 else "" if written else default
        known = self.query_one("#known", OptionList)
        known.highlighted = self.strategies.index(meant) if meant else None

    def action_choose(self, step: int) -> None:
        """The next strategy of the list, or the one before."""
        if not self.strategies:
            raise SkipAction
        known = self.query_one("#known", OptionList)
        at = known.highlighted
        following = (0 if step > 0 else -1) if at is None else at + step
        field = self.query_one("#strategy", Input)
        field.value = self.strategies[following % len(self.strategies)]
        field.cursor_position = len(field.value)
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.input.id == "strategy":
            self._mark()
            self._say("" if self._begun() else self._none(self._value("strategy")))

    def _none(self, strategy: str) -> str:
        return f'no strategy "{clean(strategy, 40)}": {", ".join(self.strategies)}'

    def order(self) -> Request:
        """What was asked for. Raises ValueError with what is lacking; whether it can be is for the plan to say."""
        strategy, begun = self._value("strategy"), self._begun()
        if strategy and len(begun) != 1:
            raise ValueError(self._none(strategy))
        strategy = begun[0] if strategy else ""
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


def stage_words(ways: ReleaseOptions, strategy: str, of: Symbols) -> str:
    """`all at once`, `10 → 50 → 100, 10m each`."""
    stages = ways.stages.get(strategy, ())
    if len(stages) < 2:
        return "all at once" if stages else ""
    each = f", {took(ways.stage_s).removesuffix('00s').removesuffix('00m')} each" if ways.stage_s else ""
    return f" {of.arrow} ".join(map(str, stages)) + " %" + each
