"""The last line: what can be done with this comes first, and the way to the rest is never left out."""

from datetime import timedelta

import pytest

from panels.keybar import KeyBar
from tests.console.fakes import NOW, FakeSession, deployment, incident
from tests.console.screen_fakes import an_action
from tests.console.screens.test_overview import console
from tests.console.screens.test_plan_screen import until


@pytest.mark.parametrize(
    ("key", "specific"),
    [
        ("4", ("Esc back", "⏎ open", "x actions", "b roll back", "l logs", "t timeline")),
        ("3", ("Esc back", "⏎ open", "x actions", "a ack", "l logs", "t timeline")),
        ("2", ("Esc back", "⏎ open", "l logs", "t timeline")),
    ],
)
async def test_at_80_columns_the_keys_of_the_thing_come_before_those_of_every_thing(
    key: str, specific: tuple[str, ...]
) -> None:
    async with console(incident(), (80, 24)) as (app, _, pilot):
        await pilot.press(key)
        await pilot.pause(0.2)
        line = app.screen.query_one(KeyBar).text
        assert [line.index(words) for words in specific] == sorted(line.index(words) for words in specific)
        assert line.index(specific[-1]) < line.index("? help")
        assert "1-6" not in line[: line.index(specific[-1])]
        assert len(line.rstrip()) <= 80


@pytest.mark.parametrize("width", [79, 80, 89])
async def test_what_fits_to_the_letter_is_not_cut(width: int) -> None:
    async with console(incident(), (width, 24)) as (app, _, pilot):
        await pilot.press("4")
        await pilot.pause(0.2)
        bar = app.screen.query_one(KeyBar)
        assert bar.render_line(0).text.rstrip().endswith("? help")


async def test_the_way_to_all_keys_is_never_left_out() -> None:
    async with console(incident(), (60, 20)) as (app, _, pilot):
        await pilot.press("4")
        await pilot.pause(0.2)
        line = app.screen.query_one(KeyBar).text
        assert line.rstrip().endswith("? help")
        assert "b roll back" in line
        assert len(line.rstrip()) <= 60


@pytest.mark.parametrize("keys", [("colon",), ("4", "x"), ("number_sign",)], ids=["palette", "menu", "note"])
async def test_under_what_lies_over_a_screen_no_key_of_the_screen_is_promised(keys: tuple[str, ...]) -> None:
    async with console(incident(), (120, 40)) as (app, overview, pilot):
        await pilot.press(keys[0] if len(keys) > 1 else "4")
        await pilot.pause(0.2)
        before = overview.keys.text
        assert "x actions" in before
        await pilot.press(keys[-1])
        await until(pilot, lambda: "x actions" not in overview.keys.text, "the keys of what lies below are gone")
        assert app.screen is not overview
        assert "esc " not in overview.keys.text, "keys have one name"
        assert "/ filter" not in overview.keys.text, "it would be written into the field, or is no choice"
        await pilot.press("escape")
        await until(pilot, lambda: overview.keys.text == before, "they are back")


@pytest.mark.parametrize("key", ["e", "u"])
async def test_where_nothing_is_silenced_a_key_for_a_silence_says_so(key: str) -> None:
    async with console(incident(), (120, 40)) as (app, _, pilot):
        app.open_silences()
        await until(pilot, lambda: bool(app.screen.query(KeyBar)), "the list is open")
        await pilot.press(key)
        await until(pilot, lambda: "no silence here" in app.screen.query_one(KeyBar).text, "it is said")


async def test_the_way_back_is_named_where_the_panel_that_is_made_large_had_the_focus_before() -> None:
    async with console(incident(), (80, 24)) as (_, overview, pilot):
        await pilot.pause(0.2)
        own = next(str(n) for n, name in enumerate(overview.board.boxes, 1) if name == overview.board.focused)
        for key, named in ((own, True), ("0", False), (own, True), (own, False)):
            await pilot.press(key)
            await until(pilot, lambda named=named: ("Esc back" in overview.keys.text) is named, f"{key}: {named}")


async def test_an_action_that_nobody_runs_is_named_on_every_page() -> None:
    session = FakeSession()
    session.put("deployments", "analytics", deployment())
    orphan = an_action(orphaned_since=NOW - timedelta(seconds=40))
    async with console(session, (60, 20)) as (app, overview, pilot):
        await pilot.press("4", "enter")
        await until(pilot, lambda: app.screen is not overview, "the service is open")
        bar = app.screen.query_one(KeyBar)
        assert "nobody runs it" not in bar.text
        session.open_ones = [orphan]
        for _ in range(5):
            if "@ flip analytics: nobody" in bar.text:
                break
            await pilot.pause(0.5)
        assert "@ flip analytics: nobody" in bar.text
        assert bar.text.rstrip().endswith("? help")
        assert len(bar.text.rstrip()) <= 60
        session.open_ones = []
        for _ in range(5):
            if "nobody" not in bar.text:
                break
            await pilot.pause(0.5)
        assert "nobody" not in bar.text, "no longer than it is so"
        await pilot.press("q")
        await until(pilot, lambda: app.screen is overview, "back")
        assert "nobody runs" not in overview.keys.text
