"""`haproxy` on real HAProxy nodes: the contract on one and on two, and what only they do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.haproxy import HaproxySwitch
from backends.http import Http
from backends.registry import AdapterContext, build
from tests.backends.deployments_contract import Meddle, Sicken, SwitchContract
from tests.live.haproxy import Haproxy, haproxy
from tests.live.process import until
from tests.two_colors import COLORS, TwoColors

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("haproxy")]
SERVERS = {color: [f"{color}-1"] for color in COLORS}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[TwoColors]:
    async with TwoColors(tmp_path) as service:
        yield service


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    http = Http()
    yield http
    await http.aclose()


def lines(
    service: TwoColors, *, blue: int = 1, green: int = 1, weights: tuple[int, int] = (100, 0)
) -> list[tuple[str, int, str]]:
    counts = zip(COLORS, (blue, green), weights, strict=True)
    return [
        (f"{color}-{number}", service.ports[color], f"weight {weight}")
        for color, count, weight in counts
        for number in range(1, count + 1)
    ]


@pytest.fixture
async def nodes(service: TwoColors, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[list[Haproxy]]:
    """As many as the test's parameter says, by default one; started beside the colors, which have to answer checks."""
    count = getattr(request, "param", 1)
    with contextlib.ExitStack() as stack:
        found = []
        for number in range(1, count + 1):
            found.append(
                await asyncio.to_thread(stack.enter_context, haproxy(tmp_path / f"lb{number}", lines(service)))
            )
        await all_up(found)
        yield found


async def all_up(nodes: list[Haproxy], *servers: str) -> None:
    for node in nodes:
        await asyncio.to_thread(until, lambda node=node: node.up(*servers), "servers up")


def switch_of(service: TwoColors, http: Http, nodes: list[Haproxy], **config: Any) -> HaproxySwitch:
    base = service.directory
    entry = {
        "nodes": [node.node for node in nodes],
        "backend": "model",
        "servers": SERVERS,
        "health": {color: service.url(color) for color in COLORS},
        "probe": {"url": nodes[0].url, "header": "X-Environment"},
        **config,
    }
    found: HaproxySwitch = build("deployments", "haproxy", entry, AdapterContext("model", base, base / "own", http))
    return found


class _OverNodes(SwitchContract):
    @pytest.fixture
    async def adapter(self, service: TwoColors, http: Http, nodes: list[Haproxy]) -> AsyncIterator[HaproxySwitch]:
        adapter = switch_of(service, http, nodes)
        yield adapter
        await adapter.aclose()

    @pytest.fixture
    def meddle(self, nodes: list[Haproxy]) -> Meddle:
        numbers = iter(range(100, 200))

        def meddle(weights: dict[str, int]) -> None:
            number = next(numbers)
            for node in nodes:
                node.meddle(weights, number)

        return meddle

    @pytest.fixture
    def sicken(self, service: TwoColors) -> Sicken:
        def sicken(color: str) -> None:
            service.faults[color].status, service.faults[color].word = 503, "unhealthy"

        return sicken


class TestOneNode(_OverNodes):
    pass


@pytest.mark.parametrize("nodes", [2], indirect=True)
class TestTwoNodes(_OverNodes):
    pass
