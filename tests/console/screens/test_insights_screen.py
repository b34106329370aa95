"""A query of the logs from the palette: progress, partial results, and its stop however the screen is left."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from backends.errors import BackendError
from backends.models import LogEntry
from backends.ports import Searched
from console.app import TealApp
from console.screens.insights import QUERY, Insights
from console.screens.log_lines import LogLines
from tests.console.fakes import NOW, FakeContext, FakeSession, incident


class Searcher:
    """A log system in whose language nothing is asked; each state is given when the test says so."""

    def __init__(self) -> None:
        self.states: asyncio.Queue[Searched | BackendError] = asyncio.Queue()
        self.asked: list[tuple[str, datetime, datetime]] = []
        self.stopped = 0

    async def search(
        self, text: str, *, since: datetime, until: datetime, limit: int
    ) -> AsyncGenerator[Searched, None]:
        self.asked.append((text, since, until))
        ended = False
        try:
            while not ended:
                state = await self.states.get()
                if isinstance(state, BackendError):
                    ended = True
                    raise state
                ended = state.done
                yield state
        finally:
            if not ended:
                await asyncio.sleep(0)  # as a stop, which is a call
                self.stopped += 1

    def tell(self, *messages: str, done: bool = False, note: str = "") -> None:
        entries = tuple(LogEntry(at=NOW, source="cw", message=message) for message in messages)
        self.states.put_nowait(Searched(entries=entries, done=done, scanned_bytes=2e6, note=note))


@pytest.fixture
def searcher() -> Searcher:
    return Searcher()


@pytest.fixture
def session(searcher: Searcher) -> FakeSession:
    told = incident(FakeContext())
    told.searchers = {"cw": searcher}
    return told


def app_of(session: FakeSession) -> TealApp:
    return TealApp(session, now=lambda: NOW)


async def seen(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await pilot.pause(0.01)


async def asked(pilot: Pilot[None], searcher: Searcher) -> Insights:
    """By the palette, with the query that stands there."""
    await pilot.press("colon", *"insights", "enter")
    await seen(pilot, lambda: isinstance(pilot.app.screen, Insights) and pilot.app.screen.is_mounted)
    screen = pilot.app.screen
    assert isinstance(screen, Insights)
    await pilot.press("enter")
    await seen(pilot, lambda: searcher.asked)
    return screen


def progress(screen: Insights) -> str:
    return str(screen.query_one("#progress", Static).content)


def rows(screen: Insights) -> list[str]:
    return [entry.message for entry in screen.query_one(LogLines)._entries]


async def test_progress_partial_results_and_the_end(session: FakeSession, searcher: Searcher) -> None:
    async with app_of(session).run_test(size=(80, 24)) as pilot:
        screen = await asked(pilot, searcher)
        assert searcher.asked == [(QUERY, NOW - session.since, NOW)], "the one clock of all panels"
        searcher.tell("first")
        await seen(pilot, lambda: rows(screen) == ["first"])
        assert progress(screen) == "1 row, 2.0 MB scanned so far"
        searcher.tell("first", "second", done=True, note="stopped at 2 MB, over max_scan")
        await seen(pilot, lambda: len(rows(screen)) == 3)
        assert rows(screen)[2] == "stopped at 2 MB, over max_scan"
        assert progress(screen) == "2 rows, 2.0 MB scanned"
        await pilot.press("escape")
        await seen(pilot, lambda: pilot.app.screen is not screen)
        assert searcher.stopped == 0, "it had ended"


@pytest.mark.parametrize("way", ["escape", "q", "0", "3", "end of the console"])
async def test_it_is_stopped_however_it_is_left(way: str, session: FakeSession, searcher: Searcher) -> None:
    async with app_of(session).run_test(size=(80, 24)) as pilot:
        screen = await asked(pilot, searcher)
        searcher.tell("first")
        await seen(pilot, lambda: rows(screen))
        if way != "end of the console":
            await pilot.press(way)
            await seen(pilot, lambda: searcher.stopped == 1)
            assert pilot.app.screen is not screen
    assert searcher.stopped == 1


async def test_another_query_stops_the_one_before(session: FakeSession, searcher: Searcher) -> None:
    async with app_of(session).run_test(size=(80, 24)) as pilot:
        screen = await asked(pilot, searcher)
        await pilot.press("slash", "home", *"xx", "enter")
        await seen(pilot, lambda: len(searcher.asked) == 2)
        assert (searcher.asked[1][0], searcher.stopped) == (f"xx{QUERY}", 1)
        searcher.tell("of the second", done=True)
        await seen(pilot, lambda: rows(screen) == ["of the second"])


async def test_a_query_that_is_none_says_so(session: FakeSession, searcher: Searcher) -> None:
    async with app_of(session).run_test(size=(80, 24)) as pilot:
        screen = await asked(pilot, searcher)
        searcher.states.put_nowait(BackendError("config", "unexpected symbol at line 1", fix="correct the query"))
        await seen(pilot, lambda: progress(screen) != "asked")
        assert progress(screen) == "cw: unexpected symbol at line 1 (correct the query)"


async def test_where_nothing_takes_queries_that_is_said(session: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    session.searchers = {}
    said: list[Any] = []
    monkeypatch.setattr(TealApp, "say", lambda self, text: said.append(text))
    async with app_of(session).run_test(size=(80, 24)) as pilot:
        await pilot.press("colon", *"insights", "enter")
        await seen(pilot, lambda: said)
    assert said == ['no log source has queries of its own: name one of type = "cloudwatch"']
