"""Scores of datasets."""

from datetime import datetime

from msgspec import Struct

from backends.models.health import Health


class FailedExpectation(Struct, frozen=True):
    """A quality check that failed, and what it found in words."""

    check: str
    detail: str


class TrendPoint(Struct, frozen=True):
    """A score (0..1) and when it was measured."""

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
    """The quality of one dataset. `score` is 0..1, null where there is no data; `warn` and `crit` are lower limits.

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

    @property
    def health(self) -> Health:
        """The same word as `state`."""
        return self.state
