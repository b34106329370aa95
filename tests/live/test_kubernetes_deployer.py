"""Versions onto the side without traffic, against a real API server with the real Deployment controller."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.kubernetes.control import FENCE, OP
from backends.deployments.kubernetes.rollout import SIZE
from backends.deployments.kubernetes.switch import KubernetesSwitch
from backends.errors import BackendError
from backends.http import Http
from backends.models import ColorState, Finding
from backends.ports import Deployer, Rollout
from backends.registry import AdapterContext, build
from tests.live.kubernetes import IMAGE, Cluster, Namespace, namespace
from tests.live.process import until

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kubernetes")]


@pytest.fixture(scope="module")
def shared(kube: Cluster) -> Iterator[Namespace]:
    with namespace(kube) as space:
        yield space


@pytest.fixture
def space(shared: Namespace) -> Namespace:
    shared.reset()
    return shared


def switch_of(space: Namespace, http: Http, tmp_path: Path, **config: Any) -> KubernetesSwitch:
    context = AdapterContext("analytics", tmp_path, tmp_path, http)
    found: KubernetesSwitch = build("deployments", "kubernetes", space.config(**config), context)
    return found


@pytest.fixture
async def switch(space: Namespace, http: Http, tmp_path: Path) -> AsyncIterator[KubernetesSwitch]:
    switch = switch_of(space, http, tmp_path)
    yield switch
    await switch.aclose()


@pytest.fixture
def deployer(switch: KubernetesSwitch) -> Deployer:
    assert switch.deployer is not None
    return switch.deployer


async def rolled_out(deployer: Deployer, version: str, until: Callable[[Rollout], object]) -> Rollout:
    """Asked until it is so; every answer on the way must be of one that goes on."""
    async with asyncio.timeout(60):
        while not until(found := await deployer.rollout("green", version)):
            assert found.state == "progressing", found.detail
            await asyncio.sleep(0.1)
    return found


async def deploy(deployer: Deployer, version: str, replicas: int | None = None) -> None:
    before = await deployer.deployed("green")
    await deployer.deploy(before, "green", version, replicas=replicas, stamp="A:deploy", fence=3)


async def refused(order: Any) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await order
    assert caught.value.fix
    return caught.value


async def health_once(switch: KubernetesSwitch, is_new: Callable[[ColorState], bool]) -> ColorState:
    """GREEN as the new pods say: one that ends answers for a moment yet."""
    async with asyncio.timeout(30):
        while not is_new(health := await switch.color_health("green")):
            await asyncio.sleep(0.1)
    return health


async def test_a_version_gets_onto_the_idle_side_and_is_waited_for(
    space: Namespace, switch: KubernetesSwitch, deployer: Deployer
) -> None:
    before = await deployer.deployed("green")
    assert (before.version, before.artifact, before.desired, before.ready) == ("2.4.0", f"{IMAGE}:2.4.0", 2, 2)
    after = await deployer.deploy(before, "green", "2.4.1", replicas=3, stamp="A:deploy", fence=7)
    assert (after.version, after.desired, after.stamp) == ("2.4.1", 3, "A:deploy")
    assert after.revision != before.revision
    done = await rolled_out(deployer, "2.4.1", lambda found: found.state == "complete")
    assert (done.ready, done.desired, done.detail) == (3, 3, "3 of 3 available")
    health = await health_once(switch, lambda found: found.version == "2.4.1")
    assert (health.healthy, health.version, health.ready) == (True, "2.4.1", 3)
    notes = space.api.call("GET", f"{space.apps}/analytics-green")["metadata"]["annotations"]
    assert (notes[OP], notes[FENCE], notes[SIZE]) == ("A:deploy", "7", "3")
    assert (space.tag("blue"), space.color()) == ("2.4.0", "blue")


async def test_one_that_takes_its_time_is_progressing_until_it_is_ready(deployer: Deployer) -> None:
    await deploy(deployer, "2.4.1-ready5")
    began = time.monotonic()
    assert (await deployer.rollout("green", "2.4.1-ready5")).state == "progressing"
    await rolled_out(deployer, "2.4.1-ready5", lambda found: found.state == "complete")
    assert time.monotonic() - began > 4


async def test_one_that_crashes_has_failed_and_says_how(deployer: Deployer) -> None:
    await deploy(deployer, "2.5.0-crash")
    failed = await rolled_out(deployer, "2.5.0-crash", lambda found: found.state == "failed")
    assert failed.detail.startswith("CrashLoopBackOff: back-off restarting failed container (")


async def test_one_that_cannot_be_pulled_says_so_while_it_tries(deployer: Deployer) -> None:
    await deploy(deployer, "2.5.0-pull")
    trying = await rolled_out(deployer, "2.5.0-pull", lambda found: "ImagePullBackOff" in found.detail)
    assert trying.state == "progressing"


async def test_a_sick_one_is_rolled_out_and_not_healthy(switch: KubernetesSwitch, deployer: Deployer) -> None:
    await deploy(deployer, "2.5.0-sick")
    await rolled_out(deployer, "2.5.0-sick", lambda found: found.state == "complete")
    health = await health_once(switch, lambda found: not found.healthy)
    assert (health.healthy, health.ready) == (False, 2)
    assert "status unhealthy" in health.detail


async def test_a_deadline_that_ran_out_before_our_change_is_not_ours(space: Namespace, deployer: Deployer) -> None:
    path = f"{space.apps}/analytics-green"
    space.api.merge(path, {"spec": {"progressDeadlineSeconds": 2}})
    try:
        await deploy(deployer, "2.5.0-pull")
        failed = await rolled_out(deployer, "2.5.0-pull", lambda found: found.state == "failed")
        assert failed.detail.startswith("ProgressDeadlineExceeded: ImagePullBackOff")
        space.api.merge(path, {"spec": {"progressDeadlineSeconds": 600}})
        await asyncio.to_thread(space.observed, "green")
        await asyncio.sleep(1.1)  # the times of the API have whole seconds
        await deploy(deployer, "2.4.1")
        await rolled_out(deployer, "2.4.1", lambda found: found.state == "complete")
    finally:
        space.api.merge(path, {"spec": {"progressDeadlineSeconds": 600}})


async def test_what_was_there_is_put_back_with_its_size(space: Namespace, deployer: Deployer) -> None:
    recorded = await deployer.deployed("green")
    await deploy(deployer, "2.4.1", replicas=3)
    there = await deployer.deployed("green")
    back = await deployer.restore(there, "green", recorded, stamp="A:restore", fence=3)
    assert (back.artifact, back.desired, back.stamp) == (recorded.artifact, 2, "A:restore")
    await rolled_out(deployer, "2.4.0", lambda found: found.state == "complete")


async def test_a_retired_side_has_nothing_and_comes_back(space: Namespace, deployer: Deployer) -> None:
    recorded = await deployer.deployed("green")
    retired = await deployer.retire(recorded, "green", stamp="A:retire")
    assert (retired.desired, retired.version) == (0, "2.4.0")
    await rolled_out(deployer, "2.4.0", lambda found: found.state == "complete")
    until(lambda: not space.pods("green"), "no pods", within=60)
    empty = await deployer.deployed("green")
    assert (await refused(deployer.deploy(empty, "green", "2.4.1", replicas=None, stamp="B:deploy"))).kind == "failed"
    await deployer.restore(empty, "green", recorded, stamp="B:start")
    await rolled_out(deployer, "2.4.0", lambda found: found.state == "complete")
    assert (await deployer.deployed("green")).ready == 2


async def test_a_side_scaled_to_zero_by_another_is_never_complete(space: Namespace, deployer: Deployer) -> None:
    await deploy(deployer, "2.4.1")
    space.scale("green", 0)
    until(lambda: not space.pods("green"), "no pods", within=60)
    found = await deployer.rollout("green", "2.4.1")
    assert (found.state, found.detail) == ("progressing", "scaled to zero")


# ---- refused


async def test_the_live_side_is_never_touched(space: Namespace, switch: KubernetesSwitch, deployer: Deployer) -> None:
    before = await deployer.deployed("blue")
    for order in (
        deployer.deploy(before, "blue", "2.4.1", replicas=2, stamp="A:deploy"),
        deployer.restore(before, "blue", before, stamp="A:restore"),
        deployer.retire(before, "blue", stamp="A:retire"),
    ):
        error = await refused(order)
        assert error.kind == "conflict"
        assert "BLUE takes the traffic" in error.message
    assert await deployer.deployed("blue") == before
    green = await deployer.deployed("green")
    space.select("green")  # between the plan and the write
    error = await refused(deployer.deploy(green, "green", "2.4.1", replicas=None, stamp="A:deploy"))
    assert "GREEN takes the traffic" in error.message
    space.select(None)
    error = await refused(deployer.deploy(green, "green", "2.4.1", replicas=None, stamp="A:deploy"))
    assert 'no "color"' in error.message
    assert await deployer.deployed("green") == green


async def test_deployments_that_are_mixed_up_in_the_config_are_not_touched(
    space: Namespace, http: Http, tmp_path: Path
) -> None:
    crossed = {"blue": "analytics-green", "green": "analytics-blue"}
    switch = switch_of(space, http, tmp_path, deployments=crossed)
    assert switch.deployer is not None
    try:
        before = await switch.deployer.deployed("green")
        error = await refused(switch.deployer.deploy(before, "green", "2.4.1", replicas=None, stamp="A:deploy"))
        assert (error.kind, "analytics-blue" in error.message) == ("conflict", True)
        assert (space.tag("blue"), space.tag("green")) == ("2.4.0", "2.4.0")
    finally:
        await switch.aclose()


async def test_another_deploy_in_between_is_a_conflict(space: Namespace, deployer: Deployer) -> None:
    before = await deployer.deployed("green")
    space.set_image("green", "2.4.5")
    for order in (
        deployer.deploy(before, "green", "2.4.1", replicas=None, stamp="A:deploy"),
        deployer.restore(before, "green", before, stamp="A:restore"),
        deployer.retire(before, "green", stamp="A:retire"),
    ):
        error = await refused(order)
        assert (error.kind, "runs 2.4.5 now" in error.message) == ("conflict", True)
    assert space.tag("green") == "2.4.5"
    assert (await refused(deployer.rollout("green", "2.4.1"))).kind == "conflict"


async def test_of_two_at_once_one_wins(deployer: Deployer) -> None:
    before = await deployer.deployed("green")
    orders = (deployer.deploy(before, "green", f"2.4.{n}", replicas=None, stamp=f"A{n}:deploy") for n in (1, 2, 3))
    outcomes = await asyncio.gather(*orders, return_exceptions=True)
    lost = [one for one in outcomes if isinstance(one, BackendError)]
    assert [error.kind for error in lost] == ["conflict", "conflict"]


async def blocking(deployer: Deployer, version: str = "2.4.1", color: str = "green") -> dict[str, Finding]:
    return {one.code: one for one in await deployer.deploy_preflight(color, version) if one.level == "block"}


async def test_what_can_be_deployed_has_no_blocking_finding(space: Namespace, deployer: Deployer) -> None:
    assert await blocking(deployer) == {}
    assert space.tag("green") == "2.4.0", "a dry run wrote something"
    (line,) = deployer.describe_deploy("green", "2.4.1")
    assert line == f"deploy   Deployment analytics-green: container analytics: {IMAGE}:2.4.1"
    (line,) = deployer.describe_deploy("green", "sha256:" + "a" * 64)
    assert line.endswith(f"{IMAGE}@sha256:{'a' * 64}")


@pytest.mark.parametrize("version", ["", "-x", "a b", "2.4.1\n", "x" * 129, "../2", "2.4.1:3", "sha256:12", "\x1b[2J"])
async def test_what_is_no_tag_is_refused_before_anything_is_asked(
    space: Namespace, deployer: Deployer, version: str
) -> None:
    assert list(await blocking(deployer, version)) == ["version"]
    before = await deployer.deployed("green")
    error = await refused(deployer.deploy(before, "green", version, replicas=None, stamp="A:deploy"))
    assert error.kind == "config"
    assert "\x1b" not in error.message
    assert await deployer.deployed("green") == before


async def test_paused_missing_and_wrongly_named_are_told_apart(
    space: Namespace, deployer: Deployer, http: Http, tmp_path: Path
) -> None:
    space.api.merge(f"{space.apps}/analytics-green", {"spec": {"paused": True}})
    assert "is paused" in (await blocking(deployer))["deployment"].text
    before = await deployer.deployed("green")
    error = await refused(deployer.deploy(before, "green", "2.4.1", replicas=None, stamp="A:deploy"))
    assert (error.kind, error.fix) == ("failed", "kubectl rollout resume deployment/analytics-green")
    assert "takes the traffic" in (await blocking(deployer, color="blue"))["deployment"].text
    for config, kind, says in (
        ({"deployments": {"blue": "analytics-blue", "green": "gone"}}, "not_found", "gone"),
        ({"container": "sidecar"}, "", 'no container "sidecar"'),
    ):
        switch = switch_of(space, http, tmp_path, **config)
        assert switch.deployer is not None
        if kind:
            assert (await refused(switch.deployer.deploy_preflight("green", "2.4.1"))).kind == kind
        else:
            space.api.merge(f"{space.apps}/analytics-green", {"spec": {"paused": None}})
            assert says in (await blocking(switch.deployer))["deployment"].text
        await switch.aclose()


async def test_who_may_not_patch_deployments_is_told_so(space: Namespace, http: Http, tmp_path: Path) -> None:
    rules = [{"apiGroups": ["", "apps"], "resources": ["services", "pods", "deployments"], "verbs": ["get", "list"]}]
    space.grant("oncall", rules)
    switch = switch_of(space, http, tmp_path, kubeconfig=str(space.cluster.as_user("oncall")))
    assert switch.deployer is not None
    try:
        error = await refused(switch.deployer.deploy_preflight("green", "2.4.1"))
        assert (error.kind, "may not patch deployments" in error.message) == ("auth", True)
        before = await switch.deployer.deployed("green")
        error = await refused(switch.deployer.deploy(before, "green", "2.4.1", replicas=None, stamp="A:deploy"))
        assert (error.kind, "cannot patch resource" in error.message) == ("auth", True)
    finally:
        await switch.aclose()


async def test_without_deployments_in_the_config_there_is_no_deployer(
    space: Namespace, http: Http, tmp_path: Path
) -> None:
    switch = switch_of(space, http, tmp_path, deployments={})
    assert switch.deployer is None
    assert (await switch.deployment()).live == "blue"
    await switch.aclose()
