"""`prometheus` metrics against servers in this process: the contract, every fault both ways, what the wire may hold."""

import asyncio
import importlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.metrics.prometheus.metrics import PrometheusMetrics
from backends.missing import collected
from backends.registry import AdapterContext, build
from backends.testing.metrics import Asked, Lose, MetricsContract, Put, now, over
from tests.backends.fake_prometheus import FakePrometheus
from tests.backends.faulty_server import FAULTS, FaultyServer
from tests.own_time import Watch

SECRET = "hunter2-secret"
Connect = Callable[..., PrometheusMetrics]


def vector(*result: Any) -> dict[str, Any]:
    """An instant answer as it is sent."""
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


EMPTY = vector()


@pytest.fixture
async def connect(tmp_path: Path) -> AsyncIterator[Connect]:
    http = Http()
    built: list[PrometheusMetrics] = []

    def connected(url: str, **config: Any) -> PrometheusMetrics:
        context = AdapterContext("prom", tmp_path, tmp_path, http)
        built.append(build("metrics", "prometheus", {"url": url, "timeout": "60s", **config}, context))
        return built[-1]

    yield connected
    for adapter in built:
        await adapter.aclose()
    await http.aclose()


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    fake = FakePrometheus()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def adapter(fake: FakePrometheus, connect: Connect) -> PrometheusMetrics:
    return connect(fake.url)


class TestPrometheusMetrics(MetricsContract):
    @pytest.fixture
    def metric(self) -> str:
        return "http_requests"

    @pytest.fixture
    def put(self, fake: FakePrometheus, metric: str) -> Put:
        return partial(fake.put, metric)

    @pytest.fixture
    def asked(self) -> Asked:
        return Asked("sum(", "unclosed left parenthesis", "NAN", "NaN")

    @pytest.fixture
    def lose(self, fake: FakePrometheus) -> Lose:
        return fake.stop


KINDS = {
    "hang": "timeout", "drip": "timeout", "no answer": "unreachable", "reset": "unreachable", "401": "auth",
    "403": "auth", "404": "not_found", "429": "rate_limited", "500": "unreachable", "502": "unreachable",
    "503": "unreachable", "504": "timeout", "html": "malformed", "html 503": "unreachable", "empty": "malformed",
    "truncated JSON": "malformed", "huge": "malformed", "invalid UTF-8": "malformed", "redirect": "malformed",
    "bad gzip": "malformed", "echo": "malformed", "escapes": "unreachable", "400": "malformed", "409": "conflict",
}  # fmt: skip


@pytest.mark.parametrize("how", ["instant", "range"])
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "slow"])
async def test_each_fault_is_one_error_in_time_without_a_secret(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, fault: str, how: str
) -> None:
    monkeypatch.setenv("PROM_TOKEN", SECRET)
    timeout = "1s" if KINDS.get(fault) == "timeout" else "20s"
    async with FaultyServer(fault=fault, healthy=EMPTY) as server:
        adapter = connect(f"{server.url}/prom", auth={"token": {"env": "PROM_TOKEN"}}, timeout=timeout)
        await asyncio.to_thread(
            importlib.import_module, "backends.metrics.prometheus.range"
        )  # its import is not the server's fault
        watch = Watch()
        with pytest.raises(BackendError) as caught:
            await (adapter.instant("up") if how == "instant" else over(adapter, "up"))
    assert watch.seconds() < 4
    error = caught.value
    assert error.kind == KINDS.get(fault, error.kind)
    assert error.kind in ("unreachable", "malformed") or fault in KINDS
    assert f"{server.url}/prom" in error.message
    assert SECRET not in error.message + error.fix
    assert error.message.isprintable()
    assert error.fix


async def test_a_lane_is_free_again_after_a_server_that_drips(connect: Connect) -> None:
    async with FaultyServer(fault="drip", healthy=EMPTY) as server:
        adapter = connect(server.url, timeout="2s")
        for _ in range(3):
            outcomes = await asyncio.gather(*(over(adapter, "up") for _ in range(3)), return_exceptions=True)
            assert {getattr(outcome, "kind", outcome) for outcome in outcomes} == {"timeout"}
        server.fault = ""
        server.healthy = {"status": "success", "data": {"resultType": "matrix", "result": []}}
        await asyncio.sleep(2.1)
        assert await over(adapter, "up") == []


