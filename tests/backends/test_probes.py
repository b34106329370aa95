"""Health with proof of identity, fresh probes, and traffic out of an exposition."""

import re
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from backends.deployments import common
from backends.deployments.common import color_health, fresh_probe, shared_settings
from backends.deployments.exposition import Exposition
from backends.deployments.rates import Traffic
from backends.deployments.sides import UrlSides
from backends.errors import BackendError
from backends.http import Http
from backends.ports import ProbeTarget, SwitchState
from backends.settings import Duration
from tests.backends.faulty_server import FaultyServer
from tests.two_colors import COLORS, TwoColors


async def test_a_healthy_side_that_answers_late_says_how_late(
    service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "SLOW_S", 0.0)
    http, url = Http(), f"http://127.0.0.1:{service.ports['green']}/health"
    late = await color_health(http, "green", url)
    service.faults["green"].word = "degraded"
    unwell = await color_health(http, "green", url)
    await http.aclose()
    assert re.fullmatch(r"healthy in \d+ ms", late.detail)
    assert " ms" not in unwell.detail
    assert (late.p95_ms, unwell.p95_ms) == (None, None), "the time of one health request is no p95"


async def test_a_side_whose_traffic_nobody_tells_of_has_no_p95(service: TwoColors) -> None:
    health = {color: f"http://127.0.0.1:{service.ports[color]}/health" for color in ("blue", "green")}
    http = Http()
    states = await UrlSides(shared_settings({"health": health}), http).states(
        SwitchState(weights={"blue": 100, "green": 0}, revision="")
    )
    await http.aclose()
    assert [(side.healthy, side.p95_ms) for side in states.values()] == [(True, None), (True, None)]


@pytest.mark.parametrize(
    ("fault", "healthy", "detail"),
    [
        ({}, True, "healthy"),
        ({"word": "Healthy"}, False, "status Healthy"),
        ({"word": "degraded"}, False, 'HTTP 200, status degraded (wanted: "healthy")'),
        ({"body": b'{"status": "unhealthy", "detail": "no db"}'}, False, "HTTP 200, status unhealthy: no db"),
        ({"body": b'{"healthy": true}'}, False, 'HTTP 200, no "status" in its JSON; wanted: HTTP 200 and JSON, {"st'),
        ({"body": b"OK"}, None, 'wanted: HTTP 200 and JSON, {"status": "healthy", "version": "…", "environment": '),
        ({"body": b""}, None, 'an empty answer instead of JSON; wanted: HTTP 200 and JSON, {"status": "healthy"'),
        (
            {"says": "", "body": b'{"status": "healthy"}'},
            None,
            'in the header X-Environment, or as "environment"',
        ),
        ({"status": 503}, False, "HTTP 503"),
        ({"status": 206}, False, "HTTP 206"),
        ({"status": 302}, None, "redirected"),
        ({"says": "blue"}, False, "answers as blue"),
        ({"says": ""}, None, "which color"),
        ({"says": "", "headers": {"x-environment": "GREEN"}}, True, "healthy"),
        ({"body": b"<html>login"}, None, "not JSON"),
        ({"body": b"<html>", "status": 502}, False, "not JSON"),
        ({"body": b"[]"}, None, "not as it should be"),
        ({"body": b'{"status": "healthy"}', "says": "blue"}, False, "answers as blue"),
        ({"body": b'{"status": "healthy", "version": ["1.0"]}'}, None, '"version" is neither text nor a number'),
        ({"body": b'{"status": "healthy", "version": true}'}, None, '"version" is neither text nor a number: True'),
        ({"body": b'{"status": "healthy", "version": {"a": 1}}'}, None, '"version" is neither text nor a number'),
        ({"body": b'{"status": "healthy", "version": 1.1}', "says": "green"}, True, "healthy"),
        ({"body": b'{"status": ["healthy"]}', "says": "green"}, False, "status"),
        ({"word": "\x1b]0;pwned\x07bad"}, False, "status bad"),
        ({"headers": {"age": "55"}}, None, "answered from a cache (Age: 55)"),
        ({"headers": {"age": "0"}}, True, "healthy"),
        (
            {"body": b'{"status": "healthy", "environment": "blue"}'},
            None,
            "says green in the header X-Environment, and",
        ),
        ({"body": b'{"status": "healthy", "environment": "production"}'}, True, "healthy"),
    ],
)
async def test_a_side_is_healthy_only_with_200_the_exact_word_and_its_name(
    service: TwoColors, http: Http, fault: dict[str, Any], healthy: bool | None, detail: str
) -> None:
    for name, value in fault.items():
        setattr(service.faults["green"], name, value)
    found = await color_health(http, "green", service.url("green"), others=COLORS)
    assert (found.healthy, detail in found.detail) == (healthy, True), found.detail


async def test_a_side_that_is_not_there_is_not_healthy(service: TwoColors, http: Http) -> None:
    await service.stop("green")
    found = await color_health(http, "green", service.url("green"))
    assert (found.healthy, "refused" in found.detail) == (False, True)
    assert (await color_health(http, "green", "nonsense")).healthy is None


