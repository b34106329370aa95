"""What comes of a release that ECS or CodeDeploy makes, on a bench whose tasks really run: it goes well, a hook or an
alarm ends it, somebody else stops it, its runner is killed at each stage. The closing table names each."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from actions.models import Action, Consent, Plan, Refused, Request
from actions.outcome import exit_code
from console.config.load import load_config, pick_context
from console.orders import Orders
from console.reading.adapters import Adapters
from tests.backends.faulty_server import FaultyServer
from tests.live.ecs import CLUSTER, EcsLab
from tests.live.guard import Guard, guarded
from tests.live.process import until
from tests.live.teal import toml
from tests.live.test_ecs_native import FAILING_HOOK, pausing
from tests.live.test_ecs_release import answers

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("keys")]
# Side by side, with a lab each: a deployment takes its time.
KINDS = [pytest.param(kind, marks=pytest.mark.xdist_group(f"kills-{kind}")) for kind in ("ecs-native", "codedeploy")]
YES = Consent(confirmed=True, reason="a test")
ROLLBACK = Request(kind="rollback", service="model")
BEGINS = {"ecs-native": "ecs:UpdateService", "codedeploy": "codedeploy:CreateDeployment"}
ENDS = {"ecs-native": "ecs:StopServiceDeployment", "codedeploy": "codedeploy:StopDeployment"}
ALARM = "errors-high"
GATED = {"metrics": "prom", "bake": "1s"}
GATE = """
[[contexts.test.deployments.gates]]
name = "errors"
candidate = "errors"
max = 1
window = "200ms"
every = "100ms"
"""


class Service(Struct):
    """One that waits for `promote` in each release, and its data plane; versions go up from test to test."""

    kind: str
    guard: Guard
    entry: dict[str, Any]
    url: str
    lab: EcsLab
    metrics: str = ""
    serial: int = 4

    def next_version(self) -> str:
        self.serial += 1
        return f"2.{self.serial}.0"

    def ring(self) -> None:
        """Its alarm."""
        alarm(self.lab, "ALARM")

    def quiet(self) -> None:
        """The same again."""
        alarm(self.lab, "OK")

    def stop(self) -> None:
        """As somebody else does it."""
        if self.kind == "ecs-native":
            arn = self.lab.deployments(self.entry["service"])[0]["serviceDeploymentArn"]
            self.lab.ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
            return
        deploy, names = self.lab.aws.client("codedeploy"), {"applicationName": self.entry["application"]}
        (ident,) = deploy.list_deployments(
            deploymentGroupName="main", includeOnlyStatuses=["Ready"], **names
        )["deployments"]  # fmt: skip
        deploy.stop_deployment(deploymentId=ident, autoRollbackEnabled=True)

    @contextlib.contextmanager
    def failing_hook(self) -> Iterator[None]:
        """A hook of the next release fails; simecs tells that by the function's name."""
        hooks = [pausing(minutes=6000)]

        def configure(*more: dict[str, Any]) -> None:
            self.lab.ecs.update_service(
                cluster=CLUSTER,
                service=self.entry["service"],
                deploymentConfiguration={"lifecycleHooks": [*more, *hooks]},
            )

        if self.kind == "codedeploy":
            self.guard.rewrites = {b"check-hook": b"fail-hook"}
        else:
            configure({**FAILING_HOOK, "hookTargetArn": FAILING_HOOK["hookTargetArn"] + "-hook"})
        try:
            yield
        finally:
            self.guard.rewrites = {}
            if self.kind != "codedeploy":
                configure()

    @contextlib.asynccontextmanager
    async def orders(self, home: Path, **more: Any) -> AsyncIterator[Orders]:
        """As a console has them, with a journal of its own."""
        known = {key: value for key, value in self.entry.items() if not key.startswith("_")}
        entry = {
            "name": "model", "type": self.kind, **known, "aws": {**known["aws"], "endpoint_url": self.guard.url},
            "probe": {"url": f"{self.url}/health", "version_header": "X-Version"}, "probe_timeout": "10s",
            "timeout": "60s", **more,
        }  # fmt: skip
        lines = ["[contexts.test]", 'title = "model"', "[[contexts.test.metrics]]", 'name = "prom"']
        lines += ['type = "prometheus"', f'url = "{self.metrics or self.url}"', "[[contexts.test.deployments]]"]
        path = home / "config.toml"
        gate = GATE if "metrics" in more else ""
        path.write_text("\n".join([*lines, *(f"{key} = {toml(value)}" for key, value in entry.items())]) + gate)
        path.chmod(0o600)
        config = load_config(path)
        assert not config.problems, config.problems
        adapters = Adapters(pick_context(config, "test"))
        orders = Orders(adapters.context, adapters)
        try:
            yield orders
        finally:
            self.guard.thaw()
            await orders.aclose()
            await adapters.aclose()


