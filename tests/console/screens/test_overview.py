"""The overview at both sizes: what is on it, that it survives its data, and that no key of it writes."""

import asyncio
import gc
import string
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from textual.geometry import Size
from textual.pilot import Pilot
from textual.strip import Strip as DrawnLine

from backends.errors import BackendError
from console.app import TealApp
from console.ports.store import SourceKey
from console.reading.feeds import Feed, Source
from console.screens import readings
from console.screens.overview import Overview
from console.screens.too_small import TooSmall
from console.settling import SETTLE_S
from panels.header import Header, Strip
from panels.keybar import KeyBar
from panels.lines import Lines
from panels.words import ASCII, UNICODE, Symbols
from tests.console.fakes import NOW, FakeContext, FakeSession, ago, alert, deployment, incident, log, run, score
from tests.console.screen_fakes import an_action
from tests.console.screens.test_plan_screen import until

BOTH = pytest.mark.parametrize("size", [(120, 40), (80, 24)])


@asynccontextmanager
async def console(
    session: FakeSession, size: tuple[int, int] = (120, 40), symbols: Symbols = UNICODE
) -> AsyncIterator[tuple[TealApp, Overview, Pilot[None]]]:
    app = TealApp(session, symbols=symbols, now=lambda: NOW)
    async with app.run_test(size=size) as pilot:
        await pilot.pause(0.1)
        overview = app.screen_stack[0]
        assert isinstance(overview, Overview)
        yield app, overview, pilot


def text(app: TealApp) -> str:
    """Everything that is drawn, as text."""
    lines = []
    for widget in app.screen.query(Lines):
        if widget.size.area:
            lines += [widget.render_line(y).text for y in range(widget.size.height)]
    return "\n".join(lines)


@BOTH
async def test_all_five_panels_are_there_with_key_counts_and_age(size: tuple[int, int]) -> None:
    async with console(incident(), size) as (app, overview, _):
        captions = {name: box.caption for name, box in overview.board.boxes.items()}
        assert captions["pipelines"] == "1 Pipelines 1 failed 1 late 1 running 4s"
        assert captions["quality"] == "2 Quality 1 critical 1 unknown 1 warning 9s"
        assert captions["alerts"] == "3 Alerts 2 critical 3 warning 2s"
        assert captions["deployments"] == "4 Deployments 1 moving 3s"
        assert captions["logs"] == "5 Logs following stale 3m"
        for name in ("pipelines", "quality", "alerts", "deployments", "logs"):
            region = overview.board.boxes[name].region
            assert region.width >= 30
            assert region.height >= 6
        shown = text(app)
        for words in ("production_data_pipeline", "0.71 < 0.80", "DataQualityDegradation", "MIXED", "ERROR"):
            assert words in shown


@BOTH
async def test_focus_starts_on_the_worst_row(size: tuple[int, int]) -> None:
    async with console(incident(), size) as (_, overview, _pilot):
        assert overview.board.focused == "pipelines"
        assert getattr(overview.board.current, "pipeline", "") == "production_data_pipeline"
    session = FakeSession()
    session.put("pipelines", "airflow", run("fine", "1", "success"))
    session.put("alerts", "am", alert("Bad", "critical", 1))
    async with console(session, size) as (_, overview, _pilot):
        assert overview.board.focused == "alerts"


@BOTH
async def test_the_header_says_where_who_how_and_what_is_live(size: tuple[int, int]) -> None:
    async with console(incident(), size) as (app, _, _pilot):
        line = app.screen.query_one(Header).render_line(0).text
        assert "PRODUCTION" in line
        assert "critical" in line
        assert "MIXED" in line
        assert "READ-ONLY" in line
    session = FakeSession(FakeContext(name="sandbox", sandbox=True, protected=False))
    session.put("deployments", "analytics", deployment())
    async with console(session, size) as (app, _, _pilot):
        line = app.screen.query_one(Header).render_line(0).text
        assert "SANDBOX" in line
        assert "live GREEN 2.4.1" in line
        assert "as oncall@bastion-1" in line or size == (80, 24)
        assert "13:02 UTC" in line


async def test_the_strip_is_there_only_when_something_is_wrong() -> None:
    async with console(incident()) as (app, _, _pilot):
        strip = app.screen.query_one(Strip)
        assert strip.display
        assert strip.text.split("   ") == [
            "✗ warehouse connection refused",
            "? logs loki stale 3m: no answer in 10 s",
            "@ fraud-model: canary 5 %, judging, 4m32s left, alice",
        ]
    session = FakeSession()
    session.put("pipelines", "airflow", run("fine", "1", "success"))
    async with console(session) as (app, _, _pilot):
        assert not app.screen.query_one(Strip).display


