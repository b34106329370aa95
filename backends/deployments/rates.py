"""How the requests of one side did lately, from looks at a count that only grows."""

from collections import deque

from msgspec import Struct
from msgspec.structs import replace

from backends.models import ENOUGH_REQUESTS, ColorState

WINDOW_S = 60.0


class Count(Struct, frozen=True, kw_only=True):
    """What was counted up to `at` (`time.monotonic()`): requests, those that failed, and by the upper limit of each
    bucket in seconds how many took no longer."""

    at: float
    requests: float
    failed: float
    buckets: dict[float, float] = {}


class Traffic(Struct, frozen=True, kw_only=True):
    """Requests per second between the last two looks, and of the newest `requests` how many `failed`, their share in
    percent and the p95; null where none came, or nobody counts. `pending`: there was one look so far."""

    rps: float | None = None
    requests: int | None = None
    failed: int | None = None
    error_pct: float | None = None
    p95_ms: float | None = None
    pending: bool = False

    def of(self, side: ColorState) -> ColorState:
        """`side` with it."""
        return replace(
            side, rps=self.rps, requests=self.requests, failed=self.failed, error_pct=self.error_pct,
            p95_ms=self.p95_ms, rates_pending=self.pending,
        )  # fmt: skip


class Rates:
    """The last minute of looks. As a metric gate joins windows, the time between two looks in which too few requests
    came to judge is joined with those before it."""

    def __init__(self) -> None:
        self._counts: deque[Count] = deque()
        self._version = ""

    def traffic(self, now: Count) -> Traffic:
        """What came lately, up to this look; `pending` for the first one, and after a restart of what counts."""
        last = self._counts[-1] if self._counts else None
        if last is None or now.at <= last.at or now.requests < last.requests or now.failed < last.failed:
            self.forget()
            self._counts.append(now)
            return Traffic(pending=True)
        while len(self._counts) > 1 and now.at - self._counts[0].at > WINDOW_S:
            self._counts.popleft()
        enough = (count for count in reversed(self._counts) if now.requests - count.requests >= ENOUGH_REQUESTS)
        found = _between(next(enough, self._counts[0]), now)
        self._counts.append(now)
        return replace(found, rps=round((now.requests - last.requests) / (now.at - last.at), 2))

    def of(self, side: ColorState, seen: Traffic) -> ColorState:
        """`side` with what this look saw: only what its version has answered. The requests of a bad one were held
        against the good one that replaced it."""
        before, self._version = self._version, side.version or self._version
        if before not in ("", self._version):
            newest = self._counts.pop() if self._counts else None
            self._counts = deque(filter(None, [newest]))
            seen = Traffic(pending=True) if newest else Traffic()
        return seen.of(side)

    def forget(self) -> None:
        """What comes next was counted by somebody else."""
        self._counts.clear()


def _between(before: Count, now: Count) -> Traffic:
    failed = round(now.failed - before.failed)
    requests = max(failed, round(now.requests - before.requests))  # of connections one may fail more than once
    counts = sorted((limit, count - before.buckets.get(limit, 0.0)) for limit, count in now.buckets.items())
    return Traffic(
        requests=requests, failed=failed, error_pct=round(100 * failed / requests, 2) if requests else None,
        p95_ms=_quantile_ms(counts, 0.95),
    )  # fmt: skip


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
