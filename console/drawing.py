"""How the console is drawn: its theme, and what the terminal can not show."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.filter import LineFilter, Monochrome, NoColor
from textual.reactive import Initialize, Reactive
from textual.widget import Widget

from console.screens.host import Host
from panels.ascii import AsciiOnly
from panels.clusters import ByFirst
from panels.colorless import Colorless
from panels.links import NoLinks
from panels.themes import THEMES, default_theme
from panels.words import Symbols

if TYPE_CHECKING:
    from textual.driver import Driver
    from textual.theme import Theme

    from console.session import Session

_KEY_WORDS = {"⏎": "Enter", "↑": "Up", "↓": "Down", "←": "Left", "→": "Right", "⇥": "Tab", "⌫": "Backspace"}


class Drawing(Host):
    """An app that is drawn in one of our themes. `links`: whether the terminal takes links (OSC 8)."""

    def __init__(
        self, session: Session, *, symbols: Symbols, links: bool, driver_class: type[Driver] | None = None
    ) -> None:
        self.session = session
        self.symbols = symbols
        self._plainly: list[LineFilter] = [ByFirst(), *([AsciiOnly()] if symbols.arrow.isascii() else [])]
        self._plainly += [] if links else [NoLinks()]
        super().__init__(driver_class=driver_class)
        self._plainly += [Colorless()] if self.no_color else []

    def _theme_at_first(self) -> str:
        named = self.session.context.theme or default_theme(os.environ)
        return THEMES["mono" if "NO_COLOR" in os.environ else named].name

    # Known before anything is styled: with one that is set later all is parsed and styled a second time.
    theme: Reactive[str] = Reactive(Initialize(_theme_at_first))

    @property
    def available_themes(self) -> dict[str, Theme]:
        """Ours, and no other."""
        return {theme.name: theme for theme in THEMES.values()}

    def draw_all(self, _: Theme) -> None:
        """What is drawn by tones has no style that a theme could change: no widget knows by itself that it is drawn
        in the colors of the theme before."""
        for screen in self.screen_stack:
            for widget in screen.walk_children(Widget, with_self=True):
                widget.notify_style_update()  # a list keeps its lines as they were drawn
                widget.refresh()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Where there is only ASCII, no link or no color, nothing else gets through, whichever widget drew it."""
        own = (each for each in super().get_line_filters() if not isinstance(each, Monochrome | NoColor))
        return [*own, *self._plainly]

    def get_key_display(self, binding: Binding) -> str:
        """The name of a key, in ASCII where nothing else is shown."""
        shown = super().get_key_display(binding)
        return _KEY_WORDS.get(shown, shown) if self.symbols.arrow.isascii() else shown

    def action_look(self, name: str) -> None:
        """Take on the theme of that name, until the console is left; `theme` in the config keeps it. Without color
        there is but one."""
        self.theme = THEMES["mono" if self.no_color else name].name
