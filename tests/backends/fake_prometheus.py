"""Prometheus' HTTP API in this process, over samples that a test puts there. Real servers: `tests/live/prometheus.py`.

It knows the name of a metric, `timestamp(NAME)`, `count(NAME)`, `NAME or …` (which adds nothing), and `NAN`.
"""

import json
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

LOOKBACK_S = 3600.0
NOT_FOUND = (404, {"status": "error", "errorType": "not_found", "error": "not found"})


class Refused(Exception):
    """A query that is no query."""


@dataclass
class FakePrometheus:
    """`series[name][labels]` are its samples; `groups` its rules; `answers` override a path: status and JSON."""

    series: dict[str, dict[tuple[tuple[str, str], ...], list[tuple[float, str]]]] = field(default_factory=dict)
    groups: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    around: dict[str, Any] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def start(self) -> None:
        """Listen on a free port."""
        fake = self

        class Handler(_Handler):
            server_state = fake

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._stopped = False

    def stop(self) -> None:
        """Answer nobody any more; safe to call twice."""
        if not self._stopped:
            self._stopped = True
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    @property
    def stopped(self) -> bool:
        """Kept connections end then, too."""
        return self._stopped

    def put(self, name: str, value: float | str, at: datetime, **labels: str) -> None:
        """One sample."""
        samples = self.series.setdefault(name, {}).setdefault(tuple(sorted(labels.items())), [])
        samples.append((at.timestamp(), str(value)))
        samples.sort()

    def answer(self, path: str, given: dict[str, str]) -> tuple[int, Any]:
        """Status and JSON for a path below `/api/v1/`."""
        if path in self.answers:
            return self.answers[path]
        try:
            data = self._data(path, given)
        except Refused as error:
            return 400, {"status": "error", "errorType": "bad_data", "error": str(error)}
        return NOT_FOUND if data is None else (200, {"status": "success", "data": data, **self.around})

    def _data(self, path: str, given: dict[str, str]) -> Any:
        if path == "query":
            at = float(given["time"]) if "time" in given else time.time()
            found = [
                {"metric": dict(labels), "value": [at, value]} for labels, value in self._at(given["query"], at).items()
            ]
            return {"resultType": "vector", "result": found}
        if path == "query_range":
            start, end, step = (float(given[name]) for name in ("start", "end", "step"))
            matrix: dict[tuple[tuple[str, str], ...], list[Any]] = {}
            for number in range(int((end - start) / step) + 1):
                at = start + number * step
                for labels, value in self._at(given["query"], at).items():
                    matrix.setdefault(labels, []).append([at, value])
            found = [{"metric": dict(labels), "values": values} for labels, values in matrix.items()]
            return {"resultType": "matrix", "result": found}
        return {"groups": self.groups} if path == "rules" else None

    def _at(self, query: str, at: float) -> dict[tuple[tuple[str, str], ...], str]:
        query = query.partition(" or ")[0].strip()
        function, bracket, rest = query.partition("(")
        if bracket and not rest.endswith(")"):
            raise Refused('invalid parameter "query": parse error: unclosed left parenthesis')
        name = (rest.removesuffix(")") if bracket else query).strip()
        if name == "NAN":
            return {(): "NaN"}
        found = {}
        for labels, samples in self.series.get(name, {}).items():
            seen = [sample for sample in samples if at - LOOKBACK_S < sample[0] <= at]
            if seen:
                found[labels] = str(seen[-1][0]) if function == "timestamp" else seen[-1][1]
        if function == "count":
            return {(): str(len(found))} if found else {}
        return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: FakePrometheus

    def do_GET(self) -> None:
        self._reply(parse_qs(urlsplit(self.path).query))

    def do_POST(self) -> None:
        self._reply(parse_qs(self.rfile.read(int(self.headers["content-length"])).decode()))

    def _reply(self, given: dict[str, list[str]]) -> None:
        fake = self.server_state
        if fake.stopped:
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        fake.requests.append((self.command, self.path, headers))
        path = urlsplit(self.path).path.partition("/api/v1/")[2]
        status, answer = fake.answer(path, {name: values[0] for name, values in given.items()})
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
