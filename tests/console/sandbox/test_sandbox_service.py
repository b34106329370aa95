"""One color of the analytics service, asked over real connections."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from console.sandbox import files
from console.sandbox.fetch import fetch
from tests.console.sandbox_tools import Platform, platform


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Platform]:
    async with platform(tmp_path) as found:
        yield found


async def get(up: Platform, target: str, color: str = "green") -> tuple[int, dict[str, str], Any]:
    import asyncio

    status, headers, body = await asyncio.to_thread(fetch, up.ports[color], target)
    return status, headers, json.loads(body) if headers["content-type"] == "application/json" else body.decode()


async def test_health_names_color_and_version(up: Platform) -> None:
    for color, version in files.VERSIONS.items():
        status, headers, body = await get(up, "/health", color)
        assert (status, headers["x-environment"]) == (200, color)
        assert body == {"status": "healthy", "version": version, "environment": color}


async def test_metrics_count_traffic_and_not_probes(up: Platform) -> None:
    await get(up, "/health")
    await get(up, "/api/customers")
    await get(up, "/nothing")
    _, _, text = await get(up, "/metrics")
    assert 'http_requests_total{color="green",status="200"} 1' in text
    assert 'http_requests_total{color="green",status="404"} 1' in text
    assert 'http_request_duration_seconds_bucket{color="green",le="+Inf"} 2' in text
    assert 'http_request_duration_seconds_count{color="green"} 2' in text


async def test_faults_concern_their_color_only_and_are_seen_at_once(up: Platform) -> None:
    path = up.directory / files.FAULTS
    files.write_json(path, {"generation": 1, "faults": {"bad-release": {"color": "green"}}})
    status, headers, body = await get(up, "/health")
    assert (status, body["status"], headers["x-environment"]) == (503, "unhealthy", "green")
    assert (await get(up, "/health", "blue"))[0] == 200
    statuses = [(await get(up, "/api/customers"))[0] for _ in range(9)]
    assert statuses.count(500) == 3
    files.write_json(path, {"generation": 2, "faults": {}})
    assert (await get(up, "/health"))[0] == 200


async def test_a_warehouse_that_is_away_is_503_and_back_when_it_is(up: Platform) -> None:
    folder = (up.directory / files.WAREHOUSE).parent
    assert (await get(up, "/api/v1/status"))[2]["warehouse"] == "ok"
    folder.rename(folder.with_name("away"))
    for target in ("/api/customers", "/work", "/api/v1/status"):
        status, headers, body = await get(up, target)
        assert (status, headers["x-environment"]) == (503, "green")
        assert body["error"].startswith("warehouse: ")
    assert (await get(up, "/health"))[0] == 200
    folder.with_name("away").rename(folder)
    assert (await get(up, "/api/v1/status"))[0] == 200


async def test_limits_are_limits(up: Platform) -> None:
    for limit in ("0", "5", "999999", "-1", "x", ""):
        assert (await get(up, f"/api/products?limit={limit}"))[0] == 200
