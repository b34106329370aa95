"""kill -9 of a runner at an instant that is named, on real HAProxy nodes and a real nginx."""

from pathlib import Path

import pytest

from actions.models import Request
from tests.chaos.benches import BENCHES
from tests.chaos.harness import Chaos

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
