"""The list on a screen: what is drawn, what stays, and what a refresh costs."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from backends.models import Alert, PipelineRun
from panels.columns import Kind, Moment
from panels.frame import PanelBox
from panels.kinds.alerts import ALERTS
from panels.kinds.pipelines import PIPELINES
from panels.listing import Listing
from panels.sources import Source
from tests.console.fakes import NOW, ago, alert, run

MOMENT = Moment(NOW)


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class OnePanel(App[None]):
    """A panel with one list in it."""

    def __init__(self, kind: Kind[Any]) -> None:
        super().__init__()
        self.clock = Clock()
        self.listing: Listing[Any] = Listing(kind, clock=self.clock)
        self.box = PanelBox(self.listing, key="1", title="Things", id="box")
        self.selected: list[Any] = []
        self.listing.opened = self.selected.append

    def compose(self) -> ComposeResult:
        yield self.box

    def text(self) -> list[str]:
        """The lines of the list as they are drawn, without the box around them."""
        drawn = [self.listing.render_line(y).text for y in range(self.listing.size.height)]
        return [line[1:-1].rstrip() for line in drawn[1:-1]]


@asynccontextmanager
async def panel(
    kind: Kind[Any], items: list[Any], size: tuple[int, int] = (80, 14)
) -> AsyncIterator[tuple[OnePanel, Pilot[None]]]:
    app = OnePanel(kind)
    async with app.run_test(size=size) as pilot:
        app.listing.focus()
        app.box.show(MOMENT, [Source(name="airflow", fetched_at=NOW)])
        app.listing.apply(items, MOMENT)
        await pilot.pause()
        yield app, pilot


def runs(amount: int) -> list[PipelineRun]:
    return [run(f"p{n:05}", "1", "success", started_at=ago(seconds=n)) for n in range(amount)]


async def test_rows_reasons_and_title_are_drawn() -> None:
    items = [*runs(2), run("bad", "7", "failed", error="it broke", started_at=ago(minutes=1), ended_at=NOW)]
    async with panel(PIPELINES, items) as (app, _):
        lines = app.text()
        assert lines[0].split()[:2] == ["PIPELINE", "RUN"]
        assert lines[1].startswith("▌✗ bad")
        assert lines[2] == "▌   it broke"
        assert lines[3].startswith(" ✓ p00000")
        assert app.box.caption == "1 Things 1 failed 0s"


async def test_cursor_and_view_survive_a_refresh() -> None:
    items = runs(100)
    async with panel(PIPELINES, items) as (app, pilot):
        for _ in range(40):
            app.listing.action_move(1)
        await pilot.pause()
        app.clock.now += 10
        place = app.listing.rows.start(app.listing.cursor) - app.listing.top
        worse = [run(f"bad{n}", "1", "failed", error="x") for n in range(5)]
        app.listing.apply([*worse, *items], MOMENT)
        await pilot.pause()
        assert app.listing.current == items[40]
        assert app.listing.rows.start(app.listing.cursor) - app.listing.top == place
        assert "p00040" in app.text()[place + 1]


async def test_the_top_stays_the_top_when_something_worse_comes() -> None:
    items = runs(30)
    async with panel(PIPELINES, items) as (app, pilot):
        app.listing.apply([*items, run("bad", "1", "failed", error="x")], MOMENT)
        await pilot.pause()
        assert app.text()[1].startswith("▌✗ bad"), "nobody has moved the cursor"
        app.listing.move_to_key(items[0].ref)
        app.listing.apply([*items, run("bad", "1", "failed", error="x"), run("bad", "2", "failed", error="y")], MOMENT)
        await pilot.pause()
        assert app.listing.current == items[0]
        assert "✗ bad" in app.text()[1]


async def test_order_is_frozen_while_touched_and_new_rows_are_announced() -> None:
    items = runs(5)
    async with panel(PIPELINES, items) as (app, pilot):
        await pilot.press("j")
        app.listing.apply([*items, run("bad", "1", "failed")], MOMENT)
        await pilot.pause()
        assert "bad" not in "".join(app.text())
        assert "1 new" in app.box.caption
        assert "1 failed" in app.box.caption
        app.clock.now += 3.1
        app.listing.apply([*items, run("bad", "1", "failed")], MOMENT)
        await pilot.pause()
        assert "bad" in app.text()[1]
        assert "new" not in app.box.caption


async def test_keys_move_and_open() -> None:
    items = runs(50)
    async with panel(PIPELINES, items) as (app, pilot):
        await pilot.press("G")
        assert app.listing.cursor == 49
        await pilot.press("g", "j", "down", "k", "enter")
        assert app.selected == [items[1]]
        await pilot.press("pagedown")
        assert app.listing.cursor > 5


async def test_an_unchanged_refresh_draws_nothing() -> None:
    items = runs(20)
    async with panel(PIPELINES, items) as (app, pilot):
        drawn: list[int] = []
        original = app.listing.render_line
        app.listing.render_line = lambda y: drawn.append(y) or original(y)
        app.listing.apply([replace(item) for item in items], MOMENT)
        await pilot.pause()
        assert drawn == []
        app.listing.apply([replace(items[0], state="failed", error=None), *items[1:]], MOMENT)
        await pilot.pause()
        assert drawn


async def test_rows_of_a_source_nobody_trusts_are_unknown_and_never_ok() -> None:
    async with panel(PIPELINES, runs(2)) as (app, pilot):
        lost = Source(
            name="airflow", fetched_at=ago(minutes=9), trust="unknown", error="connection refused", fix="start it"
        )
        app.box.show(MOMENT, [lost])
        app.listing.apply(runs(2), MOMENT)
        await pilot.pause()
        lines = app.text()
        assert lines[0] == " ? airflow stale 9m: connection refused  → start it"
        assert "✓" not in lines[2].split()[0]
        assert lines[2].split()[0] in ("▌?", "?")
        assert app.box.caption == "1 Things 2 unknown stale 9m"


async def test_an_empty_list_teaches() -> None:
    async with panel(ALERTS, []) as (app, _):
        assert app.text()[0] == " No alerts firing (0s ago)"


async def test_a_filter_that_finds_nothing_says_how_to_leave() -> None:
    async with panel(PIPELINES, runs(3)) as (app, pilot):
        app.listing.set_filter("nothing like it")
        await pilot.pause()
        assert app.text()[0] == ' Nothing matches "nothing like it"; Esc clears the filter'
        assert app.selected == []
        await pilot.press("enter")
        assert app.selected == []


HOSTILE = [
    "[red]x[/red]",
    "[/]",
    "[0]",
    "[@click=app.quit]x[/]",
    "漢字🔥👩‍🚀",
    "a" * 5000,
    "e\u0301\u0300",
    "\u200d",
    "",
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_is_data_and_keeps_its_line(text: str) -> None:
    item = Alert(ref="a", backend="a", fingerprint="a", name=text, severity="critical", state="firing", summary=text,
                 labels={"service": text})  # fmt: skip
    async with panel(ALERTS, [item, alert("next", "warning", 1)], size=(50, 10)) as (app, _):
        width = app.listing.size.width
        for y in range(app.listing.size.height):
            strip = app.listing.render_line(y)
            assert strip.cell_length == width
            assert all(segment.style is None or not segment.style.meta for segment in strip)
        assert "next" in "".join(app.text())
        if text.startswith("["):
            assert text in app.text()[1]


@pytest.mark.parametrize("size", [(20, 5), (40, 6), (200, 60), (6, 4)])
async def test_any_size_is_drawn(size: tuple[int, int]) -> None:
    async with panel(PIPELINES, runs(30), size=size) as (app, pilot):
        await pilot.press("G", "pageup", "g")
        assert app.listing.cursor == 0


async def test_ten_thousand_rows_cost_little_more_than_comparing_them() -> None:
    items = runs(10_000)
    async with panel(PIPELINES, items) as (app, pilot):

        def refresh() -> float:
            fresh = [replace(item) for item in items]
            began = time.process_time()
            app.listing.apply(fresh, MOMENT)
            return time.process_time() - began

        def compare() -> float:
            fresh = [replace(item) for item in items]
            began = time.process_time()
            assert {item.ref: item for item in fresh} == {item.ref: item for item in items}
            return time.process_time() - began

        await asyncio.sleep(0)
        ratio = min(refresh() for _ in range(7)) / min(compare() for _ in range(7))
        print(f"refresh of 10,000 rows: {ratio:.1f} x comparing them")
        assert ratio < 8
        await pilot.pause()
