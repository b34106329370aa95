"""Traffic of one color from its Prometheus text: requests per second, errors, p95, between two reads."""

import re
import time

from msgspec import Struct

from backends.errors import BackendError
from backends.http import Http

READ_TIMEOUT_S = 2.0
REQUESTS = "http_requests_total"
DURATION_BUCKET = "http_request_duration_seconds_bucket"
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})?\s+(\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Traffic(Struct, frozen=True):
    """Rates between two reads; null where there were none, or no requests to judge. `pending`: there was one read."""

    rps: float | None = None
    error_pct: float | None = None
    p95_ms: float | None = None
    pending: bool = False


class _Read(Struct, frozen=True):
    """`counts`: it has the series; `known`: or is Prometheus text, where a series that is absent is 0."""

    at: float
    requests: float
    errors: float
    buckets: dict[float, float]
    counts: bool = True
    known: bool = True


class Exposition:
    """Reads one URL and remembers what it read last. Series of another `color` than ours, by that label, are not ours:
    a gateway may expose both."""

    def __init__(self, http: Http, url: str, color: str = "") -> None:
        self._http = http
        self._url = url
        self._color = color
        self._last: _Read | None = None

    async def traffic(self) -> Traffic:
        """What changed since the last call; nothing for an unreadable one, `pending` for the first one and after a
        restart."""
        now = await self._read()
        before, self._last = self._last, now
        if now is None:
            return Traffic()
        return Traffic(pending=now.counts) if before is None else _between(before, now)

    async def requests(self) -> int | None:
        """All that were counted: 0 where the page has no such series yet, as of a process that nobody has asked for
        anything; None where it can not be read."""
        now = await self._read()
        return int(now.requests) if now is not None and now.known else None

    async def failures(self) -> int | None:
        """Those of them that were answered with an error."""
        now = await self._read()
        return int(now.errors) if now is not None and now.known else None

    async def _read(self) -> _Read | None:
        try:
            answer = await self._http.request("GET", self._url, timeout=READ_TIMEOUT_S)
        except BackendError:
            return None
        return _parse(answer.body.decode("utf-8", "replace"), time.monotonic(), self._color)


def _parse(text: str, at: float, color: str) -> _Read:
    requests = errors = 0.0
    counts = False
    buckets: dict[float, float] = {}
    for line in text.splitlines():
        if not line.startswith((REQUESTS, DURATION_BUCKET)):
            continue
        sample = _SAMPLE.match(line)
        if sample is None:
            continue
        try:
            value = float(sample[3])
            labels = dict(_LABEL.findall(sample[2] or ""))
            if color and labels.get("color", color) != color:
                continue
            if sample[1] == REQUESTS:
                counts = True
                requests += value
                errors += value if labels.get("status", "").startswith("5") else 0.0
            elif sample[1] == DURATION_BUCKET:
                limit = float(labels["le"])
                buckets[limit] = buckets.get(limit, 0.0) + value
        except (ValueError, KeyError):
            continue
    known = counts or all(line.startswith("#") or _SAMPLE.match(line) for line in text.splitlines() if line.strip())
    return _Read(at, requests, errors, buckets, counts, known)


def _between(before: _Read, now: _Read) -> Traffic:
    seconds, requests = now.at - before.at, now.requests - before.requests
    errors = now.errors - before.errors
    if seconds <= 0 or requests < 0 or errors < 0:
        return Traffic(pending=now.counts)
    counts = sorted((limit, count - before.buckets.get(limit, 0.0)) for limit, count in now.buckets.items())
    return Traffic(
        rps=round(requests / seconds, 2),
        error_pct=round(100 * errors / requests, 2) if requests else None,
        p95_ms=_quantile_ms(counts, 0.95),
    )


def _quantile_ms(counts: list[tuple[float, float]], quantile: float) -> float | None:
    """As Prometheus' histogram_quantile: linear within a bucket; the last finite limit for what lies beyond it."""
    if not counts or counts[-1][1] <= 0:
        return None
    rank = quantile * counts[-1][1]
    low, below = 0.0, 0.0
    for limit, count in counts:
        if count >= rank:
            if limit == float("inf"):
                return round(low * 1000, 1)
            share = (rank - below) / (count - below) if count > below else 1.0
            return round((low + (limit - low) * share) * 1000, 1)
        low, below = limit, count
    return None
