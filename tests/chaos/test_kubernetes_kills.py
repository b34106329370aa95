"""`kill -9` of the runner of a flip on a real Kubernetes control plane, at random moments, under load; another goes on.

`TEAL_KILLS` and `TEAL_SEED` make it longer, or the same again.
"""

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.kubernetes import COLORS, Cluster, Namespace, namespace
from tests.live.test_kubernetes_release import Teal
from tests.load import Load

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kubernetes")]

KILLS = int(os.environ.get("TEAL_KILLS", "3"))
ENDED = {"succeeded", "rolled_back", "aborted"}


@pytest.fixture(scope="module")
def space(kube: Cluster) -> Iterator[Namespace]:
    with namespace(kube) as space:
        yield space


async def killed_flip(teal: Teal, space: Namespace, to: str, dice: random.Random) -> tuple[str, dict[str, Any]]:
    """A flip whose runner is killed somewhere on its way, and what a person then makes of it: (order, action)."""
    begun = await teal.action("deploy", "flip", "analytics", "--to", to, "-y", "--reason", "chaos", "--detach")
    assert begun["exit"] == 8, begun
    if dice.random() < 0.5:  # between the write and its record
        async with asyncio.timeout(60):
            while await asyncio.to_thread(space.color) != to:
                await asyncio.sleep(0.005)
    else:
        await asyncio.sleep(dice.random() * 4)
    with contextlib.suppress(ProcessLookupError):
        os.kill(begun["owner"]["pid"], signal.SIGKILL)
    order = dice.choice(["resume", "rollback"])
    await teal.action("action", order, begun["id"], "-y", "--reason", "chaos")
    await teal.run("action", "watch", begun["id"])
    ended = await teal.action("action", "show", begun["id"])
    return order, ended


async def test_a_killed_runner_leaves_one_color_and_no_lost_request(
    space: Namespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("TEAL_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    dice, teal, outcomes = random.Random(seed), Teal(tmp_path, space), Counter[str]()
    async with Load(space.url(path="/work"), 20) as load:
        for number in range(KILLS):
            live = space.color()
            to = COLORS[1 - COLORS.index(live)]
            order, ended = await killed_flip(teal, space, to, dice)
            where = f"kill {number} of seed {seed}, {live} → {to}, then {order}: {ended}"
            assert ended["status"] in ENDED, where
            assert space.color() == (to if ended["status"] == "succeeded" else live), where
            outcomes[f"{order}: {ended['status']}"] += 1
    assert load.lost == [], f"seed {seed}"
    code, _, complaints = await teal.run("audit", "verify")
    assert code == 0, complaints
    with capsys.disabled():
        words = ", ".join(f"{word} {count}" for word, count in sorted(outcomes.items()))
        print(f"\nkubernetes: {KILLS} kills of seed {seed}, {len(load.seen)} requests, 0 lost: {words}", end=" ")
