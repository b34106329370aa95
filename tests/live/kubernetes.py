"""A real Kubernetes control plane, and in it a namespace with two Deployments behind one Service.

`TEAL_TEST_KUBECONFIG` names a cluster that runs, with `….oncall` and `….viewer` beside it for two users without rights;
else the scripts `up` and `down` in `TEAL_KUBE_DIR` (default: `shared/kube` beside the checkout) start and end one whose
pods are HTTP servers on loopback.
"""

import contextlib
import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.live.process import accepts, free_port, until
from tests.live.require import missing

COLORS = ("blue", "green")
IMAGE = "registry.test/analytics"
WITHIN_S = 60.0
CONTROLLER_PORT = 10257  # of every kube-controller-manager: there is one on a host


class Api:
    """The API server as one user, without any of our own code."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        self.server: str = config["clusters"][0]["cluster"]["server"]
        self._token = config["users"][0]["user"]["token"]
        self._tls = ssl._create_unverified_context()

    def call(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", **params: str
    ) -> Any:
        """The decoded answer; urllib.error.HTTPError for a status of 400 and above."""
        query = "&".join(f"{key}={value}" for key, value in params.items())
        request = urllib.request.Request(
            self.server + path + (f"?{query}" if query else ""),
            None if body is None else json.dumps(body).encode(),
            {"authorization": f"Bearer {self._token}", "content-type": content_type, "user-agent": "tests"},
            method=method,
        )
        with urllib.request.urlopen(request, context=self._tls, timeout=30) as answer:
            return json.load(answer)

    def merge(self, path: str, body: Any, manager: str = "kubectl-edit") -> Any:
        """A merge patch, as `kubectl edit` sends it."""
        return self.call("PATCH", path, body, "application/merge-patch+json", fieldManager=manager)


class Cluster:
    """An API server that runs. `metrics_url` counts the requests of all pods; empty where nobody does. `routes`:
    whether it has the custom resources that route, and a data plane for them."""

    def __init__(self, kubeconfig: Path, metrics_url: str, *, routes: bool) -> None:
        self.kubeconfig = kubeconfig
        self.metrics_url = metrics_url
        self.routes = routes
        self.admin = Api(kubeconfig)

    def as_user(self, name: str) -> Path:
        """The kubeconfig of `oncall` or `viewer`."""
        path = self.kubeconfig.with_name(f"{self.kubeconfig.name}.{name}")
        if not path.exists():
            pytest.skip(f"no {path}")
        return path


class Namespace:
    """Service `analytics` over Deployments `analytics-blue` and `analytics-green`, all traffic on blue."""

    kind = "kubernetes"  # the type of the entry

    def __init__(self, cluster: Cluster, *, replicas: int = 2) -> None:
        self.cluster = cluster
        self.api = cluster.admin
        self.name = f"teal-{uuid.uuid4().hex[:8]}"
        self.replicas = replicas
        # Pods of two clusters on one host share its loopback addresses.
        self._container_port = free_port()
        self.ports: dict[str, int] = {}

    @property
    def root(self) -> str:
        return f"/api/v1/namespaces/{self.name}"

    @property
    def apps(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.name}/deployments"

    @property
    def service(self) -> str:
        return f"{self.root}/services/analytics"

    def create(self) -> None:
        """With version 2.4.0 on both sides, and ready."""
        self.api.call("POST", "/api/v1/namespaces", {"metadata": {"name": self.name}})
        for color in COLORS:
            self.api.call("POST", self.apps, self._deployment(color))
            self.add_service(f"analytics-{color}", {"app": "analytics", "color": color})
        self._create_control()
        self.settle()

    def _create_control(self) -> None:
        self.add_service("analytics", {"app": "analytics", "color": "blue"})

    def delete(self) -> None:
        self.api.call("DELETE", f"/api/v1/namespaces/{self.name}")

    def add_service(self, name: str, selector: dict[str, str] | None) -> None:
        """A Service of type NodePort; its port is in `ports`."""
        port = {"port": 80, "targetPort": self._container_port}
        if name in self.ports:
            port["nodePort"] = self.ports[name]
        body = {"metadata": {"name": name}, "spec": {"type": "NodePort", "selector": selector, "ports": [port]}}
        made = self.api.call("POST", f"{self.root}/services", body, fieldManager="fixture")
        self.ports[name] = made["spec"]["ports"][0]["nodePort"]

    def url(self, service: str = "analytics", path: str = "/health") -> str:
        return f"http://127.0.0.1:{self.ports[service]}{path}"

    def config(self, **more: Any) -> dict[str, Any]:
        """The entry of the config."""
        return {
            "kubeconfig": str(self.cluster.kubeconfig),
            "kube_context": "sim",
            "namespace": self.name,
            "service": "analytics",
            "deployments": {color: f"analytics-{color}" for color in COLORS},
            "container": "analytics",
            "image": IMAGE,
            "probe": {"url": self.url(), "header": "X-Environment"},
            "health": {color: self.url(f"analytics-{color}") for color in COLORS},
            "bake": "500ms",
            **more,
        }

    # ---- what a person with kubectl does

    def get_service(self) -> Any:
        return self.api.call("GET", self.service)

    def color(self) -> str:
        found: str = self.get_service()["spec"]["selector"]["color"]
        return found

    def select(self, color: str | None, manager: str = "kubectl-edit") -> None:
        """Edit the selector; None takes the key away."""
        self.api.merge(self.service, {"spec": {"selector": {"color": color}}}, manager)

    def weights(self) -> dict[str, int]:
        live = self.color()
        return {color: 100 if color == live else 0 for color in COLORS}

    def weigh(self, weights: dict[str, int]) -> None:
        """All to the color that has most: a selector can not split."""
        self.select(max(weights, key=lambda color: weights[color]))

    def meddle(self, weights: dict[str, int]) -> None:
        """The same: a Service says nothing of when that is in force."""
        self.weigh(weights)

    def set_image(self, color: str, tag: str) -> None:
        container = {"name": "analytics", "image": f"{IMAGE}:{tag}"}
        body = {"spec": {"template": {"spec": {"containers": [container]}}}}
        path = f"{self.apps}/analytics-{color}"
        self.api.call("PATCH", path, body, "application/strategic-merge-patch+json", fieldManager="kubectl-set")

    def tag(self, color: str) -> str:
        found = self.api.call("GET", f"{self.apps}/analytics-{color}")["spec"]["template"]["spec"]["containers"][0]
        return str(found["image"].rpartition(":")[2])

    def scale(self, color: str, replicas: int) -> None:
        self.api.merge(f"{self.apps}/analytics-{color}", {"spec": {"replicas": replicas}})

    def pods(self, color: str) -> list[Any]:
        found: list[Any] = self.api.call("GET", f"{self.root}/pods", labelSelector=f"color%3D{color}")["items"]
        return found

    def grant(self, user: str, rules: list[dict[str, Any]], *, name: str = "") -> None:
        """A Role with these rules for `user`."""
        name = name or f"{user}-role"
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.name}"
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        subject = {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
        self.api.call("POST", f"{rbac}/roles", {"metadata": {"name": name}, "rules": rules})
        binding = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
        self.api.call("POST", f"{rbac}/rolebindings", binding)
        time.sleep(0.3)  # the authorizer's cache of roles follows

    # ---- waiting

    def settle(self) -> None:
        """Until both Deployments are as they say, and all traffic goes where the selector says."""
        for color in COLORS:
            until(lambda color=color: self._is_rolled_out(color), f"{color} rolled out", within=WITHIN_S)
        until(self._is_through, "traffic follows the selector", within=WITHIN_S)

    def observed(self, color: str) -> None:
        """Until the controller has seen the last change of a Deployment."""
        until(lambda: self._is_observed(self._found(color)), f"{color} observed", within=WITHIN_S)

    def _found(self, color: str) -> Any:
        return self.api.call("GET", f"{self.apps}/analytics-{color}")

    def _is_observed(self, found: Any) -> bool:
        seen: int = found.get("status", {}).get("observedGeneration", 0)
        return seen >= found["metadata"]["generation"]

    def _is_rolled_out(self, color: str) -> bool:
        found = self._found(color)
        if not self._is_observed(found):
            return False
        spec, status = found["spec"], found["status"]
        if not (status.get("replicas", 0) == status.get("updatedReplicas", 0) == spec["replicas"]):
            return False
        ready = sum(
            any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
            for pod in self.pods(color)
        )
        return ready == len(self.pods(color)) == spec["replicas"] or "-crash" in str(spec) or "-pull" in str(spec)

    def _is_through(self) -> bool:
        return all(answering(self.url(name)) == color for name, color in self._expected()) and all(
            answering(self.url()) == self.color() for _ in range(5)
        )

    def _expected(self) -> list[tuple[str, str]]:
        return [(f"analytics-{color}", color) for color in COLORS]

    def reset(self) -> None:
        """As it was created; quick where nothing was changed."""
        self._reset_sides()
        self._reset_control()
        self.settle()

    def _reset_sides(self) -> None:
        for color in COLORS:
            if self.tag(color) != "2.4.0":
                self.set_image(color, "2.4.0")
            found = self.api.call("GET", f"{self.apps}/analytics-{color}")
            if found["spec"]["replicas"] != self.replicas or found["spec"].get("paused"):
                self.api.merge(f"{self.apps}/analytics-{color}", {"spec": {"replicas": self.replicas, "paused": None}})

    def _reset_control(self) -> None:
        service = self.get_service()
        managers = {entry["manager"] for entry in service["metadata"].get("managedFields", [])}
        selector = {"app": "analytics", "color": "blue"}
        pristine = managers == {"fixture"} and service["spec"].get("selector") == selector
        if not pristine or service["metadata"].get("annotations") or service["metadata"].get("labels"):
            self.api.call("DELETE", self.service)
            self.add_service("analytics", selector)

    def _deployment(self, color: str) -> dict[str, Any]:
        labels = {"app": "analytics", "color": color}
        container = {
            "name": "analytics",
            "image": f"{IMAGE}:2.4.0",
            "ports": [{"containerPort": self._container_port}],
        }
        return {
            "metadata": {"name": f"analytics-{color}"},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        }


def answering(url: str) -> str:
    """The color that a fresh request meets; empty where it fails."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.headers.get("X-Environment", ""))
    except OSError:
        return ""


