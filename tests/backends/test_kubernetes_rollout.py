"""A deadline that ran out before our change does not fail it, also where the API server did not note the time of it."""

from typing import Any

import msgspec
import pytest

from backends.deployments.kubernetes.rollout import judge_rollout
from backends.kubernetes.api import FIELD_MANAGER
from backends.kubernetes.wire import Pod, Workload


def _workload(condition: dict[str, Any], changed: str) -> Workload:
    container = {"name": "api", "image": "registry.test/api:2.4.1"}
    return msgspec.convert(
        {
            "metadata": {
                "name": "api-green", "generation": 7,
                "managedFields": [{"manager": FIELD_MANAGER, "time": changed}],
            },
            "spec": {
                "replicas": 2,
                "template": {"metadata": {"name": ""}, "spec": {"containers": [container]}},
                "selector": {"matchLabels": {"color": "green"}},
            },
            "status": {"observedGeneration": 7, "conditions": [condition]},
        },
        Workload,
    )  # fmt: skip


def _pod(replica_set: str, image: str) -> Pod:
    return msgspec.convert(
        {
            "metadata": {
                "name": f"{replica_set}-x7k2p",
                "ownerReferences": [{"kind": "ReplicaSet", "name": replica_set, "controller": True}],
            },
            "spec": {"containers": [{"name": "api", "image": image}]},
            "status": {"phase": "Pending"},
        },
        Pod,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("named", "changed", "state"),
    [
        pytest.param("api-green-old", "2026-11-30T13:00:00Z", "progressing", id="of the pods before"),
        pytest.param("api-green-new", "2026-11-30T13:00:00Z", "failed", id="of the new ones"),
        pytest.param("api-green-none", "2026-11-30T13:00:00Z", "failed", id="of one that gets no pods"),
        pytest.param("api-green-none", "2026-11-30T13:10:00Z", "progressing", id="before the change"),
    ],
)
def test_a_deadline_of_an_earlier_change_fails_no_rollout(named: str, changed: str, state: str) -> None:
    condition = {
        "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
        "message": f'ReplicaSet "{named}" has timed out progressing.', "lastUpdateTime": "2026-11-30T13:05:00Z",
    }  # fmt: skip
    pods = [_pod("api-green-old", "registry.test/api:2.5.0-pull"), _pod("api-green-new", "registry.test/api:2.4.1")]
    assert judge_rollout(_workload(condition, changed), pods, "api").state == state
