"""Quality scores in Prometheus, or whatever a metrics source knows: one series for each dataset.

```toml
[[contexts.production.quality]]
name = "scores"
type = "prometheus"
metrics = "prom"                        # a metrics entry; or: url = "http://prometheus:9090"
query = "min by (dataset) (data_quality_score)"
label = "dataset"                       # the label that names the dataset
datasets = ["customers"]                # these have to be there; others are shown too
warn = 0.95
crit = 0.80
scale = 1                               # 100 where the metric counts 0..100
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
"""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

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


class PrometheusQualityConfig(Source, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked, and what it means.

    query: one series for each dataset.
    label: the label that names the dataset.
    datasets: these have to be there; others are shown, too.
    warn: a score below this (0..1, after `scale`) is a warning.
    crit: a score below this is critical.
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
    warn: float = 0.95
    crit: float = 0.80
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
        if not 0 <= self.crit <= self.warn <= 1:
            raise ValueError("warn, crit: 0 <= crit <= warn <= 1 (95 % is 0.95), whatever the scale")
        if not self.scale > 0:
            raise ValueError("scale: more than 0")
        if not 0 <= self.history <= 1000:
            raise ValueError("history: 0 to 1000")
        if self.window < 60 or (self.cadence is not None and self.cadence <= 0):
            raise ValueError("window: at least 1m; cadence: more than 0s")


class PrometheusQuality:
    """`Quality` by instant queries for now, and range queries for the trend: the window, and finer its last step.

    A trend that fails costs no score.
    """

    api = 1
    Config = PrometheusQualityConfig

    def __init__(self, config: PrometheusQualityConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._limits = Limits(config.warn, config.crit, config.scale, max(1, config.history), config.cadence)
        self._metrics = SourceMetrics(config, context)
        self._when = config.evaluated_at or f"timestamp({config.query}\n)"

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
        samples, times = await together(metrics.instant(self._config.query), metrics.instant(self._when))
        when: dict[str, float] = {}
        for sample in times:
            if sample.value is not None:
                name = self._dataset(sample.labels)
                when[name] = min(sample.value, when.get(name, sample.value))
        worst: dict[str, Sample] = {}
        for sample in samples:
            name = self._dataset(sample.labels)
            if name not in worst or _rank(sample) < _rank(worst[name]):
                worst[name] = sample
        return {
            name: {
                "score": sample.reason if sample.value is None else sample.value,
                "evaluated_at": _time(when.get(name, when.get(self._name))),
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
        scores, times = await together(
            metrics.range(self._config.query, start=start, end=end, step=step),
            metrics.range(self._when, start=start, end=end, step=step),
        )
        when = self._lowest(times)
        found: dict[str, dict[datetime, float]] = {}
        for name, values in self._lowest(scores).items():
            times_of = when.get(name, when.get(self._name, {}))
            evaluated = ((_time(times_of.get(at)), value) for at, value in sorted(values.items()))
            found[name] = {at: value for at, value in evaluated if at is not None}
        return found

    def _lowest(self, found: Sequence[Series]) -> dict[str, dict[datetime, float]]:
        """The lowest value of each dataset at each step."""
        lowest: dict[str, dict[datetime, float]] = {}
        for series in found:
            values = lowest.setdefault(self._dataset(series.labels), {})
            for point in series.points:
                if point.value is not None:
                    values[point.at] = min(point.value, values.get(point.at, point.value))
        return lowest

    def _dataset(self, labels: Mapping[str, str]) -> str:
        """Named by the label; what has no label at all is named as this entry is."""
        if found := labels.get(self._config.label):
            return clean(found, 200)
        if not labels:
            return self._name
        there = ", ".join(sorted(labels))
        return f'(no label "{self._config.label}" among {clean(there, 150)})'


def _changes(values: Mapping[datetime, float]) -> dict[datetime, float]:
    """Those that are another than the one before."""
    pairs = sorted(values.items())
    return {at: value for (_, before), (at, value) in itertools.pairwise(pairs) if value != before} | dict(pairs[:1])


def _is_nameless(dataset: str) -> bool:
    return dataset.startswith("(no label ")


def _rank(sample: Sample) -> tuple[int, float]:
    """What cannot be judged first, then the lowest: one series that is well must not hide another."""
    return (0, 0.0) if sample.value is None else (1, sample.value)


def _time(seconds: float | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
