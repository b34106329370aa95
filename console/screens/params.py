"""Run parameters as text that an operator edits: JSON where it parses, else a string. The way back is exact."""

import json
import shlex
from typing import Any

from backends.json_text import value_of


def parse(text: str) -> Any:
    """The value that `text` stands for."""
    return value_of(text)


def write(value: Any) -> str:
    """`value` as the shortest text that parses to it."""
    if isinstance(value, str) and parse(value) == value and isinstance(parse(value), str):
        return value
    return json.dumps(value, ensure_ascii=False)


def parse_pairs(text: str) -> dict[str, Any]:
    """`K=V K='V W'` as params. Raises ValueError saying which word is none."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{error} in the other params") from None
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ValueError(f"{word!r} is not NAME=VALUE")
        pairs[name] = parse(value)
    return pairs
