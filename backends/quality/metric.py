"""Quality scores, drift, accuracy, latency of predictions: whatever a metrics source knows, one series a dataset.

```toml
[[contexts.production.quality]]
name = "scores"
type = "metric"                         # or "prometheus", the same by its old name
metrics = "prom"                        # a metrics entry, also of CloudWatch; or: url = "http://prometheus:9090"
query = "min by (dataset) (data_quality_score)"
label = "dataset"                       # the label that names the dataset
datasets = ["customers"]                # these have to be there; others are shown too
warn = 0.95
crit = 0.80
scale = 1                               # 100 where the metric counts 0..100
better = "higher"                       # "lower" for drift and latency: the limits are upper ones then
unit = ""                               # "ms": the limits are of this unit, and not of 0..1
history = 24                            # points of trend …
window = "24h"                          # … over this time; 0 or 1 points: no trend
evaluated_at = "max(push_time_seconds)" # a query for when each was evaluated, in seconds; without labels: for all
cadence = "1h"                          # how often it is evaluated; default: the median interval of the trend
failures = "data_quality_check_failed"  # a query: what is above 0 is a failed check, named by
check_label = "check"
```
Without `evaluated_at` it is `timestamp(query)`: when the newest sample was scraped, for a plain selector; of anything
that computes it is now. What a Pushgateway was told once it repeats for ever, always as new: there `evaluated_at` says
the truth. A dataset that had a score in `window` and has none now is `unknown`, not gone.
Of CloudWatch `label` is a dimension (`query = "Platform:DataQualityScore.Minimum[1h]"`), the period is that of the
evaluations, and a score is as old as the end of its period.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from msgspec.structs import replace

from backends.errors import BackendError
from backends.metrics.prometheus.source import Source, SourceMetrics
from backends.models import QualityScore
from backends.ports import Metrics, Sample, Series
from backends.quality.rows import Limits, score_of
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.text import clean
from backends.together import together

Row = dict[str, Any]
FINE = 24


class MetricQualityConfig(Source, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked, and what it means.

    query: one series for each dataset.
    label: the label that names the dataset.
    datasets: these have to be there; others are shown, too.
    warn: a score that is worse than this (0..1, after `scale`) is a warning; by default 0.95.
    crit: a score that is worse than this is critical; by default 0.80.
    better: `lower` where less is better, as of drift and latency: both limits are needed then.
    unit: what is measured, where it is no share of 1, as `ms`: both limits are needed then.
    scale: 100 where the metric counts 0..100.
    history: points of trend; 0 or 1: none.
    window: the time over which the trend goes.
    evaluated_at: a query for when each was evaluated, in seconds; by default when its newest sample was scraped.
    cadence: how often it is evaluated; by default the median interval of the trend.
    failures: a query: what is above 0 is a failed check.
    check_label: the label that names the check in `failures`.
    """

    query: str
    label: str = "dataset"
    datasets: tuple[str, ...] = ()
    warn: float | None = None
    crit: float | None = None
    better: Literal["higher", "lower"] = "higher"
    unit: str = ""
    scale: float = 1.0
    history: int = 24
    window: Duration = Duration(86400)
    evaluated_at: str = ""
    cadence: Duration | None = None
    failures: str = ""
    check_label: str = "check"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.query.strip() or not self.label.strip():
            raise ValueError("query, label: neither may be empty")
        self._refuse_limits()
        if not self.scale > 0:
            raise ValueError("scale: more than 0")
        if not 0 <= self.history <= 1000:
            raise ValueError("history: 0 to 1000")
        if self.window < 60 or (self.cadence is not None and self.cadence <= 0):
            raise ValueError("window: at least 1m; cadence: more than 0s")

    @property
    def limits(self) -> tuple[float, float]:
        """`warn` and `crit`."""
        return (0.95 if self.warn is None else self.warn, 0.80 if self.crit is None else self.crit)

    def _refuse_limits(self) -> None:
        if (self.better == "lower" or self.unit) and (self.warn is None or self.crit is None):
            raise ValueError("warn, crit: both are needed where better or unit are said")
        warn, crit = self.limits
        low, high = (warn, crit) if self.better == "lower" else (crit, warn)
        if low > high:
            order = "warn <= crit" if self.better == "lower" else "crit <= warn"
            raise ValueError(f"warn, crit: {order}, since {self.better} is better")
        if not self.unit and not 0 <= low <= high <= 1:
            raise ValueError("warn, crit: 0 to 1 (95 % is 0.95), whatever the scale; or say the `unit`")


