"""A session without backends: a store, a context, and a record of what was asked of it."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any

from msgspec import Struct

from actions.models import Action, Consent, OpenConsole, Plan, Request
from backends.alerts.matchers import identity_matchers, may_match
from backends.errors import BackendError
from backends.models import (
    Acknowledgement,
    Alert,
    CheckResult,
    ColorState,
    Deployment,
    FailedExpectation,
    Finding,
    LastSwitch,
    LogEntry,
    Matcher,
    Panel,
    PipelineRun,
    QualityScore,
    RollbackOffer,
    RunCondition,
    RunState,
    Silence,
    TaskRun,
    TrendPoint,
    Truth,
    TruthLayer,
)
from console.config.edited import ConfigFiles
from console.ports.links import Links
from console.ports.store import Snapshot, SourceError, SourceKey, Store
from console.reading.comparison import Comparison
from console.reading.due import Due
from console.reading.release_options import ReleaseOptions

NOW = datetime(2026, 8, 24, 13, 2, 40, tzinfo=UTC)


class FakeContext(Struct, frozen=True, kw_only=True):
    """As console.context_info.ContextInfo."""

    name: str = "production"
    title: str = "analytics"
    protected: bool = True
    read_only: bool = False
    sandbox: bool = False
    zone: tzinfo = UTC
    keymap: dict[str, str] = {}
    identity: str = "oncall@bastion-1"
    theme: str = ""
    notify_terminal: bool = True


class FakeOrders:
    """Sentences that were written down, and who is on."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.notes: tuple[Finding, ...] = ()
        self.on: list[OpenConsole] = []
        self.runs_here = False
        self.parked = False

    def park(self) -> None:
        self.parked = True

    async def note(self, sentence: str) -> None:
        self.written.append(sentence)

    async def say_on(self, *, armed: bool) -> None:
        pass

    async def care(self) -> None:
        pass

    async def who_is_on(self) -> list[OpenConsole]:
        return self.on


class FakeSystem:
    """An adapter of any port: pipelines without tasks, alerts that can be silenced."""

    def __init__(self, session: "FakeSession") -> None:
        self._session = session

    async def tasks(self, pipeline: str, run_id: str) -> list[TaskRun]:
        return []

    async def task_log(self, pipeline: str, run_id: str, task: str | None = None) -> list[LogEntry]:
        return []

    async def silence(self) -> None:
        raise AssertionError("a screen wrote")

    def ack_matchers(self, alert: Alert) -> tuple[Matcher, ...]:
        return identity_matchers(alert.ref, alert.labels, ["dataset"])

    async def silences(self, *, hiding: str | None = None) -> list[Silence]:
        if isinstance(self._session.silences, Exception):
            raise self._session.silences
        return list(self._session.silences)

    async def matching(self, matchers: Any) -> list[Alert]:
        found: list[Alert] = self._session.store.items("alerts")
        return [alert for alert in found if may_match(matchers, alert.labels)]


class FakeAdapters:
    """All of one session are one; `why_not` of the session says why there is none."""

    def __init__(self, session: "FakeSession") -> None:
        self._session = session

    @property
    def context(self) -> Any:
        names = {
            "alerts": self._session.alert_sources,
            "logs": tuple(self._session.searchers),
            "traces": self._session.trace_sources,
        }
        return SimpleNamespace(entries={port: [self.entry(port, name) for name in of] for port, of in names.items()})

    def entry(self, port: str, name: str) -> Any:
        return SimpleNamespace(name=name, type="alertmanager")

    def of(self, port: Any, name: str) -> Any:
        if self._session.why_not:
            raise BackendError("config", self._session.why_not)
        return self._session.searchers.get(name) or FakeSystem(self._session)


