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


@pytest.mark.parametrize(
    ("asked", "failed", "code", "word", "words"),
    [
        (10, 10, 2, "critical", "100 % of its 20 requests fail"),
        (1, 1, 1, "warning", "requests failed, too few to judge"),
        (10, 0, 0, "ok", ""),
    ],
)
async def test_requests_that_fail_are_told_by_every_command(
    tmp_path: Path, service: TwoColors, asked: int, failed: int, code: int, word: str, words: str
) -> None:
    """Of few that failed it looks on, for a while."""
    server = await asyncio.start_server(Counting(asked, failed).answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
    teal = Teal(tmp_path, written(service, f'exposition = {{ blue = "{url}", green = "{url}" }}'))
    try:
        found, out, err = await said(teal, "check", "deployments")
        assert (found, words in out, "fail" in out) == (code, True, failed > 0), (out, err)
        for command in (("status",), ("deploy", "status")):
            assert (await teal.document(*command))["health"] == word
    finally:
        server.close()
        await server.wait_closed()
