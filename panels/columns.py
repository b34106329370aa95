"""Columns of one-line rows: what a cell says, how wide a column is, which ones go when there is no room.

Never imports Textual: the console's lists and the headless tables are laid out by the same functions. Widths count
terminal cells; nothing ever wraps.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from panels.widths import beginning, display_width
from panels.words import UNICODE, Symbols

T = TypeVar("T")
Tone = Literal[
    "", "ok", "warning", "critical", "unknown", "running", "muted", "strong",
    "blue", "green", "brand", "edge", "focused", "match",
]  # fmt: skip
Align = Literal["left", "right"]
Counted = tuple[str, Tone]

GAP = 2
SPREAD = 16
_PLACE = r"(?<![^\s\"'(=])(?:\w+://[^\s/]+/|(?:/[^\s/:]+){2}/)(?:[^\s/:]+/)*([^\s/:]+)"
"""Compiled where a line is first cut off: the first paint cuts none."""
_WORDS = re.compile(r"\s*\S+(?: %)?|\s+")
MEASURED_ROWS = 200
EXTRA = 5


class Moment(Struct, frozen=True):
    """What a row is written for: the time, the operator's zone, the symbols of the terminal, `roomy` or terse.
    `known`: whether what it says is so now, as far as its source still answers. `lines`: how many a text may take."""

    now: datetime
    zone: tzinfo = UTC
    symbols: Symbols = UNICODE
    roomy: bool = True
    known: bool = True
    lines: int = 1

    def since(self, at: datetime | None) -> float | None:
        """Seconds from `at` until now, never negative; None where `at` is."""
        return None if at is None else max(0.0, (self.now - at).total_seconds())


class Cell(Struct, frozen=True):
    """A piece of a line: text as data (never markup), the tone that it is written in, and the URL that it leads to."""

    text: str = ""
    tone: Tone = ""
    link: str = ""


Line = list[Cell]


def tone_of(word: str, among: Iterable[Tone], otherwise: Tone) -> Tone:
    """`word` as a tone, where it is one of `among`."""
    return next((tone for tone in among if tone == word), otherwise)


class Column(Struct, Generic[T], frozen=True, kw_only=True):
    """One column. It is as wide as what it shows, within `min_width` and `max_width`; `flex` takes what is left.

    `priority` 0 is never dropped; of the others the highest number goes first, and those from EXTRA on are there only
    where no other column has to be narrower for them. `tail` keeps the end of a text that is
    too long, for what has its newest at the end. `when` says whether the items need the column.
    """

    title: str
    cell: Callable[[T, Moment], Cell]
    min_width: int = 1
    max_width: int = 40
    flex: bool = False
    align: Align = "left"
    priority: int = 0
    tail: bool = False
    when: Callable[[Sequence[T]], bool] | None = None


class Placed(Struct, Generic[T], frozen=True):
    """A column that is shown, with the width that it got."""

    column: Column[T]
    width: int


def brief(text: str, ellipsis: str = "…") -> str:
    """`text` with the last part of each path or URL alone: where a line is cut off, what follows one is why it is
    said."""
    return re.sub(_PLACE, rf"{ellipsis}/\1", text)


def brief_line(line: Line, width: int, ellipsis: str = "…") -> Line:
    """The same of a line that has no room in `width` cells."""
    if line_width(line) <= width:
        return line
    return [Cell(brief(cell.text, ellipsis), cell.tone, cell.link) for cell in line]


def crop(text: str, width: int, ellipsis: str = "…") -> str:
    """`text` in at most `width` cells; a cut shows as `ellipsis`."""
    if display_width(text) <= width:
        return text
    if width <= 0:
        return ""
    if display_width(text := brief(text, ellipsis)) <= width:
        return text
    return beginning(text, width - display_width(ellipsis)).rstrip() + ellipsis


@lru_cache(1024)
def wrapped(text: str, width: int, most: int = 1, ellipsis: str = "…") -> tuple[str, ...]:
    """`text` in at most `most` lines of `width` cells, broken between words; what is left over is cut in the last."""
    lines: list[str] = []
    rest = text
    while len(lines) < most - 1 and display_width(rest) > width > 0:
        line = beginning(rest, width + 1)
        end = line.rfind(" ")
        line = rest[:end] if end > 0 else beginning(rest, width)
        lines.append(line.rstrip())
        rest = rest[len(line) :].lstrip()
    return (*lines, crop(rest, width, ellipsis))


def broken(line: Line, width: int, most: int, indent: int) -> list[Line]:
    """A line of cells in at most `most` lines of `width`, broken between words; those after the first are indented. The
    last one is as long as it is."""
    line = brief_line(line, width * most)
    if most == 1 or line_width(line) <= width:
        return [line]
    lines: list[Line] = [[]]
    used = 0
    for cell in line:
        for word in _WORDS.findall(cell.text):
            wide = display_width(word)
            if used > indent and used + wide > width and len(lines) < most:
                lines.append([Cell(" " * indent)])
                used = indent
                word = word.lstrip()
                wide = display_width(word)
            lines[-1].append(Cell(word, cell.tone))
            used += wide
    return lines


def pad(text: str, width: int, align: Align = "left", ellipsis: str = "…") -> str:
    """`text` in exactly `width` cells."""
    shown = crop(text, width, ellipsis)
    space = " " * (width - display_width(shown))
    return space + shown if align == "right" else shown + space


def fit(
    columns: Sequence[Column[T]], width: int, items: Sequence[T] = (), moment: Moment | None = None
) -> list[Placed[T]]:
    """The columns that have room in `width` cells, with their widths.

    With `items` a column is as wide as the widest of its first cells, else as wide as it may be. Columns are dropped
    by priority until the flexible ones have their least width; what is still too much is taken off the widest.
    """
    shown = [
        (column, _wanted(column, items, moment)) for column in columns if column.when is None or column.when(items)
    ]

    def total() -> int:
        widths = [_least(*pair) for pair in shown]
        return sum(widths) + sum(_gap(width) for width in widths[:-1])

    def last_to_stay() -> tuple[Column[T], int]:
        return max(shown, key=lambda pair: pair[0].priority)

    while total() > width and last_to_stay()[0].priority:
        shown.remove(last_to_stay())
    while sum(max(0, wanted - _least(column, wanted)) for column, wanted in shown) > width - total():
        if last_to_stay()[0].priority < EXTRA:
            break
        shown.remove(last_to_stay())
    widths = [_least(*pair) for pair in shown]
    spare = width - total()
    flexible = [index for index, (column, _) in enumerate(shown) if column.flex]
    for index in flexible:
        grown = max(0, min(shown[index][1] - widths[index], spare))
        widths[index] += grown
        spare -= grown
    if flexible and spare > 0:
        widths[flexible[0]] += spare
    while spare < 0 and max(widths) > 1:
        widest = widths.index(max(widths))
        widths[widest] -= 1
        spare += 1
    return [Placed(column, cells) for (column, _), cells in zip(shown, widths, strict=True)]


def readable(placed: Sequence[Placed[T]], items: Sequence[T], moment: Moment) -> list[Placed[T]]:
    """The columns with no more free cells in a flexible one than can be read across; what is over stays free behind the
    last."""

    def least(column: Column[T], width: int) -> int:
        shown = (display_width(column.cell(item, moment).text) for item in items[:MEASURED_ROWS])
        return min(width, max([display_width(column.title), *shown]) + SPREAD)

    return [Placed(p.column, least(p.column, p.width) if p.column.flex else p.width) for p in placed]


def _gap(width: int) -> int:
    """A symbol stands close to what it is about."""
    return 1 if width == 1 else GAP


def _least(column: Column[T], wanted: int) -> int:
    return min(column.min_width, wanted) if column.flex else wanted


def _wanted(column: Column[T], items: Sequence[T], moment: Moment | None) -> int:
    title = display_width(column.title)
    if not items or moment is None:
        return max(column.max_width, title)
    content = max(display_width(column.cell(item, moment).text) for item in items[:MEASURED_ROWS])
    return max(min(max(content, column.min_width), column.max_width), title)


def heading(placed: Sequence[Placed[T]]) -> Line:
    """The titles of the columns as one line."""
    return join([Cell(pad(place.column.title, place.width, place.column.align), "muted") for place in placed])


def row(placed: Sequence[Placed[T]], item: T, moment: Moment) -> Line:
    """One item as one line."""
    cells = []
    for place in placed:
        cell = place.column.cell(item, moment)
        text = cell.text[-place.width :] if place.column.tail else cell.text
        cells.append(Cell(pad(text, place.width, place.column.align, moment.symbols.ellipsis), cell.tone))
    return join(cells)


def join(cells: Sequence[Cell]) -> Line:
    """Padded cells side by side with a gap between them."""
    line: Line = []
    for cell in cells:
        if line:
            line.append(Cell(" " * _gap(display_width(line[-1].text))))
        line.append(cell)
    return line


def line_width(line: Sequence[Cell]) -> int:
    """The cells that a line takes."""
    return sum(display_width(cell.text) for cell in line)


def text_of(line: Sequence[Cell]) -> str:
    """The line without tones."""
    return "".join(cell.text for cell in line)


class Kind(Struct, Generic[T], frozen=True, kw_only=True):
    """How one kind of thing is listed: its columns, its order, what stands below a row and in the title.

    `reason` is said below a row ("" for none), in one line, or more where there is room; `block` replaces row and
    reason by lines of its own for a given width, as many as `height` says where no text takes more than one. `counted`
    gives the words that a row is counted under, in the title in `count_order`. `fold` makes rows of items, `apart` one
    of each where `v` shows them so; `item` gives back what a row stands for, `amount` how many there are of it. `empty`
    is said where there are none, `none` of a source that had none when it was last seen.
    """

    name: str
    columns: tuple[Column[T], ...]
    key: Callable[[T], str]
    health: Callable[[T], str]
    sort_key: Callable[[T], Any]
    counted: Callable[[T], tuple[Counted, ...]] = lambda _: ()
    count_order: tuple[str, ...] = ()
    text: Callable[[T], str]
    fields: Callable[[T], dict[str, str]]
    reason: Callable[[T], str] = lambda _: ""
    block: Callable[[T, Moment, int], list[Line]] | None = None
    height: Callable[[T, bool], int] | None = None
    fold: Callable[[Sequence[Any]], Sequence[T]] = lambda items: items
    apart: Callable[[Sequence[Any]], Sequence[T]] | None = None
    item: Callable[[T], Any] = lambda row: row
    amount: Callable[[T], int] = lambda _: 1
    newest_last: bool = False
    empty: str = ""
    none: str = "none"


def count_words(amounts: Mapping[Counted, int], order: Sequence[str]) -> Line:
    """`1 failed`, `2 late`, in `order`; words of what is fine (`ok`) only where nothing else is to be said."""
    ranked = sorted(amounts, key=lambda word: (order.index(word[0]) if word[0] in order else len(order), word[0]))
    noticed = [word for word in ranked if word[0] != "ok"] or ranked
    return [Cell(f"{amounts[word]:,} {word[0]}", word[1]) for word in noticed]


def counts(kind: Kind[T], items: Sequence[Any]) -> Line:
    """What a title says of `items`."""
    return count_words(Counter(word for row in kind.fold(items) for word in kind.counted(row)), kind.count_order)


def matches(query: str, text: str, fields: Callable[[], dict[str, str]]) -> bool:
    """Whether every term of `query` holds: `word` is in the text, `key:value` in that field (`prod*`: all of it),
    `!term` is not so."""
    for term in query.casefold().split():
        wanted = not term.startswith("!")
        if _matches_term(term.removeprefix("!"), text, fields) is not wanted:
            return False
    return True


def _matches_term(term: str, text: str, fields: Callable[[], dict[str, str]]) -> bool:
    if term in text.casefold():
        return True
    key, colon, value = term.partition(":")
    if not colon:
        return False
    found = fields().get(key, "").casefold()
    return fnmatchcase(found, value) if "*" in value or "?" in value else value in found
