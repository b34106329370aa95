"""A sample of what `make chaos` plays, on each switch, by a seed that is printed."""

import contextlib
import os
from pathlib import Path

import pytest

from tests.chaos.benches import BENCHES, over_kubernetes
from tests.chaos.harness import Bench
from tests.chaos.playing import Table, play
from tests.live.kubernetes import Cluster

SEED = int(os.environ.get("TEAL_CHAOS_SEED", "143"))  # its first six rounds are of six kinds
ROUNDS = int(os.environ.get("TEAL_CHAOS_ROUNDS", "6"))
KUBERNETES_ROUNDS = int(os.environ.get("TEAL_KUBE_CHAOS_ROUNDS", "2"))
ALB_ROUNDS = int(os.environ.get("TEAL_ALB_CHAOS_ROUNDS", "2"))
MINUTES = 0.3
"""No round of a switch is begun after that: all five take less than 90 seconds on two cores."""
LIVE = [pytest.mark.live, pytest.mark.xdist_group("proxies")]


@pytest.mark.parametrize(
    "switch", ["file-switch", *(pytest.param(switch, marks=LIVE) for switch in ("haproxy", "nginx"))]
)
async def test_a_sample_breaks_no_promise(tmp_path: Path, switch: str, capsys: pytest.CaptureFixture[str]) -> None:
    await sampled(switch, BENCHES[switch](tmp_path), tmp_path, ROUNDS, capsys)


@pytest.mark.live
@pytest.mark.xdist_group("aws-chaos")
async def test_a_sample_on_a_load_balancer_breaks_no_promise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await sampled("alb", BENCHES["alb"](tmp_path), tmp_path, ALB_ROUNDS, capsys)


@pytest.mark.live
@pytest.mark.xdist_group("kubernetes")
async def test_a_sample_on_kubernetes_breaks_no_promise(
    kube: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await sampled("kubernetes", over_kubernetes(kube, tmp_path), tmp_path, KUBERNETES_ROUNDS, capsys)


async def sampled(
    switch: str, opening: contextlib.AbstractAsyncContextManager[Bench], directory: Path, count: int,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    table = Table(switch)
    async with opening as bench:
        await play(table, bench, directory, range(1, count + 1), SEED, MINUTES)
    with capsys.disabled():
        print(f"\nseed {SEED}, " + table.lines()[0], end=" ")
    assert not table.broken
    assert table.ends
