"""Elasticsearch and OpenSearch, as far as logs are searched: points in time and `search_after`, in both dialects.

A point in time sees what there was when it was opened, and each search gives it a new id, of which the older ones stop
working; `sort` is by time and `_shard_doc`, which older versions (`has_ties`) do not know; a search without a point in
time, or without a known one, is refused. What is `indexed` of a time comes as a doc value.
"""

import itertools
import json
import re
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from backends.logs.lines import parse_time
from tests.backends.faulty_server import Received


class FakeSearch:
    """`put` indexes a document; give `answer` to a `FaultyServer`. `failed_shards` and `timed_out` go into answers."""

    def __init__(self, dialect: str) -> None:
        self.elastic = dialect == "elasticsearch"
        self.documents: list[dict[str, Any]] = []
        self.points: dict[str, list[dict[str, Any]]] = {}
        self.closed = 0
        self.searches: list[dict[str, Any]] = []
        self.failed_shards = 0
        self.timed_out = False
        self.has_ties = True
        self.indexed: dict[str, str] = {}  # by the time as written
        self._numbers = itertools.count(1)

    def put(self, at: datetime | str, message: str, **more: Any) -> None:
        text = at if isinstance(at, str) else at.isoformat()
        source = {"@timestamp": text, "message": message, **more}
        number = len(self.documents)
        self.documents.append({"_index": "logs-1", "_id": f"d{number}", "_source": source, "number": number})

    def answer(self, request: Received) -> tuple[int, Any]:
        url = urlsplit(request.target)
        body = json.loads(request.body) if request.body else {}
        path = url.path
        opens = re.fullmatch(r"/([^/]+)/_pit" if self.elastic else r"/([^/]+)/_search/point_in_time", path)
        closes = "/_pit" if self.elastic else "/_search/point_in_time"
        if request.method == "POST" and opens and not body:
            return self._open(opens[1], parse_qs(url.query))
        if request.method == "DELETE" and path == closes:
            return self._closed(body["id"] if self.elastic else body["pit_id"][0])
        if request.method == "POST" and path == "/_search":
            return self._search(body)
        reason = f"no handler found for uri [{path}] and method [{request.method}]"
        return 400, {"error": {"type": "illegal_argument_exception", "reason": reason}, "status": 400}

    def _open(self, index: str, params: dict[str, list[str]]) -> tuple[int, Any]:
        if "keep_alive" not in params:
            return 400, {"error": {"type": "action_request_validation_exception", "reason": "keep_alive is missing"}}
        if index.startswith("missing"):
            return 404, {"error": {"type": "index_not_found_exception", "reason": f"no such index [{index}]"}}
        return 200, {"id" if self.elastic else "pit_id": self._point(list(self.documents))}

    def _point(self, documents: list[dict[str, Any]]) -> str:
        name = f"pit{next(self._numbers)}=="
        self.points[name] = documents
        return name

    def _closed(self, name: str) -> tuple[int, Any]:
        if self.points.pop(name, None) is None:
            return 404, {"error": {"type": "search_context_missing_exception", "reason": "No search context found"}}
        self.closed += 1
        return 200, {"succeeded": True, "num_freed": 1}

    def _search(self, body: dict[str, Any]) -> tuple[int, Any]:
        self.searches.append(body)
        if len(body["sort"]) > 1 and not self.has_ties:
            reason = "No mapping found for [_shard_doc] in order to sort on"
            cause = {"type": "query_shard_exception", "reason": reason}
            whole = {"type": "search_phase_execution_exception", "reason": "all shards failed", "root_cause": [cause]}
            return 400, {"error": whole}
        documents = self.points.pop(body.get("pit", {}).get("id", ""), None)
        if documents is None:
            return 404, {"error": {"type": "search_context_missing_exception", "reason": "No search context found"}}
        (by_time,) = body["sort"][0].values()
        assert by_time["numeric_type"] == "date_nanos"  # without it, indices of two resolutions are out of order
        order = by_time["order"]
        found = [(self._sort_of(each, order), each) for each in documents if self._matches(each, body["query"])]
        found.sort(key=lambda pair: pair[0], reverse=order == "desc")
        if "search_after" in body:
            after = tuple(body["search_after"])
            assert len(body["sort"]) > 1
            found = [pair for pair in found if (pair[0] > after if order == "asc" else pair[0] < after)]
        hits = [
            {key: document[key] for key in ("_index", "_id", "_source")}
            | {"_score": None, "sort": list(sort)[: len(body["sort"])], **self._doc_values(document)}
            for sort, document in found[: body["size"]]
        ]
        return 200, {
            "pit_id": self._point(documents),
            "took": 1,
            "timed_out": self.timed_out,
            "_shards": {"total": 5, "successful": 5 - self.failed_shards, "skipped": 0, "failed": self.failed_shards},
            "hits": {"max_score": None, "hits": hits},
        }

    def _time_of(self, document: dict[str, Any]) -> int | None:
        text = document["_source"].get("@timestamp")
        at = parse_time(self.indexed.get(text, text))
        return at[1] if at else None

    def _doc_values(self, document: dict[str, Any]) -> dict[str, Any]:
        text = document["_source"].get("@timestamp")
        return {"fields": {"@timestamp": [self.indexed[text]]}} if text in self.indexed else {}

    def _sort_of(self, document: dict[str, Any], order: str) -> tuple[int, int]:
        at = self._time_of(document)
        missing = 2**63 - 1 if order == "asc" else -(2**63)
        return missing if at is None else at, document["number"]

    def _matches(self, document: dict[str, Any], query: dict[str, Any]) -> bool:
        for clause in query["bool"]["filter"]:
            if "range" in clause:
                bounds = clause["range"]["@timestamp"]
                at = self._time_of(document)
                if at is None:
                    return False
                low, high = (parse_time(bounds[name]) if name in bounds else None for name in ("gte", "lte"))
                if (low and at < low[1]) or (high and at > high[1]):
                    return False
            elif "term" in clause:
                ((name, value),) = clause["term"].items()
                if document["_source"].get(name) != value:
                    return False
        return True
