"""Metrics, quality and alerts on Debian's Prometheus, and what of it VictoriaMetrics does."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from backends.alerts.prometheus.alerts import PrometheusAlerts
from backends.errors import BackendError
from backends.http import Http
from backends.metrics.prometheus.metrics import PrometheusMetrics
from backends.registry import AdapterContext, build
from backends.testing.alerts import AlertsContract, Lose, RaiseAlerts, Raised
from backends.testing.metrics import Asked, MetricsContract, Put, over
from tests.live.process import until
from tests.live.prometheus import PASSWORD, PrometheusServer, prometheus, series
from tests.live.victoria import VictoriaMetrics, victoria

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("prometheus")]

SCORE = "data_quality_score"
NAMES = (f"teal_test_{number}" for number in itertools.count())
Connect = Callable[..., Any]


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    with prometheus(tmp_path_factory.mktemp("prometheus")) as server:
        yield server


@pytest.fixture
def server(module_server: PrometheusServer) -> PrometheusServer:
    """It runs, serves nothing, and nothing fires."""
    module_server.exporter.clear()
    module_server.start()
    until(lambda: not module_server.read("alerts")["alerts"], "nothing fires")
    until(lambda: module_server.health() == {"ok"}, "no rule is broken")
    until(lambda: module_server.value(f"count({SCORE})") is None, "no scores")
    return module_server


@pytest.fixture
async def connect(tmp_path: Path) -> AsyncIterator[Connect]:
    """`connect("quality", url, query=…)`."""
    http = Http()
    built: list[Any] = []

    def connected(port: str, url: str, **config: Any) -> Any:
        config = {"url": url, "timeout": "5s", **config}
        built.append(build(port, "prometheus", config, AdapterContext("prom", tmp_path, tmp_path, http)))
        return built[-1]

    yield connected
    for adapter in built:
        await adapter.aclose()
    await http.aclose()


class TestAlerts(AlertsContract):
    @pytest.fixture
    def adapter(self, server: PrometheusServer, connect: Connect) -> PrometheusAlerts:
        adapter: PrometheusAlerts = connect("alerts", server.url)
        return adapter

    @pytest.fixture
    def raise_alerts(self, server: PrometheusServer) -> RaiseAlerts:
        def raised(alerts: list[Raised]) -> None:
            server.exporter.gauges = {series(SCORE, dataset=each.dataset): each.score for each in alerts}
            wanted = {each.dataset: ("firing", f"score {each.score} of {each.dataset} below 0.80") for each in alerts}
            until(lambda: server.firing() == wanted, f"{wanted} fires")

        return raised

    @pytest.fixture
    def lose(self, server: PrometheusServer) -> Lose:
        return server.stop


async def test_pending_becomes_firing_and_goes(server: PrometheusServer, connect: Connect) -> None:
    adapter = connect("alerts", server.url)
    server.exporter.gauges = {series("pipeline_p95_seconds", pipeline="etl"): 2.5}
    server.exporter.rates = {
        series("pipeline_errors_total", pipeline="etl"): 20,
        series("records_processed_total", pipeline="etl"): 100,
    }
    until(lambda: len(server.read("alerts")["alerts"]) == 2, "both rules hold")
    found = {alert.name: alert for alert in await adapter.alerts()}
    slow, errors = found["SlowPipeline"], found["HighErrorRate"]
    assert (slow.state, slow.health, slow.severity, slow.summary) == ("pending", "warning", "warning", "value 2.5")
    assert errors.state in ("pending", "firing")
    assert errors.summary == "more than 5 % of the records of etl fail"
    until(lambda: "firing" in {alert["state"] for alert in server.read("alerts")["alerts"]}, "it fires")
    (firing,) = [alert for alert in await adapter.alerts() if alert.state == "firing"]
    assert (firing.ref, firing.since, firing.labels["pipeline"]) == (errors.ref, errors.since, "etl")
    server.exporter.clear()
    until(lambda: not server.read("alerts")["alerts"], "nothing fires")
    assert await adapter.alerts() == []


async def test_a_rule_that_breaks_is_a_blind_spot_until_it_heals(server: PrometheusServer, connect: Connect) -> None:
    adapter = connect("alerts", server.url)
    healthy = {series("load_used", job="etl"): 5, series("load_limit", job="etl"): 10}
    server.exporter.gauges = {**healthy, series("load_limit", job="etl", host="b"): 20}
    until(lambda: server.health() == {"ok", "err"}, "the rule breaks")
    (blind,) = await adapter.alerts()
    assert (blind.name, blind.state, blind.severity) == ("OverCapacity", "unknown", "page")
    assert blind.summary.startswith("rule cannot be evaluated: found duplicate series")
    server.exporter.gauges = dict(healthy)
    until(lambda: server.health() == {"ok"}, "the rule heals")
    assert await adapter.alerts() == []


async def test_scores_with_a_trend_of_what_was_scraped(server: PrometheusServer, connect: Connect) -> None:
    server.stop()
    server.start()  # it forgets the scores of other tests
    adapter = connect("quality", server.url, query=SCORE, window="1m", history=60)
    assert await adapter.scores() == []
    gauges = server.exporter.gauges
    for score in (0.99, 0.7):
        gauges[series(SCORE, dataset="customers")] = score
        gauges[series(SCORE, dataset="nobody")] = "NaN"
        until(lambda score=score: server.value(f'{SCORE}{{dataset="customers"}}') == str(score), "scraped")
        before = datetime.now(UTC)
        until(lambda before=before: datetime.now(UTC) - before > timedelta(seconds=1.5), "some steps of the range")
    customers, nobody = await adapter.scores()
    assert (customers.dataset, customers.score, customers.state, customers.reason) == (
        "customers",
        0.7,
        "critical",
        None,
    )
    assert customers.age_s < 2
    assert {point.score for point in customers.trend} == {0.99, 0.7}
    assert [point.at for point in customers.trend] == sorted({point.at for point in customers.trend})
    assert (nobody.state, nobody.reason, nobody.trend) == ("unknown", "score is NaN", ())
    del gauges[series(SCORE, dataset="customers")]
    until(lambda score=score: server.value(f'{SCORE}{{dataset="customers"}}') is None, "gone")
    customers, _ = await adapter.scores()
    assert (customers.state, customers.reason, customers.score) == ("unknown", "no data now", 0.7)


async def test_an_aggregate_is_evaluated_now(server: PrometheusServer, connect: Connect) -> None:
    server.exporter.gauges = {series(SCORE, dataset="customers", host=host): 0.9 for host in "ab"}
    until(lambda: server.value(f"count({SCORE})") == "2", "scraped")
    (found,) = await connect("quality", server.url, query=f"min by (dataset) ({SCORE})  # the worst").scores()
    assert (found.dataset, found.state) == ("customers", "warning")
    assert found.age_s < 5


async def test_numbers_that_are_none_and_queries_that_fail(server: PrometheusServer, connect: Connect) -> None:
    metrics: PrometheusMetrics = connect("metrics", server.url)
    assert (await metrics.version()).startswith("2.")
    assert [(each.value, each.reason) for each in await metrics.instant("vector(0) / 0")] == [(None, "NaN")]
    assert await metrics.instant("no_such_metric") == []
    server.exporter.gauges = {
        series(name, job="etl", host=host): 1 for name in ("load_used", "load_limit") for host in "ab"
    }
    until(lambda: server.value("count(load_limit)") == "2", "scraped")
    for answer, words in (
        (metrics.instant("sum("), "unclosed left parenthesis"),
        (over(metrics, "sum("), "unclosed left parenthesis"),
        (metrics.instant("load_used / on (job) load_limit"), "duplicate series"),
        (metrics.instant("up[5m]"), "returns a matrix"),
        (over(metrics, "up[5m]"), "range vector"),
    ):
        with pytest.raises(BackendError, match=words) as caught:
            await answer
        assert caught.value.kind == "config"
    with pytest.raises(BackendError, match="11,000 points"):
        await metrics.range("up", start=datetime.now(UTC) - timedelta(days=7), end=datetime.now(UTC), step=1)
    many = await metrics.range(
        '{__name__=~".+"}', start=datetime.now(UTC) - timedelta(hours=3), end=datetime.now(UTC), step=1
    )
    assert many, "compressed, and more than one chunk"


async def test_behind_a_prefix_and_a_password(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with prometheus(tmp_path, prefix="/monitoring/prom", user="oncall") as server:
        for password, right in ((PASSWORD, True), ("wrong", False)):
            monkeypatch.setenv("PROM_PASSWORD", password)
            how = {"url": f"{server.url}/", "auth": {"username": "oncall", "password": {"env": "PROM_PASSWORD"}}}
            metrics, rules = connect("metrics", **how), connect("alerts", **how)
            scores = connect("quality", query=SCORE, **how)
            for answer in (metrics.instant("vector(1)"), over(metrics, "vector(1)"), rules.alerts(), scores.scores()):
                if right:
                    assert isinstance(await answer, list)
                    continue
                with pytest.raises(BackendError, match="HTTP 401") as caught:
                    await answer
                assert caught.value.kind == "auth"
                assert password not in caught.value.message


async def test_stopped_is_unreachable_whatever_is_asked(server: PrometheusServer, connect: Connect) -> None:
    metrics, rules = connect("metrics", server.url), connect("alerts", server.url)
    scores = connect("quality", server.url, query=SCORE)
    assert await rules.alerts() == []
    server.stop()
    for answer in (metrics.instant("up"), over(metrics, "up"), rules.alerts(), scores.scores(), metrics.version()):
        with pytest.raises(BackendError, match="connection refused") as caught:
            await answer
        assert caught.value.kind == "unreachable"


# ---- VictoriaMetrics


@pytest.fixture(scope="module")
def module_victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VictoriaMetrics]:
    with victoria(tmp_path_factory.mktemp("victoria")) as server:
        yield server


@pytest.fixture
def other(module_victoria: VictoriaMetrics) -> VictoriaMetrics:
    module_victoria.start()
    return module_victoria


class TestVictoriaMetrics(MetricsContract):
    @pytest.fixture
    def adapter(self, other: VictoriaMetrics, connect: Connect) -> PrometheusMetrics:
        adapter: PrometheusMetrics = connect("metrics", other.url)
        return adapter

    @pytest.fixture
    def metric(self) -> str:
        return next(NAMES)

    @pytest.fixture
    def put(self, other: VictoriaMetrics, metric: str) -> Put:
        return partial(other.put, metric)

    @pytest.fixture
    def asked(self) -> Asked:
        return Asked("sum(", "unexpected token", "vector(1) / 0", "+Inf")

    @pytest.fixture
    def lose(self, other: VictoriaMetrics) -> Lose:
        return other.stop


async def test_scores_of_victoriametrics(other: VictoriaMetrics, connect: Connect) -> None:
    name = next(NAMES)
    for age in (3, 2, 1):
        other.put(name, 1 - age / 10, datetime.now(UTC) - timedelta(minutes=age), dataset="customers")
    (found,) = await connect("quality", other.url, query=name, window="24m").scores()
    assert (found.dataset, found.score, found.state) == ("customers", 0.9, "warning")
    assert [point.score for point in found.trend] == [0.7, 0.8, 0.9]
    assert found.age_s == pytest.approx(60, abs=5)


async def test_a_server_without_rules_proves_nothing(other: VictoriaMetrics, connect: Connect) -> None:
    (found,) = await connect("alerts", other.url).alerts()
    assert (found.name, found.state) == ("PrometheusRules", "unknown")
