"""The rows of a list apart from their drawing: what is shown, in which order, on which lines, where the cursor is.

Never imports Textual. What follows from an item alone is worked out once, and an item that comes again equal keeps its
row: a refresh of ten thousand rows costs little more than comparing them.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any, Generic, TypeVar

from msgspec.structs import replace

from panels.columns import Counted, Kind, Moment, matches, wrapped

T = TypeVar("T")
_SORT = attrgetter("sort")
_LINES = attrgetter("lines")
_COUNTED = attrgetter("counted")
INDENT = 3  # of a reason below its row
MOST_LINES = 3
_STALE: Counted = ("stale", "unknown")


def source_name(item: Any) -> str:
    """The source that told of an item; empty where it does not say."""
    return getattr(item, "backend", "") or (getattr(item, "ref", None) or "").partition("/")[0]


class Row(Generic[T]):
    """An item as it is listed; `lines` is how many it takes with its reason."""

    __slots__ = ("counted", "item", "key", "lines", "reason", "sort")

    def __init__(self, key: str, item: T, kind: Kind[T]) -> None:
        self.key, self.item = key, item
        self.sort = kind.sort_key(item)
        self.reason = kind.reason(item)
        self.counted = kind.counted(item)
        self.lines = 2 if self.reason else 1


class Rows(Generic[T]):
    """Keyed rows with a cursor that stays on its item, once somebody has moved it: until then it is on the first row,
    where the worst is. `follow` keeps the cursor on the last row."""

    def __init__(self, kind: Kind[T]) -> None:
        self.kind = kind
        self.follow = kind.newest_last
        self.filter = ""
        self.unfolded = False
        self.shown: list[Row[T]] = []
        self.late: list[Row[T]] = []
        self.total = 0
        self.at = 0
        self.roomy = True
        self.lines = 1
        self.version = 0
        self._items: Sequence[Any] = ()
        self._known: dict[str, Row[T]] = {}
        self._order: list[Row[T]] = []
        self._starts: list[int] = []
        self._cursor: str | None = None
        self._moved = False

    def __len__(self) -> int:
        return len(self._known)

    # ---- data

    def apply(self, items: Sequence[Any], *, frozen: bool) -> None:
        """Take a whole new list. `frozen`: the order stays as it is, rows that are new wait in `late`; none does where
        nothing else is listed, since an empty list says that all is well."""
        self._items = items
        apart = self.kind.apart if self.unfolded else None
        known = self._keyed((apart or self.kind.fold)(items))
        kept = self._kept(known)
        if frozen and kept:
            self.late = self._others(known, kept)
            self._order = kept
        else:
            # Sorting what is nearly sorted costs one comparison a row, so the old order is where it starts.
            self._order = kept + self._others(known, kept)
            self._order.sort(key=_SORT)
            self.late = []
        self._known = known
        self.version += 1

    def unfold(self, unfolded: bool) -> None:
        """Show each item by itself, or those that belong together as one row."""
        self.unfolded = unfolded
        self.apply(self._items, frozen=False)

    def thaw(self) -> None:
        """Put every row where it belongs."""
        self._order = sorted([*self._order, *self.late], key=_SORT)
        self.late = []

    def _keyed(self, items: Sequence[T]) -> dict[str, Row[T]]:
        before, kind = self._known.get, self.kind
        key_of = kind.key
        known: dict[str, Row[T]] = {}
        for item in items:
            key = key_of(item)
            row = before(key)
            known[key] = row if row is not None and (row.item is item or row.item == item) else Row(key, item, kind)
        if len(known) < len(items):
            return self._with_twins(items)
        return known

    def _with_twins(self, items: Sequence[T]) -> dict[str, Row[T]]:
        """A source that gives one key twice is wrong, but nothing that it says is dropped."""
        known: dict[str, Row[T]] = {}
        for item in items:
            key = self.kind.key(item)
            key = key if key not in known else f"{key}\0{len(known)}"
            known[key] = Row(key, item, self.kind)
        return known

    def _kept(self, known: dict[str, Row[T]]) -> list[Row[T]]:
        find = known.get
        return [found for row in self._order if (found := find(row.key)) is not None]

    def _others(self, known: dict[str, Row[T]], kept: list[Row[T]]) -> list[Row[T]]:
        if len(kept) == len(known):
            return []
        placed = {row.key for row in kept}
        return [row for key, row in known.items() if key not in placed]

    # ---- arranging

    def arrange(self, *, roomy: bool, room: int, width: int = 0, moment: Moment | None = None) -> bool:
        """Filter, count lines and put the cursor back on its item; True where it had to go to another one.

        Reasons are shown where it is `roomy` or all fits into `room` lines, and take more than one line of `width`
        where all fits then too; else only that of the first row is.
        """
        if self.filter:
            self.shown = [row for row in self._order if self._matches(row)]
        else:
            self.shown = list(self._order)
        fits = len(self.shown) <= room
        self.lines, heights = self._in_full(room, width, moment) if fits and moment is not None else (1, [])
        self.roomy = self.lines > 1 or roomy or (fits and sum(self._heights(True)) <= room)
        starts = list(accumulate(heights or self._heights(self.roomy), initial=0))
        self.total = starts.pop()
        self._starts = starts
        return self._restore()

    def _in_full(self, room: int, width: int, moment: Moment) -> tuple[int, list[int]]:
        """How many lines a text may take where all fits into `room`, and how many each row takes then; else 1."""
        for lines in range(MOST_LINES, 1, -1):
            heights = self._wrapped(width, replace(moment, roomy=True, lines=lines))
            if sum(heights) <= room:
                return lines, heights
        return 1, []

    def wanted(self, width: int, moment: Moment, most: int) -> int:
        """How many lines it would take to say everything; not counted beyond `most`."""
        if len(self.shown) >= most:
            return most
        return min(most, sum(self._wrapped(width, replace(moment, roomy=True, lines=MOST_LINES))))

    def _wrapped(self, width: int, moment: Moment) -> list[int]:
        block = self.kind.block
        if block is not None:
            return [len(block(row.item, moment, width)) for row in self.shown]
        return [1 + len(self.reason_lines(row, width, moment)) for row in self.shown]

    def reason_lines(self, row: Row[T], width: int, moment: Moment) -> tuple[str, ...]:
        """What is said below a row in lines of `width`."""
        return wrapped(row.reason, width - INDENT, moment.lines, moment.symbols.ellipsis) if row.reason else ()

    def _heights(self, roomy: bool) -> Iterable[int]:
        height = self.kind.height
        if height is not None:
            return [height(row.item, roomy) for row in self.shown]
        if roomy:
            return map(_LINES, self.shown)
        return chain([self.shown[0].lines], [1] * (len(self.shown) - 1)) if self.shown else []

    def _matches(self, row: Row[T]) -> bool:
        return matches(self.filter, self.kind.text(row.item), lambda: self.kind.fields(row.item))

    def _restore(self) -> bool:
        before, shown = self._cursor, self.shown
        if not shown:
            self.at, self._cursor = 0, None
        elif self.follow:
            self.at = len(shown) - 1
        elif before is None or not self._moved:
            self.at = 0
        elif self.at >= len(shown) or shown[self.at].key != before:
            self.at = next(
                (index for index, row in enumerate(shown) if row.key == before), min(self.at, len(shown) - 1)
            )
        if shown:
            self._cursor = shown[self.at].key
        return self._cursor != before

    # ---- places

    @property
    def current(self) -> Row[T] | None:
        """The row under the cursor."""
        return self.shown[self.at] if self.shown else None

    def start(self, index: int) -> int:
        """The first line of a row; 0 where there is none."""
        return self._starts[index] if index < len(self._starts) else 0

    def height(self, index: int) -> int:
        """How many lines a row takes."""
        following = self._starts[index + 1] if index + 1 < len(self._starts) else self.total
        return following - self.start(index)

    def row_at(self, line: int) -> int:
        """The row on a line."""
        return max(0, bisect_right(self._starts, line) - 1)

    def move_to(self, index: int) -> bool:
        """Put the cursor on a row, as far as there are rows; True where it was on another item."""
        if not self.shown:
            return False
        before = self._cursor
        self._moved = True
        self.at = max(0, min(index, len(self.shown) - 1))
        self._cursor = self.shown[self.at].key
        self.follow = self.kind.newest_last and self.at == len(self.shown) - 1
        return self._cursor != before

    def find(self, key: str) -> int | None:
        """Where the row of that key is shown; None for nowhere."""
        return next((index for index, row in enumerate(self.shown) if row.key == key), None)

    # ---- amounts

    def everything(self) -> list[T]:
        """All items, filtered or not, held back or not."""
        return [row.item for row in self._known.values()]

    def count(
        self, untrusted: frozenset[str] = frozenset(), stale: frozenset[str] = frozenset()
    ) -> tuple[Counter[Counted], int]:
        """How often each word occurs, and how many rows come from sources in `untrusted`, which are not counted. What
        was well of sources in `stale` is `stale`."""
        rows: Iterable[Row[T]] = self._known.values()
        if not untrusted and not stale:
            return Counter(chain.from_iterable(map(_COUNTED, rows))), 0
        item_of = self.kind.item
        known = [row for row in rows if source_name(item_of(row.item)) not in untrusted]
        sure = [row for row in known if not (self.was_well(row) and source_name(item_of(row.item)) in stale)]
        words = Counter(chain.from_iterable(map(_COUNTED, sure)))
        if len(sure) < len(known):
            words[_STALE] = len(known) - len(sure)
        return words, len(self._known) - len(known)

    def was_well(self, row: Row[T]) -> bool:
        """Whether nothing was wrong with it when its source was last seen."""
        return self.kind.health(row.item) in ("ok", "running")

    @property
    def first(self) -> T | None:
        """The first row of the order, whatever the filter; None for none."""
        return self._order[0].item if self._order else None

    def worst(self) -> str:
        """The health of the first row of the order; `ok` for none."""
        return self.kind.health(self._order[0].item) if self._order else "ok"
