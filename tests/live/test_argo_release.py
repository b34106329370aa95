"""`teal deploy` on a Rollout and on an Application of the bench, by the command line: under load, killed, aborted by
its controller, with the controller standing still."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.live.argo import PAUSED_CANARY, ArgoLab, argo_lab
from tests.live.process import until
from tests.live.teal import CommandLine
from tests.load import Load

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("argo")]
GO = ("-y", "--reason", "go")


@pytest.fixture(scope="module")
def lab() -> Iterator[ArgoLab]:
    with argo_lab() as found:
        yield found


class Moved(Struct):
    lab: ArgoLab
    entry: dict[str, Any]
    teal: CommandLine

    @property
    def name(self) -> str:
        return str(self.entry["rollout"])

    async def deploy(self, *words: str) -> dict[str, Any]:
        return await self.teal.action("deploy", words[0], "analytics", *words[1:], *GO)

    async def status(self) -> dict[str, Any]:
        return await self.teal.action("deploy", "status", "analytics")

    async def paused(self) -> None:
        await asyncio.to_thread(until, lambda: self.lab.phase(self.name) == "Paused", "it waits")


@contextlib.asynccontextmanager
async def moved(lab: ArgoLab, home: Path, **how: Any) -> AsyncIterator[Moved]:
    entry = await asyncio.to_thread(lab.rollout, **how)
    yield Moved(lab, entry, CommandLine(home, {"type": "argo-rollouts", **entry}))


async def test_a_release_waits_is_promoted_by_another_runner_and_taken_back_without_a_lost_request(
    lab: ArgoLab, tmp_path: Path
) -> None:
    late = {"scaleDownDelaySeconds": 600}
    async with moved(lab, tmp_path, replicas=2, **late) as at, Load(at.entry["probe"]["url"], 20.0) as load:
        begun = await at.deploy("release", "--version", "2.5.0", "--detach")
        assert begun["exit"] == 8, begun
        await at.paused()
        view = (await at.status())["controller"]
        assert (view["phase"], view["candidate"]["version"]) == ("paused", "2.5.0")
        os.kill(begun["owner"]["pid"], signal.SIGKILL)
        resumed = await at.teal.action("action", "resume", begun["id"], *GO, "--detach")
        assert resumed["exit"] == 8, resumed
        await at.teal.held(begun["id"])
        promoted = await at.teal.action("action", "promote", begun["id"], *GO)
        assert promoted["exit"] in (0, 8), promoted
        ended = await at.teal.action("action", "watch", begun["id"])
        assert (ended["exit"], ended["status"], ended["to"]) == (0, "succeeded", "2.5.0"), ended
        assert (await at.status())["rollback"] == {
            "to": "2.4.0", "ready": True, "instant": True, "until": None,
            "reason": "its ReplicaSet is still up (2 of 2 ready): at once, without a pause",
        }  # fmt: skip
        back = await at.deploy("rollback")
        assert (back["exit"], back["status"], back["to"]) == (0, "succeeded", "2.4.0"), back
        again = await at.deploy("rollback")
        assert (again["exit"], again["changed"]) == (0, False), again
    assert load.lost == []


async def test_a_rollback_of_what_is_open_puts_the_spec_back_too(lab: ArgoLab, tmp_path: Path) -> None:
    async with moved(lab, tmp_path, strategy="canary", replicas=2, **PAUSED_CANARY) as at:
        begun = await at.deploy("release", "--version", "2.5.0", "--detach")
        await at.paused()
        back = await at.deploy("rollback")
        assert (back["exit"], back["status"]) == (0, "rolled_back"), back
        assert (back["id"], await asyncio.to_thread(lab.image, at.name)) == (begun["id"], "2.4.0")
        view = (await at.status())["controller"]
        assert (view["phase"], view["stable"]["version"]) == ("healthy", "2.4.0")


async def test_an_abort_of_the_controller_names_both_ways_out_and_the_spec_is_put_back(
    lab: ArgoLab, tmp_path: Path
) -> None:
    async with moved(lab, tmp_path) as at:
        await at.deploy("release", "--version", "2.5.0", "--detach")
        await at.paused()
        begun = (await at.status())["action"]
        await asyncio.to_thread(lab.merge, at.name, {"status": {"abort": True}}, "/status")
        ended = await at.teal.action("action", "watch", begun)
        assert (ended["exit"], ended["status"]) == (1, "rolled_back"), ended
        assert "spec-not-back" in ended["error"]["message"]
        assert "deploy rollback analytics" in ended["error"]["fix"]
        assert "deploy retry analytics" in ended["error"]["fix"]
        back = await at.deploy("rollback")
        assert (back["exit"], back["status"]) == (0, "succeeded"), back
        assert await asyncio.to_thread(lab.image, at.name) == "2.4.0"


async def test_full_needs_a_reason_and_a_change_of_somebody_else_is_named(lab: ArgoLab, tmp_path: Path) -> None:
    async with moved(lab, tmp_path) as at:
        await asyncio.to_thread(lab.set_image, at.name, "2.5.0")
        await at.paused()
        locked = await at.deploy("release", "--version", "2.6.0")
        assert locked["exit"] == 6, locked
        assert "somebody (kubectl-patch)" in locked["errors"][0]["message"]
        silent = await at.teal.action("deploy", "promote", "analytics", "--full", "-y")
        assert silent["exit"] == 3, silent
        full = await at.deploy("promote", "--full")
        assert (full["exit"], full["status"]) == (0, "succeeded"), full
        await asyncio.to_thread(until, lambda: lab.phase(at.name) == "Healthy", "it is healthy")
        nowhere = await at.deploy("rollback", "--to", "7")
        assert (nowhere["exit"], nowhere["errors"][0]["fix"]) == (5, "known: 1 (2.4.0), 2 (2.5.0)"), nowhere
        undone = await at.deploy("rollback", "--to", "1")
        assert (undone["exit"], undone["status"], undone["to"]) == (0, "succeeded", "2.4.0"), undone


async def test_a_restart_is_done_when_the_controller_has_seen_it(lab: ArgoLab, tmp_path: Path) -> None:
    async with moved(lab, tmp_path) as at:
        await asyncio.sleep(1.0)  # restartAt is to the second, and of what is older
        done = await at.deploy("restart")
        assert (done["exit"], done["status"], done["changed"]) == (0, "succeeded", True), done
        assert (await asyncio.to_thread(lab.get, at.name))["spec"]["restartAt"]
        await asyncio.to_thread(until, lambda: lab.phase(at.name) == "Healthy", "its pods are new")
        assert (await at.status())["controller"]["phase"] == "healthy"
