"""Traces in Grafana Tempo, 2.0 and newer, by TraceQL and by id.

```toml
[[contexts.production.traces]]
type = "tempo"
url = "http://tempo:3200"
tenant = "team-a"                     # X-Scope-OrgID
```
API: https://grafana.com/docs/tempo/latest/api_docs/
"""

import math
from http import HTTPStatus
from typing import Any

from msgspec import Struct, field

from backends.errors import BackendError
from backends.http import Answer
from backends.models import Health, Trace, TraceTree
from backends.ports import TraceQuery
from backends.records import decode_mended
from backends.registry import AdapterContext
from backends.text import clean
from backends.traces.access import TracesAccess, TracesApi, checked_id
from backends.traces.otlp import spans_of
from backends.traces.tree import MAX_SERVICES, time_of, tree_of

_DIGITS = 32
_NEWEST = " with (most_recent=true)"
"""Else it is the first that many readers happen to find; before Tempo 2.8 nothing else can be had."""


class TempoConfig(TracesAccess, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Tempo.

    tenant: sent as X-Scope-OrgID.
    """

    tenant: str = ""


class _Stats(Struct):
    spans: int = field(name="spanCount", default=0)
    errors: int = field(name="errorCount", default=0)


class _Hit(Struct):
    """`duration_ms` is left out below a millisecond; an id is told without leading zeros."""

    trace_id: str = field(name="traceID")
    start: int | str = field(name="startTimeUnixNano", default=0)
    duration_ms: float = field(name="durationMs", default=0)
    service: str = field(name="rootServiceName", default="")
    operation: str = field(name="rootTraceName", default="")
    stats: dict[str, _Stats] = field(name="serviceStats", default_factory=dict)


class _Hits(Struct):
    traces: list[_Hit] = []


class TempoTraces:
    """`Traces` of a Tempo. In a search the state is a warning where a span failed, also the root; it is unknown where
    Tempo is too old to count them."""

    api = 1
    Config = TempoConfig

    def __init__(self, config: TempoConfig, context: AdapterContext) -> None:
        self._name = context.name
        self._api = TracesApi(config, context, {"X-Scope-OrgID": config.tenant} if config.tenant else None)
        self._hint = _NEWEST

    async def search(self, query: TraceQuery) -> list[Trace]:
        """As the port says; of a Tempo before 2.8 any that match, since it does not look for the newest."""
        params = {
            "start": math.floor(query.since.timestamp()), "end": math.ceil(query.until.timestamp()),
            "limit": query.limit, "spss": 1,
        }  # fmt: skip
        asked = _asked(query)
        try:
            answer = await self._api.get("/api/search", {**params, "q": asked + self._hint})
        except BackendError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                await self._be_sure()
            if error.status != HTTPStatus.BAD_REQUEST or not self._hint:
                raise
            answer = await self._api.get("/api/search", {**params, "q": asked})
            self._hint = ""
        hits = decode_mended(answer.body, _Hits, where=answer.url).traces
        found = [self._trace(hit, failed=query.errors) for hit in hits]
        return sorted(found, key=lambda trace: trace.started_at, reverse=True)[: query.limit]

    async def trace(self, trace_id: str) -> TraceTree:
        """As the port says."""
        asked = checked_id(trace_id)
        answer = await self._get(f"/api/v2/traces/{asked}") or await self._get(f"/api/traces/{asked}")
        found = spans_of(answer.body, where=answer.url) if answer is not None else []
        if not found:
            if answer is None:
                await self._be_sure()
            raise BackendError("not_found", f"traces.{self._name}: no trace {asked}")
        return tree_of(self._name, found)

    async def aclose(self) -> None:
        """Safe to call twice."""
        await self._api.aclose()

    async def _get(self, path: str) -> Answer | None:
        try:
            return await self._api.get(path, {})
        except BackendError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None

    async def _be_sure(self) -> None:
        """Raises BackendError(config) where it is no Tempo that knows no trace."""
        answer = await self._get("/api/echo")
        if answer is None or answer.body.strip() != b"echo":
            words = f"{self._api.base}: HTTP 404, and nothing answers at /api/echo: there is no API of Tempo"
            raise BackendError("config", words, fix="correct `url`: that of the query frontend, with its path")

    def _trace(self, hit: _Hit, *, failed: bool) -> Trace:
        counts = hit.stats.values()
        errors = sum(each.errors for each in counts) if hit.stats else None
        state: Health = "warning" if errors or failed else "ok" if errors is not None else "unknown"
        trace_id = clean(hit.trace_id, 64).lower().zfill(_DIGITS)
        return Trace(
            ref=f"{self._name}/{trace_id}", backend=self._name, trace_id=trace_id,
            service=clean(hit.service, 100), operation=clean(hit.operation, 200),
            started_at=time_of(_ns(hit.start)), duration_s=hit.duration_ms / 1000, state=state,
            span_count=sum(each.spans for each in counts) if hit.stats else None, errors=errors,
            services=tuple(clean(name, 100) for name in sorted(hit.stats))[:MAX_SERVICES],
        )  # fmt: skip


def _asked(query: TraceQuery) -> str:
    """In TraceQL: one selector for each condition, since different spans may meet them."""
    wanted: list[str] = []
    if query.service:
        name = query.service.replace("\\", "\\\\").replace('"', '\\"')
        wanted.append(f'{{ resource.service.name = "{name}" }}')
    if query.errors:
        wanted.append("{ status = error }")
    if query.min_duration_s:
        wanted.append(f"{{ traceDuration >= {round(query.min_duration_s * 1e6)}us }}")
    return " && ".join(wanted) or "{}"


def _ns(value: Any) -> int:
    try:
        return int(value)
    except ValueError:
        raise BackendError("malformed", "Tempo told of a trace whose begin is no number") from None
