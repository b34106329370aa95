"""What is worst or most dangerous is the loudest on the screen, with and without colors."""

from unittest import mock

import pytest
from msgspec.structs import replace
from rich.color import Color
from rich.style import Style
from textual.containers import ScrollableContainer
from textual.filter import Monochrome
from textual.geometry import Size
from textual.scroll_view import ScrollView

from actions.models import Request
from backends.models import CheckResult
from console.screens.plan import PlanScreen
from panels.colorless import colorless
from panels.columns import Moment, text_of
from panels.header import Trouble
from panels.theme import styles_of
from panels.themes import THEMES, default_theme
from tests.console.fakes import NOW, FakeContext, FakeSession, incident
from tests.console.screen_fakes import FakeSession as Orders
from tests.console.screen_fakes import Holder
from tests.console.screen_fakes import text_of as screen_text
from tests.console.screens.test_overview import console
from tests.console.screens.test_plan_screen import until
from tests.panels.test_themes import variables


async def test_without_colors_no_color_is_written_and_critical_is_never_dimmer_than_ok(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    async with console(incident(FakeContext(theme="light")), (120, 40)) as (app, _, _pilot):
        assert app.theme == THEMES["mono"].name
        assert not [each for each in app.get_line_filters() if isinstance(each, Monochrome)]
        styles = [
            (segment.text, colorless(segment.style))
            for strip in app.screen._compositor.render_strips()
            for segment in strip
            if segment.style and segment.text.strip()
        ]
        assert all(style.color is None or style.color.is_default for _, style in styles)
        critical = [style for text, style in styles if "0.71 < 0.80" in text or "critical" in text]
        assert critical
        assert all(style.bold and not style.dim for style in critical)


def test_a_ground_of_its_own_is_reversed_where_there_are_no_colors() -> None:
    cursor = Style(color="black", bgcolor="white")
    assert (colorless(cursor).reverse, colorless(cursor).bgcolor) == (True, Color.default())
    assert not colorless(Style(bgcolor="default", color="red", bold=True)).reverse
    assert colorless(Style(color="red", bold=True)).bold
    assert not colorless(cursor + Style(reverse=True)).reverse


def test_under_the_cursor_of_a_terminals_own_colors_nothing_is_gray() -> None:
    ansi, dark = (styles_of(variables(THEMES[name])) for name in ("ansi", "dark"))
    for tone in ("muted", "warning", "critical", "green"):
        style = ansi.style(tone, on_cursor=True)
        assert style.color is None
        assert not style.dim
        assert dark.style(tone, on_cursor=True) == dark.style(tone)
    assert ansi.style("critical", on_cursor=True).bold


@pytest.mark.parametrize(
    ("environ", "theme"),
    [
        ({"TERM": "linux"}, "ansi"),
        ({"TERM": "linux", "COLORTERM": "truecolor"}, "dark"),
        ({"TERM": "xterm-256color"}, "dark"),
        ({}, "dark"),
    ],
)
def test_a_terminal_of_sixteen_colors_gets_its_own(environ: dict[str, str], theme: str) -> None:
    assert default_theme(environ) == theme


@pytest.mark.parametrize("protected", [True, False])
async def test_a_protected_context_is_the_loudest_thing_on_its_plan(protected: bool) -> None:
    session = Orders(protected=protected)
    app = Holder(PlanScreen(session, Request(kind="flip", service="analytics")))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Flip analytics" in screen_text(app), "the plan is there")
        frame = app.screen.query_one("#frame")
        assert (frame.styles.border_top[0] == "heavy") is protected
        place = app.screen.place()
        assert any("reverse" in str(span.style) for span in place.spans) is protected


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 20)])
async def test_a_plan_is_as_tall_as_its_text_and_its_buttons_are_never_scrolled_away(size: tuple[int, int]) -> None:
    session = Orders()
    app = Holder(PlanScreen(session, Request(kind="flip", service="analytics")))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "Flip traffic" in screen_text(app), "the plan is there")
        frame, buttons = app.screen.query_one("#frame"), app.screen.query_one("#buttons")
        details = app.screen.query_one("#details")
        assert frame.region.bottom <= size[1] - 1
        assert buttons.region.bottom == frame.region.bottom - 1
        assert details.region.bottom <= app.screen.query_one("#reason-field").region.y
        if size == (120, 40):
            assert frame.region.height < 24
            assert details.region.height == details.virtual_size.height


