"""Semantic tones as colors. Hue means state and nothing else; what is fine has none.

Only standard variables of Textual's themes are used, so that any of its themes works; ours is quiet and dark.
"""

from rich.style import Style
from textual.theme import Theme
from textual.widget import Widget

from panels.columns import Tone

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
    },
)

TONES: tuple[Tone, ...] = (
    "ok", "warning", "critical", "unknown", "running", "muted", "strong", "blue", "green", "brand", "edge", "match",
)  # fmt: skip

TONE_CLASSES = {f"tone--{tone}" for tone in TONES}

TONE_CSS = """
    .tone--warning { color: $text-warning; }
    .tone--critical { color: $text-error; text-style: bold; }
    .tone--unknown { color: $text-accent; text-style: bold; }
    .tone--muted { color: $text-muted; }
    .tone--strong { text-style: bold; }
    .tone--blue { color: $text-secondary; text-style: bold; }
    .tone--green { color: $text-success; text-style: bold; }
    .tone--match { text-style: reverse; }
    .tone--edge { color: $border; }
    .tone--brand { color: $text-primary; text-style: bold; }
"""


def tone_style(widget: Widget, tone: Tone) -> Style:
    """The style of a tone in `widget`, whose COMPONENT_CLASSES hold TONE_CLASSES; no background."""
    if not tone:
        return Style.null()
    return widget.get_component_rich_style(f"tone--{tone}", partial=True)