async def test_a_refused_range_is_asked_once(connect: Connect) -> None:
    async with FaultyServer(fault="503") as server:
        with pytest.raises(BackendError):
            await over(connect(server.url), "up")
        assert len(server.requests) == 1


@pytest.mark.parametrize("how", ["instant", "range"])
async def test_who_asks_is_said_each_time(
    fake: FakePrometheus, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    monkeypatch.setenv("PROM_PASSWORD", "p:w")
    monkeypatch.setenv("API_KEY", "key-1")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    adapter = connect(
        f"{fake.url}/prometheus/api/v1/", auth={"username": "oncall", "password": {"env": "PROM_PASSWORD"}},
        tenant="team-a", headers={"X-Api-Key": {"env": "API_KEY"}}, params={"dedup": "true"},
    )  # fmt: skip
    await (adapter.instant("up") if how == "instant" else over(adapter, "up"))
    ((method, path, headers),) = fake.requests
    assert (method, path.partition("?")[0]) == ("GET", f"/prometheus/api/v1/query{'_range' if how == 'range' else ''}")
    assert headers["authorization"] == "Basic b25jYWxsOnA6dw=="
    assert (headers["x-scope-orgid"], headers["x-api-key"]) == ("team-a", "key-1")
    assert "dedup=true" in path
    assert "timeout=60s" in path


@pytest.mark.parametrize("how", ["instant", "range"])
async def test_no_credentials_of_others_are_sent(
    fake: FakePrometheus, adapter: PrometheusMetrics, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    await (adapter.instant("up") if how == "instant" else over(adapter, "up"))
    assert "authorization" not in fake.requests[0][2]


async def test_a_long_query_is_not_in_the_url(fake: FakePrometheus, adapter: PrometheusMetrics) -> None:
    query = "up" + " or up" * 2000
    await adapter.instant(query)
    await over(adapter, query)
    assert [(method, len(path) < 100) for method, path, _ in fake.requests] == [("POST", True), ("POST", True)]


async def test_credentials_are_read_anew_after_they_were_refused(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FaultyServer(fault="401", faults_left=1, healthy=EMPTY) as server:
        adapter = connect(server.url, auth={"token": {"env": "PROM_TOKEN"}})
        monkeypatch.setenv("PROM_TOKEN", "old")
        with pytest.raises(BackendError, match="401"):
            await adapter.instant("up")
        monkeypatch.setenv("PROM_TOKEN", "new")
        await adapter.instant("up")
        assert [request.headers["authorization"] for request in server.requests] == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize("around", [{"warnings": ["store-7 is down"]}, {"isPartial": True}])
async def test_an_answer_that_may_be_incomplete_says_so(
    fake: FakePrometheus, adapter: PrometheusMetrics, around: dict[str, Any]
) -> None:
    fake.around = around
    for answer in (adapter.instant("up"), over(adapter, "up"), adapter.series_exist("up")):
        with pytest.raises(BackendError, match=r"may be incomplete: (store-7 is down|partial answer)"):
            await answer
    fake.put("up", 1, now() - timedelta(minutes=1))
    (sample,), (series,) = await adapter.instant("up"), await over(adapter, "up")
    assert sample.warnings == series.warnings != ()


@pytest.mark.parametrize(
    ("answer", "value", "reason"),
    [
        ({"status": "success", "data": {"resultType": "scalar", "result": [1.5, "2"]}}, 2.0, ""),
        (vector({"metric": {}, "value": [1, "1e+00"]}), 1.0, ""),
        (vector({"metric": {}, "value": [1, "-Inf"]}), None, "-Inf"),
        (vector({"metric": {}, "value": [1, ""]}), None, "no value"),
        (vector({"metric": {}, "histogram": [1, {"count": "3"}]}), None, "native histogram"),
    ],
)
async def test_what_a_value_may_be(
    fake: FakePrometheus, adapter: PrometheusMetrics, answer: Any, value: float | None, reason: str
) -> None:
    fake.answers["query"] = (200, answer)
    (sample,) = await adapter.instant("up")
    assert (sample.value, sample.reason, sample.at.tzinfo) == (value, reason, UTC)


@pytest.mark.parametrize(
    ("status", "answer", "kind", "words"),
    [
        (200, {"status": "success", "data": {"resultType": "matrix", "result": []}}, "config", "returns a matrix"),
        (200, {"status": "success", "data": {"resultType": "string", "result": [1, "x"]}}, "config", "a string"),
        (200, {"status": "success", "data": None}, "malformed", "Expected `object`"),
        (200, vector({"metric": 5}), "malformed", "metric"),
        (200, vector({"metric": {}, "value": [1e300, "1"]}), "malformed", "is no time"),
        (200, {"status": "error", "errorType": "x", "error": "a lie"}, "malformed", "a lie"),
        (200, {"detail": "hello"}, "malformed", "query"),
        (422, {"status": "error", "errorType": "execution", "error": "many-to-many matching"}, "config", "many-to"),
        (503, {"status": "error", "errorType": "timeout", "error": "query timed out"}, "timeout", "query timed out"),
        (503, {"status": "error", "errorType": "canceled", "error": "query was canceled"}, "timeout", "canceled"),
        (500, {"status": "error", "errorType": "internal", "error": "disk"}, "unreachable", "disk"),
        (401, {"status": "error", "error": "no org id"}, "auth", "no org id"),
    ],
)  # fmt: skip
async def test_what_cannot_be_used_is_named(
    fake: FakePrometheus, adapter: PrometheusMetrics, status: int, answer: Any, kind: str, words: str
) -> None:
    fake.answers["query"] = (status, answer)
    with pytest.raises(BackendError, match=words) as caught:
        await adapter.instant("up")
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "data", [None, {}, {"result": None}, {"result": [{}]}, {"result": [{"metric": {}, "values": [["x", 1]]}]},
             {"result": [{"metric": {}, "values": [[1e300, "1"]]}]}],
)  # fmt: skip
async def test_a_range_of_another_shape_is_malformed(
    fake: FakePrometheus, adapter: PrometheusMetrics, data: Any
) -> None:
    fake.answers["query_range"] = (200, {"status": "success", "data": data})
    with pytest.raises(BackendError) as caught:
        await over(adapter, "up")
    assert caught.value.kind == "malformed"


async def test_a_server_that_does_not_say_what_it_is(fake: FakePrometheus, adapter: PrometheusMetrics) -> None:
    assert await adapter.version() == ""
    fake.answers["status/buildinfo"] = (200, {"status": "success", "data": {"version": "2.42.0"}})
    assert await adapter.version() == "2.42.0"


async def test_the_missing_package_is_a_matter_of_the_config(
    adapter: PrometheusMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "backends.metrics.prometheus.range", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_api_client", None)
    with pytest.raises(BackendError, match="prometheus_api_client is missing") as caught:
        await over(adapter, "up")
    assert caught.value.kind == "config"


async def test_a_million_values_do_not_hold_the_event_loop(fake: FakePrometheus, adapter: PrometheusMetrics) -> None:
    values = [[number, "0.5"] for number in range(10_000)]
    series = [{"metric": {"n": str(number)}, "values": values} for number in range(20)]
    fake.answers["query_range"] = (200, {"status": "success", "data": {"resultType": "matrix", "result": series}})
    read = asyncio.ensure_future(over(adapter, "up"))
    longest = 0.0
    while not read.done():
        began = time.process_time()  # what other programs take of the machine does not count
        await asyncio.sleep(0.005)
        longest = max(longest, time.process_time() - began)
    assert sum(len(each.points) for each in await read) == 200_000
    assert longest < 1.0


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "missing required field `url`"),
        ({"url": "prometheus:9090"}, "begins with http"),
        ({"url": "http://u:p@prometheus:9090"}, "password inside a URL"),
        ({"url": "http://prometheus:9090/?dedup=true"}, "belongs in `params`"),
        ({"url": "http://p", "headers": {"Authorization": "Bearer x"}}, "a literal secret"),
        ({"url": "http://p", "tenant": "a", "headers": {"x-scope-orgid": "b"}}, "X-Scope-OrgID already"),
        ({"url": "http://p", "timeout": "0s"}, "more than 0s"),
        ({"url": "http://p", "auth": {"username": "x"}}, "auth"),
    ],
)
def test_a_config_that_cannot_be_meant(connect: Connect, config: dict[str, Any], words: str) -> None:
    context = AdapterContext("prom", Path(), Path(), Http())
    with pytest.raises(BackendError, match=words) as caught:
        build("metrics", "prometheus", config, context)
    assert caught.value.kind == "config"


