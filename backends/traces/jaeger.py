"""Traces in Jaeger, by its API v3; where a server does not have that, by the one of its own pages (`/api/traces`).

```toml
[[contexts.production.traces]]
type = "jaeger"
url = "http://jaeger:16686"
services = ["checkout", "payments"]   # asked where nobody names one; default: all that it knows
```
API: https://www.jaegertracing.io/docs/latest/architecture/apis/
"""

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from msgspec import Struct, field, json

from backends.errors import BackendError
from backends.models import Trace, TraceTree
from backends.ports import TraceQuery
from backends.records import decode_mended
from backends.registry import AdapterContext
from backends.together import few_at_a_time
from backends.traces.access import TracesAccess, TracesApi, checked_id, go_duration
from backends.traces.otlp import spans_of
from backends.traces.tree import Found, summary_of, tree_of, trees_of

T = TypeVar("T")

MAX_SERVICES = 30
SIDE_BY_SIDE = 4
_US = 1_000_000
_FAILED = json.encode({"op": "eq", "args": [{"attr": {"key": "error"}}, {"scalar": {"value": "true"}}]}).decode()
_NONE = ("No traces found", "trace not found")
_TRUE = (True, "true", "True")


class JaegerConfig(TracesAccess, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Jaeger, where its pages are.

    services: those whose traces are looked for where nobody names one; default: all that it knows, at most 30.
    """

    services: tuple[str, ...] = ()


class _Services(Struct):
    services: list[str] = []
    data: list[str] = []


class _Tag(Struct):
    key: str = ""
    value: Any = None


class _Log(Struct):
    fields: list[_Tag] = []


class _Reference(Struct):
    kind: str = field(name="refType", default="")
    span_id: str = field(name="spanID", default="")
    trace_id: str = field(name="traceID", default="")


class _Span(Struct):
    """`start` and `duration` are microseconds."""

    trace_id: str = field(name="traceID")
    span_id: str = field(name="spanID")
    start: int = field(name="startTime")
    duration: int = 0
    name: str = field(name="operationName", default="")
    process: str = field(name="processID", default="")
    references: list[_Reference] = []
    tags: list[_Tag] = []
    logs: list[_Log] = []


class _Process(Struct):
    name: str = field(name="serviceName", default="unknown")


class _Trace(Struct):
    spans: list[_Span] = []
    processes: dict[str, _Process] = {}


class _Traces(Struct):
    data: list[_Trace] = []


class JaegerTraces:
    """`Traces` of a Jaeger. With `errors` it is asked twice, since not every storage of it knows which spans failed:
    for those that it takes for failed, and for the newest of which we see it."""

    api = 1
    Config = JaegerConfig

    def __init__(self, config: JaegerConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._api = TracesApi(config, context)
        self._page = f"{self._api.base}/trace/"
        self._has_v3 = True

    async def search(self, query: TraceQuery) -> list[Trace]:
        """As the port says."""
        services = [query.service] if query.service else self._config.services or await self._services()
        if len(services) > MAX_SERVICES:
            words = f"traces.{self._name}: it has {len(services)} services, more than {MAX_SERVICES}"
            raise BackendError("config", words, fix="name one (--service), or some as `services` of the entry")
        asked = [
            partial(self._found, service, query, failed=failed)
            for service in services
            for failed in ((False, True) if query.errors else (False,))
        ]
        trees = trees_of(self._name, _all_of(await few_at_a_time(SIDE_BY_SIDE, asked)), page=self._page)
        return [
            summary_of(tree) for tree in trees
            if (tree.errors or not query.errors) and tree.duration_s >= query.min_duration_s
        ][: query.limit]  # fmt: skip

    async def trace(self, trace_id: str) -> TraceTree:
        """As the port says."""
        path = f"traces/{checked_id(trace_id)}"
        found = await self._either(partial(self._spans_v3, path, {}), partial(self._spans_v1, path, {}))
        if not found:
            raise BackendError("not_found", f"traces.{self._name}: no trace {trace_id}")
        return tree_of(self._name, found, page=self._page)

    async def aclose(self) -> None:
        """Safe to call twice."""
        await self._api.aclose()

    async def _services(self) -> list[str]:
        async def names(path: str) -> list[str]:
            answer = await self._api.get(path)
            told = answer.decode(_Services)
            return told.services or told.data

        return await self._either(partial(names, "/api/v3/services"), partial(names, "/api/services"))

    async def _found(self, service: str, query: TraceQuery, *, failed: bool) -> list[Found]:
        v3: dict[str, Any] = {
            "query.serviceName": service, "query.searchDepth": query.limit,
            "query.startTimeMin": _stamp(query.since), "query.startTimeMax": _stamp(query.until),
        }  # fmt: skip
        v1: dict[str, Any] = {
            "service": service, "limit": query.limit,
            "start": round(query.since.timestamp() * _US), "end": round(query.until.timestamp() * _US),
        }  # fmt: skip
        if query.min_duration_s:
            v3["query.durationMin"] = v1["minDuration"] = go_duration(query.min_duration_s)
        if failed:
            v3["query.filter"], v1["tags"] = _FAILED, '{"error":"true"}'
        try:
            return await self._either(partial(self._spans_v3, "traces", v3), partial(self._spans_v1, "traces", v1))
        except BackendError as error:
            if not _is_none(error):
                raise
            return []

    async def _either(self, v3: Callable[[], Awaitable[T]], v1: Callable[[], Awaitable[T]]) -> T:
        """By v3, and where that is not there (once and for all) by v1."""
        if self._has_v3:
            try:
                return await v3()
            except BackendError as error:
                if not _is_older(error):
                    raise
        try:
            found = await v1()
        except BackendError as error:
            if error.status != HTTPStatus.NOT_FOUND or _is_none(error):
                raise
            words = f"{self._api.base}: HTTP 404: there is no API of Jaeger"
            raise BackendError("config", words, fix="correct `url`, with the path of Jaeger's own pages") from None
        self._has_v3 = False
        return found

    async def _spans_v3(self, path: str, params: dict[str, Any]) -> list[Found]:
        answer = await self._api.get(f"/api/v3/{path}", params)
        return spans_of(answer.body, where=answer.url)

    async def _spans_v1(self, path: str, params: dict[str, Any]) -> list[Found]:
        answer = await self._api.get(f"/api/{path}", params)
        told = decode_mended(answer.body, _Traces, where=answer.url)
        return [_of_v1(span, trace) for trace in told.data for span in trace.spans]


def _is_none(error: BackendError) -> bool:
    """Whether it is Jaeger's word for nothing found, also by a search."""
    return error.status == HTTPStatus.NOT_FOUND and any(words in error.message for words in _NONE)


def _is_older(error: BackendError) -> bool:
    """Whether a server refused v3 since it has none: no such path, its pages in HTML instead, or the names that
    parameters had at first."""
    other_names = error.status == HTTPStatus.BAD_REQUEST and "query.start_time_min" in error.message
    no_path = error.status == HTTPStatus.NOT_FOUND and not _is_none(error)
    return no_path or other_names or (error.kind == "malformed" and "HTML" in error.message)


def _of_v1(span: _Span, trace: _Trace) -> Found:
    tags = {tag.key: tag.value for tag in span.tags}
    failed = tags.get("error") in _TRUE or tags.get("otel.status_code") == "ERROR"
    parents = [each for each in span.references if each.trace_id == span.trace_id]
    parents.sort(key=lambda each: each.kind != "CHILD_OF")
    return Found(
        span.trace_id, span.span_id, parents[0].span_id if parents else "",
        trace.processes.get(span.process, _Process()).name, span.name,
        span.start * 1000, (span.start + max(0, span.duration)) * 1000, failed, _why(span, tags) if failed else "",
    )  # fmt: skip


def _why(span: _Span, tags: dict[str, Any]) -> str:
    if words := tags.get("otel.status_description"):
        return str(words)
    for log in span.logs:
        said = {tag.key: tag.value for tag in log.fields}
        names = ("exception.message", "error.object", "message") if "error" in said.values() else ("exception.message",)
        if words := next((said[name] for name in names if said.get(name)), None):
            return str(words)
    return ""


def _all_of(found: Iterable[list[Found]]) -> list[Found]:
    """Without those that came twice."""
    return list(dict.fromkeys(span for spans in found for span in spans))


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
