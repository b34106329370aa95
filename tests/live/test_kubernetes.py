"""The `kubernetes` switch against a real API server whose pods answer on loopback."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.kubernetes import KubernetesSwitch
from backends.http import Http
from backends.registry import AdapterContext, build
from tests.backends.deployments_contract import Meddle, Sicken, SwitchContract
from tests.live.kubernetes import Cluster, Namespace, namespace

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kubernetes")]


@pytest.fixture(scope="module")
def shared(kube: Cluster) -> Iterator[Namespace]:
    with namespace(kube) as space:
        yield space


@pytest.fixture
def space(shared: Namespace) -> Namespace:
    """As it was created: all on blue, 2.4.0 on both sides, all ready."""
    shared.reset()
    return shared


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    http = Http()
    yield http
    await http.aclose()


def switch_of(space: Namespace, http: Http, tmp_path: Path, **config: Any) -> KubernetesSwitch:
    context = AdapterContext("analytics", tmp_path, tmp_path, http)
    found: KubernetesSwitch = build("deployments", "kubernetes", space.config(**config), context)
    return found


@pytest.fixture
async def adapter(space: Namespace, http: Http, tmp_path: Path) -> AsyncIterator[KubernetesSwitch]:
    adapter = switch_of(space, http, tmp_path)
    yield adapter
    await adapter.aclose()


class TestContract(SwitchContract):
    @pytest.fixture
    def meddle(self, space: Namespace) -> Meddle:
        def meddle(weights: dict[str, int]) -> None:
            space.select(max(weights, key=lambda color: weights[color]))

        return meddle

    @pytest.fixture
    def sicken(self, space: Namespace) -> Sicken:
        def sicken(color: str) -> None:
            space.set_image(color, "2.4.0-sick")
            space.settle()

        return sicken
