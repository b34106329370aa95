"""No key acts where nothing can be read, and none too many ends the console while an action is open."""

from datetime import timedelta
from typing import Any

import pytest

from actions.models import Action
from console.app import TealApp
from console.screens.overview import Overview
from console.screens.too_small import TooSmall
from panels.keybar import KeyBar
from tests.console.fakes import NOW, FakeContext, FakeSession, incident
from tests.console.screen_fakes import an_action, text_of


@pytest.fixture
def session() -> FakeSession:
    return incident(FakeContext())


@pytest.mark.parametrize("path", [(), ("4", "enter"), ("4", "x"), ("s",), ("colon",)])
async def test_too_small_covers_every_screen_and_no_key_acts_beneath(
    session: FakeSession, path: tuple[str, ...]
) -> None:
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.1)
        await pilot.press(*path)
        await pilot.pause()
        before = list(app.screen_stack)
        await pilot.resize_terminal(40, 12)
        await pilot.pause(0.5)
        assert "teal needs 60 by 16" in text_of(app)
        await pilot.press("4", "enter", "x", "escape", "colon", "b")
        assert app.screen_stack[:-1] == before
        assert isinstance(app.screen, TooSmall)
        await pilot.resize_terminal(80, 24)
        await pilot.pause(0.5)
        assert app.screen_stack == before
        assert "teal needs" not in text_of(app)


async def test_it_is_said_from_the_start_and_q_quits(session: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[Any] = []
    monkeypatch.setattr(TealApp, "leave", lambda self, actions=(): left.append(actions))
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.pause(0.2)
        assert "teal needs 60 by 16" in text_of(app)
        assert ("start", None) in session.calls
        await pilot.press("q")
        assert left


async def test_one_q_too_many_ends_no_console_while_an_action_is_open(
    session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[list[Action]] = []
    monkeypatch.setattr(TealApp, "leave", lambda self, actions=(): left.append(list(actions)))
    session.open_ones = [an_action(started_at=NOW - timedelta(seconds=20))]
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.1)
        overview = app.screen
        assert isinstance(overview, Overview)
        overview.read_actions()
        await app.workers.wait_for_complete()
        await pilot.press("4", "enter")
        await pilot.pause(0.1)
        await pilot.press("q", "q", "q")
        await pilot.pause()
        assert app.screen is overview
        assert not left
        assert "q again quits: an action goes on" in overview.query_one(KeyBar).text
        await pilot.press("q")
        assert left == [session.open_ones]