async def test_the_first_paint_does_no_reading_and_then_it_starts() -> None:
    session = incident()
    started_at_paint: list[Any] = []
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        started_at_paint.append([call for call in session.calls if call[0] == "start"])
        await pilot.pause(0.2)
        assert ("start", None) in session.calls
    assert ("aclose", None) in session.calls


async def test_no_key_on_the_overview_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    for name in ("open_item", "open_menu", "open_plan", "open_action", "copy", "leave", "push_screen"):
        monkeypatch.setattr(TealApp, name, lambda self, *args, name=name: opened.append(name))
    session = incident()
    async with console(session, (80, 24)) as (app, overview, pilot):
        for panel in ("pipelines", "quality", "alerts", "deployments", "logs", "timeline"):
            overview.board.zoom(panel)
            await pilot.pause()
            for key in [*string.ascii_letters, *string.digits, "enter", "exclamation_mark", "asterisk", "at", "colon"]:
                app.simulate_key(key)
            await pilot.pause()
    assert {"open_menu", "open_plan", "open_item", "push_screen"} <= set(opened)
    assert not {call for call, _ in session.calls} - {"start", "refresh", "actions", "aclose"}


async def test_new_data_arrives_and_a_lost_source_is_state() -> None:
    session = incident()
    async with console(session) as (app, overview, pilot):
        session.put("alerts", "am", age_s=130, error="connection refused")
        await pilot.pause(0.3)
        assert overview.board.boxes["alerts"].caption == "3 Alerts stale 2m"
        assert "? am stale 2m: connection refused" in text(app)
        session.put("alerts", "am", alert("Fresh", "critical", 0), age_s=0)
        await pilot.pause(0.3)
        assert overview.board.boxes["alerts"].caption == "3 Alerts 1 critical 0s"


@BOTH
async def test_what_a_lost_source_said_is_nowhere_ok_and_what_was_wrong_stays_so(size: tuple[int, int]) -> None:
    session = FakeSession()
    lost = {"age_s": 14, "error": "no such file"}
    session.put("alerts", "rules", **lost)
    session.put("pipelines", "airflow", run("fine", "1", "success"), run("bad", "2", "failed"), **lost)
    session.put("quality", "scores", score("events", 0.99, "ok", 2), score("orders", 0.7, "critical", 2), **lost)
    session.put("deployments", "analytics", deployment(), **lost)
    async with console(session, size) as (app, overview, _):
        shown, boxes = text(app), overview.board.boxes
        assert not [line for line in shown.splitlines() if line.lstrip("▌ ").startswith("✓")]
        assert "No alerts" not in shown
        assert boxes["alerts"].body.empty == "Unknown: last seen 14s ago, none firing then"
        assert boxes["pipelines"].caption == "1 Pipelines 1 failed 1 stale stale 14s"
        assert boxes["quality"].caption == "2 Quality 1 critical 1 stale stale 14s"
        assert boxes["deployments"].caption == "4 Deployments 1 stale stale 14s"
        assert "live UNKNOWN, was GREEN" in shown.splitlines()[0]
        assert "? analytics" in shown
        assert overview.board.boxes["timeline"].caption.startswith("6 Timeline 4 not read")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_live_color_with_errors_is_loud_at_every_size(size: tuple[int, int]) -> None:
    session = FakeSession()
    sides = deployment().colors
    failing = replace(sides["green"], error_pct=100.0)
    session.put("deployments", "analytics", deployment(colors={**sides, "green": failing}))
    async with console(session, size) as (app, _, _pilot):
        (title,) = [line for line in text(app).splitlines() if "4 Deployments" in line]
        assert "1 critical" in title
        rows = [line for line in text(app).splitlines() if "GREEN" in line]
        assert any(row.count("100 %") == 2 for row in rows), "weight and errors of the live color"
        assert "✗ critical" in text(app).splitlines()[0]


def test_a_source_that_has_not_answered_for_long_is_not_all_ok() -> None:
    session = FakeSession()
    session.put("alerts", "am", age_s=60)
    assert readings.health(session.store, [], NOW) == "warning"


