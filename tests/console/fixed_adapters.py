"""Adapters that always say the same, so that the bytes of headless output can be held."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from backends.errors import BackendError
from backends.models import (
    Alert,
    CheckResult,
    ColorState,
    Deployment,
    ErrorIssue,
    FailedExpectation,
    LogEntry,
    OnCall,
    PerfDatum,
    PipelineRun,
    QualityScore,
    TaskRun,
    Trace,
    TraceTree,
    TrendPoint,
    Truth,
    TruthLayer,
)
from backends.oncall.shifts import Span, schedule_of
from backends.ports import LiveVersions, LogQuery, PipelineInfo, PipelineParam, RunInputs, TraceQuery
from backends.registry import AdapterContext
from backends.traces.tree import NS, Found, summary_of, tree_of

NOW = datetime(2026, 11, 21, 13, 2, 31, tzinfo=UTC)


def before(**age: float) -> datetime:
    return NOW - timedelta(**age)


class NoConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to set."""


class Fixed:
    """What all of them share."""

    api = 1
    Config = NoConfig

    def __init__(self, config: NoConfig, context: AdapterContext) -> None:
        self.name = context.name

    async def aclose(self) -> None:
        """Nothing is open."""


class FixedPipelines(Fixed):
    """Two pipelines: one failed at validation, one fine."""

    async def runs(self, **_: Any) -> list[PipelineRun]:
        return [
            PipelineRun(
                ref="airflow/customer_360/411",
                backend="airflow",
                pipeline="customer_360",
                run_id="411",
                state="success",
                raw_state="success",
                trigger="schedule",
                started_at=before(minutes=33),
                ended_at=before(minutes=31),
                duration_s=123.0,
                tasks_done=9,
                tasks_total=9,
                history=("success",) * 12,
            ),
            PipelineRun(
                ref="airflow/production_data_pipeline/1842",
                backend="airflow",
                pipeline="production_data_pipeline",
                run_id="1842",
                state="failed",
                raw_state="failed",
                trigger="schedule",
                started_at=before(minutes=6),
                ended_at=before(minutes=2),
                duration_s=252.0,
                tasks_done=6,
                tasks_total=15,
                history=("success", "success", "failed"),
                error="validate_transactions_data: 37 unexpected values",
            ),
        ]

    async def tasks(self, pipeline: str, run_id: str) -> list[TaskRun]:
        return [
            TaskRun(task="ingest", state="success", try_number=1, started_at=before(minutes=6), duration_s=12.0),
            TaskRun(
                task="validate",
                state="failed",
                try_number=3,
                started_at=before(minutes=4),
                duration_s=2.5,
                depends_on=("ingest",),
                error="37 unexpected values",
            ),
        ]

    async def good_before(self, pipeline: str, run_id: str, limit: int = 5) -> list[PipelineRun]:
        run = await self.run(pipeline, run_id)
        return [replace(run, run_id="1841", ref=f"airflow/{pipeline}/1841", state="success", duration_s=180.0)]

    async def inputs(self, pipeline: str, run_id: str) -> RunInputs:
        return RunInputs(params={"rows": 5000 if run_id == "1842" else 500}, code="version 4")

    async def task_log(self, pipeline: str, run_id: str, task: str | None = None) -> list[LogEntry]:
        return await FixedLogs.query(self, LogQuery())

    async def run(self, pipeline: str, run_id: str) -> PipelineRun:
        return next(run for run in await self.runs() if (run.pipeline, run.run_id) == (pipeline, run_id))

    async def pipeline(self, pipeline: str) -> PipelineInfo:
        return next(info for info in await self.pipelines() if info.pipeline == pipeline)

    async def pipelines(self) -> list[PipelineInfo]:
        return [PipelineInfo(pipeline="production_data_pipeline", params=(PipelineParam(name="rows", default=500),))]


