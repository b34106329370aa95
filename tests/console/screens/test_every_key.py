"""One rule, over every screen and every key of DESIGN §7: a key acts, or a line says why it does not."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from textual.app import App
from textual.events import Key
from textual.keys import key_to_character
from textual.pilot import Pilot

from actions.models import Request
from console.app import TealApp
from console.screens.menu import ActionMenu
from console.screens.parts import Paragraphs
from panels.keybar import KeyBar
from tests.console.fakes import NOW, FakeContext, FakeSession, incident
from tests.console.screen_fakes import a_plan, an_action
from tests.console.screens.test_insights_screen import Searcher

KEYS = (
    *"0123456", *"jkgG", "up", "down", "home", "end", "pageup", "pagedown", "tab", "enter", "escape", "backspace", "q",
    "slash", "n", "N", "colon", "question_mark", "r", "l", "t", "comma", "full_stop", "left_square_bracket",
    "right_square_bracket", "y", "Y", "o", "s", "at", "number_sign", "exclamation_mark", "v", "x", "a", "b", "u",
    "c", "d", "h", "D", "7", "9", "space", "asterisk", "equals_sign",
    "f", "e", "E", "w", "W", "ampersand", "m", "apostrophe", "left_curly_bracket", "right_curly_bracket", "z", "T", "S",
)  # fmt: skip
LEADS_AWAY = {*"0123456", "slash", "ampersand", "comma", "l", "t", "tab"}
TURNS = 30  # of the event loop, until a key that is heard by nobody has been asked of everybody
PATIENCE_S = 5.0  # before a key is called silent
PATHS: dict[str, tuple[str, ...]] = {
    **{f"overview, panel {number}": (number, "0") for number in "123456"},
    **{f"panel {number} alone": (number,) for number in "123456"},
    "run": ("1", "enter"), "score": ("2", "enter"), "alert": ("3", "enter"), "service": ("4", "enter"),
    "log line": ("5", "v"), "action": ("at", "enter"), "actions": ("at",), "sources": ("s",), "source": ("s", "enter"),
    "plan": ("4", "b"), "release": ("4", "x", "d"),
    "keys": ("question_mark",), "menu": ("4", "x"), "silences": ("colon", *"silences", "enter"),
    "a query of the logs": ("colon", *"insights", "enter", "enter"),
}  # fmt: skip


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    """An incident, with one action that goes on; it plans."""
    told = incident(FakeContext())
    told.searchers = {"cw": Searcher()}
    told.open_ones = [an_action(started_at=NOW - timedelta(seconds=20))]

    async def plan(request: Request) -> Any:
        told.calls.append(("plan", request))
        return a_plan(request)

    async def copied(text: str, _: Any) -> str:
        return f"copied {len(text)} characters"

    monkeypatch.setattr(told, "plan", plan)
    monkeypatch.setattr("console.clipboard.copy", copied)
    monkeypatch.setattr("console.screens.overview.save_text", lambda *_: "saved")
    monkeypatch.setattr(TealApp, "leave", lambda self, *_: self.say("left"))
    return told


def seen(app: App[Any]) -> tuple[Any, ...]:
    """What a person sees: the screens that are open, all that is drawn on the one on top with its colors, what has
    focus."""
    drawn = [tuple(strip) for strip in app.screen._compositor.render_strips()]
    return tuple(app.screen_stack), drawn, app.screen.focused


def said(app: App[Any]) -> str:
    """What the line of keys says instead of them."""
    bars = (bar.line(0) for bar in app.screen.query(KeyBar) if bar._said is not None)
    return "".join(cell.text for line in bars for cell in line).strip()


def hush(app: App[Any]) -> None:
    """Nothing is said."""
    for bar in app.screen.query(KeyBar):
        bar.hush()
    if isinstance(app.screen, ActionMenu):
        app.screen.query_one("#said", Paragraphs).show([])


async def walk(app: TealApp, pilot: Pilot[None], path: tuple[str, ...]) -> None:
    """From wherever we are to the overview, and along `path`."""
    app.to_overview(lambda overview: overview.board.zoom(""))
    while len(app.screen_stack) > 1:
        await asyncio.sleep(0)
    await settled(app)
    for key in path:
        assert await acts(app, key), key
    hush(app)
    await settled(app)


async def settled(app: App[Any]) -> tuple[Any, ...]:
    """What is seen when everything that a key led to has been drawn."""
    drawn = None
    while (now := seen(app)) != drawn:
        drawn = now
        for _ in range(TURNS):
            await asyncio.sleep(0)
    return now


async def acts(app: App[Any], key: str) -> bool:
    """Whether anything is to be seen or read of a key, once it was pressed."""
    hush(app)
    before = await settled(app)
    app.post_message(Key(key, key_to_character(key)))
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while seen(app) == before and not said(app):
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.02)
    await settled(app)
    return True


@pytest.mark.parametrize("place", PATHS)
async def test_a_key_acts_or_a_line_says_why_not(place: str, session: FakeSession) -> None:
    silent = []
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await walk(app, pilot, PATHS[place])
        for key in KEYS:
            screens = app.screen_stack
            if not await acts(app, key):
                silent.append(key)
            if app.screen_stack != screens or key in LEADS_AWAY:
                await walk(app, pilot, PATHS[place])
    assert not silent, f"{place}: {' '.join(silent)}"
