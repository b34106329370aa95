"""A canary as in production: real HAProxy, real Prometheus that scrapes both colors, load, an operator's config."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actions.models import Action, Consent, Request
from console.config.load import load_config, pick_context
from console.orders import Orders
from console.reading.adapters import Adapters
from tests.live.haproxy import Haproxy, haproxy
from tests.live.measured import Measured, measured
from tests.live.process import until
from tests.live.prometheus import Exporter, PrometheusServer
from tests.live.require import program

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("canary")]

PER_SECOND = 150
WINDOW_S = 2
DEADLINE_S = 120
CONFIG = """
[contexts.canary]
title = "canary"
[[contexts.canary.metrics]]
name = "prom"
type = "prometheus"
url = "{prometheus}"
timeout = "5s"
[[contexts.canary.deployments]]
name = "model"
type = "haproxy"
nodes = ["{node}"]
backend = "model"
servers = {{ blue = ["blue-1"], green = ["green-1"] }}
health = {{ blue = "http://127.0.0.1:{blue}/health", green = "http://127.0.0.1:{green}/health" }}
probe = {{ url = "http://127.0.0.1:{port}/health", header = "X-Environment" }}
probe_timeout = "10s"
stages = {{ canary = {stages} }}
stage_time = "{stage_time}"
bake = "3s"
metrics = "prom"
[[contexts.canary.deployments.gates]]
name = "error rate"
candidate = '''sum(rate(http_requests_total{{color="{{color}}",status=~"5.."}}[2s]))
  / sum(rate(http_requests_total{{color="{{color}}"}}[2s]))'''
requests = 'sum(increase(http_requests_total{{color="{{color}}"}}[2s]))'
on_no_data = "zero"
max = 0.05
max_increase = 0.02
min_requests = 20
window = "2s"
every = "500ms"
hold = "{hold}"
[[contexts.canary.deployments.gates]]
name = "latency p95"
candidate = '''histogram_quantile(0.95,
  sum by (le) (rate(http_request_duration_seconds_bucket{{color="{{color}}"}}[2s])))'''
