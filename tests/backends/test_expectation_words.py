"""An expectation is told as a sentence: a column, what it must be, and of how many rows."""

from typing import Any

import pytest

from backends.quality.expectation_words import expectation_words
from backends.text import counted, short_id


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        ("column_values_to_not_be_null", {"column": "id"}, "id must not be null"),
        ("column_values_to_not_be_null", {"column": "id", "mostly": 0.9}, "id must not be null in 90 % of rows"),
        ("column_values_to_be_unique", {"column": "id", "batch_id": "x"}, "id must be unique"),
        ("column_values_to_be_in_set", {"column": "c", "value_set": ["DE", "FR"]}, "c must be one of DE, FR"),
        ("column_values_to_not_be_in_set", {"column": "c", "value_set": ["X"]}, "c must be none of X"),
        (
            "column_values_to_be_between",
            {"column": "a", "min_value": 0.01, "max_value": 100000},
            "a must be between 0.01 and 100000",
        ),
        ("column_values_to_be_between", {"column": "a", "min_value": 1}, "a must be at least 1"),
        ("column_values_to_be_between", {"column": "a", "max_value": 9}, "a must be at most 9"),
        ("column_values_to_match_regex", {"column": "m", "regex": "^.+@"}, "m must match regex ^.+@"),
        ("table_row_count_to_be_between", {"min_value": 1}, "row count must be at least 1"),
        ("column_values_to_be_odd", {"column": "n", "strict": True}, "n must be odd (strict=True)"),
        (
            "column_mean_to_be_between",
            {"column": "n", "max_value": 3},
            "column_mean_to_be_between(column=n, max_value=3)",
        ),
        ("table_columns_to_match_set", {}, "table_columns_to_match_set"),
    ],
)
def test_what_is_asked_is_a_sentence(kind: str, given: dict[str, Any], words: str) -> None:
    assert expectation_words(f"expect_{kind}", given) == words
    many = list(range(20))
    assert expectation_words("column_values_to_be_in_set", {"column": "c", "value_set": many}).endswith("7, …")


def test_one_of_them_is_no_plural_and_an_id_has_an_end() -> None:
    assert [counted(n, "line") for n in (0, 1, 2, "1", "1,000", 1.2, 0.6)] == [
        "0 lines", "1 line", "2 lines", "1 line", "1,000 lines", "1 line", "1 line",
    ]  # fmt: skip
    assert short_id("01M8K9950GW6VSCWXD3VQTW9VK") == "QTW9VK"
