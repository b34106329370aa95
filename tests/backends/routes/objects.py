"""Routes of both kinds as a person may have left them, the server that has them, and the switches over it."""

from pathlib import Path
from typing import Any

import pytest

from backends.deployments.kubernetes.cluster_switch import ClusterSwitch
from backends.errors import BackendError
from backends.http import Http
from backends.models import Finding
from backends.registry import AdapterContext, build
from backends.testing.deployments import GREEN
from tests.backends.fake_kubernetes import FakeKubernetes
from tests.backends.test_kubernetes_owners import REVIEWS

Switch = ClusterSwitch[Any]
NAMESPACE = "/api/v1/namespaces/analytics"
COLORS = ("blue", "green")
GATEWAY, ISTIO = "gateway.networking.k8s.io", "networking.istio.io"
ROUTE = f"/apis/{GATEWAY}/v1/namespaces/analytics/httproutes/web"
VIRTUAL = f"/apis/{ISTIO}/v1/namespaces/analytics/virtualservices/web"
RULES = f"/apis/{ISTIO}/v1/namespaces/analytics/destinationrules"
LONG_AGO = "2026-01-01T00:00:00Z"
SERVICES = {color: f"web-{color}" for color in COLORS}


def condition(kind: str, status: str = "True", **more: Any) -> dict[str, Any]:
    return {"type": kind, "status": status, "observedGeneration": 3, **more}


def parent(name: str = "edge", *conditions: dict[str, Any]) -> dict[str, Any]:
    told = conditions or (condition("Accepted"), condition("ResolvedRefs"))
    return {"parentRef": {"name": name}, "controllerName": "x/y", "conditions": list(told)}


def ref(color: str, weight: int | None = None, **more: Any) -> dict[str, Any]:
    return {"name": f"web-{color}", "port": 80, **({} if weight is None else {"weight": weight}), **more}


def rule(*refs: dict[str, Any], name: str = "api", path: str = "/", **more: Any) -> dict[str, Any]:
    named = {"name": name} if name else {}
    return {**named, "matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": list(refs), **more}


def route(*rules: dict[str, Any], parents: tuple[str, ...] = ("edge",)) -> dict[str, Any]:
    made = rules or (rule(ref("blue", 100), ref("green", 0)),)
    return {
        "metadata": {
            "name": "web", "namespace": "analytics", "uid": "u-1", "resourceVersion": "1", "generation": 3,
        },
        "spec": {
            "parentRefs": [{"name": each} for each in parents], "hostnames": ["api.test"], "rules": list(made),
        },
        "status": {"parents": [parent(each) for each in parents]},
    }  # fmt: skip


def to(subset: str, weight: int | None = None, host: str = "web", **more: Any) -> dict[str, Any]:
    weighed = {} if weight is None else {"weight": weight}
    return {"destination": {"host": host, **({"subset": subset} if subset else {}), **more}, **weighed}


def virtual(*routes: dict[str, Any], **spec: Any) -> dict[str, Any]:
    made = routes or ({"name": "api", "route": [to("blue", 100), to("green", 0)]},)
    metadata = {"name": "web", "namespace": "analytics", "uid": "u-1", "resourceVersion": "1", "generation": 3}
    return {"metadata": metadata, "spec": {"hosts": ["web"], "http": list(made), **spec}}


def destination_rule(*subsets: str, host: str = "web", at: str = LONG_AGO) -> dict[str, Any]:
    named = [{"name": each, "labels": {"color": each}} for each in subsets]
    managed = [{"manager": "kubectl", "operation": "Update", "time": at, "fieldsV1": {"f:spec": {}}}]
    return {"metadata": {"name": "web", "managedFields": managed}, "spec": {"host": host, "subsets": named}}


def service(name: str, **selector: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"selector": {"app": "analytics", **selector}}}


TAKEN = (condition("Accepted"), condition("ResolvedRefs"))
REFUSED = condition("ResolvedRefs", "False", reason="BackendNotFound", message="no web-green")
OLD = {**condition("Accepted"), "observedGeneration": 2}


class Routes(FakeKubernetes):
    """With both kinds of routes, and endpoints behind each Service."""

    def has(self, kind: str) -> None:
        self.at, self.service = (ROUTE, route()) if kind == "gateway-api" else (VIRTUAL, virtual())
        self.objects |= REVIEWS
        self.objects[f"{NAMESPACE}/services/web"] = (200, service("web"))
        self.objects[RULES] = (200, {"items": [destination_rule(*COLORS)]})
        self.ready(*COLORS)
        for color in COLORS:
            self.objects[f"{NAMESPACE}/services/web-{color}"] = (200, service(f"web-{color}", color=color))

    def ready(self, *colors: str) -> None:
        """The pods of these are endpoints, of their own Service and of the one for both."""
        addresses = {
            color: [{"ip": "1", "targetRef": {"name": f"{color[0]}1"}}] if color in colors else [] for color in COLORS
        }
        for name, found in (
            ("web", [*addresses["blue"], *addresses["green"]]),
            *((f"web-{c}", a) for c, a in addresses.items()),
        ):
            self.objects[f"{NAMESPACE}/endpoints/{name}"] = (200, {"subsets": [{"addresses": found}]})


ENTRIES: dict[str, dict[str, Any]] = {
    "gateway-api": {"route": "web", "services": SERVICES},
    "istio": {"virtual_service": "web", "host": "web", "subsets": {color: color for color in COLORS}},
}


def switch_of(kind: str, server: Routes, directory: Path, http: Http, **config: Any) -> Switch:
    if not (directory / "kubeconfig").exists():
        server.kubeconfig(directory)
    entry = {"kubeconfig": "kubeconfig", **ENTRIES[kind], **config}
    found: Switch = build("deployments", kind, entry, AdapterContext("web", directory, directory, http))
    return found


Build = Any


async def blocked(adapter: Switch) -> dict[str, Finding]:
    found = await adapter.preflight(await adapter.observe(), GREEN)
    return {one.code: one for one in found if one.level == "block"}


async def said(adapter: Switch, code: str) -> list[Finding]:
    return [one for one in await adapter.preflight(await adapter.observe(), GREEN) if one.code == code]


async def refused(order: Any) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await order
    assert caught.value.fix
    assert "\n" not in caught.value.message
    return caught.value


async def is_refused(adapter: Switch, server: Routes, says: str) -> None:
    """Unknown, with these words; nothing may be planned on it, and nothing is written over."""
    found = await adapter.observe()
    assert (found.weights, found.live) == ({}, "unknown")
    assert says in found.detail.splitlines()[0], found.detail
    assert found.detail.splitlines()[1:], "what to do is said"
    (finding,) = (await blocked(adapter)).values()
    assert (finding.code, says in finding.text, bool(finding.fix)) == ("route", True, True)
    error = await refused(adapter.shift(found, GREEN, stamp="A:shift"))
    assert (error.kind, says in error.message) == ("conflict", True)
    assert adapter.manual_commands(GREEN) == []
    assert server.applied == []
