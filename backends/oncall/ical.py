"""Who is on call by the calendar feed of any scheduler (iCalendar, RFC 5545): rules, zones, changed occurrences.

```toml
[[contexts.production.oncall]]
name = "primary"
type = "ical"
url = { env = "ONCALL_FEED" }           # whoever knows it can read it; or: path = "oncall.ics"
who = 'On call: (.+)'                   # a pattern over the summary; the group is the person. Default: all of it
priority = ["Primary", "Override"]      # of events that overlap the later one wins
max_age = "1d"                          # a feed that was written longer ago is unknown
```
A feed is one schedule. Times without a zone are of the feed's own (`X-WR-TIMEZONE`), else of the context's.
"""

import asyncio
import os
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from backends.errors import BackendError, ErrorKind
from backends.files import open_regular
from backends.http import Answer, refusal
from backends.models import OnCall
from backends.oncall.calendar import MAX_BYTES, Calendar, Event
from backends.oncall.shifts import AHEAD, BEHIND, Span, schedule_of
from backends.paths import path_of
from backends.patterns import Pattern
from backends.registry import AdapterContext
from backends.retrying import PASSING_STATUS
from backends.settings import Duration, Secret
from backends.stopwatch import timed
from backends.text import clean
from backends.threads import DaemonThreads

T = TypeVar("T")

DAY_S = 86400.0


class IcalConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A calendar feed, which is one schedule.

    url: a reference to the address of the feed: whoever knows that can read it.
    path: a file with the feed, instead of `url`.
    who: a regular expression over the summary of an event: its group `who`, else its first one, else what it finds is
        the person. An event where it finds nothing is no shift.
    priority: regular expressions over the summary, the least first: of events that overlap, those count that the later
        one of them finds. An event that none finds comes before all of them.
    max_age: a feed that was written longer ago, by its file or as its server tells, is unknown.
    timeout: of one read.
    """

    url: Secret | None = None
    path: str | None = None
    who: str = ".+"
    priority: tuple[str, ...] = ()
    max_age: Duration = Duration(DAY_S)
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        if (self.url is None) == (self.path is None):
            raise ValueError("url, path: exactly one of them")
        if self.timeout <= 0 or self.max_age <= 0:
            raise ValueError("timeout, max_age: more than 0s")
        for key, text in [("who", self.who), *(("priority", text) for text in self.priority)]:
            try:
                Pattern(text)
            except BackendError as error:
                raise ValueError(f"{key}: {error.message}") from None


class Feed(Struct, frozen=True):
    """A feed as it was read last, and when it was written; `tag`: by which its server knows it again."""

    body: bytes
    written_at: float
    calendar: Calendar
    tag: str = ""


class IcalSchedule:
    """`Schedules` from one feed, which is asked as nobody. It is parsed again only where it changed."""

    api = 1
    me: tuple[str, ...] = ()
    Config = IcalConfig

    def __init__(self, config: IcalConfig, context: AdapterContext) -> None:
        self._config = config
        self._context = context
        self._where = f"oncall.{context.name}"
        self._threads = DaemonThreads(1, "ical")
        self._feed: Feed | None = None
        self._who = Pattern(config.who)
        self._priority = [Pattern(text) for text in config.priority]

    async def on_call(self, at: datetime) -> list[OnCall]:
        """As the port says. A feed that is too old, or of which `who` finds no event, is `unknown`."""
        self._feed = feed = await (self._from_file() if self._config.path is not None else self._from_url())
        item = await self._in_thread(partial(self._schedule, feed.calendar, at))
        old_s = time.time() - feed.written_at
        if old_s <= self._config.max_age or item.state == "unknown":
            return [item]
        then = f", it had {', '.join(item.now.who)}" if item.now and item.now.who else ""
        reason = f"the feed was written {Duration(old_s // 60 * 60)} ago, more than {self._config.max_age}{then}"
        return [replace(item, state="unknown", now=None, next=None, shifts=(), reason=reason)]

    async def aclose(self) -> None:
        """Safe to call twice."""
        self._threads.close()

    def _schedule(self, calendar: Calendar, at: datetime) -> OnCall:
        found = calendar.between(at - BEHIND, at + AHEAD)
        spans = [span for event in found if (span := self._span(event)) is not None]
        name = self._context.name
        known = spans or not calendar.summaries or any(map(self._person, calendar.summaries))
        reason = "" if known else f"of {len(calendar.summaries)} events of the feed `who` finds none"
        return schedule_of(name, name, spans, at, ref=name, unknown=reason)

    def _person(self, summary: str) -> str:
        return clean((self._who.part_of(summary, "who") or "").strip(), 100)

    def _span(self, event: Event) -> Span | None:
        who = self._person(event.summary)
        if not who:
            return None
        rank = max((at for at, each in enumerate(self._priority, 1) if each.found_in(event.summary)), default=0)
        return Span(who, event.since, event.until, rank, event.email)

    async def _from_file(self) -> Feed:
        path = path_of(self._config.path or "", self._context.base_dir)

        def read() -> Feed:
            try:
                with open_regular(path) as file:
                    written_at = os.fstat(file.fileno()).st_mtime
                    body = file.read(MAX_BYTES + 1)
            except OSError as error:
                words = f"{self._where}: {clean(str(path), 200)}: {(error.strerror or str(error)).lower()}"
                kind: ErrorKind = "auth" if isinstance(error, PermissionError) else "unreachable"
                raise BackendError(kind, words, fix="check `path`") from None
            return self._read(body, written_at)

        return await self._in_thread(read)

    async def _from_url(self) -> Feed:
        assert self._config.url is not None
        url = (await self._config.url.resolve(self._context.base_dir)).strip()
        if url.startswith("webcal://"):
            url = f"https{url.removeprefix('webcal')}"
        known = self._feed
        headers = {"if-none-match": known.tag} if known is not None and known.tag else {}
        asked: dict[str, Any] = {"headers": headers, "timeout": float(self._config.timeout)}
        answer = await self._context.http.get(url, accept_errors=bool(headers), passing=PASSING_STATUS, **asked)
        if answer.status == HTTPStatus.NOT_MODIFIED and known is not None:
            return replace(known, written_at=written_at(answer))
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise refusal(answer, headers=headers)
        tag = answer.headers.get("etag", "")
        return await self._in_thread(partial(self._read, answer.body, written_at(answer), tag))

    def _read(self, body: bytes, written: float, tag: str = "") -> Feed:
        known = self._feed
        if known is not None and known.body == body:
            return replace(known, written_at=written, tag=tag)
        return Feed(body, written, Calendar(body, self._where, self._context.zone), tag)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            async with timed(self._config.timeout):
                return await asyncio.wrap_future(self._threads.submit(work))
        except TimeoutError:
            words = f"{self._where}: the feed is not read in {self._config.timeout}"
            raise BackendError("timeout", words, fix="export fewer events, or raise `timeout`") from None


def written_at(answer: Answer) -> float:
    """When a feed was written, as its server tells; now where it does not."""
    from email.utils import parsedate_to_datetime  # 15 ms, unless httpx has imported it by now

    told = answer.headers.get("age", "")
    now = time.time() - (float(told) if told.isdecimal() else 0.0)
    try:
        return min(now, parsedate_to_datetime(answer.headers.get("last-modified", "")).timestamp())
    except ValueError:
        return now
