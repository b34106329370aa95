"""`b` from anywhere: the way back of what is under the cursor, of the open action, of the only service; else where to
stand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from textual.pilot import Pilot

from actions.models import Request
from console.app import TealApp
from console.screens.plan import PlanScreen
from panels.keybar import KeyBar
from tests.console.fakes import NOW, FakeContext, FakeSession, deployment, incident
from tests.console.screen_fakes import a_plan, an_action


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    told = incident(FakeContext())
    told.put("deployments", "fraud-model")

    async def plan(request: Request) -> Any:
        return a_plan(request)

    monkeypatch.setattr(told, "plan", plan)
    return told


@asynccontextmanager
async def console(session: FakeSession) -> AsyncIterator[tuple[TealApp, Pilot[None]]]:
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.1)
        yield app, pilot


async def planned(app: TealApp, pilot: Pilot[None], *keys: str) -> Request | None:
    """What is planned after those keys; None for nothing."""
    await pilot.press(*keys)
    await app.workers.wait_for_complete()
    await pilot.pause()
    return app.screen.request if isinstance(app.screen, PlanScreen) else None


@pytest.mark.parametrize("path", [("1",), ("2", "enter"), ("3", "enter"), ("5",), ("6",), ("s",), ("question_mark",)])
async def test_the_only_service_goes_back_from_wherever_one_stands(session: FakeSession, path: tuple[str, ...]) -> None:
    async with console(session) as (app, pilot):
        request = await planned(app, pilot, *path, "b")
        assert request is not None
        assert (request.kind, request.service) == ("rollback", "analytics")


async def test_of_several_services_the_one_with_the_open_action_goes_back(session: FakeSession) -> None:
    session.put("deployments", "other", deployment("billing"))
    async with console(session) as (app, pilot):
        assert await planned(app, pilot, "1", "b") is None
        assert "4 shows them, b there" in app.screen.query_one(KeyBar).text
        session.open_ones = [an_action(service="billing", started_at=NOW - timedelta(seconds=20))]
        request = await planned(app, pilot, "b")
        assert request is not None
        assert (request.kind, request.service) == ("rollback", "billing")


async def test_a_plan_that_is_open_is_not_covered_by_another(session: FakeSession) -> None:
    async with console(session) as (app, pilot):
        assert await planned(app, pilot, "b") is not None
        await pilot.pause(0.6)
        stack = list(app.screen_stack)
        await pilot.press("b")
        await pilot.pause()
        assert app.screen_stack == stack
