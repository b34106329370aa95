"""Who is on call on the screen: in the header at both sizes, alone, in full; nobody and unknown loudly."""

from datetime import timedelta

import pytest

from backends.models import OnCall
from backends.oncall.shifts import Span, schedule_of
from console import moment
from console.ports.store import Snapshot, SourceError, SourceKey
from console.screens.item_detail import ItemDetail
from console.screens.palette import commands_of
from panels.header import Header, Strip
from tests.console.fakes import NOW, FakeContext, FakeSession, deployment
from tests.console.screen_fakes import text_of
from tests.console.screens.test_overview import BOTH, console, incident

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moment, "utc_now", lambda: NOW)


def schedule(*spans: Span, name: str = "primary") -> OnCall:
    return schedule_of(name, name, spans, NOW, ref=name)


ALICE_THEN_BOB = schedule(Span("alice", NOW - HOUR, NOW + 4 * HOUR), Span("bob", NOW + 4 * HOUR, NOW + 28 * HOUR))
NOBODY = schedule(Span("alice", NOW - 9 * HOUR, NOW - HOUR), Span("bob", NOW + 15 * HOUR, NOW + 28 * HOUR))


@BOTH
async def test_it_stands_in_the_header_beside_what_is_live(size: tuple[int, int]) -> None:
    session = FakeSession(FakeContext(protected=True))
    session.put("deployments", "analytics", deployment())
    session.put("oncall", "primary", ALICE_THEN_BOB)
    async with console(session, size) as (app, _, _pilot):
        line = app.screen.query_one(Header).render_line(0).text
        assert "live GREEN 2.4.1" in line
        assert "READ-ONLY" in line
        assert ("on call alice → bob 17:02" if size[0] == 120 else "on call alice") in line
        assert not app.screen.query_one(Strip).display


@BOTH
async def test_with_much_wrong_no_worse_fact_goes_for_it(size: tuple[int, int]) -> None:
    without, beside = incident(), incident()
    beside.put("oncall", "primary", ALICE_THEN_BOB)
    async with console(without, size) as (app, _, _pilot):
        strip = app.screen.query_one(Strip).render_line(0).text.rstrip()
        before = app.screen.query_one(Header).render_line(0).text
    async with console(beside, size) as (app, _, _pilot):
        assert app.screen.query_one(Strip).render_line(0).text.startswith(strip)
        header = app.screen.query_one(Header).render_line(0).text
        for fact in ("critical", "MIXED", "READ-ONLY"):
            assert (fact in header) == (fact in before)


@BOTH
async def test_nobody_is_on_the_strip_and_opens_with_its_shifts(size: tuple[int, int]) -> None:
    session = FakeSession()
    session.put("oncall", "primary", NOBODY)
    async with console(session, size) as (app, overview, pilot):
        assert "on call NOBODY" in app.screen.query_one(Header).render_line(0).text
        assert app.screen.query_one(Strip).text == "▲ primary: nobody is on call for another 15h, then bob"
        await pilot.press("u")
        await pilot.pause(0.2)
        assert isinstance(app.screen, ItemDetail)
        shown = text_of(app)
        assert "Schedule primary" in shown
        assert "bob  Tue 04:02 to Tue 17:02" in shown
        await pilot.press("escape")
        words = {command.words: command for command in commands_of(overview)}
        assert not [each for each in words if each.startswith("oncall")], "by its title, and by no key"
        await app.run_action(words["on call alone"].action, overview)
        await pilot.pause(0.2)
        assert "SCHEDULE" in text_of(app)


@pytest.mark.parametrize("said", [True, False])
async def test_a_source_that_is_lost_leaves_nobody_and_no_one(said: bool) -> None:
    session = FakeSession()
    session.store.put(
        Snapshot(
            key=SourceKey("oncall", "primary"), type="ical", items=(ALICE_THEN_BOB,) * said,
            fetched_at=NOW - timedelta(minutes=15) if said else None,
            error=SourceError("unreachable", "connection refused", ""), interval_s=60.0,
        )
    )  # fmt: skip
    async with console(session, (120, 40)) as (app, _, _pilot):
        line = app.screen.query_one(Header).render_line(0).text
        assert "on call UNKNOWN" in line
        assert (", was alice" in line) == said
        assert "NOBODY" not in line
        assert "connection refused" in app.screen.query_one(Strip).text


async def test_a_handover_needs_no_read() -> None:
    session = FakeSession()
    session.put("oncall", "primary", schedule(Span("alice", NOW - 9 * HOUR, NOW - HOUR), Span("bob", NOW - HOUR, None)))
    told = ALICE_THEN_BOB.seen(NOW + 5 * HOUR)
    assert told.now is not None
    assert told.now.who == ("bob",)
