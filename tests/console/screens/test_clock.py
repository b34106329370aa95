"""One clock: runs, logs and timeline at a time of the past, and nothing of it in what is so now."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from msgspec.structs import replace

from backends.errors import BackendError
from backends.logs.merging import is_note
from backends.models import LogEntry, PipelineRun, TimelineEvent
from backends.ports import LogQuery
from console import moment
from console.ports.entry import Entry
from console.ports.logs import PAST_LIMIT as LINE_LIMIT
from console.ports.pipelines import PAST_LIMIT as RUN_LIMIT
from console.ports.store import SourceKey
from console.reading.adapters import Adapters
from console.reading.feeds import Source
from console.reading.past import Past
from console.reading.timeline_feeds import TimelineSources, Window
from console.screens.about import time_of
from console.screens.clock import RECENT
from console.screens.detail import Detail
from panels.header import Strip
from panels.keybar import KeyBar
from tests.console.fakes import NOW, FakeSession, alert, log, run
from tests.console.screens.test_overview import console, incident, text

AT = NOW - timedelta(minutes=40)
ENTRIES = {
    "pipelines": [Entry("pipelines", "local", "local", {})],
    "logs": [Entry("logs", "app", "files", {})],
    "quality": [], "alerts": [], "deployments": [], "metrics": [], "checks": [], "notify": [],
}  # fmt: skip


class Backend:
    """Pipelines and logs that remember."""

    def __init__(self, runs: Sequence[PipelineRun] = (), lines: Sequence[LogEntry] = ()) -> None:
        self.all_runs, self.lines = list(runs), list(lines)
        self.queries: list[LogQuery] = []
        self.lost = False

    def of(self, port: Any, name: str) -> "Backend":
        return self

    async def runs(self, *, since: datetime | None = None, limit: int = 100) -> list[PipelineRun]:
        return sorted(self.all_runs, key=lambda each: each.started_at or NOW, reverse=True)[:limit]

    async def query(self, query: LogQuery) -> list[LogEntry]:
        self.queries.append(query)
        if self.lost:
            raise BackendError("unreachable", "connection refused")
        assert query.since is not None
        assert query.until is not None
        found = [line for line in self.lines if line.at and query.since <= line.at <= query.until]
        return found[: query.limit] if query.first else found[-query.limit :]


class Remembering:
    def sources(self, window: Window) -> list[Source]:
        async def fetch() -> tuple[Any, ...]:
            assert window()[0] < AT < window()[1]
            return (TimelineEvent(at=AT, kind="action", ref="A", text="flip analytics blue → green"),)

        return [Source(SourceKey("timeline", "journal"), "journal", fetch)]


def past(backend: Backend, at: datetime = AT) -> Past:
    entries: Any = ENTRIES
    return Past(at, timedelta(hours=1), entries, cast(Adapters, backend), cast(TimelineSources, Remembering()))


@pytest.fixture(autouse=True)
def then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moment, "utc_now", lambda: NOW)


def line(seconds: float, message: str) -> LogEntry:
    return LogEntry(at=AT + timedelta(seconds=seconds), source="app", level="info", message=message)


async def test_runs_that_began_later_are_not_there_yet() -> None:
    before, after = (
        run("nightly", "7", "failed", started_at=AT - timedelta(minutes=9)),
        run("hourly", "7", "failed", started_at=NOW),
    )
    found = past(Backend([before, after]))
    await found.read()
    assert [each.pipeline for each in found.store.items("pipelines")] == ["nightly"]
    assert [event.text for event in found.store.items("timeline")] == ["flip analytics blue → green"]


async def test_runs_that_do_not_reach_back_are_said_to_be_unknown() -> None:
    found = past(Backend([run(f"p{n}", "7", "success", started_at=NOW) for n in range(RUN_LIMIT)]))
    await found.read()
    (snapshot,) = found.store.snapshots("pipelines")
    assert snapshot.error is not None
    assert "do not reach back" in snapshot.error.message
    assert snapshot.items == ()


async def test_lines_lead_up_to_the_time_and_on_from_it() -> None:
    lines = [line(second, f"line {second}") for second in range(-100, 100)]
    found = past(Backend(lines=lines))
    await found.read()
    assert [entry.message for entry in found.store.items("logs")] == [entry.message for entry in lines]


async def test_what_follows_on_the_time_has_no_hole_however_many_lines_there_are() -> None:
    lines = [line(0.001 * number, f"line {number}") for number in range(1, 3 * LINE_LIMIT)]
    found = past(Backend(lines=lines))
    await found.read()
    *entries, more = found.store.items("logs")
    assert [entry.message for entry in entries] == [entry.message for entry in lines[:LINE_LIMIT]]
    assert is_note(more)
    assert "there are more" in more.message


async def test_a_time_moves_runs_logs_and_timeline_and_nothing_else() -> None:
    session = incident()
    session.put("alerts", "am", alert("KafkaLag", "critical", 40), alert("DiskFull", "critical", 40))
    began = AT - timedelta(minutes=2)
    runs = [
        run("nightly_export", "7", "failed", started_at=began),
        run("nightly_export", "8", "success", started_at=AT + timedelta(minutes=1)),
    ]
    backend = Backend(runs, [line(-2, "the cause"), line(1, "the effect")])
    asked = list[datetime]()

    def at_time(at: datetime) -> Past:
        asked.append(at)
        return past(backend, at)

    session.past = at_time
    async with console(session) as (app, overview, pilot):
        live = session.store.items("pipelines")
        await pilot.press("3", "0", "comma")
        await pilot.pause(0.3)
        assert asked == [AT]
        shown = [(each.pipeline, each.run_id) for each in overview.board.listing("pipelines").items]
        assert shown == [("nightly_export", "7")]
        assert not overview.board.logs.follow
        assert "the cause" in text(app)
        assert "the effect" in text(app)
        assert "flip analytics blue → green" in text(app)
        assert getattr(overview.board.listing("timeline").current, "ref", "") == "A"
        assert "40m ago; . is back to now" in app.screen.query_one(Strip).render_line(0).text
        assert "KafkaLag" in text(app), "what is so now stays"
        assert session.store.items("pipelines") == live, "no order may see the past"
        session.put("logs", "app", log(1, "info", "app", "of now"))
        await pilot.pause(0.3)
        assert "of now" not in text(app)
        await pilot.press("full_stop")
        await pilot.pause(0.3)
        assert ("refresh", "logs") in session.calls
        assert overview.board.logs.follow
        assert overview.board.listing("pipelines").items != []
        assert "nightly_export" not in text(app)
        assert "of now" in text(app)


async def test_a_source_that_cannot_say_what_was_is_unknown() -> None:
    session, backend = incident(), Backend()
    backend.lost = True
    session.put("alerts", "am", alert("KafkaLag", "critical", 40))
    session.past = lambda at: past(backend, at)
    async with console(session) as (app, overview, pilot):
        await pilot.press("3", "l")
        await pilot.pause(0.3)
        assert overview.board.zoomed == "logs"
        assert "connection refused" in text(app)


async def test_escape_leads_back_to_now() -> None:
    session: FakeSession = incident()
    session.put("alerts", "am", alert("KafkaLag", "critical", 40))
    session.past = lambda at: past(Backend(), at)
    async with console(session) as (_, overview, pilot):
        await pilot.press("3", "t")
        await pilot.pause(0.3)
        assert (overview.board.zoomed, overview.clock.past is not None) == ("timeline", True)
        await pilot.press("escape", "escape")
        await pilot.pause(0.3)
        assert (overview.board.zoomed, overview.clock.past) == ("", None)


async def test_a_cursor_is_left_where_the_panel_that_was_alone_is_seen_no_more() -> None:
    session: FakeSession = incident()
    session.put("alerts", "am", alert("KafkaLag", "critical", 2))
    async with console(session, (80, 24)) as (_, overview, pilot):
        await pilot.press("3", "0", "t")
        await pilot.pause(0.3)
        assert overview.board.zoomed == "timeline"
        await pilot.press("escape")
        await pilot.pause()
        assert (overview.board.zoomed, overview.board.focused) == ("", "alerts")
        assert overview.board.current is not None


async def test_logs_that_were_sent_to_a_recent_time_are_followed_again_by_one_more_escape() -> None:
    session: FakeSession = incident()
    session.put("alerts", "am", alert("KafkaLag", "critical", 2))
    session.put("logs", "app", *(log(60 * 5 - at, "info", "app", str(at)) for at in range(60 * 5)))
    async with console(session) as (app, overview, pilot):
        await pilot.press("3", "t")
        await pilot.pause(0.3)
        assert (overview.clock.past, overview.board.logs.follow) == (None, False)
        await pilot.press("escape", "q")
        await pilot.pause()
        assert overview.board.logs.follow
        assert app.is_running, "q went back, too"


@pytest.mark.parametrize(
    ("what", "key", "panel"),
    [
        ("quality", "t", "timeline"),
        ("pipelines", "l", "logs"),
        ("alerts", "comma", ""),
        ("deployments", "t", "timeline"),
    ],
)
async def test_on_the_detail_of_a_thing_the_keys_go_to_its_time_too(what: str, key: str, panel: str) -> None:
    """They did nothing there, and drill 2 is written with one."""
    session = incident()
    item = session.store.items(what)[0]
    asked = list[datetime]()

    def at_time(at: datetime) -> Past:
        asked.append(at)
        return past(Backend(), at)

    session.past = at_time
    async with console(session) as (app, overview, pilot):
        await pilot.press("tab")
        app.open_item(item)
        await pilot.pause()
        assert isinstance(app.screen, Detail)
        assert time_of(item) is not None
        await pilot.press(key)
        await pilot.pause(0.1)
        assert app.screen is overview
        assert overview.board.zoomed == panel
        assert NOW - time_of(item) < RECENT or asked == [time_of(item)]
        assert overview.clock.past is None or overview.clock.past.at == time_of(item)


async def test_a_detail_without_a_time_says_so_and_stays() -> None:
    session = incident()
    async with console(session) as (app, _, pilot):
        app.open_item(session.store.items("deployments")[0])
        await pilot.pause()
        page = app.screen
        page.deployment = replace(page.deployment, last_switch=None)
        await pilot.press("t")
        assert app.screen is page
        assert "no time to go to" in page.query_one(KeyBar).text
