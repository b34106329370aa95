"""Names of things in other systems: printable where they are shown, the very same where they are sent back."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.identifiers import MAX_CHARS, as_sent, identifier
from backends.pipelines.airflow.http import path_of
from backends.text import clean

NAMES = st.text(st.one_of(st.characters(exclude_categories=()), st.sampled_from("%0A2eF5\n\x00\u202e\u200f\x9b")))


@given(NAMES.filter(lambda name: len(identifier(name)) < MAX_CHARS))
def test_what_is_shown_leads_back_to_the_name(name: str) -> None:
    shown = identifier(name)
    assert as_sent(shown) == name
    assert clean(shown, 5 * MAX_CHARS) == shown, "nothing is left to be cleaned"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("manual__2026-11-29T00:00:00+00:00", "manual__2026-11-29T00:00:00+00:00"),
        ("größe/日本 50%", "größe/日本 50%"),
        ("a\nb\x00", "a%0Ab%00"),
        ("\u202egreen\u200f", "%E2%80%AEgreen%E2%80%8F"),
        ("a%0Ab", "a%250Ab"),
        ("\x1b]52;c;x\x07", "%1B]52;c;x%07"),
        ("caf%C3%A9", "caf%25C3%25A9"),
    ],
)
def test_only_what_is_unsafe_is_written_otherwise(name: str, shown: str) -> None:
    assert (identifier(name), as_sent(shown)) == (shown, name)


@pytest.mark.parametrize("typed", ["100%", "a%20b", "%C3%A9", "%E2%82%AC", "%zz", "%2"])
def test_what_was_never_written_so_is_left(typed: str) -> None:
    assert as_sent(typed) == typed


def test_a_name_of_endless_length_is_cut() -> None:
    assert len(identifier("x" * 10**6)) == MAX_CHARS


@pytest.mark.parametrize("part", [".", "..", "a/../b", "%2E%2E", "\x00", "\u202e", "ü ~"])
def test_a_name_is_one_step_of_a_path(part: str) -> None:
    path = path_of("dags", part)
    assert (path.count("/"), unquote(path.rpartition("/")[2])) == (2, part)
    assert path.rpartition("/")[2] not in (".", "..")