async def test_each_probe_is_a_connection_of_its_own(service: TwoColors) -> None:
    target = ProbeTarget(url=service.url("router", "/health?a=1"))
    seen = [await fresh_probe(target) for _ in range(5)]
    assert [probe.color for probe in seen] == ["blue"] * 5
    assert service.connections == 5
    assert len({path for path, _ in service.requests}) == 5
    assert all("a=1" in path for path, _ in service.requests)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"headers": {"age": "3"}}, "cache"),
        ({"says": ""}, "no header X-Environment (wanted: HTTP 200 with the color in it)"),
        ({"status": 500}, "HTTP 500"),
        ({"status": 301, "headers": {"location": "http://127.0.0.1:1/"}}, "HTTP 301"),
    ],
)
async def test_what_proves_no_color_says_why(service: TwoColors, fault: dict[str, Any], error: str) -> None:
    for name, value in fault.items():
        setattr(service.faults["blue"], name, value)
    seen = await fresh_probe(ProbeTarget(url=service.url("router")))
    assert (seen.color, error in seen.error) == (None, True), seen.error


async def test_no_answer_is_no_color_either(service: TwoColors) -> None:
    url = service.url("router")
    await service.stop("router")
    assert "refused" in (await fresh_probe(ProbeTarget(url=url))).error
    assert (await fresh_probe(ProbeTarget(url="http://user:secret@[broken"))).error
    assert "secret" not in (await fresh_probe(ProbeTarget(url="http://user:secret@127.0.0.1:1/x"))).error


def exposition(ok: int, bad: int, fast: int, slow: int) -> bytes:
    total = fast + slow
    lines = [
        f'http_requests_total{{color="blue",status="200"}} {ok}',
        f'http_requests_total{{color="blue",status="503"}} {bad}',
        f'http_request_duration_seconds_bucket{{le="0.1"}} {fast}',
        f'http_request_duration_seconds_bucket{{le="0.5"}} {total}',
        f'http_request_duration_seconds_bucket{{le="+Inf"}} {total}',
        'http_request_duration_seconds_bucket{color="blue"} nonsense',
        "something_else 1",
    ]
    return "\n".join(lines).encode()


async def test_traffic_is_what_changed_between_two_reads(
    service: TwoColors, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 110.0, 120.0, 130.0])
    monkeypatch.setattr("backends.deployments.exposition.time", SimpleNamespace(monotonic=lambda: next(clock)))
    reads = Exposition(http, service.url("blue", "/metrics"))
    fault = service.faults["blue"]
    fault.body = exposition(1000, 0, 900, 100)
    assert await reads.traffic() == Traffic(pending=True)
    fault.body = exposition(1090, 10, 990, 110)
    newest = Traffic(rps=10.0, requests=100, failed=10, error_pct=10.0, p95_ms=300.0)
    assert await reads.traffic() == newest
    assert await reads.traffic() == replace(newest, rps=0.0), "none came since"
    fault.body = exposition(5, 0, 5, 0)  # it was restarted
    assert await reads.traffic() == Traffic(pending=True)


async def test_an_exposition_that_can_not_be_read_tells_nothing(service: TwoColors, http: Http) -> None:
    service.faults["blue"].status = 500
    assert await Exposition(http, service.url("blue", "/metrics")).traffic() == Traffic()
    service.faults["blue"].status, service.faults["blue"].body = 200, b"\xff\x00 not metrics"
    reads = Exposition(http, service.url("blue", "/metrics"))
    assert await reads.traffic() == Traffic()
    assert await reads.traffic() == Traffic(), "nobody counts there: 0 requests a second was no zero"
    service.faults["blue"].body = b'# a page\nhttp_requests_total{status="200"} NaN\n'
    assert await reads.counted() == (0, 0)


def test_the_shared_fields_of_any_entry_are_read_and_its_own_left_alone() -> None:
    found = shared_settings({"kubeconfig": "~/.kube/config", "bake": "2s", "health": {"a": "x", "b": "y"}})
    assert (found.bake, found.colors, found.rollback_window) == (Duration(2), ("a", "b"), Duration(1800))
    with pytest.raises(BackendError, match="duration"):
        shared_settings({"probe_timeout": "soon"})


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, None, "HTTP 200, not as it should be"),
        (200, [1], "HTTP 200, not as it should be"),
        (200, "junk", "HTTP 200, not JSON"),
        (302, [1], "redirected (HTTP 302) to https://login.example/in"),
        (302, {"status": "healthy"}, "redirected (HTTP 302) to https://login.example/in"),
    ],
)
async def test_what_a_health_answer_is_instead(http: Http, status: int, body: object, words: str) -> None:
    async with FaultyServer() as server:
        server.answer = lambda request: (status, body)
        server.extra_headers = {"location": "https://login.example/in?to=x"}
        found = await color_health(http, "green", server.url)
    assert found.healthy is None
    assert words in found.detail
