"""kill -9 of a runner at instants of a release on real HAProxy nodes and a real nginx: a sample of `make chaos`."""

import os
from pathlib import Path

import pytest

from actions.models import Request
from tests.chaos.benches import BENCHES
from tests.chaos.harness import Chaos

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("proxies")]

SEED = int(os.environ.get("TEAL_CHAOS_SEED", "7"))
ROUNDS = int(os.environ.get("TEAL_PROXY_CHAOS_ROUNDS", "5"))
FLIP = Request(kind="flip", service="analytics")
RELEASE = Request(kind="release", service="analytics", version="2.5.0")


@pytest.mark.parametrize("switch", ["haproxy", "nginx"])
async def test_whatever_the_instant_the_next_one_converges(tmp_path: Path, switch: str) -> None:
    print(f"seed {SEED}")
    async with BENCHES[switch](tmp_path) as bench:
        chaos = Chaos(bench, tmp_path / "journal")
        await chaos.sample(RELEASE, ROUNDS, SEED)
        await chaos.aclose()


@pytest.mark.parametrize("switch", ["haproxy", "nginx"])
async def test_a_write_that_nobody_recorded_is_known_for_what_it_is(tmp_path: Path, switch: str) -> None:
    async with BENCHES[switch](tmp_path) as bench:
        chaos = Chaos(bench, tmp_path / "journal")
        resumed, back = await chaos.both_rescues(FLIP, "after shift")
        assert (resumed.killed_at, resumed.status) == ("after shift", "succeeded")
        assert back.status == "rolled_back"
        await chaos.aclose()
