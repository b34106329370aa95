"""The palette: type what you want, Enter does it. What works here and now, and what is on the screen, by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen
from textual.widgets import Input

from console.ports.table import PORTS, port_of
from console.screens.choice import Choice
from console.screens.choices import choices
from console.screens.everywhere import is_written_on
from console.screens.host import leave
from console.screens.menu import name_of
from console.screens.overview import Overview
from console.screens.prompt import TextLine
from panels.columns import Cell, Column, Kind, Moment
from panels.listing import Listing
from panels.themes import THEMES

if TYPE_CHECKING:
    from console.screens.host import Host

_HIDDEN = (
    "palette", "list.up", "list.down", "list.page", "list.first", "list.last", "list.open", "logs.up", "logs.down",
    "logs.page", "panel.", "prompt.",
)  # fmt: skip
MOST_ORDERED = 300  # things of a panel whose orders are listed; the others are opened first


class Command(Struct, frozen=True):
    """Something that can be asked for: an action of a node, an item to open, an order to it (`choice`)."""

    order: int
    words: str
    key: str
    action: str = ""
    node: Any = None
    item: Any = None
    choice: Choice | None = None

    @property
    def text(self) -> str:
        """What is searched in."""
        return self.words if self.choice is None else f"{self.words} {self.choice.id}"


def _words(command: Command, _: Moment) -> Cell:
    return Cell(command.words, "muted" if command.choice is not None and command.choice.reason else "")


COMMANDS: Kind[Command] = Kind(
    name="commands",
    columns=(
        Column(title="", cell=_words, min_width=20, max_width=80, flex=True),
        Column(title="", cell=lambda command, _: Cell(command.key, "muted"), max_width=12, align="right"),
    ),
    key=lambda command: str(command.order),
    health=lambda _: "ok",
    sort_key=lambda command: command.order,
    text=lambda command: command.text,
    fields=lambda _: {},
    empty="Nothing to do here",
)


class Palette(ModalScreen[Command], inherit_bindings=False):
    """Commands of the screen below, narrowed while typing."""

    AUTO_FOCUS = "Input"
    DEFAULT_CSS = """
    Palette { align: center top; background: $background 60%; }
    Palette > Vertical {
        width: 76; max-width: 100%; height: 20; max-height: 90%; margin-top: 2; padding: 0 1;
        border: round $border; background: $background;
    }
    Palette.-ascii > Vertical { border: ascii $border; }
    Palette Input, Palette Input:focus { border: none; height: 1; padding: 0 1; background: $panel; margin-bottom: 1; }
    Palette Listing { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", id="palette.back", key_display="Esc"),
        Binding("down", "move(1)", "down", id="palette.down", show=False, priority=True),
        Binding("up", "move(-1)", "up", id="palette.up", show=False, priority=True),
    ]

    app: Host

    def __init__(self, below: Screen[Any]) -> None:
        super().__init__()
        self._below = below
        self._commands = commands_of(below)
        self._list = Listing(COMMANDS)
        self._list.opened = self._choose
        self._narrowed_to = ""
        hint = "what to do, or a name"
        self._typed = TextLine(placeholder=hint, entered=self._enter, left=self.action_back)

    def compose(self) -> ComposeResult:
        with Vertical():
            yield self._typed
            yield self._list

    def on_mount(self) -> None:
        self.set_class(self.app.symbols.arrow.isascii(), "-ascii")
        self._list.always_focused = True
        self._list.apply(self._commands, Moment(self.app.now(), roomy=False, symbols=self.app.symbols))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._narrow()

    def _enter(self) -> None:
        if self._typed.value != self._narrowed_to:  # an Enter of the same read comes before its word was told
            self._narrow()
        self._list.open_current()

    def _narrow(self) -> None:
        self._narrowed_to = self._typed.value
        self._list.set_filter(self._narrowed_to)
        typed = self._narrowed_to.strip().casefold()
        called = (
            at for at, command in enumerate(self._list.items)
            if command.choice is None and command.words.casefold().startswith(typed)
        )  # fmt: skip
        self._list.move_to(next(called, 0))

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:
            self.action_back()

    def action_move(self, by: int) -> None:
        self._list.action_move(by)

    def action_back(self) -> None:
        self._choose(None)

    def _choose(self, command: Command | None) -> None:
        leave(self, command)


def _titled(panel: str) -> str:
    port = PORTS.get(panel)
    return port.place.title.lower() if port is not None and port.place is not None else panel


def commands_of(screen: Screen[Any]) -> list[Command]:
    """What the keys of `screen` do, then the things that it shows."""
    found: dict[str, tuple[str, str, str, DOMNode]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        name = binding.id or binding.action
        if binding.description and active.enabled and not name.startswith(_HIDDEN):
            found.setdefault(name, (binding.tooltip or binding.description, binding.key, binding.action, active.node))
    commands = [
        Command(order, words, screen.app.get_key_display(Binding(key, "")), action, node)
        for order, (words, key, action, node) in enumerate(found.values())
    ]
    commands.append(Command(len(commands), "silences: what keeps alerts quiet", "", "app.silences", screen))
    query = "insights: a query of the logs in their own language, paid by what it scans"
    commands.append(Command(len(commands), query, "", "app.insights", screen))
    for name in THEMES:
        commands.append(Command(len(commands), f"theme {name}", "", f"app.look('{name}')", screen))
    below = screen.app.screen_stack[0]
    if isinstance(below, Overview) and not is_written_on(screen.app.screen_stack):
        commands += [
            Command(len(commands) + at, f"{_titled(name)} alone", "", f"app.panel('{name}')", screen)
            for at, name in enumerate(below.board.alone)
        ]
        things = [
            (f"{listing.kind.name.removesuffix('s')} {title_of(listing.kind.item(row))}", listing.kind.item(row))
            for listing in below.board.listings()
            for row in listing.rows.everything()
        ]
        things += [(f"cause {cause.likely.text}", cause) for cause in below.board.causes() if len(cause.members) > 1]
        commands += [Command(len(commands) + at, words, "open", item=item) for at, (words, item) in enumerate(things)]
        commands += _orders(below, len(commands))
    return commands


def _orders(overview: Overview, first: int) -> Iterator[Command]:
    """Every order of the menus of what the overview shows, by name."""
    session = overview.app.session
    things: list[tuple[Any, int]] = [(action, 1) for action in overview.open_actions]
    for listing in overview.board.listings():
        rows = listing.rows.everything()[:MOST_ORDERED]
        things += [(listing.kind.item(row), listing.kind.amount(row)) for row in rows]
    for item, alike in things:
        for choice in choices(item, session, alike=alike):
            words = f"{name_of(item)}: {choice.label}"
            words = f"{words} ({choice.reason})" if choice.reason else words
            yield Command(first, words, "" if choice.reason else "plan", item=item, choice=choice)
            first += 1


def title_of(item: Any) -> str:
    """What an item is called."""
    port = port_of(item)
    return port.reading.title(item) if port is not None and port.reading is not None else ""
