"""Pictures that terminals draw in different widths are drawn by their first character, which all draw alike.

A family joined of four, a thumb with a skin, a heart told to be a picture: tmux 3.3 takes 2, 4 and 1 cells for what is
measured, as by Unicode, in two. A row with one would push the edge of its panel out, or pull it in.
"""

from functools import lru_cache

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from panels.widths import display_width, graphemes

# Joiner, picture sign, key cap, skins.
_JOINED = frozenset("\u200d\ufe0f\u20e3\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")


@lru_cache(4096)
def by_first(text: str) -> str:
    """`text` without what is joined to a picture, as wide as before. Letters keep what is joined to them."""
    return "".join(map(_by_first, graphemes(text)))


def _by_first(grapheme: str) -> str:
    first, joined = grapheme[0], grapheme[1:]
    if not joined or _JOINED.isdisjoint(grapheme) or (first.isalpha() and "\ufe0f" not in joined):
        return grapheme
    return first + " " * (display_width(grapheme) - display_width(first))


class ByFirst(LineFilter):
    """For every widget, Textual's own too."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments in characters that every terminal draws as wide as they are measured."""
        return [
            Segment(by_first(segment.text), segment.style)
            if not segment.control and not segment.text.isascii() and not _JOINED.isdisjoint(segment.text)
            else segment
            for segment in segments
        ]
