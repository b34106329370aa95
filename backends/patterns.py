"""Regular expressions of people (`--grep`, a config) that cannot hang: one that takes too long is an error.

The library is `regex`: patterns of `re`, a time limit, and the interpreter's lock is let go of meanwhile. Each line is
asked alone; a block is asked at once where no match can cross the end of a line.
"""

import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from backends.errors import BackendError
from backends.text import clean

if TYPE_CHECKING:
    import regex

SEARCH_S = 2.0  # for one look into a block or line; a good pattern takes some milliseconds
BLOCK_S = 10.0
_OUTSIDE = {"s": r"[^\S\n]", "W": r"[^\w\n]", "D": r"[^\d\n]"}
_PER_LINE = frozenset("AZzGKRX0123456789xuUNpPgkLnrvf")  # escapes that are places, or may be a line end


class Pattern:
    """One pattern. Raises BackendError(config) for text that is none."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._line = _compiled(text)
        in_block = within_lines(text)
        self._block = None if in_block is None else _compiled(in_block, by_lines=True)

    def found_in(self, line: str) -> bool:
        """Whether a line matches. Raises BackendError(config) where that takes too long."""
        try:
            return self._line.search(line, timeout=SEARCH_S, concurrent=len(line) > 4096) is not None
        except TimeoutError:
            raise self._too_slow(f"{SEARCH_S:g} s on one line") from None

    def found_in_text(self, text: str) -> bool:
        """Whether it is found anywhere in a text of many lines; for a thread. Raises as `found_in`."""
        try:
            return self._line.search(text, timeout=SEARCH_S, concurrent=True) is not None
        except TimeoutError:
            raise self._too_slow(f"{SEARCH_S:g} s") from None

    def groups_of(self, text: str) -> dict[str, str] | None:
        """Its named groups that hold something, where it matches the whole of a short text. Raises as `found_in`."""
        try:
            found = self._line.fullmatch(text, timeout=SEARCH_S, concurrent=True)
        except TimeoutError:
            raise self._too_slow(f"{SEARCH_S:g} s on one name") from None
        return {name: value for name, value in found.groupdict().items() if value} if found else None

    def part_of(self, text: str, group: str) -> str | None:
        """What it finds in a short text: the group of that name, else its first group, else all of it; None for
        nothing. Raises as `found_in`."""
        try:
            found = self._line.search(text, timeout=SEARCH_S)
        except TimeoutError:
            raise self._too_slow(f"{SEARCH_S:g} s on one line") from None
        if found is None:
            return None
        named = self._line.groupindex.get(group, min(self._line.groups, 1))
        return found[named] or ""

    def lines_of(self, block: str) -> "list[tuple[int, int]]":
        """(start, end) of each line of a block that matches. Raises as `found_in`."""
        spans: list[tuple[int, int]] = []
        position, size, until = 0, len(block), time.monotonic() + BLOCK_S
        while position < size:
            start = place = position
            if self._block is not None:
                try:
                    found = self._block.search(block, position, timeout=SEARCH_S, concurrent=True)
                except TimeoutError:  # slow, yet it may be good enough for each line
                    self._block = None
                    continue
                if found is None:
                    break
                place = found.start()
                start = block.rfind("\n", position, place) + 1 or position
            end = block.find("\n", place)
            end = size if end < 0 else end
            if self.found_in(block[start:end]):
                spans.append((start, end))
            position = end + 1
            if time.monotonic() > until:
                raise self._too_slow(f"{BLOCK_S:g} s on {size / 2**20:.1g} MB")
        return spans

    def _too_slow(self, what: str) -> BackendError:
        words = f"the pattern {clean(self._text, 200)} takes more than {what}"
        return BackendError("config", words, fix="a repeat within a repeat, as in (a+)+, does that: write one")


def within_lines(text: str) -> str | None:
    """The same pattern, of which no match crosses the end of a line; None where that cannot be had."""
    if re.search(r"\(\?(?!:|=|!|<=|<!|i\))", text) or text.find("(?i)", 1) > 0 or not text.isprintable():
        return None
    parts, position, in_class = [], 0, False
    while position < len(text):
        char = text[position]
        escaped = text[position + 1 : position + 2] if char == "\\" else ""
        if escaped in _PER_LINE and escaped:
            return None
        if escaped in _OUTSIDE and escaped:
            if in_class:
                return None
            parts.append(_OUTSIDE[escaped])
        elif char == "[" and not in_class:
            in_class = True
            if text.startswith("[^", position):
                parts.append("[^\\n")
                position += 2
                if text.startswith("]", position):
                    return None
                continue
            if text.startswith("[]", position):
                return None
            parts.append(char)
        else:
            in_class = in_class and char != "]"
            parts.append(char + escaped)
        position += 1 + len(escaped)
    return "".join(parts)


_RE2_CLASSES = {"d": r"\p{Nd}", "w": r"\p{L}\p{N}_", "s": r"\s\x0b\x1c-\x1f\x85\xa0\p{Z}"}
_RE2_TOKEN = re.compile(
    r"(?P<class>\[\^?(?:\\[dws]|\\[\\\]^.|()*+?{}$/-]|[\w \"'#%&,/:;<=>@~.|()*+?{}$!-])+\])"
    r"|\\(?P<kind>[dws])|\\[.()\[\]{}|+*?^$/-]|(?P<end>\$)"
    r"|\(\?:|\((?!\?)|[)|^.]|[*+?]\??(?![*+?])|\{\d{1,3}(?:,(?:\d{1,3})?)?\}\??(?![*+?])|[\w \"'#%&,/:;<=>@~!-]"
    r"|[^\x00-\x7f]",
    re.ASCII,
)


def for_re2(text: str) -> str | None:
    """A pattern for RE2 (https://github.com/google/re2/wiki/Syntax) that matches each line which this one matches;
    None where that is not sure."""
    parts, position = [], 4 if text.startswith("(?i)") else 0
    while position < len(text):
        found = _RE2_TOKEN.match(text, position)
        if found is None:
            return None
        token = found[0]
        if group := found["class"]:
            if "\\w" in group or "\\s" in group or "\\d" in group or "--" in group:
                return None
        elif kind := found["kind"]:
            token = f"[{_RE2_CLASSES[kind]}]"
        elif found["end"]:
            token = r"\r*$"  # a line end of Windows is left out before a pattern is asked
        parts.append(token)
        position = found.end()
    return f"{text[:4] if text.startswith('(?i)') else ''}{''.join(parts)}"


@lru_cache(maxsize=64)
def _compiled(text: str, *, by_lines: bool = False) -> "regex.Pattern[str]":
    import regex

    try:
        return regex.compile(text, regex.MULTILINE if by_lines else 0)
    except (regex.error, RecursionError, OverflowError) as error:
        raise BackendError(
            "config", clean(f"not a regular expression: {text}: {error}"), fix="quote the special characters"
        ) from None
