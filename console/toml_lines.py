"""Where in a TOML file a key stands. `tomllib` does not say, and an error without a line is half an error."""

import re

KeyPath = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(
    r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=(.*)$"""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def line_numbers(text: str) -> dict[KeyPath, int]:
    """The line (from 1) of each table header and each key outside inline tables, by its path from the root.

    Array elements have their index in the path: `("contexts", "production", "quality", 0, "warn")`.
    """
    found: dict[KeyPath, int] = {}
    table: KeyPath = ()
    lengths: dict[KeyPath, int] = {}
    closing = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if closing:
            closing = "" if closing in line else closing
            continue
        if header := _HEADER.match(line):
            table = _table_path(_parts(header[2]), header[1] == "[[", lengths)
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found[(*table, *_parts(key[1]))] = number
            closing = _open_string(key[2])
    return found


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int | None:
    """The line of `path`, or of the nearest table or key around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def _parts(dotted: str) -> KeyPath:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _table_path(names: KeyPath, is_element: bool, lengths: dict[KeyPath, int]) -> KeyPath:
    path: KeyPath = ()
    for position, name in enumerate(names):
        path = (*path, name)
        if is_element and position == len(names) - 1:
            lengths[path] = lengths.get(path, -1) + 1
        if path in lengths:
            path = (*path, lengths[path])
    return path


def _open_string(value: str) -> str:
    for quotes in ('"""', "'''"):
        if value.count(quotes) == 1:
            return quotes
    return ""
