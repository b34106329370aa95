"""Logs in Elasticsearch or OpenSearch, page by page through a point in time, so that nothing moves meanwhile.

Sources: https://www.elastic.co/docs/reference/elasticsearch/rest-apis/paginate-search-results (8.x) and
https://docs.opensearch.org/latest/search-plugins/searching-data/point-in-time/ (2.4 and later).

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
from typing import Any, Literal, NoReturn
from urllib.parse import quote

from msgspec import Struct, field, structs

from backends.credentials import Authentication, credentials, refuse_bad_url, refuse_literal_secrets
from backends.errors import BackendError
from backends.http import Answer, refusal
from backends.logs import polling
from backends.logs.lines import LEVEL_WORDS, MAX_LABELS, NANOSECONDS, nanoseconds, parse_text, parse_time
from backends.logs.merging import gap
from backends.logs.polling import Found, Polled
from backends.logs.reading import TakenBackwards, line_filter
from backends.models import LogEntry
from backends.ports import LogQuery
from backends.registry import AdapterContext
from backends.settings import Duration, Secret, reveal
from backends.text import clean, clean_labels

PAGE = 1000
MAX_PAGES = 50
KEEP_ALIVE = "1m"


class Fields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where in a document things are; dots go into objects. `labels` are taken along."""

    time: str = "@timestamp"
    message: str = "message"
    level: str = "log.level"
    source: str = "service.name"
    labels: tuple[str, ...] = ()


class SearchConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which documents of which cluster, and how it is entered."""

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


class _Pit(Struct):
    id: str = ""
    pit_id: str = ""


class _Hit(Struct):
    _index: str
    _id: str
    sort: list[Any]
    _source: dict[str, Any] = {}


class _Hits(Struct):
    hits: list[_Hit]


class _Shards(Struct):
    total: int = 0
    failed: int = 0


class _Page(Struct):
    hits: _Hits
    timed_out: bool
    shards: _Shards = field(name="_shards", default_factory=_Shards)
    pit_id: str = ""


class _PointInTime:
    """An open point in time; a search may give it another id, and the newest one counts."""

    def __init__(self, id: str) -> None:  # noqa: A002
        self.id = id


class ElasticsearchLogs:
    """`Logs` of an index or a pattern. What a pattern means is decided here, not by the analyzers of a field."""

    api = 1
    Config = SearchConfig
    dialect: Literal["elasticsearch", "opensearch"] = "elasticsearch"

    def __init__(self, config: SearchConfig, context: AdapterContext) -> None:
        self._config, self._context = config, context
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
        newest_first: list[Found] = []
        backwards: TakenBackwards[Found] = TakenBackwards(wanted)
        async with aclosing(self._pages(since, until, "desc", size)) as pages:
            async for page, complaints in pages:
                for line in page:
                    newest_first += backwards.feed(line.raw, line.entry, line, line.entry.source)
                newest_first += complaints
                if len(newest_first) >= query.limit:
                    break
            else:
                newest_first += backwards.rest()
        if query.level is not None:  # lines of a message were decided together
            newest_first.sort(key=lambda line: line.ns, reverse=True)
        return newest_first[: query.limit][::-1]

    async def _after(self, ns: int) -> list[Found | LogEntry]:
        lines: list[Found | LogEntry] = []
        async for page, complaints in self._pages(ns, None, "asc", PAGE):
            lines += [*page, *(complaint.entry for complaint in complaints)]
        return lines

    async def _pages(
        self, since: int | None, until: int | None, order: str, size: int
    ) -> AsyncGenerator[tuple[list[Found], list[Found]], None]:
        """Pages of lines, and what is to be said of each: shards that did not answer, an end that was not reached."""
        times = self._config.fields.time
        bounds = {name: _text_of(ns) for name, ns in (("gte", since), ("lte", until)) if ns is not None}
        window = [{"range": {times: {**bounds, "format": "strict_date_optional_time_nanos"}}}] if bounds else []
        more = [self._config.filter] if self._config.filter else []
        body: dict[str, Any] = {
            "size": size,
            "sort": [{times: {"order": order, "unmapped_type": "date"}}, {"_shard_doc": order}],
            "track_total_hits": False,
            "query": {"bool": {"filter": [*window, *more]}},
        }
        async with self._point_in_time() as point:
            for _ in range(MAX_PAGES):
                body["pit"] = {"id": point.id, "keep_alive": KEEP_ALIVE}
                answer = await self._ask("POST", "/_search", body)
                page = answer.decode(_Page)
                point.id = page.pit_id or point.id
                lines = [self._line(hit, answer.url) for hit in page.hits.hits]
                yield lines, list(self._complaints(page, lines))
                if len(lines) < size:
                    return
                body["search_after"] = page.hits.hits[-1].sort
            why = f"only {MAX_PAGES * size:,} documents were searched"
            yield [], [Found(0, why, "", gap(self._context.name, None, why))]

    def _complaints(self, page: _Page, lines: list[Found]) -> Iterator[Found]:
        ns = lines[-1].ns if lines else 0
        if page.shards.failed:
            why = f"{page.shards.failed} of {page.shards.total} shards did not answer"
            yield Found(ns, why, "", gap(self._context.name, None, why))
        if page.timed_out:
            yield Found(ns, "timed out", "", gap(self._context.name, None, "the search ran out of time on the cluster"))

    def _line(self, hit: _Hit, where: str) -> Found:
        fields, source = self._config.fields, hit._source
        at = parse_time(_at(source, fields.time))
        if at is None:
            raise BackendError(
                "malformed", f"{where}: {clean(fields.time, 60)} of document {clean(hit._id, 60)} is no time"
            )
        text = _at(source, fields.message)
        raw = text if isinstance(text, str) else "" if text is None else str(text)
        name = _at(source, fields.source)
        labels = {name: str(value) for name in fields.labels[:MAX_LABELS] if (value := _at(source, name)) is not None}
        entry = parse_text(raw, source=clean(str(name or self._context.name), 128), labels=clean_labels(labels))
        level = LEVEL_WORDS.get(str(_at(source, fields.level)).lower(), entry.level)
        entry = structs.replace(entry, at=at[0], at_ns=str(at[1]), level=level)
        return Found(at[1], (hit._index, hit._id), raw, entry)

    @asynccontextmanager
    async def _point_in_time(self) -> AsyncIterator[_PointInTime]:
        index = quote(self._config.index, safe="*,-.")
        elastic = self.dialect == "elasticsearch"
        path = f"/{index}/_pit" if elastic else f"/{index}/_search/point_in_time"
        opened = await self._ask("POST", path, params={"keep_alive": KEEP_ALIVE})
        found = opened.decode(_Pit)
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
        base = (await reveal(config.url, context.base_dir)).rstrip("/")
        who = await credentials(config.headers, config.auth, context.base_dir)
        answer = await context.http.request(
            method,
            base + path,
            params=params,
            json=body,
            headers=who.headers,
            auth=who.auth,
            timeout=config.timeout,
            accept_errors=True,
        )
        if answer.status >= 300:
            _refuse(answer, who.headers, who.auth, f"`index`, `filter` or `fields` of logs {context.name}")
        return answer


class OpenSearchLogs(ElasticsearchLogs):
    """The same in the dialect of OpenSearch."""

    dialect = "opensearch"


class _Cause(Struct):
    reason: str = ""
    type: str = ""
    root_cause: list["_Cause"] = []

    @property
    def words(self) -> str:
        """Those of what is behind it: of a failed search the reason of the first shard."""
        cause = next((cause for cause in self.root_cause if cause.reason), self)
        return f"{cause.type}: {cause.reason}" if cause.reason else cause.type


class _Error(Struct):
    error: _Cause | str = ""


def _refuse(answer: Answer, headers: dict[str, str], auth: tuple[str, str] | None, asked: str) -> NoReturn:
    try:
        error = answer.decode(_Error).error
        said = error if isinstance(error, str) else error.words
        if "no handler found" in said:  # a path that this dialect does not have
            asked = ""
    except BackendError:
        said = ""
    raise refusal(answer, headers=headers, auth=auth, said=said, asked=asked)


def _at(document: Any, path: str) -> Any:
    """What stands at a path, whether its dots are objects or part of the name; the first of several."""
    if not isinstance(document, dict):
        return None
    if path in document:
        found = document[path]
        return found[0] if isinstance(found, list) and found else found
    head, _, rest = path.partition(".")
    while rest:
        if head in document and (found := _at(document[head], rest)) is not None:
            return found
        more, _, rest = rest.partition(".")
        head = f"{head}.{more}"
    return None


def _text_of(ns: int) -> str:
    """A nanosecond as ISO 8601."""
    whole = time.gmtime(ns // NANOSECONDS)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', whole)}.{ns % NANOSECONDS:09}Z"
