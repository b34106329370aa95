"""Every theme can be read: text by its contrast where colors are ours, by symbol and weight where they are not."""

from itertools import product
from typing import get_args

import pytest
from rich.color import ColorType
from rich.style import Style
from textual.color import Color
from textual.theme import Theme

from console.app import TealApp
from console.config.model import ThemeName
from console.screens.palette import commands_of
from panels.lines import Lines
from panels.theme import styles_of
from panels.themes import DEFAULT, THEMES
from tests.console.fakes import NOW, FakeContext, incident

READABLE = 4.5
ON_CURSOR = 3.0  # bold or large, and for the one row that is looked at
OURS = [theme for theme in THEMES.values() if not theme.ansi]
TEXTS = ("foreground", *(f"text-{tone}" for tone in ("muted", "error", "warning", "accent", "primary", "secondary")))
GROUNDS = ("background", "surface")


def luminance(color: Color) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    channels = [channel / 255 for channel in color.rgb]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """1 to 21."""
    dark, light = sorted(luminance(Color.parse(color)) for color in (one, other))
    return (light + 0.05) / (dark + 0.05)


def variables(theme: Theme) -> dict[str, str]:
    return theme.to_color_system().generate() | theme.variables


def test_the_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", OURS, ids=lambda theme: theme.name)
def test_every_text_is_readable_on_every_ground(theme: Theme) -> None:
    found = variables(theme)
    pairs = [*product((*TEXTS, "text-success"), GROUNDS), ("block-cursor-foreground", "block-cursor-background")]
    poor = {pair: contrast(found[pair[0]], found[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < READABLE} == {}
    protected = Color.parse(found["background"]).blend(Color.parse(found["error"]), 0.22).hex
    assert contrast(found["text-error"], protected) >= READABLE
    on_cursor = {text: contrast(found[text], found["block-cursor-background"]) for text in TEXTS}
    assert {text: ratio for text, ratio in on_cursor.items() if ratio < ON_CURSOR} == {}


@pytest.mark.parametrize("theme", OURS, ids=lambda theme: theme.name)
def test_states_differ_from_each_other(theme: Theme) -> None:
    found = variables(theme)
    assert len({found[f"text-{tone}"] for tone in ("error", "warning", "accent", "muted")}) == 4


def test_ansi_uses_the_colors_of_the_terminal_and_mono_none() -> None:
    ansi, mono = (styles_of(variables(THEMES[name])) for name in ("ansi", "mono"))
    for tone in ("critical", "warning", "unknown", "blue", "green"):
        color, plain = ansi.of[tone].color, mono.of[tone].color
        assert color is not None
        assert color.type is ColorType.STANDARD
        assert plain is None
    assert mono.of["critical"].bold
    assert mono.cursor.color != mono.cursor.bgcolor


def test_a_config_names_exactly_these() -> None:
    assert set(get_args(ThemeName)) - {""} == set(THEMES)


def _default(style: Style) -> bool:
    return style.color is None or style.color.is_default


@pytest.mark.parametrize("name", ["", *THEMES])
async def test_the_console_wears_what_the_config_names(name: str) -> None:
    app = TealApp(incident(FakeContext(theme=name)), now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.1)
        assert app.theme == THEMES[name or DEFAULT].name
        assert "DataQualityDegradation" in app.export_screenshot()
        await pilot.press("3")
        await pilot.pause(0.1)
        drawn = [
            (segment.text, segment.style)
            for lines in app.screen.query(Lines)
            for y in range(lines.size.height)
            for segment in lines.render_line(y)
            if segment.text.strip() and segment.style
        ]
        hidden = [text for text, style in drawn if style.color == style.bgcolor and not _default(style)]
        assert drawn
        assert hidden == []


async def test_the_palette_changes_it() -> None:
    app = TealApp(incident(), now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.1)
        offered = [command.words for command in commands_of(app.screen) if command.words.startswith("theme ")]
        assert offered == [f"theme {name}" for name in THEMES]
        await pilot.press("colon", *"theme light", "enter")
        await pilot.pause(0.1)
        assert app.theme == THEMES["light"].name


@pytest.mark.parametrize("name", ["dark", "light", "color-blind"])
def test_a_scrollbar_has_no_hue_for_hue_means_a_state(name: str) -> None:
    told = THEMES[name].variables
    for part in ("scrollbar", "scrollbar-background", "scrollbar-corner-color"):
        red, green, blue = Color.parse(told[part]).rgb
        assert max(red, green, blue) - min(red, green, blue) < 40, part
