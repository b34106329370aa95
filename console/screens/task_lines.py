"""The tasks of a run as lines: a list with tries and durations, or bars over the time of the run. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from textual.content import Content

from backends.models import PipelineRun, TaskRun
from console.screens.parts import MUTED, fit, mark, style_of
from panels.widths import display_width
from panels.words import NOTHING, Symbols, took

LEAST_NAME, USUAL_NAME, TOOK = 12, 30, 8


def first_to_read(tasks: Sequence[TaskRun]) -> int:
    """The task whose log tells most: the first that failed, else the one that runs, else the last that ended."""
    for state in ("failed", "running"):
        for number, task in enumerate(tasks):
            if task.state == state:
                return number
    ended = [number for number, task in enumerate(tasks) if task.ended_at is not None]
    return ended[-1] if ended else 0


def lasted(task: TaskRun, now: datetime) -> float | None:
    """How long a task took, or has been running."""
    if task.duration_s is not None or task.started_at is None:
        return task.duration_s
    return ((task.ended_at or now) - task.started_at).total_seconds()


def list_line(task: TaskRun, width: int, of: Symbols, now: datetime) -> Content:
    """`✗ validate_transactions_data   try 1   1m20s`."""
    tries = f"try {task.try_number}" if task.try_number > 1 else ""
    seconds = lasted(task, now)
    tail = Content.assemble((f"{tries:>6}", MUTED), f" {took(seconds) if seconds is not None else NOTHING:>7}")
    quiet = MUTED if task.state in ("queued", "skipped") else ""
    name = fit(Content.styled(task.task, quiet), max(4, width - 2 - tail.cell_length - 1))
    return Content.assemble(mark(task.state, of), " ", name, " ", tail)


def span(tasks: Sequence[TaskRun], run: PipelineRun, now: datetime) -> tuple[datetime, float]:
    """When the bars begin, and over how many seconds."""
    starts = [task.started_at for task in tasks if task.started_at is not None]
    begin = min(starts, default=run.started_at or now)
    ends = [task.ended_at or now for task in tasks if task.started_at is not None]
    return begin, max(1.0, (max(ends, default=now) - begin).total_seconds())


def longest(tasks: Sequence[TaskRun]) -> int:
    """The width of the longest name."""
    return max((display_width(task.task) for task in tasks), default=0)


def _places(width: int, longest: int) -> tuple[int, int]:
    """The cells of the names, as wide as they are, as far as half of `width` is left; and those of the bars."""
    name = max(LEAST_NAME, min(longest, width // 2))
    return name, max(4, width - name - 4 - TOOK)


def axis_line(width: int, seconds: float, longest: int) -> str:
    """The time over the bars, from the first start: `0s       126s     4m12s`."""
    name, room = _places(width, longest)
    middle = took(seconds / 2) if seconds >= 4 else ""
    left = "0s".ljust(room // 2 - len(middle) // 2) + middle
    return " " * (name + 3) + left + took(seconds).rjust(room - len(left))


def gantt_line(
    task: TaskRun, width: int, of: Symbols, now: datetime, begin: datetime, seconds: float, longest: int = USUAL_NAME
) -> Content:
    """`✗ validate_transactions_data      ████████     1m20s`: the bar of a task that runs is open at its right end.
    `longest`: the width of the longest name."""
    name_width, room = _places(width, longest)
    name = fit(task.task, name_width)
    if task.started_at is None:
        return Content.assemble(mark(task.state, of), " ", name.stylize(MUTED))
    start = (task.started_at - begin).total_seconds() / seconds
    end = ((task.ended_at or now) - begin).total_seconds() / seconds
    left = min(room - 1, max(0, round(start * room)))
    length = max(1, min(room - left, round(end * room) - left))
    bar = of.bars[-1] * length
    if task.state == "running":
        bar = bar[:-1] + of.ellipsis
    bars = Content.assemble(" " * (left + 1), (bar, style_of(task.state) or MUTED), " " * (room - left - length))
    return Content.assemble(mark(task.state, of), " ", name, bars, f"{took(lasted(task, now)):>{TOOK}}")
