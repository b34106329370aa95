"""The policies of docs/aws.md for `ecs`, `ecs-native` and `codedeploy` are enough, and of none of them a right can be
spared: each call of a bench whose tasks really run is held to exactly that policy by moto's access control."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from backends.errors import BackendError
from backends.http import Http
from backends.ports import Order
from backends.registry import AdapterContext, build
from tests.docs.test_aws_rights import policy
from tests.live.ecs import CLUSTER, EcsLab
from tests.live.guard import ALWAYS, Guard, guarded
from tests.live.moto import KEYS
from tests.live.process import until
from tests.live.teal import CommandLine
from tests.live.test_aws_rights import statements as of_alb
from tests.live.test_ecs_native import pausing
from tests.live.test_ecs_release import answers

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("ecs-rights"), pytest.mark.usefixtures("keys")]
KINDS = ("ecs", "ecs-native", "codedeploy")
CRASHES = "2.5.0-crash"
RELEASE = ("deploy", "release", "analytics", "--version", "2.6.0", "-y", "--reason", "go")


def statements(kind: str, without: str = "") -> list[dict[str, Any]]:
    """Those that the page says are needed."""
    found = policy(f"deployments {kind}") + (of_alb() if kind == "ecs" else [])
    kept = [{**each, "Action": [action for action in each["Action"] if action != without]} for each in found]
    return [each for each in kept if each["Action"]]


def rights(kind: str) -> list[str]:
    """Of the policy that is this type's own."""
    return sorted({action for each in policy(f"deployments {kind}") for action in each["Action"]} - ALWAYS)


LESSER = {
    "ecs": {
        "application-autoscaling:DescribeScalableTargets", "ecs:DescribeTasks", "ecs:ListTasks", "logs:GetLogEvents",
    },
    "ecs-native": {"ecs:DescribeTasks", "ecs:ListTasks", "elasticloadbalancing:DescribeTargetHealth"},
    "codedeploy": set(),
}  # fmt: skip
"""Without them a look tells less, and says which right that is; nothing is refused."""


class Bench(Struct):
    """Entries of one type. `rest`: at rest; `busy`: waits in the midst of a change; `sick`: of ECS itself, in the midst
    of one whose tasks crash."""

    kind: str
    lab: EcsLab
    guard: Guard
    rest: dict[str, Any]
    busy: dict[str, Any]
    sick: dict[str, Any] = {}

    def entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        """As whom the policy is given to."""
        known = {key: value for key, value in entry.items() if not key.startswith("_")}
        return {**known, "aws": {**known["aws"], "endpoint_url": self.guard.url}}

    @asynccontextmanager
    async def adapter(self, entry: dict[str, Any], http: Http) -> AsyncIterator[Any]:
        """A new one, which has read nothing yet."""
        context = AdapterContext("model", Path("/"), Path("/"), http)
        found = build("deployments", self.kind, self.entry(entry), context)
        yield found
        await found.aclose()


def made(kind: str, lab: EcsLab, guard: Guard) -> Bench:
    guard.allow([{"Action": ["*"]}])
    if kind == "ecs":
        return _pair(lab, guard)
    if kind == "codedeploy":
        alarms = {"enabled": True, "alarms": [{"name": "quiet"}]}
        rest = lab.codedeploy("2.4.0", alarmConfiguration=alarms)
        busy = lab.codedeploy("2.4.0", ready_min=6000, alarmConfiguration=alarms)
        lab.aws.client("codedeploy").create_deployment(
            applicationName=busy["application"], deploymentGroupName="main",
            revision=lab.appspec(lab.definition(busy["service"], "2.5.0")),
        )  # fmt: skip
        names = {"applicationName": busy["application"], "deploymentGroupName": "main"}
        listed = partial(lab.aws.client("codedeploy").list_deployments, includeOnlyStatuses=["Ready"], **names)
        until(lambda: bool(listed()["deployments"]), "it waits")
        return Bench(kind, lab, guard, rest, busy)
    alarms = {"enable": True, "rollback": True, "alarmNames": ["quiet"]}
    rest = lab.native("2.4.0", alarms=alarms)
    busy = lab.native("2.4.0", lifecycleHooks=[pausing(minutes=6000)])
    task = lab.definition(busy["service"], "2.5.0")
    lab.ecs.update_service(cluster=CLUSTER, service=busy["service"], taskDefinition=task)
    until(lambda: _waits(lab, busy["service"]), "it waits")
    sick = lab.native("2.4.0")
    task = lab.definition(sick["service"], CRASHES)
    lab.ecs.update_service(cluster=CLUSTER, service=sick["service"], taskDefinition=task)
    stopped = partial(lab.ecs.list_tasks, cluster=CLUSTER, serviceName=sick["service"], desiredStatus="STOPPED")
    until(lambda: bool(stopped()["taskArns"]), "tasks fail")
    return Bench(kind, lab, guard, rest, busy, sick)


