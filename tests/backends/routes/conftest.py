"""A server with routes, and switches over it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.kubernetes import cluster_switch, control
from backends.http import Http
from tests.backends.routes.objects import Build, Routes, Switch, switch_of


@pytest.fixture
async def server() -> AsyncIterator[Routes]:
    async with Routes() as server:
        yield server


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "READ_AGAIN_S", 0.01)
    monkeypatch.setattr(cluster_switch, "IN_FORCE_S", 0.05)
    monkeypatch.setattr(cluster_switch, "_LOOK_S", 0.01)


@pytest.fixture
async def make(server: Routes, tmp_path: Path, http: Http) -> AsyncIterator[Build]:
    """A switch of that type over the fake server; closed afterwards."""
    built: list[Switch] = []

    def make(kind: str, **config: Any) -> Switch:
        server.has(kind)
        built.append(switch_of(kind, server, tmp_path, http, **config))
        return built[-1]

    yield make
    for each in built:
        await each.aclose()
