"""Columns: what gives way when there is no room, and what never breaks a line."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from backends.text import clean
from panels.columns import Cell, Column, Moment, brief, brief_line, crop, fit, heading, matches, pad, row, text_of
from panels.widths import display_width

MOMENT = Moment(datetime(2026, 8, 24, tzinfo=UTC))


def column(title: str, **fields: object) -> Column[dict[str, str]]:
    return Column(title=title, cell=lambda item, _: Cell(item.get(title, "")), **fields)


COLUMNS = (
    column("NAME", min_width=10, max_width=40, flex=True),
    column("RUN", max_width=6, priority=2),
    column("LAST", min_width=4, max_width=12, flex=True, tail=True, priority=3),
    column("TOOK", min_width=6, max_width=6, align="right"),
    column("MORE", max_width=8, priority=6),
)
ITEM = {"NAME": "production_data_pipeline", "RUN": "#1842", "LAST": "aaaaaaaaaaab", "TOOK": "4m12s", "MORE": "manual"}


def titles(width: int) -> list[str]:
    return [placed.column.title for placed in fit(COLUMNS, width, [ITEM], MOMENT)]


def test_everything_is_shown_where_there_is_room() -> None:
    assert titles(80) == ["NAME", "RUN", "LAST", "TOOK", "MORE"]


def test_what_is_extra_goes_before_another_column_has_to_be_narrower() -> None:
    assert titles(24 + 2 + 5 + 2 + 12 + 2 + 6 + 2 + 6) == ["NAME", "RUN", "LAST", "TOOK", "MORE"]
    assert titles(24 + 2 + 5 + 2 + 12 + 2 + 6 + 2 + 5) == ["NAME", "RUN", "LAST", "TOOK"]


def test_columns_go_by_importance_and_the_first_and_last_stay() -> None:
    assert titles(30) == ["NAME", "RUN", "TOOK"]
    assert titles(20) == ["NAME", "TOOK"]
    assert titles(8) == ["NAME", "TOOK"]


@pytest.mark.parametrize("width", range(10, 100))
def test_a_row_takes_exactly_its_width(width: int) -> None:
    placed = fit(COLUMNS, width, [ITEM], MOMENT)
    assert display_width(text_of(row(placed, ITEM, MOMENT))) == width
    assert display_width(text_of(heading(placed))) == width


def test_a_tail_column_keeps_its_newest_end() -> None:
    placed = fit(COLUMNS, 24 + 2 + 5 + 2 + 5 + 2 + 6, [ITEM], MOMENT)
    assert "aaaab" in text_of(row(placed, ITEM, MOMENT))


def test_numbers_line_up_on_the_right() -> None:
    placed = fit(COLUMNS, 60, [ITEM], MOMENT)
    assert text_of(row(placed, ITEM, MOMENT)).rstrip().endswith(" 4m12s")


@given(st.text(max_size=60), st.integers(1, 40))
def test_any_cleaned_text_fits_its_cell(text: str, width: int) -> None:
    shown = pad(clean(text), width)
    assert display_width(shown) == width
    assert "\n" not in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    "text", ["plain", "漢字テスト", "naïve", "e\u0301a\u0308", "🔥🔥", "✓▲✗◌▶…·", "─╭╮", "［全角］"]
)
def test_widths_agree_with_those_of_the_screen(text: str) -> None:
    assert display_width(text) == cell_len(text)


def test_a_wide_character_is_never_cut_in_half() -> None:
    assert crop("漢字漢字", 4) == "漢…"
    assert display_width(pad("漢字漢字", 4)) == 4


def test_filter_terms_are_words_fields_and_negations() -> None:
    fields = {"state": "failed", "dataset": "transactions"}
    assert matches("prod", "production_data_pipeline", lambda: fields)
    assert matches("PROD state:fail", "production_data_pipeline", lambda: fields)
    assert matches("pipeline:prod*", "x", lambda: {"pipeline": "production_data_pipeline"})
    assert not matches("pipeline:data*", "x", lambda: {"pipeline": "production_data_pipeline"}), "all of it"
    assert not matches("state:success", "production_data_pipeline", lambda: fields)
    assert matches("!state:success", "production_data_pipeline", lambda: fields)
    assert not matches("!prod", "production_data_pipeline", lambda: fields)
    assert matches("", "anything", lambda: fields)


def test_a_path_that_has_no_room_gives_way_to_why_it_is_named() -> None:
    """On 80 columns every line of a dead warehouse ended within its path."""
    path = "/home/oncall/.local/state/tealdeck/sandbox/warehouse/warehouse.db"
    assert crop(f"rules stale 9s: {path}: no such file", 44) == "rules stale 9s: …/warehouse.db: no such file"
    assert crop(f"{path}: no such file", 100) == f"{path}: no such file"
    assert crop(f"{path}: no such file", 20) == "…/warehouse.db: no…"
    assert brief(f'cannot read "{path}"', "~") == 'cannot read "~/warehouse.db"'
    assert crop("BLUE: http://127.0.0.1:18081/health: connection refused", 40) == "BLUE: …/health: connection refused"
    for whole in ("http://127.0.0.1:8080: connection refused", "local/etl/a/b/1842", "/etc/hosts", "1/2/3/4", "a / b"):
        assert brief(whole) == whole


@pytest.mark.parametrize("width", [78, 58])
def test_the_strip_says_why_before_where(width: int) -> None:
    where = "/home/oncall/.local/state/tealdeck/sandbox/warehouse/warehouse.db"
    line = [Cell(f"? rules stale 9s: {where}: no such file", "unknown")]
    assert text_of(brief_line(line, width)) == "? rules stale 9s: …/warehouse.db: no such file"
    assert brief_line(line, 200) is line