requests = 'sum(increase(http_request_duration_seconds_count{{color="{{color}}"}}[2s]))'
unit = "s"
max = 0.5
min_requests = 20
window = "2s"
every = "500ms"
hold = "{hold}"
"""


class Place:
    """Everything that runs, and orders from a config over it."""

    def __init__(self, directory: Path, service: Measured, proxy: Haproxy, prometheus: PrometheusServer) -> None:
        self.directory = directory
        self.service, self.proxy, self.prometheus = service, proxy, prometheus

    def begin_anew(self) -> None:
        """All traffic on a healthy blue, and Prometheus has seen it for a while."""
        self.service.heal()
        self.proxy.set(blue_1=100, green_1=0)
        self.prometheus.start()
        query = f'sum(increase(http_requests_total{{color="blue"}}[{WINDOW_S}s]))'
        until(
            lambda: float(self.prometheus.value(query) or 0) > PER_SECOND / 2, "Prometheus sees the traffic", within=60
        )

    @contextlib.asynccontextmanager
    async def orders(self, **how: Any) -> AsyncIterator[Orders]:
        """As a command of the console has them."""
        given = {"stages": "[5, 10, 25, 50, 100]", "stage_time": "3s", "hold": "60s", **how}
        path = self.directory / "config.toml"
        text = CONFIG.format(
            prometheus=self.prometheus.url, node=self.proxy.node, port=self.proxy.port,
            blue=self.service.colors["blue"].port, green=self.service.colors["green"].port, **given,
        )  # fmt: skip
        path.write_text(text)
        path.chmod(0o600)
        config = load_config(path)
        assert not config.problems
        adapters = Adapters(pick_context(config, "canary"))
        orders = Orders(adapters.context, adapters)
        try:
            yield orders
        finally:
            await orders.aclose()
            await adapters.aclose()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    program("prometheus")
    directory = tmp_path_factory.mktemp("canary")
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(measured())
        servers = [(f"{color.name}-1", color.port, "weight 100" if color.name == "blue" else "weight 0")
                   for color in service.colors.values()]  # fmt: skip
        proxy = stack.enter_context(haproxy(directory / "lb", servers))
        until(proxy.up, "servers up")
        exporter = Exporter()
        stack.callback(exporter.close)
        prometheus = PrometheusServer(directory, exporter, also=[color.port for color in service.colors.values()])
        stack.callback(prometheus.stop)
        service.drive(proxy.port, PER_SECOND)
        yield Place(directory, service, proxy, prometheus)


@pytest.fixture
def place(running: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    running.begin_anew()
    return running


async def canary(orders: Orders, seen: Callable[[Action], None] = lambda action: None) -> Action:
    """Ordered, and watched to its end."""
    plan = await orders.plan(Request(kind="flip", service="model", to="green", strategy="canary"))
    assert not [finding for finding in plan.findings if finding.level == "block"]
    action = await orders.submit(plan, Consent(confirmed=True, reason="acceptance"), foreground=True)
    async with asyncio.timeout(DEADLINE_S):
        async for frame in orders.watch(str(action.id)):
            action = frame
            seen(frame)
    return action


def words(action: Action) -> str:
    return json.dumps([[step.name, step.status, step.detail] for step in action.steps], indent=1)


async def test_a_healthy_candidate_goes_through_all_stages(place: Place) -> None:
    shares: list[int] = []

    def seen(action: Action) -> None:
        if action.phase.startswith("analyse["):
            weight = place.proxy.weights()
            share = round(100 * weight["green-1"] / (weight["green-1"] + weight["blue-1"]))
            if share not in shares[-1:]:
                shares.append(share)

    async with place.orders() as orders:
        action = await canary(orders, seen)
    assert action.status == "succeeded", words(action)
    assert shares == [5, 10, 25, 50, 100]
    assert {step.status for step in action.steps} == {"succeeded"}
    assert {gate.name: gate.word for gate in action.gates} == {"error rate": "pass", "latency p95": "pass"}


async def test_twenty_percent_errors_are_taken_back_at_the_first_stage(place: Place) -> None:
    place.service.colors["green"].errors = 0.2
    async with place.orders(stages="[10, 100]") as orders:
        action = await canary(orders)
    assert action.status == "rolled_back", words(action)
    assert {step.name: step.status for step in action.steps}["analyse[10]"] == "failed"
    assert action.error is not None
    assert "error rate: " in action.error.message
    assert "GREEN took " in action.error.message
    assert "% of all)" in action.error.message
    assert place.proxy.weights()["green-1"] == 0


async def test_800_ms_more_are_taken_back_by_the_latency_gate(place: Place) -> None:
    place.service.colors["green"].delay_s = 0.8
    async with place.orders(stages="[10, 100]") as orders:
        action = await canary(orders)
    assert action.status == "rolled_back", words(action)
    assert action.error is not None
    assert "latency p95: " in action.error.message
    assert "over the limit of 500 ms" in action.error.message


async def test_prometheus_killed_at_25_percent_holds_and_goes_back_at_the_deadline(place: Place) -> None:
    held: list[Action] = []

    def seen(action: Action) -> None:
        if action.phase == "analyse[25]":
            place.prometheus.stop()
        if action.hold is not None:
            held.append(action)

    async with place.orders(stages="[25, 100]", stage_time="30s", hold="3s") as orders:
        action = await canary(orders, seen)
    assert action.status == "rolled_back", words(action)
    assert held
    assert held[0].hold is not None
    assert held[0].hold.until is not None
    assert action.error is not None
    assert "nothing could be proven" in action.error.message


async def test_prometheus_back_within_the_hold_lets_it_go_on(place: Place) -> None:
    held: list[Action] = []

    def seen(action: Action) -> None:
        if action.phase == "analyse[25]" and not held:
            place.prometheus.stop()
        if action.hold is not None and not held:
            held.append(action)
            place.prometheus.start()

    async with place.orders(stages="[25, 100]") as orders:
        action = await canary(orders, seen)
    assert held
    assert action.status == "succeeded", words(action)
