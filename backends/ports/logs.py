"""Lines of logs, asked for and followed."""

from collections.abc import AsyncIterator
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
