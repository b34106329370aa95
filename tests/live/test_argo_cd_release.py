"""`teal deploy` on an Application of the bench, by the command line: a sync and its way back, the lock, auto-sync."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.live.argo import ArgoLab, argo_lab
from tests.live.process import until
from tests.live.teal import CommandLine
from tests.live.test_argo_cd import COMMITS, App

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("argo")]
GO = ("-y", "--reason", "go")


@pytest.fixture(scope="module")
def lab() -> Iterator[ArgoLab]:
    with argo_lab() as found:
        yield found


def rested(app: App) -> bool:
    """Whether its last sync ended long enough ago for its health to be that after it."""
    ended = app.status().get("operationState", {}).get("finishedAt")
    return bool(ended) and datetime.now(UTC) - datetime.fromisoformat(ended) > timedelta(seconds=2)


def console(lab: ArgoLab, app: App, home: Path) -> CommandLine:
    entry: dict[str, Any] = {
        "type": "argo-cd", "application": app.name, "app_namespace": lab.namespace, "url": lab.argocd,
        "token": {"env": "ARGOCD_TOKEN"},
    }  # fmt: skip
    return CommandLine(home, entry, {"ARGOCD_TOKEN": lab.token})


async def test_a_sync_its_rollback_and_the_lock_of_somebody_else(lab: ArgoLab, tmp_path: Path) -> None:
    app = App(lab, "shop")
    await asyncio.to_thread(app.create)
    await asyncio.to_thread(until, lambda: rested(app), "it is at rest")
    teal = console(lab, app, tmp_path)
    released = await teal.action("deploy", "release", "analytics", "--version", "2.5.0", *GO)
    assert (released["exit"], released["status"], released["to"]) == (0, "succeeded", "2.5.0"), released
    assert "unproven" in {each["code"] for each in released["findings"]}
    assert released["switch"] is None
    back = await teal.action("deploy", "rollback", "analytics", *GO)
    assert (back["exit"], back["status"]) == (0, "succeeded"), back
    assert await asyncio.to_thread(app.image) == "2.4.0"
    again = await teal.action("deploy", "rollback", "analytics", *GO)
    assert (again["exit"], again["changed"]) == (0, False), again
    await asyncio.to_thread(app.operate, COMMITS["2.6.0"])
    locked = await teal.action("deploy", "release", "analytics", "--version", "2.5.0", *GO)
    assert locked["exit"] == 6, locked
    assert "of mallory" in locked["errors"][0]["message"]


async def test_auto_sync_blocks_a_rollback_until_it_is_turned_off_and_is_put_back(lab: ArgoLab, tmp_path: Path) -> None:
    app = App(lab, "auto")
    await asyncio.to_thread(app.create, syncPolicy={"automated": {}})
    await asyncio.to_thread(
        lab.api.merge, lab.path("configmaps", "sim-git", "/api/v1"), {"data": {"main": COMMITS["2.5.0"]}}
    )
    await asyncio.to_thread(until, lambda: app.image() == "2.5.0" and app.settled() and rested(app), "it follows main")
    teal = console(lab, app, tmp_path)
    blocked = await teal.action("deploy", "rollback", "analytics", *GO)
    assert blocked["exit"] == 3, blocked
    assert "auto-sync is on" in str(blocked["findings"])
    assert "git revert bbbbbbb" in str(blocked["findings"])
    for words, image in ((("pause",), "2.5.0"), (("rollback",), "2.4.0"), (("resume",), "")):
        done = await teal.action("deploy", *words, "analytics", *GO)
        assert (done["exit"], done["status"]) == (0, "succeeded"), done
        assert not image or await asyncio.to_thread(app.image) == image
    await asyncio.to_thread(until, lambda: app.get()["spec"]["syncPolicy"] == {"automated": {}}, "it is put back")
