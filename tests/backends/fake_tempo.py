"""Tempo on a real socket, by the examples of its documentation: there is no description of its API to hold it to.

Traps that are real: a search by TraceQL gives any that match unless it is asked for the newest, which old ones refuse;
ids lose their leading zeros; a duration below a millisecond is left out; by id, `/api/v2` has what OTLP has, and
`/api` (all that old ones have) ids in base64 and words for the numbers of enumerations.
"""

import asyncio
import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from backends.traces.tree import NS, Found
from tests.backends.fake_jaeger import otlp
from tests.backends.faulty_server import FaultyServer, Received

_SELECTOR = re.compile(
    r'\{ (?:resource\.service\.name = (?P<service>"(?:[^"\\]|\\.)*")|(?P<error>status = error)'
    r"|traceDuration >= (?P<least>\d+)us) \}"
)
_HINT = " with (most_recent=true)"


@dataclass
class FakeTempo(FaultyServer):
    """`is_old`: of 2.0, before v2, the hint and the counts. `partial`: why it has only a part of each trace."""

    is_old: bool = False
    partial: str = ""
    spans: Sequence[Found] = ()

    async def respond(self, writer: asyncio.StreamWriter, request: Received) -> None:
        """Errors are plain text."""
        parts = urlsplit(request.target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        status, body = self._answer(parts.path, query)
        answer = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        await self.send(writer, status, answer, {"content-type": "text/plain"} if isinstance(body, str) else {})

    def _answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if path == "/api/echo":
            return 200, "echo"
        if path == "/api/search":
            return self._search(query)
        found = [span for span in self.spans if span.trace_id == path.rpartition("/")[2]]
        if path.startswith("/api/v2/traces/") and not self.is_old:
            status = {"status": "PARTIAL", "message": self.partial} if self.partial else {"status": "COMPLETE"}
            trace = {"resourceSpans": [otlp(span) for span in found]}
            return (200, {"trace": trace, "metrics": {}, **status}) if found else (404, "trace not found")
        if path.startswith("/api/traces/"):
            return (200, {"batches": [_old(span) for span in found]}) if found else (404, "trace not found")
        return 404, "404 page not found\n"

    def _search(self, query: dict[str, str]) -> tuple[int, Any]:
        asked = query["q"]
        newest = asked.endswith(_HINT)
        if newest and self.is_old:
            return 400, "invalid TraceQL query: parse error at line 1, col 4: syntax error: unexpected IDENTIFIER"
        chosen = list(dict.fromkeys(span.trace_id for span in self.spans))
        for selector in asked.removesuffix(_HINT).split(" && "):
            if selector == "{}":
                continue
            wanted = _SELECTOR.fullmatch(selector)
            if wanted is None:
                return 400, f"invalid TraceQL query: {selector}"
            chosen = [trace_id for trace_id in chosen if self._matches(trace_id, wanted)]
        since, until = int(query["start"]) * NS, int(query["end"]) * NS
        hits = [hit for hit in map(self._hit, chosen) if since <= int(hit["startTimeUnixNano"]) <= until]
        if newest:
            hits.sort(key=lambda hit: -int(hit["startTimeUnixNano"]))
        return 200, {"traces": hits[: int(query.get("limit", 20))], "metrics": {"totalBlocks": 13}}

    def _of(self, trace_id: str) -> list[Found]:
        return [span for span in self.spans if span.trace_id == trace_id]

    def _matches(self, trace_id: str, wanted: re.Match[str]) -> bool:
        spans = self._of(trace_id)
        if wanted["service"]:
            return any(span.service == json.loads(wanted["service"]) for span in spans)
        if wanted["error"]:
            return any(span.failed for span in spans)
        took = max(span.end_ns for span in spans) - min(span.start_ns for span in spans)
        return took >= int(wanted["least"]) * 1000

    def _hit(self, trace_id: str) -> dict[str, Any]:
        spans = self._of(trace_id)
        root = next(span for span in spans if not span.parent_id)
        begin = min(span.start_ns for span in spans)
        told: dict[str, Any] = {
            "traceID": trace_id.lstrip("0"), "rootServiceName": root.service, "rootTraceName": root.operation,
            "startTimeUnixNano": str(begin), "spanSets": [{"spans": [], "matched": len(spans)}],
        }  # fmt: skip
        if took := (max(span.end_ns for span in spans) - begin) // 1_000_000:
            told["durationMs"] = took
        if not self.is_old:
            told["serviceStats"] = {
                service: {
                    "spanCount": sum(span.service == service for span in spans),
                    "errorCount": sum(span.service == service and span.failed for span in spans),
                }
                for service in dict.fromkeys(span.service for span in spans)
            }
        return told


def _old(span: Found) -> dict[str, Any]:
    resource = otlp(span)
    (told,) = resource["scopeSpans"][0]["spans"]
    for name in ("traceId", "spanId", "parentSpanId"):
        if name in told:
            told[name] = base64.b64encode(bytes.fromhex(told[name])).decode()
    told["kind"] = "SPAN_KIND_SERVER"
    if "code" in told["status"]:
        told["status"]["code"] = "STATUS_CODE_ERROR"
    return resource
