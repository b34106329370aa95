"""Which versions take traffic, as errors are asked by: never one that nobody knows, and not before anybody looked."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from backends.models import ColorState, ErrorIssue
from backends.ports import LiveVersions
from console.ports import errors
from console.ports.errors import ERRORS
from console.ports.store import Snapshot, SourceError, SourceKey, Store
from tests.console.fakes import NOW, deployment

KEY = SourceKey("deployments", "analytics")
LOST = SourceError("unreachable", "connection refused", "")


class Desk:
    """With an adapter that keeps what it is asked by."""

    def __init__(self) -> None:
        self.store, self.adapters, self.asked = Store(), self, {}

    def of(self, port: Any, name: str) -> Any:
        return self

    async def issues(self, live: dict[str, LiveVersions]) -> list[ErrorIssue]:
        self.asked = live
        return []


async def asked(snapshot: Snapshot) -> LiveVersions:
    desk: Any = Desk()
    desk.store.put(snapshot)
    assert ERRORS.reading is not None
    await ERRORS.reading.fetch(desk, "sentry")
    found: LiveVersions = desk.asked["analytics"]
    return found


def snapshot(**more: Any) -> Snapshot:
    return Snapshot(key=KEY, type="fake", fetched_at=NOW, **more)


async def test_the_live_version_and_of_a_split_both() -> None:
    item = deployment()
    live = item.colors[item.live].version
    assert await asked(snapshot(items=(item,))) == LiveVersions((live,))
    sides = {"blue": ColorState(version="2.4.0", weight_pct=90), "green": ColorState(version="2.4.1", weight_pct=10)}
    assert (await asked(snapshot(items=(replace(item, live="mixed", colors=sides),)))).versions == ("2.4.0", "2.4.1")


@pytest.mark.parametrize("how", ["lost", "unknown", "no version", "nothing"])
async def test_what_nobody_knows_is_said(how: str) -> None:
    item = deployment()
    nameless = {name: replace(side, version=None) for name, side in item.colors.items()}
    found = await asked({
        "lost": snapshot(items=(item,), error=LOST),
        "unknown": snapshot(items=(replace(item, live="unknown"),)),
        "no version": snapshot(items=(replace(item, colors=nameless),)),
        "nothing": snapshot(),
    }[how])  # fmt: skip
    assert found.unknown.startswith("which version of analytics is live is not known")


def test_only_what_has_turned_is_told_by_the_timeline() -> None:
    common: Any = {"backend": "sentry", "id": "1", "title": "KeyError", "project": "shop", "service": "shop"}
    items = [
        ErrorIssue(ref="sentry/1", state="unresolved", is_new=True, release="shop@2", **common),
        ErrorIssue(ref="sentry/2", state="unresolved", is_new=False, **common),
        ErrorIssue(ref="sentry/3", state="unresolved", reason="nobody looked", **common),
        ErrorIssue(ref="sentry/4", state="regressed", is_new=False, level="info", **common),
        ErrorIssue(ref="sentry/5", state="regressed", is_new=False, level="fatal", **common),
    ]
    assert ERRORS.reading is not None
    assert [(each.ref, each.state, each.text) for each in ERRORS.reading.problems(items)] == [
        ("sentry/1", "warning", "error of shop: new in shop@2: KeyError"),
        ("sentry/5", "critical", "error of shop: regressed: KeyError"),
    ]


async def test_the_first_word_of_the_deployments_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    desk: Any = Desk()
    desk.store.expect(Snapshot(key=KEY, type="fake"))
    assert ERRORS.reading is not None
    reading = asyncio.create_task(ERRORS.reading.fetch(desk, "sentry"))
    await asyncio.sleep(0.05)
    assert not reading.done()
    desk.store.put(snapshot(items=(deployment(),)))
    await reading
    assert desk.asked["analytics"].versions
    monkeypatch.setattr(errors, "WAIT_S", 0.05)
    desk = Desk()
    desk.store.expect(Snapshot(key=KEY, type="fake"))
    await ERRORS.reading.fetch(desk, "sentry")
    assert desk.asked["analytics"].unknown.endswith("not read yet")
