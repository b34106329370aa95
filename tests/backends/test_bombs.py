"""What is compressed more than once, in another coding than asked for, or grows beyond every limit."""

import asyncio
import contextlib
import gzip
import threading
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends import bodies
from backends.bodies import MAX_BODY_BYTES
from backends.credentials import ServerAccess
from backends.errors import BackendError
from backends.http import Http
from backends.inflating import STEP_BYTES, DamagedError, Gunzip
from backends.logs import reading
from backends.logs.files import FileLogs, FilesConfig
from backends.logs.loki import tail as loki_tail
from backends.ports import LogQuery, Metrics
from backends.registry import AdapterContext, build
from tests.own_time import Watch


class Sends:
    """An HTTP server that answers everything with `body` and `headers`."""

    def __init__(self) -> None:
        self.body, self.headers = b"{}", ""
        self.asked: list[str] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(self.body)}\r\n"
            writer.write(f"{head}{self.headers}Connection: close\r\n\r\n".encode() + self.body)
            await writer.drain()
        writer.close()


@pytest.fixture
async def sends() -> AsyncIterator[tuple[Sends, str]]:
    server = Sends()
    listening = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    async with listening:
        yield server, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def everything(http: Http, url: str, way: str, tmp_path: Path) -> object:
    """One answer, in each of the ways that bodies are read here."""
    if way == "whole":
        return (await http.request("GET", url)).body
    if way == "lines":
        return [line async for line in http.lines(url)]
    context = AdapterContext("prom", tmp_path, tmp_path, http)
    metrics: Metrics = build("metrics", "prometheus", {"url": url}, context)
    now = datetime.now(UTC)
    try:
        return await metrics.range("up", start=now - timedelta(minutes=5), end=now, step=60)
    finally:
        await metrics.aclose()