def _waits(lab: EcsLab, service: str) -> bool:
    arn = lab.deployments(service)[0]["serviceDeploymentArn"]
    (found,) = lab.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
    return any(each["status"] == "AWAITING_ACTION" for each in found.get("lifecycleHookDetails", []))


def _pair(lab: EcsLab, guard: Guard) -> Bench:
    """Of which the idle service has tasks that crash and that would have logs, and auto scaling."""
    entry = lab.pair("2.4.0", deploymentConfiguration={"strategy": "ROLLING"})
    green = entry["services"]["green"]
    logged = {"logDriver": "awslogs", "options": {"awslogs-group": "models", "awslogs-stream-prefix": "app"}}
    task = lab.definition(green, CRASHES, color="green", logConfiguration=logged)
    lab.ecs.update_service(cluster=CLUSTER, service=green, taskDefinition=task)
    lab.aws.moto.client("ecs").create_service(cluster=CLUSTER, serviceName=green, taskDefinition=task)
    lab.aws.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="ecs", ResourceId=f"service/{CLUSTER}/{green}", ScalableDimension="ecs:service:DesiredCount",
        MinCapacity=1, MaxCapacity=4,
    )  # fmt: skip
    until(lambda: lab.look(green)["deployments"][0]["failedTasks"] > 0, "tasks fail")
    return Bench("ecs", lab, guard, entry, entry)


@pytest.fixture(scope="module")
def kept(_lab: EcsLab) -> EcsLab:
    """Whose services stay until all are done."""
    return _lab


@pytest.fixture(scope="module")
def guard(kept: EcsLab) -> Iterator[Guard]:
    with guarded(kept.aws.endpoint_url) as found:
        yield found


@pytest.fixture(scope="module")
def benches(kept: EcsLab, guard: Guard) -> Callable[[str], Bench]:
    """One of each type, made when it is first asked for: what is refused changes nothing there."""
    known: dict[str, Bench] = {}
    return lambda kind: known.setdefault(kind, known[kind] if kind in known else made(kind, kept, guard))


# ---- what an operator does


async def look(at: Bench, http: Http) -> str:
    """All that is read of a service, as text."""
    said = []
    async with at.adapter(at.busy, http) as adapter:
        said.append(str(await adapter.deployment()))
        if at.kind == "ecs":
            said += [str(await adapter.deployer.deployed("green"))]
            said += [str(await adapter.deployer.deploy_preflight("green", "2.6.0"))]
            said += [str(await adapter.deployer.rollout("green", CRASHES))]
            return "\n".join(said)
        state = await adapter.observe()
        said += [str(state), str(await adapter.operation(state.newest.id))]
    if at.sick:
        async with at.adapter(at.sick, http) as adapter, asyncio.timeout(30):
            while "stopped" not in (sick := (await adapter.observe()).view.message):
                await asyncio.sleep(0.1)  # for a moment each of its tasks runs
            said.append(sick)
    async with at.adapter(at.rest, http) as adapter:
        resting = await adapter.observe()
        said.append(str(await adapter.preflight(resting, Order(order="release", version="2.6.0"))))
    return "\n".join(said)


async def release(at: Bench, http: Http) -> None:
    async with at.adapter(at.rest, http) as adapter:
        if at.kind == "ecs":
            now = await adapter.deployer.deployed("green")
            await adapter.deployer.deploy(now, "green", "2.6.0", replicas=1, stamp="A:deploy")
        else:
            await adapter.order(await adapter.observe(), Order(order="release", version="2.6.0"), stamp="A:release")


async def order(word: Any, at: Bench, http: Http) -> None:
    async with at.adapter(at.busy, http) as adapter:
        state = await adapter.observe()
        await adapter.order(state, Order(order=word, operation=state.newest.id), stamp=f"A:{word}")


async def retire(at: Bench, http: Http) -> None:
    async with at.adapter(at.rest, http) as adapter:
        await adapter.deployer.retire(await adapter.deployer.deployed("green"), "green", stamp="A:retire")


