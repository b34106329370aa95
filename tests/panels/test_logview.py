"""Log lines: newest at the bottom, followed until left, searched with their context, data and never markup."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from textual.app import App, ComposeResult
from textual.pilot import Pilot

from backends.models import LogEntry, LogLevel
from panels.columns import Moment
from panels.logview import LogView, text_of
from tests.console.fakes import NOW, log

MOMENT = Moment(NOW)


class OneView(App[None]):
    """A log view alone."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.view = LogView(**options)

    def compose(self) -> ComposeResult:
        yield self.view

    def text(self) -> list[str]:
        """What is drawn."""
        return [self.view.render_line(y).text.rstrip(" │┃●!") for y in range(self.view.size.height)]

    def edge(self) -> str:
        """The bar at the right."""
        return "".join(self.view.render_line(y).text[-1] for y in range(self.view.size.height))


@asynccontextmanager
async def view(entries: list[LogEntry], **options: Any) -> AsyncIterator[tuple[OneView, Pilot[None]]]:
    app = OneView(**options)
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
    async with view([log(1, "info", "a", "x" * 1000)] * 1000, max_bytes=100_000) as (app, _):
        shown, held = app.view.amounts
        assert shown == held
        assert 20 < held < 60


async def test_a_line_without_a_time_gets_none() -> None:
    async with view([LogEntry(at=None, source="app", message="no time")]) as (app, _):
        assert app.text()[0].startswith("▌–")


def at(seconds: float, message: str, level: LogLevel = "info", **labels: str) -> LogEntry:
    return LogEntry(at=NOW + timedelta(seconds=seconds), source="app", level=level, message=message, labels=labels)


async def test_a_batch_is_appended_and_counted_while_paused() -> None:
    async with view(lines(30)) as (app, pilot):
        app.view.extend([at(1, "more")], MOMENT)
        await pilot.pause()
        assert app.text()[-1].endswith("more")
        await pilot.press("k")
        before = app.text()
        app.view.extend([at(2, "new 1"), at(3, "new 2")], MOMENT)
        await pilot.pause()
        assert (app.text(), app.view.new) == (before, 2)
        await pilot.press("G")
        assert app.text()[-1].endswith("new 2")
        assert (app.view.follow, app.view.new) == (True, 0)


async def test_the_view_stays_while_lines_go_at_the_front() -> None:
    async with view([at(n, f"line {n} {'x' * 500}") for n in range(40)], max_bytes=60_000) as (app, pilot):
        await pilot.press("k", "k", "k")
        before, current = app.text(), app.view.current
        app.view.extend([at(100 + n, "y" * 500) for n in range(15)], MOMENT)
        await pilot.pause()
        assert app.view.store.first > 10
        assert (app.text(), app.view.current) == (before, current)
        app.view.extend([at(200 + n, "z" * 500) for n in range(500)], MOMENT)
        await pilot.pause()
        assert app.view.current is not None
        assert app.view.current.message == "z" * 500


async def test_long_lines_wrap_and_the_end_stays_in_sight() -> None:
    async with view([at(n, f"line {n} " + "word " * 40 + f"end {n}") for n in range(20)]) as (app, pilot):
        assert not any("end 19" in text for text in app.text())
        await pilot.press("z")
        assert app.text()[-1].endswith("end 19")
        assert "line 19" in "".join(app.text())
        await pilot.press("g")
        assert "line 0" in app.text()[0]
        assert any(text.endswith("end 0") for text in app.text())
        await pilot.press("z")
        assert "line 1" in app.text()[1]


async def test_a_line_unfolds_in_place_with_its_fields() -> None:
    entries = [at(0, "before"), at(1, "took long " * 20, user="u1", trace="abc"), at(2, "after")]
    async with view(entries) as (app, pilot):
        await pilot.press("k", "enter")
        shown = app.text()
        assert any(text.strip() == "user u1" for text in shown)
        assert any(text.strip() == "trace abc" for text in shown)
        assert shown[-1].endswith("after") or "after" in "".join(shown)
        await pilot.press("enter")
        assert not any("user u1" in text for text in app.text())


async def test_marks_are_gone_through_and_copied() -> None:
    async with view(lines(100)) as (app, pilot):
        await pilot.press("g", "m", "j", "j", "m", "G")
        assert app.view.current_text.splitlines() == [text_of(entry) for entry in (lines(100)[0], lines(100)[3])]
        await pilot.press("apostrophe")
        assert app.view.current == lines(100)[0]
        await pilot.press("apostrophe")
        assert app.view.current == lines(100)[3]
        assert "*" in app.text()[2] or "*" in "".join(text[:1] for text in app.text())


async def test_the_bar_shows_where_errors_and_matches_are() -> None:
    entries = [at(n, f"line {n}", "error" if n == 55 else "info") for n in range(100)]
    async with view(entries) as (app, pilot):
        assert app.edge() == "     !   ┃"
        app.view.set_search("line 2")
        await pilot.pause()
        assert app.edge()[0] == "●"
        assert app.edge()[2] == "●"
        assert app.edge()[5] == "!"
        app.view.set_filter("line 5")
        await pilot.pause()
        assert app.view.amounts[0] == 19


async def test_timestamps_go_from_milliseconds_to_none() -> None:
    async with view([at(0.204, "x")]) as (app, pilot):
        widths = [len(app.text()[0])]
        for _ in range(3):
            await pilot.press("T")
            widths.append(len(app.text()[0]))
        assert widths[0] > widths[1] > widths[2] < widths[3] == widths[0]


async def test_late_lines_are_marked() -> None:
    late = LogEntry(at=NOW, source="app", message="late", late=True)
    async with view([at(0, "fine"), late]) as (app, _):
        assert [text.count("<") for text in app.text()[:2]] == [0, 1]


async def test_keys_on_a_view_without_lines_do_nothing() -> None:
    async with view([]) as (app, pilot):
        for key in ("j", "k", "g", "G", "enter", "e", "E", "w", "m", "apostrophe", "z", "T", "f", "v", "pageup"):
            await pilot.press(key)
        assert app.text()[0].strip() == "No log lines"


async def test_lines_that_are_read_anew_keep_the_place_and_what_was_there_is_not_new() -> None:
    """As `[` and `]` do: more of the past, or less of it, and in batches."""
    async with view(lines(60)) as (app, pilot):
        await pilot.press("g", *["j"] * 30)
        assert app.view.current == lines(60)[30]
        older = [log(2000 - n, "info", "app", f"older {n}") for n in range(40)]
        app.view.reread()
        for batch in (older, lines(60)[:20], lines(60)[20:]):
            app.view.extend(batch, MOMENT)
        assert app.view.current == lines(60)[30]
        assert app.view.new == 0
        app.view.extend([log(1, "info", "app", "newer")], MOMENT)
        assert app.view.new == 1
        app.view.reread()
        app.view.extend(lines(60)[45:], MOMENT)  # its line is gone: the nearest is the first
        assert app.view.current == lines(60)[45]
        assert not app.view.follow
