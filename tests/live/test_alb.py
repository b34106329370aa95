"""`alb` on moto with simecs before it, and simalb as the data plane: the contract on one rule, on two and on a default
action, and what only a load balancer does."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.alb.switch import AlbSwitch
from backends.http import Http
from backends.registry import AdapterContext, build
from backends.testing.deployments import Meddle, Sicken, SwitchContract
from tests.live.alb import Bench, alb_bench
from tests.live.moto import KEYS
from tests.two_colors import TwoColors

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("aws")]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with alb_bench(tmp_path_factory.mktemp("aws")) as found:
        yield found


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def service(tmp_path: Path, bench: Bench) -> AsyncIterator[TwoColors]:
    async with bench.service(tmp_path) as service:
        await asyncio.to_thread(bench.reset)
        yield service


def switch_of(bench: Bench, service: TwoColors, http: Http, *, rules: int = 1, **more: Any) -> AlbSwitch:
    base = service.directory
    context = AdapterContext("model", base, base / "own", http)
    found: AlbSwitch = build("deployments", "alb", bench.entry(service, rules=rules, **more), context)
    return found


class _OverRules(SwitchContract):
    rules = 1

    @pytest.fixture
    async def adapter(self, bench: Bench, service: TwoColors, http: Http) -> AsyncIterator[AlbSwitch]:
        adapter = switch_of(bench, service, http, rules=self.rules)
        yield adapter
        await adapter.aclose()

    @pytest.fixture
    def meddle(self, bench: Bench) -> Meddle:
        def meddle(weights: dict[str, int]) -> None:
            for rule in bench.balancer.rules[: self.rules]:
                bench.lab.weigh(rule, bench.balancer.groups, weights)

        return meddle

    @pytest.fixture
    def sicken(self, service: TwoColors) -> Sicken:
        def sicken(color: str) -> None:
            service.faults[color].status, service.faults[color].word = 503, "unhealthy"

        return sicken


class TestOneRule(_OverRules):
    pass


class TestTwoRules(_OverRules):
    rules = 2
