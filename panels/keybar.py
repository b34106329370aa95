"""The last line: the keys that do something here and now, also on what lies over it; for a moment, what there is to say
instead of a toast."""

from textual.binding import Binding
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Input

from panels.columns import Cell, Line, Tone, crop, line_width
from panels.lines import Lines
from panels.links import urls
from panels.words import UNICODE, Symbols

SAID_S = 6.0
ALARM_S = 1.0
_GENERAL = ("zoom.1", "filter", "palette", "help")
_NEVER_LEFT_OUT = "help"


class KeyBar(Lines):
    """Drawn from the active bindings, so that a remapped key is shown as it is. `order` by id, then others, then those
    that work everywhere; what has no room is left out, the key of the help never."""

    DEFAULT_CSS = "KeyBar { height: 1; }"

    def __init__(self, order: tuple[str, ...] = (), *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._order = order
        self.plain = False
        self._keys: list[tuple[str, Line]] = []
        self._said: Line = []
        self._alarm = ""
        self._timer: Timer | None = None

    def on_mount(self) -> None:
        symbols = getattr(self.app, "symbols", UNICODE)
        self.plain = isinstance(symbols, Symbols) and symbols.arrow.isascii()
        self.cut = "~" if self.plain else "…"
        self.screen.bindings_updated_signal.subscribe(self, self._read)
        self.app.screen_change_signal.subscribe(self, self._on_top)
        self.call_after_refresh(self._read, self.screen)
        if self.screen is not self.app.screen_stack[0]:  # which has the strip
            self._ask_alarm()
            self.set_interval(ALARM_S, self._ask_alarm)

    def _ask_alarm(self) -> None:
        """What wants a person is told on every page: the strip lies beneath."""
        alarm = getattr(self.app, "alarm", "")
        if alarm != self._alarm:
            self._alarm = alarm
            self.repaint()

    def say(self, text: str, tone: Tone = "strong") -> None:
        """Say something for a few seconds."""
        self._said = linked(text, tone)
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(SAID_S, self.hush)
        self.repaint()

    def hush(self) -> None:
        """Show the keys again."""
        self._said = []
        self.repaint()

    @property
    def text(self) -> str:
        """What it shows."""
        return "".join(cell.text for cell in self.line(0))

    def line(self, y: int) -> Line:
        if self._said:
            return [Cell(" "), *self._said]
        line: Line = []
        if self._alarm:
            told = crop(self._alarm, self.size.width // 2, self.cut)
            line = [Cell(" "), Cell(told, "critical"), Cell(" ")]
        room = self.size.width - 1 - line_width(line)
        kept = sum(line_width(pair) + 2 for name, pair in self._keys if name == _NEVER_LEFT_OUT) - 2
        for name, pair in self._keys:
            wide = line_width(pair) + 2
            if name == _NEVER_LEFT_OUT or wide <= room - kept:
                line += [Cell("  " if line else " "), *pair]
                room -= wide
            kept -= wide if name == _NEVER_LEFT_OUT else 0
        return line

    def _on_top(self, screen: Screen[object]) -> None:
        """What lies over this screen and has no such line takes the keys: so they are told here."""
        if screen is not self.screen:
            if not screen.is_modal or screen.query(KeyBar):
                return
            screen.bindings_updated_signal.subscribe(self, self._read)
        self.call_after_refresh(self._read, screen)

    def _read(self, screen: Screen[object]) -> None:
        if not self.is_attached or (screen is not self.app.screen and self.app.screen.is_modal):
            return
        shown: dict[str, Binding] = {}
        typing = isinstance(screen.focused, Input)
        for active in screen.active_bindings.values():
            binding = active.binding
            if typing and len(self.app.get_key_display(Binding(binding.key, ""))) == 1:
                continue  # it would be written into the field
            if binding.show and active.enabled and binding.description:
                shown.setdefault(binding.id or binding.action, binding)
        self._keys = []
        for name in sorted(shown, key=self._rank):
            key = self.app.get_key_display(shown[name])
            said = Cell("Enter" if key == "⏎" and self.plain else key, "strong")
            self._keys.append((name, [said, Cell(f" {shown[name].description}", "muted")]))
        self.repaint()

    def _rank(self, name: str) -> tuple[int, int]:
        if name in _GENERAL:
            return 2, _GENERAL.index(name)
        return (0, self._order.index(name)) if name in self._order else (1, 0)


def linked(text: str, tone: Tone = "") -> Line:
    """The text in pieces, its URLs as links."""
    cells, at = [], 0
    for link in urls(text):
        cells += [Cell(text[at : link.start], tone), Cell(text[link.start : link.end], tone, link.target)]
        at = link.end
    return [*cells, Cell(text[at:], tone)]
