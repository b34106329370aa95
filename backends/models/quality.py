"""Scores of datasets."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from backends.models.health import Health


class FailedExpectation(Struct, frozen=True):
    """A quality check that failed, and what it found in words."""

    check: str
    detail: str


class TrendPoint(Struct, frozen=True):
    """A score and when it was measured."""

    at: datetime
    score: float


class Freshness(Struct, frozen=True, kw_only=True):
    """How new the newest row of a dataset was when somebody looked: `loaded_at` the row, `checked_at` the look.

    The limits are its age in seconds, where there are any. `unknown` also where nobody has looked for longer than that.
    """

    state: Health
    loaded_at: datetime | None = None
    checked_at: datetime | None = None
    warn_after_s: float | None = None
    error_after_s: float | None = None


class QualityScore(Struct, frozen=True, kw_only=True):
    """The quality of one dataset. `score` is 0..1, or of its `unit`; null where there is no data. `warn` and `crit` are
    lower limits, or upper ones where `better` is `lower` (drift, latency).

    `suite` is what was evaluated, where a dataset has several. `failures` are checks that the data did not pass, and
    `errors` those that gave no verdict. `downstream`: what is made of the dataset, those who read it first.
    """

    ref: str
    backend: str
    dataset: str
    score: float | None
    warn: float
    crit: float
    state: Health
    evaluated_at: datetime | None = None
    age_s: float | None = None
    passed: int | None = None
    total: int | None = None
    failures: tuple[FailedExpectation, ...] = ()
    trend: tuple[TrendPoint, ...] = ()
    run_ref: str | None = None
    reason: str | None = None
    suite: str = ""
    errors: tuple[FailedExpectation, ...] = ()
    freshness: Freshness | None = None
    downstream: tuple[str, ...] = ()
    better: Literal["higher", "lower"] = "higher"
    unit: str = ""

    @property
    def named(self) -> str:
        """What people call it: the dataset, and the suite where it has several: `orders (ranges)`."""
        return f"{self.dataset} ({self.suite})" if self.suite else self.dataset

    @property
    def health(self) -> Health:
        """The same word as `state`."""
        return self.state

    def is_beyond(self, value: float, limit: float) -> bool:
        """Whether `value` is worse than `limit`; equal to it is good enough."""
        return value > limit if self.better == "lower" else value < limit

    def judged(self, value: float) -> Health:
        """What its limits say of `value`."""
        if self.is_beyond(value, self.crit):
            return "critical"
        return "warning" if self.is_beyond(value, self.warn) else "ok"

    @property
    def broken(self) -> float | None:
        """The limit that the score is beyond, the worse one of two; None where it is within, or there is none."""
        if self.score is None:
            return None
        return {"critical": self.crit, "warning": self.warn}.get(self.judged(self.score))

    def told(self, value: float) -> str:
        """`value` as it is written: two places of a score, four digits and the unit of a measure."""
        return f"{value:.4g} {self.unit}" if self.unit else f"{value:.2f}"

    @property
    def words(self) -> str:
        """The score, with the limit that it is beyond: `0.71 < 0.80`, `412 ms > 300 ms`."""
        if self.score is None:
            return "no data"
        if self.broken is None:
            return self.told(self.score)
        return f"{self.told(self.score)} {'>' if self.better == 'lower' else '<'} {self.told(self.broken)}"
