"""An experiment of a Rollout as the published schema has it: its versions, and what compares them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.argo_rollouts.analysis import analysis_words
from backends.kubernetes.api import KubernetesApi
from tests.backends.fake_kubernetes import FakeKubernetes

ARGO = "/apis/argoproj.io/v1alpha1/namespaces/analytics"
RUNNING = {
    "metadata": {"name": "web-bb-2-0", "namespace": "analytics", "uid": "e"},
    "spec": {"duration": "1h", "templates": [{"name": "baseline"}, {"name": "canary"}],
             "analyses": [{"name": "compare", "templateName": "mann-whitney"}]},
    "status": {
        "phase": "Running", "availableAt": "2026-11-29T03:00:00Z",
        "templateStatuses": [
            {"name": "baseline", "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
             "status": "Running"},
            {"name": "canary", "replicas": 2, "updatedReplicas": 2, "readyReplicas": 0, "availableReplicas": 0,
             "status": "Progressing", "message": "ImagePullBackOff"},
        ],
        "analysisRuns": [
            {"name": "warm", "analysisRun": "web-bb-2-0-warm", "phase": "Successful"},
            {"name": "compare", "analysisRun": "web-bb-2-0-compare", "phase": "Failed",
             "message": "Metric \"p95\" assessed Failed due to failed (2) > failureLimit (1)"},
        ],
    },
}  # fmt: skip


@pytest.fixture
async def server() -> AsyncIterator[FakeKubernetes]:
    async with FakeKubernetes() as server:
        server.objects[f"{ARGO}/analysisruns"] = (200, {"items": []})
        yield server


async def said(server: FakeKubernetes, home: Path, status: int, body: Any) -> str:
    server.objects[f"{ARGO}/experiments/web-bb-2-0"] = (status, body)
    kubeconfig = str(server.kubeconfig(home))
    api = KubernetesApi(kubeconfig=kubeconfig, context="fake", namespace="analytics", base_dir=home)
    try:
        return await analysis_words(api, "bb", "u-1", "web-bb-2-0")
    finally:
        await api.aclose()


async def test_its_versions_and_what_compares_them_are_told_the_worst_first(
    server: FakeKubernetes, tmp_path: Path
) -> None:
    assert await said(server, tmp_path, 200, RUNNING) == (
        "experiment web-bb-2-0 Running: "
        'analysis compare Failed: Metric "p95" assessed Failed due to failed (2) > failureLimit (1); '
        "analysis warm Successful; baseline 1 of 1 available; canary 0 of 2 available (Progressing, ImagePullBackOff)"
    )


async def test_one_that_has_only_begun_is_pending(server: FakeKubernetes, tmp_path: Path) -> None:
    begun = {"metadata": RUNNING["metadata"], "spec": RUNNING["spec"]}
    assert await said(server, tmp_path, 200, begun) == "experiment web-bb-2-0 Pending"


async def test_one_that_may_not_be_read_is_said_so(server: FakeKubernetes, tmp_path: Path) -> None:
    no = {"kind": "Status", "message": "experiments.argoproj.io is forbidden"}
    assert "experiment web-bb-2-0 can not be read: " in await said(server, tmp_path, 403, no)
