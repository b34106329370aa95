"""`http` checks over TLS: days that the certificate is still valid, on a real server with certificates of our own."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from backends.checks.http import HttpCheck
from backends.errors import BackendError
from backends.http import Http
from backends.models import CheckResult
from backends.registry import AdapterContext, build
from backends.testing.checks import consistent
from tests.live.require import program
from tests.tls import Authority

Serve = Callable[[int], AbstractAsyncContextManager[int]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    program("openssl")
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def serve(authority: Authority) -> Serve:
    @asynccontextmanager
    async def serving(days: int) -> AsyncIterator[int]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.certificate(days=days))

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        async with server:
            yield server.sockets[0].getsockname()[1]

    return serving


async def look(port: int, tmp_path: Path, verify: str | bool, **config: Any) -> CheckResult:
    http = Http(verify=verify)
    try:
        context = AdapterContext("mine", tmp_path, tmp_path, http)
        check: HttpCheck = build("checks", "http", {"url": f"https://127.0.0.1:{port}/", **config}, context)
        result = await check.run()
    finally:
        await http.aclose()
    consistent(result)
    return result


@pytest.mark.parametrize(
    ("days", "config", "state", "words"),
    [
        (90, {}, "ok", "200 OK in "),
        (20, {}, "warning", "certificate ends in 20 days"),
        (6, {}, "critical", "certificate ends in 6 days"),
        (20, {"certificate_warn": "14d"}, "ok", "200 OK in "),
        (20, {"certificate_warn": "60d", "certificate_crit": "30d"}, "critical", "certificate ends in 20 days"),
        (6, {"expect": {"status": 204}}, "critical", "200 OK, expected 204; certificate ends in 6 days"),
    ],
)
async def test_days_that_are_left(
    serve: Serve, authority: Authority, tmp_path: Path, days: int, config: dict[str, Any], state: str, words: str
) -> None:
    async with serve(days) as port:
        result = await look(port, tmp_path, str(authority.bundle), **config)
    assert result.state == state
    assert result.message.startswith(words)
    time, left = result.perfdata
    assert (time.label, left.label) == ("time", "certificate_days")
    assert left.value == pytest.approx(days, abs=0.1)
    if not config:
        assert (left.warn, left.crit, left.min) == ("21:", "7:", 0)


async def test_a_certificate_that_nobody_vouches_for(serve: Serve, tmp_path: Path) -> None:
    async with serve(90) as port:
        result = await look(port, tmp_path, True)
    assert result.state == "critical"
    assert "certificate not trusted: " in result.message


async def test_one_that_has_ended(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    async with serve(-1) as port:
        result = await look(port, tmp_path, str(authority.bundle))
    assert result.state == "critical"
    assert "certificate has expired" in result.message


async def test_without_verification_nothing_is_said_of_its_days(serve: Serve, tmp_path: Path) -> None:
    async with serve(6) as port:
        result = await look(port, tmp_path, False)
    assert (result.state, len(result.perfdata)) == ("ok", 1)


def test_limits_in_the_wrong_order_are_refused(tmp_path: Path) -> None:
    config = {"url": "https://host/", "certificate_warn": "1d"}
    with pytest.raises(BackendError, match="certificate_warn, certificate_crit"):
        build("checks", "http", config, AdapterContext("mine", tmp_path, tmp_path, Http()))
