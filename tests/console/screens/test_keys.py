"""Keys: every one resolves, has a name, can be remapped, is shown in the help; none is a control letter."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from textual.binding import Binding
from textual.dom import DOMNode
from textual.events import Key

from actions.models import Actor, OpenConsole
from backends.models import Alert, CheckResult
from console.app import TealApp
from console.screens.action import ActionScreen
from console.screens.board import SANDBOX_CARD, Board
from console.screens.deployment_detail import DeploymentDetail
from console.screens.detail import Detail
from console.screens.how_long import HowLong
from console.screens.item_detail import ItemDetail
from console.screens.key_help import keys_of
from console.screens.lists import ListScreen
from console.screens.overview import Overview
from console.screens.palette import Palette, commands_of
from console.screens.parts import Paragraphs
from console.screens.plan import PlanScreen
from console.screens.prompt import Prompt
from console.screens.release import ReleaseForm
from console.screens.run_detail import RunDetail
from console.screens.source_detail import SourceDetail
from panels.columns import matches
from panels.frame import PanelBox
from panels.keybar import KeyBar
from panels.listing import Listing
from panels.logview import LogView
from tests.console.fakes import NOW, FakeContext, FakeSession, deployment, incident
from tests.console.screen_fakes import an_action
from tests.console.screens.test_plan_screen import until

OURS: list[type[DOMNode]] = [TealApp, Overview, Listing, LogView, ListScreen, Detail, ItemDetail, Palette, Prompt]


def heard_in(app: TealApp, overview: Overview) -> bool:
    """Whether the `2` behind an Esc reached the overview."""
    return app.screen is overview and overview.board.zoomed == "quality"


def bindings(owner: type[DOMNode]) -> Iterator[Binding]:
    yield from Binding.make_bindings(owner.BINDINGS)


@pytest.mark.parametrize("owner", OURS)
def test_every_binding_resolves_to_an_action_and_has_an_id(owner: type[DOMNode]) -> None:
    for binding in bindings(owner):
        assert binding.id, binding
        target, _, name = binding.action.partition("(")[0].rpartition(".")
        node: Any = TealApp if target == "app" else owner
        assert hasattr(node, f"action_{name}"), binding


@pytest.mark.parametrize("owner", OURS)
def test_no_control_letter_alt_or_function_key_means_anything(owner: type[DOMNode]) -> None:
    for binding in bindings(owner):
        assert not binding.key.startswith(("ctrl+", "alt+", "f1", "f2")) or binding.id == "interrupt", binding


def test_textuals_own_control_keys_are_gone() -> None:
    keys = {binding.key for owner in OURS for binding in bindings(owner)}
    assert not keys & {"ctrl+q", "ctrl+p"}
    assert not TealApp.ENABLE_COMMAND_PALETTE


async def test_the_keymap_of_the_config_moves_a_key() -> None:
    session = incident(FakeContext(keymap={"zoom.2": "7", "help": "H", "list.down": "J"}))
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.1)
        overview = app.screen
        assert isinstance(overview, Overview)
        await pilot.press("2")
        assert overview.board.zoomed == ""
        await pilot.press("7")
        assert overview.board.zoomed == "quality"
        before = overview.board.listing("quality").cursor
        await pilot.press("J")
        assert overview.board.listing("quality").cursor == before + 1
        await pilot.pause()
        assert "H help" in overview.query_one(KeyBar).text
        shown = {key.id: key.keys for key in keys_of(overview)}
        assert shown["help"] == "H"
        assert shown["zoom.2"] == "7"


async def test_help_is_made_from_the_bindings_of_what_has_focus() -> None:
    app = TealApp(incident(), now=lambda: NOW)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.1)
        in_a_list = {key.id for key in keys_of(app.screen)}
        await pilot.press("5")
        in_the_logs = {key.id for key in keys_of(app.screen)}
        assert "list.open" in in_a_list - in_the_logs
        assert "logs.follow" in in_the_logs - in_a_list
        assert {"zoom.1", "help", "palette", "filter"} <= in_a_list & in_the_logs
        await pilot.press("question_mark")
        assert isinstance(app.screen, ListScreen)
        assert {row.id for row in app.screen.list.items if row.id} == in_the_logs
        await pilot.press("q")
        assert isinstance(app.screen, Overview)


async def test_the_footer_shows_only_what_can_be_done_here() -> None:
    app = TealApp(incident(), now=lambda: NOW)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.1)
        bar = app.screen.query_one(KeyBar)
        await pilot.pause()
        assert "x actions" in bar.text
        assert "b roll back" not in bar.text
        await pilot.press("4")
        await pilot.pause()
        assert "b roll back" in bar.text
        assert "Esc back" in bar.text
        await pilot.press("2")
        await pilot.pause()
        assert "x actions" not in bar.text


async def test_the_palette_runs_a_command_and_opens_a_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(TealApp, "open_item", lambda self, item: opened.append(item))
    app = TealApp(incident(), now=lambda: NOW)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("colon", *"alerts alone", "enter")
        await pilot.pause()
        assert app.screen.query_one(Board).zoomed == "alerts"
        await pilot.press("colon", *"customer_360", "enter")
        await pilot.pause()
        assert [item.pipeline for item in opened] == ["customer_360"]
        await pilot.press("colon", "escape")
        assert isinstance(app.screen, Overview)


async def test_the_palette_offers_nothing_that_cannot_be_done() -> None:
    app = TealApp(incident(), now=lambda: NOW)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.1)
        words = [command.words for command in commands_of(app.screen)]
        assert "plan a rollback of this service" not in words
        await pilot.press("4")
        words = [command.words for command in commands_of(app.screen)]
        assert "plan a rollback of this service" in words


@pytest.mark.parametrize("path", [(), ("1", "enter"), ("question_mark",)])
@pytest.mark.parametrize(
    ("typed", "opens"),
    [
        ("flip analytics", "flip"), ("rollback analytics", "rollback"), ("release analytics", ReleaseForm),
        ("freeze analytics", HowLong), ("silence NodeDiskFull", None), ("retry customer_360", None),
    ],
)  # fmt: skip
async def test_the_palette_finds_every_order_by_name(path: tuple[str, ...], typed: str, opens: Any) -> None:
    session = incident(FakeContext(protected=False))
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.1)
        await pilot.press(*path)
        await pilot.pause()
        found = [
            command for command in commands_of(app.screen) if command.choice and matches(typed, command.text, dict)
        ]
        assert found
        assert {command.choice.id for command in found}
        if opens is None:
            return
        session.plan = never
        await pilot.press("colon", *typed)
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        if isinstance(opens, str):
            assert isinstance(app.screen, PlanScreen), app.screen
            assert (app.screen.request.kind, app.screen.request.service) == (opens, "analytics")
        else:
            assert isinstance(app.screen, opens), app.screen


async def never(_: Any) -> Any:
    """A plan that is not made in this test."""
    await asyncio.Event().wait()


async def test_sources_actions_and_details_open_and_close() -> None:
    app = TealApp(incident(), now=lambda: NOW)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("s")
        await pilot.pause()
        assert isinstance(app.screen, ListScreen)
        assert app.screen.list.items[0].snapshot.key.name == "loki"
        await pilot.press("q", "at")
        await pilot.pause()
        assert isinstance(app.screen, ListScreen)
        assert app.screen.list.items == []
        await pilot.press("q")
        shown = (("2", "enter", "transaction_amount"), ("3", "enter", "Labels"), ("5", "v", "GET /api/transactions"))
        for panel, key, words in shown:
            await pilot.press(panel, key)
            await pilot.pause()
            assert isinstance(app.screen, ItemDetail)
            assert words in app.screen.query_one("#lines").text
            await pilot.press("q", "0")


async def test_a_note_is_one_line_over_what_is_on_the_screen() -> None:
    session = incident()
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("number_sign", *"gone", "escape")
        await pilot.press("number_sign", "d", "i", "s", "k", "space", "q", "enter")
        async with asyncio.timeout(30):
            while not session.orders.written or not isinstance(app.screen, Overview):
                await pilot.pause(0.02)
        assert session.orders.written == ["disk q"]


async def test_who_else_is_on_is_said_over_the_actions() -> None:
    session = incident()
    alice = Actor(login="alice", host="bastion-1")
    session.orders.on = [OpenConsole(actor=alice, pid=1, armed=True, opened_at=NOW)]
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("at")
        async with asyncio.timeout(30):
            while "alice@bastion-1 ARMED since" not in app.screen.query_one(PanelBox).caption:
                await pilot.pause(0.02)


async def test_enter_on_what_is_linked_opens_it_and_back_goes_one_level() -> None:
    session = incident()
    app = TealApp(session, now=lambda: NOW)
    session.linked_ones = [session.store.items("pipelines")[0], session.store.items("deployments")[0]]
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("2", "enter")
        await pilot.pause()
        detail = app.screen
        assert isinstance(detail, ItemDetail)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, RunDetail)
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is detail
        await pilot.press("tab", "down", "enter")
        await pilot.pause()
        assert isinstance(app.screen, DeploymentDetail)


async def test_enter_on_a_source_opens_all_that_it_says() -> None:
    session = incident()
    why = "warehouse.db: no such file or directory: " + "x" * 90 + " the end"
    session.put("quality", "warehouse", error=why)
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("s", "slash", *"warehouse", "enter", "enter")
        await pilot.pause()
        assert isinstance(app.screen, SourceDetail)
        assert why in app.screen.query_one("#lines", Paragraphs).text
        await pilot.press("r")
        assert ("refresh", "quality") in session.calls
        await pilot.press("escape", "escape", "escape")
        await pilot.pause()
        assert isinstance(app.screen, Overview)


async def test_u_opens_what_is_worst_from_wherever_one_stands() -> None:
    session = incident()
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.1)
        overview = app.screen
        assert isinstance(overview, Overview)
        await pilot.press("s", "u")
        await pilot.pause()
        assert isinstance(app.screen, ItemDetail), app.screen
        assert isinstance(app.screen.subject, CheckResult)
        assert app.screen.subject.health == "critical"
        orphan = an_action(started_at=NOW - timedelta(seconds=20), orphaned_since=NOW - timedelta(seconds=9))
        session.open_ones = [orphan]
        overview.read_actions()
        await app.workers.wait_for_complete()
        await pilot.press("u")
        await pilot.pause()
        assert isinstance(app.screen, ActionScreen), app.screen
        assert app.screen.action_id == orphan.id
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is overview


async def test_u_says_so_where_nothing_is_wrong_and_opens_a_source_that_is_lost() -> None:
    session = FakeSession()
    session.put("deployments", "analytics", deployment())
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("u")
        assert "nothing is wrong now" in app.screen.query_one(KeyBar).text
        session.put("quality", "warehouse", error="no such file", age_s=100)
        await pilot.pause(0.3)
        await pilot.press("u")
        await pilot.pause()
        assert isinstance(app.screen, SourceDetail), app.screen


async def test_u_says_that_nothing_is_known_before_anything_was_read() -> None:
    session = FakeSession()
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("u")
        said = app.screen.query_one(KeyBar).text
        assert "unknown, and nothing to open: no source has been read yet" in said


async def test_u_opens_first_what_fails_users_then_an_alert_then_a_score() -> None:
    session = incident()
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.1)
        overview = app.screen
        assert isinstance(overview, Overview)
        assert overview.board.worst is not None
        assert isinstance(overview.board.worst[1], Alert)  # transactions is red, too
        failing = deployment("analytics", "blue")
        failing.colors["blue"] = replace(failing.colors["blue"], error_pct=27.0)
        session.put("deployments", "analytics", failing)
        await pilot.pause(0.3)
        await pilot.press("u")
        await pilot.pause()
        assert isinstance(app.screen, DeploymentDetail)


async def test_a_notice_of_the_config_comes_after_what_is_wrong() -> None:
    session = incident()
    session.open_ones = [an_action(started_at=NOW - timedelta(seconds=20))]
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.1)
        overview = app.screen
        assert isinstance(overview, Overview)
        overview.top.edited = "config.toml"
        overview.top.show(overview.moment())
        assert "config.toml was edited" in overview.top.strip.text.split("   ")[-1]
        assert len(overview.top.strip.text.split("   ")) > 1


async def test_what_stands_behind_esc_in_one_read_is_for_what_esc_led_to() -> None:
    session = incident(FakeContext(protected=False))
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.1)
        overview = app.screen
        assert isinstance(overview, Overview)
        for path in (("1", "enter"), ("4", "x", "d"), ("slash", "w"), ("question_mark",)):
            await pilot.press("0", *path)
            await pilot.pause(0.1)
            app.post_message(Key("escape", None))
            app.post_message(Key("2", "2"))
            await until(pilot, lambda: heard_in(app, overview), f"2 after {path}")


@pytest.mark.parametrize(
    "path", [("4", "x", "d"), ("4", "x", "h"), ("4", "b"), ("number_sign",), ("colon",), ("slash", "w")], ids="-".join
)
async def test_a_key_that_comes_while_a_line_of_text_is_left_is_for_what_that_led_to(path: tuple[str, ...]) -> None:
    """On a busy machine it is on its way to the line when that goes."""
    session = FakeSession(FakeContext(protected=False))
    session.put("deployments", "analytics", deployment(action=""))
    session.plan = lambda _: asyncio.Event().wait()
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.1)
        overview = app.screen
        assert isinstance(overview, Overview)
        await pilot.press("0", *path)
        await pilot.pause(0.2)
        line = app.focused or app.screen
        line.post_message(Key("escape", None))
        line.post_message(Key("2", "2"))
        await until(pilot, lambda: heard_in(app, overview), f"2 after {path}")


async def test_how_far_is_looked_back_has_an_end_that_is_said() -> None:
    app = TealApp(incident(), now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.1)
        for key, end in (("left_square_bracket", "5m, the least"), ("right_square_bracket", "24h, the most")):
            await pilot.press(*[key] * 6)
            assert end in app.screen.query_one(KeyBar).text


def test_the_card_of_the_sandbox_is_whole_at_80_columns() -> None:
    assert max(map(len, SANDBOX_CARD.splitlines())) <= 76
