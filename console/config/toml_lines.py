"""Where in a TOML file a key stands. `tomllib` does not say, and an error without a line is half an error."""

import re
import tomllib
from contextlib import suppress

KeyPath = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BETWEEN = re.compile(r"(?:[ \t\r\n,]|#[^\n]*)*")
_OPENING = re.compile(r"\[\[?")
_CLOSING = re.compile(r"[ \t]*\]\]?")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'  # a string of many lines may end in two quotes of its own
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE = re.compile(r"""[^][{},#"'\n]+""")
_PART = re.compile(r"""[ \t]*([A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')[ \t]*""")
_DOT = re.compile(r"\.")
_EQUALS = re.compile(r"=[ \t]*")


def line_numbers(text: str) -> dict[KeyPath, int]:
    """The line (from 1) of each table header, key and element of an array in TOML that `tomllib` has parsed, by its
    path from the root.

    Array elements have their index in the path: `("contexts", "production", "quality", 0, "warn")`. What has no line
    of its own, as `a` in `a.b = 1`, has the first one that speaks of it. Text that is not TOML ends the search.
    """
    scanner = _Scanner(text)
    with suppress(ValueError):  # text that is no TOML: as far as it goes
        scanner.document()
    return scanner.found


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int | None:
    """The line of `path`, or of the nearest table or key around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


class _Scanner:
    def __init__(self, text: str) -> None:
        self.found: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._line, self._counted = 1, 0
        self._last: dict[KeyPath, int] = {}  # array of tables: the index of its newest element

    def document(self) -> None:
        table: KeyPath = ()
        self._take(_BLANK)
        while self._at < len(self._text):
            if opening := self._found(_OPENING):
                table = self._table(self._key(), is_element=opening == "[[")
                self._take(_CLOSING)
            else:
                self._pair(table)
            self._take(_BLANK)

    def _table(self, names: list[str], *, is_element: bool) -> KeyPath:
        path: KeyPath = ()
        for position, name in enumerate(names, start=1):
            path = (*path, name)
            self._mark_first(path)
            if is_element and position == len(names):
                self._last[path] = self._last.get(path, -1) + 1
            if path in self._last:
                path = (*path, self._last[path])
                self._mark_first(path)
        self.found[path] = self._here()  # `[a]` may come after `[a.b]`
        return path

    def _pair(self, table: KeyPath) -> None:
        path = table
        for name in self._key():
            path = (*path, name)
            self._mark_first(path)
        self._take(_EQUALS)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        match self._text[self._at : self._at + 1]:
            case "[":
                self._at += 1
                index = 0
                while not self._ends("]"):
                    self._mark_first((*path, index))
                    self._value((*path, index))
                    index += 1
            case "{":
                self._at += 1
                while not self._ends("}"):
                    self._pair(path)
            case '"' | "'":
                self._take(_STRING)
            case _:
                self._take(_BARE)

    def _ends(self, closing: str) -> bool:
        """Whether the array or inline table ends here, behind commas and comments."""
        self._take(_BETWEEN)
        ends = self._text.startswith(closing, self._at)
        self._at += ends
        return ends

    def _key(self) -> list[str]:
        parts = [self._take(_PART)]
        while self._found(_DOT):
            parts.append(self._take(_PART))
        return [_name(part.strip(" \t")) for part in parts]

    def _found(self, pattern: re.Pattern[str]) -> str | None:
        if matched := pattern.match(self._text, self._at):
            self._at = matched.end()
            return matched[0]
        return None

    def _take(self, pattern: re.Pattern[str]) -> str:
        taken = self._found(pattern)
        if taken is None:
            raise ValueError("not TOML")
        return taken

    def _mark_first(self, path: KeyPath) -> None:
        self.found.setdefault(path, self._here())

    def _here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line


def _name(part: str) -> str:
    """What a part of a key stands for; `tomllib` knows the escapes."""
    return next(iter(tomllib.loads(f"{part}=0"))) if part[0] in "\"'" else part
