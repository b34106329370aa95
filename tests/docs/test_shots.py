"""The pictures of docs/screens show what the console shows now: whoever changes a screen runs `make shots`."""

import difflib
import re

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Static

from docs.seeded import still
from docs.shots import PLACE, SHOTS, SIZES, index, path_of, taken
from docs.svg import compact, text_of
from panels.themes import DEFAULT, THEMES
from tests.panels.test_themes import contrast

pytestmark = pytest.mark.xdist_group("shots")
IN_EACH_THEME = ("overview", "plan")
MOST_BYTES = 3_000_000
READABLE_DIM = 3.0  # what Rich makes of a terminal's dim text on its own ground has 4.1


@pytest.mark.parametrize(
    ("size", "themes", "names"),
    [
        *((size, (DEFAULT,), tuple(SHOTS)) for size in SIZES),
        (SIZES[0], tuple(name for name in THEMES if name != DEFAULT), IN_EACH_THEME),
    ],
)
async def test_a_picture_shows_what_the_console_shows(
    size: tuple[int, int], themes: tuple[str, ...], names: tuple[str, ...]
) -> None:
    found = []
    with still() as clock:
        async for name, theme, svg in taken(clock, size, themes, names):
            path = path_of(name, size, theme)
            before = path.read_text(encoding="utf-8") if path.exists() else ""
            if before != svg:
                was, now = text_of(before).split("\n"), text_of(svg).split("\n")
                changes = [
                    line
                    for line in difflib.unified_diff(was, now, lineterm="", n=0)
                    if line[:2] not in ("--", "++", "@@")
                ]
                found.append("\n".join([f"{path.relative_to(PLACE)}:", *(changes or ["only colors"])]))
    assert not found, "run `make shots` and look at the pictures:\n" + "\n".join(found)


def test_every_screen_has_its_pictures_and_nothing_else_is_there() -> None:
    wanted = {path_of(name, size, theme) for name in SHOTS for size in SIZES for theme in THEMES}
    assert set(PLACE.rglob("*.svg")) == wanted
    assert (PLACE / "README.md").read_text(encoding="utf-8") == index()
    assert sum(path.stat().st_size for path in wanted) < MOST_BYTES


class Page(App[None]):
    """Wide characters, markup of SVG, and styles."""

    def compose(self) -> ComposeResult:
        yield Static("a <b> & 漢字 [bold]loud[/] end", markup=True)


async def test_a_picture_is_the_text_of_the_screen_without_ids_fonts_or_addresses() -> None:
    app = Page()
    async with app.run_test(size=(40, 4)):
        svg = compact(app.export_screenshot(simplify=True), 40, 4)
        assert svg == compact(app.export_screenshot(simplify=True), 40, 4)
    assert re.search(r"a <b> & 漢字\s+loud end", text_of(svg).replace("  ", " "))
    assert "<b>" not in svg
    for absent in ("http://", "https://", "terminal-", "font-face", "clip-path"):
        assert absent not in svg.replace('xmlns="http://www.w3.org/2000/svg"', "")


@pytest.mark.parametrize("theme", THEMES)
def test_the_text_of_a_picture_can_be_read(theme: str) -> None:
    """In the themes of the terminal's own colors the cursor's ground was once taken for that of the page."""
    for size in SIZES:
        svg = path_of("overview", size, theme).read_text(encoding="utf-8")
        words = re.search(r"text\{[^}]*fill: (#\w{6})", svg)
        ground = re.search(r'<rect fill="(#\w{6})" x="-8"', svg)
        assert words
        assert ground
        assert contrast(words[1], ground[1]) >= READABLE_DIM
