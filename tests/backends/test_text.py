"""`clean()`: whatever comes in, what comes out is one bounded line that cannot drive a terminal."""

import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backends.text import ELLIPSIS, MAX_CHARS, clean, clean_labels, once, side_name, with_fix

BIDI_CONTROLS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
NASTY = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\x1b\x9b\x9d\x07\x9c\x00\n\r\t\u2028\u202e\u2066\u200b\ufeff\ud800[]()PX^_\\;m0123ABG"),
    )
)
PIECES = st.lists(
    st.sampled_from(["\x1b", "\x1b[31m", "\x1b]52;c;", "\x07", "\x1b\\", "\x9b2J", "\x1bP", "x", "\n", "\u202e", "é"])
).map("".join)


@given(st.one_of(NASTY, PIECES), st.integers(1, 60))
@example("\x1b\x1b[31m[31mred", 60)
@example("\x1b]52;c;aGVsbG8=", 60)
@example("\ud800\udc00", 60)
def test_clean_is_one_bounded_line_without_controls_and_stays_as_it_is(text: str, limit: int) -> None:
    cleaned = clean(text, limit)
    assert len(cleaned) <= limit
    assert not BIDI_CONTROLS & set(cleaned)
    assert not [char for char in cleaned if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")]
    assert len(cleaned.splitlines()) <= 1
    assert clean(cleaned, limit) == cleaned
    cleaned.encode("utf-8")


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=MAX_CHARS))
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\", "click"),
        ("\x1b]52;c;never ended", ""),
        ("\x9b31mred", "red"),
        ("\x1b(0graphics", "graphics"),
        ("\x1bcreset", "reset"),
        ("one\r\ntwo\tthree\u2028four", "one two three four"),
        ("BLUE\u202eNEERG", "BLUENEERG"),
        ("a\x00b\x08c\x7f", "abc"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("[bold]markup is text[/bold]", "[bold]markup is text[/bold]"),
        ("größer 数据 👩\u200d🔧", "größer 数据 👩\u200d🔧"),
    ],
)
def test_clean_by_example(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_a_cut_is_marked() -> None:
    assert clean("abcdef", 4) == "abc" + ELLIPSIS
    assert clean("abcd", 4) == "abcd"
    assert clean("a\x1b[31m" * 100, 10).endswith(ELLIPSIS)


@pytest.mark.parametrize("unit", ["x", "\x1b[", "\x1b]", "\x1b[0", "\x9b;", "\u202e", "\n"])
def test_the_cost_does_not_grow_with_what_is_cut_away(unit: str) -> None:
    """Ten times the text takes less than five times as long, however it is made."""
    small, large = unit * 200_000, unit * 2_000_000
    clean(small)
    assert _seconds(large) < 5 * _seconds(small) + 0.005


def _seconds(text: str) -> float:
    durations = []
    for _ in range(5):
        began = time.perf_counter()
        clean(text)
        durations.append(time.perf_counter() - began)
    return min(durations)


def test_labels_are_clean_and_bounded_on_both_sides() -> None:
    labels = clean_labels({"na\x1b[31mme": "va\nlue", "k" * 1000: "v" * 10_000, 5: 6})
    assert labels["name"] == "va lue"
    assert labels["5"] == "6"
    assert {len(key) for key in labels} == {4, 128, 1}
    assert max(map(len, labels.values())) == 512


def test_a_long_command_stands_on_a_line_of_its_own_so_that_it_can_be_copied() -> None:
    assert with_fix("no", "") == "no"
    assert with_fix("no", "teal doctor") == "no (teal doctor)"
    order = f"printf %b '{'x' * 900}' > switch.json"
    assert with_fix("no", order).splitlines() == ["no", f"  {order}"]


@pytest.mark.parametrize(
    ("head", "words", "said"),
    [
        ("3 of 20 requests GREEN", "GREEN: http://green: refused", "3 of 20 requests GREEN: http://green: refused"),
        ("3 of 20 requests GREEN", "BLUE answers", "3 of 20 requests GREEN: BLUE answers"),
        ("deployments.web", "deployments.web: no route", "deployments.web: no route"),
        ("GREEN", "GREENER: x", "GREEN: GREENER: x"),
    ],
)  # fmt: skip
def test_what_both_say_is_said_once(head: str, words: str, said: str) -> None:
    assert once(head, words) == said


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("blue", "BLUE"), ("green-2", "GREEN-2"), ("stable", "STABLE"), ("v2.5.0-rc1",) * 2, ("2.5-rc1",) * 2,
        ("v12",) * 2, ("4b825dc",) * 2, ("", ""),
    ],
)  # fmt: skip
def test_a_side_is_told_in_capitals_and_a_version_as_it_is_written(name: str, shown: str) -> None:
    assert side_name(name) == shown
