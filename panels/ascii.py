"""The last thing before a terminal that cannot show more than ASCII: whatever a widget drew is written plainly."""

from functools import lru_cache

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from panels.widths import display_width, graphemes
from panels.words import PLAIN


@lru_cache(4096)
def plain(text: str) -> str:
    """`text` with the symbols of screens in ASCII, as wide as before; letters, which only data has, stay."""
    return "".join(map(_plain, graphemes(text.translate(PLAIN))))


def _plain(grapheme: str) -> str:
    kept = "".join(char for char in grapheme if char.isascii() or char.isalnum())
    return kept + "?" * (display_width(grapheme) - display_width(kept))


class AsciiOnly(LineFilter):
    """Writes symbols and boxes in ASCII, those of Textual's own widgets too."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments in plain text."""
        return [
            segment if segment.control or segment.text.isascii() else Segment(plain(segment.text), segment.style)
            for segment in segments
        ]
