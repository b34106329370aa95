"""What of a screen, or of what lies behind it, failed although nobody expected it: above all else, until it works."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from console.screens.parts import Paragraphs, mark, row, style_of, symbols


class Part(Struct, frozen=True):
    """A part that failed: what is said of it, and how it is begun again."""

    words: str
    again: Callable[[], object] | None = None


class Failed(Paragraphs):
    """The parts of one screen that failed, by name."""

    DEFAULT_CSS = "Failed { dock: top; padding: 0 1; max-height: 6; background: $surface; }"

    def __init__(self) -> None:
        super().__init__(2)
        self._parts: dict[str, Part] = {}

    def put(self, name: str, part: Part) -> None:
        """It failed."""
        self._parts[name] = part
        self._draw()

    def works(self, name: str) -> None:
        """It was done."""
        if self._parts.pop(name, None) is not None:
            self._draw()

    def again(self) -> None:
        """Begin anew what can be; what begins by itself is told again if it fails again."""
        parts, self._parts = self._parts, {}
        self._draw()
        for part in parts.values():
            if part.again is not None:
                part.again()

    def _draw(self) -> None:
        lead = mark("critical", symbols(self.app))
        said = dict.fromkeys(part.words for part in self._parts.values())
        self.show(row(lead, words, style_of("critical")) for words in said)
