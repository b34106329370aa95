"""A session that records what is asked of it, real models to show, and an app that holds one screen."""

import asyncio
import html
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace
from textual.app import App
from textual.screen import Screen
from textual.widget import Widget

from actions.models import Action, Actor, Consent, Finding, Plan, PlanSummary, Request, Step, SwitchReport
from backends.alerts.matchers import identity_matchers, may_match
from backends.errors import BackendError
from backends.models import (
    Alert,
    ColorState,
    Deployment,
    LastSwitch,
    LogEntry,
    Matcher,
    PipelineRun,
    RollbackOffer,
    RunCondition,
    Silence,
    TaskRun,
    Truth,
    TruthLayer,
)
from backends.ports import Approval, PipelineInfo, PipelineParam
from console.opening import Opening
from console.ports.links import Links
from console.ports.store import Snapshot, SourceKey, Store
from console.reading.comparison import Comparison
from console.reading.release_options import ReleaseOptions
from console.reading.triage import Triage, triage
from console.screens.parts import Paragraphs

HOSTILE = "[bold red]BLUE[/] [/] [0] $warning {x} [@click=app.quit]click[/] unbalanced ["


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def a_plan(request: Request | None = None, **changes: Any) -> Plan:
    request = request or Request(kind="flip", service="analytics", to="green")
    plan = Plan(
        kind=request.kind,
        context="production",
        service=request.service,
        guard_class={"flip": "3", "rollback": "R"}.get(request.kind, "2"),
        protected=True,
        from_="blue",
        to="green",
        findings=(
            Finding(level="warning", code="red", text="production_data_pipeline #1842 is failing since 14:00"),
            Finding(
                level="warning",
                code="owner",
                text="Helm owns spec.selector: its next upgrade may undo this",
                fix="upgrade the chart too",
            ),
            Finding(level="ok", code="health", text="GREEN healthy 3/3"),
            Finding(level="ok", code="probe", text="the probe proves BLUE now"),
            Finding(level="ok", code="lock", text="nobody else is at it"),
        ),
        summary=PlanSummary(
            effects=(
                "control   switch.json: weights blue 100 green 0 → blue 0 green 100",
                "traffic   BLUE 100 % → 0 %     GREEN 0 % → 100 %",
            ),
            preconditions=("control is still BLUE", "GREEN is healthy at the write"),
            undo="teal deploy rollback analytics     at once, for 30m",
        ),
        hash="7f3a91c2d4",
        made_at=datetime.now(UTC),
        request=request,
    )
    return replace(plan, **changes)


def an_action(**changes: Any) -> Action:
    action = Action(
        id="01J9ZK3V7F3",
        kind="flip",
        service="analytics",
        status="running",
        phase="verify",
        from_="blue",
        to="green",
        started_at=ago(21),
        steps=(
            Step(name="plan", status="succeeded", started_at=ago(21), ended_at=ago(20.6), detail="7f3a91"),
            Step(name="preflight", status="succeeded", started_at=ago(20), ended_at=ago(18.8), detail="7 checks ok"),
            Step(name="shift", status="succeeded", started_at=ago(18), ended_at=ago(17.7)),
            Step(name="verify", status="running", started_at=ago(4.1), detail="control GREEN · data 14 of 20"),
            Step(name="bake", detail="2s: fresh requests and health"),
        ),
        switch=SwitchReport(requests=105, errors=0, first_new_s=0.4, last_old_s=1.1),
        plan_hash="7f3a91",
        reason="2.4.1 go",
        actor=Actor(login="root", host="bastion-1", sudo_user="alice"),
        undo="teal deploy rollback analytics",
    )
    return replace(action, **changes)


def a_run(**changes: Any) -> PipelineRun:
    run = PipelineRun(
        ref="local/production_data_pipeline/1842",
        backend="local",
        pipeline="production_data_pipeline",
        run_id="1842",
        state="failed",
        trigger="schedule",
        started_at=ago(372),
        ended_at=ago(120),
        duration_s=252,
        usual_s=180,
        late=True,
        tasks_done=4,
        tasks_total=9,
        history=("success",) * 10 + ("failed",),
        error="validate_transactions_data: 37 unexpected values",
    )
    return replace(run, **changes)


def some_tasks() -> list[TaskRun]:
    names = ["wait_for_source_files", "ingest_customers", "ingest_transactions", "validate_transactions_data", "marts"]
    states = ["success", "success", "success", "failed", "skipped"]
    starts = [372, 370, 340, 200, None]
    lengths = [2.0, 140.0, 120.0, 80.0, None]
    deps = [(), names[:1], names[:1], (names[2],), (names[1], names[3])]
    return [
        TaskRun(
            task=name,
            state=state,
            try_number=0 if start is None else 1,
            started_at=None if start is None else ago(start),
            ended_at=None if start is None or length is None else ago(start - length),
            duration_s=length,
            depends_on=tuple(after),
        )
        for name, state, start, length, after in zip(names, states, starts, lengths, deps, strict=True)
    ]


