"""kill -9 of a runner at an instant that is named, on two listeners of a load balancer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from actions.models import Request
from tests.chaos.alb import over_alb
from tests.chaos.harness import Chaos
from tests.live.alb import Bench, alb_bench

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("aws-chaos")]

FLIP = Request(kind="flip", service="analytics")


@pytest.fixture(scope="module")
def under(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with alb_bench(tmp_path_factory.mktemp("aws")) as found:
        yield found


@pytest.mark.parametrize("instant", ["after add_tags", "after modify_rule"])
async def test_a_set_of_rules_that_is_half_written_converges(under: Bench, tmp_path: Path, instant: str) -> None:
    """Announced and not written; one rule of two written: gone on with, or taken back."""
    async with over_alb(under, tmp_path) as bench:
        chaos = Chaos(bench, tmp_path / "journal")
        resumed, back = await chaos.both_rescues(FLIP, instant)
        assert (resumed.killed_at, resumed.status) == (instant, "succeeded")
        assert (back.killed_at, back.status in ("rolled_back", "aborted")) == (instant, True)
        await chaos.aclose()


async def test_a_write_that_nobody_recorded_is_known_for_what_it_is(under: Bench, tmp_path: Path) -> None:
    async with over_alb(under, tmp_path) as bench:
        chaos = Chaos(bench, tmp_path / "journal")
        resumed, back = await chaos.both_rescues(FLIP, "after shift")
        assert (resumed.killed_at, resumed.status) == ("after shift", "succeeded")
        assert back.status == "rolled_back"
        await chaos.aclose()
