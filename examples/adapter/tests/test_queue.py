"""The check passes the suite of its port, over a small server; and it counts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.ports import Check
from backends.registry import AdapterContext, build
from backends.testing.checks import BuildCheck, CheckContract

Build = Callable[..., Check]


class Queue:
    """A job server on loopback: `body` is its answer."""

    body = b'{"depth": 7, "workers": 2}'

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1")
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):  # connected, and asked nothing
            await reader.readuntil(b"\r\n\r\n")
            head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(self.body)
            writer.write(head + self.body)
            await writer.drain()
        writer.close()

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()


@pytest.fixture
async def system() -> AsyncIterator[Queue]:
    queue = Queue()
    await queue.start()
    yield queue
    await queue.stop()


@pytest.fixture
async def build_check(system: Queue, tmp_path: Path) -> AsyncIterator[Build]:
    http = Http()
    context = AdapterContext("mine", tmp_path, tmp_path, http)

    def of(**config: Any) -> Check:
        found: Check = build("checks", "queue", {"url": system.url, **config}, context)
        return found

    yield of
    await http.aclose()


class TestQueueCheck(CheckContract):
    """Everything that tealdeck wants of a check."""


async def test_more_jobs_than_may_wait_are_critical(build_check: Build) -> None:
    assert (await build_check(deepest=6).run()).state == "critical"
    assert (await build_check(deepest=7).run()).message.startswith("7 jobs wait, answered in ")


async def test_an_answer_of_another_kind_is_critical(build_check: Build, system: Queue) -> None:
    system.body = b'{"deep": 7}'
    result = await build_check().run()
    assert result.state == "critical"
    assert "depth" in result.message


def test_a_misspelt_key_is_refused(build_check: BuildCheck) -> None:
    with pytest.raises(BackendError, match="deeepest"):
        build_check(deeepest=5)  # type: ignore[call-arg]  # the mistake itself
