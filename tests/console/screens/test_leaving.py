"""Leaving a screen while it reads: the answer comes when its widgets are gone, and breaks nothing."""

import asyncio
from typing import Any

from actions.models import Action
from console.ports.store import Snapshot
from console.screens.deployment_detail import DeploymentDetail
from tests.console.screen_fakes import FakeSession, Holder, a_deployment


class AnswersLate(FakeSession):
    """Answers once the widget that would show it has been taken away."""

    screen: Any = None

    async def actions(self, **_: Any) -> list[Action]:
        while self.screen.query("#actions"):
            await asyncio.sleep(0)
        return []


async def test_an_answer_after_the_screen_was_left_breaks_nothing() -> None:
    session = AnswersLate()
    session.screen = DeploymentDetail(session, a_deployment())
    app = Holder(session.screen)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert app.screen is session.screen
        await app.pop_screen()
        await pilot.pause()
        assert app.screen is not session.screen
        assert app.return_code is None
        session.put("deployments", a_deployment())


async def test_what_comes_for_a_screen_that_is_gone_is_not_shown() -> None:
    """While the console ends, widgets go before the session does."""
    session = FakeSession()
    screen = DeploymentDetail(session, a_deployment())
    app = Holder(screen)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        heard: list[Snapshot] = []
        screen.listen(heard.append)
        session.put("deployments", a_deployment())
        assert len(heard) == 1
        await app.pop_screen()
        screen.listen(heard.append)
        session.put("deployments", a_deployment())
        assert len(heard) == 1
