"""Lines of logs, asked for and followed."""

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from backends.models import LogEntry, LogLevel
from backends.ports.closable import Closable


class LogQuery(Struct, frozen=True, kw_only=True):
    """Which lines are wanted. `grep`: a regular expression; `level`: the least severe. `limit` counts from the end, or
    with `first` from the beginning: what follows on `since`, however many lines come after it."""

    since: datetime | None = None
    until: datetime | None = None
    grep: str | None = None
    level: LogLevel | None = None
    limit: int = 500
    first: bool = False


class Logs(Closable, Protocol):
    """Lines of text with a time."""

    async def query(self, query: LogQuery) -> list[LogEntry]:
        """The last `limit` matching lines, or the first ones where `first` is asked; oldest first either way."""

    def follow(self, query: LogQuery) -> AsyncIterator[LogEntry]:
        """First what `query` would give (nothing with `limit=0`), then matching lines as they are written, until the
        iterator is closed: none between the two is lost, none comes twice. `since` bounds only the first part. `first`
        is for `query` alone.

        What had to be skipped is said by a line of `backends.logs.merging.gap`."""


def costs(logs: Logs) -> str:
    """What following it costs, in words; empty where it costs nothing: an adapter may say so as `costs`."""
    return str(getattr(logs, "costs", ""))


class Searched(Struct, frozen=True, kw_only=True):
    """How far a query is: the rows that it has by now as lines, in its own order; `note` says why some are missing."""

    entries: tuple[LogEntry, ...]
    done: bool
    scanned_bytes: float = 0.0
    matched: float = 0.0
    note: str = ""


class SearchableLogs(Logs, Protocol):
    """A system of logs with a query language of its own."""

    def search(self, text: str, *, since: datetime, until: datetime, limit: int) -> AsyncGenerator[Searched, None]:
        """What the query has found, again and again, until it has ended or the iterator is closed, which stops it."""