class FakeSession:
    """What the console asks of a session; `calls` has every call that is not a read of the store."""

    def __init__(self, context: FakeContext | None = None, *, now: datetime = NOW) -> None:
        self.context = context or FakeContext()
        self.store = Store()
        self.links = Links()
        self.config_files = ConfigFiles([])
        self.orders = FakeOrders()
        self.open_ones: list[Action] = []
        self.linked_ones: list[Any] = []
        self.calls: list[tuple[str, Any]] = []
        self.due = Due()
        self.armed = False
        self.logs = None
        self.since = timedelta(hours=1)
        self.now = now
        self.adapters = FakeAdapters(self)
        self.why_not = ""
        self.beside = Comparison(why="no earlier run of it ended well")
        self.silences: Any = ()
        self.alert_sources: tuple[str, ...] = ("am",)
        self.searchers: dict[str, Any] = {}
        self.trace_sources: tuple[str, ...] = ()

    async def compared(self, run: PipelineRun, tasks: Sequence[TaskRun]) -> Comparison:
        return self.beside

    def window(self) -> tuple[datetime, datetime]:
        return self.now - self.since, self.now

    def start(self) -> None:
        self.calls.append(("start", None))

    def stop(self) -> None:
        self.calls.append(("stop", None))

    async def aclose(self) -> None:
        self.calls.append(("aclose", None))

    def refresh(self, panel: Panel | None = None) -> None:
        self.calls.append(("refresh", panel))

    async def plan(self, request: Request) -> Plan:
        self.calls.append(("plan", request))
        raise AssertionError("no plan in this test")

    async def submit(self, plan: Plan, consent: Consent) -> Action:
        self.calls.append(("submit", plan))
        raise AssertionError("a key wrote")

    async def watch(self, action_id: str, *, in_time: bool = False) -> AsyncIterator[Action]:
        return
        yield

    async def actions(self, *, open_only: bool = False) -> list[Action]:
        self.calls.append(("actions", open_only))
        return self.open_ones

    async def conditions(self, backend: str) -> tuple[RunCondition, ...] | None:
        return None

    def impact(self, item: Any) -> list[str]:
        return []

    def linked(self, item: Any) -> list[Any]:
        return self.linked_ones

    def triage(self, *_: Any) -> None:
        return None

    def ways(self, backend: str) -> ReleaseOptions:
        return ReleaseOptions()

    def sources(self) -> list[Snapshot]:
        return self.store.snapshots()

    # ---- for tests

    def put(
        self, panel: Panel, name: str, *items: Any, age_s: float = 4, error: str = "", interval_s: float = 15
    ) -> None:
        """What a feed would put."""
        failure = SourceError("unreachable", error, "is it running? `teal doctor`") if error else None
        self.store.put(
            Snapshot(
                key=SourceKey(panel, name),
                type=name,
                items=tuple(items),
                fetched_at=self.now - timedelta(seconds=age_s),
                latency_ms=12.0,
                error=failure,
                interval_s=interval_s,
            )
        )


def ago(**amount: float) -> datetime:
    """So long before NOW."""
    return NOW - timedelta(**amount)


def run(pipeline: str, run_id: str, state: RunState, **fields: Any) -> PipelineRun:
    """A run as an adapter gives it."""
    backend = fields.pop("backend", "airflow")
    ref = f"{backend}/{pipeline}/{run_id}"
    return PipelineRun(ref=ref, backend=backend, pipeline=pipeline, run_id=run_id, state=state, **fields)


def score(dataset: str, value: float | None, state: Any, minutes: float, **fields: Any) -> QualityScore:
    """A score with a trend that ends at it."""
    trend = tuple(
        TrendPoint(ago(minutes=minutes + 10 * back), 0.97 if back > 1 else value) for back in range(12, -1, -1) if value
    )
    return QualityScore(
        ref=f"scores/{dataset}",
        backend="scores",
        dataset=dataset,
        score=value,
        warn=0.95,
        crit=0.80,
        state=state,
        evaluated_at=ago(minutes=minutes),
        trend=trend,
        **fields,
    )


def alert(name: str, severity: str, minutes: float, **fields: Any) -> Alert:
    """An alert that fires since so many minutes."""
    fields.setdefault("state", "firing")
    fingerprint = fields.pop("fingerprint", name)
    return Alert(
        ref=f"am/{fingerprint}",
        backend="am",
        fingerprint=fingerprint,
        name=name,
        severity=severity,
        since=ago(minutes=minutes),
        **fields,
    )


def deployment(service: str = "analytics", live: str = "green", **fields: Any) -> Deployment:
    """A service whose two sides are healthy."""
    other = "blue" if live == "green" else "green"
    layer = TruthLayer(value=live, at=NOW)
    given: dict[str, Any] = {
        "colors": {
            live: ColorState(
                version="2.4.1", weight_pct=100, ready=3, desired=3, healthy=True, rps=212, error_pct=0.1, p95_ms=310
            ),
            other: ColorState(version="2.4.0", weight_pct=0, ready=3, desired=3, healthy=True, rps=0),
        },
        "truth": Truth(control=layer, endpoints=layer, data=layer),
        "rollback": RollbackOffer(to=other, ready=True, instant=True, until=NOW + timedelta(minutes=18)),
        "last_switch": LastSwitch(at=ago(minutes=12), by="alice", from_=other, to=live, action="7F3"),
    } | fields
    return Deployment(ref=f"{service}/{service}", backend=service, service=service, live=live, **given)


def log(seconds: float, level: Any, source: str, message: str) -> LogEntry:
    """A log line so many seconds before NOW."""
    at = NOW - timedelta(seconds=seconds)
    return LogEntry(at=at, at_ns=str(int(at.timestamp() * 1e9)), source=source, level=level, message=message)