async def retired_and_started(at: Bench, http: Http) -> None:
    """The tag that a retirement leaves is taken away by the next deploy."""
    at.guard.allow(statements("ecs"))
    await retire(at, http)
    at.guard.allow(statements("ecs", "ecs:UntagResource"))
    async with at.adapter(at.rest, http) as adapter:
        now = await adapter.deployer.deployed("green")
        await adapter.deployer.deploy(now, "green", CRASHES, replicas=1, stamp="B:deploy")


_NEW = ("ecs:RegisterTaskDefinition", "ecs:TagResource", "iam:PassRole")
_BESIDE = ("GetApplicationRevision", "GetDeploymentConfig", "RegisterApplicationRevision", "CreateDeployment")
Act = Callable[[Bench, Http], Awaitable[Any]]
WRITES: dict[str, dict[str, Act]] = {
    "ecs": {
        **dict.fromkeys((*_NEW, "ecs:UpdateService"), release),
        "application-autoscaling:RegisterScalableTarget": retire, "ecs:UntagResource": retired_and_started,
    },
    "ecs-native": {
        **dict.fromkeys((*_NEW, "ecs:UpdateService"), release),
        "ecs:ContinueServiceDeployment": partial(order, "promote"),
        "ecs:StopServiceDeployment": partial(order, "abort"),
    },
    "codedeploy": {
        **dict.fromkeys((*_NEW, *(f"codedeploy:{name}" for name in _BESIDE)), release),
        "codedeploy:ContinueDeployment": partial(order, "promote"),
        "codedeploy:StopDeployment": partial(order, "abort"),
    },
}  # fmt: skip
"""What needs a right; all others are needed to look."""


@pytest.mark.parametrize(("kind", "right"), [(kind, right) for kind in KINDS for right in rights(kind)])
async def test_one_right_less_is_named_and_changes_nothing(
    benches: Callable[[str], Bench], guard: Guard, http: Http, kind: str, right: str
) -> None:
    at = await asyncio.to_thread(benches, kind)
    guard.allow(statements(kind, right))
    if right in LESSER[kind]:
        assert f"no right {right}: " in await look(at, http)
        return
    with pytest.raises(BackendError) as caught:
        await WRITES[kind].get(right, look)(at, http)
    assert (caught.value.kind, guard.denied) == ("auth", {right}), caught.value.message
    assert f"no right {right}: " in caught.value.message
    assert f"allow {right} " in caught.value.fix


@pytest.mark.parametrize("kind", KINDS)
async def test_the_policy_is_enough_and_each_right_of_it_is_used(
    kept: EcsLab, guard: Guard, http: Http, kind: str
) -> None:
    at = await asyncio.to_thread(made, kind, kept, guard)
    guard.allow(statements(kind))
    await look(at, http)
    await release(at, http)
    if kind == "ecs":
        await retire(at, http)
        await release(at, http)
    else:
        await order("promote", at, http)
        used = set(guard.asked)
        others = await asyncio.to_thread(made, kind, kept, guard)
        guard.allow(statements(kind))
        await order("abort", others, http)
        guard.asked |= used
    assert guard.denied == set()
    assert set(rights(kind)) - guard.asked == set()


@pytest.mark.parametrize(
    ("kind", "right", "words"),
    [
        ("ecs", "ecs:UpdateService", RELEASE),
        (
            "ecs-native",
            "ecs:UpdateService",
            RELEASE,
        ),
        (
            "codedeploy",
            "codedeploy:CreateDeployment",
            RELEASE,
        ),
        ("ecs-native", "ecs:StopServiceDeployment", ("deploy", "abort", "analytics", "-y")),
        ("codedeploy", "codedeploy:GetDeploymentGroup", ("deploy", "status", "analytics")),
    ],
)
async def test_it_is_exit_4_on_the_command_line(
    benches: Callable[[str], Bench], guard: Guard, tmp_path: Path, kind: str, right: str, words: tuple[str, ...]
) -> None:
    at = await asyncio.to_thread(benches, kind)
    guard.allow(statements(kind, right))
    entry = at.busy if "abort" in words else at.rest
    named = {"type": kind, **at.entry(entry)}
    if kind == "ecs":
        with at.lab.routed(at.rest["listeners"][0], tmp_path) as url:
            await asyncio.to_thread(until, lambda: answers(url), "the load balancer answers")
            named |= {"probe": {"url": f"{url}/health"}, "probe_timeout": "10s", "bake": "1s"}
            refused = await CommandLine(tmp_path, named, KEYS).action(*words)
    else:
        refused = await CommandLine(tmp_path, named, KEYS).action(*words)
    said = json.dumps([refused["errors"], refused.get("error")])
    assert (refused["exit"], f"no right {right}" in said) == (4, True), refused
