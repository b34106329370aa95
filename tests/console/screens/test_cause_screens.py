"""Forty red rows and one cause on the screen: on the strip, as a row, with all its members, each of which opens."""

import asyncio
from typing import Any

import pytest

from backends.models import Alert, CheckResult, Incident, TimelineEvent
from console.ports.links import LinkRow, Links
from console.screens.alert_detail import AlertDetail
from console.screens.causes import CauseScreen
from console.screens.palette import commands_of
from panels.frame import PanelBox
from panels.header import Strip
from panels.kinds.cause import Cause
from panels.words import ASCII
from tests.console.fakes import FakeSession, ago, alert, deployment, run
from tests.console.screen_fakes import text_of
from tests.console.screens.test_overview import BOTH, console


def forty() -> FakeSession:
    """A release of analytics, and forty things that went red after it; and one that did not."""
    session = FakeSession()
    session.links = Links(rows=(LinkRow(pipeline="nightly_etl", datasets=("transactions",), services=("analytics",)),))
    labels = {"service": "analytics"}
    down = [
        alert("InstanceDown", "critical", 14 - at / 8, fingerprint=f"down-{at}", summary="no answer on /health",
              labels={**labels, "instance": f"10.0.0.{at}:8080"})
        for at in range(33)
    ]  # fmt: skip
    more = [
        alert("HighErrorRate", "critical", 15, labels=labels, summary="5xx 31 % above 5 %"),
        alert("HighLatency", "warning", 13, labels=labels, summary="p95 2.1 s above 0.8 s"),
        alert("SLOBurnRate", "critical", 12, labels=labels, summary="burns 14x"),
        alert("Acked", "critical", 12, labels=labels, state="acknowledged", summary="known"),
    ]
    paged = Alert(
        ref="pd/1", backend="pd", fingerprint="1", name="HighErrorRate", severity="critical", state="firing",
        since=ago(minutes=14), labels={**labels, "alertname": "HighErrorRate"},
        summary="5xx 31 % above 5 %", incident=Incident(id="1", service="data"),
    )  # fmt: skip
    session.put("alerts", "am", *down, *more)
    session.put("alerts", "pd", paged)
    session.put(
        "checks", "analytics", CheckResult(ref="analytics", name="analytics", state="critical", message="HTTP 502")
    )
    session.put("pipelines", "airflow", run("legacy_export", "1", "failed", ended_at=ago(hours=20), error="disk full"))
    session.put("deployments", "analytics", deployment())
    text = "release analytics 2.4.1 BLUE → GREEN succeeded by alice"
    session.put("timeline", "journal", TimelineEvent(at=ago(minutes=17), kind="action", ref="7F3", text=text))
    return session


MEMBERS = 33 + 4 + 1 + 1


async def folded(pilot: Any, overview: Any) -> None:
    """Until they are worked out."""
    for _ in range(100):
        if overview.board.causes():
            break
        await pilot.pause(0.05)
    await pilot.pause(0.3)


@BOTH
async def test_the_strip_says_it_once(size: tuple[int, int]) -> None:
    async with console(forty(), size) as (app, overview, pilot):
        await folded(pilot, overview)
        strip = app.screen.query_one(Strip)
        assert strip.text.startswith(f"✗ {MEMBERS} of one cause: release analytics 2.4.1")
        assert "HTTP 502" not in strip.text
        await pilot.press("u")
        await pilot.pause(0.2)
        assert isinstance(app.screen, CauseScreen)


@BOTH
async def test_8_shows_one_row_a_cause_and_v_all_that_is_in_it(size: tuple[int, int]) -> None:
    async with console(forty(), size) as (app, overview, pilot):
        await folded(pilot, overview)
        await pilot.press("8")
        await pilot.pause(0.3)
        shown = text_of(app)
        assert "release analytics 2.4.1 BLUE → GREEN" in shown
        assert f"×{MEMBERS}" in shown
        assert "a change of analytics, 2m before; " in shown
        assert "36 alerts" in shown or "37 alerts" in shown
        assert "legacy_export" in shown
        listing = overview.board.listing("causes")
        assert [isinstance(item, Cause) for item in (listing.kind.item(row) for row in listing.items)] == [True, True]
        assert overview.board.boxes["causes"].caption.startswith("8 Causes 2 critical")
        await pilot.press("v")
        await pilot.pause(0.1)
        assert len(listing.items) == 2 + 1 + MEMBERS
        assert {member.ref for cause in overview.board.causes() for member in cause.members} <= {
            listing.kind.item(row).ref for row in listing.items
        }


