"""From a log line, an alert or a service to its traces, and one as a tree: asked once, lost ones said."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from textual.pilot import Pilot

from backends.errors import BackendError
from backends.models import LogEntry, Trace, TraceTree
from backends.ports import TraceQuery
from backends.testing.traces import FIRST, SECOND, checkout, work
from backends.traces.tree import summary_of, tree_of
from console.app import TealApp
from console.reading.tracing import query_of, trace_id_of
from console.screens.parts import Paragraphs
from console.screens.traces import TracesAround
from tests.console.fakes import NOW, FakeContext, FakeSession, incident


class Store:
    def __init__(self) -> None:
        self.queries: list[TraceQuery] = []
        self.lost = ""
        self.trees = {
            FIRST: tree_of("t", checkout(NOW)),
            SECOND: tree_of("t", [work(SECOND, 1, 0, "shop", "GET /", NOW, 3.0)]),
        }

    async def search(self, query: TraceQuery) -> list[Trace]:
        self.queries.append(query)
        if self.lost:
            raise BackendError("unreachable", self.lost)
        return [summary_of(tree) for tree in self.trees.values() if tree.errors or not query.errors]

    async def trace(self, trace_id: str) -> TraceTree:
        if trace_id not in self.trees:
            raise BackendError("not_found", "no such trace")
        return self.trees[trace_id]


@pytest.fixture
def traces() -> Store:
    return Store()


@pytest.fixture
def session(traces: Store) -> FakeSession:
    told = incident(FakeContext())
    told.trace_sources, told.searchers = ("t",), {"t": traces}
    return told


def line(message: str = "slow", **labels: str) -> LogEntry:
    return LogEntry(at=NOW, source="app", message=message, labels=labels)


def app_of(session: Any) -> TealApp:
    return TealApp(session, now=lambda: NOW)


async def seen(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await pilot.pause(0.01)


def text(pilot: Pilot[None], part: str) -> str:
    return pilot.app.screen.query_one(part, Paragraphs).text


async def opened(pilot: Pilot[None], item: Any) -> TracesAround:
    """By its key on the page of the item."""
    app = pilot.app
    assert isinstance(app, TealApp)
    await pilot.pause()
    app.open_item(item)
    await pilot.pause()
    await pilot.press("T")
    await seen(pilot, lambda: isinstance(app.screen, TracesAround) and app.screen.is_mounted)
    screen = app.screen
    assert isinstance(screen, TracesAround)
    await seen(pilot, lambda: text(pilot, "#said") != " reading…")
    return screen


async def test_a_line_that_names_a_trace_opens_it(session: FakeSession, traces: Store) -> None:
    async with app_of(session).run_test(size=(100, 30)) as pilot:
        await opened(pilot, line(trace_id=FIRST))
        await seen(pilot, lambda: "charge" in text(pilot, "#tree"))
        assert "first error: deadline exceeded" in text(pilot, "#tree")
        assert traces.queries == []
        await pilot.press("q")
        await pilot.pause()
        assert not isinstance(pilot.app.screen, TracesAround)


async def test_around_a_line_the_failed_first_and_enter_opens_one(session: FakeSession, traces: Store) -> None:
    async with app_of(session).run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot, line(service="shop"))
        await seen(pilot, lambda: screen.found)
        assert [trace.trace_id for trace in screen.found] == [FIRST, SECOND]
        assert {query.service for query in traces.queries} == {"shop"}
        assert [query.errors for query in traces.queries] == [False, True]
        await pilot.press("down", "enter")
        await seen(pilot, lambda: SECOND in text(pilot, "#tree"))


async def test_from_a_service_and_an_alert(session: FakeSession, traces: Store) -> None:
    for port in ("deployments", "alerts"):
        async with app_of(session).run_test(size=(100, 30)) as pilot:
            item = session.store.items(port)[0]
            screen = await opened(pilot, item)
            await seen(pilot, lambda screen=screen: screen.found)
            if port == "deployments":
                assert {query.service for query in traces.queries} == {item.service}
            await pilot.press("enter")
            await seen(pilot, lambda: "POST /checkout" in text(pilot, "#tree"))
            await pilot.press("l")
            await pilot.pause()
            assert not isinstance(pilot.app.screen, TracesAround)


async def test_a_lost_source_is_said_and_asked_again(session: FakeSession, traces: Store) -> None:
    traces.lost = "http://tempo: connection refused"
    async with app_of(session).run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot, line())
        assert "not known: http://tempo: connection refused" in text(pilot, "#said")
        traces.lost = ""
        await pilot.press("r")
        await seen(pilot, lambda: screen.found)
        assert "not known" not in text(pilot, "#said")


async def test_without_a_source_there_is_no_key(session: FakeSession) -> None:
    session.trace_sources = ()
    async with app_of(session).run_test(size=(100, 30)) as pilot:
        app = pilot.app
        assert isinstance(app, TealApp)
        await pilot.pause()
        app.open_item(line(trace_id=FIRST))
        await pilot.pause()
        await pilot.press("T")
        await pilot.pause()
        assert not isinstance(app.screen, TracesAround)


@pytest.mark.parametrize(
    ("entry", "id_"),
    [
        (line(trace_id=FIRST), FIRST),
        (line(f'{{"traceID": "{FIRST}"}}'), FIRST),
        (line(f"trace_id={FIRST} done"), FIRST),
        (line(f"traceparent: 00-{FIRST}-00f067aa0ba902b7-01"), FIRST),
        (line("trace_id=none, request 4bf92f3577b34da6a3ce929d0e0e4736"), ""),
    ],
)
def test_the_trace_that_a_line_names(entry: LogEntry, id_: str) -> None:
    assert trace_id_of(entry) == id_


def test_what_is_asked_never_lies_ahead() -> None:
    query = query_of(line(app="shop"), NOW)
    assert (query.since, query.until, query.service) == (NOW - timedelta(minutes=5), NOW, "shop")