async def test_times_before_and_after_all_times(adapter: PrometheusMetrics) -> None:
    assert await adapter.instant("up", at=datetime(1970, 1, 1, tzinfo=UTC)) == []
    assert await adapter.instant("up", at=datetime(9999, 12, 31, tzinfo=UTC)) == []


async def test_a_refused_query_is_named(fake: FakePrometheus, adapter: PrometheusMetrics) -> None:
    refused = (400, {"status": "error", "errorType": "bad_data", "error": "parse error: unclosed"})
    fake.answers["query"] = fake.answers["query_range"] = refused
    for answer in (adapter.instant("sum("), over(adapter, "sum(")):
        with pytest.raises(BackendError, match="parse error: unclosed") as caught:
            await answer
        assert (caught.value.kind, caught.value.fix.endswith("sum(")) == ("config", True)


async def test_one_odd_sample_has_no_value_and_takes_nothing_with_it(
    fake: FakePrometheus, adapter: PrometheusMetrics
) -> None:
    result = [
        {"metric": {"dataset": "a"}, "value": [1, "0.5"]}, {"metric": {"dataset": "b"}, "value": [1, {}]},
        {"metric": {"dataset": 3}, "value": [1, "1"]}, "no sample",
    ]  # fmt: skip
    fake.answers["query"] = (200, {"status": "success", "data": {"resultType": "vector", "result": result}})
    samples = await adapter.instant("score")
    assert [(each.labels.get("dataset"), each.value) for each in samples] == [
        ("a", 0.5), ("b", None), ("3", None), (None, None),
    ]  # fmt: skip
    assert all("cannot be read" in each.reason for each in samples[1:])


