"""`tempo` against servers in this process, a new one and one of 2.0."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.missing import collected
from backends.registry import AdapterContext, build
from backends.testing.traces import FIRST, SECOND, Hold, Lose, TracesContract, asked, checkout, now, work
from backends.traces.tempo import TempoTraces
from backends.traces.tree import Found
from tests.backends.fake_tempo import FakeTempo

Connect = Callable[..., TempoTraces]


@pytest.fixture
def is_old() -> bool:
    return False


@pytest.fixture
async def server(is_old: bool) -> AsyncIterator[FakeTempo]:
    server = FakeTempo(is_old=is_old)
    async with server:
        yield server


@pytest.fixture
async def connect(server: FakeTempo, tmp_path: Path) -> AsyncIterator[Connect]:
    http = Http()

    def connected(**config: Any) -> TempoTraces:
        table = {"url": server.url, **config}
        adapter: TempoTraces = build("traces", "tempo", table, AdapterContext("tempo", tmp_path, tmp_path, http))
        return adapter

    yield connected
    await http.aclose()


class TestTempo(TracesContract):
    @pytest.fixture
    def adapter(self, connect: Connect) -> TempoTraces:
        return connect()

    @pytest.fixture
    def hold(self, server: FakeTempo) -> Hold:
        def held(spans: Sequence[Found]) -> None:
            server.spans = spans

        return held

    @pytest.fixture
    def lose(self, server: FakeTempo) -> Lose:
        def gone() -> None:
            server.fault = "no answer"

        return gone


class TestOldTempo(TestTempo):
    @pytest.fixture
    def is_old(self) -> bool:
        return True


async def test_what_it_counts_and_that_an_old_one_does_not(connect: Connect, server: FakeTempo) -> None:
    at = now()
    server.spans = [*checkout(at), work(SECOND, 1, 0, "shop", "GET /", at, 0.0005)]
    found = {trace.trace_id: trace for trace in await connect().search(asked(at))}
    one, other = found[FIRST], found[SECOND]
    assert (one.state, one.span_count, one.errors) == ("warning", 5, 2)
    assert one.services == ("bank", "payment", "shop", "stock")
    assert (other.state, other.span_count, other.errors, other.duration_s) == ("ok", 1, 0, 0)
    server.is_old = True
    old = await connect().search(asked(at))
    assert {(trace.state, trace.span_count, trace.errors) for trace in old} == {("unknown", None, None)}
    (failed,) = await connect().search(asked(at, errors=True))
    assert (failed.state, failed.errors) == ("warning", None)


async def test_the_conditions_may_be_met_by_different_spans(connect: Connect, server: FakeTempo) -> None:
    server.spans = checkout(now())
    found = await connect().search(asked(now(), service="shop", errors=True, min_duration_s=1.5))
    assert [trace.trace_id for trace in found] == [FIRST]
    query = parse_qs(urlsplit(server.requests[-1].target).query)["q"][0]
    assert query == (
        '{ resource.service.name = "shop" } && { status = error } && { traceDuration >= 1500000us }'
        " with (most_recent=true)"
    )


async def test_an_old_one_is_asked_for_the_newest_once(connect: Connect, server: FakeTempo) -> None:
    server.is_old, adapter = True, connect()
    for _ in range(3):
        await adapter.search(asked(now()))
    assert ["most_recent" in request.target for request in server.requests] == [True, False, False, False]


async def test_a_part_of_a_trace_is_said_to_be_one(connect: Connect, server: FakeTempo) -> None:
    server.spans, server.partial = checkout(now()), "trace exceeds max size"
    with collected() as lost:
        tree = await connect().trace(FIRST)
    assert tree.span_count == 5
    assert [error.message.partition(": the")[2] for error in lost] == [" trace is not whole: trace exceeds max size"]


async def test_the_tenant_goes_with_every_request(connect: Connect, server: FakeTempo) -> None:
    server.spans, adapter = checkout(now()), connect(tenant="team-a")
    await adapter.search(asked(now()))
    await adapter.trace(FIRST)
    assert {request.headers["x-scope-orgid"] for request in server.requests} == {"team-a"}


@pytest.mark.parametrize("fault", ["404", "html", "401", "403", "500", "400", "empty", "truncated JSON"])
async def test_a_wrong_place_is_never_nothing_found(connect: Connect, server: FakeTempo, fault: str) -> None:
    server.spans, server.fault = checkout(now()), fault
    adapter = connect()
    with pytest.raises(BackendError) as caught:
        await adapter.search(asked(now()))
    assert caught.value.kind != "not_found"
    assert caught.value.fix
    with pytest.raises(BackendError) as caught:
        await adapter.trace(FIRST)
    assert caught.value.kind != "not_found"
    assert caught.value.fix
