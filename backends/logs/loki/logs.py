"""Logs in Grafana Loki. Source: https://grafana.com/docs/loki/latest/reference/loki-http-api/ (3.x).

```toml
[[contexts.production.logs]]
type = "loki"
url = "http://loki:3100"
query = '{app="analytics"}'          # a log query of LogQL; filters may follow
tenant = "team-a"                    # X-Scope-OrgID
auth = { username = "oncall", password = { env = "LOKI_PASSWORD" } }
lookback = "7d"                      # so far back is looked for the last lines where nobody says since when
tail = true                          # follow by websocket; default: by asking again
```

Followed by asking again: `/tail` is best effort, drops lines without a word, and a server allows ten of them. So what
is behind it is asked for every few seconds; what no query has is a gap.
"""

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

from msgspec import Struct, field, structs

from backends.credentials import (
    Authentication,
    Keyring,
    ServerAccess,
    refuse_bad_url,
    refuse_literal_secrets,
    server_access,
)
from backends.errors import BackendError
from backends.http import Answer, refusal
from backends.logs import polling
from backends.logs.levels import level_of_field
from backends.logs.lines import NANOSECONDS, nanoseconds, parse_text, parse_time
from backends.logs.loki import tail as loki_tail
from backends.logs.loki.tail import Stream
from backends.logs.merging import gap, is_gap
from backends.logs.polling import OVERLAP_NS, Found, Polled, Seen
from backends.logs.reading import LineFilter, TakenBackwards, line_filter
from backends.models import LogEntry
from backends.patterns import for_re2
from backends.ports import LogQuery
from backends.records import decode_mended
from backends.registry import AdapterContext
from backends.settings import Duration, Secret
from backends.text import clean, clean_labels

T = TypeVar("T")

PAGE = 1000
MOST_PER_PAGE = 5000  # Loki's own default for `max_entries_limit_per_query`; a lower one is learned
MAX_PAGES = 50
FIRST_LOOK_S = 3600.0
BEHIND_TAIL_S = 5.0
_SOURCE_LABELS = ("app", "service_name", "service", "container", "job", "pod", "filename")
_LEVEL_LABELS = ("detected_level", "level", "severity", "severity_text", "severity_number")
# `max_query_length`, `max_query_range`, `max_query_lookback`, `max_query_bytes_read`: limits of Loki, and no mistake.
_TOO_MUCH = r"(?:time range|query length|bytes).* exceeds? the limit|exceeds? the limit.*query length|too many bytes"
_LIMIT = r"max entries limit .*\((\d+) > (\d+)\)"


class LokiConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines of which Loki, and how it is entered.

    url: the server's base URL.
    query: a log query of LogQL; filters may follow.
    tenant: sent as X-Scope-OrgID.
    headers: sent with every request; a value may be a reference.
    auth: a user with a password, or a token.
    timeout: of one request.
    lookback: so far back is looked for the last lines where nobody says since when.
    poll: how often it is asked again while it is followed.
    tail: follow by websocket instead.
    """

    url: str | Secret
    query: str
    tenant: str = ""
    headers: dict[str, str | Secret] = field(default_factory=dict)
    auth: Authentication | None = None
    timeout: Duration = Duration(10.0)
    lookback: Duration = Duration(7 * 86400.0)
    poll: Duration = Duration(1.0)
    tail: bool = False

    def __post_init__(self) -> None:
        refuse_bad_url("url", self.url)
        refuse_literal_secrets(self.headers)
        if not self.query.lstrip().startswith("{"):
            raise ValueError("""query: a log query begins with a selector, e.g. '{app="analytics"}'""")


class _Data(Struct):
    result_type: str = field(name="resultType")
    result: list[Any] = []


class _Answer(Struct):
    data: _Data


class _Streams(Struct):
    result: list[Stream] = []


class _StreamsAnswer(Struct):
    data: _Streams
    warnings: list[str] = []


class LokiLogs:
    """`Logs` of one LogQL query. What a pattern means is decided here; Loki only leaves out what cannot match."""

    api = 1
    Config = LokiConfig

    def __init__(self, config: LokiConfig, context: AdapterContext) -> None:
        self._config, self._context = config, context
        self._keys = Keyring(self._access)
        self._most = MOST_PER_PAGE
        self._polled = Polled(context.name, self._last, self._after, time.time_ns, float(config.poll))

    async def query(self, query: LogQuery) -> list[LogEntry]:
        """As the port says. Raises BackendError."""
        return [found.entry for found in await self._last(query)]

    def follow(self, query: LogQuery) -> AsyncIterator[LogEntry]:
        """As the port says. Raises BackendError, also where a tail ends."""
        return self._tailed(query) if self._config.tail else polling.follow(self._polled, query)

    async def aclose(self) -> None:
        """The HTTP client is shared; nothing of its own is open."""

    # ---- inside

    async def _tailed(self, query: LogQuery) -> AsyncIterator[LogEntry]:
        """The last lines by a query, then the tail from the newest that is known; what is in both comes once."""
        wanted = line_filter(structs.replace(query, since=None), self._context.name)
        anchor = await self._last(LogQuery(limit=1))
        seen = Seen(anchor[-1].ns if anchor and anchor[-1].ns else time.time_ns())
        for item in await self._after(seen.from_ns):
            if isinstance(item, Found):
                seen.is_new(item)
        for found in await self._last(query) if query.limit > 0 else []:
            seen.is_new(found)
            yield found.entry
        known = await self._keys.current()  # just proven by the queries
        asked = {"query": self._config.query, "start": str(seen.newest_ns), "limit": str(self._most)}
        scheme, _, place = known.base.partition("://")
        url = f"{'wss' if scheme.casefold() == 'https' else 'ws'}://{place}/loki/api/v1/tail?{urlencode(asked)}"
        read_to_ns, read_at, dropped = seen.newest_ns, time.monotonic(), list[Any]()
        frames = loki_tail.frames(url, known, float(self._config.timeout))
        async with aclosing(loki_tail.with_pauses(frames, BEHIND_TAIL_S)) as frames_or_none:
            async for frame in frames_or_none:
                lines = [line for stream in frame.streams or () for line in self._lines(stream)] if frame else []
                for line in sorted(lines, key=lambda line: line.ns):
                    if seen.is_new(line) and wanted.takes(line.raw, line.entry, line.entry.source):
                        yield line.entry
                dropped += frame.dropped_entries or () if frame else ()
                if not dropped and time.monotonic() - read_at < BEHIND_TAIL_S:
                    continue
                behind = await self._after(max(0, read_to_ns - OVERLAP_NS))
                for item in seen.news(behind):
                    if not isinstance(item, Found):
                        yield item
                    elif wanted.takes(item.raw, item.entry, item.entry.source):
                        yield item.entry
                known_ns = {item.ns for item in behind if isinstance(item, Found)}
                if lost := sum(loki_tail.dropped_at(one) not in known_ns for one in dropped):
                    yield gap(self._context.name, lost, "Loki's tail dropped them, at least, and no query has them")
                read_to_ns, read_at, dropped = max(known_ns, default=read_to_ns), time.monotonic(), []
                seen.prune(read_to_ns - OVERLAP_NS)

    async def _access(self) -> ServerAccess:
        config = self._config
        known = await server_access(config.url, config.headers, config.auth, self._context.base_dir)
        tenant = {"x-scope-orgid": config.tenant} if config.tenant else {}
        return structs.replace(known, headers={**known.headers, **tenant})

    async def _last(self, query: LogQuery) -> list[Found]:
        wanted = line_filter(query, self._context.name)
        if query.limit <= 0:
            return []
        end = nanoseconds(query.until) + 1000 if query.until else time.time_ns() + NANOSECONDS
        looks = (min(FIRST_LOOK_S, self._config.lookback), self._config.lookback)
        starts = [nanoseconds(query.since)] if query.since else [end - int(look * NANOSECONDS) for look in looks]
        if query.first:
            return await self._in_pages(partial(self._first, starts[-1], end, query))
        found: list[Found] = []
        for start in starts:
            found = await self._in_pages(partial(self._backwards, start, end, query, wanted))
            if len(found) >= query.limit:
                break
        return found

    async def _first(self, start: int, end: int, query: LogQuery) -> list[Found]:
        wanted, found = line_filter(query, self._context.name), list[Found]()
        page = max(PAGE, query.limit) if query.grep or query.level else query.limit
        async with aclosing(self._forwards(start, end, page, query.grep, is_followed=False)) as lines:
            async for line in lines:
                if is_gap(line.entry) or wanted.takes(line.raw, line.entry, line.entry.source):
                    found.append(line)
                    if len(found) >= query.limit:
                        break
        return found

    async def _backwards(self, start: int, end: int, query: LogQuery, wanted: LineFilter) -> list[Found]:
        """The last matching lines of [start, end): page by page, each from the oldest nanosecond of the one before."""
        newest_first: list[Found] = []
        backwards: TakenBackwards[Found] = TakenBackwards(wanted)
        seen: set[Any] = set()
        page = min(self._most, max(PAGE, query.limit) if query.grep or query.level else min(query.limit, PAGE))
        for _ in range(MAX_PAGES):
            lines, gaps = await self._page(start, end, "backward", page, query.grep)
            newest_first += [one for one in gaps if one not in newest_first]
            for line in reversed(lines):
                if (line.ns, line.identity) in seen:
                    continue
                seen.add((line.ns, line.identity))
                newest_first += backwards.feed(line.raw, line.entry, line, line.entry.source)
            if len(lines) < page or len(newest_first) >= query.limit:
                newest_first += backwards.rest() if len(lines) < page else []
                newest_first.sort(key=lambda line: line.ns, reverse=True)
                return newest_first[: query.limit][::-1]
            oldest = lines[0].ns
            if oldest + 1 < end:
                end = oldest + 1
            elif page < self._most:
                page = min(2 * page, self._most)  # all of one nanosecond: only a larger page shows the others
            else:
                newest_first.append(self._gap(oldest, f"more than {page} lines in one nanosecond"))
                end = oldest
        newest_first += backwards.rest()
        newest_first.sort(key=lambda line: line.ns, reverse=True)
        newest_first.append(self._gap(end, f"only the newest {MAX_PAGES * page:,} lines were searched"))
        return newest_first[::-1]

    async def _after(self, start: int) -> list[Found | LogEntry]:
        async def read() -> list[Found | LogEntry]:
            async with aclosing(self._forwards(start, time.time_ns() + NANOSECONDS, MOST_PER_PAGE, None)) as lines:
                return [line.entry if is_gap(line.entry) else line async for line in lines]

        return await self._in_pages(read)

    async def _in_pages(self, read: Callable[[], Awaitable[list[T]]]) -> list[T]:
        """What it reads, in smaller pages where Loki allows no larger ones."""
        while True:
            most = self._most
            try:
                return await read()
            except BackendError:
                if self._most == most:
                    raise

    async def _forwards(
        self, start: int, end: int, page: int, grep: str | None, *, is_followed: bool = True
    ) -> AsyncGenerator[Found, None]:
        """The lines of [start, end), oldest first, with gaps in between: page by page, each from the newest nanosecond
        of the one before. Where that are too many, who follows asks on behind them."""
        seen: set[Any] = set()
        page = min(page, self._most)
        for _ in range(MAX_PAGES):
            some, gaps = await self._page(start, end, "forward", page, grep)
            for line in (*some, *gaps):
                if (line.ns, line.identity) not in seen:
                    seen.add((line.ns, line.identity))
                    yield line
            if len(some) < page:
                return
            if some[-1].ns > start:
                start = some[-1].ns
            elif page < self._most:
                page = min(2 * page, self._most)  # all of one nanosecond: only a larger page shows the others
            else:
                yield self._gap(start, f"more than {page} lines in one nanosecond")
                start += 1
        if not is_followed:
            yield self._gap(start, f"only the first {MAX_PAGES * page:,} lines were searched")

    def _gap(self, ns: int, why: str) -> Found:
        return Found(ns, why, "", gap(self._context.name, None, why))

    async def _page(
        self, start: int, end: int, direction: str, limit: int, grep: str | None
    ) -> tuple[list[Found], list[Found]]:
        """One page, oldest first, of `start` and later, before `end`; and what is to be said of it."""
        config = self._config
        params = {"query": config.query + _line_filter(grep), "start": str(start), "end": str(end), "limit": str(limit)}

        async def ask(known: ServerAccess) -> Answer:
            answer = await self._context.http.get(
                f"{known.base}/loki/api/v1/query_range",
                params={**params, "direction": direction},
                headers=known.headers,
                auth=known.auth,
                timeout=config.timeout,
                accept_errors=True,
            )
            if answer.status < 300:
                return answer
            if answer.status == 400 and (allowed := re.search(_LIMIT, _said(answer))) and 0 < int(allowed[2]) < limit:
                self._most = int(allowed[2])
            asked = f"`query` of logs {self._context.name}"
            if answer.status == 400 and re.search(_TOO_MUCH, _said(answer)):
                fix = f"ask for less time (--since, `lookback` of logs {self._context.name}), or raise it in Loki"
                error = refusal(answer, headers=known.headers, auth=known.auth, said=_said(answer))
                raise BackendError("config", error.message, fix=fix, status=answer.status)
            raise refusal(answer, headers=known.headers, auth=known.auth, said=_said(answer), asked=asked)

        answer = await self._keys.entered(ask)
        if (kind := answer.decode(_Answer).data.result_type) != "streams":
            raise BackendError(
                "config",
                f"logs {self._context.name}: the query gives a {clean(kind, 40)}, not lines",
                fix="leave out rate() and the like",
            )
        decoded = decode_mended(answer.body, _StreamsAnswer, where=answer.url)
        found = [line for stream in decoded.data.result for line in self._lines(stream)]
        found.sort(key=lambda line: line.ns)
        at = found[-1].ns if found else start
        return found, [self._gap(at, f"Loki warns: {words}") for words in decoded.warnings]

    def _lines(self, stream: Stream) -> Iterable[Found]:
        source = next((stream.stream[name] for name in _SOURCE_LABELS if name in stream.stream), self._context.name)
        labels = clean_labels(stream.stream)
        identity = tuple(sorted(stream.stream.items()))
        for value in stream.values:
            ns, text = value[:2] if isinstance(value, list) and len(value) > 1 else ("", "")
            if not (isinstance(ns, str) and ns.isdecimal() and isinstance(text, str)):
                why = f"this is no [nanoseconds, text]: {clean(str(value), 60)}"
                yield Found(0, why, text if isinstance(text, str) else "", gap(self._context.name, 1, why))
                continue
            more = value[2] if len(value) > 2 and isinstance(value[2], dict) else {}
            yield Found(int(ns), (identity, text), text, _entry(ns, text, source, labels, more))


def _entry(ns: str, text: str, source: str, labels: dict[str, str], more: dict[str, Any]) -> LogEntry:
    """The time is Loki's, the level that of the line, else that of its labels."""
    parsed = parse_text(text, source=clean(source, 128), labels=labels)
    level = parsed.level
    if level == "unknown":
        levels = (level_of_field(name, more.get(name) or labels.get(name)) for name in _LEVEL_LABELS)
        level = next((one for one in levels if one != "unknown"), "unknown")
    at = parse_time(int(ns))
    return structs.replace(parsed, at=at[0] if at else None, at_ns=ns if at else None, level=level)


def _line_filter(grep: str | None) -> str:
    """LogQL that leaves out lines which cannot match; empty where Loki may understand the pattern otherwise. What has
    escape sequences is asked for, since a pattern may match once they are gone."""
    pattern = for_re2(grep) if grep else None
    if pattern is None:
        return ""
    other = r"|\x1b|\\u" + (r'|\\"' if '"' in pattern else "")
    quoted = f"(?:{pattern}){other}".replace("\\", "\\\\").replace('"', '\\"')
    return f' |~ "{quoted}"'


def _said(answer: Answer) -> str:
    """Loki's errors are plain text, those of a proxy may be anything."""
    if "text/plain" in answer.headers.get("content-type", ""):
        return answer.body.decode("utf-8", "replace")
    return ""
