"""Errors on the screen: what is new on the strip, the list of them alone, one in full, new ones that nobody knows."""

from typing import Any

import pytest
from msgspec.structs import replace

from backends.models import ErrorIssue
from console import moment
from console.screens.item_detail import ItemDetail
from console.screens.palette import commands_of
from panels.header import Strip
from tests.console.fakes import NOW, FakeSession
from tests.console.screen_fakes import text_of
from tests.console.screens.test_overview import BOTH, console

OLD = ErrorIssue(
    ref="sentry/SHOP-1", backend="sentry", id="1", title="Timeout: warehouse", project="shop", service="shop",
    state="unresolved", is_new=False, frame="shop/db.py in fetch", count=1204, users=3, last_seen=NOW,
)  # fmt: skip
NEW = replace(
    OLD, ref="sentry/SHOP-7", id="7", title="KeyError: [bold]'id'", is_new=True, release="shop@2.4.1", assigned="Alice",
    frame="shop/rows.py in total",
)  # fmt: skip
UNKNOWN = replace(
    OLD, ref="sentry/SHOP-9", id="9", title="IndexError", is_new=None, reason="Sentry does not know the release shop@2"
)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moment, "utc_now", lambda: NOW)


@BOTH
async def test_what_is_new_is_on_the_strip_and_opens_in_full(size: tuple[int, int]) -> None:
    session = FakeSession()
    session.put("errors", "sentry", OLD, NEW)
    async with console(session, size) as (app, _, pilot):
        assert app.screen.query_one(Strip).text.startswith("▲ new in shop@2.4.1: KeyError: [bold]'id'")
        await pilot.press("u")
        await pilot.pause(0.2)
        assert isinstance(app.screen, ItemDetail)
        shown = text_of(app)
        for words in ("KeyError: [bold]'id'", "yes, since shop@2.4.1", "shop/rows.py in total", "1,204", "Alice"):
            assert words in shown, words


@BOTH
async def test_the_list_of_them_is_reached_by_the_palette(size: tuple[int, int]) -> None:
    session = FakeSession()
    session.put("errors", "sentry", OLD, UNKNOWN, NEW)
    async with console(session, size) as (app, overview, pilot):
        words: dict[str, Any] = {command.words: command for command in commands_of(overview)}
        await app.run_action(words["errors alone"].action, overview)
        await pilot.pause(0.2)
        shown = text_of(app)
        lines = [line for line in shown.splitlines() if "Error" in line or "Timeout" in line]
        order = [
            next(n for n, line in enumerate(lines) if title in line) for title in ("IndexError", "KeyError", "Timeo")
        ]
        assert order == sorted(order), "unknown, new, and what was there before"
        assert "new?" in shown
        assert "1,204" in shown


async def test_one_of_which_nobody_knows_whether_it_is_new_says_why() -> None:
    session = FakeSession()
    session.put("errors", "sentry", UNKNOWN)
    async with console(session, (80, 24)) as (app, _, pilot):
        assert app.screen.query_one(Strip).text.startswith("? new or not is unknown: IndexError")
        await pilot.press("u")
        await pilot.pause(0.2)
        assert "unknown: Sentry does not know the release shop@2" in text_of(app)
