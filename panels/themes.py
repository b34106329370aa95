"""The themes by the names that a config gives them. State is never hue alone: each has a symbol and a word as well.

`dark`, `light` and `color-blind` are readable as text (WCAG 4.5:1); `ansi` uses the 16 colors of the terminal, `mono`
none at all, for terminals whose own colors are the readable ones.
"""

from collections.abc import Mapping

from textual.theme import Theme

from panels.theme import TEAL, scrollbars

_ANSI = "ansi_default"


def _rgb(name: str, *, dark: bool, surfaces: tuple[str, str, str], text: tuple[str, str], **tones: str) -> Theme:
    """`surfaces`: background, surface, panel; `text`: foreground, muted; the tones by their name in Textual."""
    background, surface, panel = surfaces
    foreground, muted = text
    return Theme(
        name=name,
        dark=dark,
        background=background,
        surface=surface,
        panel=panel,
        foreground=foreground,
        **tones,  # type: ignore[arg-type]  # mypy holds them against the flags, too
        variables={
            "text-muted": muted,
            **{f"text-{tone}": color for tone, color in tones.items()},
            "border": "#8b9bab" if dark else "#5a6773",
            "border-blurred": "#2f3d4a" if dark else "#c3ccd4",
            "block-cursor-background": "#22303d" if dark else "#dfe7ee",
            "block-cursor-foreground": "#eef3f7" if dark else "#10181f",
            "block-cursor-blurred-background": panel,
            "footer-background": background,
            **scrollbars("#2f3d4a" if dark else "#c3ccd4", background),
        },
    )


LIGHT = _rgb(
    "teal-light", dark=False, surfaces=("#fbfcfd", "#f3f6f8", "#e8edf1"), text=("#1c2731", "#56636f"),
    primary="#0f655e", secondary="#0b57a4", accent="#7338b8", warning="#7d5000", error="#ad211a", success="#17672f",
)  # fmt: skip
# The palette of Okabe and Ito, lightened for a dark ground: no two states differ by red against green alone.
COLOR_BLIND = _rgb(
    "teal-color-blind", dark=True, surfaces=("#0c1116", "#11181f", "#1a242e"), text=("#ced7e0", "#7f8d9b"),
    primary="#5fb8b0", secondary="#56b4e9", accent="#e3a3c9", warning="#f0e442", error="#ff8c42", success="#3fcfa4",
)  # fmt: skip


def _terminal(name: str, cursor: str, text_on_cursor: str, **tones: str) -> Theme:
    """Drawn on the terminal's own ground."""
    return Theme(
        name=name, dark=True, ansi=True, background=_ANSI, surface=_ANSI, panel=_ANSI, boost=_ANSI, foreground=_ANSI,
        **tones,  # type: ignore[arg-type]  # mypy holds them against the flags, too
        variables={
            "ansi-background": "ansi_black",
            "ansi-foreground": "ansi_white",
            "border": _ANSI,
            "border-blurred": "ansi_bright_black",
            "block-cursor-background": cursor,
            "block-cursor-foreground": text_on_cursor,
            "block-cursor-blurred-background": _ANSI,
            "input-cursor-background": "ansi_white",
            "input-cursor-foreground": "ansi_black",
            "input-cursor-text-style": "none",
            "footer-background": _ANSI,
            "link-color": _ANSI,
            **scrollbars("ansi_bright_black", _ANSI),
        },
    )  # fmt: skip


ANSI = _terminal(
    "teal-ansi", "ansi_white", "ansi_black", primary="ansi_cyan", secondary="ansi_bright_blue",
    accent="ansi_bright_magenta", warning="ansi_yellow", error="ansi_bright_red", success="ansi_green",
)  # fmt: skip
MONO = _terminal(
    "teal-mono", "ansi_white", "ansi_black",
    **dict.fromkeys(("primary", "secondary", "accent", "warning", "error", "success"), _ANSI),
)  # fmt: skip

DEFAULT = "dark"
_SIXTEEN_COLORS = ("linux", "ansi", "cons25", "xterm-16color", "screen-16color")
THEMES: dict[str, Theme] = {DEFAULT: TEAL, "light": LIGHT, "color-blind": COLOR_BLIND, "ansi": ANSI, "mono": MONO}


def default_theme(environ: Mapping[str, str]) -> str:
    """The theme where none is configured: `ansi` on a terminal of sixteen colors, which would make white of GREEN."""
    few = environ.get("TERM", "") in _SIXTEEN_COLORS and not environ.get("COLORTERM")
    return "ansi" if few else DEFAULT
