"""Queries of CloudWatch Logs Insights, whose price is what they scan: bounded before and while they run, and stopped
when nobody waits for them any more.

API: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, field

from backends.aws.account import Account
from backends.aws.wire import told
from backends.errors import BackendError
from backends.logs.cloudwatch.events import Group
from backends.logs.lines import parse_text
from backends.models import LogEntry
from backends.ports import Searched
from backends.redaction import quoted
from backends.text import clean

POLL_S = 0.5
MAX_ROWS = 10_000
MAX_UNREAD = 4  # looks at a query, one after the other
FAR_ABOVE = 10
"""So many times `max_scan` may be estimated before a query is refused: the estimate knows nothing of the hour."""
DAY_S = 86_400.0
_PASSES = ("rate_limited", "timeout", "unreachable")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB)")
_UNITS = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
_ENDED = {
    "Failed": "the query failed in CloudWatch",
    "Cancelled": "somebody stopped the query",
    "Timeout": "the query ran out of time in CloudWatch",
}


def bytes_of(size: str) -> float:
    """`10GB` in bytes. Raises ValueError."""
    found = _SIZE.fullmatch(size.strip())
    if found is None or not float(found[1]):
        raise ValueError(f'max_scan: "{clean(size, 40)}" is no size: write it like "10GB", "500MB"')
    return float(found[1]) * _UNITS[found[2]]


def size_words(count: float) -> str:
    """`1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


class _Cell(Struct, frozen=True):
    field: str
    value: str = ""


class _Statistics(Struct, frozen=True, rename="camel"):
    bytes_scanned: float = 0.0
    records_matched: float = 0.0


class _Results(Struct, frozen=True, rename="camel"):
    status: str
    results: list[list[_Cell]] = field(default_factory=list)
    statistics: _Statistics = _Statistics()


class _Stored(Struct, frozen=True, rename="camel"):
    stored_bytes: int = 0
    creation_time: int = 0
    retention_in_days: int | None = None


async def search(
    account: Account, groups: Sequence[Group], text: str, *, since: datetime, until: datetime, limit: int,
    max_scan: float | None, source: str,
) -> AsyncGenerator[Searched, None]:  # fmt: skip
    """What the query has found so far, again and again until it has ended; partial results stay. Raises BackendError:
    `config` for a query that is none, or would scan far more than `max_scan` bytes."""
    identifiers = list(dict.fromkeys(group.identifier.removesuffix(":*") for group in groups))
    if max_scan is not None:
        await _refuse_far_above(account, identifiers, since, until, max_scan)
    starting = asyncio.ensure_future(account.write(
        "logs", "start_query", logGroupIdentifiers=identifiers, queryString=text, limit=min(limit, MAX_ROWS) or 1,
        startTime=int(since.timestamp()), endTime=int(until.timestamp()),
    ))  # fmt: skip
    try:
        started = await asyncio.shield(starting)
    except asyncio.CancelledError:  # left while it was started: what is started is stopped
        with contextlib.suppress(BackendError):
            await _stop(account, str((await starting)["queryId"]))
        raise
    query_id, ended, unread = str(started["queryId"]), False, 0
    try:
        while not ended:
            await asyncio.sleep(POLL_S * (1 + unread))
            try:
                answer = await account.read("logs", "get_query_results", queryId=query_id)
            except BackendError as error:  # it goes on, and what it has found is paid
                unread += 1
                if error.kind not in _PASSES or unread > MAX_UNREAD:
                    raise
                continue
            unread = 0
            found = told(answer, _Results, account.where)
            scanned = found.statistics.bytes_scanned
            ended = found.status == "Complete" or found.status in _ENDED
            note = _ENDED.get(found.status, "")
            if not ended and max_scan is not None and scanned > max_scan:
                await _stop(account, query_id)
                note = f"stopped at {size_words(scanned)}, over max_scan of {size_words(max_scan)}: there may be more"
                ended = True
            rows = tuple(_entry(row, source) for row in found.results)
            yield Searched(
                entries=rows[:limit], done=ended, scanned_bytes=scanned, matched=found.statistics.records_matched,
                note=note,
            )  # fmt: skip
    finally:
        if not ended:  # whoever asked has gone: it would go on, and cost
            with contextlib.suppress(BackendError):
                await asyncio.shield(_stop(account, query_id))


async def _stop(account: Account, query_id: str) -> None:
    with contextlib.suppress(BackendError):  # it has ended meanwhile
        await account.write("logs", "stop_query", queryId=query_id)


async def _refuse_far_above(
    account: Account, identifiers: Sequence[str], since: datetime, until: datetime, max_scan: float
) -> None:
    """By what the groups store, as if it were spread evenly over the time that they keep it."""
    answer = await account.pages("logs", "describe_log_groups", "logGroups", logGroupIdentifiers=list(identifiers))
    now, wanted_s = datetime.now(UTC), max(0.0, (until - since).total_seconds())
    estimate = 0.0
    for group in told(answer, list[_Stored], account.where):
        age_s = max(1.0, now.timestamp() - group.creation_time / 1000)
        kept_s = min(age_s, group.retention_in_days * DAY_S) if group.retention_in_days else age_s
        estimate += group.stored_bytes * min(1.0, wanted_s / kept_s)
    if estimate > FAR_ABOVE * max_scan:
        words = f"the query would scan about {size_words(estimate)}, far over max_scan of {size_words(max_scan)}"
        raise BackendError("config", words, fix="a shorter time, fewer groups, or a larger `max_scan`")


def _entry(row: Sequence[_Cell], source: str) -> LogEntry:
    """A row: a line where it has a message, else its fields in words."""
    fields: dict[str, Any] = {cell.field: cell.value for cell in row if cell.field != "@ptr"}
    at = _time(fields.pop("@timestamp", ""))
    where = clean(str(fields.pop("@log", "")).partition(":")[2] or source, 128)
    message = fields.pop("@message", None)
    labels = {clean(name, 128): clean(str(value), 512) for name, value in fields.items()}
    if message is None:
        text = "  ".join(f"{name}={value}" for name, value in fields.items())
        return LogEntry(at=at, at_ns=_ns(at), source=where, message=clean(quoted(text, 4000)), labels=labels)
    line = parse_text(str(message), source=where)
    return LogEntry(
        at=at, at_ns=_ns(at), source=where, level=line.level, message=line.message, labels={**line.labels, **labels}
    )


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None
    except ValueError:
        return None


def _ns(at: datetime | None) -> str | None:
    return None if at is None else str(round(at.timestamp() * 1000) * 1_000_000)
