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

from tests.live.ecs import CLUSTER, EcsLab, ecs_lab
from tests.live.moto import KEYS
from tests.live.process import until
from tests.live.teal import CommandLine
from tests.live.test_ecs_native import pausing
from tests.live.test_ecs_release import answers
from tests.load import Load

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("controlled")]
GO = ("-y", "--reason", "go")


@pytest.fixture(scope="module")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EcsLab]:
    """Old tasks live for three seconds after traffic has left them, so that the simulated load balancer has looked by
    then: two seconds of a busy machine were not enough, and it sent requests to targets that had gone."""
    with ecs_lab(tmp_path_factory.mktemp("ecs"), SIM_DRAIN="3", SIM_INSTALL="60") as found:
        yield found


def waiting(kind: str) -> dict[str, Any]:
    """What makes a release wait before its traffic moves."""
    return {"lifecycleHooks": [pausing()]} if kind == "ecs-native" else {"ready_min": 60}


class Moved(Struct):
    lab: EcsLab
    entry: dict[str, Any]
    url: str
    teal: CommandLine

    async def release(self, version: str, *more: str) -> dict[str, Any]:
        return await self.teal.action("deploy", "release", "analytics", "--version", version, *GO, *more)

    async def status(self) -> dict[str, Any]:
        return await self.teal.action("deploy", "status", "analytics")

    async def paused(self) -> None:
        """Returns when it waits: a hook of ECS, READY_WAIT of CodeDeploy."""
        await asyncio.to_thread(until, self._waits, "it waits")

    def _waits(self) -> bool:
        if "application" in self.entry:
            return bool(self._ready())
        arn = self.lab.deployments(self.entry["service"])[0]["serviceDeploymentArn"]
        (found,) = self.lab.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
        hooks = [each["status"] for each in found.get("lifecycleHookDetails", [])]
        return found["status"] == "IN_PROGRESS" and "AWAITING_ACTION" in hooks

    def _ready(self) -> list[str]:
        names = {"applicationName": self.entry["application"], "deploymentGroupName": "main"}
        listed = self.lab.aws.client("codedeploy").list_deployments(includeOnlyStatuses=["Ready"], **names)
        return list(listed["deployments"])

    def stop(self) -> None:
        """As somebody else does it."""
        if "application" in self.entry:
            (ident,) = self._ready()
            self.lab.aws.client("codedeploy").stop_deployment(deploymentId=ident, autoRollbackEnabled=True)
        else:
            arn = self.lab.deployments(self.entry["service"])[0]["serviceDeploymentArn"]
            self.lab.ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")

    async def rested(self) -> dict[str, Any]:
        """What is told of it once the tasks that had the traffic before have gone."""
        async with asyncio.timeout(60):
            while (status := await self.status())["live"] != "stable":
                await asyncio.sleep(0.2)
        return status

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
async def test_a_release_and_its_rollback_are_proven_and_lose_no_request_also_without_a_journal(
    lab: EcsLab, tmp_path: Path, kind: str
) -> None:
    async with moved(lab, kind, tmp_path) as at, Load(f"{at.url}/health", 20.0) as load:
        released = await at.release("2.5.0")
        assert (released["exit"], released["status"]) == (0, "succeeded"), released
        assert (released["from"], released["to"]) == ("2.4.0", "2.5.0")
        assert released["switch"]["requests"] >= 20
        status = await at.rested()
        assert status["controller"]["stable"]["version"] == "2.5.0"
        assert status["rollback"]["to"] == "2.4.0"
        back = await at.teal.action("deploy", "rollback", "analytics", *GO)
        assert (back["exit"], back["status"], back["to"]) == (0, "succeeded", "2.4.0"), back
        again = await at.teal.action("deploy", "rollback", "analytics", *GO)
        assert (again["exit"], again["changed"]) == (0, False), again
        code, _, complaints = await at.teal.run("audit", "verify")
        assert code == 0, complaints
        if kind == "ecs-native":
            assert (await at.release("2.6.0"))["exit"] == 0
        next(tmp_path.joinpath("state").rglob("*.db")).write_bytes(b"nothing that SQLite knows")
        blind = await at.teal.action("deploy", "rollback", "analytics", *GO)
        assert (blind["exit"], blind["to"], blind["changed"]) == (0, "2.4.0", kind == "ecs-native"), blind
        if kind == "ecs-native":
            assert blind["status"] == "succeeded"
        else:  # also once the system has ended it, and knows of it as of any other deployment
            await at.rested()
            blind = await at.teal.action("deploy", "rollback", "analytics", *GO)
            assert (blind["exit"], blind["changed"]) == (0, False), blind
    assert load.lost == []