@contextlib.contextmanager
def cluster(directory: Path) -> Iterator[Cluster]:
    """The one that runs, else one that is started, and ended at the end of the block."""
    given = os.environ.get("TEAL_TEST_KUBECONFIG")
    if given:
        routes = bool(os.environ.get("TEAL_TEST_GATEWAY"))
        yield Cluster(Path(given), os.environ.get("TEAL_TEST_KUBE_METRICS", ""), routes=routes)
        return
    scripts = Path(os.environ.get("TEAL_KUBE_DIR") or Path(__file__).parents[2].parent / "shared/kube")
    if not (scripts / "up").exists():
        missing(f"no cluster in TEAL_TEST_KUBECONFIG, and no {scripts}/up")
    if accepts(CONTROLLER_PORT):
        missing(f"another control plane has port {CONTROLLER_PORT}, and is not named in TEAL_TEST_KUBECONFIG")
    names = ("KUBE_PORT", "KUBE_ETCD_PORT", "KUBE_SIM_PORT", "KUBE_GATEWAY_PORT", "KUBE_ARGOCD_PORT")
    ports = {name: str(free_port()) for name in names} | {"KUBE_CRDS": "1"}
    log = directory / "up.log"
    try:
        with log.open("wb") as output:
            subprocess.run(
                [scripts / "up", directory], env={**os.environ, **ports}, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, timeout=300, check=True,
            )  # fmt: skip
        yield Cluster(directory / "kubeconfig", f"http://127.0.0.1:{ports['KUBE_SIM_PORT']}/metrics", routes=True)
    finally:
        subprocess.run([scripts / "down", directory], check=False, timeout=60)


@contextlib.contextmanager
def namespace(cluster: Cluster, *, replicas: int = 2) -> Iterator[Namespace]:
    """A new one, deleted at the end of the block."""
    found = Namespace(cluster, replicas=replicas)
    try:
        found.create()
        yield found
    finally:
        with contextlib.suppress(urllib.error.URLError):
            found.delete()
