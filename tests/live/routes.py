"""A namespace of a real control plane whose traffic is divided by a route: an HTTPRoute or a VirtualService, with a
data plane that really proxies by weight (`shared/kube/simgateway.py`)."""

import contextlib
import copy
import json
import urllib.error
from collections.abc import Iterator
from typing import Any

from tests.live.kubernetes import COLORS, WITHIN_S, Cluster, Namespace, answering
from tests.live.process import free_port, until
from tests.live.require import missing

LAG_S = 0.1
Weights = dict[str, int]


class Routed(Namespace):
    """Two Deployments with a Service each, behind a route with two rules: one is moved, the other one is not ours."""

    group = ""
    plural = ""
    rules = ""  # the key of the spec
    refs = ""  # and of a rule
    moved = 1  # the place of the rule that is moved

    def spec(self) -> dict[str, Any]:
        raise NotImplementedError

    def entry(self) -> dict[str, Any]:
        raise NotImplementedError

    def annotations(self) -> dict[str, str]:
        return {"sim.tealdeck.dev/lag": str(LAG_S)}

    @property
    def collection(self) -> str:
        return f"/apis/{self.group}/v1/namespaces/{self.name}/{self.plural}"

    @property
    def route(self) -> str:
        return f"{self.collection}/analytics"

    def config(self, **more: Any) -> dict[str, Any]:
        shared = {key: value for key, value in super().config().items() if key != "service"}
        return {**shared, **self.entry(), **more}

    def _create_control(self) -> None:
        self.ports["analytics"] = free_port()
        self.add_service("extra", {"app": "analytics", "color": "blue"})
        self._create_beside()
        self.make()

    def _create_beside(self) -> None:
        """What the route needs."""

    def make(self, spec: dict[str, Any] | None = None) -> None:
        """The route anew, written by nobody that is known."""
        body = {
            "apiVersion": f"{self.group}/v1", "kind": "HTTPRoute" if self.plural == "httproutes" else "VirtualService",
            "metadata": {"name": "analytics", "annotations": self.annotations()}, "spec": spec or self.spec(),
        }  # fmt: skip
        with contextlib.suppress(urllib.error.HTTPError):
            self.api.call("DELETE", self.route)
        self.api.call("POST", self.collection, body, fieldManager="fixture")

    def _reset_control(self) -> None:
        found = self.get_route()
        metadata = found["metadata"]
        managers = {entry["manager"] for entry in metadata.get("managedFields", [])}
        marked = metadata.get("labels") or metadata["annotations"] != self.annotations()
        if marked or managers & {"tealdeck", "kubectl-edit"}:
            self.make()
        until(self.in_force, "the route is in force", within=WITHIN_S)

    def in_force(self) -> bool:
        return self.is_taken() and answering(self.url()) == self.color()

    # ---- what a person with kubectl does

    def get_route(self) -> Any:
        return self.api.call("GET", self.route)

    def weights(self) -> Weights:
        """As they stand in the rule that is moved."""
        rule = self.get_route()["spec"][self.rules][self.moved]
        return {self.color_of(ref): ref.get("weight", -1) for ref in rule[self.refs]}

    def color(self) -> str:
        """The color that has most."""
        found = self.weights()
        return max(found, key=lambda color: found[color])

    def color_of(self, ref: dict[str, Any]) -> str:
        raise NotImplementedError

    def weigh(self, weights: Weights) -> None:
        """Edit the weights of the rule that is moved."""
        rules = copy.deepcopy(self.get_route()["spec"][self.rules])
        for ref in rules[self.moved][self.refs]:
            ref["weight"] = weights[self.color_of(ref)]
        self.edit({self.rules: rules})

    def meddle(self, weights: Weights) -> None:
        """The same, and until it is in force as far as anybody says so."""
        self.weigh(weights)
        until(self.is_taken, "the route is taken over", within=WITHIN_S)

    def is_taken(self) -> bool:
        """Whether its controller has seen its last change; True where it says nothing."""
        return True

    def edit(self, spec: dict[str, Any]) -> None:
        """A merge patch of the spec."""
        self.api.merge(self.route, {"spec": spec})

    def without_weights(self) -> str:
        """The whole spec, but for the weights of the rule that is moved, as text."""
        spec = copy.deepcopy(self.get_route()["spec"])
        for ref in spec[self.rules][self.moved][self.refs]:
            ref.pop("weight", None)
        return json.dumps(spec, sort_keys=True)

    def select(self, color: str | None, manager: str = "kubectl-edit") -> None:
        assert color is not None
        self.weigh({each: 100 if each == color else 0 for each in COLORS})


