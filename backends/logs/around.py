"""The lines of a log nearest to one time, however many there are later."""

from datetime import datetime, timedelta

from msgspec import structs

from backends.logs.merging import is_gap, is_note
from backends.models import LogEntry
from backends.ports import LogQuery, Logs

_LEAST = timedelta(microseconds=1)


async def around(logs: Logs, query: LogQuery, at: datetime, *, before: int, after: int) -> list[LogEntry]:
    """The last `before` lines of `query` that are older than `at`, and the first `after` that are not; between the two
    there are no others. Raises BackendError."""
    earlier = structs.replace(query, until=at - _LEAST, limit=before, first=False)
    later = structs.replace(query, since=at, limit=after, first=True)
    older = await logs.query(earlier)
    said = {entry.message for entry in older if is_gap(entry) or is_note(entry)}
    return [*older, *(entry for entry in await logs.query(later) if entry.message not in said or _is_line(entry))]


def _is_line(entry: LogEntry) -> bool:
    return not is_gap(entry) and not is_note(entry)
