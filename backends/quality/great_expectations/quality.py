"""Validation results of Great Expectations, from the store that it writes to: files or S3, GX itself is not imported.

```toml
[[contexts.production.quality]]
type = "great-expectations"
path = "gx/uncommitted/validations"     # or s3://bucket/prefix
warn = 1.0                              # an expectation that is not met is a warning …
crit = 0.80                             # … and more than one in five is critical
window = "30d"                          # what has not been validated for longer is not shown
cadence = "1d"                          # how often it is; default: the median interval
history = 24                            # points of trend
aws = { region = "eu-central-1" }       # how S3 is reached: `backends.aws.access`
```
One score for each suite on each dataset (the data asset, as `source.asset` where two data sources have one of that
name). An expectation that raised an exception is no failure of the
data: it is in no score, and makes it `unknown`. Where all that is not met has a severity below critical, nothing is
critical. The newest result of each batch is read first, and further back with each read until the trend is whole.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from backends.artifacts.reading import Artifacts, check_location, is_s3
from backends.aws.access import AwsAccess
from backends.errors import BackendError
from backends.models import QualityScore, worst
from backends.quality.great_expectations.results import Stored, Validation, read_validation, stored
from backends.quality.rows import MAX_FAILURES, Limits, as_column, score_of
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.text import clean

MAX_RESULTS = 2000
MAX_NEW = 200  # of them in one read

Key = tuple[str, str, str]  # data source, data asset, suite
Rows = dict[datetime, Validation]


class GreatExpectationsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the store is, and what it means.

    path: the store of validation results: a directory, or `s3://bucket/prefix`.
    warn: a score below this (0..1) is a warning.
    crit: a score below this is critical.
    window: what has not been validated for longer is not shown.
    cadence: how often it is validated; by default the median interval.
    history: points of trend.
    timeout: of one read of the store.
    aws: how S3 is reached.
    """

    path: str
    warn: float = 1.0
    crit: float = 0.80
    window: Duration = Duration(30 * 86400)
    cadence: Duration | None = None
    history: int = 24
    timeout: Duration = Duration(10)
    aws: AwsAccess = AwsAccess()

    def __post_init__(self) -> None:
        check_location("path", self.path)
        if not 0 <= self.crit <= self.warn <= 1:
            raise ValueError("warn, crit: 0 <= crit <= warn <= 1")
        if not 1 <= self.history <= 200:
            raise ValueError("history: 1 to 200")
        if self.timeout <= 0 or self.window <= 0 or (self.cadence is not None and self.cadence <= 0):
            raise ValueError("timeout, window, cadence: more than 0s")
        if self.aws != AwsAccess() and not is_s3(self.path):
            raise ValueError("aws: path is a directory, which needs none")


