"""One measure of text in a terminal: it agrees with the screen's, and where that differs columns still line up."""

from datetime import UTC, datetime

import pytest
import wcwidth
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.geometry import Region

from backends.text import clean
from console.printing.output import table
from panels.ascii import plain
from panels.clusters import by_first
from panels.columns import Cell, Column, Line, Moment, crop, fit, line_width, pad, row, text_of
from panels.lines import Lines, sides
from panels.loglines import folded
from panels.widths import _NARROW, beginning, display_width, graphemes

MOMENT = Moment(datetime(2026, 8, 24, tzinfo=UTC))
# What people write, a grapheme each: Textual counts all of it as terminals do.
WRITTEN = [
    *"aZ 0-_.éßøΩжд…✓▲✗◌▶→─╭█漢字かカ한ㅎ，。ﷺאبท🔥✅", "e\u0301", "n\u0303", "ท\u0e35\u0e48", "한",
    "👩‍💻", "👨‍👩‍👧‍👦", "👍🏽", "❤️", "☎️", "1️⃣", "🇩🇪", "🏴‍☠️", "🏳️‍🌈",
]  # fmt: skip
# What Rich counts otherwise than terminals draw: vowel signs, a text picture, half a flag, a lone skin tone.
ODD = ["कि", "नी", "ষি", "ம்", "⌚︎", "🇩", "🏽"]
TEXTS = st.lists(st.sampled_from(WRITTEN), max_size=30).map("".join)
ANY = st.lists(st.sampled_from([*WRITTEN, *ODD]) | st.characters(), max_size=30).map("".join).map(clean)


def test_the_characters_that_are_not_looked_up_take_one_cell_each() -> None:
    assert {char for char in _NARROW if wcwidth.wcwidth(char) != 1} == set()
    assert display_width("".join(_NARROW)) == len(_NARROW)


@pytest.mark.parametrize(
    ("text", "cells"),
    [("👩‍💻", 2), ("👨‍👩‍👧‍👦!", 3), ("🇩🇪", 2), ("👍🏽", 2), ("❤️", 2), ("漢字", 4), ("e\u0301", 1), ("कि", 2), ("", 0)],
)
def test_a_grapheme_takes_what_is_drawn_of_it(text: str, cells: int) -> None:
    assert display_width(text) == cells


@given(TEXTS)
def test_the_screen_counts_what_people_write_as_we_do(text: str) -> None:
    assert display_width(text) == cell_len(text) == wcwidth.wcswidth(text)


@given(ANY, st.integers(0, 40))
def test_text_is_cut_and_padded_to_its_cells(text: str, width: int) -> None:
    start = beginning(text, width)
    assert text.startswith(start)
    assert display_width(start) <= width
    assert [*graphemes(start)] == [*graphemes(text)][: len([*graphemes(start)])], "no grapheme is cut in two"
    assert display_width(crop(text, width)) <= width
    assert display_width(pad(text, width)) == width
    assert display_width(plain(text)) == display_width(text)


@given(ANY, st.integers(3, 20), st.integers(3, 20))
def test_a_folded_text_is_whole_and_no_piece_is_too_wide(text: str, first: int, others: int) -> None:
    pieces = folded(text, first, others)
    assert all(display_width(piece) <= (others if number else first) for number, piece in enumerate(pieces))
    assert "".join("".join(pieces).split()) == "".join(text.split())


NAMES = ["plain", "漢字テスト", "👩‍💻 deploys", "e\u0301te\u0301", "हिन्दी कि", "⌚︎ watch", "🇩 half", "👨‍👩‍👧‍👦" * 12]


def test_tables_line_up_whatever_is_in_them() -> None:
    for name, line in zip(NAMES, table([[name, "|"] for name in NAMES], headers=["NAME", "X"])[1:], strict=True):
        assert line.startswith(name)
        assert wcwidth.wcswidth(line.removesuffix("|")) == wcwidth.wcswidth(NAMES[-1]) + 2


class Rows(Lines):
    DEFAULT_CSS = "Rows { height: 1fr; width: 1fr; }"

    def line(self, y: int) -> Line:
        columns: list[Column[str]] = [
            Column(title="NAME", cell=lambda name, _: Cell(name), max_width=12),
            Column(title="X", cell=lambda _, __: Cell("|")),
        ]
        return row(fit(columns, 20, NAMES, MOMENT), NAMES[y], MOMENT) if y < len(NAMES) else [Cell(NAMES[-1] * 9)]


async def test_rows_line_up_on_the_screen_and_end_where_their_widget_ends() -> None:
    """What goes to the terminal is as wide as the widget, also where Textual would have counted another width."""

    class Console(App[None]):
        def compose(self) -> ComposeResult:
            yield Rows()

    app = Console()
    async with app.run_test(size=(30, 12)):
        strips = app.query_one(Rows).render_lines(Region(0, 0, 30, 12))
        for name, strip in zip(NAMES, strips, strict=False):
            assert (strip.cell_length, wcwidth.wcswidth(strip.text)) == (30, 30), name
            assert wcwidth.wcswidth(strip.text.partition("|")[0]) == 14, name
        assert strips[-1].text.rstrip().endswith("…"), "a line that is too long is cut, no grapheme in two"
        assert wcwidth.wcswidth(strips[-1].text) == 30
    assert any(cell_len(name) != display_width(name) for name in NAMES), "there is something to tell Textual"


@given(ANY, ANY, st.integers(1, 60))
def test_both_ends_of_a_line_stand_where_they_should(left: str, right: str, width: int) -> None:
    line = sides([Cell(left)], [Cell(right)], width)
    assert line_width(line) == max(width, display_width(right))
    assert text_of(line).endswith(right)


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("a \U0001f468\u200d\U0001f469\u200d\U0001f467 b", "a \U0001f468 b"),
        ("\U0001f44d\U0001f3fd!", "\U0001f44d!"),
        ("\u2764\ufe0f.", "\u2764 ."),
        ("1\ufe0f\u20e3.", "1 ."),
        ("e\u0301 \u0915\u094d\u200d\u0937", "e\u0301 \u0915\u094d\u200d\u0937"),
        ("\u4f60\u597d", "\u4f60\u597d"),
    ],
)
def test_what_terminals_disagree_about_is_drawn_by_its_first_character(text: str, drawn: str) -> None:
    assert by_first(text) == drawn
    assert display_width(by_first(text)) == display_width(text)
