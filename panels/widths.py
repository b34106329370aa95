"""How many cells text takes in a terminal: the one measure of lists, tables and whatever is cut to fit.

`wcwidth` knows what terminals draw, by grapheme: a family emoji is one picture of two cells. Rich and Textual count
characters, and differ for a few (a lone flag letter, a vowel sign of Devanagari): what is drawn here is measured here,
and Textual is told (`Lines`).
"""

from collections.abc import Iterator
from functools import lru_cache

_NARROW = frozenset(
    chr(code)
    for first, last in (
        (0x20, 0x7E), (0xA0, 0xAC), (0xAE, 0x2FF), (0x370, 0x373), (0x384, 0x386), (0x391, 0x3A1), (0x3A3, 0x482),
        (0x2010, 0x2027), (0x2030, 0x205E), (0x2190, 0x21FF), (0x23CE, 0x23CE),
        (0x2500, 0x25FC), (0x2800, 0x28FF), (0x2713, 0x2718),
    )
    for code in range(first, last + 1)
)  # fmt: skip


def display_width(text: str) -> int:
    """How many cells `text` takes: wide characters two, combining ones none, a grapheme what is drawn of it."""
    return len(text) if text.isascii() or _NARROW.issuperset(text) else _measured(text)


@lru_cache(4096)
def _measured(text: str) -> int:
    import wcwidth  # takes as long as a tenth of a short command: most text does without

    # By grapheme, so that the parts of a line are together as wide as the line: a joiner at the end joins nothing.
    return sum(wcwidth.width(each, control_codes="ignore") for each in wcwidth.iter_graphemes(text))


def beginning(text: str, width: int) -> str:
    """The longest beginning of `text` that takes at most `width` cells; no grapheme is cut in two."""
    if _NARROW.issuperset(text[: width + 1]):
        return text[: max(0, width)]
    used = end = 0
    for grapheme in graphemes(text):
        used += display_width(grapheme)
        if used > width:
            break
        end += len(grapheme)
    return text[:end]


def graphemes(text: str) -> Iterator[str]:
    """`text` in pieces that are drawn as one each."""
    if text.isascii():
        return iter(text)
    import wcwidth

    return wcwidth.iter_graphemes(text)