def alarm(lab: EcsLab, state: str) -> None:
    watch = lab.aws.client("cloudwatch")
    watch.put_metric_alarm(
        AlarmName=ALARM, MetricName="errors", Namespace="app", Period=60, EvaluationPeriods=1, Statistic="Sum",
        Threshold=1.0, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    watch.set_alarm_state(AlarmName=ALARM, StateValue=state, StateReason="a test")


def made_in(lab: EcsLab, *, native: bool) -> dict[str, Any]:
    """Its entry: each release of it waits, and ends where the alarm rings."""
    alarm(lab, "OK")
    if native:
        alarms = {"enable": True, "rollback": True, "alarmNames": [ALARM]}
        return lab.native("2.4.0", lifecycleHooks=[pausing(minutes=6000)], alarms=alarms)
    rings = {"enabled": True, "alarms": [{"name": ALARM}]}
    entry = lab.codedeploy("2.3.0", ready_min=6000, alarmConfiguration=rings)
    deploy, names = lab.aws.client("codedeploy"), {"applicationName": entry["application"]}
    spec = lab.appspec(lab.definition(entry["service"], "2.4.0"), AfterInstall="check-hook")
    ident = deploy.create_deployment(deploymentGroupName="main", revision=spec, **names)["deploymentId"]

    def status() -> str:
        return str(deploy.get_deployment(deploymentId=ident)["deploymentInfo"]["status"])

    until(lambda: status() == "Ready", "its first deployment waits")
    deploy.continue_deployment(deploymentId=ident, deploymentWaitType="READY_WAIT")
    until(lambda: status() == "Succeeded", "its first deployment has ended")
    return entry


@pytest.fixture(scope="module")
def services(_lab: EcsLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Service]]:
    """One of each type, made when it is first asked for."""
    with contextlib.ExitStack() as stack:
        guard = stack.enter_context(guarded(_lab.aws.endpoint_url))
        guard.allow([{"Action": ["*"]}])
        known: dict[str, Service] = {}

        def made(kind: str) -> Service:
            if kind not in known:
                home = tmp_path_factory.mktemp(kind)
                native = kind == "ecs-native"
                entry = made_in(_lab, native=native)
                url = stack.enter_context(_lab.routed(entry["_listener"], home))
                until(lambda: answers(url), "the load balancer answers")
                known[kind] = Service(kind, guard, entry, url, _lab)
            return known[kind]

        yield made


@pytest.fixture
async def metrics() -> AsyncIterator[FaultyServer]:
    """A Prometheus in which `errors` is 0."""
    async with FaultyServer(answer=lambda _: (200, answer_of("0"))) as server:
        yield server


def answer_of(value: str) -> dict[str, Any]:
    return {
        "status": "success",
        "data": {"resultType": "vector", "result": [{"metric": {}, "value": [time.time(), value]}]},
    }  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))


async def reached(orders: Orders, action: Action, holds: Callable[[Action], bool]) -> Action:
    async with asyncio.timeout(60):
        while not holds(found := await orders.action(action.id or "")):
            assert found.open, found
            await asyncio.sleep(0.01)
    return found


