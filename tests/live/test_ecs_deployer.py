"""`ecs` on moto with simecs before it: a version onto the idle service, and what comes of one that does not come up."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.ecs.switch import EcsSwitch
from backends.errors import BackendError
from backends.http import Http
from backends.ports import Deployer, Rollout
from backends.registry import AdapterContext, build
from tests.live.ecs import CLUSTER, EcsLab

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("ecs"), pytest.mark.usefixtures("keys")]


class Pair:
    def __init__(self, lab: EcsLab, entry: dict[str, Any], http: Http, base: Path) -> None:
        self.lab, self.entry = lab, entry
        self.context = AdapterContext("model", base, base / "own", http)
        self.switch: EcsSwitch = build("deployments", "ecs", entry, self.context)

    @property
    def deployer(self) -> Deployer:
        assert self.switch.deployer is not None
        return self.switch.deployer

    def look(self, color: str) -> dict[str, Any]:
        return self.lab.look(self.entry["services"][color])

    async def release(self, version: str, *, color: str = "green", replicas: int = 1) -> None:
        before = await self.deployer.deployed(color)
        await self.deployer.deploy(before, color, version, replicas=replicas, stamp="01A:deploy")

    async def ended(self, version: str, color: str = "green") -> Rollout:
        async with asyncio.timeout(60):
            while (found := await self.deployer.rollout(color, version)).state == "progressing":
                await asyncio.sleep(0.1)
        return found

    async def progress(self, version: str, words: str) -> Rollout:
        async with asyncio.timeout(60):
            while words not in (found := await self.deployer.rollout("green", version)).detail:
                assert found.state == "progressing", found
                await asyncio.sleep(0.1)
        return found


@pytest.fixture
async def pair(lab: EcsLab, http: Http, tmp_path: Path) -> AsyncIterator[Pair]:
    found = Pair(lab, await asyncio.to_thread(lab.pair, "2.4.0"), http, tmp_path)
    yield found
    await found.switch.aclose()


async def test_a_release_changes_the_image_of_one_container_and_nothing_else(pair: Pair) -> None:
    old = pair.lab.ecs.describe_task_definition(taskDefinition=pair.look("green")["taskDefinition"])["taskDefinition"]
    assert not [each for each in await pair.deployer.deploy_preflight("green", "2.5.0") if each.level == "block"]
    await pair.release("2.5.0", replicas=2)
    found = await pair.deployer.deployed("green")
    assert (found.version, found.desired, found.stamp) == ("2.5.0", 2, "01A:deploy")
    assert (await pair.ended("2.5.0")).state == "complete"
    answer = pair.lab.ecs.describe_task_definition(taskDefinition=found.artifact, include=["TAGS"])
    new, tags = answer["taskDefinition"], {tag["key"]: tag["value"] for tag in answer["tags"]}
    old["containerDefinitions"][0]["image"] = "registry/app:2.5.0"
    for key in ("containerDefinitions", "volumes", "family"):
        assert new[key] == old[key], key
    ours = {"tealdeck:action": "01A:deploy", "tealdeck:from": f"{old['family']}:1"}
    assert tags == {"team": "models", **ours}
    assert (await pair.deployer.deployed("green")).ready == 2
    assert (await pair.switch.color_health("green")).version == "2.5.0"


async def test_the_deployment_shows_versions_and_tasks(pair: Pair) -> None:
    found = await pair.switch.deployment()
    assert found.live == "blue"
    assert {color: side.version for color, side in found.colors.items()} == {"blue": "2.4.0", "green": "2.4.0"}
    assert (found.colors["blue"].ready, found.colors["blue"].desired) == (1, 1)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("2.5.0-pull", "the image can not be pulled"),
        ("2.5.0-oom", "out of memory"),
        ("2.5.0-crash", "exit code 1"),
        ("2.5.0-sick", "the health check fails"),
    ],
)
async def test_what_does_not_come_up_is_said_and_ecs_goes_back_by_itself(pair: Pair, version: str, words: str) -> None:
    recorded = await pair.deployer.deployed("green")
    await pair.release(version)
    ended = await pair.ended(version)
    assert ended.state == "failed"
    assert words in ended.detail
    before, newest = await pair.deployer.deployed("green"), pair.look("green")["deployments"][0]["id"]
    put_back = await pair.deployer.restore(before, "green", recorded, stamp="01A:restore")
    assert put_back.artifact == recorded.artifact
    assert pair.look("green")["deployments"][0]["id"] == newest  # nothing was written: ECS was there already
    assert (await pair.ended("2.4.0")).state == "complete"
    assert pair.look("blue")["taskDefinition"].endswith("blue:1")


async def test_no_capacity_is_said(pair: Pair) -> None:
    await pair.release("2.5.0-nocap")
    await pair.progress("2.5.0-nocap", "no capacity: Capacity is unavailable")


async def test_without_a_circuit_breaker_tasks_that_fail_are_its_failure(
    lab: EcsLab, http: Http, tmp_path: Path
) -> None:
    entry = await asyncio.to_thread(lab.pair, "2.4.0", deploymentConfiguration={"strategy": "ROLLING"})
    pair = Pair(lab, entry, http, tmp_path)
    await pair.release("2.5.0-crash")
    ended = await pair.ended("2.5.0-crash")
    assert ended.state == "failed"
    assert "no circuit breaker" in ended.detail


async def test_the_live_side_is_never_touched(pair: Pair) -> None:
    before = await pair.deployer.deployed("blue")
    for write in (
        pair.deployer.deploy(before, "blue", "2.5.0", replicas=1, stamp="01A:deploy"),
        pair.deployer.restore(before, "blue", before, stamp="01A:restore"),
        pair.deployer.retire(before, "blue", stamp="01A:retire"),
    ):
        with pytest.raises(BackendError) as caught:
            await write
        assert caught.value.kind == "conflict"
    assert await pair.deployer.deployed("blue") == before


async def test_somebody_elses_change_is_a_conflict(pair: Pair) -> None:
    before = await pair.deployer.deployed("green")
    pair.lab.ecs.update_service(cluster=CLUSTER, service=pair.entry["services"]["green"], desiredCount=2)
    with pytest.raises(BackendError) as caught:
        await pair.deployer.deploy(before, "green", "2.5.0", replicas=1, stamp="01A:deploy")
    assert caught.value.kind == "conflict"


async def test_a_write_that_was_not_answered_is_found_by_its_mark(pair: Pair) -> None:
    before = await pair.deployer.deployed("green")
    pair.lab.aws.fault("UpdateService", "drop-after-commit")
    with pytest.raises(BackendError) as caught:
        await pair.deployer.deploy(before, "green", "2.5.0", replicas=1, stamp="01A:deploy")
    assert caught.value.kind in ("unreachable", "timeout")
    assert (await pair.deployer.deployed("green")).stamp == "01A:deploy"
    pair.lab.aws.fault("UpdateService", "error")
    there = await pair.deployer.deployed("green")
    with pytest.raises(BackendError):
        await pair.deployer.deploy(there, "green", "2.6.0", replicas=1, stamp="01B:deploy")
    assert (await pair.deployer.deployed("green")).stamp == ""


async def test_auto_scaling_is_a_finding_and_a_retirement_suspends_it(pair: Pair) -> None:
    scaling, name = pair.lab.aws.client("application-autoscaling"), pair.entry["services"]["green"]
    place = {"ServiceNamespace": "ecs", "ResourceId": f"service/{CLUSTER}/{name}",
             "ScalableDimension": "ecs:service:DesiredCount"}  # fmt: skip
    task = pair.look("green")["taskDefinition"]  # moto scales only services that it knows itself
    pair.lab.aws.moto.client("ecs").create_service(cluster=CLUSTER, serviceName=name, taskDefinition=task)
    scaling.register_scalable_target(**place, MinCapacity=1, MaxCapacity=1)
    pair.lab.ecs.update_service(cluster=CLUSTER, service=pair.entry["services"]["blue"], desiredCount=3)
    findings = await pair.deployer.deploy_preflight("green", "2.5.0")
    assert [each.code for each in findings if each.level == "block"] == ["autoscaler"]
    assert "at 1 at most, 3 are needed" in next(each.text for each in findings if each.code == "autoscaler")

    def suspended() -> bool:
        found = scaling.describe_scalable_targets(ServiceNamespace="ecs", ResourceIds=[place["ResourceId"]])
        state = found["ScalableTargets"][0]["SuspendedState"]
        return bool(state["DynamicScalingInSuspended"] and state["DynamicScalingOutSuspended"])

    before = await pair.deployer.deployed("green")
    retired = await pair.deployer.retire(before, "green", stamp="01A:retire")
    assert (retired.desired, retired.stamp, suspended()) == (0, "01A:retire", True)
    assert "suspended" in retired.detail
    again = await pair.deployer.restore(retired, "green", before, stamp="01B:start")
    assert (again.desired, suspended()) == (1, False)
    assert "tealdeck:scaling" not in {tag["key"] for tag in pair.look("green")["tags"]}


async def test_what_is_no_service_of_this_type_is_refused_with_the_type_that_fits(
    lab: EcsLab, http: Http, tmp_path: Path
) -> None:
    entry = await asyncio.to_thread(lab.pair, "2.4.0")
    native = await asyncio.to_thread(lab.native, "2.4.0")
    group = lab.group()
    lab.listener(group)
    moved, other, outside = lab.name("cd"), lab.name("other"), lab.name("outside")
    lab.service(moved, "2.4.0", group, deploymentController={"type": "CODE_DEPLOY"})
    lab.service(other, "2.4.0", group)
    lab.service(outside, "2.4.0", entry["target_groups"]["green"], launchType="EXTERNAL")
    for service, words, fix in (
        (native["service"], "BLUE_GREEN", 'type = "ecs-native"'), (moved, "CODE_DEPLOY", 'type = "codedeploy"'),
        (other, "not behind target_groups.green", "target_groups"), (outside, "launch type EXTERNAL", "FARGATE"),
    ):  # fmt: skip
        bad = {**entry, "services": {**entry["services"], "green": service}}
        pair = Pair(lab, bad, http, tmp_path)
        (found,) = await pair.deployer.deploy_preflight("green", "2.5.0")
        assert (found.level, words in found.text, fix in found.fix) == ("block", True, True), found
        before = await pair.deployer.deployed("green")
        with pytest.raises(BackendError) as caught:
            await pair.deployer.deploy(before, "green", "2.5.0", replicas=1, stamp="01A:deploy")
        assert caught.value.kind == "config"


@pytest.mark.parametrize(
    ("change", "version", "words", "fix"),
    [
        ({"container": "apps"}, "2.5.0", "has no container apps", "app, log-router"),
        ({}, "no version", "is no tag of an image", "a tag"),
    ],
)
async def test_what_can_not_be_meant_is_refused_before_any_effect(
    pair: Pair, http: Http, tmp_path: Path, change: dict[str, Any], version: str, words: str, fix: str
) -> None:
    other = Pair(pair.lab, {**pair.entry, **change}, http, tmp_path)
    found = [each for each in await other.deployer.deploy_preflight("green", version) if each.level == "block"]
    assert len(found) == 1
    assert words in found[0].text
    assert fix in found[0].fix
    before = await other.deployer.deployed("green")
    with pytest.raises(BackendError) as caught:
        await other.deployer.deploy(before, "green", version, replicas=1, stamp="01A:deploy")
    assert caught.value.kind == "config"
    assert len(pair.look("green")["deployments"]) == 1


async def test_a_service_that_is_not_there_is_named(pair: Pair, http: Http, tmp_path: Path) -> None:
    other = Pair(pair.lab, {**pair.entry, "services": {"blue": "nobody", "green": "nothing"}}, http, tmp_path)
    with pytest.raises(BackendError) as caught:
        await other.deployer.deploy_preflight("green", "2.5.0")
    assert caught.value.kind == "not_found"
    assert "MISSING" in caught.value.message