class RoutedByGateway(Routed):
    """A Gateway with one listener, and an HTTPRoute."""

    kind, group, plural, rules, refs = "gateway-api", "gateway.networking.k8s.io", "httproutes", "rules", "backendRefs"

    def _create_beside(self) -> None:
        listener = {"name": "http", "port": self.ports["analytics"], "protocol": "HTTP"}
        body = {
            "apiVersion": f"{self.group}/v1", "kind": "Gateway", "metadata": {"name": "edge"},
            "spec": {"gatewayClassName": "sim", "listeners": [listener]},
        }  # fmt: skip
        self.api.call("POST", f"/apis/{self.group}/v1/namespaces/{self.name}/gateways", body)

    def spec(self) -> dict[str, Any]:
        header = {"name": "X-Route", "value": "api"}
        return {
            "parentRefs": [{"name": "edge"}],
            "rules": [
                {
                    "name": "extra",
                    "matches": [
                        {"path": {"type": "Exact", "value": "/extra"}, "headers": [{"name": "x", "value": "y"}]}
                    ],
                    "backendRefs": [{"name": "extra", "port": 80, "weight": 7}],
                },
                {
                    "name": "api",
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [header]}}],
                    "backendRefs": [
                        {"name": "analytics-blue", "port": 80, "weight": 100},
                        {"name": "analytics-green", "port": 80, "weight": 0},
                    ],
                    "timeouts": {"request": "30s"},
                },
            ],
        }

    def entry(self) -> dict[str, Any]:
        return {"route": "analytics", "rule": "api", "services": {color: f"analytics-{color}" for color in COLORS}}

    def color_of(self, ref: dict[str, Any]) -> str:
        return str(ref["name"]).removeprefix("analytics-")

    def is_taken(self) -> bool:
        found = self.get_route()
        told = [each["conditions"] for each in found.get("status", {}).get("parents", [])]
        return bool(told) and all(
            one["observedGeneration"] == found["metadata"]["generation"] for conditions in told for one in conditions
        )


class RoutedByIstio(Routed):
    """A VirtualService with a port of its own, over the subsets of a DestinationRule."""

    kind, group, plural, rules, refs = "istio", "networking.istio.io", "virtualservices", "http", "route"

    def annotations(self) -> dict[str, str]:
        return {**super().annotations(), "sim.tealdeck.dev/port": str(self.ports["analytics"])}

    def _create_beside(self) -> None:
        port = self.ports.pop("analytics")
        self.add_service("analytics", {"app": "analytics"})
        self.ports["analytics"] = port  # of the data plane, not of the node
        self.make_subsets(COLORS)

    def make_subsets(self, colors: tuple[str, ...]) -> None:
        """The DestinationRule anew."""
        subsets = [{"name": color, "labels": {"color": color}} for color in colors]
        body = {
            "apiVersion": f"{self.group}/v1", "kind": "DestinationRule",
            "metadata": {"name": "analytics", "annotations": super().annotations()},
            "spec": {"host": "analytics", "subsets": subsets},
        }  # fmt: skip
        path = f"/apis/{self.group}/v1/namespaces/{self.name}/destinationrules"
        with contextlib.suppress(urllib.error.HTTPError):
            self.api.call("DELETE", f"{path}/analytics")
        self.api.call("POST", path, body)

    def spec(self) -> dict[str, Any]:
        return {
            "hosts": ["analytics"],
            "http": [
                {
                    "name": "extra",
                    "match": [{"uri": {"prefix": "/extra"}}],
                    "route": [{"destination": {"host": "extra"}}],
                },
                {
                    "name": "api",
                    "headers": {"response": {"set": {"x-route": "api"}}},
                    "route": [
                        {"destination": {"host": "analytics", "subset": "blue"}, "weight": 100},
                        {"destination": {"host": "analytics", "subset": "green"}, "weight": 0},
                    ],
                    "timeout": "30s",
                },
            ],
        }

    def entry(self) -> dict[str, Any]:
        return {
            "virtual_service": "analytics", "http_route": "api", "host": "analytics",
            "subsets": {color: color for color in COLORS},
        }  # fmt: skip

    def color_of(self, ref: dict[str, Any]) -> str:
        return str(ref["destination"].get("subset", ""))


KINDS: dict[str, type[Routed]] = {each.kind: each for each in (RoutedByGateway, RoutedByIstio)}


@contextlib.contextmanager
def routed(cluster: Cluster, kind: str, *, replicas: int = 1) -> Iterator[Routed]:
    """A new one of that type, deleted at the end of the block."""
    if not cluster.routes:
        missing("the cluster in TEAL_TEST_KUBECONFIG has no custom resources of routes: KUBE_CRDS=1 shared/kube/up")
    found = KINDS[kind](cluster, replicas=replicas)
    try:
        found.create()
        yield found
    finally:
        with contextlib.suppress(urllib.error.URLError):
            found.delete()