@pytest.mark.parametrize(("kind", "killed"), [("ecs-native", True), ("codedeploy", False)])
async def test_a_wait_is_told_and_promoted_also_by_the_runner_after_a_killed_one(
    lab: EcsLab, tmp_path: Path, kind: str, killed: bool
) -> None:
    async with moved(lab, kind, tmp_path, **waiting(kind)) as at:
        begun = await at.release("2.5.0", "--detach")
        assert begun["exit"] == 8, begun
        await at.paused()
        view = (await at.status())["controller"]
        assert (view["phase"], view["then"]) == ("paused", "rolls back by itself")
        held = await at.teal.held(begun["id"])
        assert "rolls back by itself at" in held["hold"]["why"], held
        locked = await at.release("2.6.0")
        assert locked["exit"] == 6, locked
        if killed:
            os.kill(begun["owner"]["pid"], signal.SIGKILL)
            resumed = await at.teal.action("action", "resume", begun["id"], *GO, "--detach")
            assert resumed["exit"] == 8, resumed
        promoted = await at.teal.action("action", "promote", begun["id"], *GO)
        assert promoted["exit"] in (0, 8), promoted
        ended = await at.ended(begun["id"])
        assert (ended["exit"], ended["status"]) == (0, "succeeded"), ended


@pytest.mark.parametrize("kind", ["ecs-native", "codedeploy"])
async def test_a_killed_runner_is_taken_back_and_what_somebody_else_stops_is_the_outcome(
    lab: EcsLab, tmp_path: Path, kind: str
) -> None:
    async with moved(lab, kind, tmp_path, **waiting(kind)) as at:
        begun = await at.release("2.5.0", "--detach")
        await at.paused()
        os.kill(begun["owner"]["pid"], signal.SIGKILL)
        back = await at.teal.action("deploy", "rollback", "analytics", *GO)
        assert (back["exit"], back["status"]) == (0, "rolled_back"), back
        assert (await at.status())["controller"]["stable"]["version"] == "2.4.0"
        begun = await at.release("2.6.0", "--detach")
        await at.paused()
        at.stop()
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
        async with asyncio.timeout(60):  # it is ordered, and not followed
            while (view := (await at.status())["controller"])["phase"] != "healthy":
                continue
        assert view["stable"]["version"] == "2.5.1"


async def test_a_change_of_somebody_else_between_plan_and_order_is_a_conflict(lab: EcsLab, tmp_path: Path) -> None:
    """The probe, which the plan asks after it has looked, is where somebody else begins."""
    async with moved(lab, "ecs-native", tmp_path, lifecycleHooks=[pausing()]) as at:
        service, begun = at.entry["service"], asyncio.Event()

        def meddle() -> None:
            at.lab.ecs.update_service(
                cluster=CLUSTER, service=service, taskDefinition=at.lab.definition(service, "9.9.0")
            )
            until(lambda: len(at.lab.deployments(service)) > 1, "the change of somebody else")

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            if meddling and not begun.is_set():
                begun.set()
                await asyncio.to_thread(meddle)
            head = "HTTP/1.1 200 OK\r\nX-Version: 2.4.0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            await writer.drain()
            writer.close()

        meddling = False
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            probe = {"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", "version_header": "X-Version"}
            entry = {key: value for key, value in at.entry.items() if not key.startswith("_")}
            told = {"type": "ecs-native", **entry, "probe": probe, "probe_timeout": "30s"}
            teal = CommandLine(tmp_path, told, KEYS)
            release = ("deploy", "release", "analytics", "--version", "2.5.0")
            planned = await teal.action(*release, "--dry-run")
            assert (planned["exit"], planned["status"]) == (0, "planned"), planned
            meddling = True
            late = await teal.action(*release, *GO)
            assert (late["exit"], late["changed"]) == (6, False), late
            again = await teal.action(*release, *GO, "--plan-hash", planned["plan_hash"])
            assert again["exit"] == 6, again
        assert begun.is_set()
        assert len(at.lab.deployments(service)) == 2  # the first one, and that of somebody else
        families = at.lab.ecs.list_task_definitions(familyPrefix=service)["taskDefinitionArns"]
        assert len(families) == 2  # nothing was registered for ours
