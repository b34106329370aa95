"""What can be done with one thing: a menu over the screen it was opened from. It opens plans and writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key, Resize
from textual.screen import ModalScreen, Screen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from actions.kinds import TABLE, kind_of
from actions.models import Action, Refused, Request
from actions.telling import title
from backends.alerts.matchers import in_words
from backends.errors import BackendError
from backends.models import Alert, Deployment, Item, PipelineRun, Silence
from console.ports.pipelines import PIPELINES
from console.screens.choice import Choice
from console.screens.choices import choices
from console.screens.everywhere import panel_keys
from console.screens.host import leave
from console.screens.how_long import HowLong
from console.screens.moving import Options
from console.screens.parts import MUTED, Paragraphs, armed, mark, row, style_of, symbols
from console.screens.plan import PlanScreen
from console.screens.plan_words import refusal
from console.screens.release import ReleaseForm
from console.screens.silence import SilenceForm
from console.screens.trigger import TriggerForm
from console.screens.working import work
from panels.columns import wrapped

if TYPE_CHECKING:
    from console.screens.host import Host
    from console.session import Session
    from panels.words import Symbols

_KEYS = (
    *((place.key, place.id) for kind in TABLE.values() for place in kind.menu),
    ("p", "action.pause"), ("g", "action.promote"), ("i", "action.accept"), ("k", "action.abort"),
    ("t", "action.takeover"), ("b", "action.rollback"), ("r", "action.resume"), ("d", "action.abandon"),
    ("g", "deploy.promote"), ("k", "deploy.abort"),
)  # fmt: skip


def name_of(item: Item | Action | Silence) -> str:
    """What a menu or a title calls it."""
    match item:
        case Action():
            return title(item)
        case PipelineRun():
            return f"{item.pipeline} #{item.run_id}"
        case Deployment():
            return item.service
        case Alert():
            return item.name
        case Silence():
            return in_words(item.matchers)
        case _:
            return getattr(item, "ref", "")


def times(amount: int, of: Symbols) -> str:
    """` ×3` of three; nothing of one."""
    return "" if amount == 1 else f" {'x' if of.arrow.isascii() else '×'}{amount:,}"


WIDTH, MOST_LINES = 76, 4
LEAD, BELOW = "   ", "     "


def screen_of(
    choice: Choice, item: Item | Action | Silence, session: Session, plan: Callable[[Request], object]
) -> Screen[None] | None:
    """What a choice leads to: its form, its plan, or the question for how long, whose answer goes to `plan`. None for
    one that asks the source first."""
    match item:
        case PipelineRun() if choice.form:
            return TriggerForm(session, item.backend, item.pipeline)
        case Alert() if choice.form:
            return SilenceForm(session, item)
        case Deployment() if choice.form:
            return ReleaseForm(session, item, flips=choice.id == "deploy.weights")
    request = choice.request
    if request is None or choice.pauses:
        return None
    if not choice.lasts:
        return PlanScreen(session, request)
    return HowLong(
        f"{kind_of(request.kind).verb} {request.service} for how long?",
        lambda for_s: plan(replace(request, for_s=for_s)),
        usual="",
        endless="until somebody ends it",
    )


class ActionMenu(ModalScreen[None]):
    """Lists every choice for `item`; one that cannot be taken says why. A letter or Enter opens the plan."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"take('{name}')", name, id=name, show=False) for key, name in _KEYS),
        Binding("j", "app.simulate_key('down')", "down", id="down", show=False),
        Binding("k", "app.simulate_key('up')", "up", id="up", show=False),
        Binding("escape,q,backspace,x", "back", "back", id="menu.back", show=False),
        Binding("up,down,home,end,pageup,pagedown,tab,shift+tab", "no_other", "move", id="menu.no_other", show=False),
        Binding("exclamation_mark", "arm", "arm or disarm a protected context", id="arm", show=False),
        *panel_keys("app."),
    ]
    DEFAULT_CSS = """
    ActionMenu {
        align: center middle;
        #box {
            width: 76; max-width: 100%; height: auto; max-height: 90%;
            border: round $foreground 60%; border-title-color: $foreground; padding: 0 1; background: $surface;
        }
        #box.-ascii { border: ascii $foreground 60%; }
        #choices { height: auto; max-height: 16; border: none; padding: 0; background: transparent; }
        #choices > .option-list--option { padding: 0; }
        #why { margin-bottom: 1; }
        #said { margin-top: 1; }
        OptionList { scrollbar-size-vertical: 1; }
    }
    """

    app: Host

    def __init__(self, session: Session, item: Item | Action | Silence, *, alike: int = 1) -> None:
        super().__init__()
        self._alike = alike
        self.session = session
        self.item = item
        self.choices: list[Choice] = []
        self._width = 0

    def compose(self) -> ComposeResult:
        armed(self.app, self.session)  # asking brings the session in step with the app, whose word counts
        self.choices = choices(self.item, self.session, alike=self._alike)
        self._width = self.app.size.width
        with Vertical(id="box"):
            yield Paragraphs(2, id="why")
            yield Options(*(Option(self._line(choice), id=choice.id) for choice in self.choices), id="choices")
            yield Paragraphs(2, id="said")

    def on_mount(self) -> None:
        of = symbols(self.app)
        box = self.query_one("#box")
        box.set_class(of.arrow == "->", "-ascii")
        box.border_title = Content(f"{name_of(self.item)}{times(self._alike, of)}")
        box.border_subtitle = Content("Enter plans it   q back")
        if not self.choices:
            self.query_one("#said", Paragraphs).show([row("", "there is nothing to do with this from here", MUTED)])
        self.query_one("#why", Paragraphs).show(row("", words, MUTED) for words in self._why())
        listed = self.query_one(OptionList)
        listed.display = bool(self.choices)
        listed.highlighted = next((n for n, choice in enumerate(self.choices) if not choice.reason), 0)

    def on_resize(self, event: Resize) -> None:
        """Lines are made for the width that there is."""
        listed = self.query_one(OptionList)
        for number, choice in enumerate(self.choices) if event.size.width != self._width else ():
            listed.replace_option_prompt_at_index(number, self._line(choice))
        self._width = event.size.width

    def _line(self, choice: Choice) -> Content:
        """A choice, and below it, quieter, why it can not be taken where that is not said above of several."""
        style = MUTED if choice.reason else ""
        width = min(WIDTH, self.app.size.width) - 4
        cut = symbols(self.app).ellipsis
        label = f"\n{LEAD}".join(wrapped(choice.label, width - len(LEAD), MOST_LINES, cut))
        line = Content.assemble((f"{choice.key or ' '}  ", "bold" if not choice.reason else MUTED), (label, style))
        own = "" if choice.reason in self._shared else choice.reason
        for text in filter(None, (own, choice.note)):
            for part in wrapped(text, width - len(BELOW), MOST_LINES, cut):
                line = Content.assemble(line, f"\n{BELOW}", (part, MUTED))
        return line

    def _why(self) -> list[str]:
        """What several have in common that can not be taken: `e, u: nothing silences it`; of all of them only that."""
        found = []
        for reason in self._shared:
            keys = [choice.key for choice in self.choices if choice.reason == reason and choice.key]
            of_all = all(choice.reason == reason for choice in self.choices)
            found.append(reason if of_all else f"{', '.join(keys)}: {reason}")
        return found

    @property
    def _shared(self) -> list[str]:
        """Why several can not be taken."""
        reasons = Counter(choice.reason for choice in self.choices if choice.reason)
        return [reason for reason, times in reasons.items() if times > 1]

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_take(event.option_id or "")

    def action_take(self, name: str) -> None:
        """Open what the choice leads to, or say why it cannot be taken."""
        choice = next((choice for choice in self.choices if choice.id == name), None)
        if choice is None:
            return
        if choice.reason:
            of = symbols(self.app)
            self.query_one("#said", Paragraphs).show([row(mark("block", of), choice.reason, style_of("block"))])
        elif choice.pauses and isinstance(self.item, PipelineRun):
            self._pause(self.item)
        elif (screen := screen_of(choice, self.item, self.session, self.app.open_plan)) is not None:
            self._go(screen)

    def _lost(self, error: Refused | BackendError) -> None:
        self.query_one("#said", Paragraphs).show(refusal(error, symbols(self.app)))

    @work(exclusive=True, then="Choose it again.", lost=_lost)
    async def _pause(self, run: PipelineRun) -> None:
        try:
            info = await self.session.adapters.of(PIPELINES, run.backend).pipeline(run.pipeline)
        except (Refused, BackendError) as error:
            if self.is_current:
                self._lost(error)
            return
        kind = "unpause" if info.paused else "pause"
        request = Request(kind=kind, service=f"{run.backend}/{run.pipeline}")
        self._go(PlanScreen(self.session, request))

    def _go(self, screen: Screen[None]) -> None:
        if self.is_current:
            self.app.switch_screen(screen)

    def on_key(self, event: Key) -> None:
        """Nothing lies beneath that would say it of a key that means nothing here."""
        if event.key not in self.active_bindings:
            event.stop()
            shown = event.character if event.is_printable and event.character else event.key
            self._say(f"{shown} is no choice of this menu; Esc goes back")

    async def action_arm(self) -> None:
        """Arm or disarm, and say anew what can be done: the menu itself says that this key arms."""
        await self.run_action("app.arm")
        if self.is_current:
            self.app.switch_screen(ActionMenu(self.session, self.item, alike=self._alike))

    def action_no_other(self) -> None:
        """After a list that has not moved."""
        self._say("there is no other choice")

    def _say(self, text: str) -> None:
        self.query_one("#said", Paragraphs).show([row("", text, MUTED)])

    def action_back(self) -> None:
        """Close the menu."""
        leave(self)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "take" or any(choice.id in parameters for choice in self.choices)
