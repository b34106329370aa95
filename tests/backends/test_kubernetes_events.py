"""What the cluster warns of about a service, as events of its timeline."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.kubernetes.switch import KubernetesSwitch
from backends.errors import BackendError
from backends.http import Http
from backends.missing import collected
from backends.models import TimelineEvent
from tests.backends.fake_kubernetes import FakeKubernetes
from tests.backends.test_kubernetes import switch_of
from tests.backends.test_kubernetes_conditions import DEPLOYMENTS

PATH = "/api/v1/namespaces/analytics/events"
NOW = datetime(2026, 11, 29, 3, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def event(kind: str, name: str, reason: str, *, ago: float = 5, lasted: float = 0, **more: Any) -> dict[str, Any]:
    """As the API server has it; `ago` and `lasted` in minutes."""
    began = NOW - timedelta(minutes=ago)
    times = {"firstTimestamp": _stamp(began), "lastTimestamp": _stamp(began + timedelta(minutes=lasted))}
    return {
        "metadata": {"name": f"{name}.17", "namespace": "analytics", "creationTimestamp": times["firstTimestamp"]},
        "involvedObject": {"kind": kind, "namespace": "analytics", "name": name, "uid": "u"},
        "reason": reason, "message": f"{reason}: said so", "source": {"component": "kubelet"}, **times, "count": 1,
        "type": "Warning", "eventTime": None, "reportingComponent": "", "reportingInstance": "", **more,
    }  # fmt: skip


def _stamp(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


@pytest.fixture
async def server() -> AsyncIterator[FakeKubernetes]:
    async with FakeKubernetes() as server:
        yield server


@pytest.fixture
async def adapter(server: FakeKubernetes, tmp_path: Path, http: Http) -> AsyncIterator[KubernetesSwitch]:
    adapter = switch_of(server, tmp_path, http, deployments=DEPLOYMENTS)
    yield adapter
    await adapter.aclose()


async def events(server: FakeKubernetes, adapter: KubernetesSwitch, *items: dict[str, Any]) -> list[TimelineEvent]:
    server.objects[PATH] = (200, {"metadata": {}, "items": list(items)})
    return await adapter.events(NOW - HOUR, NOW)


async def test_pods_of_a_side_that_are_warned_of_for_one_reason_are_one_event(
    server: FakeKubernetes, adapter: KubernetesSwitch
) -> None:
    (found,) = await events(
        server, adapter,
        event("Pod", "analytics-green-7d9f8-abcde", "BackOff", ago=20, lasted=10, count=40),
        event("Pod", "analytics-green-7d9f8-fghij", "BackOff", ago=12, lasted=11, count=2, message="newest\nmore"),
    )  # fmt: skip
    assert found.text == "2 Pods of analytics-green: BackOff, 42 times: newest"
    assert (found.at, found.until) == (NOW - timedelta(minutes=20), NOW - timedelta(minutes=1))
    assert (found.kind, found.health, found.ref) == ("BackOff", "warning", "analytics/pod/analytics-green")


async def test_each_object_that_is_involved_is_told_and_no_other(
    server: FakeKubernetes, adapter: KubernetesSwitch
) -> None:
    mine = [
        event("Service", "analytics", "SyncLoadBalancerFailed", ago=9),
        event("Deployment", "analytics-blue", "ReplicaSetCreateError", ago=8),
        event("ReplicaSet", "analytics-blue-7d9f8", "FailedCreate", ago=7),
        event("Pod", "analytics-blue-7d9f8-x2k9p", "Unhealthy", ago=6),
        event("HorizontalPodAutoscaler", "analytics-green", "FailedGetResourceMetric", ago=5),
    ]
    others = [
        event("Service", "other", "X"), event("Deployment", "analytics-blue-2", "X"),
        event("ReplicaSet", "analytics-blue-canary-7d9f8", "X"), event("Pod", "analytics-blue-canary-7d9f8-x2k9p", "X"),
        event("Pod", "batch-7d9f8-x2k9p", "X"), event("Node", "analytics-blue", "X"),
        event("Deployment", "analytics-blue", "ScalingReplicaSet", type="Normal"),
    ]  # fmt: skip
    found = await events(server, adapter, *others, *mine)
    assert [each.kind for each in found] == [each["reason"] for each in mine]
    assert found[3].text == "Pod analytics-blue-7d9f8-x2k9p: Unhealthy: Unhealthy: said so"


async def test_what_began_before_the_window_is_told_when_it_was_last_and_what_ended_before_is_not(
    server: FakeKubernetes, adapter: KubernetesSwitch
) -> None:
    found = await events(
        server, adapter,
        event("Service", "analytics", "Going", ago=90, lasted=60),
        event("Service", "analytics", "Over", ago=90, lasted=10),
        event("Service", "analytics", "Later", ago=-5),
    )  # fmt: skip
    assert [(each.kind, each.at) for each in found] == [("Going", NOW - timedelta(minutes=30))]


async def test_the_newer_form_of_an_event_is_read(server: FakeKubernetes, adapter: KubernetesSwitch) -> None:
    last = _stamp(NOW - timedelta(minutes=2))
    new = event(
        "Service", "analytics", "Failed", firstTimestamp=None, lastTimestamp=None, count=None,
        eventTime="2026-11-29T03:10:00.123456Z", series={"count": 7, "lastObservedTime": last},
    )  # fmt: skip
    (found,) = await events(server, adapter, new)
    assert "Failed, 7 times" in found.text
    assert (found.at.minute, found.until) == (10, NOW - timedelta(minutes=2))


async def test_without_the_right_it_is_missing_and_said_and_nothing_else_is_asked(
    server: FakeKubernetes, adapter: KubernetesSwitch
) -> None:
    server.objects[PATH] = (403, {"kind": "Status", "message": 'events is forbidden: User "oncall" cannot list'})
    with collected() as lost:
        assert await adapter.events(NOW - HOUR, NOW) == []
    (said,) = lost
    assert ("what the cluster warns of is not known" in said.message, said.fix) == (True, "grant list events")
    assert len(server.requests) == 1


async def test_where_nothing_is_warned_of_one_request_is_all(server: FakeKubernetes, adapter: KubernetesSwitch) -> None:
    assert await events(server, adapter) == []
    assert [each.target.partition("?")[2] for each in server.requests] == ["fieldSelector=type%3DWarning&limit=1000"]


async def test_a_cluster_that_is_away_is_an_error(server: FakeKubernetes, adapter: KubernetesSwitch) -> None:
    server.tokens = set()
    with pytest.raises(BackendError) as caught:
        await adapter.events(NOW - HOUR, NOW)
    assert caught.value.kind == "auth"
