"""The page of an action while the journal's server is restarted."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actions.models import Consent, Request
from console.config.selection import select
from console.screens.action import ActionScreen
from console.session import Session, opened
from tests.console.screen_fakes import Holder, text_of
from tests.console.screens.test_plan_screen import SIZE
from tests.console.test_orders import written
from tests.live.postgres import postgres
from tests.two_colors import TwoColors

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("postgres")]


async def until(pilot: Any, condition: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(30):
            while not condition():
                await pilot.pause(0.1)
    except TimeoutError:
        pytest.fail(f"never: {what}\n{text_of(pilot.app)}")


async def test_it_is_known_again_once_its_journal_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    with postgres() as server:
        monkeypatch.setenv("JOURNAL", server.url())
        async with TwoColors(tmp_path) as service:
            config = written(service, "")
            text = config.read_text().replace("[contexts.c]", '[contexts.c]\njournal = { env = "JOURNAL" }')
            config.write_text(text.replace('"200ms"', '"12s"'))
            async with opened(Session(select(str(config), None))) as session:
                plan = await session.plan(Request(kind="flip", service="analytics", to="green"))
                action = await session.submit(plan, Consent(confirmed=True, reason="a test"))
                screen = ActionScreen(session, action.id or "")
                async with Holder(screen).run_test(size=SIZE) as pilot:
                    await until(pilot, lambda: "… bake" in text_of(pilot.app), "it goes on")
                    await asyncio.to_thread(server.stop)
                    await until(pilot, lambda: "not known since" in text_of(pilot.app), "it is lost")
                    assert "? bake" in text_of(pilot.app), "what was at work then"
                    await asyncio.to_thread(server.start)
                    await until(pilot, lambda: "not known since" not in text_of(pilot.app), "read again by itself")
                    await until(pilot, lambda: "done and verified" in text_of(pilot.app), "its end is seen")
