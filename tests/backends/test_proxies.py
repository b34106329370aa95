"""By which proxy a request goes, held to what curl and Go document; and that every client asks the same place."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from backends.aws.access import AwsAccess, AwsSession
from backends.errors import BackendError
from backends.http import Http
from backends.proxies import proxy_for
from backends.registry import AdapterContext, build
from tests.backends.faulty_server import FaultyServer

PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.casefold().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("exempt", "direct", "proxied"),
    [
        ("127.0.0.0/8", ["127.0.0.2", "127.255.0.1"], ["128.0.0.1", "host.example"]),
        ("127.0.0.0/30", ["127.0.0.2"], ["127.0.0.9"]),
        ("10.1.2.3/8", ["10.9.9.9"], ["11.0.0.1"]),
        ("fd00::/8", ["[fd12::1]"], ["[fe80::1]", "10.0.0.1"]),
        ("[fd00::]/8", ["[fd12::1]"], []),
        ("example.com", ["example.com", "a.b.example.com", "EXAMPLE.com", "example.com."], ["notexample.com"]),
        (".example.com", ["a.example.com", "example.com"], ["notexample.com"]),
        ("*.example.com", ["a.example.com"], ["notexample.com"]),
        ("EXAMPLE.com", ["example.com"], []),
        ("example.com:8080", ["example.com:8080", "a.example.com:8080"], ["example.com", "example.com:8081"]),
        ("example.com:80", ["example.com", "example.com:80"], ["example.com:81"]),
        ("192.0.2.1", ["192.0.2.1", "192.0.2.1:99"], ["192.0.2.11", "192.0.2.2"]),
        ("192.0.2.1:99", ["192.0.2.1:99"], ["192.0.2.1"]),
        ("::2", ["[::2]"], ["[::3]"]),
        ("[::2]", ["[::2]:9"], []),
        ("[::2]:9", ["[::2]:9"], ["[::2]:8"]),
        ("0.0.0.2", [], ["10.0.0.2"]),
        ("0.2", [], ["10.0.0.2"]),
        ("*", ["anything.example", "10.0.0.1"], []),
        ("a.example, b.example c.example", ["a.example", "b.example", "c.example"], ["d.example"]),
        ("nonsense/99,,10.0.0.1", ["10.0.0.1"], ["nonsense"]),
        ("", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:9"], ["127.0.0.2"]),
    ],
)
def test_no_proxy(monkeypatch: pytest.MonkeyPatch, exempt: str, direct: list[str], proxied: list[str]) -> None:
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", exempt)
    assert {host: proxy_for(f"http://{host}/") for host in direct} == dict.fromkeys(direct)
    assert {host: proxy_for(f"http://{host}/") for host in proxied} == dict.fromkeys(proxied, PROXY)


@pytest.mark.parametrize(
    ("set_", "url", "proxy"),
    [
        ({"http_proxy": "proxy:3128"}, "http://a.example", "http://proxy:3128"),
        ({"http_proxy": "http://a:1", "HTTP_PROXY": "http://b:1"}, "ws://a.example", "http://a:1"),
        ({"http_proxy": "http://a:1"}, "https://a.example", None),
        ({"HTTPS_PROXY": "https://a:1"}, "wss://a.example", "https://a:1"),
        ({"ALL_PROXY": "socks5h://a:1"}, "https://a.example", "socks5://a:1"),
        ({"all_proxy": "socks5://a:1", "https_proxy": "http://b:1"}, "https://a.example", "http://b:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://b:1"}, "https://a.example", None),
    ],
)
def test_which_variable_counts(
    monkeypatch: pytest.MonkeyPatch, set_: dict[str, str], url: str, proxy: str | None
) -> None:
    for name, value in set_.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


@pytest.mark.parametrize("value", ["socks4://a:1", "http://", "http://a:99999", "ftp://a:1", "http://u:s3cr3tPass@a:x"])
def test_a_proxy_that_is_none_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(BackendError, match="ALL_PROXY") as caught:
        proxy_for("http://a.example")
    assert (caught.value.kind, "s3cr3tPass" in caught.value.message) == ("config", False)


# ---- by every client


class Proxy:
    """A proxy, HTTP or SOCKS, that counts what it was asked for and answers 502 itself."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            first = await reader.readexactly(1)
            if first == b"\x05":
                self.asked.append(first)
                await reader.read(100)
                writer.write(b"\x05\x00")
                self.asked.append(await reader.read(100))
                writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
                first = b""
            self.asked.append((first + await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    found = Proxy()
    listening = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield found


async def ask(how: str, url: str, tmp_path: Path) -> None:
    http = Http()
    context = AdapterContext("app", tmp_path, tmp_path, http)
    now = datetime.now(UTC)
    try:
        if how == "get":
            await http.request("GET", url)
        elif how == "lines":
            async for _ in http.lines(url):
                pass
        elif how == "range":
            metrics: Any = build("metrics", "prometheus", {"url": url, "timeout": "2s"}, context)
            await metrics.range("up", start=now - timedelta(minutes=5), end=now, step=60)
        elif how == "s3":
            keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "x" * 20}

            def listed() -> None:
                access = AwsAccess(endpoint_url=url, region="eu-central-1")
                AwsSession(access, keys, timeout_s=2).client("s3", attempts=1).list_buckets()

            await asyncio.to_thread(listed)
        elif how == "websocket":
            from backends.credentials import ServerAccess
            from backends.logs.loki.tail import frames

            async for _ in frames(url.replace("http", "ws") + "/x", ServerAccess("", {}, None), 2.0):
                pass
    finally:
        await http.aclose()


CLIENTS = ["get", "lines", "range", "s3", "websocket"]


@pytest.mark.parametrize("how", CLIENTS)
@pytest.mark.parametrize("exempt", ["127.0.0.0/8", "127.0.0.2", ""])
async def test_every_client_reads_the_environment_alike(
    proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, exempt: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", exempt)
    with pytest.raises((BackendError, BotoCoreError, ClientError)):  # nobody listens on port 1; the proxy says 502
        await ask(how, "http://127.0.0.2:1", tmp_path)
    assert bool(proxy.asked) == (not exempt)


@pytest.mark.parametrize("how", ["get", "lines", "range"])
async def test_a_socks_proxy_is_gone_by_and_resolves_the_name(
    proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{proxy.port}")
    with pytest.raises(BackendError) as caught:
        await ask(how, "http://only-there.example:81", tmp_path)
    assert caught.value.status == 502
    assert b"only-there.example" in proxy.asked[1]


async def test_aws_says_that_it_has_no_socks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(BackendError, match="no SOCKS") as caught:
        await ask("s3", "http://198.51.100.1", tmp_path)
    assert caught.value.kind == "config"


async def test_a_missing_module_is_named_with_where_the_proxy_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpcore._async.socks_proxy", None)
    monkeypatch.setitem(sys.modules, "socksio", None)
    http = Http(proxy="socks5://127.0.0.1:1", proxy_named="proxy-url of context prod in the kubeconfig")
    with pytest.raises(
        BackendError, match="proxy-url of context prod in the kubeconfig: a SOCKS proxy needs"
    ) as caught:
        await http.request("GET", "http://a.example")
    assert caught.value.kind == "config"
    await http.aclose()


async def test_a_failure_names_the_proxy_but_not_its_password(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://oncall:s3cr3tPass@127.0.0.1:1")
    http = Http()
    with pytest.raises(BackendError, match=r"\(by proxy http://127.0.0.1:1\): connection refused") as caught:
        await http.request("GET", "http://198.51.100.1/")
    assert "s3cr3tPass" not in caught.value.message
    await http.aclose()


async def test_the_clients_own_proxy_is_gone_by_for_every_address(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    async with FaultyServer() as server:
        http = Http(proxy=f"http://127.0.0.1:{proxy.port}")
        for host in ("127.0.0.1", "localhost", "[::1]", "198.51.100.1"):
            with pytest.raises(BackendError):
                await http.request("GET", f"http://{host}:{server.port}/")
        await http.aclose()
    assert (len(proxy.asked), server.requests) == (4, [])


async def test_the_clients_own_proxy_is_named_where_it_is_written() -> None:
    http = Http(proxy="socks4://a:1", proxy_named="proxy-url of context prod in the kubeconfig")
    with pytest.raises(BackendError, match="proxy-url of context prod") as caught:
        await http.request("GET", "http://a.example")
    assert caught.value.kind == "config"
    await http.aclose()
