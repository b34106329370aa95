"""Group A of a walk through every screen (issue 14): what has no test of its own beside its panel.

Where the others are held: A3, A4, A5, A11, A24 in `test_overview.py`; A8 in `test_clock.py` and `test_every_key.py`;
A12, A13 in `test_remembered.py`, `test_told_episodes.py`; A14 in `tests/panels/test_kinds.py`; A15 in
`test_triage.py`; A16 in `test_rollback.py`; A21 in `tests/backends/test_stopwatch.py`; A22 in `test_tail.py`; A25 in
`test_run_detail.py`.
"""

import asyncio
from datetime import UTC, timedelta
from typing import Any

from msgspec.structs import replace
from textual.widgets import OptionList

from actions.models import Action
from backends.errors import BackendError
from backends.models import ColorState, Freeze
from console.screens.deployment_detail import DeploymentDetail
from console.screens.deployment_lines import known_against, side_rows
from panels.words import UNICODE
from tests.console.fakes import NOW, FakeSession, ago, deployment, incident
from tests.console.screen_fakes import FakeSession as ScreenSession
from tests.console.screen_fakes import a_deployment, an_action
from tests.console.screens.test_overview import console, text
from tests.console.screens.test_plan_screen import Holder, until


def test_a3_a_live_color_whose_requests_fail_is_red_in_its_detail_and_no_numbers_run_together() -> None:
    colors = {
        "blue": ColorState(version="2.4.0", weight_pct=0, healthy=True),
        "green": ColorState(version="2.4.1", weight_pct=100, healthy=True, rps=1.4, error_pct=100.0, p95_ms=5),
    }
    _, _, live = side_rows(a_deployment(live="green", colors=colors), UNICODE)
    assert "✗" in live.lead.plain
    assert "1.4/s    100 %" in live.lead.plain
    assert "its requests fail" in live.body.plain


async def test_a5_the_list_of_actions_says_that_it_reads_until_it_has(monkeypatch: Any) -> None:
    session, answer = FakeSession(), asyncio.Event()

    async def slow(*, open_only: bool = False, limit: int = 50) -> list[Action]:
        if not open_only:
            await answer.wait()
        return []

    monkeypatch.setattr(session, "actions", slow)
    async with console(session) as (app, _, pilot):
        await pilot.press("at")
        await until(pilot, lambda: "Reading the journal" in text(app), "that it reads is said")
        assert "No actions yet" not in text(app)
        answer.set()
        await until(pilot, lambda: "No actions yet" in text(app), "that there are none is said once it is known")


async def test_actions_are_listed_as_the_journal_recorded_them(monkeypatch: Any) -> None:
    """A clock was ahead of what it is now."""
    session = FakeSession()
    ahead = an_action(id="A1", status="succeeded", started_at=NOW + timedelta(minutes=10), reason="the older")
    recorded = [an_action(id="A2", status="succeeded", started_at=NOW, reason="the newer"), ahead]

    async def actions(*, open_only: bool = False, limit: int = 50) -> list[Action]:
        return [] if open_only else recorded

    monkeypatch.setattr(session, "actions", actions)
    async with console(session) as (app, _, pilot):
        await pilot.press("at")
        await until(pilot, lambda: "the older" in text(app), "both are listed")
        assert text(app).index("the newer") < text(app).index("the older")


async def test_a5_a_journal_that_can_not_be_read_has_not_no_actions(monkeypatch: Any) -> None:
    session = FakeSession()

    async def lost(*, open_only: bool = False, limit: int = 50) -> list[Action]:
        raise BackendError("unreachable", "journal /j.db: gone")

    monkeypatch.setattr(session, "actions", lost)
    async with console(session) as (app, _, pilot):
        await pilot.press("at")
        await until(pilot, lambda: "Unknown: the journal can not be read" in text(app), "it is unknown")
        assert "No actions yet" not in text(app)


async def test_a10_what_was_rolled_back_has_no_tick_in_any_list() -> None:
    back = an_action(id="7F4", status="rolled_back", ended_at=ago(minutes=1))
    session = FakeSession()
    session.open_ones = [back]
    listed = session.actions
    session.actions = lambda *, open_only=False, limit=50: listed(open_only=open_only)
    async with console(session) as (app, _, pilot):
        await pilot.press("at")
        await until(pilot, lambda: "rolled back" in text(app), "it is listed")
        (line,) = [line for line in text(app).splitlines() if "flip analytics" in line]
        assert "▲" in line
        assert "✓" not in line


