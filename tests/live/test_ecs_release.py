"""`teal deploy release`, `rollback` and `retire` of two ECS services whose tasks really serve, under load, by the
command line."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.live.ecs import EcsLab
from tests.live.moto import KEYS
from tests.live.process import until
from tests.live.teal import CommandLine
from tests.load import Load

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("ecs-release")]
RPS = 20.0


class Running(Struct):
    lab: EcsLab
    entry: dict[str, Any]
    url: str
    teal: CommandLine

    def tag(self, color: str) -> str:
        arn = self.lab.look(self.entry["services"][color])["taskDefinition"]
        found = self.lab.ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        return str(found["containerDefinitions"][0]["image"]).rpartition(":")[2]


@pytest.fixture
async def pair(lab: EcsLab, tmp_path: Path) -> AsyncIterator[Running]:
    entry = await asyncio.to_thread(lab.pair, "2.4.0")
    with lab.routed(entry["listeners"][0], tmp_path) as url:
        await asyncio.to_thread(until, lambda: answers(url), "the load balancer answers")
        config = {"type": "ecs", **entry, "probe": {"url": f"{url}/health"}, "probe_timeout": "10s", "bake": "1s"}
        yield Running(lab, entry, url, CommandLine(tmp_path, config, KEYS))


def answers(url: str) -> bool:
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


async def retirement(teal: CommandLine) -> dict[str, Any]:
    return await teal.action("deploy", "retire", "analytics", "-y", "--reason", "done")


async def test_a_release_a_rollback_and_a_retirement_lose_no_request(pair: Running) -> None:
    teal = pair.teal
    teal.cold = True
    async with Load(f"{pair.url}/health", RPS) as load:
        released = await teal.action("deploy", "release", "analytics", "--version", "2.5.0", "-y", "--reason", "go")
        assert (released["exit"], released["status"]) == (0, "succeeded"), released
        assert (pair.tag("blue"), pair.tag("green")) == ("2.4.0", "2.5.0")
        back = await teal.action("deploy", "rollback", "analytics", "-y", "--reason", "slow")
        left_at = time.monotonic()
        assert (back["exit"], back["status"], back["changed"]) == (0, "succeeded", True), back
        # For as long as the old targets drain (5 s) a retirement is refused, with the time from which it is taken.
        while (retired := await retirement(teal))["exit"] == 3:
            assert [each["code"] for each in retired["findings"] if each["level"] == "block"] == ["clients-stay"]
            assert time.monotonic() < left_at + 15, retired
            await asyncio.sleep(0.5)
        assert (retired["exit"], retired["status"]) == (0, "succeeded"), retired
        assert pair.lab.look(pair.entry["services"]["green"])["desiredCount"] == 0
    assert load.lost == []
    status = await teal.action("deploy", "status", "analytics")
    assert status["colors"]["blue"]["version"] == "2.4.0"
    assert (status["colors"]["green"]["desired"], status["controller"]) == (0, None)


async def test_a_version_that_does_not_come_up_moves_no_traffic(pair: Running) -> None:
    version, words = "2.5.0-pull", "can not be pulled"
    ended = await pair.teal.action("deploy", "release", "analytics", "--version", version, "-y", "--reason", "go")
    assert (ended["exit"], ended["status"]) == (1, "aborted"), ended
    assert words in ended["error"]["message"]
    await asyncio.to_thread(pair.lab.steady, pair.entry["services"]["green"])
    assert (pair.tag("blue"), pair.tag("green")) == ("2.4.0", "2.4.0")
