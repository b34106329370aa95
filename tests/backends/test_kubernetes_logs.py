"""`kubernetes` logs: the contract, and what only pods do: restart, come and go, and lose their connection."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.kubernetes import api as kubernetes_api
from backends.logs.kubernetes import follow as kubernetes_follow
from backends.logs.kubernetes.logs import KubernetesLogs
from backends.logs.merging import is_gap
from backends.ports import LogQuery
from backends.registry import AdapterContext, build
from backends.testing.logs import T0, Line, LogsContract, Write, take
from tests.backends.fake_kubernetes import TOKEN
from tests.backends.fake_pod_logs import FakePod, FakePodLogs
from tests.backends.faulty_server import FAULTS


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_follow, "LOOK_S", 0.1)
    monkeypatch.setattr(kubernetes_follow, "AGAIN_S", (0.02, 0.05))


@pytest.fixture
async def server() -> AsyncIterator[FakePodLogs]:
    async with FakePodLogs() as server:
        yield server


def logs_of(server: FakePodLogs, directory: Path, http: Http, **config: Any) -> KubernetesLogs:
    server.kubeconfig(directory)
    context = AdapterContext("app", directory, directory, http)
    found: KubernetesLogs = build("logs", "kubernetes", {"kubeconfig": "kubeconfig", **config}, context)
    return found


@pytest.fixture
async def adapter(server: FakePodLogs, tmp_path: Path, http: Http) -> AsyncIterator[KubernetesLogs]:
    adapter = logs_of(server, tmp_path, http, selector="app=analytics")
    yield adapter
    await adapter.aclose()


class TestContract(LogsContract):
    @pytest.fixture
    def write(self, server: FakePodLogs) -> Write:
        pod = server.add(FakePod("analytics-1"))

        def write(lines: list[Line]) -> None:
            for line in lines:
                pod.write(line.at, f"{line.level} {line.message}")

        return write


async def refused(order: Any) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await order
    assert TOKEN not in caught.value.message + caught.value.fix
    return caught.value


# ---- the end of a log


async def test_lines_of_all_pods_are_in_order_of_time_and_say_where_they_are_from(
    server: FakePodLogs, adapter: KubernetesLogs
) -> None:
    one = server.add(FakePod("one"))
    two = server.add(FakePod("two", uid="v", containers=("app", "sidecar")))
    for n in range(10):
        (one if n % 2 else two).write(T0 + timedelta(seconds=n), f"ERROR line {n}")
    found = await adapter.query(LogQuery(limit=15))
    assert [entry.message for entry in found if entry.source != "two/sidecar"] == [f"line {n}" for n in range(10)]
    assert {entry.source for entry in found} == {"one", "two/app", "two/sidecar"}
    assert found[-1].labels == {"pod": "one", "container": "main"}
    assert {entry.level for entry in found} == {"error"}
    assert server.requests[0].target.endswith("/pods?labelSelector=app%3Danalytics")


async def test_what_ran_before_a_restart_is_there_and_marked(server: FakePodLogs, adapter: KubernetesLogs) -> None:
    pod = server.add(FakePod("one"))
    pod.write(T0, "Traceback (most recent call last):")
    pod.restart()
    pod.write(T0 + timedelta(seconds=5), "started")
    found = await adapter.query(LogQuery())
    assert [(entry.labels.get("previous"), entry.level) for entry in found] == [("true", "error"), (None, "unknown")]


async def test_a_container_that_waits_to_start_has_no_lines(server: FakePodLogs, adapter: KubernetesLogs) -> None:
    server.add(FakePod("waiting", uid="v", waiting=True))
    server.add(FakePod("one")).write(T0, "here")
    assert [entry.message for entry in await adapter.query(LogQuery())] == ["here"]


async def test_no_more_is_read_than_was_asked_for(server: FakePodLogs, adapter: KubernetesLogs) -> None:
    pod = server.add(FakePod("one"))
    for n in range(500):
        pod.write(T0 + timedelta(seconds=n), f"line {n}")
    since = T0 + timedelta(seconds=450)
    assert len(await adapter.query(LogQuery(limit=100, since=since))) == 50
    assert server.asked[-1] == {
        "container": "main",
        "timestamps": "true",
        "tailLines": "100",
        "sinceTime": "2026-03-01T12:07:30Z",
    }


@pytest.mark.parametrize("fault", ["401", "403", "404", "429", "500", "reset", "html", "truncated body", "escapes"])
async def test_each_fault_is_one_error_without_a_secret(
    server: FakePodLogs, adapter: KubernetesLogs, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(kubernetes_api, "READ_TIMEOUT_S", 2.0)
    assert fault in FAULTS
    server.fault = fault
    error = await refused(adapter.query(LogQuery()))
    assert error.kind in ("auth", "not_found", "rate_limited", "unreachable", "malformed")
    assert (await refused(anext(adapter.follow(LogQuery())))).kind == error.kind


async def test_containers_that_prepare_a_pod_run_beside_it_or_debug_it_are_read(
    server: FakePodLogs, adapter: KubernetesLogs, tmp_path: Path, http: Http
) -> None:
    stamp = f"{T0:%Y-%m-%dT%H:%M:%S}.000000000Z"
    others = {name: [(stamp, f"ERROR {name} says")] for name in ("migrate", "proxy", "debugger")}
    server.add(FakePod("one", phase="Pending", waiting=True, others=others, is_prepared=False))
    found = await adapter.query(LogQuery())
    assert {entry.source for entry in found} == {"one/migrate", "one/proxy", "one/debugger"}
    only = logs_of(server, tmp_path, http, container="migrate")
    assert [entry.message for entry in await only.query(LogQuery())] == ["migrate says"]
    await only.aclose()


async def test_a_log_that_can_not_be_read_is_a_gap_beside_the_others(
    server: FakePodLogs, adapter: KubernetesLogs
) -> None:
    server.add(FakePod("one")).write(T0, "here")
    server.add(FakePod("lost", uid="v", unreachable=True))
    missing, line = await adapter.query(LogQuery(limit=1))
    assert is_gap(missing)
    assert ("no route to host" in missing.message, missing.source, line.message) == (True, "lost", "here")
    server.members["one"].unreachable = True
    assert "no route to host" in (await refused(adapter.query(LogQuery()))).message


async def test_the_last_lines_before_a_time_are_found_however_many_follow(
    server: FakePodLogs, adapter: KubernetesLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.logs.kubernetes.logs.MAX_TAIL", 20)
    pod = server.add(FakePod("one"))
    for n in range(300):
        pod.write(T0 + timedelta(seconds=n), f"line {n}")
    found = await adapter.query(LogQuery(until=T0 + timedelta(seconds=100), grep="line", limit=2))
    assert [entry.message for entry in found] == ["line 99", "line 100"]
    said, *found = await adapter.query(LogQuery(grep="line 1", limit=2))
    assert (is_gap(said), found) == (True, [])


# ---- following


async def followed(server: FakePodLogs) -> None:
    """Until what was there has been read, and is followed."""
    async with asyncio.timeout(30):
        while not any("follow" in params for params in server.asked):
            await asyncio.sleep(0.01)


async def test_no_line_is_lost_or_doubled_while_the_connection_is_cut_again_and_again(
    server: FakePodLogs, adapter: KubernetesLogs
) -> None:
    pod, dice = server.add(FakePod("one")), random.Random(7)
    for n in range(30):
        pod.write(T0, f"line {n}", f"{n // 3:09d}")  # three lines of the same nanosecond
    stream = adapter.follow(LogQuery(limit=1000))
    waiting = asyncio.ensure_future(take(stream, 300, 60))
    for n in range(30, 300):
        pod.write(T0 + timedelta(seconds=n // 100), f"line {n}", f"{n // 3:09d}")
        if dice.random() < 0.1:
            server.cut()
        await asyncio.sleep(dice.random() * 0.01)
    assert [entry.message for entry in await waiting] == [f"line {n}" for n in range(300)]
    assert len(server.asked) > 5
    await stream.aclose()


async def test_a_pod_that_comes_later_is_followed_from_its_first_line(
    server: FakePodLogs, adapter: KubernetesLogs
) -> None:
    server.add(FakePod("one")).write(T0, "old")
    stream = adapter.follow(LogQuery(limit=0))
    waiting = asyncio.ensure_future(take(stream, 2, 30))
    await followed(server)
    later = server.add(FakePod("two", uid="v"))
    later.write(T0 - timedelta(hours=1), "first")
    later.write(T0 + timedelta(hours=1), "second")
    assert [(entry.source, entry.message) for entry in await waiting] == [("two", "first"), ("two", "second")]
    await stream.aclose()


async def test_the_last_words_before_a_restart_are_not_lost(server: FakePodLogs, adapter: KubernetesLogs) -> None:
    pod = server.add(FakePod("one"))
    pod.write(T0, "running")
    stream = adapter.follow(LogQuery())
    assert [entry.message for entry in await take(stream, 1, 30)] == ["running"]
    waiting = asyncio.ensure_future(take(stream, 2, 30))
    await followed(server)
    server.fault = "503"  # nobody can look while it dies
    server.cut()
    await asyncio.sleep(0.2)
    pod.write(T0 + timedelta(seconds=1), "out of memory")
    pod.restart()
    pod.write(T0 + timedelta(seconds=2), "started again")
    server.fault = ""
    entries = await waiting
    assert [entry.message for entry in entries] == ["out of memory", "started again"]
    assert entries[0].labels["previous"] == "true"
    pod.restart()
    pod.restart()
    pod.write(T0 + timedelta(seconds=9), "at last")
    entries = await take(stream, 2, 30)
    assert (is_gap(entries[0]), "restarted 2 times" in entries[0].message) == (True, True)
    assert entries[1].message == "at last"
    await stream.aclose()


async def test_a_pod_that_ended_is_read_once(server: FakePodLogs, adapter: KubernetesLogs) -> None:
    server.add(FakePod("job", phase="Succeeded")).write(T0, "done")
    stream = adapter.follow(LogQuery())
    assert [entry.message for entry in await take(stream, 1, 30)] == ["done"]
    waiting = asyncio.ensure_future(take(stream, 1, 30))
    await followed(server)
    await asyncio.sleep(0.6)
    assert len(server.asked) == 2, "once to begin with, once to follow"
    server.add(FakePod("next", uid="v")).write(T0, "new")
    assert [entry.message for entry in await waiting] == ["new"]
    await stream.aclose()


async def test_a_follow_that_is_closed_leaves_nothing_running(server: FakePodLogs, adapter: KubernetesLogs) -> None:
    for n in range(5):
        server.add(FakePod(f"pod-{n}", uid=str(n))).write(T0, "line")
    before = asyncio.all_tasks()
    stream = adapter.follow(LogQuery())
    waiting = asyncio.ensure_future(take(stream, 50, 30))
    await followed(server)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await stream.aclose()
    left = [task for task in asyncio.all_tasks() - before if "pods" in task.get_name() or "log " in task.get_name()]
    assert left == []


async def test_more_containers_than_can_be_followed_are_said(
    server: FakePodLogs, adapter: KubernetesLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_follow, "MAX_STREAMS", 2)
    for n in range(3):
        server.add(FakePod(f"pod-{n}", uid=str(n)))
    stream = adapter.follow(LogQuery(limit=0))
    (entry,) = await take(stream, 1, 30)
    assert is_gap(entry)
    assert "more than 2 containers" in entry.message
    await stream.aclose()


@pytest.mark.parametrize(
    "begins", ["ERROR failed", "2026-03-01 12:00:00,123 - etl - ERROR - failed", "E0301 12:00:00.1 1 a.go:1] failed"]
)
async def test_a_stack_trace_stays_with_its_error(server: FakePodLogs, adapter: KubernetesLogs, begins: str) -> None:
    """The node gives each line a time of its own; what counts is whether the program did."""
    trace = ["Traceback (most recent call last):", "  File x", "KeyError: 'y'", "\tat z"]
    pod, other = server.add(FakePod("one")), server.add(FakePod("two", uid="o"))
    for n, text in enumerate([begins.replace("ERROR", "INFO").replace("E0", "I0"), "  fine", begins, *trace]):
        pod.write(T0 + timedelta(seconds=n), text)
        other.write(T0 + timedelta(seconds=n), "INFO fine")
    found = await adapter.query(LogQuery(level="error"))
    assert [entry.message.strip() for entry in found][1:] == [line.strip() for line in trace]
    assert found[0].message.endswith("failed")


async def test_a_line_a_little_older_than_the_one_before_is_a_line(
    server: FakePodLogs, adapter: KubernetesLogs
) -> None:
    pod = server.add(FakePod("one"))
    jumbled = ("000000100", "000000300", "000000200", "000000400")
    for ns in jumbled:
        pod.write(T0, f"first {ns}", ns)
    stream = adapter.follow(LogQuery())
    assert [entry.message for entry in await take(stream, 4)] == [f"first {ns}" for ns in sorted(jumbled)]
    waiting = asyncio.ensure_future(take(stream, 3 * len(jumbled)))
    for n in range(3):
        for ns in jumbled:
            pod.write(T0 + timedelta(seconds=n), f"again {n} {ns}", ns)
        await asyncio.sleep(0.05)
        server.cut()
    assert [entry.message for entry in await waiting] == [f"again {n} {ns}" for n in range(3) for ns in jumbled]
    with pytest.raises(TimeoutError):
        await take(stream, 1, 0.4)
    await stream.aclose()


async def test_what_is_older_than_since_does_not_come_while_following(
    server: FakePodLogs, adapter: KubernetesLogs
) -> None:
    pod = server.add(FakePod("one"))
    pod.write(T0, "long ago")
    stream = adapter.follow(LogQuery(since=T0 + timedelta(hours=1)))
    waiting = asyncio.ensure_future(take(stream, 1))
    await asyncio.sleep(0.3)
    pod.write(T0 + timedelta(hours=2), "new")
    assert [entry.message for entry in await waiting] == ["new"]
    await stream.aclose()


async def test_a_container_that_has_ended_for_good_is_read_once(server: FakePodLogs, adapter: KubernetesLogs) -> None:
    stamp = f"{T0:%Y-%m-%dT%H:%M:%S}.000000000Z"
    pod = server.add(FakePod("one", others={"migrate": [(stamp, "migrated")]}))
    stream = adapter.follow(LogQuery())
    assert [entry.message for entry in await take(stream, 1)] == ["migrated"]
    waiting = asyncio.ensure_future(take(stream, 1))
    await asyncio.sleep(0.4)
    assert sum(asked["container"] == "migrate" and "follow" in asked for asked in server.asked) == 1
    pod.write(T0 + timedelta(seconds=1), "started")
    assert [entry.message for entry in await waiting] == ["started"]
    await stream.aclose()