async def test_a_data_flood_is_drawn_at_most_ten_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    session = incident()
    async with console(session) as (_, overview, pilot):
        while not overview.folding.causes.found:  # what was there at the start is drawn once more with its causes
            await pilot.pause(0.05)
        await pilot.pause(0.2)
        shows: list[set[str]] = []
        monkeypatch.setattr(overview.board, "show", lambda names: shows.append(set(names)))
        for n in range(500):
            session.put("logs", "app", log(1, "info", "app", f"line {n}"))
        await pilot.pause(0.25)
        assert shows == [{"logs"}]


@BOTH
async def test_zoom_filter_and_the_way_back(size: tuple[int, int]) -> None:
    async with console(incident(), size) as (app, overview, pilot):
        await pilot.press("2")
        assert overview.board.zoomed == "quality"
        assert overview.board.boxes["quality"].region.width >= size[0] - 2
        assert not overview.board.boxes["logs"].display
        await pilot.press("slash", *"prod", "enter")
        await pilot.pause()
        assert [item.dataset for item in overview.board.listing("quality").items] == ["products"]
        assert "1 of 4" in text(app)
        await pilot.press("escape")
        assert len(overview.board.listing("quality").items) == 4
        await pilot.press("escape")
        assert overview.board.zoomed == ""
        assert overview.board.boxes["logs"].display


async def test_v_shows_each_alert_of_a_group_by_itself_and_folds_them_again() -> None:
    session = FakeSession(FakeContext())
    session.put("alerts", "am", *(alert("Many", "warning", n, fingerprint=f"f{n}", group="g") for n in range(1, 6)))
    async with console(session) as (app, overview, pilot):
        await pilot.press("3")
        listing = overview.board.listing("alerts")
        assert "Many ×5" in text(app)
        await pilot.press("a")
        assert "5 alerts are in one row: v shows each by itself" in text(app)
        assert not [call for call in session.calls if call[0] == "plan"]
        await pilot.press("v", "j", "j")
        assert "each by itself (v)" in text(app)
        assert len(listing.items) == 5
        assert listing.current.fingerprint != listing.items[0].first.fingerprint
        session.put("alerts", "am", *(alert("Many", "warning", n, fingerprint=f"f{n}", group="g") for n in range(1, 5)))
        await pilot.pause(0.3)
        assert {len(row.alerts) for row in listing.items} == {1}
        await pilot.press("v")
        assert "each by itself" not in text(app)
        assert [len(row.alerts) for row in listing.items] == [4]
        await pilot.press("1", "v")
        assert not overview.board.listing("pipelines").rows.unfolded


async def test_the_timeline_has_a_place_of_its_own_where_there_is_none_on_the_overview() -> None:
    async with console(incident(), (80, 24)) as (_, overview, pilot):
        assert not overview.board.boxes["timeline"].region.area
        await pilot.press("6")
        await pilot.pause()
        assert overview.board.boxes["timeline"].region.height > 15


async def test_l_and_t_go_to_the_time_of_a_thing() -> None:
    async with console(incident()) as (_, overview, pilot):
        await pilot.press("l")
        assert overview.board.zoomed == "logs"
        entry = overview.board.logs.current
        assert entry is not None
        assert entry.at is not None
        assert abs(entry.at - (NOW - timedelta(minutes=2))) < timedelta(seconds=30)
        await pilot.press("0", "full_stop", "1", "t")
        assert overview.board.zoomed == "timeline"
        assert getattr(overview.board.current, "pipeline", "") == "production_data_pipeline"


async def test_search_in_the_logs_marks_and_moves() -> None:
    async with console(incident()) as (_, overview, pilot):
        await pilot.press("5", "slash", *"get", "enter", "N")
        assert overview.board.logs.current is not None
        assert overview.board.logs.current.message.startswith("GET /api/customers")
        await pilot.press("escape")
        assert overview.board.logs.search == ""
        assert overview.board.zoomed == "logs"


async def test_since_moves_in_steps_and_tells_the_session() -> None:
    session = incident()
    async with console(session) as (_, overview, pilot):
        await pilot.press("right_square_bracket")
        assert overview.board.since == session.since == timedelta(hours=3)
        assert "since 3h" in overview.board.boxes["timeline"].caption
        await pilot.press(*["left_square_bracket"] * 9)
        assert overview.board.since == timedelta(minutes=5)
        assert ("refresh", "pipelines") in session.calls


