"""The names that a config may give: they become refs, file names, lines of other programs and words of a shell."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from backends.text import clean

if TYPE_CHECKING:
    from console.config.toml_lines import KeyPath

MAX_CHARS = 100
FIX = "write letters, digits, `-`, `_`, `.` or single spaces between them, beginning with a letter, digit or `_`"
_NAME = re.compile(rf"(?=.{{1,{MAX_CHARS}}}\Z)\w(?:[ .]?[\w-])*\.?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u2028\u2029]")
# Where the keys of a table, or a field of each table of a list, are names.
_KEYED = ("health", "exposition", "servers", "deployments", "stages", "services", "subsets", "target_groups")
_NAMED = ("gates", "dags", "tasks", "rules")


def name_problem(name: str) -> str:
    """Why `name` can be no name, in words; empty where it can."""
    if _NAME.fullmatch(name):
        return ""
    shown = clean(name, MAX_CHARS)
    if not shown.strip():
        return "an empty name"
    return f'"{shown}" is no name' if shown == name else f'"{shown}" is no name: it has characters that are not shown'


def is_dangerous(name: str) -> bool:
    """Whether `name` would be more than a name where it is used: a path, an option, a line of its own, an escape."""
    return not name.strip() or not name.isprintable() or "/" in name or ".." in name or name[0] in "-." or (
        len(name) > MAX_CHARS)  # fmt: skip


def text_problem(value: str) -> str:
    """Why `value` can stand on no line; empty where it can."""
    return "a line break, an escape or another control character" if _CONTROL.search(value) else ""


def safe_name(name: str) -> str:
    """`name`, or where it is dangerous what can stand for it in messages and paths."""
    return name if not is_dangerous(name) else re.sub(r"[^\w-]+", "_", clean(name, MAX_CHARS)).strip("_") or "unnamed"


def names_in(data: Mapping[str, Any]) -> Iterator[tuple["KeyPath", str]]:
    """Where an entry of a port gives names of its own (colors, strategies, gates, DAGs, tasks, rules), and which."""
    for key in _KEYED:
        if isinstance(found := data.get(key), dict):
            yield from (((key, name), name) for name in found)
    for key in _NAMED:
        rows = data.get(key)
        for index, row in enumerate(rows if isinstance(rows, list | tuple) else ()):
            if isinstance(row, dict):
                if isinstance(name := row.get("name"), str):
                    yield (key, index, "name"), name
                yield from (((key, index, *inner), name) for inner, name in names_in(row))