async def promoted(orders: Orders, action: Action) -> None:
    """It waits, and goes on."""
    waiting = await reached(orders, action, lambda seen: seen.hold is not None and seen.orphaned_since is None)
    await ordered(orders, waiting, "promote")


async def ordered(orders: Orders, action: Action, word: Any) -> Action:
    request = Request(kind=action.kind, service="model", ref=action.id or "", order=word)
    return await orders.submit(await orders.plan(request), YES)


async def killed(orders: Orders, action: Action) -> Action:
    found = await reached(orders, action, lambda seen: seen.owner is not None)
    assert found.owner is not None
    os.kill(found.owner.pid, signal.SIGKILL)
    return await reached(orders, action, lambda seen: seen.orphaned_since is not None)


async def killed_at(stage: str, orders: Orders, at: Service, action: Action) -> Action:
    """As soon as it is there."""
    if stage == "follow":
        await reached(orders, action, lambda seen: seen.phase == "follow")
    elif stage == "pause":
        await reached(orders, action, lambda seen: seen.hold is not None)
    elif stage in ("verify", "bake"):
        await promoted(orders, action)
        await reached(orders, action, lambda seen: seen.phase == stage)
    elif stage == "way back":
        await reached(orders, action, lambda seen: seen.hold is not None)
        at.guard.freeze(ENDS[at.kind], taken=True)
        await orders.submit(await orders.plan(ROLLBACK), YES)
        assert await asyncio.to_thread(at.guard.frozen.wait, 30)
    else:
        assert await asyncio.to_thread(at.guard.frozen.wait, 30)
    found = await killed(orders, action)
    at.guard.thaw()
    return found