async def test_arming_is_for_protected_contexts_and_shows() -> None:
    session = incident()
    async with console(session) as (app, _, pilot):
        assert "READ-ONLY" in app.screen.query_one(Header).render_line(0).text
        await pilot.press("exclamation_mark")
        assert "ARMED" in app.screen.query_one(Header).render_line(0).text
        await pilot.press("exclamation_mark")
        assert "ARMED" not in app.screen.query_one(Header).render_line(0).text
        assert not session.armed
    session = incident(FakeContext(read_only=True))
    async with console(session) as (app, _, pilot):
        await pilot.press("exclamation_mark")
        assert not session.armed
        assert "read_only" in app.screen.query_one(KeyBar).text


@pytest.mark.parametrize("size", [(59, 24), (80, 15), (30, 8), (1, 1)])
async def test_a_terminal_too_small_says_so(size: tuple[int, int]) -> None:
    async with console(incident(), size) as (app, _, pilot):
        assert isinstance(app.screen, TooSmall)
        await pilot.resize_terminal(80, 24)
        await pilot.pause(2 * SETTLE_S)
        assert app.screen.query_one(Header).display
        assert "production_data_pipeline" in text(app)


async def test_of_a_resize_storm_the_last_size_is_drawn_and_few_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async with console(incident()) as (app, overview, pilot):
        await pilot.pause(2 * SETTLE_S)
        sizes: set[Size] = set()
        overview.screen_layout_refresh_signal.subscribe(overview, lambda screen: sizes.add(screen.size), immediate=True)
        monkeypatch.setattr("console.settling.SETTLE_S", 600.0)  # a slow machine makes no pauses of the storm
        for width, height in [(80, 24), (200, 60), (60, 16), (10, 3), (120, 40), (79, 24)] * 3:
            await pilot.resize_terminal(width, height)
        monkeypatch.setattr("console.settling.SETTLE_S", SETTLE_S)
        await pilot.resize_terminal(79, 23)
        await pilot.pause(2 * SETTLE_S)
        assert "production_data_pipeline" in text(app)
        assert app.size == (79, 23)
        assert len(sizes) <= 2


async def test_ascii_draws_nothing_else() -> None:
    session = incident()
    async with console(session, (80, 24), ASCII) as (app, _, _pilot):
        shown = text(app).replace("→", "").replace("–", "-")
        assert [char for char in shown if not char.isascii()] == []
        assert "| " in shown, "the boxes too"


async def test_markup_in_data_is_text() -> None:
    session = FakeSession()
    session.put("quality", "scores", score("[red]x[/red][/]", 0.1, "critical", 1))
    session.put("alerts", "am", alert("[@click=app.exit]a[/]", "critical", 1, summary="[/]"))
    session.put("logs", "app", log(1, "error", "[b]", "[/nothing] [0]"))
    async with console(session) as (app, _, pilot):
        await pilot.press("tab", "tab", "tab", "tab")
        shown = text(app)
        assert "[red]x[/red][/]" in shown
        assert "[/nothing] [0]" in shown


async def test_quitting_names_the_actions_that_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from actions.models import Action

    session = incident()
    open_action = Action(
        id="7F3", kind="flip", service="analytics", status="running", phase="bake", from_="blue", to="green"
    )

    async def actions(*, open_only: bool = False) -> list[Action]:
        return [open_action]

    monkeypatch.setattr(session, "actions", actions)
    said: list[Any] = []
    monkeypatch.setattr(TealApp, "exit", lambda self, *args, message=None, **more: said.append(message))
    async with console(session) as (app, _, pilot):
        await pilot.pause(0.2)
        assert "flip analytics BLUE → GREEN, baking" in app.screen.query_one(Strip).text
        await pilot.press("q")
        assert not said
        await pilot.press("q")
    assert "7F3  flip analytics: running" in str(said[0])


async def test_a_screen_that_is_left_before_it_is_there_goes_once_it_is() -> None:
    """Gone before, it missed its widgets, and the console ended: Enter and Esc right behind it, on a busy host."""
    async with console(incident()) as (app, overview, pilot):
        for opened in (deployment(), alert("Bad", "critical", 1)) * 3:
            app.open_item(opened)
            app.pop_screen()
            await pilot.pause(0.2)
            assert app.return_code is None
            assert app.screen is overview


async def test_the_lines_of_screens_that_were_left_are_not_kept() -> None:
    """Textual kept those of the last 1,024 widgets: 40 MB of a console that had opened some hundred screens."""

    def drawn() -> int:
        gc.collect()
        return sum(isinstance(found, DrawnLine) for found in gc.get_objects())

    async with console(incident()) as (app, _, pilot):
        kept = []
        for _ in range(6):
            await pilot.press("question_mark")
            await until(pilot, lambda: len(app.screen_stack) == 2, "the help is shown")
            await pilot.press("escape")
            await until(pilot, lambda: len(app.screen_stack) == 1, "the help is left")
            kept.append(drawn())
        await until(pilot, lambda: drawn() - kept[2] < 10, "nothing of what was left is kept")


