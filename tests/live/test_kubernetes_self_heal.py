"""A flip that Argo CD undoes by self-heal is seen in an open console at once, as what somebody else did."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.models import Deployment
from console.config.selection import select
from console.session import Session
from tests.live.kubernetes import Cluster, Namespace, namespace
from tests.live.teal import CommandLine
from tests.own_time import Watch

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kubernetes")]
SEEN_WITHIN_S = 2.0
TRACKED = {"argocd.argoproj.io/tracking-id": "web:/Service:analytics/analytics"}


@pytest.fixture(scope="module")
def space(kube: Cluster) -> Iterator[Namespace]:
    with namespace(kube) as space:
        yield space


async def test_a_flip_that_self_heal_undoes_is_told_as_somebody_elses_within_two_seconds(
    space: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teal = CommandLine(tmp_path, {"type": "kubernetes", **space.config(bake="500ms")})
    await asyncio.to_thread(space.api.merge, space.service, {"metadata": {"annotations": TRACKED}}, "argocd-controller")
    planned = "".join((await teal.run("deploy", "flip", "analytics", "--to", "green", "--dry-run"))[1:])
    assert "Argo CD" in planned
    flipped = await teal.action("deploy", "flip", "analytics", "--to", "green", "-y", "--reason", "go")
    assert (flipped["exit"], flipped["status"], space.color()) == (0, "succeeded", "green"), flipped
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    session = Session(select(str(tmp_path / "config.toml"), None))
    session.start()
    try:
        await seen(session, lambda item: item.live == "green" and item.changed_since is None, within_s=15)
        await asyncio.to_thread(space.select, "blue", "argocd-controller")  # as its self-heal writes it
        undone = Watch()
        found = await seen(session, lambda item: item.changed_since is not None, within_s=10)
        assert undone.seconds() < SEEN_WITHIN_S
        assert "changed since: live is BLUE 2.4.0" in (found.changed_since or "")
        assert "flip left GREEN" in (found.changed_since or "")
        assert found.health != "ok"
    finally:
        await session.aclose()


async def seen(session: Session, holds: Callable[[Deployment], bool], *, within_s: float) -> Deployment:
    async with asyncio.timeout(within_s):
        while True:
            for item in session.store.items("deployments"):
                if holds(item):
                    return item
            await asyncio.sleep(0.02)
