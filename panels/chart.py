"""Measurements over time as a line of box characters, and where its limits are. Never imports Textual."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from msgspec import Struct

from panels.words import clock

HEIGHT = 8
LONGEST = timedelta(hours=24)
LEAST = 2
_LABEL = 5
_HOUR = "00:00"


class ChartLine(Struct, frozen=True):
    """A line of a chart, and the value that its middle stands for; None for the axis."""

    text: str
    value: float | None


def chart(
    points: Sequence[tuple[datetime, float]], now: datetime, zone: tzinfo, width: int, limits: Sequence[float] = ()
) -> list[ChartLine]:
    """The last 24 hours of `points` (time, 0..1; oldest first) in at most `width` columns; nothing where fewer than two
    are of that time. `limits` are lines with their numbers. A value stands until the next one; of several in one column
    the lowest is drawn."""
    recent = [point for point in points if now - LONGEST <= point[0] <= now]
    columns = width - _LABEL - 1
    if len(recent) < LEAST or columns <= 2 * len(_HOUR):
        return []
    first, span = recent[0][0], max(now - recent[0][0], timedelta(minutes=1))
    low, high = _range([value for _, value in recent], limits)
    rows = [round((value - low) / (high - low) * (HEIGHT - 1)) for value in _columns(recent, first, span, columns)]
    drawn = _line(rows)
    marked = {round((limit - low) / (high - low) * (HEIGHT - 1)): limit for limit in limits}
    lines = []
    for level in reversed(range(HEIGHT)):
        value = low + (high - low) * level / (HEIGHT - 1)
        named = level in (0, HEIGHT - 1) or level in marked
        label = f"{marked.get(level, value):{_LABEL}.2f}" if named else " " * _LABEL
        blank = "┄" if level in marked else " "
        text = "".join(drawn.get((column, level), blank) for column in range(columns))
        lines.append(ChartLine(f"{label}┤{text}", value))
    return [*lines, ChartLine(" " * (_LABEL + 1) + _axis(first, now, zone, columns), None)]


def _range(values: Sequence[float], limits: Sequence[float]) -> tuple[float, float]:
    low, high = min([*values, *limits]), max([*values, *limits, 1.0])
    return (low, high) if high - low > 0.01 else (low - 0.05, high)


def _columns(points: Sequence[tuple[datetime, float]], first: datetime, span: timedelta, columns: int) -> list[float]:
    """What stood in each column, up to that of the last measurement."""
    found: dict[int, float] = {}
    for at, value in points:
        column = min(columns - 1, int((at - first) / span * columns))
        found[column] = min(found.get(column, value), value)
    shown: list[float] = []
    for column in range(max(found) + 1):
        shown.append(found.get(column, shown[-1] if shown else points[0][1]))
    return shown


def _line(rows: Sequence[int]) -> dict[tuple[int, int], str]:
    """What is drawn where (column, level): a level line, and corners where it rises or falls."""
    drawn: dict[tuple[int, int], str] = {}
    for column, level in enumerate(rows):
        before = rows[column - 1] if column else level
        if before == level:
            drawn[column, level] = "─"
            continue
        falls = before > level
        drawn[column, before] = "╮" if falls else "╯"
        drawn[column, level] = "╰" if falls else "╭"
        for between in range(min(before, level) + 1, max(before, level)):
            drawn[column, between] = "│"
    return drawn


def _axis(first: datetime, now: datetime, zone: tzinfo, columns: int) -> str:
    """Times at the start, at the end, and between them where there is room."""
    marks = max(2, min(5, columns // 12))
    text = ""
    for mark in range(marks):
        at = clock(first + (now - first) * mark / (marks - 1), zone)[: len(_HOUR)]
        start = round((columns - len(_HOUR)) * mark / (marks - 1))
        text = text.ljust(start) + at
    return text
