"""`http` and `tcp` checks against real loopback servers: the contract, and each way of not being healthy."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from backends.checks.http import HttpCheck
from backends.checks.tcp import TcpCheck
from backends.errors import BackendError
from backends.http import Http
from backends.models import CheckResult
from backends.registry import AdapterContext, build
from backends.testing.checks import BuildCheck, CheckContract, consistent
from tests.backends.faulty_server import FaultyServer

SECRET = "hunter2-s3cret"
HEALTHY = {"status": 200, "json": {"status": "healthy"}}

BuildHttp = Callable[..., HttpCheck]


@pytest.fixture
async def server() -> AsyncIterator[FaultyServer]:
    async with FaultyServer() as server:
        yield server


@pytest.fixture
def system(server: FaultyServer) -> FaultyServer:
    return server


@pytest.fixture
def build_http(server: FaultyServer, http: Http, tmp_path: Path) -> BuildHttp:
    def factory(**config: Any) -> HttpCheck:
        config = {"url": server.url + "/health", "expect": HEALTHY, **config}
        check: HttpCheck = build("checks", "http", config, AdapterContext("mine", tmp_path, tmp_path, http))
        return check

    return factory


def tcp(tmp_path: Path, **config: Any) -> TcpCheck:
    check: TcpCheck = build("checks", "tcp", config, AdapterContext("mine", tmp_path, tmp_path, Http()))
    return check


class TestHttpCheck(CheckContract):
    @pytest.fixture
    def build_check(self, build_http: BuildHttp) -> BuildCheck:
        return build_http


class TestTcpCheck(CheckContract):
    @pytest.fixture
    def build_check(self, server: FaultyServer, tmp_path: Path) -> BuildCheck:
        return lambda **config: tcp(tmp_path, host="127.0.0.1", port=server.port, **config)


async def critical(check: HttpCheck | TcpCheck) -> str:
    result: CheckResult = await check.run()
    consistent(result)
    assert result.state == "critical"
    return result.message


async def test_the_word_of_a_healthy_answer(server: FaultyServer, build_http: BuildHttp) -> None:
    assert (await build_http().run()).message.startswith("200 healthy in ")
    server.healthy = ["no", "object"]
    assert (await build_http(expect={}).run()).message.startswith("200 OK in ")
    server.healthy = {"status": "he\x1b[31mal\u202ethy" + "y" * 1000}
    result = await build_http(expect={}).run()
    consistent(result)
    assert len(result.message) < 80


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("404", "404 Not Found, expected 200"),
        ("401", "401 Unauthorized, expected 200"),
        ("503", "503 Service Unavailable, expected 200"),
        ("redirect", "302 Found to https://login.example.com/sso, expected 200"),
        ("html", "an HTML page instead of JSON"),
        ("empty", "an empty answer instead of JSON"),
        ("truncated JSON", "truncated"),
        ("invalid UTF-8", "utf-8"),
        ("truncated body", "connection lost"),
        ("reset", "connection"),
        ("no answer", "connection lost"),
        ("not HTTP", "illegal status line"),
        ("huge", "more than 32 MB"),
        ("hang", "no answer in 0.5 s"),
        ("drip", "no answer in 0.5 s"),
    ],
)
async def test_each_fault_is_critical_looked_at_once_and_named(
    server: FaultyServer, build_http: BuildHttp, fault: str, words: str
) -> None:
    server.fault = fault
    timeout = "0.5s" if fault in ("hang", "drip") else "5s"
    message = await critical(build_http(url=f"{server.url}/health?session={SECRET}", timeout=timeout))
    assert words in message
    assert "hunter2" not in message
    assert len(server.requests) == 1


async def test_a_pattern_that_never_ends_is_cut_off_and_holds_nobody_up(
    server: FaultyServer, build_http: BuildHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.patterns.SEARCH_S", 0.3)
    server.healthy = {"status": ("x" * 800 + "y!") * 90}
    checking = asyncio.ensure_future(build_http(expect={"body": r"x*x*x*y\d"}).run())
    async with asyncio.timeout(10):
        with pytest.raises(BackendError, match="takes more than") as caught:
            await checking
    assert caught.value.kind == "config"


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        ({"status": "starting"}, {"status": "healthy"}, '$.status is "starting", expected "healthy"'),
        ({}, {"status": "healthy"}, "$.status is missing"),
        ([], {"status": "healthy"}, "Expected `object`, got `array`"),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2]}}, None),
        ({"a": {"b": [1, 2], "c": 3}, "d": 4}, {"a": {"b": [1, 2]}}, None),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1]}}, "$.a.b is [1,2], expected [1]"),
        ({"a": 1}, {"a": {"b": 1}}, '$.a is 1, expected {"b":1}'),
        ({"up": 1}, {"up": True}, "$.up is 1, expected true"),
        ({"n": 1}, {"n": 1.0}, None),
        ({"status": None}, {"status": "healthy"}, '$.status is null, expected "healthy"'),
    ],
)
async def test_json_holds_what_is_expected(
    server: FaultyServer, build_http: BuildHttp, answer: Any, expected: dict[str, Any], words: str | None
) -> None:
    server.healthy = answer
    result = await build_http(expect={"json": expected}).run()
    consistent(result)
    assert result.state == ("ok" if words is None else "critical")
    assert words is None or words in result.message
    assert len(result.perfdata) == 1


async def test_body_status_and_method(server: FaultyServer, build_http: BuildHttp) -> None:
    server.status = 202
    assert (await build_http(expect={"status": 202, "body": '"status": "heal.+"'}, method="POST").run()).state == "ok"
    assert server.requests[-1].method == "POST"
    message = await critical(build_http(expect={"status": 202, "body": "^ready$"}))
    assert message == "202, but the body does not match /^ready$/"


async def test_credentials_are_sent_and_never_shown(
    server: FaultyServer, build_http: BuildHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAL_TEST_SECRET", SECRET)
    reference = {"env": "TEAL_TEST_SECRET"}
    for config, sent in (
        ({"headers": {"X-Api-Key": reference, "X-Plain": "1"}}, SECRET),
        ({"auth": {"token": reference}}, f"Bearer {SECRET}"),
        ({"auth": {"username": "oncall", "password": reference}}, "Basic "),
    ):
        server.fault = ""
        assert (await build_http(**config).run()).state == "ok"
        headers = server.requests[-1].headers
        assert headers.get("x-api-key", headers.get("authorization", "")).startswith(sent)
        server.fault = "echo"
        assert SECRET not in await critical(build_http(**config))


@pytest.mark.parametrize(
    "config",
    [
        {"headers": {"x": {"env": "TEAL_TEST_UNSET"}}},
        {"auth": {"token": {"file": "no-such-file"}}},
        {"url": {"env": "TEAL_TEST_UNSET"}},
        {"url": "http://\x00/"},
    ],
)
async def test_where_nobody_could_look_it_is_an_error_and_no_state(
    server: FaultyServer, build_http: BuildHttp, config: dict[str, Any]
) -> None:
    with pytest.raises(BackendError) as caught:
        await build_http(**config).run()
    assert caught.value.kind == "config"
    assert server.requests == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"url": "http://u:p@host/"}, "a password inside a URL"),
        ({"url": "host/health"}, "begins with http"),
        ({"headers": {"Authorization": "Bearer x"}}, "a literal secret"),
        ({"auth": {"token": "x"}}, r"\$\.auth\.token"),
        ({"auth": {}}, "username, password"),
        ({"auth": {"username": "u"}}, "username, password"),
        ({"auth": {"username": "u", "token": {"env": "X"}}}, "username, password"),
        ({"expect": {"body": "("}}, "not a regular expression"),
        ({"expect": {"status": 99}}, "expect.status"),
        ({"expect": {"statuss": 200}}, "unknown field"),
        ({"method": "get it"}, "method"),
        ({"warn": "2s", "crit": "1s"}, "warn is not more than crit"),
        ({"timeout": "0s"}, "timeout"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(build_http: BuildHttp, config: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendError, match=words):
        build_http(**config)


async def test_tcp_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound and not listening
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert await critical(tcp(tmp_path, host="127.0.0.1", port=port)) == f"127.0.0.1:{port}: connection refused"
        assert await critical(tcp(tmp_path, host="localhost", port=port)) == f"localhost:{port}: connection refused"


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "x" * 70 + ".invalid"])
async def test_tcp_a_host_that_does_not_exist(tmp_path: Path, host: str) -> None:
    assert await critical(tcp(tmp_path, host=host, port=1)) == f"{host}:1: no such host"


async def test_tcp_a_full_backlog_is_bounded_in_time(tmp_path: Path) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for client in waiting:
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", port))
            began = time.monotonic()
            message = await critical(tcp(tmp_path, host="127.0.0.1", port=port, timeout="300ms"))
            assert message == f"127.0.0.1:{port}: no connection in 300ms"
            assert time.monotonic() - began < 2
        finally:
            for client in waiting:
                client.close()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"host": " ", "port": 1}, "host"),
        ({"host": "h", "port": 0}, "port"),
        ({"host": "h", "port": 70000}, "port"),
        ({"host": "h", "port": 1, "timeout": "0s"}, "timeout"),
        ({"host": "h"}, "missing required field `port`"),
    ],
)
def test_tcp_a_config_that_makes_no_sense_is_refused(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendError, match=words):
        tcp(tmp_path, **config)


@pytest.mark.parametrize("host", ["[::1]", "::1"])
async def test_tcp_takes_an_ipv6_address_with_and_without_brackets(tmp_path: Path, host: str) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
        port = listening.getsockname()[1]
        result = await tcp(tmp_path, host=host, port=port).run()
    assert result.state == "ok"
    assert (await tcp(tmp_path, host=host, port=port).run()).message == f"[::1]:{port}: connection refused"


@pytest.mark.parametrize("host", ["", "http://db", "db:5432", "db/x", "[db]", "a b", "u@db"])
@pytest.mark.parametrize("kind", ["tcp", "email"])
def test_a_host_is_a_host_alone(tmp_path: Path, kind: str, host: str) -> None:
    context = AdapterContext("mine", tmp_path, tmp_path, Http())
    mail = {"from": "a@b.example", "to": ["a@b.example"]}
    port, more = ("checks", {"port": 1}) if kind == "tcp" else ("notify", mail)
    with pytest.raises(BackendError, match="host: ") as caught:
        build(port, kind, {"host": host, **more}, context)
    assert caught.value.kind == "config"
