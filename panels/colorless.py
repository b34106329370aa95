"""NO_COLOR: weight, dimness and reverse say what hue would; no color is written, not even a gray.

Textual turns hues into their grays: a critical red becomes darker than what is well.
"""

from functools import lru_cache

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

_NONE = Style.from_color(RichColor.default(), RichColor.default())


@lru_cache(1024)
def colorless(style: Style) -> Style:
    """The style without its colors; a ground of its own, as that of a cursor, is reversed instead."""
    raised = style.bgcolor is not None and not style.bgcolor.is_default
    return style + _NONE + Style(reverse=bool(style.reverse) != raised)


class Colorless(LineFilter):
    """Takes the colors away, whichever widget drew them."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments in the colors of the terminal."""
        return [
            Segment(text, None if style is None else colorless(style), control) for text, style, control in segments
        ]
