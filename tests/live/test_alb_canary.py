"""A canary behind a load balancer that really routes, judged by a real Prometheus that scrapes both colors."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from actions.models import Action, Consent, Request
from console.config.load import load_config, pick_context
from console.orders import Orders
from console.reading.adapters import Adapters
from tests.live.aws import AwsLab, Balancer, aws_lab
from tests.live.measured import Measured, measured
from tests.live.moto import KEYS
from tests.live.process import until
from tests.live.prometheus import Exporter, PrometheusServer
from tests.live.require import program
from tests.live.teal import toml
from tests.load import Load

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("aws-release")]

PER_SECOND = 80
DEADLINE_S = 180
GATE = """
[[contexts.canary.deployments.gates]]
name = "error rate"
candidate = '''sum(rate(http_requests_total{color="{color}",status=~"5.."}[2s]))
  / sum(rate(http_requests_total{color="{color}"}[2s]))'''
requests = 'sum(increase(http_requests_total{color="{color}"}[2s]))'
on_no_data = "zero"
max = 0.05
max_increase = 0.02
min_requests = 10
window = "2s"
every = "500ms"
hold = "90s"
"""


class Place:
    """Everything that runs, and orders from a config over it."""

    def __init__(self, directory: Path, service: Measured, lab: AwsLab, balancer: Balancer, urls: list[str]) -> None:
        self.directory, self.service, self.lab, self.balancer = directory, service, lab, balancer
        self.url, self.prometheus = urls

    def weights(self) -> list[int]:
        """Of the rule."""
        (rule,) = self.lab.client("elbv2").describe_rules(RuleArns=self.balancer.rules)["Rules"]
        return [each["Weight"] for each in rule["Actions"][0]["ForwardConfig"]["TargetGroups"]]

    @contextlib.asynccontextmanager
    async def orders(self) -> AsyncIterator[Orders]:
        """As a command of the console has them."""
        entry = {
            "name": "model", "type": "alb", "aws": self.lab.access, **self.balancer.config(),
            "health": {name: f"http://127.0.0.1:{color.port}/health" for name, color in self.service.colors.items()},
            "probe": {"url": f"{self.url}/health", "header": "X-Environment"}, "probe_timeout": "10s",
            "stages": {"canary": [5, 25, 50, 100]}, "stage_time": "3s", "bake": "3s", "metrics": "prom",
        }  # fmt: skip
        lines = ["[contexts.canary]", 'title = "canary"', "[[contexts.canary.metrics]]", 'name = "prom"']
        lines += ['type = "prometheus"', f'url = "{self.prometheus}"', "[[contexts.canary.deployments]]"]
        path = self.directory / "config.toml"
        path.write_text("\n".join([*lines, *(f"{key} = {toml(value)}" for key, value in entry.items())]) + GATE)
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
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    program("prometheus")
    directory = tmp_path_factory.mktemp("canary")
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(aws_lab(directory))
        service = stack.enter_context(measured())
        balancer = lab.balancer({name: color.port for name, color in service.colors.items()})
        (url,) = stack.enter_context(lab.routed(balancer, directory))
        exporter = Exporter()
        stack.callback(exporter.close)
        prometheus = PrometheusServer(directory, exporter, also=[color.port for color in service.colors.values()])
        stack.callback(prometheus.stop)
        prometheus.start()
        service.drive(int(url.rpartition(":")[2]), PER_SECOND)
        query = 'sum(increase(http_requests_total{color="blue"}[2s]))'
        until(lambda: float(prometheus.value(query) or 0) > PER_SECOND / 2, "Prometheus sees the traffic", within=60)
        yield Place(directory, service, lab, balancer, [url, prometheus.url])


async def ordered(orders: Orders, seen: Any = lambda: None, **request: Any) -> Action:
    """Ordered, and watched to its end."""
    plan = await orders.plan(Request(service="model", **request))
    assert not [finding for finding in plan.findings if finding.level == "block"]
    action = await orders.submit(plan, Consent(confirmed=True, reason="acceptance"), foreground=True)
    async with asyncio.timeout(DEADLINE_S):
        async for frame in orders.watch(str(action.id)):
            action = frame
            seen()
    return action


async def test_a_canary_is_judged_by_the_share_that_it_has_and_taken_back_where_it_fails(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    shares: list[int] = []

    def seen() -> None:
        green = place.weights()[1]
        if green not in shares[-1:]:
            shares.append(green)

    async with place.orders() as orders:
        async with Load(f"{place.url}/work", 20) as load:
            good = await ordered(orders, seen, kind="flip", to="green", strategy="canary")
            assert good.status == "succeeded", [[step.name, step.status, step.detail] for step in good.steps]
            assert [share for share in shares if share] == [5, 25, 50, 100]
            assert {gate.name: gate.word for gate in good.gates} == {"error rate": "pass"}
            back = await ordered(orders, kind="rollback")
            assert (back.status, place.weights()) == ("succeeded", [100, 0])
        assert (load.lost, set(load.colors())) == ([], {"blue", "green"})
        place.service.colors["green"].errors = 0.3
        bad = await ordered(orders, kind="flip", to="green", strategy="canary", overrides=("rejected",))
        assert bad.status == "rolled_back", [[step.name, step.status, step.detail] for step in bad.steps]
        assert (place.weights(), bad.error is not None) == ([100, 0], True)
