"""Which of very many tasks are read, where that are too many: those that went wrong must be among them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from backends.logs.merging import gap
from backends.models import LogEntry

T = TypeVar("T")


def most_telling(items: Sequence[T], is_bad: Callable[[T], bool], most: int) -> list[T]:
    """At most `most`, in their order: the last that went wrong, then the last of the others."""
    numbers = range(len(items))
    bad = [number for number in numbers if is_bad(items[number])][-most:]
    others = [number for number in numbers if number not in set(bad)]
    kept = {*bad, *others[len(others) - (most - len(bad)) :]} if len(bad) < most else set(bad)
    return [items[number] for number in sorted(kept)]


def unread(source: str, total: int, read: int, what: str) -> list[LogEntry]:
    """The line that says so; none where all are read."""
    return [gap(source, None, f"{total - read} of its {total} {what} are not read")] if read < total else []
