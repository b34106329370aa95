"""The `blackbox` check through Debian's exporter, which probes servers of this test."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.checks.blackbox import BlackboxCheck
from backends.errors import BackendError
from backends.http import Http
from backends.models import CheckResult
from backends.registry import AdapterContext, build
from backends.testing.checks import BuildCheck, CheckContract, consistent
from tests.backends.faulty_server import FaultyServer
from tests.live.process import accepts, free_port, started
from tests.live.require import program
from tests.tls import Authority

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("blackbox")]

MODULES = """
modules:
  http_2xx: {prober: http}
  tcp_connect: {prober: tcp}
  ready: {prober: http, http: {fail_if_body_not_matches_regexp: ["^ready$"]}}
  tls: {prober: tcp, tcp: {tls: true, tls_config: {ca_file: "BUNDLE"}}}
"""
TOKEN = "hunter2-t0ken"
Build = Callable[..., BlackboxCheck]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def exporter(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("blackbox")
    modules = directory / "blackbox.yml"
    modules.write_text(MODULES.replace("BUNDLE", str(authority.bundle)))
    port = free_port()
    command = [program("prometheus-blackbox-exporter", "/usr/bin/blackbox_exporter"), f"--config.file={modules}"]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    with started(command, directory / "log", lambda: accepts(port)):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def system() -> AsyncIterator[FaultyServer]:
    async with FaultyServer() as server:
        yield server


@pytest.fixture
async def build_blackbox(exporter: str, system: FaultyServer, tmp_path: Path) -> AsyncIterator[Build]:
    http = Http()

    def factory(**config: Any) -> BlackboxCheck:
        config = {"url": exporter, "target": f"{system.url}/?session={TOKEN}", **config}
        check: BlackboxCheck = build("checks", "blackbox", config, AdapterContext("mine", tmp_path, tmp_path, http))
        return check

    yield factory
    await http.aclose()


async def look(check: BlackboxCheck) -> CheckResult:
    result = await check.run()
    consistent(result)
    return result


class TestBlackboxCheck(CheckContract):
    """By TCP, which has no phases."""

    @pytest.fixture
    def build_check(self, build_blackbox: Build, system: FaultyServer) -> BuildCheck:
        return lambda **config: build_blackbox(target=f"127.0.0.1:{system.port}", module="tcp_connect", **config)


async def test_http_with_its_phases(build_blackbox: Build) -> None:
    result = await look(build_blackbox())
    assert (result.state, result.message.startswith("200 OK in ")) == ("ok", True)
    labels = [datum.label for datum in result.perfdata]
    assert labels[0] == "time"
    assert sorted(labels[1:]) == ["connect", "processing", "resolve", "tls", "transfer"]
    result = await look(build_blackbox(crit="0.001ms"))
    assert (result.state, "over 0.001ms" in result.message) == ("critical", True)


@pytest.mark.parametrize(
    ("fault", "module", "words"),
    [
        ("503", "http_2xx", "503 Service Unavailable"),
        ("", "ready", "200 OK, but the body does not match"),
        ("no answer", "http_2xx", "EOF"),
        ("hang", "http_2xx", "context deadline exceeded"),
        ("not HTTP", "http_2xx", "malformed HTTP"),
    ],
)
async def test_each_fault_is_critical_and_named(
    system: FaultyServer, build_blackbox: Build, fault: str, module: str, words: str
) -> None:
    system.fault = fault
    result = await look(build_blackbox(module=module, timeout="1500ms"))
    assert result.state == "critical"
    assert result.message.startswith(f"{system.url}/: ")
    assert words in result.message
    assert TOKEN not in result.message


async def test_nobody_listens_there(system: FaultyServer, build_blackbox: Build) -> None:
    await system.stop()
    result = await look(build_blackbox())
    assert result.state == "critical"
    assert result.message.endswith(f"dial tcp 127.0.0.1:{system.port}: connect: connection refused")
    assert result.perfdata == ()


async def test_days_of_a_certificate(authority: Authority, build_blackbox: Build) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.certificate(days=10))
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        result = await look(build_blackbox(target=target, module="tls"))
    assert (result.state, result.message) == ("warning", "certificate ends in 10 days")


async def test_an_exporter_that_did_not_probe_says_nothing_of_the_target(
    system: FaultyServer, build_blackbox: Build
) -> None:
    with pytest.raises(BackendError, match='HTTP 400: Unknown module "nope"') as caught:
        await build_blackbox(module="nope").run()
    assert caught.value.kind == "config"
    with pytest.raises(BackendError, match="no probe_success"):
        await build_blackbox(url=system.url).run()
    with pytest.raises(BackendError, match="connection refused") as caught:
        await build_blackbox(url=f"http://127.0.0.1:{free_port()}").run()
    assert caught.value.kind == "unreachable"
