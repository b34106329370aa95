"""What the analysis runs of a change say: each metric with its value, its limit and why.

Source: https://argo-rollouts.readthedocs.io/en/stable/features/analysis/
"""

from typing import Any

from msgspec import Struct, field

from backends.deployments.argo_rollouts.wire import HASH
from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.wire import Items, Metadata
from backends.redaction import quoted

ARGO = "argoproj.io/v1alpha1"
_BAD = ("Error", "Failed", "Inconclusive")


class Metric(Struct, rename="camel"):
    """What is asked, and its limits as the template writes them."""

    name: str = ""
    success_condition: str = ""
    failure_condition: str = ""


class Measurement(Struct):
    """One answer."""

    phase: str = ""
    value: str = ""
    message: str = ""


class MetricResult(Struct, rename="camel"):
    """What came of a metric so far."""

    name: str = ""
    phase: str = ""
    message: str = ""
    measurements: list[Measurement] | None = None
    dry_run: bool = False


class RunSpec(Struct):
    """Its metrics."""

    metrics: list[Metric] | None = None


class RunStatus(Struct, rename="camel"):
    """How it stands."""

    phase: str = ""
    message: str = ""
    metric_results: list[MetricResult] | None = None


class AnalysisRun(Struct):
    """argoproj.io/v1alpha1 AnalysisRun."""

    metadata: Metadata
    spec: RunSpec = field(default_factory=RunSpec)
    status: RunStatus = field(default_factory=RunStatus)

    @property
    def words(self) -> str:
        """`analysis web-5d-2-1 Failed: error-rate 0.07 (wanted result[0] < 0.05): …`."""
        limits = {metric.name: metric for metric in self.spec.metrics or ()}
        parts = [_metric_words(each, limits.get(each.name)) for each in self.status.metric_results or ()]
        said = "; ".join(parts) or quoted(self.status.message)
        words = f"analysis {quoted(self.metadata.name)} {quoted(self.status.phase or 'Pending')}"
        return f"{words}: {said}" if said else words


class _Tried(Struct, rename="camel"):
    name: str = ""
    status: str = ""
    message: str = ""
    replicas: int = 0
    available_replicas: int = 0

    @property
    def words(self) -> str:
        said = f", {quoted(self.message)}" if self.message else ""
        how = f" ({quoted(self.status, 32)}{said})" if self.status not in ("", "Running", "Successful") else ""
        return f"{quoted(self.name, 64)} {self.available_replicas} of {self.replicas} available{how}"


class _Judging(Struct):
    name: str = ""
    phase: str = ""
    message: str = ""

    @property
    def words(self) -> str:
        said = f": {quoted(self.message)}" if self.message else ""
        return f"analysis {quoted(self.name, 64)} {quoted(self.phase or 'Pending', 32)}{said}"


class _ExperimentStatus(Struct, rename="camel"):
    phase: str = ""
    message: str = ""
    template_statuses: list[_Tried] | None = None
    analysis_runs: list[_Judging] | None = None


class Experiment(Struct):
    """argoproj.io/v1alpha1 Experiment: versions that run beside each other for a while, and what compares them."""

    metadata: Metadata
    status: _ExperimentStatus = field(default_factory=_ExperimentStatus)

    @property
    def words(self) -> str:
        """`experiment web-1 Running: baseline 1 of 1 available; analysis compare Failed: …`, the worst first."""
        status = self.status
        runs = sorted(status.analysis_runs or (), key=lambda run: run.phase not in _BAD)
        parts = [run.words for run in runs] + [each.words for each in status.template_statuses or ()]
        said = "; ".join([quoted(status.message)] * bool(status.message) + parts)
        words = f"experiment {quoted(self.metadata.name)} {quoted(status.phase or 'Pending', 32)}"
        return f"{words}: {said}" if said else words


def _metric_words(result: MetricResult, metric: Metric | None) -> str:
    newest = (result.measurements or [Measurement()])[-1]
    words = f"{quoted(result.name)} {quoted(newest.value) or 'no value yet'}"
    if metric is not None and metric.success_condition:
        words += f" (wanted {quoted(metric.success_condition)})"
    elif metric is not None and metric.failure_condition:
        words += f" (not {quoted(metric.failure_condition)})"
    if result.phase in _BAD:
        words += f" {result.phase}"
    if result.dry_run:
        words += " (dry run: it does not count)"
    why = result.message or newest.message
    return f"{words}: {quoted(why)}" if why else words


async def analysis_words(api: KubernetesApi, pod_hash: str, uid: str, experiment: str) -> str:
    """What judges the ReplicaSet of that hash now, the worst first; empty where nothing does. Never raises."""
    if not pod_hash:
        return ""
    try:
        path = await api.path(ARGO, "analysisruns")
        found = await api.get(path, Items[AnalysisRun], params={"labelSelector": f"{HASH}={pod_hash}"})
    except BackendError as error:
        return f"its analysis runs can not be read: {error.message}"
    mine = [run for run in found.items if any(each.uid == uid for each in run.metadata.owner_references or ())]
    open_or_bad = [run for run in mine if run.status.phase != "Successful"]
    open_or_bad.sort(key=lambda run: run.status.phase not in _BAD)
    parts = [run.words for run in open_or_bad[:3]]
    if experiment:
        parts.append(await _experiment_words(api, experiment))
    return "; ".join(parts)


async def _experiment_words(api: KubernetesApi, name: str) -> str:
    try:
        return (await api.get(await api.path(ARGO, "experiments", name), Experiment)).words
    except BackendError as error:
        return f"experiment {quoted(name)} can not be read: {error.message}"


def judged_by(analysis: Any) -> str:
    """The names of the templates that an analysis of a strategy runs."""
    templates = analysis.get("templates") if isinstance(analysis, dict) else None
    names = [str(each.get("templateName", "")) for each in templates or () if isinstance(each, dict)]
    return ", ".join(quoted(name) for name in names if name) or "an analysis"
