"""What a page has to say is all to be seen or to be reached at 60×20, what matters most first."""

from typing import Any

from msgspec.structs import replace
from textual.containers import VerticalScroll
from textual.widgets import Input

from actions.models import Finding
from console.screens.deployment_detail import DeploymentDetail
from console.screens.deployment_lines import side_columns
from console.screens.plan import PlanScreen
from console.screens.run_detail import RunDetail
from tests.console.screen_fakes import FakeSession, Holder, a_deployment, a_plan, a_run, text_of
from tests.console.screens.test_plan_screen import FLIP, until

SMALL = (60, 20)


def a_service() -> DeploymentDetail:
    session = FakeSession()
    session.put("deployments", a_deployment())
    return DeploymentDetail(session, a_deployment())


async def test_a_service_shows_its_colors_and_the_way_back_whole() -> None:
    async with Holder(a_service()).run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "back" in text_of(pilot.app), "it is drawn")
        await pilot.pause()
        lines = text_of(pilot.app).splitlines()
        (heading,) = [line for line in lines if "COLOR" in line]
        assert "WEIGHT" in heading
        assert "ERRORS" in heading
        assert "…" not in heading
        assert sum("healthy" in line for line in lines) >= 2
        assert any("│ back " in line for line in lines)


def test_a_column_that_nobody_tells_of_takes_no_room() -> None:
    told = a_deployment()
    assert "READY" in [name for name, _, _ in side_columns(told, 76)]
    silent = {color: replace(side, ready=None, desired=None) for color, side in told.colors.items()}
    assert "READY" not in [name for name, _, _ in side_columns(a_deployment(colors=silent), 76)]
    assert [name for name, _, _ in side_columns(told, 40)] == ["WEIGHT", "ERRORS"]


async def test_a_run_begins_with_its_error_and_what_that_means() -> None:
    session = FakeSession()
    run = a_run(error="x: SuiteError: " + "column is not in raw " * 9)
    screen = RunDetail(session, run)
    async with Holder(screen).run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "error" in text_of(pilot.app), "it is drawn")
        lines = text_of(pilot.app).splitlines()
        at = next(n for n, line in enumerate(lines) if "✗ failed" in line)
        assert lines[at + 1].startswith("│ error")


async def test_page_down_shows_what_a_page_has_no_room_for() -> None:
    session = FakeSession()
    many = tuple(Finding(level="warning", code=f"w{n}", text=f"worry number {n} of a plan") for n in range(30))
    session.plans = [a_plan(findings=many)]
    screen = PlanScreen(session, FLIP)
    async with Holder(screen).run_test(size=SMALL) as pilot:
        await until(pilot, lambda: isinstance(screen.focused, Input), "a field has the focus")
        await pilot.pause()
        scroll: Any = screen.query_one("#worries-scroll", VerticalScroll)
        assert "worry number 29" not in text_of(pilot.app)
        for _ in range(30):
            await pilot.press("pagedown")
        await until(pilot, lambda: "worry number 29" in text_of(pilot.app), "the last is reached")
        await pilot.press("pageup")
        await until(pilot, lambda: scroll.scroll_y < scroll.max_scroll_y, "and back")
        assert isinstance(screen.focused, Input)