async def planned_next(orders: Orders) -> Plan:
    """A release after it: where what an action has brought there still takes the old tasks down, as soon as it has."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(Refused):
                return await orders.plan(Request(kind="release", service="model", version="9.9.9"))
            await asyncio.sleep(0.1)


KILLED = [
    ("order", "resume", "succeeded"), ("order", "rollback", "rolled_back"), ("follow", "resume", "succeeded"),
    ("pause", "rollback", "rolled_back"), ("verify", "resume", "succeeded"), ("bake", "resume", "succeeded"),
    ("bake", "rollback", "rolled_back"), ("way back", "rollback", "rolled_back"),
]  # fmt: skip
ALIVE = [
    ("healthy", "promote", "succeeded"), ("a failing hook", "", "rolled_back"), ("an alarm", "", "rolled_back"),
    ("somebody stops it", "", "rolled_back"),
]  # fmt: skip
SAID = {"a failing hook": "fail-hook", "an alarm": ALARM, "somebody stops it": "stopped"}


class Outcome(Struct, frozen=True):
    """A row of the closing table. `live`: what has all traffic at the end; `orders`: how often it was ordered."""

    kind: str
    what: str
    then: str
    status: str
    exit: int
    live: str
    orders: int
    words: str

    @property
    def line(self) -> str:
        words = self.words if len(self.words) <= 90 else f"{self.words[:89]}…"
        return f"{self.kind:<11} {self.what:<22} {self.then:<9} {self.status:<12} {self.exit}  {self.live:<4} {words}"


async def wrong(at: Service, what: str, orders: Orders, action: Action) -> None:
    """What happens to it, with its runner alive."""
    if what == "healthy":
        await promoted(orders, action)
    elif what != "a failing hook":
        await reached(orders, action, lambda seen: seen.hold is not None)
        await asyncio.to_thread(at.ring if what == "an alarm" else at.stop)


async def outcome(at: Service, what: str, then: str, home: Path) -> Outcome:
    """Of one release, from its plan to what is live after its end."""
    killed_in, version = what.removeprefix("killed at "), at.next_version()
    async with at.orders(home, **(GATED if killed_in == "bake" else {})) as orders:
        if killed_in == "order":
            at.guard.freeze(BEGINS[at.kind], taken=True)
        plan = await orders.plan(Request(kind="release", service="model", version=version))
        assert not plan.blocked, plan.findings
        with at.failing_hook() if what == "a failing hook" else contextlib.nullcontext():
            action = await orders.submit(plan, YES)
            if killed_in == what:
                await wrong(at, what, orders, action)
            else:
                orphan = await killed_at(killed_in, orders, at, action)
                if then == "rollback":
                    await orders.submit(await orders.plan(ROLLBACK), YES)
                else:
                    await ordered(orders, orphan, "resume")
                    if killed_in in ("order", "follow"):
                        await promoted(orders, orphan)
            async with asyncio.timeout(120):
                async for ended in orders.watch(action.id or ""):
                    action = ended
        at.quiet()
        after = await planned_next(orders)
        records = [record for record in await orders.audit_records() if record.kind == "intent"]
        assert (await orders.verify_audit()).intact
    live = {version: "new", plan.from_: "old"}.get(after.from_, after.from_)
    words = action.error.message if action.error else ""
    count = [record.step for record in records].count("release")
    return Outcome(at.kind, what, then, action.status, exit_code(action), live, count, words)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_closing_table_names_what_comes_of_each(
    services: Callable[[str], Service], metrics: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], kind: str,
) -> None:  # fmt: skip
    """What ends a release, and what whoever comes after a killed runner makes of it; nothing is ordered twice."""
    at = await asyncio.to_thread(services, kind)
    at.metrics = metrics.url
    wanted = [*ALIVE, *((f"killed at {stage}", way, status) for stage, way, status in KILLED)]
    table = []
    for number, (what, then, _) in enumerate(wanted):
        home = tmp_path / str(number)
        home.mkdir()
        monkeypatch.setenv("TEAL_STATE_DIR", str(home / "state"))
        table.append(await outcome(at, what, then, home))
        with capsys.disabled():
            print(f"\n{table[-1].line}", end="", flush=True)
    assert [(row.what, row.then, row.status) for row in table] == wanted
    for row in table:
        good = row.status == "succeeded"
        by_order = row.then == "rollback"
        assert (row.exit, row.live, row.orders) == (0 if good else 1, "new" if good else "old", 1), row
        assert by_order or SAID.get(row.what, "") in row.words, row


@pytest.mark.parametrize("kind", KINDS)
async def test_a_gate_that_fails_when_all_traffic_is_there_takes_it_back(
    services: Callable[[str], Service], metrics: FaultyServer, tmp_path: Path, kind: str
) -> None:
    """All at once, and CodeDeploy ends at once: what it ended in is judged all the same, and its way back waits for
    nobody."""
    at = await asyncio.to_thread(services, kind)
    at.metrics = metrics.url
    async with at.orders(tmp_path, **{**GATED, "bake": "20s"}) as orders:
        plan = await orders.plan(Request(kind="release", service="model", version=at.next_version()))
        action = await orders.submit(plan, YES)
        await promoted(orders, action)
        await reached(orders, action, lambda seen: seen.phase == "bake")
        metrics.answer = lambda _: (200, answer_of("9"))
        async with asyncio.timeout(60):
            async for seen in orders.watch(action.id or ""):
                ended = seen
        assert (ended.status, ended.error and ended.error.kind) == ("rolled_back", "gate_failed"), ended
        assert (await planned_next(orders)).from_ == plan.from_


@pytest.mark.parametrize("kind", KINDS[:1])
async def test_an_order_that_never_arrived_is_given_by_whoever_goes_on(
    services: Callable[[str], Service], tmp_path: Path, kind: str
) -> None:
    at = await asyncio.to_thread(services, kind)
    async with at.orders(tmp_path) as orders:
        at.guard.freeze(BEGINS[at.kind], taken=False)
        version = at.next_version()
        action = await orders.submit(await orders.plan(Request(kind="release", service="model", version=version)), YES)
        orphan = await killed_at("order", orders, at, action)
        await ordered(orders, orphan, "resume")
        await promoted(orders, orphan)
        async with asyncio.timeout(60):
            async for seen in orders.watch(action.id or ""):
                ended = seen
        assert ended.status == "succeeded", ended
