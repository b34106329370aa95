"""One color of the `analytics` service: the marts of the warehouse over HTTP.

    python -P -m console.sandbox.service DIR LISTENING_FD COLOR [VERSION]

`/health`, `/metrics` (Prometheus text), `/api/v1/status`, `/api/customers`, `/api/transactions`, `/api/products`, each
with `?limit=`, and `/work`, a query that takes a little longer. The faults that concern its color are read from
`faults.json`, looked at for each request.
"""

import asyncio
import json
import os
import socket
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from console.sandbox import files
from console.sandbox.http1 import Request, Response, Server, serve_until_told

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SLOW_BY_S = 0.8
BAD_RELEASE_FAILS_EVERY = 3
ERR20_FAILS_EVERY = 5
MAX_ROWS = 200
TABLES = {
    "/api/customers": "SELECT * FROM mart_customers ORDER BY revenue DESC, customer_id",
    "/api/transactions": "SELECT * FROM mart_transactions ORDER BY day DESC, currency",
    "/api/products": "SELECT * FROM mart_products ORDER BY revenue DESC, product_id",
}
WORK = """SELECT c.country, p.category, count(*) AS orders, round(sum(t.transaction_amount), 2) AS revenue
          FROM stg_transactions t JOIN stg_customers c USING (customer_id) JOIN stg_products p USING (product_id)
          WHERE t.run_id = (SELECT max(run_id) FROM stg_transactions)
          GROUP BY c.country, p.category ORDER BY revenue DESC"""


class Metrics:
    """What `/metrics` says: answers by status, and how long they took."""

    def __init__(self, color: str) -> None:
        self._color = color
        self._by_status: dict[int, int] = {200: 0}
        self._buckets = [0] * len(BUCKETS)
        self._sum = 0.0

    def observe(self, status: int, seconds: float) -> None:
        self._by_status[status] = self._by_status.get(status, 0) + 1
        self._sum += seconds
        for index, limit in enumerate(BUCKETS):
            if seconds <= limit:
                self._buckets[index] += 1

    def exposition(self) -> str:
        """Prometheus text format 0.0.4."""
        color, count, name = self._color, sum(self._by_status.values()), "http_request_duration_seconds"
        lines = ["# HELP http_requests_total Answers by status.", "# TYPE http_requests_total counter"]
        for status, number in sorted(self._by_status.items()):
            lines.append(f'http_requests_total{{color="{color}",status="{status}"}} {number}')
        lines += [f"# HELP {name} Time to answer.", f"# TYPE {name} histogram"]
        for limit, number in zip(BUCKETS, self._buckets, strict=True):
            lines.append(f'{name}_bucket{{color="{color}",le="{limit:g}"}} {number}')
        lines.append(f'{name}_bucket{{color="{color}",le="+Inf"}} {count}')
        lines.append(f'{name}_sum{{color="{color}"}} {self._sum:.6f}')
        lines.append(f'{name}_count{{color="{color}"}} {count}')
        return "\n".join(lines) + "\n"


class Warehouse:
    """The marts, read only. The connection is kept as long as the file at its path is the same one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode: int | None = None
        self._connection: sqlite3.Connection | None = None

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Raises sqlite3.Error or OSError where the warehouse cannot be read."""
        inode = os.stat(self._path).st_ino
        if self._connection is None or inode != self._inode:
            if self._connection is not None:
                self._connection.close()
            self._connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.2)
            self._connection.row_factory = sqlite3.Row
            self._inode = inode
        return [dict(row) for row in self._connection.execute(query)]


class Faults:
    """Which faults of `faults.json` concern one color."""

    def __init__(self, path: Path, color: str) -> None:
        self._path, self._color = path, color
        self._seen: tuple[int, int] | None = None
        self._active: frozenset[str] = frozenset()

    def active(self) -> frozenset[str]:
        try:
            found = os.stat(self._path)
        except OSError:
            return frozenset()
        seen = (found.st_mtime_ns, found.st_ino)
        if seen != self._seen:
            faults = files.read_json(self._path).get("faults", {})
            self._active = frozenset(name for name, fault in faults.items() if fault.get("color") == self._color)
            self._seen = seen
        return self._active


class Analytics:
    """The service of one color."""

    def __init__(self, directory: Path, color: str, version: str) -> None:
        self._color, self._version = color, version
        self._metrics = Metrics(color)
        self._warehouse = Warehouse(directory / files.WAREHOUSE)
        self._faults = Faults(directory / files.FAULTS, color)
        self._served = 0

    async def answer(self, request: Request) -> Response:
        """Every answer names its color in `X-Environment`. Probes and scrapes are not counted as traffic."""
        started = time.perf_counter()
        faults = self._faults.active()
        if "slow-color" in faults or self._version.endswith("-slow800"):
            await asyncio.sleep(SLOW_BY_S)
        try:
            response = self._route(request, faults)
        except (sqlite3.Error, OSError) as error:
            response = _json(503, {"error": f"warehouse: {error}"})
        response.headers["x-environment"] = self._color
        response.headers["x-version"] = self._version
        if request.path not in ("/health", "/metrics"):
            self._metrics.observe(response.status, time.perf_counter() - started)
        return response

    def _route(self, request: Request, faults: frozenset[str]) -> Response:
        path = request.path
        if request.method not in ("GET", "HEAD"):
            return _json(405, {"error": "only GET and HEAD"})
        if path == "/health":
            return self._health("bad-release" in faults or self._version.endswith("-sick"))
        if path == "/metrics":
            kind = {"content-type": "text/plain; version=0.0.4; charset=utf-8"}
            return Response(200, self._metrics.exposition().encode(), kind)
        self._served += 1
        if "bad-release" in faults and self._served % BAD_RELEASE_FAILS_EVERY == 0:
            return _json(500, {"error": "KeyError: 'currency_rounding'"})
        if self._version.endswith("-err20") and self._served % ERR20_FAILS_EVERY == 0:
            return _json(500, {"error": "ZeroDivisionError: division by zero"})
        if path in TABLES:
            return _json(200, self._warehouse.rows(f"{TABLES[path]} LIMIT {_limit(request)}"))
        if path == "/work":
            return _json(200, self._warehouse.rows(WORK))
        if path == "/api/v1/status":
            counted = {name[5:]: self._warehouse.rows(f"SELECT count(*) AS n FROM mart_{name[5:]}") for name in TABLES}
            rows = {name: found[0]["n"] for name, found in counted.items()}
            return _json(200, {"status": "healthy", "warehouse": "ok", "version": self._version, "rows": rows})
        return _json(404, {"error": f"no {path}"})

    def _health(self, bad: bool) -> Response:
        told = {"status": "unhealthy" if bad else "healthy", "version": self._version, "environment": self._color}
        if bad:
            told["detail"] = "migration 0042 is missing"
        return _json(503 if bad else 200, told)


def _limit(request: Request) -> int:
    text = parse_qs(request.target.partition("?")[2]).get("limit", ["20"])[0]
    return min(int(text), MAX_ROWS) if text.isdecimal() else 20


def _json(status: int, value: Any) -> Response:
    return Response(status, json.dumps(value).encode(), {"content-type": "application/json"})


def main() -> None:
    directory, listener, color = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])), sys.argv[3]
    version = sys.argv[4] if len(sys.argv) > 4 else files.VERSIONS[color]
    if version.endswith("-crash"):
        sys.exit(f"{color} {version}: ImportError: cannot import name 'decimal_context'")
    asyncio.run(serve_until_told(Server(Analytics(directory, color, version).answer), listener))


if __name__ == "__main__":
    main()