class FixedQuality(Fixed):
    """One score below the critical limit, one unknown, one fine."""

    async def scores(self) -> list[QualityScore]:
        trend = tuple(TrendPoint(before(minutes=60 - 10 * index), 0.99 - 0.05 * index) for index in range(6))
        return [
            QualityScore(
                ref="scores/customers", backend="scores", dataset="customers", score=0.99, warn=0.95, crit=0.8,
                state="ok", evaluated_at=before(minutes=2), age_s=120.0, passed=8, total=8, trend=trend[:1] * 4,
            ),
            QualityScore(
                ref="scores/events", backend="scores", dataset="events", score=None, warn=0.95, crit=0.8,
                state="unknown", reason="no data",
            ),
            QualityScore(
                ref="scores/transactions", backend="scores", dataset="transactions", score=0.71, warn=0.95, crit=0.8,
                state="critical", evaluated_at=before(minutes=2), age_s=120.0, passed=5, total=7, trend=trend,
                failures=(FailedExpectation("transaction_amount 0.01..100000", "37 of 50120 rows"),),
            ),
        ]  # fmt: skip


class FixedAlerts(Fixed):
    """A critical alert and an acknowledged one."""

    async def alerts(self) -> list[Alert]:
        return [
            Alert(
                ref="am/77", backend="am", fingerprint="77", name="HighMemoryUsage", severity="warning",
                state="acknowledged", since=before(hours=1), labels={"service": "analytics"}, summary="memory 85 %",
            ),
            Alert(
                ref="am/42", backend="am", fingerprint="42", name="DataQualityDegradation", severity="critical",
                state="firing", since=before(minutes=2), labels={"dataset": "transactions"},
                summary="score 0.71 below 0.8", runbook_url="https://runbooks.example.com/quality",
            ),
        ]  # fmt: skip


class FixedSwitch(Fixed):
    """GREEN is live on all layers, BLUE waits healthy."""

    object_id = "fixed"

    async def deployment(self) -> Deployment:
        def color(version: str, weight: float) -> ColorState:
            return ColorState(version=version, weight_pct=weight, ready=3, desired=3, healthy=True)

        layer = TruthLayer(value="green", detail="selector color=green", at=before(seconds=3))
        return Deployment(
            ref="analytics/analytics", backend="analytics", service="analytics", live="green",
            colors={"blue": color("2.4.0", 0.0), "green": color("2.4.1", 100.0)},
            truth=Truth(control=layer, endpoints=layer, data=layer),
        )  # fmt: skip


class FixedLogs(Fixed):
    """Three lines, one of them without a time."""

    async def query(self, query: LogQuery) -> list[LogEntry]:
        return [
            LogEntry(at=before(minutes=2, milliseconds=796), source="app", level="error", message="suite failed: 37"),
            LogEntry(at=None, source="app", message="  at line 3"),
            LogEntry(at=before(seconds=9), source="app", level="info", message="GET /api/customers 200 12ms"),
        ]


class FixedCheck(Fixed):
    """A check that is fine."""

    async def run(self) -> CheckResult:
        datum = PerfDatum(label="time", value=0.012, unit="s", warn="0.5", crit="2", min=0.0)
        return CheckResult(
            ref=self.name, name=self.name, state="ok", message="200 healthy | 12 ms", latency_ms=12.0, perfdata=(datum,)
        )


class FixedSchedule(Fixed):
    """Alice is on call, and bob after her."""

    async def on_call(self, at: datetime) -> list[OnCall]:
        turns = [Span("alice", before(hours=5), before(hours=-3)), Span("bob", before(hours=-3), before(hours=-27))]
        return [schedule_of(self.name, self.name, turns, at, ref=self.name)]


