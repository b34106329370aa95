"""`codedeploy` on moto with simecs before it: the contract of a controller, and what only CodeDeploy does."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.codedeploy.controller import CodeDeployController
from backends.errors import BackendError
from backends.http import Http
from backends.ports import Order
from backends.registry import AdapterContext, build
from backends.testing.controllers import ControllerContract, ended, reached, released
from tests.live.ecs import CLUSTER, EcsLab
from tests.live.moto import REGION

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("codedeploy"), pytest.mark.usefixtures("keys")]


@dataclasses.dataclass
class Group:
    lab: EcsLab
    entry: dict[str, Any]
    controller: CodeDeployController

    def begin(self, tag: str, **hooks: str) -> str:
        """As somebody else does it."""
        spec = self.lab.appspec(self.lab.definition(self.entry["service"], tag), **hooks)
        made = self.lab.aws.client("codedeploy").create_deployment(
            applicationName=self.entry["application"], deploymentGroupName="main", revision=spec,
            description="by the pipeline",
        )  # fmt: skip
        return str(made["deploymentId"])

    async def release(self, version: str) -> str:
        there = await released(self.controller, version, stamp="A:release")
        assert there.newest is not None
        return there.newest.id


def of(lab: EcsLab, entry: dict[str, Any], http: Http, base: Path) -> Group:
    given = {key: value for key, value in entry.items() if not key.startswith("_")}
    context = AdapterContext("model", base, base / "own", http)
    return Group(lab, entry, build("deployments", "codedeploy", given, context))


Make = Callable[..., Awaitable[Group]]


@pytest.fixture
async def make(lab: EcsLab, http: Http, tmp_path: Path) -> AsyncIterator[Make]:
    made = list[Group]()

    async def group(*, tag: str = "2.4.0", **config: Any) -> Group:
        found = of(lab, await asyncio.to_thread(lab.codedeploy, tag, **config), http, tmp_path)
        made.append(found)
        return found

    yield group
    for each in made:
        await each.controller.aclose()


class TestCodeDeployController(ControllerContract):
    @pytest.fixture
    async def group(self, make: Make) -> Group:
        return await make(ready_min=60)

    @pytest.fixture
    async def adapter(self, group: Group) -> CodeDeployController:
        return group.controller

    @pytest.fixture
    def versions(self) -> tuple[str, str]:
        return "2.4.0", "2.5.0"

    @pytest.fixture
    def meddle(self, group: Group) -> Callable[[], Awaitable[None]]:
        async def begin() -> None:
            await asyncio.to_thread(group.begin, "2.5.0")

        return begin


async def test_a_release_uses_the_current_appspec_with_its_hooks(make: Make) -> None:
    group = await make()
    first = await asyncio.to_thread(group.begin, "2.4.5", AfterInstall="check", AfterAllowTraffic="smoke")
    assert (await ended(group.controller, first)).state == "succeeded"
    ident = await group.release("2.5.0")
    over = await ended(group.controller, ident)
    assert (over.state, over.detail, over.stamp) == ("succeeded", "completed", "A:release")
    made = group.lab.aws.client("codedeploy").get_deployment(deploymentId=ident)["deploymentInfo"]
    spec = json.loads(made["revision"]["appSpecContent"]["content"])
    assert spec["Hooks"] == [{"AfterInstall": "check"}, {"AfterAllowTraffic": "smoke"}]
    assert spec["Resources"][0]["TargetService"]["Properties"]["TaskDefinition"] == over.target.id
    assert made["description"].startswith("tealdeck A:release")
    found = await group.controller.observe()
    assert found.view.stable is not None
    assert found.before is not None
    assert (found.view.stable.version, found.before.version, found.returned) == ("2.5.0", "2.4.5", False)


async def test_a_group_that_never_deployed_is_said_to_have_no_appspec_yet(make: Make) -> None:
    group = await make()
    before = await group.controller.observe()
    findings = await group.controller.preflight(before, Order(order="release", version="2.5.0"))
    (said,) = (each for each in findings if each.code == "appspec")
    assert (said.level, "without hooks" in said.text) == ("warning", True), said


async def test_the_wait_before_traffic_moves_is_a_pause_that_promote_ends(make: Make) -> None:
    group = await make(ready_min=60)
    ident = await group.release("2.5.0")
    waiting = await reached(group.controller, ident, lambda found: found.pause)
    assert waiting.pause is not None
    assert "READY_WAIT waits since" in waiting.pause.words
    assert "rolls back by itself" in waiting.pause.words
    state = await group.controller.observe()
    assert (state.view.phase, state.view.offer("promote").allowed) == ("paused", True)
    after = await group.controller.order(state, Order(order="promote", operation=ident), stamp="A:promote")
    assert after.open is None or after.open.pause is None
    assert (await ended(group.controller, ident)).state == "succeeded"


async def test_the_old_tasks_are_kept_until_they_are_retired(make: Make) -> None:
    group = await make(wait_min=60)
    ident = await group.release("2.5.0")
    arrived = await reached(group.controller, ident, lambda found: found.arrived)
    assert (arrived.shares, arrived.open) == ({"stable": 0, "candidate": 100}, True)
    assert "the way back" in arrived.detail
    shown = await group.controller.deployment()
    assert shown.rollback is not None
    assert (shown.live, shown.rollback.to, shown.rollback.instant) == ("candidate", "2.4.0", True)
    state = await group.controller.observe()
    assert not state.view.offer("release").allowed
    lines = group.controller.describe_order(state, Order(order="retire"))
    assert "way back" in lines[0]
    await group.controller.order(state, Order(order="retire", operation=ident), stamp="A:retire")
    assert (await ended(group.controller, ident)).state == "succeeded"
    found = await group.controller.observe()
    assert found.view.stable is not None
    assert found.view.stable.version == "2.5.0"


async def test_a_stop_during_the_wait_goes_back_at_once_by_a_deployment_of_its_own(make: Make) -> None:
    group = await make(wait_min=60)
    ident = await group.release("2.5.0")
    await reached(group.controller, ident, lambda found: found.arrived)
    order = Order(order="abort", operation=ident)
    after = await group.controller.order(await group.controller.observe(), order, stamp="A:abort")
    assert after.newest is not None
    assert after.newest.id == ident
    over = await ended(group.controller, ident)
    assert (over.state, "went back by d-" in over.detail) == ("rolled_back", True)
    found = await group.controller.observe()
    assert found.view.stable is not None
    assert found.newest is not None
    assert (found.view.stable.version, found.newest.id, found.view.phase) == ("2.4.0", ident, "healthy")


async def test_after_the_end_the_version_before_is_deployed_anew(make: Make) -> None:
    group = await make()
    for tag in ("2.4.5", "2.5.0"):
        await ended(group.controller, await group.release(tag))
    state = await group.controller.observe()
    assert state.before is not None
    order = Order(order="rollback", revision=state.before.id, version="2.4.5")
    begun = await group.controller.order(state, order, stamp="B:rollback")
    assert begun.newest is not None
    assert begun.newest.target.version == "2.4.5"
    assert (await ended(group.controller, begun.newest.id)).state == "succeeded"
    found = await group.controller.observe()
    assert found.returned
    assert not found.view.offer("rollback").allowed


async def test_a_hook_that_fails_is_named_and_taken_back(make: Make) -> None:
    group = await make()
    first = await asyncio.to_thread(group.begin, "2.4.5", AfterInstall="fail-check")
    over = await ended(group.controller, first)
    assert over.state == "rolled_back"
    assert "hook AfterInstall (fail-check) failed" in over.detail
    found = await group.controller.observe()
    assert found.view.stable is not None
    assert found.view.stable.version == "2.4.0"


async def test_an_alarm_of_the_group_takes_it_back_and_forbids_the_next(make: Make) -> None:
    alarms = {"enabled": True, "alarms": [{"name": "cd-errors"}]}
    group = await make(ready_min=60, alarmConfiguration=alarms)
    watch = group.lab.aws.client("cloudwatch")
    watch.put_metric_alarm(
        AlarmName="cd-errors", MetricName="errors", Namespace="app", Period=60, EvaluationPeriods=1, Statistic="Sum",
        Threshold=1.0, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    watch.set_alarm_state(AlarmName="cd-errors", StateValue="OK", StateReason="a test")
    ident = await group.release("2.5.0")
    await reached(group.controller, ident, lambda found: found.pause)
    watch.set_alarm_state(AlarmName="cd-errors", StateValue="ALARM", StateReason="a test")
    over = await ended(group.controller, ident)
    assert (over.state, "cd-errors" in over.detail) == ("rolled_back", True)
    order = Order(order="release", version="2.6.0")
    findings = await group.controller.preflight(await group.controller.observe(), order)
    assert [each.code for each in findings if each.level == "block"] == ["alarms"]


async def test_a_deployment_of_somebody_else_says_who_and_where_to_ask(make: Make) -> None:
    group = await make(ready_min=60)
    ident = await asyncio.to_thread(group.begin, "2.5.0")
    found = (await group.controller.observe()).open
    assert found is not None
    assert (found.id, found.stamp) == (ident, "")
    assert "user since" in found.by
    assert "by the pipeline" in found.by
    assert found.ask.startswith(f"`aws cloudtrail --region {REGION} lookup-events "), found.ask


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"deployment_group": "nothing"}, "not_found", "nothing"),
        ({"application": "nothing"}, "not_found", "nothing"),
        ({"service": "other"}, "config", "not other of models"),
        ({"container": "apps"}, "config", "no container apps"),
    ],
)
async def test_what_can_not_be_meant_is_refused_before_any_effect(
    make: Make, http: Http, tmp_path: Path, change: dict[str, str], kind: str, words: str
) -> None:
    group = await make()
    bad = of(group.lab, {**group.entry, **change}, http, tmp_path)
    with pytest.raises(BackendError) as caught:
        await released(bad.controller, "2.5.0")
    assert (caught.value.kind, words in caught.value.message, bool(caught.value.fix)) == (kind, True, True)
    assert (await group.controller.observe()).newest is None


async def test_a_service_of_another_controller_is_refused_with_the_type_that_fits(
    make: Make, lab: EcsLab, http: Http, tmp_path: Path
) -> None:
    group = await make()
    tg, name = lab.group(), lab.name("svc")
    lab.listener(tg)
    lab.service(name, "2.4.0", tg)
    deploy = lab.aws.client("codedeploy")
    deploy.create_deployment_group(
        applicationName=group.entry["application"], deploymentGroupName="odd", serviceRoleArn="arn:aws:iam::1:role/r",
        ecsServices=[{"serviceName": name, "clusterName": CLUSTER}],
        loadBalancerInfo={"targetGroupPairInfoList": [{"targetGroups": [], "prodTrafficRoute": {"listenerArns": []}}]},
    )  # fmt: skip
    bad = of(lab, {**group.entry, "deployment_group": "odd", "service": name}, http, tmp_path)
    with pytest.raises(BackendError) as caught:
        await bad.controller.observe()
    assert (caught.value.kind, caught.value.fix) == ("config", 'type = "ecs"')