def some_log(task: str) -> list[LogEntry]:
    lines = [(f"reading batch {n} of 40 from the warehouse", "info") for n in range(40)]
    lines += [
        ("cache miss ratio 0.41", "warning"),
        ("Traceback (most recent call last):", "error"),
        ('  File "suite.py", line 12, in check', "unknown"),
        ("ValueError: transactions_suite failed: 37 unexpected values in transaction_amount " + "x" * 60, "unknown"),
        ("cleaning up", "info"),
    ]
    return [LogEntry(at=ago(200 - n), source=task, level=level, message=text) for n, (text, level) in enumerate(lines)]


def a_deployment(**changes: Any) -> Deployment:
    deployment = Deployment(
        ref="analytics/analytics",
        backend="analytics",
        service="analytics",
        live="blue",
        colors={
            "blue": ColorState(
                version="2.4.0", weight_pct=100, ready=1, desired=1, healthy=True, rps=212, error_pct=0.1, p95_ms=310
            ),
            "green": ColorState(version="2.4.1", weight_pct=0, ready=1, desired=1, healthy=True, detail="200, proven"),
        },
        truth=Truth(
            control=TruthLayer(value="blue", detail="switch.json generation 7", at=ago(2)),
            endpoints=TruthLayer(value="blue", detail="1 of 1 answers", at=ago(2)),
            data=TruthLayer(value="blue", detail="X-Environment: blue", at=ago(2)),
        ),
        rollback=RollbackOffer(to="green", ready=True, instant=True, reason="GREEN 2.4.1 answers, healthy"),
        last_switch=LastSwitch(at=ago(720), by="alice", from_="green", to="blue", action="01J9ZK3V7F3"),
    )
    return replace(deployment, **changes)


class FakeSystem:
    """An adapter of any port, that answers from the attributes of its session."""

    def __init__(self, session: "FakeSession") -> None:
        self._session = session

    async def silence(self) -> None:
        raise AssertionError("a screen wrote")

    def ack_matchers(self, alert: Alert) -> tuple[Matcher, ...]:
        return identity_matchers(alert.ref, alert.labels, ["dataset"])

    async def matching(self, matchers: tuple[Matcher, ...]) -> list[Alert]:
        alerts: Any = self._session.store.items("alerts")
        return [alert for alert in alerts if may_match(matchers, alert.labels)]

    async def silences(self, *, hiding: str | None = None) -> list[Silence]:
        if isinstance(self._session.silences, BackendError):
            raise self._session.silences
        return self._session.silences

    async def tasks(self, pipeline: str, run_id: str) -> list[TaskRun]:
        self._session.task_reads += 1
        if self._session.task_error is not None:
            raise self._session.task_error
        return self._session.task_list

    async def approvals(self, pipeline: str, run_id: str) -> list[Approval]:
        if self._session.approval_error is not None:
            raise self._session.approval_error
        return self._session.approval_list

    async def task_log(self, pipeline: str, run_id: str, task: str | None = None) -> list[LogEntry]:
        return some_log(task or "all")

    async def pipeline(self, pipeline: str) -> PipelineInfo:
        return self._session.info


class FakeAdapters:
    """All of one session are one; `why_not` of the session says why there is none."""

    def __init__(self, session: "FakeSession") -> None:
        self._session = session
        self.context = SimpleNamespace(entries={})

    def of(self, port: Any, name: str) -> FakeSystem:
        if port.name == "alerts" and self._session.why_not:
            raise BackendError("config", self._session.why_not)
        return FakeSystem(self._session)


