"""`helm` on the bench with a real program, Helm 3 or 4, which TEAL_TEST_HELM names. CI has none: there a stand-in is
tried (`tests/backends/test_helm.py`)."""

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from backends.deployments.helm.controller import HelmController
from backends.http import Http
from backends.ports import Order
from backends.registry import AdapterContext, build
from backends.testing.controllers import ControllerContract, ended
from tests.live.kubernetes import Api

HELM = os.environ.get("TEAL_TEST_HELM", "")
BENCH = os.environ.get("TEAL_TEST_KUBECONFIG", "")
pytestmark = [pytest.mark.live, pytest.mark.skipif(not (HELM and BENCH), reason="TEAL_TEST_HELM names no real helm")]
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "registry.test/web:{{ .Values.tag }}", ports: [{containerPort: 18311}]}]}
"""


class Lab:
    """A release `web` of one Deployment, in a namespace of its own."""

    def __init__(self, directory: Path, http: Http) -> None:
        self.namespace = f"helm-{uuid.uuid4().hex[:8]}"
        self.directory = directory
        chart = directory / "chart"
        (chart / "templates").mkdir(parents=True)
        (chart / "Chart.yaml").write_text("apiVersion: v2\nname: web\nversion: 0.1.0\nappVersion: one\n")
        (chart / "templates" / "web.yaml").write_text(DEPLOYMENT)
        scope = ["--namespace", self.namespace, "--kubeconfig", BENCH, "--kube-context", "sim"]
        self.upgrade = [HELM, "upgrade", "--install", "web", str(chart), *scope, "--wait", "--timeout", "60s", "--set"]
        entry = {
            "release": "web", "kubeconfig": BENCH, "kube_context": "sim", "namespace": self.namespace, "binary": HELM,
            "timeout": "60s", "deploy": [*self.upgrade, "tag={version}"],
        }  # fmt: skip
        context = AdapterContext("web", directory, directory / "own", http)
        self.adapter: HelmController = build("deployments", "helm", entry, context)

    async def begin(self, tag: str) -> asyncio.subprocess.Process:
        quiet = asyncio.subprocess.DEVNULL
        return await asyncio.create_subprocess_exec(*self.upgrade, f"tag={tag}", stdout=quiet, stderr=quiet)


@pytest.fixture
async def lab(tmp_path: Path, http: Http) -> AsyncIterator[Lab]:
    found, api = Lab(tmp_path, http), Api(Path(BENCH))
    body = {"metadata": {"name": found.namespace}}
    await asyncio.to_thread(api.call, "POST", "/api/v1/namespaces", body)
    assert await (await found.begin("2.4.0")).wait() == 0
    yield found
    await found.adapter.aclose()
    await asyncio.to_thread(api.call, "DELETE", f"/api/v1/namespaces/{found.namespace}")


class TestHelmController(ControllerContract):
    @pytest.fixture
    async def adapter(self, lab: Lab) -> HelmController:
        return lab.adapter

    @pytest.fixture
    def versions(self) -> tuple[str, str]:
        return "2.4.0", "2.5.0-crash"  # which never gets ready

    @pytest.fixture
    async def meddle(self, lab: Lab) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        running = list[asyncio.subprocess.Process]()

        async def begin() -> None:
            running.append(await lab.begin("2.5.0-crash"))
            async with asyncio.timeout(20):
                while (await lab.adapter.observe()).open is None:
                    await asyncio.sleep(0.05)

        yield begin
        for each in running:
            with contextlib.suppress(ProcessLookupError):
                each.kill()
            await each.wait()


async def test_a_rollback_and_what_it_says_of_the_pods(lab: Lab) -> None:
    assert await (await lab.begin("2.5.0")).wait() == 0
    state = await lab.adapter.observe()
    back = Order(order="rollback", revision="1")
    told = {each.code: each.text for each in await lab.adapter.preflight(state, back)}
    assert "rollback web 1 --namespace" in told["helm"]
    found = await lab.adapter.order(state, back, stamp="A:rollback")
    assert found.newest is not None
    assert (await ended(lab.adapter, found.newest.id)).state == "succeeded"
    shown = await lab.adapter.deployment()
    assert (shown.live, shown.colors["stable"].version) == ("stable", "2.4.0")
    assert shown.truth.endpoints.detail == "1 of 1 pods ready"
    assert (await lab.adapter.observe()).returned
