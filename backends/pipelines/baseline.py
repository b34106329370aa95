"""How long the runs of a pipeline usually take, from those that succeeded; no SLA needs to be written down."""

import math
import statistics
from collections.abc import Iterable

from msgspec import Struct

ENOUGH = 8
RUNS = 20


class Baseline(Struct, frozen=True):
    """Median and p95 (nearest rank) of the last successes, in seconds; null with fewer than `ENOUGH` of them."""

    usual_s: float | None = None
    p95_s: float | None = None

    @classmethod
    def of(cls, durations: Iterable[float | None]) -> "Baseline":
        """From the durations of successes, newest first, without the run that is to be judged."""
        known = sorted([duration for duration in durations if duration is not None][:RUNS])
        if len(known) < ENOUGH:
            return cls()
        return cls(statistics.median(known), known[math.ceil(0.95 * len(known)) - 1])

    def is_late(self, duration_s: float | None) -> bool:
        """Above 1.25 × p95 and five minutes over it."""
        if duration_s is None or self.p95_s is None:
            return False
        return duration_s > 1.25 * self.p95_s and duration_s > self.p95_s + 300
