"""Logs in CloudWatch: the events of one or more log groups, followed by asking again.

```toml
[[contexts.production.logs]]
name = "enrich"
type = "cloudwatch"
groups = ["/aws/lambda/enrich", "arn:aws:logs:eu-central-1:210987654321:log-group:/ecs/analytics"]
stream_prefixes = ["prod/"]             # default: all streams
filter = '{ $.level != "DEBUG" }'       # CloudWatch's own pattern; what --grep means is decided here
live_tail = false                       # true: follow by Live Tail, which costs by the minute
max_scan = "10GB"                       # of one `teal log --insights`
aws = { region = "eu-central-1" }
```
An event may arrive minutes after its time. While a log is followed each question reaches back by `overlap`, and what
was seen is left out by its id; one that comes after younger ones is marked late; one that comes later than `overlap`
is not seen. AWS reads newest first only what is not older than 2024.
"""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from datetime import datetime

from msgspec import Struct

from backends.aws.access import AwsAccess
from backends.aws.account import account_of
from backends.aws.witness import Look
from backends.errors import BackendError
from backends.logs import polling
from backends.logs.cloudwatch.events import BACKWARDS_FROM_MS, LARGEST_PAGE, Group, complaint, pages
from backends.logs.cloudwatch.insights import bytes_of, search
from backends.logs.cloudwatch.tail import MAX_GROUPS, LiveTail
from backends.logs.polling import Found, Polled
from backends.logs.reading import TakenBackwards, line_filter
from backends.models import LogEntry
from backends.ports import LogQuery, Searched
from backends.registry import AdapterContext
from backends.settings import Duration

NANOSECONDS = 1_000_000_000
FILTERED_PAGE = 1_000


class CloudWatchLogsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which log groups, and what of them.

    groups: names, or ARNs; of another account ARNs.
    stream_prefixes: only streams whose name begins with one of them.
    filter: a filter pattern of CloudWatch that events have to match.
    live_tail: true to follow by Live Tail: within a second, at most ten groups, paid by the minute.
    max_scan: an Insights query is stopped when it has scanned so much, as `10GB`; it is paid by what it scans.
    aws: how AWS is reached.
    timeout: of one request.
    poll: how often it is asked again while it is followed; AWS allows an account few requests a second.
    overlap: how late an event may arrive and be seen by who follows.
    """

    groups: tuple[str, ...]
    stream_prefixes: tuple[str, ...] = ()
    filter: str = ""
    live_tail: bool = False
    max_scan: str = ""
    aws: AwsAccess = AwsAccess()
    timeout: Duration = Duration(10)
    poll: Duration = Duration(5)
    overlap: Duration = Duration(120)

    def __post_init__(self) -> None:
        if not self.groups or not all(group.strip() for group in self.groups):
            raise ValueError("groups: one or more, none of them empty")
        if not all(self.stream_prefixes):
            raise ValueError("stream_prefixes: none of them empty")
        if self.live_tail and len(self.groups) > MAX_GROUPS:
            raise ValueError(f"live_tail: of {MAX_GROUPS} groups at most")
        if self.max_scan:
            bytes_of(self.max_scan)
        if min(self.timeout, self.poll, self.overlap) <= 0:
            raise ValueError("timeout, poll, overlap: more than 0s")


class CloudWatchLogs:
    """`Logs` of log groups of one account, or of others that it may read."""

    api = 1
    Config = CloudWatchLogsConfig

    def __init__(self, config: CloudWatchLogsConfig, context: AdapterContext) -> None:
        self._name = context.name
        self._account = account_of(config.aws, context.base_dir, timeout_s=config.timeout)
        self._groups = [
            Group(group, prefix, config.filter) for group in config.groups for prefix in config.stream_prefixes or ("",)
        ]
        self._live = LiveTail(self._account, self._groups, context.name, config.aws) if config.live_tail else None
        self._max_scan = bytes_of(config.max_scan) if config.max_scan else None
        overlap_ns = round(config.overlap * NANOSECONDS)
        self._polled = Polled(context.name, self._last, self._after, time.time_ns, float(config.poll), overlap_ns)

    @property
    def costs(self) -> str:
        """Of following it."""
        return "Live Tail: each minute that it is followed is paid" if self._live is not None else ""

    async def query(self, query: LogQuery) -> list[LogEntry]:
        """As the port says; a group that cannot be read is said by a line where others can. Raises BackendError."""
        return [found.entry for found in await self._last(query)]

    def follow(self, query: LogQuery) -> AsyncIterator[LogEntry]:
        """As the port says; what arrives late is marked so, but by Live Tail. Raises BackendError."""
        if self._live is not None:
            return self._live.follow(query, self._last)
        return polling.follow(self._polled, query)

    def search(self, text: str, *, since: datetime, until: datetime, limit: int) -> AsyncGenerator[Searched, None]:
        """As the port says, by Logs Insights: of whole groups, whatever their `filter` and `stream_prefixes`. Raises
        BackendError."""
        return search(
            self._account, self._groups, text, since=since, until=until, limit=limit, max_scan=self._max_scan,
            source=self._name,
        )  # fmt: skip

    def looks(self) -> list[Look]:
        """What the groups hold, which a limit of what is scanned and Live Tail want to know; a query and Live Tail
        itself cost."""
        names = [group.identifier.removesuffix(":*") for group in self._groups]
        wanted = self._live is not None or self._max_scan is not None
        return [Look("logs", "describe_log_groups", {"logGroupIdentifiers": names[:1]})] if wanted else []

    async def aclose(self) -> None:
        """The account is shared; nothing of its own is open."""

    # ---- inside

    async def _last(self, query: LogQuery) -> list[Found]:
        line_filter(query, self._name)  # a pattern that is none is refused before anything is asked
        if query.limit <= 0:
            return []
        found = await self._of_each(lambda group: self._of_one(group, query))
        return found[: query.limit] if query.first else found[-query.limit :]

    async def _of_one(self, group: Group, query: LogQuery) -> list[Found]:
        """The lines of one group that are asked for, oldest first."""
        wanted = line_filter(query, self._name)
        since, until = _milliseconds(query.since, math.ceil), _milliseconds(query.until, math.floor)
        size = FILTERED_PAGE if query.grep or query.level else query.limit
        found: list[Found] = []
        if query.first:
            async for page in pages(self._account, group, since, until, newest_first=False, size=size):
                found += [line for line in page if _is_said(line) or wanted.takes(line.raw, line.entry, _stream(line))]
                if len(found) >= query.limit:
                    break
            return found[: query.limit]
        backwards: TakenBackwards[Found] = TakenBackwards(wanted)
        async for page in pages(self._account, group, since, until, newest_first=True, size=size):
            for line in page:
                found += [line] if _is_said(line) else backwards.feed(line.raw, line.entry, line, _stream(line))
            if len(found) >= query.limit:
                break
        else:
            found += backwards.rest()
        if query.level is not None:  # lines of a message were decided together
            found.sort(key=lambda line: line.ns, reverse=True)
        if len(found) < query.limit and since is not None and since < BACKWARDS_FROM_MS:
            found.append(complaint(group, "AWS does not read backwards what is older than 2024"))
        return found[: query.limit][::-1]

    async def _after(self, ns: int) -> list[Found | LogEntry]:
        async def of_one(group: Group) -> list[Found]:
            since = ns // 1_000_000
            asked = pages(self._account, group, since, None, newest_first=False, size=LARGEST_PAGE)
            return [line async for page in asked for line in page]

        return [line.entry if _is_said(line) else line for line in await self._of_each(of_one)]

    async def _of_each(self, read: Callable[[Group], Awaitable[list[Found]]]) -> list[Found]:
        """The lines of all groups in the order of their times; of two prefixes that overlap each line once."""
        results = await asyncio.gather(*(read(group) for group in self._groups), return_exceptions=True)
        found: list[Found] = []
        failed: list[BackendError] = []
        for group, result in zip(self._groups, results, strict=True):
            if isinstance(result, BackendError):
                failed.append(result)
                found.append(complaint(group, result.message))
            elif isinstance(result, BaseException):
                raise result
            else:
                found += result
        if len(failed) == len(results):
            raise failed[0]
        return sorted({line.identity: line for line in found}.values(), key=lambda line: line.ns)


def _is_said(line: Found) -> bool:
    return line.ns == 0


def _stream(line: Found) -> str:
    return f"{line.entry.source} {line.entry.labels.get('stream', '')}"


def _milliseconds(at: datetime | None, rounded: Callable[[float], int]) -> int | None:
    if at is None:
        return None
    whole, rest = divmod(at.microsecond, 1000)
    return int(at.replace(microsecond=0).timestamp()) * 1000 + whole + (rest > 0 and rounded is math.ceil)