def incident(context: FakeContext | None = None) -> FakeSession:
    """A platform on a bad day: each panel has something of each kind."""
    session = FakeSession(context)
    ok: tuple[RunState, ...] = ("success",) * 11
    session.put(
        "pipelines",
        "airflow",
        run(
            "production_data_pipeline",
            "1842",
            "failed",
            started_at=ago(minutes=6),
            ended_at=ago(minutes=2),
            duration_s=252,
            error="validate_transactions_data: 37 unexpected values",
            history=(*ok[:10], "cancelled", "failed"),
            usual_s=260,
        ),
        run(
            "monitoring_and_alerting",
            "9107",
            "running",
            started_at=ago(seconds=14),
            tasks_done=8,
            tasks_total=9,
            history=(*ok, "running"),
            usual_s=30,
        ),
        run(
            "customer_360",
            "411",
            "success",
            started_at=ago(minutes=33),
            ended_at=ago(minutes=31),
            duration_s=123,
            history=(*ok, "success"),
            usual_s=130,
        ),
        run(
            "fraud_features",
            "77",
            "success",
            started_at=ago(minutes=79),
            ended_at=ago(minutes=67),
            duration_s=700,
            history=(*ok, "success"),
            usual_s=690,
        ),
    )
    session.put(
        "pipelines",
        "glue",
        run(
            "advanced_analytics_etl",
            "203",
            "running",
            backend="glue",
            started_at=ago(minutes=58),
            usual_s=1260,
            late=True,
            history=(*ok, "running"),
        ),
    )
    session.put(
        "quality",
        "scores",
        score(
            "transactions",
            0.71,
            "critical",
            2,
            total=12,
            passed=9,
            failures=(
                FailedExpectation("transaction_amount 0.01..100000", "37 of 50120 rows"),
                FailedExpectation("currency in set", "2 of 50120 rows"),
            ),
        ),
        score("events", None, "unknown", 180, reason="older than the last good run of production_data_pipeline"),
        score(
            "products",
            0.93,
            "warning",
            2,
            total=8,
            passed=7,
            failures=(FailedExpectation("price not null", "11 of 900"),),
        ),
        score("customers", 0.99, "ok", 2, total=9, passed=9),
        age_s=9,
    )
    session.put(
        "alerts",
        "am",
        alert(
            "DataQualityDegradation", "critical", 2, labels={"dataset": "transactions"}, summary="score 0.71 below 0.8"
        ),
        alert(
            "PipelineFailureRate",
            "critical",
            1,
            labels={"pipeline": "production_data_pipeline"},
            summary="34 % of runs failed",
        ),
        *(
            alert(
                "ProcessingLatency",
                "warning",
                6 + n,
                group="latency",
                fingerprint=f"pl{n}",
                labels={"pipeline": "glue"},
            )
            for n in range(3)
        ),
        alert(
            "HighMemoryUsage",
            "warning",
            40,
            state="acknowledged",
            ack=Acknowledgement(by="mia", until=NOW + timedelta(minutes=19)),
        ),
        alert("NodeDiskFull", "warning", 300, state="silenced"),
        age_s=2,
    )
    session.put("deployments", "analytics", deployment(), age_s=3)
    layer = TruthLayer(value="mixed", at=NOW)
    session.put(
        "deployments",
        "fraud-model",
        deployment(
            "fraud-model",
            "mixed",
            action="01M8K9950GW6VSCWXD3VQT48A1",
            action_about="canary 5 %, judging",
            action_by="alice",
            action_until=NOW + timedelta(minutes=4, seconds=32),
            truth=Truth(control=layer, endpoints=layer, data=layer),
            colors={
                "blue": ColorState(
                    version="17", weight_pct=95, ready=2, desired=2, healthy=True, rps=88, error_pct=0.2, p95_ms=41
                ),
                "green": ColorState(
                    version="18", weight_pct=5, ready=2, desired=2, healthy=True, rps=5, error_pct=0.0, p95_ms=40
                ),
            },
            rollback=None,
        ),
        age_s=3,
    )
    session.put(
        "logs",
        "app",
        log(141, "error", "transactions", "transactions_suite failed: 37 unexpected values in transaction_amount"),
        log(140.9, "error", "airflow", "Task validate_transactions_data failed (try 1 of 3)"),
        log(139, "info", "analytics", "GET /api/customers 200 12ms color=green"),
        log(120, "warning", "analytics", "cache miss ratio 0.41"),
        log(90, "info", "prometheus", "DataQualityDegradation pending → firing"),
        log(9, "info", "analytics", "GET /api/transactions 200 9ms color=green"),
        age_s=1,
    )
    session.put("logs", "loki", log(400, "info", "analytics", "started"), age_s=180, error="no answer in 10 s")
    session.put(
        "checks",
        "warehouse",
        CheckResult(ref="warehouse", name="warehouse", state="critical", message="connection refused"),
    )
    return session
