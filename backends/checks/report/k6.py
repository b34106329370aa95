"""A summary of k6: which thresholds were crossed. Both of its forms: `--summary-export`, whose boolean is true where a
threshold was crossed (https://github.com/grafana/k6/issues/1498), and the data of `handleSummary()`, which says `ok`.
"""

from collections.abc import Mapping

from msgspec import Struct

from backends.checks.report.found import Count, Report, example
from backends.http import decode_json
from backends.text import counted


class _Outcome(Struct):
    ok: bool


class _Metric(Struct):
    thresholds: dict[str, bool | _Outcome] = {}
    values: dict[str, float] = {}
    count: float | None = None
    passes: float | None = None
    fails: float | None = None

    def has_none(self, *names: str) -> bool:
        """Whether it says of itself, by these numbers, that nothing was measured."""
        own: Mapping[str, float | None] = {"count": self.count, "passes": self.passes, "fails": self.fails}
        said = [self.values.get(name, own[name]) for name in names]
        return None not in said and not any(said)


class _Summary(Struct):
    metrics: dict[str, _Metric]


def read(body: bytes) -> Report:
    """Without a threshold, an iteration or a sample nothing is proven: k6 says then that all is well."""
    metrics = decode_json(body, _Summary, where="k6").metrics
    outcomes = {
        f"{name} {threshold}": outcome.ok if isinstance(outcome, _Outcome) else not outcome
        for name, metric in metrics.items()
        for threshold, outcome in metric.thresholds.items()
    }
    crossed = [name for name, is_ok in outcomes.items() if not is_ok]
    summary = counted(len(outcomes), "threshold")
    empty = [name for name, metric in metrics.items() if metric.thresholds and metric.has_none("passes", "fails")]
    unjudged = f"no sample of {example(empty)[2:]}" if empty else ""
    if not outcomes:
        unjudged = "no threshold is set"
    elif "iterations" in metrics and metrics["iterations"].has_none("count"):
        unjudged = "no iteration ran"
    return Report(
        summary=summary,
        counts=(
            Count("crossed", len(crossed), f"{len(crossed)} of {summary} crossed{example(crossed)}"),
            Count("thresholds", len(outcomes), f"only {summary}"),
        ),
        unjudged=unjudged,
    )