@pytest.mark.parametrize("more", [{"isPartial": True}, {"warnings": ["store-2 is away"]}])
async def test_what_a_partial_answer_lacks_is_told(
    fake: FakePrometheus, adapter: PrometheusMetrics, more: dict[str, Any]
) -> None:
    result = [{"metric": {"dataset": "a"}, "value": [1, "0.5"]}]
    answer = {"status": "success", **more, "data": {"resultType": "vector", "result": result}}
    fake.answers["query"] = (200, answer)
    with collected() as lost:
        await asyncio.gather(adapter.instant("score"), adapter.instant("score"))
    assert len(lost) == 1
    assert "the answer may be incomplete" in lost[0].message


async def test_freshness_by_a_partial_answer_is_unknown(
    fake: FakePrometheus, adapter: PrometheusMetrics, tmp_path: Path
) -> None:
    result = [{"metric": {"dataset": "a"}, "value": [1, str(time.time())]}]
    answer = {"status": "success", "isPartial": True, "data": {"resultType": "vector", "result": result}}
    fake.answers["query"] = (200, answer)
    context = AdapterContext("fresh", tmp_path, tmp_path, Http(), metrics=lambda _: adapter)
    check = build("checks", "freshness", {"metrics": "prom", "query": "t"}, context)
    found = await check.run()
    assert (found.state, "may be incomplete" in found.message) == ("unknown", True)


@pytest.mark.parametrize("body", [{"status": "error"}, {"status": "error", "error": "a lie"}, {"status": []}])
async def test_an_answer_that_is_no_success_is_no_redirect(http: Http, tmp_path: Path, body: dict[str, Any]) -> None:
    async with FaultyServer() as server:
        server.answer = lambda request: (200, body)
        source: Any = build("metrics", "prometheus", {"url": server.url}, AdapterContext("x", tmp_path, tmp_path, http))
        with pytest.raises(BackendError) as caught:
            await source.instant("up")
    assert "followed" not in caught.value.message
    assert any(words in caught.value.message for words in ('status is "error"', "a lie", "$.status"))
