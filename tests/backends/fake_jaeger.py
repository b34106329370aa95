"""Jaeger on a real socket, of several ages: its API v3 as described (`jaeger-v3.json` of the folder that
TEAL_TEST_SPECS names), v3 as its gateway first had it, and a server that has only the API of its own pages.

Traps that are real: v3 wraps answers in `result` and may send several documents; a search that finds nothing is a 404;
errors are JSON that is called plain text; v3 at first had other names for parameters; unknown paths get the HTML of
the pages; one without a service is refused by v1.
"""

import asyncio
import functools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from backends.traces.tree import NS, Found
from tests.backends.faulty_server import HTML, FaultyServer, Received
from tests.backends.openapi import Description


@functools.cache
def description() -> Description | None:
    """Jaeger's own of v3, read once a process; None where it is not there, and nothing is held against it."""
    folder = os.environ.get("TEAL_TEST_SPECS")
    return Description(json.loads((Path(folder) / "jaeger-v3.json").read_bytes())) if folder else None


@dataclass
class FakeJaeger(FaultyServer):
    """`age`: "v3", "chunks" (v3 in several wrapped documents), "first v3" or "v1". `knows_errors`: whether its storage
    finds what failed."""

    age: str = "v3"
    knows_errors: bool = True
    spans: Sequence[Found] = ()
    prefix: str = ""
    complaints: list[str] = field(default_factory=list)

    async def respond(self, writer: asyncio.StreamWriter, request: Received) -> None:
        """The answer of its age, held against the description where that is of it."""
        parts = urlsplit(request.target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        path = parts.path.removeprefix(self.prefix)
        if path.startswith("/api/v3/") and self.age != "v1":
            status, body = self._v3(path, query)
        elif path.startswith("/api/") and not path.startswith("/api/v3/"):
            status, body = self._v1(path, query)
        else:
            return await self.send(writer, 200, HTML, {"content-type": "text/html"})
        answer = body if isinstance(body, bytes) else json.dumps(body).encode()
        known = description()
        if known is not None and self.age == "v3" and "/v3/" in path and status == 200:
            self.complaints += known.complaints("GET", request.target, request.body, status, answer)
        kind = {"content-type": "text/plain; charset=utf-8"} if status >= 400 and "/v3/" in path else {}
        return await self.send(writer, status, answer, kind)

    def _v3(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if path == "/api/v3/services":
            return 200, {"services": self._services()}
        if path != "/api/v3/traces":
            found = self._of(path.rpartition("/")[2])
        elif self.age == "first v3" or "query.startTimeMin" not in query:
            said = "query.start_time_min and query.start_time_max are required"
            return 400, {"error": {"httpCode": 400, "message": said}}
        else:
            since, until = (_ns(query[f"query.startTime{end}"]) for end in ("Min", "Max"))
            least = float(query.get("query.durationMin", "0s").removesuffix("s"))
            depth = int(query["query.searchDepth"])
            failed = "query.filter" in query
            if failed:
                wanted = {"op": "eq", "args": [{"attr": {"key": "error"}}, {"scalar": {"value": "true"}}]}
                assert json.loads(query["query.filter"]) == wanted
            found = self._search(query["query.serviceName"], since, until, least, depth, failed=failed)
        if not found:
            return 404, {"error": {"httpCode": 404, "message": "No traces found"}}
        documents = [{"resourceSpans": [otlp(span) for span in part]} for part in (found[:2], found[2:])]
        if self.age == "chunks":
            return 200, b"\n".join(json.dumps({"result": each}).encode() for each in documents)
        return 200, {"resourceSpans": [each for document in documents for each in document["resourceSpans"]]}

    def _v1(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if path == "/api/services":
            return 200, {"data": self._services(), "total": 9, "limit": 0, "offset": 0, "errors": None}
        if path == "/api/traces":
            if not query.get("service"):
                return 400, _refused(400, "parameter 'service' is required")
            least = float(query.get("minDuration", "0s").removesuffix("s"))
            failed = "tags" in query
            assert query.get("tags", '{"error":"true"}') == '{"error":"true"}'
            since, until = (int(query[name]) * 1000 for name in ("start", "end"))
            found = self._search(query["service"], since, until, least, int(query["limit"]), failed=failed)
            return 200, {"data": _of_v1(found), "total": 0, "limit": 0, "offset": 0, "errors": None}
        found = self._of(path.rpartition("/")[2])
        if not found:
            return 404, _refused(404, "trace not found")
        return 200, {"data": _of_v1(found), "total": 0, "limit": 0, "offset": 0, "errors": None}

    def _services(self) -> list[str]:
        return sorted({span.service for span in self.spans})

    def _of(self, trace_id: str) -> list[Found]:
        return [span for span in self.spans if span.trace_id == trace_id]

    def _search(self, service: str, since: int, until: int, least_s: float, depth: int, *, failed: bool) -> list[Found]:
        """By the spans of the service; whole traces, the newest last, as many storages have them."""
        found = {
            span.trace_id: span.start_ns
            for span in self.spans
            if span.service == service and since <= span.start_ns <= until
            and span.end_ns - span.start_ns >= least_s * NS and (span.failed or not failed)
        }  # fmt: skip
        if failed and not self.knows_errors:
            return []
        newest = sorted(found, key=lambda trace_id: found[trace_id])[-depth:]
        return [span for trace_id in newest for span in self._of(trace_id)]


def otlp(span: Found) -> dict[str, Any]:
    """A span with its resource."""
    told: dict[str, Any] = {
        "traceId": span.trace_id, "spanId": span.span_id, "name": span.operation, "kind": 2,
        "startTimeUnixNano": str(span.start_ns), "endTimeUnixNano": str(span.end_ns), "status": {},
    }  # fmt: skip
    if span.parent_id:
        told["parentSpanId"] = span.parent_id
    if span.failed:
        told["status"] = {"code": 2, "message": span.error}
    attributes = [{"key": "service.name", "value": {"stringValue": span.service}}]
    scope = {"name": "tests", "version": "1"}
    return {"resource": {"attributes": attributes}, "scopeSpans": [{"scope": scope, "spans": [told]}]}


def _of_v1(found: Sequence[Found]) -> list[dict[str, Any]]:
    traces: dict[str, dict[str, Any]] = {}
    for span in found:
        trace = traces.setdefault(span.trace_id, {"traceID": span.trace_id, "spans": [], "processes": {}})
        process = f"p{len(trace['processes']) + 1}"
        trace["processes"][process] = {"serviceName": span.service, "tags": []}
        told: dict[str, Any] = {
            "traceID": span.trace_id, "spanID": span.span_id, "operationName": span.operation, "references": [],
            "startTime": span.start_ns // 1000, "duration": (span.end_ns - span.start_ns) // 1000, "tags": [],
            "logs": [], "processID": process, "warnings": None,
        }  # fmt: skip
        if span.parent_id:
            told["references"] = [{"refType": "CHILD_OF", "traceID": span.trace_id, "spanID": span.parent_id}]
        if span.failed:
            told["tags"] = [{"key": "error", "type": "bool", "value": True}]
            fields = [{"key": "event", "value": "exception"}, {"key": "exception.message", "value": span.error}]
            told["logs"] = [{"timestamp": 1, "fields": fields}]
        trace["spans"].append(told)
    return list(traces.values())


def _refused(code: int, words: str) -> dict[str, Any]:
    return {"data": None, "total": 0, "limit": 0, "offset": 0, "errors": [{"code": code, "msg": words}]}


def _ns(text: str) -> int:
    at = datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
    return round(at.timestamp() * 1_000_000) * 1000
