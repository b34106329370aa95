"""A theme that is changed while the console is open: nothing stays in the colors of the one before."""

import pytest
from rich.segment import Segment
from textual.pilot import Pilot

from console.app import TealApp
from tests.console.fakes import FakeContext, incident
from tests.console.screens.test_overview import console

SCREENS = {
    "overview": (), "zoomed": ("3",), "run": ("1", "enter"), "score": ("2", "enter"), "alert": ("3", "enter"),
    "service": ("4", "enter"), "menu": ("4", "x"), "sources": ("s",), "actions": ("at",), "help": ("question_mark",),
    "silences": ("3", "S"), "palette": ("colon",),
}  # fmt: skip
PLAIN = ("sources", "actions", "help", "silences")  # where nothing is wrong there are no colors


def drawn(app: TealApp) -> list[list[Segment]]:
    return [list(strip) for strip in app.screen._compositor.render_strips()]


async def opened(pilot: Pilot[None], keys: tuple[str, ...]) -> None:
    await pilot.press(*keys)
    await pilot.pause(0.2)


@pytest.mark.parametrize("name", SCREENS)
async def test_a_screen_is_drawn_as_if_it_had_been_opened_in_the_new_theme(name: str) -> None:
    """From one that is drawn on the terminal's own ground to another: no style of the sheet differs between them."""
    async with console(incident(FakeContext(theme="mono")), (80, 24)) as (app, _, pilot):
        await opened(pilot, SCREENS[name])
        wanted = drawn(app)
    async with console(incident(FakeContext(theme="ansi")), (80, 24)) as (app, _, pilot):
        await opened(pilot, SCREENS[name])
        before = drawn(app)
        app.action_look("mono")
        await pilot.pause(0.2)
        found = drawn(app)
    assert found == wanted
    assert before != wanted or name in PLAIN, "the two look different"


async def test_the_screens_below_are_drawn_anew_too() -> None:
    async with console(incident(FakeContext(theme="mono")), (80, 24)) as (app, _, _pilot):
        wanted = drawn(app)
    async with console(incident(FakeContext(theme="ansi")), (80, 24)) as (app, _, pilot):
        await opened(pilot, ("s",))
        app.action_look("mono")
        await pilot.pause(0.2)
        await opened(pilot, ("escape",))
        assert drawn(app) == wanted
