"""Log lines: newest at the bottom, followed until left, searched with their context, data and never markup."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from textual.app import App, ComposeResult
from textual.pilot import Pilot

from backends.models import LogEntry
from panels.columns import Moment
from panels.logview import MAX_ENTRIES, LogView
from tests.console.fakes import NOW, log

MOMENT = Moment(NOW)


class OneView(App[None]):
    """A log view alone."""

    def __init__(self) -> None:
        super().__init__()
        self.view = LogView()

    def compose(self) -> ComposeResult:
        yield self.view

    def text(self) -> list[str]:
        """What is drawn."""
        return [self.view.render_line(y).text.rstrip() for y in range(self.view.size.height)]


@asynccontextmanager
async def view(entries: list[LogEntry]) -> AsyncIterator[tuple[OneView, Pilot[None]]]:
    app = OneView()
    async with app.run_test(size=(80, 10)) as pilot:
        app.view.focus()
        app.view.apply(entries, MOMENT)
        await pilot.pause()
        yield app, pilot


def lines(amount: int) -> list[LogEntry]:
    return [log(1000 - n, "error" if n % 10 == 0 else "info", "app", f"line {n}") for n in range(amount)]


async def test_the_newest_line_is_at_the_bottom_and_followed() -> None:
    async with view(lines(30)) as (app, pilot):
        assert app.text()[-1].endswith("line 29")
        app.view.apply(lines(35), MOMENT)
        await pilot.pause()
        assert app.text()[-1].endswith("line 34")


async def test_leaving_the_end_stops_following_and_the_view_stays() -> None:
    async with view(lines(30)) as (app, pilot):
        await pilot.press("k", "k")
        before = app.text()
        app.view.apply(lines(40), MOMENT)
        await pilot.pause()
        assert app.text() == before
        assert not app.view.follow
        await pilot.press("f")
        assert app.text()[-1].endswith("line 39")


async def test_the_view_stays_on_its_line_when_old_lines_go() -> None:
    async with view(lines(60)) as (app, pilot):
        await pilot.press("k")
        current = app.view.current
        app.view.apply(lines(80)[20:], MOMENT)
        await pilot.pause()
        assert app.view.current == current


async def test_e_jumps_between_errors_and_minutes_are_jumped_over() -> None:
    async with view(lines(200)) as (app, pilot):
        await pilot.press("g", "e")
        assert app.view.current == lines(200)[10]
        await pilot.press("E")
        assert app.view.current == lines(200)[0]
        await pilot.press("right_curly_bracket")
        assert app.view.current == lines(200)[60]
        await pilot.press("left_curly_bracket")
        assert app.view.current == lines(200)[0]


async def test_search_keeps_the_context_and_a_filter_does_not() -> None:
    async with view(lines(100)) as (app, pilot):
        app.view.set_search("LINE 5")
        await pilot.pause()
        assert app.view.current == lines(100)[59]
        assert any(text.endswith("line 60") for text in app.text())
        assert app.view.next_match(-1)
        assert app.view.current == lines(100)[58]
        assert not app.view.next_match(1) or app.view.current == lines(100)[59]
        app.view.set_filter("line 5")
        await pilot.pause()
        assert app.view.amounts == (19, 100)


async def test_a_jump_to_a_time_lands_on_the_first_line_not_before_it() -> None:
    async with view(lines(100)) as (app, _):
        app.view.go_to(NOW - timedelta(seconds=950.5))
        assert app.view.current == lines(100)[50]
        assert not app.view.follow


async def test_lines_are_data_and_bounded() -> None:
    hostile = [log(3, "info", "[red]s[/]", "[b]not markup[/b] [/]"), log(2, "unknown", "漢字", "🔥" * 300)]
    async with view(hostile) as (app, _):
        assert "[b]not markup[/b] [/]" in app.text()[0]
        assert all(app.view.render_line(y).cell_length == 80 for y in range(10))
    async with view([log(1, "info", "a", "x")] * (MAX_ENTRIES + 5)) as (app, _):
        assert app.view.amounts == (MAX_ENTRIES, MAX_ENTRIES)


async def test_a_line_without_a_time_gets_none() -> None:
    async with view([LogEntry(at=None, source="app", message="no time")]) as (app, _):
        assert app.text()[0].startswith("▌–")
