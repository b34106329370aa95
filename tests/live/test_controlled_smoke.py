"""`smoke` of `ecs-native` and `codedeploy`, at a test listener that really routes, before production traffic moves."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from backends.http import Http
from backends.models import Finding
from backends.ports import Order
from backends.registry import AdapterContext, build
from tests.live.ecs import EcsLab
from tests.live.moto import KEYS
from tests.live.process import until
from tests.live.teal import CommandLine
from tests.live.test_controlled_release import GO, Moved, waiting
from tests.live.test_ecs_native import pausing
from tests.live.test_ecs_release import answers

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("controlled-smoke"), pytest.mark.usefixtures("keys")]

SMOKE = """
import sys, urllib.request
url, version, production = sys.argv[1:]
with urllib.request.urlopen(f"{production}/health", timeout=20) as answer:
    assert answer.headers["X-Version"] == "2.4.0", "production has moved"
with urllib.request.urlopen(f"{url}/work", timeout=20) as answer:
    assert answer.headers["X-Version"] == version, answer.headers["X-Version"]
print("tested", version)
"""


def with_test_listener(kind: str) -> dict[str, Any]:
    """A test listener, and a wait behind which production traffic moves."""
    if kind == "codedeploy":
        return {**waiting(kind), "ready_min": 6000, "tested": True}
    return {"lifecycleHooks": [pausing("POST_TEST_TRAFFIC_SHIFT", minutes=6000)], "tested": True}


@pytest.mark.parametrize("kind", ["ecs-native", "codedeploy"])
async def test_a_version_is_tested_at_the_test_listener_before_production_traffic(
    lab: EcsLab, tmp_path: Path, kind: str
) -> None:
    make = lab.native if kind == "ecs-native" else lab.codedeploy
    entry = await asyncio.to_thread(make, "2.4.0", **with_test_listener(kind))
    listener, testing = entry.pop("_listener"), entry.pop("_testing")
    (tmp_path / "testing").mkdir()
    with lab.routed(listener, tmp_path) as url, lab.routed(testing, tmp_path / "testing") as preview:
        await asyncio.to_thread(until, lambda: answers(url) and answers(preview), "both listeners answer")
        probe = {"url": f"{url}/health", "version_header": "X-Version"}
        smoke = [sys.executable, "-c", SMOKE, "{url}", "{version}", url]
        told = {
            "type": kind, **entry, "probe": probe, "probe_timeout": "10s", "smoke": smoke,
            "preview": f"{preview}/health",
        }  # fmt: skip
        at = Moved(lab, entry, url, CommandLine(tmp_path, told, KEYS))
        bad = await at.release("2.5.0-err")
        assert (bad["exit"], bad["status"], bad["error"]["kind"]) == (1, "rolled_back", "smoke_failed"), bad
        assert (await at.status())["controller"]["stable"]["version"] == "2.4.0"
        begun = await at.release("2.5.0", "--detach")
        held = await at.teal.held(begun["id"])
        assert [step["detail"] for step in held["steps"] if step["name"] == "smoke"] == ["tested 2.5.0"], held
        assert (await at.status())["live"] == "stable"
        await at.teal.action("action", "promote", begun["id"], *GO)
        ended = await at.ended(begun["id"])
        assert (ended["exit"], ended["status"]) == (0, "succeeded"), ended


@pytest.mark.parametrize("kind", ["ecs-native", "codedeploy"])
async def test_where_no_smoke_test_could_be_run_in_time_it_is_refused(
    lab: EcsLab, http: Http, tmp_path: Path, kind: str
) -> None:
    make = lab.native if kind == "ecs-native" else lab.codedeploy
    entry = {key: value for key, value in (await asyncio.to_thread(make, "2.4.0")).items() if key[0] != "_"}
    told = {**entry, "smoke": ["./smoke.sh"], "preview": "http://127.0.0.1:1/health"}
    controller = build("deployments", kind, told, AdapterContext("model", tmp_path, tmp_path / "own", http))
    try:
        order = Order(order="release", version="2.5.0")
        findings: list[Finding] = await controller.preflight(await controller.observe(), order)
    finally:
        await controller.aclose()
    blocks = [each for each in findings if each.level == "block"]
    assert [each.code for each in blocks] == ["smoke", "smoke"]
    assert "no test listener" in blocks[0].text
    assert "nothing waits for it" in blocks[1].text
    assert all("leave out `smoke`" in each.fix for each in blocks)
