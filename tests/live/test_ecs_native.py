"""`ecs-native` on moto with simecs before it: the contract of a controller, and what only ECS does."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.ecs.native import NativeController
from backends.errors import BackendError
from backends.http import Http
from backends.ports import Order
from backends.registry import AdapterContext, build
from backends.testing.controllers import ControllerContract, ended, reached, released
from tests.live.ecs import CLUSTER, EcsLab

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("ecs-native"), pytest.mark.usefixtures("keys")]


FAILING_HOOK = {
    "targetType": "AWS_LAMBDA", "lifecycleStages": ["POST_SCALE_UP"], "roleArn": "arn:aws:iam::123456789012:role/r",
    "hookTargetArn": "arn:aws:lambda:eu-central-1:123456789012:function:fail",
}  # fmt: skip


def pausing(stage: str = "POST_SCALE_UP", *, minutes: int = 60, action: str = "ROLLBACK") -> dict[str, Any]:
    return {
        "targetType": "PAUSE", "lifecycleStages": [stage],
        "timeoutConfiguration": {"timeoutInMinutes": minutes, "action": action},
    }  # fmt: skip


@dataclasses.dataclass
class Native:
    lab: EcsLab
    entry: dict[str, Any]
    controller: NativeController

    @property
    def service(self) -> str:
        return str(self.entry["service"])

    def update(self, tag: str) -> None:
        self.lab.ecs.update_service(
            cluster=CLUSTER, service=self.service, taskDefinition=self.lab.definition(self.service, tag)
        )


def of(lab: EcsLab, entry: dict[str, Any], http: Http, base: Path) -> Native:
    given = {key: value for key, value in entry.items() if not key.startswith("_")}
    context = AdapterContext("model", base, base / "own", http)
    return Native(lab, entry, build("deployments", "ecs-native", given, context))


Make = Callable[..., Awaitable[Native]]


@pytest.fixture
async def make(lab: EcsLab, http: Http, tmp_path: Path) -> AsyncIterator[Make]:
    made = list[Native]()

    async def native(*, tag: str = "2.4.0", **config: Any) -> Native:
        found = of(lab, await asyncio.to_thread(lab.native, tag, **config), http, tmp_path)
        made.append(found)
        return found

    yield native
    for each in made:
        await each.controller.aclose()


class TestNativeController(ControllerContract):
    @pytest.fixture
    async def native(self, make: Make) -> Native:
        return await make(lifecycleHooks=[pausing()])

    @pytest.fixture
    async def adapter(self, native: Native) -> NativeController:
        return native.controller

    @pytest.fixture
    def versions(self) -> tuple[str, str]:
        return "2.4.0", "2.5.0"

    @pytest.fixture
    def meddle(self, native: Native) -> Callable[[], Awaitable[None]]:
        async def begin() -> None:
            await asyncio.to_thread(native.update, "2.5.0")
            async with asyncio.timeout(20):
                while (await native.controller.observe()).open is None:
                    await asyncio.sleep(0.05)

        return begin


async def test_a_release_goes_through_its_stages_and_what_was_before_is_known(make: Make) -> None:
    native = await make(strategy="CANARY", canaryConfiguration={"canaryPercent": 25, "canaryBakeTimeInMinutes": 1})
    there = await released(native.controller, "2.5.0")
    assert there.newest is not None
    seen = await reached(native.controller, there.newest.id, lambda found: found.shares.get("candidate") == 25)
    assert (seen.stage, seen.step, seen.steps_total) == ("PRODUCTION_TRAFFIC_SHIFT", 7, 10)
    shown = await native.controller.deployment()
    assert shown.live == "mixed"
    assert shown.controller is not None
    assert (shown.controller.phase, shown.health) == ("progressing", "warning")
    assert shown.colors["candidate"].weight_pct == 25
    assert shown.rollback is not None
    assert (shown.rollback.to, shown.rollback.instant) == ("2.4.0", True)
    over = await ended(native.controller, there.newest.id)
    assert (over.state, over.detail) == ("succeeded", "completed")
    found = await native.controller.observe()
    assert found.view.stable is not None
    assert found.before is not None
    assert (found.view.stable.version, found.before.version, found.returned) == ("2.5.0", "2.4.0", False)
    after = (await native.controller.deployment()).rollback
    assert after is not None
    assert (after.to, after.instant) == ("2.4.0", False)
    assert "not instant" in after.reason
    back = Order(order="rollback", revision=found.before.id)
    begun = await native.controller.order(found, back, stamp="01B:rollback")
    assert begun.newest is not None
    assert begun.newest.target.id == found.before.id
    assert (await ended(native.controller, begun.newest.id)).state == "succeeded"
    last = await native.controller.observe()
    assert last.view.stable is not None
    assert (last.view.stable.version, last.returned) == ("2.4.0", True)
    assert not last.view.offer("rollback").allowed


@pytest.mark.parametrize(("action", "words"), [("ROLLBACK", "rolls back by itself"), ("CONTINUE", "PROMOTES ITSELF")])
async def test_a_pause_says_when_it_ends_and_what_ecs_does_then(make: Make, action: str, words: str) -> None:
    native = await make(lifecycleHooks=[pausing(minutes=2, action=action)])
    findings = await native.controller.preflight(
        await native.controller.observe(), Order(order="release", version="2.5.0")
    )
    pause = next(each for each in findings if each.code == "pause")
    assert (pause.level == "warning") == (action == "CONTINUE")
    there = await released(native.controller, "2.5.0")
    assert there.newest is not None
    waiting = await reached(native.controller, there.newest.id, lambda found: found.pause)
    assert waiting.pause is not None
    assert words in waiting.pause.words
    view = (await native.controller.observe()).view
    assert (view.phase, view.offer("promote").allowed) == ("paused", True)
    assert view.paused_until == waiting.pause.until
    over = await ended(native.controller, there.newest.id)
    assert over.state == ("succeeded" if action == "CONTINUE" else "rolled_back")


async def test_a_promote_continues_the_shown_pause_and_no_other(make: Make) -> None:
    native = await make(lifecycleHooks=[pausing(), pausing("POST_PRODUCTION_TRAFFIC_SHIFT")])
    there = await released(native.controller, "2.5.0")
    assert there.newest is not None
    await reached(native.controller, there.newest.id, lambda found: found.pause)
    waiting = await native.controller.observe()
    await native.controller.order(waiting, Order(order="promote", operation=there.newest.id), stamp="A:promote")
    await reached(
        native.controller, there.newest.id, lambda found: found.pause and found.stage.startswith("POST_PRODUCTION")
    )
    with pytest.raises(BackendError) as caught:
        await native.controller.order(waiting, Order(order="promote", operation=there.newest.id), stamp="A:promote")
    assert caught.value.kind == "conflict"


@pytest.mark.parametrize(
    ("version", "config", "words"),
    [
        ("2.5.0", {"lifecycleHooks": [FAILING_HOOK]}, "failed"),
        ("2.5.0-crash", {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}, "circuit breaker"),
    ],
)  # fmt: skip
async def test_what_goes_wrong_is_taken_back_and_says_why(
    make: Make, version: str, config: dict[str, Any], words: str
) -> None:
    native = await make(**config)
    there = await released(native.controller, version)
    assert there.newest is not None
    over = await ended(native.controller, there.newest.id)
    assert over.state == "rolled_back"
    assert words in over.detail
    found = await native.controller.observe()
    assert found.view.stable is not None
    assert (found.view.stable.version, found.view.phase) == ("2.4.0", "healthy")


async def test_an_alarm_takes_it_back_and_forbids_the_next(make: Make) -> None:
    name = "errors-high"
    native = await make(alarms={"enable": True, "rollback": True, "alarmNames": [name]}, lifecycleHooks=[pausing()])
    watch = native.lab.aws.client("cloudwatch")
    watch.put_metric_alarm(
        AlarmName=name, MetricName="errors", Namespace="app", Period=60, EvaluationPeriods=1, Statistic="Sum",
        Threshold=1.0, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    watch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="a test")
    there = await released(native.controller, "2.5.0")
    assert there.newest is not None
    await reached(native.controller, there.newest.id, lambda found: found.pause)
    watch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
    over = await ended(native.controller, there.newest.id)
    assert (over.state, name in over.detail) == ("rolled_back", True)
    order = Order(order="release", version="2.6.0")
    findings = await native.controller.preflight(await native.controller.observe(), order)
    assert [each.code for each in findings if each.level == "block"] == ["alarms"]


async def test_its_listener_is_never_written_by_us(make: Make) -> None:
    native = await make()
    assert native.controller.object_id.endswith(f"{CLUSTER}/{native.service}")
    commands = native.controller.manual_commands(Order(order="rollback", revision="td:1", operation="sd"))
    assert not [each for each in commands if "elbv2" in each]


@pytest.mark.parametrize("kind", ["ROLLING", "CODE_DEPLOY", "EXTERNAL"])
async def test_a_service_of_another_type_is_refused_with_the_one_that_fits(
    lab: EcsLab, http: Http, tmp_path: Path, kind: str
) -> None:
    group, name = lab.group(), lab.name("svc")
    lab.listener(group)
    more = {"CODE_DEPLOY": {"deploymentController": {"type": kind}}, "EXTERNAL": {"launchType": kind}}.get(kind, {})
    lab.service(name, "2.4.0", group, **more)
    native = of(lab, {"aws": lab.aws.access, "cluster": CLUSTER, "service": name}, http, tmp_path)
    with pytest.raises(BackendError) as caught:
        await native.controller.observe()
    fits = {"CODE_DEPLOY": 'type = "codedeploy"', "ROLLING": 'type = "ecs"'}
    assert (caught.value.kind, "\n" in caught.value.message) == ("config", False)
    assert caught.value.fix == fits.get(kind, "a service of the launch type FARGATE or EC2")


@pytest.mark.parametrize(
    ("change", "words"), [({"cluster": "nowhere"}, "nowhere"), ({"service": "nobody"}, "service nobody: MISSING")]
)
async def test_a_cluster_or_service_that_is_not_there_is_named(
    lab: EcsLab, http: Http, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    entry = {"aws": lab.aws.access, "cluster": CLUSTER, "service": "model", **change}
    with pytest.raises(BackendError) as caught:
        await of(lab, entry, http, tmp_path).controller.observe()
    assert (caught.value.kind, words in caught.value.message, bool(caught.value.fix)) == ("not_found", True, True)


async def test_a_container_that_is_not_there_is_refused_before_any_effect(
    make: Make, http: Http, tmp_path: Path
) -> None:
    native = await make()
    bad = of(native.lab, {**native.entry, "container": "apps"}, http, tmp_path)
    before = await bad.controller.observe()
    findings = await bad.controller.preflight(before, Order(order="release", version="2.5.0"))
    found = next(each for each in findings if each.level == "block")
    assert "no container apps" in found.text
    assert "app, log-router" in found.fix
    with pytest.raises(BackendError) as caught:
        await released(bad.controller, "2.5.0")
    assert caught.value.kind == "config"
    assert (await native.controller.observe()).revision == before.revision
