"""`jaeger` against servers in this process, of each age; v3 held against Jaeger's own description."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.registry import AdapterContext, build
from backends.testing.traces import FIRST, SECOND, Hold, Lose, TracesContract, asked, checkout, now, work
from backends.traces.jaeger import JaegerTraces
from backends.traces.tree import Found
from tests.backends.fake_jaeger import FakeJaeger

Connect = Callable[..., JaegerTraces]


@pytest.fixture
def age() -> str:
    return "v3"


@pytest.fixture
async def server(age: str) -> AsyncIterator[FakeJaeger]:
    server = FakeJaeger(age=age)
    async with server:
        yield server
        assert server.complaints == []


@pytest.fixture
async def connect(server: FakeJaeger, tmp_path: Path) -> AsyncIterator[Connect]:
    http = Http()

    def connected(**config: Any) -> JaegerTraces:
        table = {"url": server.url, **config}
        adapter: JaegerTraces = build("traces", "jaeger", table, AdapterContext("jaeger", tmp_path, tmp_path, http))
        return adapter

    yield connected
    await http.aclose()


class OfJaeger(TracesContract):
    @pytest.fixture
    def adapter(self, connect: Connect) -> JaegerTraces:
        return connect()

    @pytest.fixture
    def hold(self, server: FakeJaeger) -> Hold:
        def held(spans: Sequence[Found]) -> None:
            server.spans = spans

        return held

    @pytest.fixture
    def lose(self, server: FakeJaeger) -> Lose:
        def gone() -> None:
            server.fault = "no answer"

        return gone


class TestV3(OfJaeger):
    pass


class TestV3InSeveralDocuments(OfJaeger):
    @pytest.fixture
    def age(self) -> str:
        return "chunks"


class TestV3AsItWasAtFirst(OfJaeger):
    @pytest.fixture
    def age(self) -> str:
        return "first v3"


class TestV1(OfJaeger):
    @pytest.fixture
    def age(self) -> str:
        return "v1"


@pytest.mark.parametrize("age", ["v1", "first v3"])
async def test_an_older_server_is_asked_by_v3_once(connect: Connect, server: FakeJaeger) -> None:
    server.spans = checkout(now())
    adapter = connect(services=["shop"])
    for _ in range(3):
        assert len(await adapter.search(asked(now()))) == 1
    assert [request.target.startswith("/api/v3/") for request in server.requests] == [True, False, False, False]


async def test_what_failed_is_found_where_its_storage_does_not_know_that(connect: Connect, server: FakeJaeger) -> None:
    at = now()
    server.knows_errors = False
    server.spans = [*checkout(at), work(SECOND, 1, 0, "shop", "GET /", at, 0.1)]
    assert [each.trace_id for each in await connect().search(asked(at, service="shop", errors=True))] == [FIRST]


async def test_what_failed_is_found_behind_many_that_did_not(connect: Connect, server: FakeJaeger) -> None:
    at = now()
    server.spans = [*checkout(at), *(work(f"{n:032x}", 1, 0, "bank", "GET /", at, 0.1) for n in range(1, 40))]
    found = await connect().search(asked(at, service="bank", errors=True, limit=5))
    assert [each.trace_id for each in found] == [FIRST]


async def test_a_link_to_its_page(connect: Connect, server: FakeJaeger) -> None:
    server.spans, server.prefix = checkout(now()), "/jaeger"
    adapter = connect(url=f"{server.url}/jaeger/")
    (found,) = await adapter.search(asked(now(), service="shop"))
    assert found.url == (await adapter.trace(FIRST)).url == f"{server.url}/jaeger/trace/{FIRST}"
    assert server.requests[0].target.startswith("/jaeger/api/v3/traces?")
    server.complaints.clear()  # the description knows no prefix


@pytest.mark.parametrize("fault", ["404", "html", "401", "403", "500", "empty", "truncated JSON", "escapes"])
async def test_a_wrong_place_is_never_nothing_found(connect: Connect, server: FakeJaeger, fault: str) -> None:
    server.spans, server.fault = checkout(now()), fault
    adapter = connect()
    for question in (adapter.search(asked(now(), service="shop")), adapter.search(asked(now())), adapter.trace(FIRST)):
        with pytest.raises(BackendError) as caught:
            await question
        assert caught.value.kind != "not_found"
        assert caught.value.message.isprintable()
        assert caught.value.fix


async def test_more_services_than_are_asked_by_themselves(connect: Connect, server: FakeJaeger) -> None:
    at = now()
    server.spans = [work(f"{n:032x}", 1, 0, f"s{n}", "GET /", at, 0.1) for n in range(1, 40)]
    with pytest.raises(BackendError, match="39 services, more than 30"):
        await connect().search(asked(at))
    assert len(await connect(services=["s1", "s2"]).search(asked(at))) == 2


async def test_the_server_is_told_who_asks(
    connect: Connect, server: FakeJaeger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAEGER_TOKEN", "hunter2hunter2")
    server.spans = checkout(now())
    adapter = connect(auth={"token": {"env": "JAEGER_TOKEN"}}, headers={"X-Team": "data"})
    await adapter.trace(FIRST)
    sent = server.requests[-1].headers
    assert (sent["authorization"], sent["x-team"]) == ("Bearer hunter2hunter2", "data")
    server.fault = "echo"
    with pytest.raises(BackendError) as caught:
        await adapter.trace(FIRST)
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"url": "jaeger:16686"}, "url"),
        ({"url": "http://user:pw@jaeger"}, "a password inside"),
        ({"headers": {"Authorization": "Bearer x"}}, "Authorization"),
        ({"timeout": "0s"}, "timeout"),
        ({"service": "shop"}, "service"),
    ],
)
def test_a_config_that_can_not_be(connect: Connect, config: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendError, match=words):
        connect(**config)