class GreatExpectationsQuality:
    """`Quality` from a store of validation results. A result is read once."""

    api = 1
    Config = GreatExpectationsConfig

    def __init__(self, config: GreatExpectationsConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._limits = Limits(config.warn, config.crit, 100.0, config.history, config.cadence)
        self._artifacts = Artifacts(config.path, base_dir=context.base_dir, access=config.aws, timeout_s=config.timeout)

    async def scores(self) -> list[QualityScore]:
        """By dataset and suite. Raises BackendError as `Artifacts`, and where no result at all can be read."""
        now = datetime.now(UTC)
        found, closed = await self._artifacts.find(lambda name: name.endswith(".json"))
        chosen = self._chosen([stored(artifact) for artifact in found], now)
        loaded = await self._artifacts.load_all([result.artifact for result in chosen], read_validation)
        errors = [outcome for outcome in loaded if isinstance(outcome, BackendError)] + [each.error for each in closed]
        if errors and len(errors) == len(loaded) + len(closed):
            raise errors[0]
        validations: dict[Key, Rows] = defaultdict(dict)
        key_of: dict[str, Key] = {}
        unread: dict[str, tuple[Stored, BackendError]] = {}
        for result, outcome in zip(chosen, loaded, strict=True):
            if isinstance(outcome, BackendError):
                if result.series not in key_of:  # newer than what can be read of it
                    unread.setdefault(result.series, (result, outcome))
                continue
            key = key_of.setdefault(result.series, (outcome.source, outcome.dataset, outcome.suite or result.suite))
            rows, at = validations[key], outcome.at or result.at
            if at not in rows or _rank(outcome) < _rank(rows[at]):  # several batches of one run: the worst counts
                rows[at] = outcome
        damage: dict[Key, BackendError] = {("", clean(each.name, 200), ""): each.error for each in closed}
        for series, (result, error) in unread.items():
            damage[key_of.get(series, ("", result.batch or clean(result.artifact.name, 200), result.suite))] = error
        sources: dict[tuple[str, str], set[str]] = defaultdict(set)
        for source, dataset, suite in validations:
            sources[dataset, suite] |= {source} - {""}
        together: dict[tuple[str, str], tuple[Rows, BackendError | None]] = {}
        for key in sorted(validations.keys() | damage.keys()):
            source, dataset, suite = key
            name = f"{source}.{dataset}" if source and len(sources[dataset, suite]) > 1 else dataset
            rows, error_ = together.get((name, suite), ({}, None))
            together[name, suite] = ({**rows, **validations.get(key, {})}, damage.get(key, error_))
        return [self._score(key, rows, error, now) for key, (rows, error) in sorted(together.items())]

    async def aclose(self) -> None:
        """Safe to call twice."""
        await self._artifacts.aclose()

    def _chosen(self, results: Sequence[Stored], now: datetime) -> list[Stored]:
        """What to read, the newest of each series first, then back in time; not too much that is new at once."""
        recent = [result for result in results if result.at >= now - timedelta(seconds=self._config.window)]
        counted: dict[str, int] = defaultdict(int)
        ranked = []
        for result in sorted(recent, key=lambda result: result.at, reverse=True):
            ranked.append((counted[result.series], result))
            counted[result.series] += 1
        wanted = [
            result for rank, result in sorted(ranked, key=lambda pair: pair[0] > 0) if rank < self._config.history
        ]
        chosen: list[Stored] = []
        new = 0
        for result in wanted[:MAX_RESULTS]:
            new += not self._artifacts.is_kept(result.artifact)
            if new > MAX_NEW and len(chosen) >= len(counted):
                break
            chosen.append(result)
        return chosen

    def _score(self, key: tuple[str, str], rows: Rows, damage: BackendError | None, now: datetime) -> QualityScore:
        dataset, suite = key
        newest = rows[max(rows)] if rows else None
        evaluations: list[dict[str, Any]] = [
            {"score": found.percent, "evaluated_at": at, "passed": found.passed, "total": found.total}
            for at, found in sorted(rows.items())
        ]
        if newest is None:
            evaluations = [{"score": None, "evaluated_at": None}]
        else:
            evaluations[-1]["failures"] = as_column(newest.failures)
        score = score_of(self._name, dataset, evaluations, self._limits, now)
        state, reasons = score.state, [score.reason]
        if newest is not None and newest.is_soft and state == "critical":
            state = "warning"
        states = [state]
        if newest is not None and newest.errors:
            states.append("unknown")
            reasons.append(f"{len(newest.errors)} without a verdict: {newest.errors[0].detail}")
        if damage is not None:
            states.append("unknown")
            reasons = [f"the newest result cannot be read: {damage.message}"]
        return replace(
            score,
            ref=f"{score.ref}/{suite}" if suite else score.ref,
            suite=suite,
            state=worst(states),
            reason="; ".join(filter(None, reasons)) or None,
            errors=newest.errors[:MAX_FAILURES] if newest is not None else (),
        )


def _rank(validation: Validation) -> tuple[bool, float]:
    """What cannot be judged first, then the lowest."""
    return validation.percent is not None, validation.percent or 0.0
