"""Log groups followed by `StartLiveTail`: lines within a second, at a price by the minute.

CloudWatch shows a sample of what is more than 500 events a second, and ends a session after three hours: both are gaps
that are said. Its events have no ids, so that those which a query has shown already are told by stream, time and text.
API: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartLiveTail.html
"""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from msgspec import Struct, structs

from backends.aws.access import AwsAccess
from backends.aws.account import Account
from backends.aws.errors import aws_error
from backends.aws.wire import told
from backends.errors import BackendError
from backends.logs.cloudwatch.events import Event, Group, line
from backends.logs.merging import gap
from backends.logs.polling import Found
from backends.logs.reading import line_filter
from backends.models import LogEntry
from backends.ports import LogQuery
from backends.threads import DaemonThreads

MAX_GROUPS = 10
_ENDED = ("SessionTimeoutException", "SessionStreamingException")


class _Line(Struct, frozen=True, rename="camel"):
    timestamp: int
    message: str = ""
    log_stream_name: str = ""
    log_group_identifier: str = ""


class _Metadata(Struct, frozen=True):
    sampled: bool = False


class _Update(Struct, frozen=True, rename="camel"):
    session_metadata: _Metadata = _Metadata()
    session_results: tuple[_Line, ...] = ()


class _Stored(Struct, frozen=True, rename="camel"):
    log_group_arn: str
    log_group_name: str = ""


class LiveTail:
    """The live tail of some groups; `name` is that of the entry."""

    def __init__(self, account: Account, groups: Sequence[Group], name: str, access: AwsAccess) -> None:
        self._account = account
        self._groups = groups
        self._name = name
        self._profile = access.profile

    async def follow(
        self, query: LogQuery, last: Callable[[LogQuery], Awaitable[list[Found]]]
    ) -> AsyncIterator[LogEntry]:
        """As `Logs.follow`. Raises BackendError."""
        wanted = line_filter(structs.replace(query, since=None), self._name)
        shown: Counter[tuple[str, int, str]] = Counter()
        first, sampled = True, False
        while True:
            async with contextlib.aclosing(self._session()) as session:
                async for event in session:
                    if isinstance(event, LogEntry):  # it ended, and begins anew
                        yield event
                        break
                    if first:  # the session stands: what it does not show, a query does
                        first = False
                        for found in await last(query) if query.limit > 0 else []:
                            shown[_key(found)] += 1
                            yield found.entry
                    before, sampled = sampled, event.session_metadata.sampled
                    if sampled and not before:
                        yield gap(self._name, None, "more than 500 events a second: CloudWatch shows a sample")
                    for found in self._lines(event):
                        if shown[_key(found)]:
                            shown[_key(found)] -= 1
                        elif wanted.takes(found.raw, found.entry, found.entry.source):
                            yield found.entry

    async def _session(self) -> AsyncGenerator[_Update | LogEntry, None]:
        """The updates of one session, and a gap where CloudWatch ends it."""
        asked: dict[str, Any] = {"logGroupIdentifiers": await self._arns()}
        prefixes = sorted({group.prefix for group in self._groups if group.prefix})
        if prefixes:
            asked["logStreamNamePrefixes"] = prefixes
        if self._groups[0].pattern:
            asked["logEventFilterPattern"] = self._groups[0].pattern
        answer = await self._account.read("logs", "start_live_tail", **asked)
        stream = answer["responseStream"]
        loop, events, left = asyncio.get_running_loop(), asyncio.Queue[Any](), threading.Event()

        def pump() -> None:
            end: Any = None
            try:
                for event in stream:  # one each second, whatever there is
                    if left.is_set():
                        break
                    loop.call_soon_threadsafe(events.put_nowait, event)
            except Exception as error:  # of botocore, of the connection, or since it was closed
                end = error
            with contextlib.suppress(Exception):  # here, since it waits for a read that goes on
                stream.close()
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(events.put_nowait, end)

        threads = DaemonThreads(1, "live-tail")
        threads.submit(pump)
        try:
            while isinstance(event := await events.get(), dict):
                if "sessionUpdate" in event:
                    yield told(event["sessionUpdate"], _Update, self._account.where)
                elif "sessionStart" in event:
                    yield _Update()
            code = getattr(event, "response", {}).get("Error", {}).get("Code", "")
            if event is None or code in _ENDED:
                why = "its time was over" if code == _ENDED[0] else "CloudWatch ended it"
                yield gap(self._name, None, f"the live session began anew: {why}")
                return
            raise _failed(event, self._account.where, self._profile)
        finally:
            left.set()
            threads.close()

    async def _arns(self) -> list[str]:
        """Of the groups: names are none to a live tail. Raises BackendError."""
        arns = [group.identifier.removesuffix(":*") for group in self._groups if group.identifier.startswith("arn:")]
        names = sorted({group.identifier for group in self._groups} - set(arns) - {f"{arn}:*" for arn in arns})
        if names:
            answer = await self._account.pages("logs", "describe_log_groups", "logGroups", logGroupIdentifiers=names)
            known = told(answer, list[_Stored], self._account.where)
            arns += [group.log_group_arn.removesuffix(":*") for group in known]
            missing = set(names) - {group.log_group_name for group in known}
            if missing:
                raise BackendError("not_found", f"{min(missing)}: no such log group", fix="check `groups`")
        return list(dict.fromkeys(arns))

    def _lines(self, update: _Update) -> list[Found]:
        by_name = {group.name: group for group in self._groups}
        found = []
        for each in update.session_results:
            name = each.log_group_identifier.rpartition(":")[2]
            group = by_name.get(name) or self._groups[0]
            found.append(line(Event(each.timestamp, each.message, "", each.log_stream_name), group))
        return sorted(found, key=lambda one: one.ns)


def _key(found: Found) -> tuple[str, int, str]:
    return f"{found.entry.source} {found.entry.labels.get('stream', '')}", found.ns, found.raw


def _failed(error: Exception, where: str, profile: str) -> BackendError:
    import botocore.exceptions as boto

    if isinstance(error, boto.BotoCoreError | boto.ClientError):
        return aws_error(error, where, service="logs", profile=profile)
    return BackendError("unreachable", f"{where}: the live session broke off")
