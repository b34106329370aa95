"""Semantic tones as colors. Hue means state and nothing else; what is fine has none.

Only standard variables of Textual's themes are used, so that any of its themes works; ours is quiet and dark.
"""

from collections.abc import Mapping
from functools import lru_cache

from rich.color import Color as RichColor
from rich.color import ColorType
from rich.style import Style
from textual.color import Color, ColorParseError
from textual.theme import Theme

from panels.columns import Tone


def scrollbars(thumb: str, ground: str) -> dict[str, str]:
    """The colors of scrollbars: no hue, which means a state."""
    thumbs = {f"scrollbar{of}": thumb for of in ("", "-hover", "-active")}
    grounds = {f"scrollbar-{of}": ground for of in ("background", "background-hover", "background-active")}
    return {**thumbs, **grounds, "scrollbar-corner-color": ground}


TEAL = Theme(
    name="teal",
    dark=True,
    primary="#5fb8b0",
    secondary="#6cb2ff",
    accent="#d2a8ff",
    warning="#e9b44c",
    error="#ff7b72",
    success="#7ee0a1",
    foreground="#ced7e0",
    background="#0c1116",
    surface="#11181f",
    panel="#1a242e",
    variables={
        "text-muted": "#7f8d9b",
        "text-error": "#ff7b72",
        "text-warning": "#e9b44c",
        "text-accent": "#d2a8ff",
        "text-primary": "#5fb8b0",
        "text-secondary": "#6cb2ff",
        "text-success": "#7ee0a1",
        "border": "#8b9bab",
        "border-blurred": "#2f3d4a",
        "block-cursor-background": "#22303d",
        "block-cursor-foreground": "#eef3f7",
        "block-cursor-blurred-background": "#1a242e",
        "footer-background": "#0c1116",
        **scrollbars("#2f3d4a", "#0c1116"),
    },
)

# Each tone by the variable that holds its color; "" keeps that of the widget.
_TONES: dict[Tone, tuple[str, str]] = {
    "warning": ("text-warning", ""),
    "critical": ("text-error", "bold"),
    "unknown": ("text-accent", "bold"),
    "muted": ("text-muted", ""),
    "strong": ("", "bold"),
    "blue": ("text-secondary", "bold"),
    "green": ("text-success", "bold"),
    "brand": ("text-primary", "bold"),
    "match": ("", "reverse"),
    "edge": ("border-blurred", ""),
    "focused": ("border", ""),
}
_VARIABLES = tuple(name for name, _ in _TONES.values())
_CURSOR = ("block-cursor-foreground", "block-cursor-background")


class Styles:
    """The styles of all tones in one theme, worked out once: as CSS rules of each widget they cost 0.2 s at start."""

    __slots__ = ("cursor", "of", "on_cursor")

    def __init__(self, colors: tuple[str, ...], cursor: tuple[str, ...]) -> None:
        given = zip(_TONES.items(), colors, strict=True)
        self.of = {tone: _style(color, wanted=name, text_style=style) for (tone, (name, style)), color in given}
        foreground, background = (_rich(color) for color in cursor)
        self.cursor = Style(color=foreground, bgcolor=background)
        # On the cursor of a terminal's own colors neither gray nor yellow can be read: there weight has to do.
        own = background is not None and background.type is not ColorType.TRUECOLOR
        self.on_cursor = {tone: _weight(style) for tone, style in self.of.items()} if own else self.of

    def style(self, tone: Tone, *, on_cursor: bool = False) -> Style:
        """The style of a tone; none for what is fine."""
        return (self.on_cursor if on_cursor else self.of).get(tone, _NULL)


_NULL = Style.null()


def styles_of(variables: Mapping[str, str]) -> Styles:
    """The styles for a theme's variables (`App.theme_variables`)."""
    look_up = variables.get
    return _styles(tuple(look_up(name, "") for name in _VARIABLES), tuple(look_up(name, "") for name in _CURSOR))


@lru_cache(maxsize=8)
def _styles(colors: tuple[str, ...], cursor: tuple[str, ...]) -> Styles:
    return Styles(colors, cursor)


def _style(color: str, *, wanted: str, text_style: str) -> Style:
    found = _rich(color)
    # A theme may leave a text color to be worked out against each background ("auto 60%"): dim says the same. The
    # terminal's own color is left out: under the cursor it would be that of another ground.
    dim = bool(wanted) and found is None
    own = None if found is None or found.is_default else found
    return Style(color=own, bold=text_style == "bold" or None, reverse=text_style == "reverse" or None, dim=dim or None)


def _weight(style: Style) -> Style:
    return Style(bold=style.bold, reverse=style.reverse)


def _rich(color: str) -> RichColor | None:
    if not color:
        return None  # before a theme is known; `parse` would look for names that are near to nothing
    try:
        return Color.parse(color).rich_color
    except ColorParseError:
        return None
