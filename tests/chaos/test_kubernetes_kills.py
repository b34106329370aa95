"""kill -9 of a runner at an instant that is named, on a real Kubernetes control plane."""

from pathlib import Path

import pytest

from actions.models import Request
from tests.chaos.benches import over_kubernetes
from tests.chaos.harness import Chaos
from tests.live.kubernetes import Cluster
from tests.live.routes import KINDS

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kubernetes")]

FLIP = Request(kind="flip", service="analytics")


@pytest.mark.parametrize("kind", ["kubernetes", *KINDS])
async def test_a_patch_that_nobody_recorded_is_known_for_what_it_is(kube: Cluster, tmp_path: Path, kind: str) -> None:
    async with over_kubernetes(kube, tmp_path, kind) as bench:
        chaos = Chaos(bench, tmp_path / "journal")
        resumed, back = await chaos.both_rescues(FLIP, "after shift")
        assert (resumed.killed_at, resumed.status) == ("after shift", "succeeded")
        assert back.status == "rolled_back"
        await chaos.aclose()
