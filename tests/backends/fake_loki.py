"""Loki's `query_range`, as its HTTP API is published: on a real socket through `FaultyServer`, over lines of a test.

`start` is inclusive, `end` exclusive, nanoseconds; entries beyond `limit` are left out at the far end of `direction`;
the same line at the same time of the same stream is stored once; a limit above 5,000 is refused in plain text.
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import regex

from tests.backends.faulty_server import Received

MAX_ENTRIES = 5000
_QUERY = re.compile(r'\{[^}]*\}(?: \|~ "((?:[^"\\]|\\.)*)")?')
Key = tuple[int, tuple[tuple[str, str], ...], str]


class FakeLoki:
    """`put` stores a line; give `answer` to a `FaultyServer`."""

    def __init__(self) -> None:
        self._lines: dict[Key, dict[str, str]] = {}
        self.queries: list[dict[str, str]] = []
        self.max_entries = MAX_ENTRIES

    def put(self, ns: int, text: str, *, more: dict[str, str] | None = None, **labels: str) -> None:
        self._lines[ns, tuple(sorted((labels or {"app": "analytics"}).items())), text] = more or {}

    def answer(self, request: Received) -> tuple[int, Any]:
        url = urlsplit(request.target)
        if url.path != "/loki/api/v1/query_range":
            return 404, "404 page not found"
        asked = {name: values[-1] for name, values in parse_qs(url.query).items()}
        self.queries.append(asked)
        query = _QUERY.fullmatch(asked["query"])
        if query is None:
            return 400, "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER"
        limit = int(asked.get("limit", 100))
        if limit > self.max_entries:
            return (
                400,
                f"max entries limit per query exceeded, limit > max ({limit} > {self.max_entries})",
            )
        pattern = regex.compile(query[1].replace('\\"', '"').replace("\\\\", "\\")) if query[1] else None
        forward = asked.get("direction", "backward") == "forward"
        chosen = sorted(
            (key for key in self._lines if int(asked["start"]) <= key[0] < int(asked["end"])),
            key=lambda key: key[0],
            reverse=not forward,
        )
        return 200, self._streams([key for key in chosen if pattern is None or pattern.search(key[2])][:limit])

    def _streams(self, keys: Iterable[Key]) -> dict[str, Any]:
        streams: dict[tuple[tuple[str, str], ...], list[list[Any]]] = {}
        for ns, labels, text in keys:
            more = self._lines[ns, labels, text]
            streams.setdefault(labels, []).append([str(ns), text, more] if more else [str(ns), text])
        result = [{"stream": dict(labels), "values": values} for labels, values in streams.items()]
        return {"status": "success", "data": {"resultType": "streams", "result": result, "stats": {}}}
