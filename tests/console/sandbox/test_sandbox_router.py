"""The router under real connections: it follows the switch file per request and loses nothing."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import h11
import pytest

from console.sandbox import files
from console.sandbox.children import listen
from console.sandbox.http1 import Channel, Request, Response, Server
from console.sandbox.load import ask, drive
from console.sandbox.router import Upstream
from tests.console.sandbox_tools import Platform, platform, switch


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Platform]:
    async with platform(tmp_path) as found:
        yield found


async def colors(port: int, count: int) -> Counter[str]:
    return Counter([(await ask(port, "/health"))[1] for _ in range(count)])


async def get(port: int, target: str) -> Response:
    channel = await Channel.to(port)
    try:
        return await channel.ask(Request("GET", target), keep=False)
    finally:
        channel.close()


async def told(up: Platform) -> dict[str, object]:
    found: dict[str, object] = json.loads((await get(up.port, "/__switch")).body)
    return found


async def test_weights_are_shares_of_any_short_run(up: Platform) -> None:
    assert await colors(up.port, 20) == {"blue": 20}
    switch(up.directory, blue=75, green=25)
    assert await colors(up.port, 20) == {"blue": 15, "green": 5}
    switch(up.directory, blue=0, green=100)
    assert await colors(up.port, 20) == {"green": 20}


async def test_the_first_request_after_a_switch_takes_the_new_way_on_a_kept_connection(up: Platform) -> None:
    connection = await Channel.to(up.port)
    for number in range(30):
        color = files.COLORS[number % 2]
        switch(up.directory, **{color: 100}, generation=number)
        _, seen, again = await ask(up.port, "/health", connection)
        assert (seen, again) == (color, connection)
    connection.close()


async def test_no_request_is_lost_while_the_file_changes(up: Platform) -> None:
    load = asyncio.create_task(drive(up.port, 200, 3))
    number = 0
    while not load.done():  # three seconds, and many more beside other work
        await asyncio.sleep(0.25)
        switch(up.directory, **{files.COLORS[number % 2]: 100}, generation=number)
        number += 1
    report = await load
    # The marts are empty here, and /work needs staged rows: empty answers, but answers.
    assert (report.requests, report.errors, report.reasons) == (600, 0, {})
    assert min(report.by_color.values()) > 150


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "truncated"),
        ("[]", "no object"),
        ('{"weights": {"purple": 100}}', 'unknown color "purple"'),
        ('{"weights": {"blue": 0, "green": 0}}', "sum to 0"),
        ('{"weights": {"blue": true}}', "weight of blue"),
        ('{"weights": {"blue": -1, "green": 101}}', "weight of blue"),
        ('{"weights": {"blue": 100', "truncated"),
        (None, "No such file"),
    ],
)
async def test_a_bad_file_keeps_the_last_good_weights_and_is_told(up: Platform, text: str | None, why: str) -> None:
    switch(up.directory, green=100, generation=7)
    assert await colors(up.port, 1) == {"green": 1}
    if text is None:
        (up.directory / files.SWITCH).unlink()
    else:
        files.write_text(up.directory / files.SWITCH, text)
    assert await colors(up.port, 3) == {"green": 3}
    found = await told(up)
    assert found["weights"] == {"green": 100}
    assert found["generation"] == 7
    assert why in str(found["error"])
    switch(up.directory, blue=100, generation=8)
    assert await told(up) == {"weights": {"blue": 100}, "generation": 8, "stamp": "test:1", "error": None}


async def test_a_color_that_is_down_is_502_and_says_so(up: Platform) -> None:
    await up.servers["green"].drain(1)
    switch(up.directory, green=100)
    answer = await get(up.port, "/api/customers")
    assert answer.status == 502
    assert answer.body.startswith(b"green:")
    assert " ERROR GET /api/customers 502 " in (up.directory / files.ACCESS_LOG).read_text()


async def test_a_stale_kept_connection_is_replaced_only_for_what_is_safe_to_repeat() -> None:
    """An upstream that closes each connection after one answer, without having said so."""
    served: list[str] = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        channel = Channel(reader, writer, h11.SERVER)
        request = await channel.receive()
        if request is not None:
            served.append(request.method)
            await channel.answer(Response(200))
            await channel.receive()  # the next one is taken and never answered
        channel.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    upstream = Upstream(server.sockets[0].getsockname()[1])
    assert (await upstream.exchange(Request("GET", "/"))).status == 200
    assert (await upstream.exchange(Request("GET", "/"))).status == 200  # sent twice: it was safe to
    with pytest.raises(ConnectionError):
        await upstream.exchange(Request("POST", "/"))  # perhaps done already: never sent twice
    assert served == ["GET", "GET"]
    upstream.close()
    server.close()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /\x1b[2J HTTP/1.1\r\nhost: x\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n", b"501"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n", b"413"),
        (
            b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            + (b"20000\r\n" + b"y" * 0x20000 + b"\r\n") * 9,
            b"413",
        ),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 40_000 + b"\r\n\r\n", b"431"),
    ],
)
async def test_what_is_not_http_gets_an_answer_and_the_router_lives(up: Platform, raw: bytes, status: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", up.port)
    writer.write(raw)
    assert (await reader.readline()).split()[1] == status
    writer.close()
    assert await colors(up.port, 1) == {"blue": 1}


async def test_bodies_and_messages_come_whole_however_they_are_sent() -> None:
    """In chunks, in pieces of one byte, two requests at once, and only after a `100 Continue`."""

    async def echo(request: Request) -> Response:
        return Response(200, request.body, {"x-method": request.method})

    server, listener = Server(echo), listen(0)
    await server.start(listener)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
    writer.write(
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
        b"PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nfg"
    )
    for body, method in ((b"abcde", b"POST"), (b"fg", b"PUT")):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"x-method: " + method in head
        assert await reader.readexactly(len(body)) == body
    for byte in b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n":
        writer.write(bytes([byte]))
        await writer.drain()
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 \r\n\r\n"
    writer.write(b"hHEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
    assert (await reader.read()).endswith(b"\r\n\r\n"), "no body after a HEAD"
    writer.close()
    await server.drain(1)


async def test_drain_answers_what_is_under_way() -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(_request: Request) -> Response:
        asked.set()
        await go.wait()
        return Response(200, b"done", {"x-environment": "blue"})

    server, listener = Server(slow), listen(0)
    port = listener.getsockname()[1]
    await server.start(listener)
    answer = asyncio.create_task(ask(port, "/"))
    await asked.wait()
    drain = asyncio.create_task(server.drain(5))
    await asyncio.sleep(0.02)
    with pytest.raises(ConnectionRefusedError):
        await ask(port, "/")
    go.set()
    assert (await answer)[:2] == (200, "blue")
    await drain


async def test_health_probes_that_go_well_do_not_fill_the_log_and_it_stays_bounded(
    up: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    await colors(up.port, 5)
    await ask(up.port, "/api/products?x=%1b[2J")
    (line,) = (up.directory / files.ACCESS_LOG).read_text().splitlines()
    at, *words = line.split()
    assert at.endswith("Z")
    assert words[:4] == ["INFO", "GET", "/api/products?x=%1b[2J", "200"]
    assert words[4].endswith("ms")
    assert words[5] == "color=blue"
    await ask(up.port, "/nothing")
    assert " WARN GET /nothing 404 " in (up.directory / files.ACCESS_LOG).read_text()
    monkeypatch.setattr(files, "MAX_LOG_BYTES", 1000)
    for _ in range(40):
        await ask(up.port, "/api/products")
    sizes = [path.stat().st_size for path in (up.directory / "logs").iterdir()]
    assert len(sizes) == 2
    assert max(sizes) < 1200
