"""A gate over fakes by which one order of each kind can be planned, always the same."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from actions import targets
from actions.described import Described
from actions.gate import Gate
from actions.guards import Policy
from actions.ids import new_id
from actions.journal.journal import Journal
from actions.journal.rows import Changes, Draft
from actions.models import Action, Actor, Consent, Plan, Request
from actions.targets import IncidentsTarget, PipelinesTarget, SilencerTarget
from backends.models import Alert, Matcher, PipelineRun, Silence
from backends.ports import Approval, PipelineInfo, SilenceEffects
from backends.ports.incidents import Escalation, IncidentNow, Person
from tests.actions.fake_controller import ControllerTargets, FakeController
from tests.actions.fake_switch import FakeSwitch, FakeTargets
from tests.actions.journals import here, owner
from tests.fixtures.journals.record import CONFIG, fair

THEN = datetime(2020, 1, 1, 3, 0, tzinfo=UTC)
ALICE = Actor(login="alice", host="bastion-1")
FAILED, WAITING, RUNNING = (f"airflow/etl/{state}" for state in ("failed", "waiting", "running"))
MATCHERS = (Matcher(name="alertname", value="Slow"),)
ALERT, SILENCED, INCIDENT = "am/1", "am/2", "pd/1"
REQUESTS = [
    Request(kind="flip", service="svc", to="green", strategy="gradual"),
    Request(kind="release", service="svc", version="2.0", strategy="gradual"),
    Request(kind="rollback", service="svc"),
    Request(kind="retire", service="svc"),
    Request(kind="promote", service="ctl"),
    Request(kind="abort", service="ctl"),
    Request(kind="retry-release", service="ctl"),
    Request(kind="pause-release", service="ctl"),
    Request(kind="resume-release", service="ctl"),
    Request(kind="restart-release", service="ctl"),
    Request(kind="freeze", service="svc", for_s=3600.0),
    Request(kind="unfreeze", service="svc"),
    Request(kind="reject", service="svc", version="2.0"),
    Request(kind="accept", service="svc", version="1.0"),
    Request(kind="trigger", service="airflow/etl", params={"day": "2020-01-01", "full": True}),
    Request(kind="retry", service="airflow/etl", ref=FAILED),
    Request(kind="cancel", service="airflow/etl", ref=RUNNING),
    Request(kind="pause", service="airflow/etl"),
    Request(kind="unpause", service="airflow/daily"),
    Request(kind="approve", service="airflow/etl", ref=WAITING),
    Request(kind="ack", service=ALERT, ref=ALERT),
    Request(kind="silence", service="am/x", matchers=MATCHERS, for_s=7200.0),
    Request(kind="extend", service=SILENCED, ref=SILENCED, for_s=7200.0),
    Request(kind="unsilence", service=SILENCED, ref=SILENCED),
    Request(kind="ack-incident", service=INCIDENT, ref=INCIDENT),
    Request(kind="snooze", service=INCIDENT, ref=INCIDENT, for_s=1800.0),
    Request(kind="resolve", service=INCIDENT, ref=INCIDENT),
    Request(kind="escalate", service=INCIDENT, ref=INCIDENT),
    Request(kind="reassign", service=INCIDENT, ref=INCIDENT, to="carol"),
    Request(kind="note-incident", service=INCIDENT, ref=INCIDENT, params={"text": "on it"}),
]


class _Pipelines:
    async def pipeline(self, pipeline: str) -> PipelineInfo:
        return PipelineInfo(pipeline=pipeline, paused=pipeline == "daily")

    async def run(self, pipeline: str, run_id: str) -> PipelineRun:
        state: Any = run_id
        return PipelineRun(
            ref=f"airflow/{pipeline}/{run_id}", backend="airflow", pipeline=pipeline, run_id=run_id,
            state=state, raw_state=run_id, started_at=THEN, ended_at=THEN if run_id == "failed" else None,
        )  # fmt: skip

    async def retry_preview(self, pipeline: str, run_id: str) -> list[str]:
        return ["load", "clean"]

    async def approvals(self, pipeline: str, run_id: str) -> list[Approval]:
        return [Approval(name="ship it", mine=True), Approval(name="sign", mine=False, detail="by bob")]


class _Silencer:
    async def alerts(self) -> list[Alert]:
        told: list[tuple[str, str, Any]] = [("1", "Slow", "firing"), ("2", "Full", "silenced"), ("3", "Dead", "firing")]
        return [
            Alert(ref=f"am/{n}", backend="am", fingerprint=n, name=name, severity="warning", state=state, since=THEN)
            for n, name, state in told
        ]

    def ack_matchers(self, alert: Alert) -> tuple[Matcher, ...]:
        return (Matcher(name="alertname", value=alert.name),)

    async def matching(self, matchers: tuple[Matcher, ...]) -> list[Alert]:
        return [alert for alert in await self.alerts() if any(each.value == alert.name for each in matchers)]

    async def effects(self, matchers: tuple[Matcher, ...], *, ack: bool) -> SilenceEffects:
        return SilenceEffects()

    async def silences(self, hiding: str = "") -> list[Silence]:
        found = Silence(
            ref="am/s-1", backend="am", id="s-1", state="active", matchers=(Matcher(name="alertname", value="Full"),),
            created_by="bob", comment="", starts_at=THEN, ends_at=THEN, matches=1,
        )  # fmt: skip
        return [found] if hiding in ("", "2") else []


class _Incidents:
    async def incident(self, fingerprint: str) -> IncidentNow:
        return IncidentNow(
            id="P1", number=7, title="It burns", status="triggered", assigned=(Person(id="U2", name="Bob"),), alerts=1
        )

    async def orders_as(self) -> Person:
        return Person(id="U1", name="Alice")

    async def person(self, wanted: str) -> Person:
        return Person(id=f"U-{wanted}", name=wanted.capitalize())

    async def escalation(self, incident: IncidentNow) -> Escalation:
        return Escalation(level=2, people=(Person(id="U3", name="Dan"),))


class _Targets(FakeTargets):
    def __init__(self, switch: FakeSwitch, config: dict[str, Any]) -> None:
        super().__init__(switch, config)
        self._controller = FakeController()
        self._controller.begin("2.0")
        self._controller.wait()

    async def controller(self, service: str) -> Any:
        return await ControllerTargets(self._controller, {}).controller(service) if service == "ctl" else None

    async def pipelines(self, backend: str) -> PipelinesTarget:
        return PipelinesTarget(_Pipelines(), _told("pipelines", "airflow", backend))

    async def incidents(self, backend: str) -> IncidentsTarget | None:
        return IncidentsTarget(_Incidents(), _told("alerts", "pagerduty", backend)) if backend == "pd" else None

    async def silencer(self, backend: str) -> SilencerTarget:
        return SilencerTarget(_Silencer(), _told("alerts", "alertmanager", backend))


def _told(port: str, kind: str, name: str) -> Described:
    root, config = Path("/"), {"url": "http://x"}
    return Described(port=port, type=kind, name=name, config=config, base_dir=root, state_dir=root)


class Desk:
    """`gate`, its `journal` and `switch`; `plan` makes what a kind needs to be planned, and plans it."""

    def __init__(self, journal: Journal, switch: FakeSwitch) -> None:
        self.journal, self.switch = journal, switch
        policy, given = Policy(context="c", zone=UTC), _Targets(switch, CONFIG)
        self.gate = Gate(policy, journal, given, ALICE, self._launch)

    async def _launch(self, action_id: str, _: str) -> None:
        raise AssertionError("nothing is run here")

    async def plan(self, request: Request) -> Plan:
        if request.kind == "rollback":
            await self._flipped()
        if request.kind == "unfreeze":
            frozen = Request(kind="freeze", service="svc")
            await self.gate.submit(await self.gate.plan(frozen), Consent(confirmed=True, reason="quarter end"))
        return await self.gate.plan(request)

    async def begun(self, plan: Plan) -> Action:
        """The action of `plan`, as it is begun."""
        return await self.journal.begin(draft_of(plan))

    async def _flipped(self) -> None:
        action = await self.begun(await self.gate.plan(Request(kind="flip", service="svc", to="green")))
        hold = await self.journal.acquire(action.id or "", owner())
        await self.journal.write(hold, changes=Changes(status="succeeded", changed=True))
        self.switch.weights = {"blue": 0, "green": 100}


def draft_of(plan: Plan) -> Draft:
    return Draft(
        id=new_id(), plan=plan, request_hash="r", idempotency_key=new_id(), actor=ALICE, reason="a reason",
        steps=("preflight", "order"),
    )  # fmt: skip


@contextlib.asynccontextmanager
async def desk(directory: Path) -> AsyncIterator[Desk]:
    journal, switch = Journal(here(directory)), FakeSwitch()
    try:
        with _probed(switch):
            yield Desk(journal, switch)
    finally:
        await journal.aclose()


@contextlib.contextmanager
def _probed(switch: FakeSwitch) -> Iterator[None]:
    with mock.patch.object(targets.SwitchTarget, "probe", side_effect=fair(switch)):
        yield
