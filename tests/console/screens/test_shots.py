"""The look of the screens, held by pictures: few, with a fixed clock. `pytest --snapshot-update` renews them."""

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from console.app import TealApp
from panels.words import ASCII
from tests.console.fakes import NOW, FakeContext, FakeSession, deployment, incident, run


def settled(*keys: str) -> Any:
    async def before(pilot: Pilot[None]) -> None:
        await pilot.pause(0.2)
        for key in keys:
            await pilot.press(key)
        await pilot.pause(0.2)

    return before


def app(session: FakeSession, **more: Any) -> TealApp:
    return TealApp(session, now=lambda: NOW, **more)


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_overview_on_a_bad_day(snap_compare: Any, size: tuple[int, int]) -> None:
    assert snap_compare(app(incident()), terminal_size=size, run_before=settled())


def test_overview_in_ascii(snap_compare: Any) -> None:
    assert snap_compare(app(incident(), symbols=ASCII), terminal_size=(80, 24), run_before=settled())


def test_overview_on_a_good_day_in_the_sandbox(snap_compare: Any) -> None:
    session = FakeSession(FakeContext(name="sandbox", sandbox=True, protected=False))
    session.put("pipelines", "local", run("production_data_pipeline", "7", "success", started_at=NOW, ended_at=NOW))
    session.put("alerts", "rules")
    session.put("deployments", "analytics", deployment(last_switch=None, rollback=None))
    assert snap_compare(app(session), terminal_size=(120, 40), run_before=settled())


def test_overview_without_color_says_the_same(snap_compare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(app(incident()), terminal_size=(80, 24), run_before=settled())


def test_palette(snap_compare: Any) -> None:
    async def still(pilot: Pilot[None]) -> None:
        from textual.widgets import Input

        await settled("colon")(pilot)
        pilot.app.screen.query_one(Input).cursor_blink = False
        await pilot.pause()

    assert snap_compare(app(incident()), terminal_size=(80, 24), run_before=still)


def test_snapshots_are_few() -> None:
    assert len(list((Path(__file__).parent / "__snapshots__" / "test_shots").glob("*"))) < 10