async def test_enter_shows_the_change_before_and_every_member_which_open_and_are_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with console(forty(), (80, 24)) as (app, overview, pilot):
        await folded(pilot, overview)
        await pilot.press("8", "enter")
        await pilot.pause(0.3)
        assert isinstance(app.screen, CauseScreen)
        shown = text_of(app)
        assert "Cause: analytics" in shown
        assert "the likely cause: a change of analytics, 2m before" in shown
        screen = app.screen
        assert len(screen.list.items) == 1 + MEMBERS
        asked: list[Any] = []
        monkeypatch.setattr(app, "acknowledge", asked.append)
        at = next(
            index for index, row in enumerate(screen.list.items) if screen.list.kind.item(row).ref == "am/SLOBurnRate"
        )
        screen.list.move_to(at)
        await pilot.press("a")
        assert [item.ref for item in asked] == ["am/SLOBurnRate"]
        await pilot.press("enter")
        await pilot.pause(0.2)
        assert isinstance(app.screen, AlertDetail)


async def test_what_is_over_stays_on_its_screen_and_says_so() -> None:
    session = forty()
    async with console(session, (80, 24)) as (app, overview, pilot):
        await folded(pilot, overview)
        await pilot.press("8", "enter")
        for name in ("am", "pd"):
            session.put("alerts", name)
        session.put("checks", "analytics", CheckResult(ref="analytics", name="analytics", state="ok", message="200"))
        await pilot.pause(2.0)
        assert "over, as it was" in text_of(app)


async def test_the_palette_knows_each_cause_by_what_it_is() -> None:
    async with console(forty(), (80, 24)) as (_, overview, pilot):
        await folded(pilot, overview)
        words = [command.words for command in commands_of(overview)]
        assert "cause release analytics 2.4.1 BLUE → GREEN succeeded by alice" in words
        assert "causes alone" in words


async def test_a_handful_is_not_said_above_all_and_nothing_wrong_is_said_so() -> None:
    session = FakeSession()
    session.put("alerts", "am", alert("Bad", "critical", 1))
    async with console(session, (80, 24)) as (app, overview, pilot):
        await folded(pilot, overview)
        assert "of one cause" not in app.screen.query_one(Strip).text
        session.put("alerts", "am")
        await pilot.press("8")
        await pilot.pause(0.8)
        assert "Nothing is wrong" in text_of(app)


async def test_a_source_that_is_lost_is_said_and_nothing_counts_as_well() -> None:
    session = FakeSession()
    session.put("alerts", "am", error="connection refused", age_s=400)
    async with console(session, (80, 24)) as (app, _, pilot):
        await pilot.press("8")
        await pilot.pause(0.8)
        shown = text_of(app)
        assert "connection refused" in shown
        assert "Nothing is wrong" not in shown


async def test_it_reads_in_ascii() -> None:
    async with console(forty(), (80, 24), ASCII) as (app, overview, pilot):
        await folded(pilot, overview)
        await pilot.press("8")
        await pilot.pause(0.3)
        body = overview.board.boxes["causes"]
        assert isinstance(body, PanelBox)
        assert "→" not in text_of(app)
        assert f"x{MEMBERS}" in text_of(app)


async def test_many_things_are_worked_out_beside_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[Any] = []
    real = asyncio.to_thread

    async def noted(asked: Any, *args: Any) -> Any:
        threads.append(asked)
        return await real(asked, *args)

    monkeypatch.setattr(asyncio, "to_thread", noted)
    session = FakeSession()
    session.put("alerts", "am", *[alert("Bad", "critical", 1, fingerprint=str(at)) for at in range(300)])
    async with console(session, (80, 24)) as (_, overview, pilot):
        await folded(pilot, overview)
        assert [asked.__name__ for asked in threads].count("known") == 1
        assert sum(len(cause.members) for cause in overview.board.causes()) == 300
        before = overview.board.causes()
        session.put("alerts", "am", *[alert("Bad", "critical", 1, fingerprint=str(at)) for at in range(300)])
        await pilot.pause(1.0)
        assert overview.board.causes() is before, "nothing has changed, so nothing is worked out anew"