class FakeSession:
    """Answers from its attributes; `plans` may hold Plans, or errors to raise, in turn; the last one stays."""

    def __init__(self, *, protected: bool = False, armed: bool = True, read_only: bool = False) -> None:
        self.context = SimpleNamespace(
            name="production" if protected else "sandbox", title="analytics", protected=protected, read_only=read_only,
            sandbox=not protected, zone=UTC, keymap={}, identity="oncall@bastion-1",
        )  # fmt: skip
        self.store = Store()
        self.links = Links()
        self.armed = armed
        self.plans: list[Plan | Exception] = [a_plan(protected=protected)]
        self.submits: list[tuple[Plan, Consent]] = []
        self.submit_answer: Action | Exception = an_action()
        self.gate = asyncio.Event()
        self.gate.set()
        self.news: asyncio.Queue[Action | None] = asyncio.Queue()
        self.all_actions: list[Action] = [an_action(status="succeeded", changed=True, ended_at=ago(5))]
        self.task_list = some_tasks()
        self.info = PipelineInfo(
            pipeline="etl",
            params=(PipelineParam(name="rows", default=500), PipelineParam(name="day", default="2024-01-01")),
        )
        self.requests: list[Request] = []
        self.conditions_known: tuple[RunCondition, ...] | None = None
        self.conditions_asked = 0
        self.approval_list: list[Approval] = []
        self.approval_error: BackendError | None = None
        self.task_error: BackendError | None = None
        self.task_reads = 0
        self.adapters = FakeAdapters(self)
        self.why_not = ""
        self.beside = Comparison(why="no earlier run of it ended well")
        self.forward = ReleaseOptions(
            strategies=("blue-green", "gradual", "canary", "slow"),
            stages={"blue-green": (100,), "gradual": (10, 50, 100), "canary": (5, 25, 100), "slow": (1, 100)},
            stage_s=600,
        )
        self.silences: list[Silence] | BackendError = []

    def put(self, panel: Any, *items: Any) -> None:
        key = SourceKey(panel, items[0].backend if hasattr(items[0], "backend") else "x")
        self.store.put(Snapshot(key=key, type="fake", items=items, fetched_at=datetime.now(UTC)))

    def ways(self, backend: str) -> ReleaseOptions:
        return self.forward

    def refresh(self, panel: Any = None) -> None:
        pass

    async def compared(self, run: PipelineRun, tasks: Sequence[TaskRun]) -> Comparison:
        return self.beside

    def triage(self, run: PipelineRun, tasks: Sequence[TaskRun], log: Sequence[LogEntry]) -> Triage | None:
        return triage(run, tasks=tasks, log=log)

    async def plan(self, request: Request) -> Plan:
        self.requests.append(request)
        await self.gate.wait()
        answer = self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]
        if isinstance(answer, Exception):
            raise answer
        return replace(answer, request=request)

    async def submit(self, plan: Plan, consent: Consent) -> Action:
        self.submits.append((plan, consent))
        if isinstance(self.submit_answer, Exception):
            raise self.submit_answer
        return self.submit_answer

    async def watch(self, action_id: str, *, in_time: bool = False) -> AsyncIterator[Action]:
        while (action := await self.news.get()) is not None:
            yield action

    async def actions(self, *, open_only: bool = False, limit: int = 50) -> list[Action]:
        return [action for action in self.all_actions if action.open or not open_only]

    async def conditions(self, backend: str) -> tuple[RunCondition, ...] | None:
        self.conditions_asked += 1
        return self.conditions_known

    def linked(self, item: Any) -> list[Any]:
        return []

    def impact(self, item: Any) -> list[str]:
        return ["customers, transactions are not refreshed", "service analytics reads them"]


class Holder(Opening):
    """An app that opens one screen over an empty one."""

    def __init__(self, screen: Screen[Any]) -> None:
        super().__init__()
        self.session = getattr(screen, "session", None)
        self.first = screen

    def on_mount(self) -> None:
        self.push_screen(self.first)

    def say(self, text: str) -> None:
        """There is no line to say it in."""


CELL_WIDTH = 12.2


def text_of(app: App[Any]) -> str:
    """Everything that is on screen, line by line, read from the picture that Textual draws of it."""
    rows: dict[float, str] = {}
    for x, y, text in re.findall(r'<text[^>]* x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</text>', _matrix(app)):
        line = rows.get(float(y), "").ljust(round(float(x) / CELL_WIDTH))
        rows[float(y)] = line + html.unescape(text).replace("\xa0", " ").rstrip("\n")
    return "\n".join(rows[y] for y in sorted(rows))


def _matrix(app: App[Any]) -> str:
    """The part of the picture that is the terminal, without its window title."""
    return app.export_screenshot().partition("-matrix")[2]


def said(screen: Screen[Any], selector: str) -> str:
    return screen.query_one(selector, Paragraphs).text


def outside(screen: Screen[Any], selector: str) -> list[Widget]:
    """Displayed widgets that are clipped: not wholly inside the terminal and everything that holds them."""
    clipped = []
    for widget in screen.query(selector):
        if any(not node.display for node in widget.ancestors_with_self if isinstance(node, Widget)):
            continue
        parents = [node for node in widget.ancestors if isinstance(node, Widget)]
        if not widget.region.area or not all(parent.region.contains_region(widget.region) for parent in parents):
            clipped.append(widget)
    return clipped