WAYS = ["whole", "lines", "range"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip,gzip,gzip", "br", "deflate", "zstd", "gzip, identity, gzip"])
async def test_only_the_coding_that_was_asked_for_is_undone(
    sends: tuple[Sends, str], http: Http, tmp_path: Path, way: str, coding: str
) -> None:
    server, url = sends
    server.body, server.headers = gzip.compress(gzip.compress(b"{}")), f"Content-Encoding: {coding}\r\n"
    with pytest.raises(BackendError, match="Content-Encoding") as caught:
        await everything(http, url, way, tmp_path)
    assert caught.value.kind == "malformed"
    assert "\r\naccept-encoding: gzip\r\n" in server.asked[0]


async def test_two_headers_are_two_codings(sends: tuple[Sends, str], http: Http) -> None:
    server, url = sends
    server.body = gzip.compress(gzip.compress(b"{}"))
    server.headers = "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n"
    with pytest.raises(BackendError, match="gzip, gzip"):
        await http.request("GET", url)


@pytest.mark.parametrize("way", ["whole", "range"])
async def test_a_bomb_costs_no_more_than_the_limit(
    sends: tuple[Sends, str], http: Http, tmp_path: Path, way: str
) -> None:
    server, url = sends
    server.body, server.headers = gzip.compress(bytes(64 * 2**20)) * 8, "Content-Encoding: gzip\r\n"
    await asyncio.to_thread(__import__, "backends.metrics.prometheus.range")
    turns: list[float] = []

    async def others() -> None:
        while True:
            turns.append(time.monotonic())
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    tracemalloc.start()
    try:
        with pytest.raises(BackendError, match="more than 32 MB"):
            await everything(http, url, way, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 3 * MAX_BODY_BYTES
    finally:
        tracemalloc.stop()
        waiting.cancel()
    assert len(turns) > MAX_BODY_BYTES / STEP_BYTES / 2, "nobody else had their turn"


async def test_lines_of_a_bomb_are_given_in_steps(sends: tuple[Sends, str], http: Http) -> None:
    server, url = sends
    server.body, server.headers = gzip.compress(bytes(64 * 2**20)) * 16, "Content-Encoding: gzip\r\n"
    lines = http.lines(url, longest=1000)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            assert [line async for line in lines] == []


async def test_the_deadline_is_kept_while_it_inflates(
    sends: tuple[Sends, str], http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "MAX_BODY_BYTES", 2**40)
    server, url = sends
    server.body, server.headers = gzip.compress(bytes(64 * 2**20)) * 64, "Content-Encoding: gzip\r\n"
    watch = Watch()
    with pytest.raises(BackendError) as caught:
        await http.request("GET", url, timeout=0.2)
    assert (caught.value.kind, watch.seconds() < 1) == ("timeout", True)


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip"])
async def test_one_gzip_is_undone(sends: tuple[Sends, str], http: Http, coding: str) -> None:
    server, url = sends
    text = b'{"a": "' + b"x" * 300_000 + b'"}'
    server.headers = f"Content-Encoding: {coding}\r\n"
    server.body = gzip.compress(text[:1000]) + gzip.compress(text[1000:])  # members, as of a log that was appended to
    assert (await http.request("GET", url)).body == text


@pytest.mark.parametrize(
    "body", [gzip.compress(b"{}" * 5000)[:-9], b"{}", zlib.compress(b"{}")], ids=["cut", "plain", "zlib"]
)
async def test_what_is_no_gzip_is_malformed(sends: tuple[Sends, str], http: Http, body: bytes) -> None:
    server, url = sends
    server.body, server.headers = body, "Content-Encoding: gzip\r\n"
    with pytest.raises(BackendError, match="not gzip") as caught:
        await http.request("GET", url)
    assert caught.value.kind == "malformed"


async def test_no_body_is_no_body(sends: tuple[Sends, str], http: Http) -> None:
    server, url = sends
    server.body, server.headers = b"", "Content-Encoding: gzip\r\n"
    assert (await http.request("GET", url)).body == b""


async def test_a_websocket_asks_for_no_compression(sends: tuple[Sends, str]) -> None:
    server, url = sends
    with pytest.raises(BackendError):
        await anext(loki_tail.frames(url.replace("http", "ws"), ServerAccess("", {}, None), 3.0))
    assert "upgrade: websocket" in server.asked[0]
    assert "permessage-deflate" not in server.asked[0]


def test_steps_are_small_whatever_is_fed() -> None:
    gunzip = Gunzip()
    sizes = [len(piece) for piece in gunzip.feed(gzip.compress(bytes(3 * 2**20)))]
    assert (max(sizes), sum(sizes) + len(gunzip.rest())) == (STEP_BYTES, 3 * 2**20)
    with pytest.raises(DamagedError):
        list(Gunzip().feed(b"plain text"))


# ---- files


def logs_of(tmp_path: Path) -> FileLogs:
    return FileLogs(FilesConfig(paths=("*.gz",)), AdapterContext("app", tmp_path, tmp_path, Http()))


async def test_a_gzip_file_that_is_one_line_is_left_when_nobody_waits(tmp_path: Path) -> None:
    (tmp_path / "bomb.log.gz").write_bytes(gzip.compress(bytes(64 * 2**20)) * 31)  # a few seconds to look through
    logs = logs_of(tmp_path)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await logs.query(LogQuery(limit=10))
    await logs.aclose()
    watch = Watch()
    for thread in [thread for thread in threading.enumerate() if thread.name.startswith("logs-app")]:
        await asyncio.to_thread(thread.join)
    assert watch.seconds() < 1


async def test_a_gzip_file_beyond_the_limit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_INFLATED_BYTES", 2**20)
    (tmp_path / "bomb.log.gz").write_bytes(gzip.compress(b"line\n" * 2**20))
    (tmp_path / "good.log.gz").write_bytes(gzip.compress(b"fine\n"))
    logs = logs_of(tmp_path)
    found: list[Any] = await logs.query(LogQuery(limit=10))
    await logs.aclose()
    assert [entry.message for entry in found if entry.level != "error"] == ["fine"]
    assert ["bomb.log.gz" in entry.message for entry in found if entry.level == "error"] == [True]
    assert "once inflated" in found[0].message


class Endless:
    """An answer that never ends, piece by piece; `large` are those that are beyond what is small."""

    def __init__(self, large: set["Endless"], most: list[int], *, hangs: bool = False) -> None:
        self.headers: dict[str, str] = {}
        self.large, self.most, self.hangs = large, most, hangs

    async def aiter_raw(self) -> AsyncIterator[bytes]:
        for _ in range(bodies.SMALL_BYTES // 2**20 + 1):
            yield bytes(2**20)
            await asyncio.sleep(0)
        self.large.add(self)  # it has got its turn
        while self.hangs:
            await asyncio.sleep(1)
        for _ in range((bodies.MAX_BODY_BYTES - bodies.SMALL_BYTES) // 2**20 - 1):
            self.most.append(len(self.large))
            yield bytes(2**20)
            await asyncio.sleep(0)
        self.large.discard(self)
        yield bytes(2**20)


async def test_of_ten_endless_answers_a_few_are_large_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "TURN_S", 600.0)  # whose turn takes longer lets others go before
    large: set[Endless] = set()
    most: list[int] = []
    ends = await asyncio.gather(
        *(bodies.read_bounded(Endless(large, most), "http://x/") for _ in range(10)),
        return_exceptions=True,
    )
    assert ["an answer of more than 32 MB" in str(end) for end in ends] == [True] * 10
    assert max(most) == bodies.LARGE_AT_ONCE


async def test_large_answers_that_hang_keep_no_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "TURN_S", 0.05)
    large: set[Endless] = set()
    most: list[int] = []
    hanging = [
        asyncio.create_task(bodies.read_bounded(Endless(large, most, hangs=True), "http://x/"))
        for _ in range(bodies.LARGE_AT_ONCE)
    ]
    while len(large) < bodies.LARGE_AT_ONCE:
        await asyncio.sleep(0)
    with pytest.raises(BackendError, match="more than 32 MB"):
        async with asyncio.timeout(60):
            await bodies.read_bounded(Endless(large, most), "http://x/")
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
