"""kill -9 of a runner at instants of a release on a real Kubernetes control plane: a sample of `make chaos`."""

import os
from collections import Counter
from pathlib import Path

import pytest

from actions.models import Request
from tests.chaos.benches import over_kubernetes
from tests.chaos.harness import Chaos, Outcome
from tests.live.kubernetes import Cluster

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kubernetes")]

SEED = int(os.environ.get("TEAL_CHAOS_SEED", "7"))
ROUNDS = int(os.environ.get("TEAL_KUBE_CHAOS_ROUNDS", "3"))
FLIP = Request(kind="flip", service="analytics")
RELEASE = Request(kind="release", service="analytics", version="2.5.0")


async def test_whatever_the_instant_the_next_one_converges(
    kube: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with over_kubernetes(kube, tmp_path) as bench:
        chaos = Chaos(bench, tmp_path / "journal")
        told(await chaos.sample(RELEASE, ROUNDS, SEED), capsys)
        await chaos.aclose()


async def test_a_patch_that_nobody_recorded_is_known_for_what_it_is(kube: Cluster, tmp_path: Path) -> None:
    async with over_kubernetes(kube, tmp_path) as bench:
        chaos = Chaos(bench, tmp_path / "journal")
        resumed, back = await chaos.both_rescues(FLIP, "after shift")
        assert (resumed.killed_at, resumed.status) == ("after shift", "succeeded")
        assert back.status == "rolled_back"
        await chaos.aclose()


def told(outcomes: list[Outcome], capsys: pytest.CaptureFixture[str]) -> None:
    ends = ", ".join(f"{count} {word}" for word, count in Counter(found.status for found in outcomes).items())
    asked, lost = sum(found.asked for found in outcomes), sum(found.lost for found in outcomes)
    with capsys.disabled():
        print(f"\nkubernetes: {len(outcomes)} kills of seed {SEED}: {ends}; {asked} requests, {lost} lost", end=" ")
