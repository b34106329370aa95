"""Argo Rollouts and Argo CD on the bench: `KUBE_CRDS=1 shared/kube/up DIR` names itself in the environment.

Both are simulators over a real API server (`shared/kube/simrollouts.py` and `simargocd.py` say what they simulate).
"""

import contextlib
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.live.kubernetes import Api, answering
from tests.live.process import free_port, until
from tests.live.require import missing

IMAGE = "registry.test/web"
ARGO = "/apis/argoproj.io/v1alpha1"
CONTROLLER = "simrollouts.pid"
HASH = "rollouts-pod-template-hash"
PAUSED_CANARY = {"steps": [{"setWeight": 50}, {"pause": {}}]}


class ArgoLab:
    """One namespace of its own on the bench. `argocd`: the door of the API, `token` what opens it."""

    def __init__(self, kubeconfig: Path, argocd: str, token: str) -> None:
        self.kubeconfig, self.argocd, self.token = kubeconfig, argocd, token
        self.api = Api(kubeconfig)
        self.namespace = f"argo-{uuid.uuid4().hex[:8]}"
        self.api.call("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})

    def close(self) -> None:
        self.api.call("DELETE", f"/api/v1/namespaces/{self.namespace}")

    # ---- Rollouts

    def path(self, plural: str, name: str = "", root: str = ARGO) -> str:
        return f"{root}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def service(self, name: str, app: str, port: int) -> int:
        """A NodePort Service; its port."""
        spec = {"type": "NodePort", "selector": {"app": app}, "ports": [{"port": 80, "targetPort": port}]}
        made = self.api.call("POST", self.path("services", root="/api/v1"), {"metadata": {"name": name}, "spec": spec})
        found: int = made["spec"]["ports"][0]["nodePort"]
        return found

    def rollout(
        self, *, strategy: str = "blueGreen", tag: str = "2.4.0", replicas: int = 1, spec: Any = None, **more: Any
    ) -> dict[str, Any]:
        """A Rollout at rest, and the entry of the config that drives it. `more` goes into its strategy; `preview` of
        the entry is that of blueGreen."""
        name, port = f"web-{uuid.uuid4().hex[:6]}", free_port()
        active = self.service(name, name, port)
        entry: dict[str, Any] = {
            "rollout": name, "kubeconfig": str(self.kubeconfig), "kube_context": "sim", "namespace": self.namespace,
            "probe": {"url": f"http://127.0.0.1:{active}/health", "version_header": "X-Version"},
        }  # fmt: skip
        told: dict[str, Any] = dict(more)
        if strategy == "blueGreen":
            preview = self.service(f"{name}-preview", name, port)
            entry["preview"] = f"http://127.0.0.1:{preview}/health"
            told = {"activeService": name, "previewService": f"{name}-preview", "autoPromotionEnabled": False, **more}
        container = {"name": "main", "image": f"{IMAGE}:{tag}", "ports": [{"containerPort": port}]}
        template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
        body = {
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": name},
            "spec": {
                "replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template,
                "strategy": {strategy: told}, **(spec or {}),
            },
        }  # fmt: skip
        self.api.call("POST", self.path("rollouts"), body)
        until(lambda: self.get(name).get("status", {}).get("phase") == "Healthy", f"{name} is healthy")
        for url in (entry["probe"]["url"], *([entry["preview"]] if "preview" in entry else [])):
            until(lambda url=url: answering(url), f"{url} answers")
        return entry

    def get(self, name: str) -> Any:
        return self.api.call("GET", self.path("rollouts", name))

    def phase(self, name: str) -> str:
        return str(self.get(name).get("status", {}).get("phase", ""))

    def set_image(self, name: str, tag: str) -> None:
        """As somebody does it by kubectl."""
        at = "/spec/template/spec/containers/0/image"
        self.patch(name, [{"op": "replace", "path": at, "value": f"{IMAGE}:{tag}"}])

    def patch(self, name: str, operations: list[dict[str, Any]], sub: str = "") -> None:
        path = self.path("rollouts", name) + sub
        self.api.call("PATCH", path, operations, "application/json-patch+json", fieldManager="kubectl-patch")

    def merge(self, name: str, body: Any, sub: str = "") -> None:
        self.api.merge(self.path("rollouts", name) + sub, body, "kubectl-argo-rollouts")

    def promoted(self, name: str) -> None:
        """As somebody else presses promote."""
        self.merge(name, {"status": {"pauseConditions": None}}, "/status")

    def image(self, name: str) -> str:
        return str(self.get(name)["spec"]["template"]["spec"]["containers"][0]["image"]).rpartition(":")[2]

    @contextlib.contextmanager
    def without_controller(self) -> Iterator[None]:
        """It stands still for the time of the block: its pid is where the bench is."""
        file = self.kubeconfig.parent / CONTROLLER
        pid = int(file.read_text()) if file.exists() else missing(f"no {file}")
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def argo_lab() -> Iterator[ArgoLab]:
    """On the bench that the environment names; skips, or fails, where it names none."""
    given = os.environ.get("TEAL_TEST_KUBECONFIG"), os.environ.get("TEAL_TEST_ARGOCD")
    if not given[0] or not given[1]:
        missing("no bench with KUBE_CRDS=1: TEAL_TEST_KUBECONFIG and TEAL_TEST_ARGOCD")
    assert given[0]
    assert given[1]
    lab = ArgoLab(Path(given[0]), given[1], os.environ.get("TEAL_TEST_ARGOCD_TOKEN", ""))
    try:
        yield lab
    finally:
        lab.close()
