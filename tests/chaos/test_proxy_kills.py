"""kill -9 of a runner at an instant that is named, on real HAProxy nodes and a real nginx."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from actions.models import Request
from backends.deployments.nginx.include import accepting_workers
from tests.chaos.benches import BENCHES
from tests.chaos.harness import Chaos
from tests.chaos.stage import ALL_BLUE

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("proxies")]

FLIP = Request(kind="flip", service="analytics")


@pytest.mark.parametrize("switch", ["haproxy", "nginx"])
async def test_a_write_that_nobody_recorded_is_known_for_what_it_is(tmp_path: Path, switch: str) -> None:
    async with BENCHES[switch](tmp_path) as bench:
        chaos = Chaos(bench, tmp_path / "journal")
        resumed, back = await chaos.both_rescues(FLIP, "after shift")
        assert (resumed.killed_at, resumed.status) == ("after shift", "succeeded")
        assert back.status == "rolled_back"
        await chaos.aclose()


async def test_what_some_workers_of_an_nginx_say_is_not_what_it_does(tmp_path: Path) -> None:
    async with BENCHES["nginx"](tmp_path) as bench:
        await bench.reset()
        assert await bench.weights() == ALL_BLUE
        late = min(accepting_workers(tmp_path / "nginx" / "nginx.pid"))
        os.kill(late, signal.SIGSTOP)
        edited = asyncio.create_task(bench.edit({"blue": 0, "green": 100}))
        async with asyncio.timeout(30):
            while await bench.weights() == ALL_BLUE:
                await asyncio.sleep(0.02)
        assert (await bench.weights(), edited.done()) == ({"blue": 0, "green": 0}, False)
        os.kill(late, signal.SIGCONT)
        await edited
        assert await bench.weights() == {"blue": 0, "green": 100}
