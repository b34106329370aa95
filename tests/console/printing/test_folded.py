"""A table that is wider than the terminal is broken between words; where there is no terminal each row is a line."""

import sys

import pytest

from console.printing.output import folded, table
from panels.widths import display_width

REASON = "validate_transactions_data: 37 of 50120 rows are not between 0.01 and 100000, and 12 have no currency at all"


def test_rows_fit_the_terminal_and_lose_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["✗", "production_data_pipeline", REASON], ["✓", "monitoring", ""]]
    whole = table(rows, headers=["", "PIPELINE", "REASON"])
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    shown = table(rows, headers=["", "PIPELINE", "REASON"])
    assert len(whole) == 3, "no terminal: one line a row"
    assert max(map(display_width, shown)) <= 78, "there is room for two cells before it"
    assert " ".join(shown).split() == " ".join(whole).split(), "no word is cut, and none is lost"
    assert shown[2].startswith("    "), "what goes on is set in"
    assert shown[3].startswith("✓  monitoring")
    assert shown[0] == whole[0]


@pytest.mark.parametrize("line", ["word " * 30, "x" * 100, "  " + "データ " * 30, "a" + " " * 90 + "b", ""])
def test_every_part_has_room(line: str) -> None:
    parts = folded(line, 40)
    assert max(map(display_width, parts)) <= 40
    assert "".join(parts).replace(" ", "") == line.replace(" ", "")
