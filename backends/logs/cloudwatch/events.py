"""Events of one log group by `FilterLogEvents`: page by page, in either direction, none left out in between.

A page may be empty though more follow. Events are told apart by their id, since many share a millisecond; the time is
that of the event and not of its arrival, which may be minutes later.
API: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct, structs

from backends.aws.account import Account
from backends.aws.wire import told
from backends.errors import BackendError
from backends.logs.lines import parse_text
from backends.logs.merging import gap
from backends.logs.polling import Found
from backends.text import clean

MS = 1_000_000
LARGEST_PAGE = 10_000
MAX_PAGES = 100
BACKWARDS_FROM_MS = 1_704_067_200_000
"""2024-01-01: further back AWS does not read newest first."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Event(Struct, frozen=True, rename="camel"):
    """The wire: only the fields that are read."""

    timestamp: int
    message: str
    event_id: str
    log_stream_name: str = ""


class _Page(Struct, frozen=True, rename="camel"):
    events: list[Event]  # always there, if empty: else it is another answer
    next_token: str = ""


class Group(Struct, frozen=True):
    """A log group, by name or ARN (that of another account only by ARN), and which of its streams."""

    identifier: str
    prefix: str = ""
    pattern: str = ""

    @property
    def name(self) -> str:
        """Without what an ARN has before it."""
        parts = self.identifier.split(":")
        return clean(parts[6] if self.identifier.startswith("arn:") and len(parts) > 6 else self.identifier, 128)

    def asked(self) -> dict[str, Any]:
        """As `FilterLogEvents` takes it."""
        arn = self.identifier.startswith("arn:")
        found = {"logGroupIdentifier" if arn else "logGroupName": self.identifier.removesuffix(":*")}
        if self.prefix:
            found["logStreamNamePrefix"] = self.prefix
        if self.pattern:
            found["filterPattern"] = self.pattern
        return found


async def pages(
    account: Account, group: Group, since_ms: int | None, until_ms: int | None, *, newest_first: bool, size: int
) -> AsyncIterator[list[Found]]:
    """Of the events in between, both ends included. The last page is a gap where there are too many. Raises
    BackendError, which names the group."""
    asked = {**group.asked(), "limit": min(size, LARGEST_PAGE), "startFromHead": not newest_first}
    asked["startTime"] = max(since_ms or 0, BACKWARDS_FROM_MS) if newest_first else since_ms or 0
    if until_ms is not None:
        if until_ms < asked["startTime"]:
            return
        asked["endTime"] = until_ms
    token: dict[str, str] = {}
    for _ in range(MAX_PAGES):
        try:
            answer = await account.read("logs", "filter_log_events", **asked, **token)
        except BackendError as error:
            raise _named(error, group) from None
        page = told(answer, _Page, f"{group.name}: {account.where}")
        yield [line(event, group) for event in page.events]
        if not page.next_token:
            return
        token = {"nextToken": page.next_token}
    yield [complaint(group, f"only {MAX_PAGES} pages of {group.name} were read")]


def line(event: Event, group: Group) -> Found:
    """An event as a line, at its own time whatever its text says."""
    entry = parse_text(event.message, source=group.name, labels={"stream": clean(event.log_stream_name, 256)})
    at = _EPOCH + timedelta(milliseconds=event.timestamp)
    ns = event.timestamp * MS
    return Found(ns, (group.identifier, event.event_id), event.message, structs.replace(entry, at=at, at_ns=str(ns)))


def complaint(group: Group, why: str) -> Found:
    """What is to be said of a group, as a line."""
    return Found(0, (group.identifier, why), "", gap(group.name, None, why))


def _named(error: BackendError, group: Group) -> BackendError:
    return BackendError(error.kind, f"{group.name}: {error.message}", fix=error.fix, status=error.status)
