"""The `redis` check against real servers: each fault has its own line."""

import asyncio
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from backends.checks.redis import RedisCheck
from backends.errors import BackendError
from backends.http import Http
from backends.models import CheckResult
from backends.registry import AdapterContext, build
from backends.testing.checks import BuildCheck, CheckContract, consistent
from tests.live.process import free_port, until
from tests.live.redis import PASSWORD, RedisServer, redis
from tests.tls import Authority

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("redis")]

Build = Callable[..., RedisCheck]
ALL = ["memory", "replication", "persistence", "hits"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis(tmp_path) as server:
        yield server


@pytest.fixture
def replica(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    directory = tmp_path_factory.mktemp("replica")
    with redis(directory, "--replicaof", "127.0.0.1", str(server.port)) as replica:
        until(lambda: "state=online" in server.do("info", "replication"), "a replica in sync")
        until(lambda: "master_link_status:up" in replica.do("info", "replication"), "the link up")
        yield replica


def check_of(server: RedisServer | int, tmp_path: Path, **config: Any) -> RedisCheck:
    context = AdapterContext("mine", tmp_path, tmp_path, Http())
    port = server if isinstance(server, int) else server.port
    url = f"redis://127.0.0.1:{port}/0"
    check: RedisCheck = build("checks", "redis", {"url": url, "timeout": "10s", **config}, context)
    return check


async def look(check: RedisCheck) -> CheckResult:
    result = await check.run()
    consistent(result)
    assert PASSWORD not in result.message
    return result


def values(result: CheckResult) -> dict[str, float | None]:
    return {datum.label: datum.value for datum in result.perfdata}


class TestRedisCheck(CheckContract):
    """The part that all checks share: the answer and its latency."""

    @pytest.fixture
    def build_check(self, server: RedisServer, tmp_path: Path) -> BuildCheck:
        return lambda **config: check_of(server, tmp_path, skip=ALL, **config)

    @pytest.fixture
    def system(self, server: RedisServer) -> Any:
        class Stoppable:
            async def stop(self) -> None:
                server.stop()

        return Stoppable()


async def test_a_healthy_primary(server: RedisServer, tmp_path: Path) -> None:
    result = await look(check_of(server, tmp_path))
    assert result.state == "ok"
    assert re.fullmatch(r"[\d.]+ primary, 1 client, answered in \d+ ms", result.message)
    assert list(values(result)) == ["time", "memory"]


async def test_stopped(server: RedisServer, tmp_path: Path) -> None:
    server.stop()
    result = await look(check_of(server, tmp_path))
    assert (result.state, result.message) == ("critical", f"127.0.0.1:{server.port}: connection refused")


async def test_passwords(
    server: RedisServer, tmp_path: Path, tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis(tmp_path_factory.mktemp("closed"), password=PASSWORD) as closed:
        where = f"127.0.0.1:{closed.port}"
        for url, state, words in (
            (f"redis://:{quote(PASSWORD, safe='')}@{where}", "ok", ""),
            (f"redis://default:{quote(PASSWORD, safe='')}@{where}", "ok", ""),
            (f"redis://:hunter2@{where}", "critical", f"{where}: wrong password (WRONGPASS)"),
            (f"redis://nobody:hunter2@{where}", "critical", f"{where}: wrong password (WRONGPASS)"),
            (f"redis://{where}", "critical", f"{where}: wrong password: the server wants one, and the URL has none"),
            (f"redis://:x@127.0.0.1:{server.port}", "critical", "wrong password: the URL has one, the server wants no"),
        ):
            monkeypatch.setenv("TEAL_TEST_REDIS", url)
            result = await look(check_of(closed, tmp_path, url={"env": "TEAL_TEST_REDIS"}))
            assert (result.state, words in result.message) == (state, True), result.message


async def test_a_replica_where_a_primary_is_expected(server: RedisServer, replica: RedisServer, tmp_path: Path) -> None:
    result = await look(check_of(replica, tmp_path))
    words = f"read-only: it is a replica of 127.0.0.1:{server.port}, expected a primary"
    assert (result.state, result.message) == ("critical", words)
    result = await look(check_of(replica, tmp_path, role="replica"))
    assert (result.state, " replica, " in result.message) == ("ok", True)
    assert "lag" in values(result)
    result = await look(check_of(server, tmp_path, role="replica"))
    assert (result.state, result.message) == ("critical", "it is a primary, expected a replica")
    result = await look(check_of(server, tmp_path, replicas=1))
    assert (result.state, values(result)["replicas"]) == ("ok", 1)
    result = await look(check_of(server, tmp_path, replicas=2))
    assert (result.state, result.message) == ("critical", "1 of 2 replicas follow")


async def test_lagging(server: RedisServer, replica: RedisServer, tmp_path: Path) -> None:
    replica.signal(signal.SIGSTOP)
    try:
        until(lambda: re.search(r",lag=[2-9]", server.do("info", "replication")), "lag")
        result = await look(check_of(server, tmp_path, lag_warn="1s"))
    finally:
        replica.signal(signal.SIGCONT)
    assert result.state == "warning"
    assert re.fullmatch(rf"replica 127.0.0.1:{replica.port} lags \ds", result.message)
    server.signal(signal.SIGSTOP)
    try:
        until(lambda: re.search(r"last_io_seconds_ago:[2-9]", replica.do("info", "replication")), "silence")
        result = await look(check_of(replica, tmp_path, role="replica", lag_warn="1s", lag_crit="1s"))
    finally:
        server.signal(signal.SIGCONT)
    assert result.state == "critical"
    assert re.fullmatch(rf"nothing heard of 127.0.0.1:{server.port} for \ds", result.message)


@pytest.mark.parametrize("stale", ["yes", "no"])
async def test_a_link_that_is_down(server: RedisServer, replica: RedisServer, tmp_path: Path, stale: str) -> None:
    replica.do("config", "set", "replica-serve-stale-data", stale)
    server.stop()
    until(lambda: "master_link_status:down" in replica.do("info", "replication"), "the link down")
    result = await look(check_of(replica, tmp_path, role="replica"))
    assert result.state == "critical"
    assert f"link to 127.0.0.1:{server.port} is down since " in result.message
    assert ("a replica that has lost its primary (MASTERDOWN)" in result.message) == (stale == "no")


async def test_memory_near_and_at_its_limit(server: RedisServer, tmp_path: Path) -> None:
    server.do("config", "set", "maxmemory", "4mb")
    assert (await look(check_of(server, tmp_path))).state == "ok"
    server.do("set", "filling", "x" * 30_000)
    server.do("eval", "for i = 1, 400 do pcall(redis.call, 'set', 'key:' .. i, string.rep('x', 8000)) end", "0")
    result = await look(check_of(server, tmp_path))
    assert result.state == "critical"
    assert re.fullmatch(r"memory (9\d|1\d\d)% of 4 MB, noeviction", result.message)
    memory = next(datum for datum in result.perfdata if datum.label == "memory")
    assert (memory.unit, memory.max, memory.warn, memory.crit) == ("B", 4194304, "3355443.2", "3774873.6")
    assert (await look(check_of(server, tmp_path, memory_crit=200))).state == "warning"
    server.do("config", "set", "maxmemory-policy", "allkeys-lru")
    assert (await look(check_of(server, tmp_path))).state == "ok", "a cache is full by design"


async def test_full_of_clients(server: RedisServer, tmp_path: Path) -> None:
    server.do("config", "set", "maxclients", "1")
    with socket.create_connection(("127.0.0.1", server.port)) as taken:
        taken.sendall(b"PING\r\n")
        taken.recv(100)
        result = await look(check_of(server, tmp_path))
    words = f"127.0.0.1:{server.port}: full: max number of clients reached"
    assert (result.state, result.message) == ("critical", words)


async def test_cannot_persist(server: RedisServer, tmp_path: Path) -> None:
    server.do("set", "a", "1")
    server.do("config", "set", "save", "3600 1")
    (tmp_path / "dump.rdb").mkdir()  # where it should write
    server.do("bgsave")
    until(lambda: "rdb_last_bgsave_status:err" in server.do("info", "persistence"), "a failed save")
    result = await look(check_of(server, tmp_path))
    words = "cannot persist, and refuses writes (MISCONF); the last save to disk failed"
    server.signal(signal.SIGKILL)  # it would not end before it has saved
    assert (result.state, result.message) == ("critical", f"127.0.0.1:{server.port}: {words}")


async def test_loading(server: RedisServer, tmp_path: Path) -> None:
    server.do("eval", "for i = 1, 20000 do redis.call('set', 'key:' .. i, i) end", "0")
    server.do("save")
    server.stop()
    server.start("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
    result = await look(check_of(server, tmp_path))
    assert result.state == "critical"
    assert re.fullmatch(
        rf"127.0.0.1:{server.port}: loading its data \(LOADING\); [\d.]+ % of its data loaded, \d+ s to go",
        result.message,
    )
    server.signal(signal.SIGKILL)


async def test_hits(server: RedisServer, tmp_path: Path) -> None:
    server.do("set", "there", "1")
    server.do("eval", "for i = 1, 40 do redis.call('get', 'there') end", "0")
    server.do("eval", "for i = 1, 60 do redis.call('get', 'not there') end", "0")
    assert (await look(check_of(server, tmp_path))).state == "ok", "too few lookups to judge"
    result = await look(check_of(server, tmp_path, hits_from=100))
    assert (result.state, result.message) == ("warning", "40 % of lookups find their key")
    assert values(result)["hits"] == 40


async def test_a_user_who_may_not_ask(server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.do("acl", "setuser", "pinger", "on", ">secret", "+ping")
    monkeypatch.setenv("TEAL_TEST_REDIS", f"redis://pinger:secret@127.0.0.1:{server.port}")
    result = await look(check_of(server, tmp_path, url={"env": "TEAL_TEST_REDIS"}))
    words = f"127.0.0.1:{server.port}: answers, but INFO is refused: permission denied (NOPERM)"
    assert (result.state, result.message) == ("unknown", words)


async def test_a_server_that_hangs(server: RedisServer, tmp_path: Path) -> None:
    server.signal(signal.SIGSTOP)
    try:
        result = await look(check_of(server, tmp_path, timeout="500ms"))
    finally:
        server.signal(signal.SIGCONT)
    words = f"127.0.0.1:{server.port}: connected, but no answer in 500ms"
    assert (result.state, result.message) == ("critical", words)


async def test_a_unix_socket(server: RedisServer, tmp_path: Path) -> None:
    server.stop()
    path = tmp_path / "s"
    server.start("--unixsocket", str(path))
    assert (await look(check_of(server, tmp_path, url=f"unix://{path}"))).state == "ok"
    server.stop()
    path.unlink(missing_ok=True)
    result = await look(check_of(server, tmp_path, url=f"unix://{path}"))
    assert (result.state, result.message) == ("critical", f"{path}: no such file or directory")


async def test_tls(server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.certificate(days=30)
    server.stop()
    tls_port = free_port()
    arguments = ["--tls-port", str(tls_port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    server.start(*arguments, "--tls-ca-cert-file", str(authority.bundle), "--tls-auth-clients", "no")
    check = check_of(server, tmp_path, url=f"rediss://127.0.0.1:{tls_port}")
    result = await look(check)
    assert (result.state, "certificate not trusted: " in result.message) == ("critical", True)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    assert (await look(check)).state == "ok"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "connection lost before the answer was complete"),
        (b"+PO", "connection lost before the answer was complete"),
        (b"+PONG\r\n$1000\r\nshort", "connection lost before the answer was complete"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the answer is not that of a Redis server"),
        (b"x" * 200_000, "the answer is not that of a Redis server"),
        (b"+PONG\r\n$999999999\r\n", "the answer is not that of a Redis server"),
        (b"-DENIED \x1b[31mprotected\r\n", "DENIED protected"),
    ],
)
async def test_something_else_on_that_port(tmp_path: Path, answer: bytes, words: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        result = await look(check_of(port, tmp_path))
    assert (result.state, result.message) == ("critical", f"127.0.0.1:{port}: {words}")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"url": "redis://:p@host"}, "a password inside a URL"),
        ({"url": "http://host"}, "not a Redis URL"),
        ({"url": "redis://host:port"}, "not a Redis URL"),
        ({"timeout": "0s"}, "timeout"),
        ({"memory_warn": 95}, "memory_warn"),
        ({"role": "master"}, "role"),
        ({"skip": ["everything"]}, "skip"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    context = AdapterContext("mine", tmp_path, tmp_path, Http())
    with pytest.raises(BackendError, match=words):
        build("checks", "redis", {"url": "redis://host", **config}, context)
