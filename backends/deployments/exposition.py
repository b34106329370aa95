"""The requests of one color from its Prometheus text."""

import math
import re
import time

from msgspec import Struct

from backends.deployments.rates import Count, Rates, Traffic
from backends.errors import BackendError
from backends.http import Http
from backends.models import ColorState

READ_TIMEOUT_S = 2.0
REQUESTS = "http_requests_total"
DURATION_BUCKET = "http_request_duration_seconds_bucket"
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})?\s+(\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class _Page(Struct, frozen=True):
    """`counts`: it has the series; `known`: or is Prometheus text, where a series that is absent is 0."""

    count: Count
    counts: bool
    known: bool


class Exposition:
    """Reads one URL and remembers what it read. Series of another `color` than ours, by that label, are not ours: a
    gateway may expose both."""

    def __init__(self, http: Http, url: str, color: str = "") -> None:
        self._http = http
        self._url = url
        self._color = color
        self._rates = Rates()

    async def traffic(self) -> Traffic:
        """What came lately; nothing for a page that can not be read or has no such series, `pending` for the first
        look and after a restart."""
        page = await self._read()
        if page is None or not page.known:
            self._rates.forget()
            return Traffic()
        found = self._rates.traffic(page.count)
        return found if page.counts else Traffic()

    def of(self, side: ColorState, seen: Traffic) -> ColorState:
        """`side` with what came of its version."""
        return self._rates.of(side, seen)

    async def counted(self) -> tuple[int, int] | None:
        """All requests that were counted, and those of them that were answered with an error: 0 where the page has no
        such series yet, as of a process that nobody has asked for anything; None where it can not be read."""
        page = await self._read()
        if page is None or not page.known:
            return None
        return int(page.count.requests), int(page.count.failed)

    async def _read(self) -> _Page | None:
        try:
            answer = await self._http.request("GET", self._url, timeout=READ_TIMEOUT_S)
        except BackendError:
            return None
        return _parse(answer.body.decode("utf-8", "replace"), time.monotonic(), self._color)


def _parse(text: str, at: float, color: str) -> _Page:
    requests = failed = 0.0
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
            if not math.isfinite(value):
                continue
            if sample[1] == REQUESTS:
                counts = True
                requests += value
                failed += value if labels.get("status", "").startswith("5") else 0.0
            elif sample[1] == DURATION_BUCKET:
                limit = float(labels["le"])
                buckets[limit] = buckets.get(limit, 0.0) + value
        except (ValueError, KeyError):
            continue
    known = counts or all(line.startswith("#") or _SAMPLE.match(line) for line in text.splitlines() if line.strip())
    return _Page(Count(at=at, requests=requests, failed=failed, buckets=buckets), counts, known)
