"""A theme that is changed while the console is open: nothing stays in the colors of the one before."""

import asyncio

import pytest
from rich.segment import Segment
from textual.pilot import Pilot
from textual.widgets import Input

from console.app import TealApp
from tests.console.fakes import FakeContext, incident
from tests.console.screens.test_overview import console

SCREENS = {
    "overview": (), "zoomed": ("3",), "run": ("1", "enter"), "score": ("2", "enter"), "alert": ("3", "enter"),
    "service": ("4", "enter"), "menu": ("4", "x"), "sources": ("s",), "actions": ("at",), "help": ("question_mark",),
    "silences": ("3", "S"), "palette": ("colon",),
}  # fmt: skip
PATIENCE_S, AT_REST = 30.0, 10  # looks, 50 ms each: what is read is folded into causes 0.3 s later
PLAIN = ("sources", "actions", "help", "silences")  # where nothing is wrong there are no colors


def drawn(app: TealApp) -> list[list[Segment]]:
    return [list(strip) for strip in app.screen._compositor.render_strips()]


async def drawn_at_rest(pilot: Pilot[None]) -> list[list[Segment]]:
    """What is drawn once it stays the same; no cursor blinks, which two screens do not do in time."""
    app = pilot.app
    assert isinstance(app, TealApp)
    before, same = drawn(app), 0
    async with asyncio.timeout(PATIENCE_S):
        while same < AT_REST:
            for field in app.screen.query(Input):
                field.cursor_blink = False
            await pilot.pause(0.05)
            now = drawn(app)
            before, same = now, same + 1 if now == before else 0
    return before


async def opened(pilot: Pilot[None], keys: tuple[str, ...]) -> list[list[Segment]]:
    await pilot.press(*keys)
    return await drawn_at_rest(pilot)


@pytest.mark.parametrize("name", SCREENS)
async def test_a_screen_is_drawn_as_if_it_had_been_opened_in_the_new_theme(name: str) -> None:
    """From one that is drawn on the terminal's own ground to another: no style of the sheet differs between them."""
    async with console(incident(FakeContext(theme="mono")), (80, 24)) as (_, _, pilot):
        wanted = await opened(pilot, SCREENS[name])
    async with console(incident(FakeContext(theme="ansi")), (80, 24)) as (app, _, pilot):
        before = await opened(pilot, SCREENS[name])
        app.action_look("mono")
        found = await drawn_at_rest(pilot)
    assert found == wanted
    assert before != wanted or name in PLAIN, "the two look different"


async def test_the_screens_below_are_drawn_anew_too() -> None:
    async with console(incident(FakeContext(theme="mono")), (80, 24)) as (_, _, pilot):
        wanted = await drawn_at_rest(pilot)
    async with console(incident(FakeContext(theme="ansi")), (80, 24)) as (app, _, pilot):
        await opened(pilot, ("s",))
        app.action_look("mono")
        await drawn_at_rest(pilot)
        assert await opened(pilot, ("escape",)) == wanted