BLIND = "who acts is unknown: journal /j.db: file is not a database"


@pytest.mark.parametrize(
    ("fields", "worst", "said"),
    [
        ({"action_unknown": BLIND}, "? unknown", BLIND),
        (
            {"action": "7F3", "orphaned_since": ago(minutes=3)},
            "✗ critical",
            "flip analytics: nobody runs it, seen 3m ago",
        ),
    ],
)
async def test_what_nobody_runs_or_nobody_can_know_is_in_header_and_strip(
    fields: dict[str, Any], worst: str, said: str
) -> None:
    session = FakeSession()
    session.open_ones = [an_action(id="7F3", orphaned_since=ago(minutes=3))] if "action" in fields else []
    session.put("deployments", "analytics", deployment(**fields))
    async with console(session) as (app, _, pilot):
        await pilot.pause(0.3)
        shown = text(app).splitlines()
        assert worst in shown[0]
        assert said in shown[1]


async def never() -> tuple[Any, ...]:
    await asyncio.Event().wait()
    return ()


async def test_a_source_that_was_not_read_yet_is_being_read_not_missing_and_nothing_is_known_to_be_well() -> None:
    session = FakeSession()
    for panel in ("pipelines", "quality", "alerts", "deployments", "logs"):
        Feed(Source(SourceKey(panel, f"slow-{panel}"), "x", never), session.store, interval_s=15)
    async with console(session) as (app, overview, pilot):
        shown = text(app)
        assert "no source configured" not in shown
        for name in ("pipelines", "quality", "alerts", "deployments", "logs"):
            assert overview.board.boxes[name].body.empty == f"Reading slow-{name}: nothing is known of it yet"
            assert overview.board.boxes[name].caption.endswith(" reading")
        assert "Nothing failed" not in overview.board.boxes["timeline"].body.empty
        assert readings.health(session.store, [], NOW) == "unknown"
        session.put("alerts", "slow-alerts")
        await until(pilot, lambda: "No alerts firing" in text(app), "what was read is said")
        assert "Reading slow-quality" in text(app)
    async with console(FakeSession()) as (app, _, pilot):
        assert "no source configured" in text(app)


async def test_what_another_console_orders_is_on_the_screen_within_two_seconds_and_read_again_when_it_ends() -> None:
    session = FakeSession()
    session.put("deployments", "analytics", deployment())
    theirs = an_action(id="7F3")
    async with console(session) as (app, _, pilot):
        session.open_ones = [theirs]
        await pilot.pause(1.5)
        assert "@ alice: flip analytics BLUE → GREEN, verify" in text(app).splitlines()[1]
        assert ("refresh", "deployments") in session.calls
        session.put("deployments", "analytics", deployment(action="7F3"))
        session.open_ones = []
        await pilot.pause(1.5)
        assert ("refresh", None) in session.calls, "what it changed is read at once"
        assert "@" not in text(app).splitlines()[1], "the snapshot is older than the journal"


async def test_a_journal_that_can_not_be_read_makes_who_acts_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession()
    session.put("alerts", "am")

    async def lost(*, open_only: bool = False) -> list[Any]:
        raise BackendError("unreachable", "journal /j.db: gone")

    monkeypatch.setattr(session, "actions", lost)
    async with console(session) as (app, _, pilot):
        await pilot.pause(1.5)
        shown = text(app).splitlines()
        assert "? unknown" in shown[0]
        assert "who acts is unknown: journal /j.db: gone" in shown[1]


async def test_the_list_of_actions_is_drawn_whatever_came_of_them() -> None:
    session = FakeSession()
    session.open_ones = [an_action(id="7F3", orphaned_since=ago(minutes=3)), an_action(id="7F4", status="rolled_back")]
    monkey = session.actions
    session.actions = lambda *, open_only=False, limit=50: monkey(open_only=open_only)
    async with console(session) as (app, _, pilot):
        await pilot.press("at")
        await until(pilot, lambda: "nobody runs it since" in text(app), "both are listed")
        assert [line.lstrip("│▌ ")[0] for line in text(app).splitlines() if "flip analytics" in line] == ["✗", "▲"]
