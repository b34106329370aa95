"""What this host was late by is not the other's: neither a latency nor a timeout."""

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from backends.checks.latency import LatencyLimits, judge_latency
from backends.deployments.common import fresh_request
from backends.errors import BackendError
from backends.http import Answer, Http
from backends.models import CheckResult
from backends.registry import AdapterContext, build
from backends.settings import Duration
from backends.stopwatch import Stopwatch, timed
from tests.backends.faulty_server import FaultyServer

LATE_S = 0.6


async def looked_late(tmp_path: Path, kind: str, **config: Any) -> CheckResult:
    """The outcome of a check while the loop does something else for `LATE_S`, as an import does."""
    http = Http()
    check = build("checks", kind, config, AdapterContext("mine", tmp_path, tmp_path, http))
    asyncio.get_running_loop().call_soon(time.sleep, LATE_S)
    try:
        result: CheckResult = await check.run()
        return result
    finally:
        await check.aclose()
        await http.aclose()


async def test_a_busy_loop_is_not_the_latency_of_a_connection(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = await looked_late(tmp_path, "tcp", host="127.0.0.1", port=server.getsockname()[1], warn="500ms")
    assert found.state == "ok", found.message
    assert "not judged by 500ms: this host was late by " in found.message
    assert found.latency_ms is not None
    assert found.latency_ms < 500


async def test_nor_a_connection_that_does_not_stand_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = await looked_late(tmp_path, "tcp", host="127.0.0.1", port=server.getsockname()[1], timeout="400ms")
    assert found.state == "ok", found.message


async def test_nor_the_latency_of_an_answer() -> None:
    async with FaultyServer() as server:
        http = Http()
        await http.get(server.url + "/health")
        asyncio.get_running_loop().call_soon(time.sleep, LATE_S)
        answer = await http.get(server.url + "/health")
        await http.aclose()
    assert answer.seconds < LATE_S - 0.1
    assert answer.late_s > LATE_S - 0.1


class GivingUp(Http):
    """Its client gives up, after this host did something else for `late_s`."""

    late_s = 0.0

    async def request(self, *_: Any, **__: Any) -> Answer:
        time.sleep(self.late_s)
        raise BackendError("timeout", "http://a: no answer in 0.4 s")


async def test_a_request_that_a_late_host_gave_up_is_not_judged(tmp_path: Path) -> None:
    http = GivingUp()
    config = {"url": "http://a", "timeout": "400ms"}
    check = build("checks", "http", config, AdapterContext("mine", tmp_path, tmp_path, http))
    assert (await check.run()).state == "critical"
    http.late_s = LATE_S
    with pytest.raises(BackendError, match=r"no answer in 0\.4 s; not judged: this host was late by "):
        await check.run()


async def test_who_is_really_slow_is_judged() -> None:
    limits = LatencyLimits(warn=Duration(0.1), crit=Duration(1))
    with Stopwatch() as watch:
        await asyncio.sleep(0.2)
    assert judge_latency(watch.took().seconds, limits)[0] == "warning"
    assert judge_latency(1.1, limits, late_s=0.5)[0] == "critical"
    assert judge_latency(0.05, limits, late_s=0.01)[:2] == ("ok", "50 ms")


async def test_who_never_answers_is_given_up() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with timed(0.1):
            await asyncio.sleep(30)
    assert time.monotonic() - began < 10


async def test_a_start_that_takes_longer_than_an_answer_may_is_no_silence() -> None:
    """Seven commands of seven on a busy host: "no answer in 2 s" of an nginx that had been asked for 25 ms."""
    async with FaultyServer() as server:
        asyncio.get_running_loop().call_soon(time.sleep, LATE_S)
        answer, _ = await fresh_request(server.url + "/health", timeout_s=LATE_S - 0.2)
        assert answer.status_code == 200
        http = Http()
        await http.get(server.url + "/health")
        asyncio.get_running_loop().call_soon(time.sleep, LATE_S)
        await http.request("GET", server.url + "/health", timeout=LATE_S - 0.2)
        await http.aclose()


async def test_a_server_that_never_answers_a_fresh_request_is_given_up() -> None:
    async with FaultyServer(fault="hang") as server:
        with pytest.raises(BackendError, match="no answer in"):
            await fresh_request(server.url + "/health", timeout_s=0.3)
