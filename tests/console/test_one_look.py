"""A command that looks once says of requests that fail what the console says, which looks again and again."""

import asyncio
from pathlib import Path

import pytest

from tests.console.test_foreground import Teal
from tests.console.test_orders import written
from tests.console.test_orphan_commands import said
from tests.two_colors import TwoColors


class Counting:
    """The counters of a side: between two reads of them `asked` more requests were made, of which `failed` more
    failed."""

    def __init__(self, asked: int, failed: int) -> None:
        self._each = asked, failed
        self._reads = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self._reads += 1
        asked, failed = (count * self._reads for count in self._each)
        lines = f'http_requests_total{{status="200"}} {asked - failed}\nhttp_requests_total{{status="500"}} {failed}\n'
        writer.write(f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {len(lines)}\r\n\r\n{lines}".encode())
        await writer.drain()
        writer.close()


@pytest.mark.parametrize(("failed", "code", "word"), [(10, 2, "critical"), (0, 0, "ok")])
async def test_requests_that_fail_are_told_by_every_command(
    tmp_path: Path, service: TwoColors, failed: int, code: int, word: str
) -> None:
    server = await asyncio.start_server(Counting(10, failed).answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
    teal = Teal(tmp_path, written(service, f'exposition = {{ blue = "{url}", green = "{url}" }}'))
    try:
        found, out, err = await said(teal, "check", "deployments")
        assert (found, "100 % of its requests fail" in out) == (code, failed > 0), (out, err)
        for command in (("status",), ("deploy", "status")):
            assert (await teal.document(*command))["health"] == word
    finally:
        server.close()
        await server.wait_closed()
