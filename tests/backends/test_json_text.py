"""The one door for JSON from outside: any text leads to a value or to one kind of error."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.errors import BackendError
from backends.http import decode_json
from backends.json_text import decode_python, decode_text, value_of

ROOT = Path(__file__).parents[2]
DEEP = b"[" * 200_000
NO_JSON = [b"", b"{", b"\xff\xfe", DEEP, b'"\\ud800', b"1e400", "\ud800", b"NaN"]


@pytest.mark.parametrize("content", NO_JSON)
def test_what_is_no_json_is_one_kind_of_error(content: bytes | str) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_text(content, object)
    if isinstance(content, bytes):
        with pytest.raises(BackendError) as caught:
            decode_json(content, dict[str, Any], where="here")
        assert (caught.value.kind, caught.value.message.startswith("here: ")) == ("malformed", True)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", DEEP])
def test_what_python_does_not_write_either(content: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_python(content)


def test_python_writes_more_than_json() -> None:
    assert decode_python(b'{"mean": Infinity}') == {"mean": float("inf")}


@given(st.text())
def test_any_text_is_a_value(text: str) -> None:
    value_of(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ('"7"', "7"), ("[1, null]", [1, None]), ("NaN", "NaN"), ("a=b", "a=b"), (DEEP.decode(), DEEP.decode()),
     ("123456789012345678901234567890", 123456789012345678901234567890)],
)  # fmt: skip
def test_what_a_person_types(text: str, value: Any) -> None:
    assert value_of(text) == value


def test_there_is_no_other_door() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}"
        for folder in ("backends", "panels", "actions", "console")
        for file in sorted((ROOT / folder).rglob("*.py"))
        if file.name != "json_text.py"
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if re.search(r"\bjson\.(loads?|decode)\(|JSONDecoder|json\.Decoder", line)
    ]
    assert found == []


def test_half_of_a_character_is_not_called_truncated() -> None:
    with pytest.raises(msgspec.DecodeError, match="lone surrogate"):
        decode_text(b'{"a": "\\ud800"}', object)
    with pytest.raises(msgspec.DecodeError, match="truncated"):
        decode_text(b'{"a": "b', object)