class FixedTraces(Fixed):
    """One of 2 s, of which a bank that failed took one."""

    async def search(self, query: TraceQuery) -> list[Trace]:
        tree = await self.trace("a" * 32)
        return [summary_of(tree)] if query.since <= tree.started_at <= query.until else []

    async def trace(self, trace_id: str) -> TraceTree:
        if trace_id != "a" * 32:
            raise BackendError("not_found", "no such trace")
        began = round(before(minutes=5).timestamp()) * NS
        told = [
            ("1", "", "shop", "POST /checkout", 0, 2, ""),
            ("2", "1", "payment", "pay", 0.1, 1.9, ""),
            ("3", "2", "bank", "charge", 0.2, 1.2, "deadline exceeded"),
            ("4", "2", "bank", "charge", 1.3, 1.8, ""),
            ("5", "1", "stock", "reserve", 0, 0.05, ""),
        ]
        spans = [
            Found(trace_id, id_, above, service, operation, began + round(begin * NS), began + round(end * NS),
                  bool(error), error)
            for id_, above, service, operation, begin, end, error in told
        ]  # fmt: skip
        return tree_of(self.name, spans, page="http://jaeger:16686/trace/")


class FixedErrors(Fixed):
    """Two errors: one new since the live version, one that was there before."""

    async def issues(self, live: Mapping[str, LiveVersions]) -> list[ErrorIssue]:
        (version,) = live["analytics"].versions
        common = {"backend": self.name, "project": "analytics", "service": "analytics", "state": "unresolved"}
        page = "https://acme.sentry.io/issues"
        return [
            ErrorIssue(
                ref=f"{self.name}/ANALYTICS-1", id="1", title="TimeoutError: warehouse", raw_state="unresolved/ongoing",
                is_new=False, frame="analytics/db.py in fetch", count=1204, users=0, first_seen=before(days=40),
                last_seen=before(minutes=9), url=f"{page}/1/", **common,
            ),
            ErrorIssue(
                ref=f"{self.name}/ANALYTICS-7", id="7", title="KeyError: 'amount'", raw_state="unresolved/new",
                is_new=True, release=f"analytics@{version}", frame="analytics/rows.py in total", count=37, users=12,
                first_seen=before(minutes=14), last_seen=before(seconds=40), assigned="Alice", url=f"{page}/7/",
                **common,
            ),
        ]  # fmt: skip


class RefusedCheck(Fixed):
    """A check that cannot be looked at."""

    async def run(self) -> CheckResult:
        raise BackendError("auth", "http://vault.internal/health: HTTP 403")


ADAPTERS = {
    "pipelines.fixed": f"{__name__}:FixedPipelines",
    "quality.fixed": f"{__name__}:FixedQuality",
    "alerts.fixed": f"{__name__}:FixedAlerts",
    "deployments.fixed": f"{__name__}:FixedSwitch",
    "logs.fixed": f"{__name__}:FixedLogs",
    "checks.fixed": f"{__name__}:FixedCheck",
    "traces.fixed": f"{__name__}:FixedTraces",
    "errors.fixed": f"{__name__}:FixedErrors",
    "oncall.fixed": f"{__name__}:FixedSchedule",
    "checks.refused": f"{__name__}:RefusedCheck",
}

CONFIG = """
default_context = "production"
[contexts.production]
title = "analytics"
protected = true
timezone = "UTC"
[contexts.production.links]
rows = [{ pipeline = "production_data_pipeline", datasets = ["transactions"], services = ["analytics"], owner = "d" }]
[[contexts.production.pipelines]]
name = "airflow"
type = "fixed"
[[contexts.production.quality]]
name = "scores"
type = "fixed"
[[contexts.production.alerts]]
name = "am"
type = "fixed"
[[contexts.production.deployments]]
name = "analytics"
type = "fixed"
[[contexts.production.logs]]
name = "app"
type = "fixed"
[[contexts.production.checks]]
name = "api"
type = "fixed"
[[contexts.production.checks]]
name = "vault"
type = "refused"
[[contexts.production.traces]]
name = "jaeger"
type = "fixed"
[[contexts.production.errors]]
name = "sentry"
type = "fixed"
[[contexts.production.oncall]]
name = "primary"
type = "fixed"
"""
