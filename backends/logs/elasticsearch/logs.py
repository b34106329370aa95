"""Logs in Elasticsearch or OpenSearch, page by page through a point in time, so that nothing moves meanwhile.

Sources: https://www.elastic.co/docs/reference/elasticsearch/rest-apis/paginate-search-results (8.x) and
https://docs.opensearch.org/latest/search-plugins/searching-data/point-in-time/ (2.4 and later).

Pages go on behind `_shard_doc` where there is one (Elasticsearch 7.12, OpenSearch 3.3), else at the time of the last
document, with what was read of it left out. Times count in nanoseconds, also where an index has milliseconds; what is
not within 1970 … 2262 is not read. A document without a time is a line without one.

```toml
[[contexts.production.logs]]
type = "elasticsearch"                # or "opensearch"
url = "https://es:9200"
index = "logs-analytics-*"
filter = { term = { "service.name" = "analytics" } }    # of the query DSL
headers = { Authorization = { env = "ES_API_KEY" } }    # "ApiKey …"; or auth = { username = …, password = … }
fields = { time = "@timestamp", message = "message", level = "log.level", source = "service.name" }
```
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Literal
from urllib.parse import quote

import msgspec
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
from backends.http import Answer
from backends.logs import polling
from backends.logs.elasticsearch.wire import Hit, Page, PointInTimeAnswer, refuse, sorted_at, time_of, value_at
from backends.logs.levels import level_of_field
from backends.logs.lines import MAX_LABELS, NANOSECONDS, nanoseconds, parse_text
from backends.logs.merging import gap
from backends.logs.polling import Found, Polled
from backends.logs.reading import LineFilter, TakenBackwards, line_filter
from backends.models import LogEntry
from backends.ports import LogQuery
from backends.records import decode_mended
from backends.registry import AdapterContext
from backends.settings import Duration, Secret
from backends.text import clean, clean_labels

PAGE = 1000
FOLLOWED_PAGE = 5000  # a page of what came within the overlap, of which there are at most `MAX_PAGES`
LARGEST_PAGE = 10_000  # `max_result_window`, as it is by default
MAX_PAGES = 50
KEEP_ALIVE = "1m"
_EARLIEST, _LATEST = "1970-01-01T00:00:00.000000000Z", "2262-04-11T23:47:16.000000000Z"


class Fields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where in a document things are; dots go into objects.

    time: its time.
    message: its text.
    level: its level.
    source: who wrote it.
    labels: taken along.
    """

    time: str = "@timestamp"
    message: str = "message"
    level: str = "log.level"
    source: str = "service.name"
    labels: tuple[str, ...] = ()


class SearchConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which documents of which cluster, and how it is entered.

    url: the cluster's base URL.
    index: an index or a pattern.
    filter: a query of the query DSL that documents have to match.
    fields: where in a document things are.
    headers: sent with every request; a value may be a reference (`ApiKey …`).
    auth: a user with a password, or a token.
    timeout: of one request.
    poll: how often it is asked again while it is followed.
    """

    url: str | Secret
    index: str
    filter: dict[str, Any] = field(default_factory=dict)
    fields: Fields = Fields()
    headers: dict[str, str | Secret] = field(default_factory=dict)
    auth: Authentication | None = None
    timeout: Duration = Duration(10.0)
    poll: Duration = Duration(2.0)

    def __post_init__(self) -> None:
        refuse_bad_url("url", self.url)
        refuse_literal_secrets(self.headers)
        if not self.index.strip(" /"):
            raise ValueError('index: a name or a pattern, e.g. "logs-*"')


class _PointInTime:
    """An open point in time; a search may give it another id, and the newest one counts."""

    def __init__(self, id: str) -> None:
        self.id = id


class ElasticsearchLogs:
    """`Logs` of an index or a pattern. What a pattern means is decided here, not by the analyzers of a field."""

    api = 1
    Config = SearchConfig
    dialect: Literal["elasticsearch", "opensearch"] = "elasticsearch"

    def __init__(self, config: SearchConfig, context: AdapterContext) -> None:
        self._config, self._context = config, context
        self._keys = Keyring(lambda: server_access(config.url, config.headers, config.auth, context.base_dir))
        self._has_ties = True  # until it is refused
        self._polled = Polled(context.name, self._last, self._after, time.time_ns, float(config.poll))

    async def query(self, query: LogQuery) -> list[LogEntry]:
        """As the port says. Raises BackendError."""
        return [found.entry for found in await self._last(query)]

    def follow(self, query: LogQuery) -> AsyncIterator[LogEntry]:
        """As the port says. Raises BackendError."""
        return polling.follow(self._polled, query)

    async def aclose(self) -> None:
        """The HTTP client is shared; nothing of its own is open."""

    # ---- inside

    async def _last(self, query: LogQuery) -> list[Found]:
        wanted = line_filter(query, self._context.name)
        if query.limit <= 0:
            return []
        size = PAGE if query.grep or query.level else min(PAGE, query.limit)
        since = nanoseconds(query.since) if query.since else None
        until = nanoseconds(query.until) + 999 if query.until else None
        if query.first:
            return await self._first(since, until, size, query.limit, wanted)
        newest_first: list[Found] = []
        said: set[Any] = set()
        backwards: TakenBackwards[Found] = TakenBackwards(wanted)
        async with aclosing(self._pages(since, until, "desc", size)) as pages:
            async for page, complaints in pages:
                for line in page:
                    newest_first += backwards.feed(line.raw, line.entry, line, line.entry.source)
                newest_first += [one for one in complaints if one.identity not in said]
                said |= {one.identity for one in complaints}
                if len(newest_first) >= query.limit:
                    break
            else:
                newest_first += backwards.rest()
        if query.level is not None:  # lines of a message were decided together
            newest_first.sort(key=lambda line: line.ns, reverse=True)
        return newest_first[: query.limit][::-1]

    async def _first(
        self, since: int | None, until: int | None, size: int, limit: int, wanted: LineFilter
    ) -> list[Found]:
        found: list[Found] = []
        said: set[Any] = set()
        async with aclosing(self._pages(since, until, "asc", size)) as pages:
            async for page, complaints in pages:
                found += [line for line in page if wanted.takes(line.raw, line.entry, line.entry.source)]
                found += [one for one in complaints if one.identity not in said]
                said |= {one.identity for one in complaints}
                if len(found) >= limit:
                    break
        return found[:limit]

    async def _after(self, ns: int) -> list[Found | LogEntry]:
        lines: list[Found | LogEntry] = []
        async for page, complaints in self._pages(ns, None, "asc", FOLLOWED_PAGE):
            lines += [*page, *(complaint.entry for complaint in complaints)]
        return lines

    async def _pages(
        self, since: int | None, until: int | None, order: str, size: int
    ) -> AsyncGenerator[tuple[list[Found], list[Found]], None]:
        """Pages of lines, and what is to be said of each: shards that did not answer, an end that was not reached."""
        seen: set[Any] = set()
        after: list[Any] | None = None
        async with self._point_in_time() as point:
            for _ in range(MAX_PAGES):
                body = self._search(since, until, order, size)
                body |= {"pit": {"id": point.id, "keep_alive": KEEP_ALIVE}} | ({"search_after": after} if after else {})
                try:
                    answer = await self._ask("POST", "/_search", body)
                except BackendError as error:
                    if not self._has_ties or "_shard_doc" not in error.message:
                        raise
                    self._has_ties = False
                    continue
                page = decode_mended(answer.body, Page, where=answer.url)
                point.id = page.pit_id or point.id
                hits = [hit for hit in page.hits.hits if (hit.index, hit.id) not in seen]
                lines = [self._line(hit) for hit in hits]
                yield lines, list(self._complaints(page, lines))
                if len(page.hits.hits) < size:
                    return
                last = page.hits.hits[-1].sort
                if self._has_ties:
                    after = last
                    continue
                seen.update((hit.index, hit.id) for hit in hits)
                edge = sorted_at(last)
                if edge is None:
                    yield [], [self._complaint(0, "more documents without a time")]
                    return
                if edge != (since if order == "asc" else until):
                    bound = edge
                elif size < LARGEST_PAGE:  # all of one time: only a larger page shows the others
                    size = min(2 * size, LARGEST_PAGE)
                    continue
                else:
                    yield [], [self._complaint(edge, f"more than {size:,} documents at one time")]
                    bound = edge + (1 if order == "asc" else -1)
                since, until = (bound, until) if order == "asc" else (since, bound)
            yield [], [self._complaint(0, f"only {MAX_PAGES * size:,} documents were searched")]

    def _search(self, since: int | None, until: int | None, order: str, size: int) -> dict[str, Any]:
        times = self._config.fields.time
        bounds = {
            "gte": _EARLIEST if since is None else _text_of(since),
            "lte": _LATEST if until is None else _text_of(until),
            "format": "strict_date_optional_time_nanos",
        }
        window: dict[str, Any] = {"range": {times: bounds}}
        if since is None and until is None:
            timeless = {"bool": {"must_not": [{"exists": {"field": times}}]}}
            window = {"bool": {"should": [window, timeless], "minimum_should_match": 1}}
        by_time = {"order": order, "unmapped_type": "date", "numeric_type": "date_nanos"}
        return {
            "size": size,
            "sort": [{times: by_time}, *([{"_shard_doc": order}] if self._has_ties else [])],
            "track_total_hits": False,
            "query": {"bool": {"filter": [window, *([self._config.filter] if self._config.filter else [])]}},
            "docvalue_fields": [{"field": times, "format": "strict_date_optional_time_nanos"}],
        }

    def _complaint(self, ns: int, why: str) -> Found:
        return Found(ns, why, "", gap(self._context.name, None, why))

    def _complaints(self, page: Page, lines: list[Found]) -> Iterator[Found]:
        ns = lines[-1].ns if lines else 0
        if lost := page.clusters.lost:
            yield self._complaint(ns, f"{lost} of {page.clusters.total} clusters did not answer, or not wholly")
        if page.shards.failed:
            yield self._complaint(ns, f"{page.shards.failed} of {page.shards.total} shards did not answer")
        if page.timed_out:
            yield self._complaint(ns, "the search ran out of time on the cluster")

    def _line(self, hit: Hit) -> Found:
        fields, source = self._config.fields, hit.source
        at = time_of(hit, fields.time)
        text = value_at(source, fields.message)
        if text is None and (said := {key: value for key, value in source.items() if value is not None}):
            text = msgspec.json.encode(said).decode()  # what there is, rather than an empty line
        raw = text if isinstance(text, str) else "" if text is None else str(text)
        name = value_at(source, fields.source)
        labels = {
            name: str(value) for name in fields.labels[:MAX_LABELS] if (value := value_at(source, name)) is not None
        }
        entry = parse_text(raw, source=clean(str(name or self._context.name), 128), labels=clean_labels(labels))
        level = level_of_field(fields.level, value_at(source, fields.level))
        level = entry.level if level == "unknown" else level
        when, ns = at or (None, 0)
        entry = structs.replace(entry, at=when, at_ns=str(ns) if at else None, level=level)
        return Found(ns, (hit.index, hit.id), raw, entry)

    @asynccontextmanager
    async def _point_in_time(self) -> AsyncIterator[_PointInTime]:
        index = quote(self._config.index, safe="*,-.")
        elastic = self.dialect == "elasticsearch"
        path = f"/{index}/_pit" if elastic else f"/{index}/_search/point_in_time"
        opened = await self._ask("POST", path, params={"keep_alive": KEEP_ALIVE})
        found = opened.decode(PointInTimeAnswer)
        point = _PointInTime(found.id if elastic else found.pit_id)
        if not point.id:
            raise BackendError(
                "malformed",
                f"{opened.url}: no id of a point in time",
                fix='type = "opensearch" and type = "elasticsearch" differ here',
            )
        try:
            yield point
        finally:
            await self._close(point)

    async def _close(self, point: _PointInTime) -> None:
        """It ends by itself after a minute where this fails."""
        try:
            if self.dialect == "elasticsearch":
                await self._ask("DELETE", "/_pit", {"id": point.id})
            else:
                await self._ask("DELETE", "/_search/point_in_time", {"pit_id": [point.id]})
        except BackendError:
            return

    async def _ask(self, method: str, path: str, body: Any = None, *, params: dict[str, str] | None = None) -> Answer:
        config, context = self._config, self._context

        async def ask(known: ServerAccess) -> Answer:
            answer = await context.http.request(
                method,
                known.base + path,
                params=params,
                json=body,
                headers=known.headers,
                auth=known.auth,
                timeout=config.timeout,
                accept_errors=True,
            )
            if answer.status >= 300:
                refuse(answer, known.headers, known.auth, f"`index`, `filter` or `fields` of logs {context.name}")
            return answer

        return await self._keys.entered(ask)


class OpenSearchLogs(ElasticsearchLogs):
    """The same in the dialect of OpenSearch."""

    dialect = "opensearch"


def _text_of(ns: int) -> str:
    """A nanosecond as ISO 8601."""
    whole = time.gmtime(ns // NANOSECONDS)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', whole)}.{ns % NANOSECONDS:09}Z"