async def test_a19_the_history_of_a_service_is_drawn_as_wide_as_the_screen_from_the_first_time_on() -> None:
    session = ScreenSession()
    session.all_actions = [an_action(status="succeeded", ended_at=ago(minutes=1))]
    session.put("deployments", a_deployment())
    answer, known = asyncio.Event(), session.actions

    async def late(**asked: Any) -> list[Action]:
        await answer.wait()
        return await known(**asked)

    session.actions = late
    screen = DeploymentDetail(session, a_deployment())
    async with Holder(screen).run_test(size=(120, 40)) as pilot:
        listed = screen.query_one(OptionList)
        await pilot.pause()
        answer.set()
        await until(pilot, lambda: bool(listed.option_count), "it is read")
        await pilot.pause()
        line = str(listed.get_option_at_index(0).prompt)
        assert listed.scrollable_content_region.width > 100
        assert len(line) == listed.scrollable_content_region.width
        assert '"2.4.1 go"' in line


async def test_a20_a_panel_that_is_among_others_again_is_laid_out_before_it_is_drawn() -> None:
    async with console(incident()) as (_, overview, pilot):
        body = overview.board.listing("pipelines")
        together = [body.render_line(y).text for y in range(body.size.height)]
        width, draw, drawn = body.size.width, body.render_line, list[str]()

        def watched(y: int) -> Any:
            line = draw(y)
            if body.size.width == width:
                drawn.append(line.text)
            return line

        await pilot.press("1")
        await until(pilot, lambda: body.size.width > width, "it is alone")
        body.render_line = watched
        await pilot.press("0")
        await until(pilot, lambda: body.size.width == width and bool(drawn), "it is among others")
        assert {line.rstrip() for line in drawn} <= {line.rstrip() for line in together}


async def test_a23_an_action_that_has_ended_is_no_orphan_and_not_open_while_the_snapshot_is_older() -> None:
    session = FakeSession()
    session.put("deployments", "analytics", deployment(action="7F3", orphaned_since=None))
    session.open_ones = [an_action(id="7F3")]
    async with console(session) as (app, overview, pilot):
        await until(pilot, lambda: [action.id for action in overview.open_actions] == ["7F3"], "it is open")
        session.open_ones = []
        overview.read_actions()
        await until(pilot, lambda: not overview.open_actions, "it is over")
        assert "@" not in text(app).splitlines()[1]
        assert "nobody runs it" not in text(app)


async def test_a26_the_alerts_are_read_again_when_ones_own_action_on_one_has_ended() -> None:
    """The session that acts; the real one reads, the screen shows what it has read."""
    from console.session import Session

    read: list[str] = []

    class Orders:
        async def watch(self, action_id: str, *, in_time: bool = False) -> Any:
            yield an_action(id=action_id)
            yield replace(an_action(id=action_id), status="succeeded")

    session = Session.__new__(Session)
    session.orders = Orders()
    session.refresh = lambda panel=None: read.append(panel or "all")
    await session._read_alerts_after("7F3")
    assert read == ["alerts"]


def test_d6_a_frozen_service_says_in_its_detail_until_when_why_and_by_whom() -> None:
    frozen = Freeze(by="alice", since=NOW, until=NOW + timedelta(hours=2), reason="year end")
    (said,) = known_against(a_deployment(freeze=frozen), UNICODE, UTC)
    assert said.body.plain == "FROZEN by alice since 24 Aug 13:02 UTC until 24 Aug 15:02 UTC: year end"


def test_d7_the_p95_of_a_side_without_traffic_stands_beside_its_color() -> None:
    colors = {
        "blue": ColorState(version="2.4.0", weight_pct=100, healthy=True, p95_ms=12),
        "green": ColorState(version="2.4.1", weight_pct=0, healthy=True, p95_ms=831.0, detail="healthy in 831 ms"),
    }
    _, _, idle = side_rows(a_deployment(colors=colors), UNICODE)
    assert "831ms" in idle.lead.plain
