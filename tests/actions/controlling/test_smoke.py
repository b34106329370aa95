"""The smoke test of what a controller releases: where it waits, before any traffic, and never instead of a person."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from actions.controlling import smoking
from actions.models import Action, Refused
from backends.deployments.common import ProbeResult
from tests.actions.controlling.desk import PROBED, RELEASE, ROLLBACK, Desk, at_desk
from tests.actions.fake_controller import FakeController

PREVIEW = "http://127.0.0.1:8081/health"


class Script:
    """A smoke test that says with what it was begun, and waits for its file `go` where it is told to."""

    def __init__(self, directory: Path) -> None:
        self.said, self.go, self.path = directory / "said", directory / "go", directory / "smoke.sh"
        self.ends_with(0)

    def ends_with(self, status: int, *, waits: bool = False) -> None:
        wait = f'while [ ! -e "{self.go}" ]; do sleep 0.05; done' if waits else ":"
        self.path.write_text(f'#!/bin/sh\necho "$@" >> "{self.said}"\n{wait}\necho checked\nexit {status}\n')
        self.path.chmod(0o755)

    @property
    def runs(self) -> list[str]:
        return self.said.read_text().splitlines() if self.said.exists() else []


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


@pytest.fixture
async def desk(tmp_path: Path, script: Script) -> AsyncIterator[Desk]:
    controller = FakeController()
    controller.heeds, controller.preview = frozenset({"smoke", "env"}), PREVIEW
    config = {**PROBED, "smoke": [str(script.path), "{url}", "{version}"], "preview": PREVIEW}
    async with at_desk(tmp_path, config, controller) as at:
        yield at


@pytest.fixture(autouse=True)
def preview() -> Iterator[list[str]]:
    """The versions that it says, one after the other, and the last one from then on."""
    says = ["1.0", "2.0"]

    async def fresh(probe: Any, _: float) -> ProbeResult:
        assert probe.url == PREVIEW
        return ProbeResult(color=says.pop(0) if len(says) > 1 else says[0], at=0.0)

    patch = mock.patch.object
    with (
        patch(smoking, "fresh_version", fresh), patch(smoking, "LOOK_S", 0.01), patch(smoking, "PROVEN_S", 0.5),
        patch(smoking, "MARGIN_S", 0.0),
    ):  # fmt: skip
        yield says


async def waiting(desk: Desk) -> Action:
    """A release that waits before traffic moves."""
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.wait()
    return action


async def begun(script: Script) -> None:
    async with asyncio.timeout(20):
        while not script.runs:
            await asyncio.sleep(0.01)


def status_of(action: Action) -> dict[str, str]:
    return {step.name: step.status for step in action.steps}


async def test_it_runs_where_the_controller_waits_and_promotes_nothing(desk: Desk, script: Script) -> None:
    plan = await desk.gate.plan(RELEASE)
    assert not plan.blocked
    assert f"smoke    {script.path} http://127.0.0.1:8081 2.0" in plan.summary.effects
    action = await waiting(desk)
    held = await desk.until(action, lambda seen: seen.hold is not None)
    assert (script.runs, status_of(held)["smoke"]) == (["http://127.0.0.1:8081 2.0"], "succeeded")
    assert (held.phase, desk.controller.ordered) == ("follow", [("release", "2.0")])
    await desk.order(held, "promote")
    await desk.until(action, lambda seen: seen.hold is None)
    desk.controller.shift(100)
    desk.controller.complete()
    ended = await desk.ended(action)
    assert (ended.status, len(script.runs)) == ("succeeded", 1)


async def test_what_fails_it_is_stopped_before_any_traffic(desk: Desk, script: Script) -> None:
    script.ends_with(3)
    ended = await desk.ended(await waiting(desk))
    assert ended.error is not None
    assert (ended.status, ended.error.kind) == ("rolled_back", "smoke_failed")
    assert "exit status 3" in ended.error.message
    assert [word for word, _ in desk.controller.ordered] == ["release", "abort"]
    assert desk.controller.stable == "1.0"


async def test_a_preview_that_reaches_another_version_is_no_test(
    desk: Desk, script: Script, preview: list[str]
) -> None:
    preview[:] = ["1.0"]
    ended = await desk.ended(await waiting(desk))
    assert ended.error is not None
    assert (ended.status, ended.error.kind, script.runs) == ("rolled_back", "smoke_failed", [])
    assert "it says 1.0, wanted 2.0" in ended.error.message


@pytest.mark.parametrize("end", ["shift", "complete"])
async def test_traffic_that_moves_untested_goes_back(desk: Desk, script: Script, end: str) -> None:
    """As where somebody took the pause away since the plan."""
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.shift(100)
    if end == "complete":
        desk.controller.complete()
        await desk.until(action, lambda seen: seen.phase == "follow-back")
        desk.controller.complete()
    ended = await desk.ended(action)
    assert ended.error is not None
    assert (ended.status, ended.error.kind, script.runs) == ("rolled_back", "smoke_failed", [])
    assert "before it was tested" in ended.error.message


async def test_it_is_not_promoted_while_it_runs(desk: Desk, script: Script) -> None:
    script.ends_with(0, waits=True)
    action = await waiting(desk)
    await begun(script)
    running = await desk.until(action, lambda seen: seen.phase == "smoke")
    with pytest.raises(Refused) as no:
        await desk.order(running, "promote")
    assert "no wait to skip in smoke" in no.value.error.message
    script.go.touch()
    held = await desk.until(action, lambda seen: seen.hold is not None)
    assert status_of(held)["smoke"] == "succeeded"


@pytest.mark.parametrize("how", ["promoted", "stopped", "aborted"])
async def test_what_becomes_of_the_release_meanwhile_ends_it(desk: Desk, script: Script, how: str) -> None:
    """By somebody else, and by ours."""
    script.ends_with(0, waits=True)
    action = await waiting(desk)
    await begun(script)
    if how == "promoted":
        desk.controller.shift(50)
    elif how == "stopped":
        desk.controller.go_back("stopped by mallory")
    else:
        await desk.begin(ROLLBACK)
    ended = await desk.ended(action)
    assert ended.error is not None
    kind = {"promoted": "smoke_failed", "stopped": "controller", "aborted": "ordered"}[how]
    assert (ended.status, ended.error.kind) == ("rolled_back", kind), ended
    assert desk.controller.stable == "1.0"


async def test_whoever_takes_it_over_tests_anew(desk: Desk, script: Script) -> None:
    script.ends_with(0, waits=True)
    action = await waiting(desk)
    await begun(script)
    desk.runners[-1].cancel()
    await asyncio.gather(*desk.runners, return_exceptions=True)
    orphan = await desk.until(action, lambda seen: seen.orphaned_since is not None)
    script.go.touch()
    await desk.order(orphan, "resume")
    held = await desk.until(action, lambda seen: seen.hold is not None)
    assert (len(script.runs), status_of(held)["smoke"]) == (2, "succeeded")


async def test_a_rollback_is_no_release_and_tests_nothing(desk: Desk, script: Script) -> None:
    action = await waiting(desk)
    held = await desk.until(action, lambda seen: seen.hold is not None)
    await desk.order(held, "promote")
    await desk.until(action, lambda seen: seen.hold is None)
    desk.controller.shift(100)
    desk.controller.complete()
    await desk.ended(action)
    back = await desk.begin(ROLLBACK)
    await desk.until(back, lambda seen: seen.phase == "follow")
    desk.controller.shift(100)
    desk.controller.complete()
    assert ((await desk.ended(back)).status, len(script.runs)) == ("succeeded", 1)
