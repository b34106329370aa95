"""Loki's websocket tail on a real socket: nothing lost or doubled on the way into it, drops said, ends said."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from backends.errors import BackendError
from backends.http import Http
from backends.logs.lines import nanoseconds
from backends.logs.loki.logs import LokiLogs
from backends.logs.merging import is_gap
from backends.ports import LogQuery
from backends.registry import AdapterContext, build
from backends.testing.logs import PATIENCE_S, Line, LogsContract, Write, take
from tests.backends.fake_loki import FakeLoki
from tests.backends.log_faults import secret_file


class TailingLoki(FakeLoki):
    """The query of `FakeLoki` and `/tail` on one port. `refuse`: the status that a handshake gets."""

    def __init__(self) -> None:
        super().__init__()
        self.url = ""
        self.refuse: HTTPStatus | None = None
        self.asked: list[dict[str, str]] = []
        self.headers: list[Headers] = []
        self._readers: set[ServerConnection] = set()

    def put(self, ns: int, text: str, *, more: dict[str, str] | None = None, **labels: str) -> None:
        super().put(ns, text, more=more, **labels)
        self.send(streams=[{"stream": labels or {"app": "analytics"}, "values": [[str(ns), text]]}])

    def send(self, **frame: Any) -> None:
        for reader in self._readers:
            asyncio.get_running_loop().create_task(reader.send(json.dumps(frame)))

    async def end(self) -> None:
        await asyncio.gather(*(reader.close() for reader in list(self._readers)))

    async def until_read(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not self._readers:
                await asyncio.sleep(0.01)

    def answer_plain(self, connection: ServerConnection, request: Request) -> Response | None:
        if urlsplit(request.path).path.endswith("/tail"):
            self.headers.append(request.headers)
            return connection.respond(self.refuse, "no\n") if self.refuse else None
        status, body = self.answer(cast(Any, SimpleNamespace(target=request.path)))
        text = json.dumps(body).encode()
        return Response(
            status, "", Headers({"content-type": "application/json", "content-length": str(len(text))}), text
        )

    async def tail(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        asked = {name: values[-1] for name, values in parse_qs(urlsplit(connection.request.path).query).items()}
        self.asked.append(asked)
        known = [key for key in self._lines if key[0] >= int(asked["start"])]
        for ns, labels, text in sorted(known):
            frame = {"streams": [{"stream": dict(labels), "values": [[str(ns), text]]}], "dropped_entries": None}
            await connection.send(json.dumps(frame))
        self._readers.add(connection)
        try:
            await connection.wait_closed()
        finally:
            self._readers.discard(connection)


@pytest.fixture
async def loki() -> AsyncIterator[TailingLoki]:
    loki = TailingLoki()
    async with serve(loki.tail, "127.0.0.1", 0, process_request=loki.answer_plain) as server:
        loki.url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield loki


def logs_at(loki: TailingLoki, directory: Path, http: Http, **config: Any) -> LokiLogs:
    entry = {"url": loki.url, "query": '{app="analytics"}', "tail": True, "lookback": "3650d", **config}
    found: LokiLogs = build("logs", "loki", entry, AdapterContext("loki", directory, directory, http))
    return found


@pytest.fixture
async def adapter(loki: TailingLoki, tmp_path: Path, http: Http) -> LokiLogs:
    return logs_at(loki, tmp_path, http)


class TestContract(LogsContract):
    @pytest.fixture
    def write(self, loki: TailingLoki) -> Write:
        def write(rows: list[Line]) -> None:
            for row in rows:
                loki.put(nanoseconds(row.at), f"{row.level} {row.message}")

        return write


async def test_what_is_in_the_query_and_in_the_tail_comes_once(adapter: LokiLogs, loki: TailingLoki) -> None:
    now = time.time_ns()
    loki.put(now - 10, "old")
    loki.put(now, "same nanosecond")
    loki.put(now, "newest")
    stream = adapter.follow(LogQuery(limit=1))
    await take(stream, 1, PATIENCE_S)
    waiting = asyncio.ensure_future(take(stream, 2, PATIENCE_S))
    await loki.until_read()
    loki.put(now, "late in that nanosecond")
    loki.put(now + 5, "later")
    assert [entry.message for entry in await waiting] == ["late in that nanosecond", "later"]
    assert loki.asked == [{"query": '{app="analytics"}', "start": str(now), "limit": "5000"}]
    await stream.aclose()


async def test_what_loki_drops_is_a_gap(adapter: LokiLogs, loki: TailingLoki) -> None:
    stream = adapter.follow(LogQuery())
    waiting = asyncio.ensure_future(take(stream, 1, PATIENCE_S))
    await loki.until_read()
    loki.send(streams=None, dropped_entries=[{"timestamp": "1", "labels": "{}"}] * 3)
    (found,) = await waiting
    assert is_gap(found)
    assert "3 lines missing here: Loki's tail dropped them" in found.message
    await stream.aclose()


async def test_what_the_tail_loses_without_a_word_is_read_behind_it(
    adapter: LokiLogs, loki: TailingLoki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.logs.loki.logs.BEHIND_TAIL_S", 0.1)
    now = time.time_ns()
    for n in range(5):
        loki.put(now - 10 * n - 10, f"old {n}")
    stream = adapter.follow(LogQuery(limit=1))
    assert [each.message for each in await take(stream, 1, PATIENCE_S)] == ["old 0"]
    waiting = asyncio.ensure_future(take(stream, 12, PATIENCE_S))
    await loki.until_read()
    for n in range(10):
        FakeLoki.put(loki, now + n, f"silent {n}")
    loki.put(now + 20, "sent")
    loki.send(streams=None, dropped_entries=[{"timestamp": str(now + 9), "labels": {}}, {"timestamp": "7"}])
    found = await waiting
    assert sorted(each.message for each in found if not is_gap(each)) == sorted(
        ["sent", *(f"silent {n}" for n in range(10))]
    )
    (lost,) = [each for each in found if is_gap(each)]
    assert "1 line missing here" in lost.message
    more = asyncio.ensure_future(take(stream, 1, PATIENCE_S))
    await asyncio.sleep(0.3)
    assert not more.done()
    loki.put(now + 30, "last")
    assert [each.message for each in await more] == ["last"]
    await stream.aclose()


async def test_who_asks_is_said_and_a_refusal_is_an_error(loki: TailingLoki, tmp_path: Path, http: Http) -> None:
    auth = {"username": "oncall", "password": secret_file(tmp_path)}
    adapter = logs_at(loki, tmp_path, http, auth=auth, tenant="team-a")
    loki.refuse = HTTPStatus.FORBIDDEN
    with pytest.raises(BackendError, match="/loki/api/v1/tail: HTTP 403") as caught:
        await take(adapter.follow(LogQuery()), 1, PATIENCE_S)
    assert (caught.value.kind, "leave out `tail`" in caught.value.fix) == ("auth", True)
    (headers,) = loki.headers
    assert headers["authorization"].startswith("Basic ")
    assert headers["x-scope-orgid"] == "team-a"


async def test_the_end_of_a_tail_and_what_is_no_frame_are_errors(adapter: LokiLogs, loki: TailingLoki) -> None:
    waiting = asyncio.ensure_future(take(adapter.follow(LogQuery()), 1, PATIENCE_S))
    await loki.until_read()
    await loki.end()
    with pytest.raises(BackendError, match="Loki closed the tail"):
        await waiting
    waiting = asyncio.ensure_future(take(adapter.follow(LogQuery()), 1, PATIENCE_S))
    await loki.until_read()
    loki.send(streams=7)
    with pytest.raises(BackendError) as caught:
        await waiting
    assert caught.value.kind == "malformed"


async def test_a_server_that_has_too_many_tails_says_so(tmp_path: Path, http: Http, loki: TailingLoki) -> None:
    adapter = logs_at(loki, tmp_path, http)
    loki.refuse = HTTPStatus.TOO_MANY_REQUESTS
    with pytest.raises(BackendError) as caught:
        await take(adapter.follow(LogQuery()), 1, PATIENCE_S)
    assert caught.value.kind == "rate_limited"
