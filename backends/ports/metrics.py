"""Numbers over time."""

from datetime import datetime
from typing import Protocol

from msgspec import Struct

from backends.ports.closable import Closable


class Sample(Struct, frozen=True, kw_only=True):
    """One value of a query at a time. `value` is None where it is no finite number; `reason` then says what it is
    (`NaN`, `+Inf`, `native histogram`). `warnings`: what the system said about the whole answer, as that it is partial.
    """

    labels: dict[str, str]
    value: float | None
    at: datetime
    reason: str = ""
    warnings: tuple[str, ...] = ()


class Point(Struct, frozen=True):
    """A value of a series at a time; None as in `Sample`."""

    at: datetime
    value: float | None


class Series(Struct, frozen=True, kw_only=True):
    """The values of one label set, oldest first. A step without data has no point. `warnings` as in `Sample`."""

    labels: dict[str, str]
    points: tuple[Point, ...]
    warnings: tuple[str, ...] = ()


class Metrics(Closable, Protocol):
    """Numbers over time, asked for in the system's own query language.

    Nothing found is an empty list, which is not zero: whoever judges it says what no data means. An empty answer that
    the system calls partial raises, since nobody can tell what is not there from what was not read. A query that the
    system refuses raises `malformed` with the system's words.
    """

    async def instant(self, query: str, *, at: datetime | None = None) -> list[Sample]:
        """What `query` says at a time, by default now: one sample for each label set."""

    async def range(self, query: str, *, start: datetime, end: datetime, step: float) -> list[Series]:
        """What `query` says from `start` to `end` (both included), every `step` seconds."""

    async def series_exist(self, metric: str) -> bool:
        """Whether any series of that name or selector has a value now: tells a misspelt name from no traffic."""

    @property
    def usual(self) -> str:
        """A metric that such a system has as a rule, as `series_exist` takes it: for who only wants to know that it
        answers."""

    def taken_at(self, query: str) -> str:
        """The query that says when the newest sample that `query` reads was taken, in seconds; empty where the time of
        a sample says it already. Asks nobody."""

    def names(self, query: str) -> tuple[str, ...]:
        """The metrics that `query` reads, each as `series_exist` takes it. Asks nobody; a query that is none of this
        system gives what it can."""