class MetricQuality:
    """`Quality` by instant queries for now, and range queries for the trend: the window, and finer its last step.

    A trend that fails costs no score.
    """

    api = 1
    Config = MetricQualityConfig

    def __init__(self, config: MetricQualityConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        warn, crit = config.limits
        self._limits = Limits(
            warn, crit, config.scale, max(1, config.history), config.cadence, config.better, clean(config.unit, 20)
        )
        self._metrics = SourceMetrics(config, context)

    async def scores(self) -> list[QualityScore]:
        """By name. Raises BackendError as `Metrics.instant`, `not_found` where no series has the label, and what
        became of the trend where there is nothing else."""
        metrics, now = self._metrics.get(), datetime.now(UTC)
        current, failed, trend = await together(
            self._current(metrics), self._failed(metrics), self._trend(metrics, now)
        )
        if current and all(map(_is_nameless, current)):
            raise BackendError(
                "not_found",
                f"{self._name}: {next(iter(current)).strip('()')}",
                fix=f"set `label`, or write the query as min by ({self._config.label}) (…)",
            )
        past: Mapping[str, list[Row]] = {} if isinstance(trend, BackendError) else trend
        names = current.keys() | past.keys() | {clean(name, 200) for name in self._config.datasets}
        if not current and isinstance(trend, BackendError):
            raise trend
        trouble = f"no trend: {trend.message}" if isinstance(trend, BackendError) else ""
        return [
            self._score(name, current.get(name), past.get(name, []), failed.get(name, []), now, trouble)
            for name in sorted(names)
        ]

    async def aclose(self) -> None:
        """Safe to call twice."""
        await self._metrics.aclose()

    def _score(
        self, dataset: str, current: Row | None, past: Sequence[Row], failed: list[str], now: datetime, trouble: str
    ) -> QualityScore:
        if current is None:
            return self._absent(dataset, past, now)
        older = [
            row for row in past if current["evaluated_at"] is None or row["evaluated_at"] < current["evaluated_at"]
        ]
        score = score_of(self._name, dataset, [*older, {**current, "failures": failed}], self._limits, now)
        nameless = "nobody knows of which dataset" if _is_nameless(dataset) else ""
        reason = "; ".join(filter(None, (nameless, score.reason, trouble))) or None
        return replace(score, state="unknown" if nameless else score.state, reason=reason)

    def _absent(self, dataset: str, past: Sequence[Row], now: datetime) -> QualityScore:
        if not past:
            return score_of(self._name, dataset, [{"score": None, "evaluated_at": None}], self._limits, now)
        score = score_of(self._name, dataset, past, self._limits, now)
        return replace(score, state="unknown", reason="no data now")

    async def _current(self, metrics: Metrics) -> dict[str, Row]:
        """The row of each dataset: the worst of its series, evaluated when the oldest of them was."""
        when = self._when(metrics)
        samples, times = await together(metrics.instant(self._config.query), _asked(metrics, when))
        taken: dict[str, float] = {}
        for sample in times if when else samples:
            name, at = self._dataset(sample.labels), sample.value if when else sample.at.timestamp()
            if at is not None:
                taken[name] = min(at, taken.get(name, at))
        worst: dict[str, Sample] = {}
        for sample in samples:
            name = self._dataset(sample.labels)
            if name not in worst or self._rank(sample) < self._rank(worst[name]):
                worst[name] = sample
        return {
            name: {
                "score": sample.reason if sample.value is None else sample.value,
                "evaluated_at": _time(taken.get(name, taken.get(self._name))),
            }
            for name, sample in worst.items()
        }

    async def _failed(self, metrics: Metrics) -> dict[str, list[str]]:
        """The failed checks of each dataset."""
        if not self._config.failures:
            return {}
        found: dict[str, list[str]] = {}
        for sample in await metrics.instant(self._config.failures):
            if sample.value is None or sample.value > 0:
                check = sample.labels.get(self._config.check_label, "(no name)")
                found.setdefault(self._dataset(sample.labels), []).append(check)
        return {name: list(dict.fromkeys(checks)) for name, checks in found.items()}

    async def _trend(self, metrics: Metrics, now: datetime) -> dict[str, list[Row]] | BackendError:
        """The distinct evaluations of each dataset that the steps of the window fall on, oldest first."""
        count = self._config.history
        if count < 2:
            return {}
        step = max(1.0, float(self._config.window) // count)
        end = datetime.fromtimestamp(now.timestamp() // step * step, UTC)  # at rest between two reads
        fine = max(1.0, step // FINE)  # the last step in finer ones: when it changed last is where trouble began
        try:
            steps, last = await together(
                self._evaluations(metrics, end - timedelta(seconds=step * (count - 1)), end, step),
                self._evaluations(metrics, end - timedelta(seconds=step - fine), now, fine),
            )
        except BackendError as error:
            return error
        rows: dict[str, list[Row]] = {}
        for name in steps.keys() | last.keys():
            evaluated = steps.get(name, {}) | _changes(last.get(name, {}))
            rows[name] = [{"score": value, "evaluated_at": at} for at, value in sorted(evaluated.items())]
        return rows

    async def _evaluations(
        self, metrics: Metrics, start: datetime, end: datetime, step: float
    ) -> dict[str, dict[datetime, float]]:
        """By dataset the distinct evaluations that the steps fall on: when, and the score."""
        when = self._when(metrics)
        ranged = metrics.range(self._config.query, start=start, end=end, step=step)
        if not when:
            return {
                name: {at: value for at, value in sorted(values.items()) if start <= at}
                for name, values in self._worst(await ranged, self._worse).items()
            }
        scores, times = await together(ranged, metrics.range(when, start=start, end=end, step=step))
        taken = self._worst(times, min)
        found: dict[str, dict[datetime, float]] = {}
        for name, values in self._worst(scores, self._worse).items():
            times_of = taken.get(name, taken.get(self._name, {}))
            evaluated = ((_time(times_of.get(at)), value) for at, value in sorted(values.items()))
            found[name] = {at: value for at, value in evaluated if at is not None}
        return found

    def _when(self, metrics: Metrics) -> str:
        return self._config.evaluated_at or metrics.taken_at(self._config.query)

    def _worse(self, one: float, other: float) -> float:
        return max(one, other) if self._config.better == "lower" else min(one, other)

    def _rank(self, sample: Sample) -> tuple[int, float]:
        """What cannot be judged first, then the worst: one series that is well must not hide another."""
        if sample.value is None:
            return 0, 0.0
        return 1, -sample.value if self._config.better == "lower" else sample.value

    def _worst(
        self, found: Sequence[Series], worse: Callable[[float, float], float]
    ) -> dict[str, dict[datetime, float]]:
        """The worst value of each dataset at each step."""
        worst: dict[str, dict[datetime, float]] = {}
        for series in found:
            values = worst.setdefault(self._dataset(series.labels), {})
            for point in series.points:
                if point.value is not None:
                    values[point.at] = worse(point.value, values.get(point.at, point.value))
        return worst

    def _dataset(self, labels: Mapping[str, str]) -> str:
        """Named by the label; what has no label at all is named as this entry is."""
        if found := labels.get(self._config.label):
            return clean(found, 200)
        if not labels:
            return self._name
        there = ", ".join(sorted(labels))
        return f'(no label "{self._config.label}" among {clean(there, 150)})'


def _changes(values: Mapping[datetime, float]) -> dict[datetime, float]:
    """Those that are another than the one before, and that one: until then it was so."""
    pairs = sorted(values.items())
    changed = (pair for pair in itertools.pairwise(pairs) if pair[0][1] != pair[1][1])
    return dict(pairs[:1]) | dict(itertools.chain.from_iterable(changed))


def _is_nameless(dataset: str) -> bool:
    return dataset.startswith("(no label ")


async def _asked(metrics: Metrics, query: str) -> list[Sample]:
    return await metrics.instant(query) if query else []


def _time(seconds: float | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
