"""A score in full: what failed comes first, then how it went in 24 hours; without a history, no chart. Symbols have a
legend under `?`."""

from datetime import timedelta

from msgspec.structs import replace

from backends.models import TrendPoint
from console.screens.parts import Paragraphs
from panels.words import UNICODE
from tests.console.fakes import NOW, FakeSession, score
from tests.console.screen_fakes import text_of
from tests.console.screens.test_alert_screens import console

VALUES = (0.99, 0.98, 0.97, 0.71)


async def test_a_score_with_a_history_has_a_chart_and_one_without_has_none() -> None:
    trend = tuple(TrendPoint(NOW - timedelta(hours=18 - 6 * n), value) for n, value in enumerate(VALUES))
    known = replace(score("orders", 0.71, "critical", 2), trend=trend)
    session = FakeSession()
    session.put("quality", "scores", known)
    async with console(session, size=(80, 40)) as (app, pilot):
        app.open_item(known)
        await pilot.pause()
        text = app.screen.query_one("#lines", Paragraphs).text
        assert "The last 18h" in text
        assert "0.95┤" in text
        assert "0.80┤" in text
        assert "19:02" in text
        assert "13:02" in text
        session.put("quality", "scores", replace(known, trend=()))
        await pilot.pause()
        assert "┤" not in app.screen.query_one("#lines", Paragraphs).text


async def test_the_help_ends_with_what_the_symbols_say() -> None:
    async with console(FakeSession(), size=(120, 60)) as (app, pilot):
        await pilot.press("question_mark", "G")
        await pilot.pause()
        shown = text_of(app)
        for sign, says in UNICODE.legend():
            assert sign in shown
            assert says in shown
