"""`kubernetes` logs from a real API server: of pods that answer requests, and of those that take their place."""

import asyncio
import gc
import urllib.request
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.logs.around import around
from backends.logs.kubernetes.logs import KubernetesLogs
from backends.models import LogEntry
from backends.ports import LogQuery
from backends.registry import AdapterContext, build
from tests.live.kubernetes import Cluster, Namespace, namespace

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kubernetes")]


@pytest.fixture(scope="module")
def space(kube: Cluster) -> Iterator[Namespace]:
    with namespace(kube) as space:
        yield space


@pytest.fixture
async def logs(space: Namespace, tmp_path: Path) -> AsyncIterator[KubernetesLogs]:
    http = Http()
    logs = logs_of(space, http, tmp_path)
    yield logs
    await logs.aclose()
    await http.aclose()
    # httpcore forgets the socket of a TLS handshake that is cancelled: here, where it belongs, not in a later test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def logs_of(space: Namespace, http: Http, tmp_path: Path, **config: Any) -> KubernetesLogs:
    entry = {"kubeconfig": str(space.cluster.kubeconfig), "kube_context": "sim", "namespace": space.name}
    context = AdapterContext("app", tmp_path, tmp_path, http)
    found: KubernetesLogs = build("logs", "kubernetes", {**entry, "selector": "app=analytics", **config}, context)
    return found


def ask(space: Namespace, path: str, service: str = "analytics") -> None:
    with urllib.request.urlopen(space.url(service, path), timeout=10) as answer:
        answer.read()


async def until_seen(stream: AsyncIterator[LogEntry], message: str, count: int) -> list[LogEntry]:
    """The entries with that in their message, until there are so many."""
    found: list[LogEntry] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            entry = await anext(stream)
            found += [entry] if message in entry.message else []
    return found


async def test_the_end_of_the_logs_of_all_pods(space: Namespace, logs: KubernetesLogs) -> None:
    for n in range(6):
        await asyncio.to_thread(ask, space, f"/end-{n}")
    found = await logs.query(LogQuery(grep=r"/end-\d", limit=4))
    assert [entry.message.split()[1] for entry in found] == [f"/end-{n}" for n in (2, 3, 4, 5)]
    assert all(entry.source.startswith("analytics-blue-") and entry.at and entry.level == "info" for entry in found)
    assert await logs.query(LogQuery(level="error")) == []
    at = found[0].at
    assert at is not None
    nearest = await around(logs, LogQuery(grep=r"/end-\d"), at, before=1, after=2)
    assert [entry.message.split()[1] for entry in nearest] == ["/end-1", "/end-2", "/end-3"]


async def test_what_is_written_is_followed_in_order_and_once(space: Namespace, logs: KubernetesLogs) -> None:
    await asyncio.to_thread(ask, space, "/before")
    stream = logs.follow(LogQuery(grep="before|during", limit=1))
    assert [entry.message.split()[1] for entry in await until_seen(stream, "before", 1)] == ["/before"]
    waiting = asyncio.ensure_future(until_seen(stream, "during", 20))
    for n in range(20):
        await asyncio.to_thread(ask, space, f"/during-{n}")
    assert sorted(entry.message.split()[1] for entry in await waiting) == sorted(f"/during-{n}" for n in range(20))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5):
            await anext(stream)  # nothing comes twice
    await stream.aclose()


async def test_pods_that_take_the_place_of_others_are_followed(space: Namespace, logs: KubernetesLogs) -> None:
    stream = logs.follow(LogQuery(limit=0))
    waiting = asyncio.ensure_future(until_seen(stream, "version=2.4.7", space.replicas))
    await asyncio.sleep(0.5)
    space.set_image("green", "2.4.7")
    entries = await waiting
    assert len({entry.source for entry in entries}) == space.replicas
    await stream.aclose()


async def test_who_may_not_read_logs_is_told_so(space: Namespace, tmp_path: Path) -> None:
    space.grant("viewer", [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}])
    http = Http()
    logs = logs_of(space, http, tmp_path, kubeconfig=str(space.cluster.as_user("viewer")))
    with pytest.raises(BackendError) as caught:
        await logs.query(LogQuery())
    assert (caught.value.kind, "pods/log" in caught.value.message) == ("auth", True)
    await logs.aclose()
    await http.aclose()