async def test_the_strip_says_the_worst_first_and_several_at_80_columns() -> None:
    session = FakeSession()
    words = "a long explanation that nobody can read to its end at eighty columns"
    async with console(session, (80, 24)) as (app, overview, pilot):
        troubles = [
            Trouble("critical", "✗", "router 502"),
            Trouble("unknown", "?", f"logs loki stale 3m: {words}"),
            Trouble("strong", "@", "alice: canary fraud-model 5 %, judging"),
            Trouble("warning", "▲", words),
        ]
        overview.top.strip.show(troubles)
        await pilot.pause(0.1)
        line = text_of(overview.top.strip.line(0))
        assert len(line) <= app.size.width
        assert "✗ router 502   ? logs loki stale 3m" in line
        assert "@ alice: canary fraud-m" in line
        assert line.endswith("+1 more")
        overview.top.strip.show(troubles[1:2])
        assert text_of(overview.top.strip.line(0)).startswith(f" ? logs loki stale 3m: {words}"[:60])


def test_a_critical_check_stands_before_an_action_that_goes_on() -> None:
    from console.screens.readings import troubles
    from panels.words import UNICODE
    from tests.console.screen_fakes import an_action

    session = incident()
    found = troubles(session.store, [an_action()], (), NOW, UNICODE)
    tones = [each.tone for each in found]
    assert tones.index("critical") < tones.index("strong")
    assert [each.symbol for each in found if each.tone == "strong"] == ["@", "@"]


def test_a_pause_of_a_controller_that_nobody_watches_stands_in_the_strip_and_in_the_header() -> None:
    from console.screens.readings import troubles
    from panels.header import Header, Place
    from panels.words import UNICODE
    from tests.panels.test_kinds import controlled

    item = controlled("paused", stage="READY_WAIT", message="READY_WAIT, it rolls back by itself at 03:40 UTC")
    for action, there in ((None, True), ("A1", False)):
        session = FakeSession()
        session.put("deployments", "analytics", replace(item, action=action))
        found = troubles(session.store, [], (), NOW, UNICODE, over=("A1",))
        said = "analytics: PAUSED READY_WAIT: it rolls back by itself at 03:40 UTC, no action of ours watches it"
        assert [(each.tone, each.text) for each in found] == ([("warning", said)] if there else [])
        header = Header(Place(name="production", title="analytics"))
        with mock.patch.object(Header, "repaint"), mock.patch.object(Header, "size", Size(200, 1)):
            header.show(
                Place(name="production", title="analytics"), "warning", [replace(item, action=action)], Moment(NOW)
            )
            assert (" PAUSED" in text_of(header.line(0))) == there


def test_a_rollback_that_failed_stands_before_each_check_in_the_strip() -> None:
    """Users had the bad version, and the strip of 80 columns began with a drift of Terraform."""
    from console.screens.readings import troubles
    from panels.words import UNICODE
    from tests.panels.test_kinds import deployment

    session = FakeSession()
    drift = CheckResult(ref="infra", name="infra", state="critical", message="1 to destroy")
    session.put("checks", "infra", drift)
    failed = (
        "the rollback of 707T7R failed: kill(20331, 1) failed (3: No such process)\nagain: teal deploy rollback web"
    )
    session.put("deployments", "web", replace(deployment(), service="web", rollback_failed=failed))
    first, second = troubles(session.store, [], (), NOW, UNICODE)
    assert (first.tone, second.text) == ("critical", "infra 1 to destroy")
    assert first.text.startswith("web: the rollback of 707T7R failed, b there tries it again: kill(20331, 1) failed")


@pytest.mark.parametrize(
    "keys", [("1", "enter"), ("2", "enter"), ("3", "enter"), ("4", "enter"), ("4", "x"), ("question_mark",), ("colon",),
             ("s",), ("at",), ("s", "enter")],
)  # fmt: skip
async def test_no_scrollbar_is_wider_than_one_column(keys: tuple[str, ...]) -> None:
    """Those of Textual are two columns, and the loudest thing beside a log."""
    async with console(incident(), (80, 24)) as (app, _, pilot):
        await pilot.press(*keys)
        await pilot.pause(0.3)
        wide = [
            widget for widget in app.screen.query("*")
            if widget.styles.overflow_y != "hidden" and widget.scrollbar_size_vertical > 1
            and isinstance(widget, ScrollView | ScrollableContainer)
        ]  # fmt: skip
        assert wide == []
