"""`teal deploy` on services whose traffic ECS and CodeDeploy move, by the command line: the closing table names what
came of it, also where the runner was killed, somebody else stopped it, or it went back by itself."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.live.ecs import EcsLab, ecs_lab
from tests.live.moto import KEYS
from tests.live.process import until
from tests.live.teal import CommandLine
from tests.live.test_ecs_native import FAILING_HOOK, pausing
from tests.live.test_ecs_release import answers
from tests.load import Load

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("ecs")]
GO = ("-y", "--reason", "go")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EcsLab]:
    with ecs_lab(tmp_path_factory.mktemp("ecs")) as found:
        yield found


class Moved(Struct):
    lab: EcsLab
    entry: dict[str, Any]
    url: str
    teal: CommandLine

    async def release(self, version: str, *more: str) -> dict[str, Any]:
        return await self.teal.action("deploy", "release", "analytics", "--version", version, *GO, *more)

    async def status(self) -> dict[str, Any]:
        return await self.teal.action("deploy", "status", "analytics")

    async def controller(self, **wanted: Any) -> dict[str, Any]:
        """As soon as the controller says so."""
        async with asyncio.timeout(60):
            while True:
                found = (await self.status())["controller"]
                if all(found[key] == value for key, value in wanted.items()):
                    return dict(found)

    async def ended(self, action: str) -> dict[str, Any]:
        return await self.teal.action("action", "watch", action)


@contextlib.asynccontextmanager
async def moved(lab: EcsLab, kind: str, home: Path, **config: Any) -> AsyncIterator[Moved]:
    make = lab.native if kind == "ecs-native" else lab.codedeploy
    entry = await asyncio.to_thread(make, "2.4.0", **config)
    listener = entry.pop("_listener")
    with lab.routed(listener, home) as url:
        await asyncio.to_thread(until, lambda: answers(url), "the load balancer answers")
        probe = {"url": f"{url}/health", "version_header": "X-Version"}
        told = {"type": kind, **entry, "probe": probe, "probe_timeout": "10s"}
        yield Moved(lab, entry, url, CommandLine(home, told, KEYS))


@pytest.mark.parametrize("kind", ["ecs-native", "codedeploy"])
async def test_a_release_and_its_rollback_are_proven_and_lose_no_request(
    lab: EcsLab, tmp_path: Path, kind: str
) -> None:
    async with moved(lab, kind, tmp_path) as at, Load(f"{at.url}/health", 20.0) as load:
        released = await at.release("2.5.0")
        assert (released["exit"], released["status"]) == (0, "succeeded"), released
        assert (released["from"], released["to"]) == ("2.4.0", "2.5.0")
        assert released["switch"]["requests"] >= 20
        status = await at.status()
        assert (status["live"], status["controller"]["stable"]["version"]) == ("stable", "2.5.0")
        assert status["rollback"]["to"] == "2.4.0"
        back = await at.teal.action("deploy", "rollback", "analytics", *GO)
        assert (back["exit"], back["status"], back["to"]) == (0, "succeeded", "2.4.0"), back
        again = await at.teal.action("deploy", "rollback", "analytics", *GO)
        assert (again["exit"], again["changed"]) == (0, False), again
    assert load.lost == []
    code, _, complaints = await at.teal.run("audit", "verify")
    assert code == 0, complaints


@pytest.mark.parametrize("kind", ["ecs-native", "codedeploy"])
async def test_a_wait_is_told_and_promoted(lab: EcsLab, tmp_path: Path, kind: str) -> None:
    wait: dict[str, Any] = {"lifecycleHooks": [pausing()]} if kind == "ecs-native" else {"ready_min": 60}
    async with moved(lab, kind, tmp_path, **wait) as at:
        begun = await at.release("2.5.0", "--detach")
        assert begun["exit"] == 8, begun
        view = await at.controller(phase="paused")
        assert view["then"] == "rolls back by itself"
        held = await at.teal.action("action", "show", begun["id"])
        assert "rolls back by itself at" in held["hold"]["why"], held
        locked = await at.release("2.6.0")
        assert locked["exit"] == 6, locked
        promoted = await at.teal.action("action", "promote", begun["id"], *GO)
        assert promoted["exit"] in (0, 8), promoted
        ended = await at.ended(begun["id"])
        assert (ended["exit"], ended["status"]) == (0, "succeeded"), ended


@pytest.mark.parametrize("kind", ["ecs-native", "codedeploy"])
async def test_what_somebody_else_stops_or_an_alarm_takes_back_is_the_outcome(
    lab: EcsLab, tmp_path: Path, kind: str
) -> None:
    wait: dict[str, Any] = {"lifecycleHooks": [pausing()]} if kind == "ecs-native" else {"ready_min": 60}
    async with moved(lab, kind, tmp_path, **wait) as at:
        begun = await at.release("2.5.0", "--detach")
        await at.controller(phase="paused")
        if kind == "ecs-native":
            arn = at.lab.deployments(at.entry["service"])[0]["serviceDeploymentArn"]
            at.lab.ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
        else:
            deploy = at.lab.aws.client("codedeploy")
            (ident,) = deploy.list_deployments(includeOnlyStatuses=["Ready"])["deployments"]
            deploy.stop_deployment(deploymentId=ident, autoRollbackEnabled=True)
        ended = await at.ended(begun["id"])
        assert (ended["exit"], ended["status"]) == (1, "rolled_back"), ended
        assert "stopped" in ended["error"]["message"]


async def test_while_the_old_tasks_stay_a_rollback_is_at_once_and_retire_ends_that(lab: EcsLab, tmp_path: Path) -> None:
    async with moved(lab, "codedeploy", tmp_path, wait_min=600) as at:
        released = await at.release("2.5.0")
        assert (released["exit"], released["status"]) == (0, "succeeded"), released
        status = await at.status()
        assert (status["live"], status["rollback"]["to"], status["rollback"]["instant"]) == ("candidate", "2.4.0", True)
        locked = await at.release("2.6.0")
        assert locked["exit"] == 6, locked
        early = await at.teal.action("deploy", "retire", "analytics", *GO)
        assert (early["exit"], "rollback window" in str(early["findings"])) == (3, True), early
        back = await at.teal.action("deploy", "rollback", "analytics", *GO)
        assert (back["exit"], back["status"], back["to"]) == (0, "succeeded", "2.4.0"), back
        assert (await at.release("2.5.1"))["exit"] == 0
        retired = await at.teal.action("deploy", "retire", "analytics", *GO, "--override", "rollback-window")
        assert (retired["exit"], retired["status"]) == (0, "succeeded"), retired
        assert (await at.controller(phase="healthy"))["stable"]["version"] == "2.5.1"


async def test_a_failing_hook_is_the_outcome(lab: EcsLab, tmp_path: Path) -> None:
    async with moved(lab, "ecs-native", tmp_path, lifecycleHooks=[FAILING_HOOK]) as at:
        ended = await at.release("2.5.0")
        assert (ended["exit"], ended["status"]) == (1, "rolled_back"), ended
        assert "hook" in ended["error"]["message"]


@pytest.mark.parametrize("way", ["resume", "rollback"])
@pytest.mark.parametrize("kind", ["ecs-native", "codedeploy"])
async def test_a_runner_that_is_killed_is_gone_on_with_or_taken_back(
    lab: EcsLab, tmp_path: Path, kind: str, way: str
) -> None:
    wait: dict[str, Any] = {"lifecycleHooks": [pausing()]} if kind == "ecs-native" else {"ready_min": 60}
    async with moved(lab, kind, tmp_path, **wait) as at:
        begun = await at.release("2.5.0", "--detach")
        await at.controller(phase="paused")
        os.kill(begun["owner"]["pid"], signal.SIGKILL)
        if way == "resume":
            resumed = await at.teal.action("action", "resume", begun["id"], *GO, "--detach")
            assert resumed["exit"] == 8, resumed
            await at.teal.action("action", "promote", begun["id"], *GO)
            ended = await at.ended(begun["id"])
            assert (ended["exit"], ended["status"]) == (0, "succeeded"), ended
        else:
            back = await at.teal.action("deploy", "rollback", "analytics", *GO)
            assert (back["exit"], back["status"]) == (0, "rolled_back"), back
            assert (await at.status())["controller"]["stable"]["version"] == "2.4.0"


async def test_without_its_journal_a_rollback_still_goes_back(lab: EcsLab, tmp_path: Path) -> None:
    async with moved(lab, "ecs-native", tmp_path) as at:
        assert (await at.release("2.5.0"))["exit"] == 0
        next(tmp_path.joinpath("state").rglob("*.db")).write_bytes(b"nothing that SQLite knows")
        back = await at.teal.action("deploy", "rollback", "analytics", *GO)
        assert (back["exit"], back["status"], back["to"]) == (0, "succeeded", "2.4.0"), back
