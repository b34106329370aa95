"""A VirtualService as the switch: the weights of the destinations of its HTTP routes.

A single destination gets everything, whatever its weight; among several an absent weight is 0.
Source: https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPRouteDestination
"""

from asyncio import sleep
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from backends.deployments.istio.wire import (
    DestinationRuleSpec,
    HttpRoute,
    Target,
    VirtualServiceSpec,
)
from backends.deployments.kubernetes.owners import APPLIED, Field, owners
from backends.deployments.kubernetes.routes import Destination, Portion, WeightedRoute, only_one
from backends.deployments.kubernetes.sides import Chosen, Sides, pods_of
from backends.deployments.unclear import Unclear
from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.custom import CustomKind
from backends.kubernetes.patches import operation
from backends.kubernetes.wire import CustomObject, Namespace
from backends.models import Finding
from backends.text import clean

GROUP, VERSIONS = "networking.istio.io", ("v1", "v1beta1", "v1alpha3")
SPREADS_S = 5.0
"""For so long proxies may not know a subset that was written: a route to it is answered with 503."""
REVISION = "istio.io/rev"
T = TypeVar("T")


class VirtualService(WeightedRoute):
    """The `ControlObject` of one VirtualService. `subsets` are of `host`, or `services` are hosts of their own."""

    kind = "virtualservice"

    def __init__(
        self,
        api: KubernetesApi,
        name: str,
        colors: tuple[str, ...],
        *,
        http_route: str,
        host: str,
        subsets: dict[str, str],
        services: dict[str, str],
    ) -> None:
        custom = CustomKind(api, GROUP, VERSIONS, "VirtualService", "virtualservices", "Istio")
        super().__init__(api, custom, name, colors, services)
        self._http_route = http_route
        self._host = host
        self._subsets = subsets
        self._known_rules = CustomKind(api, GROUP, VERSIONS, "DestinationRule", "destinationrules", "Istio")
        self.chooses = "subsets" if subsets else "services"

    @property
    def rights(self) -> tuple[tuple[str, str, str], ...]:
        """Of the VirtualService, the Services, the pods, and the DestinationRules where they have the subsets."""
        rules = (("list", GROUP, "destinationrules"),) if self._subsets else ()
        return (
            ("get", GROUP, "virtualservices"), ("patch", GROUP, "virtualservices"), ("get", "", "services"),
            ("list", "", "pods"), *rules,
        )  # fmt: skip

    def portions(self, found: CustomObject) -> list[Portion]:
        """The HTTP route of the config, by name, else the one that names a color. Raises Unclear."""
        spec = read(found.spec, VirtualServiceSpec)
        place = self._place(found, spec)
        route = (spec.http or [])[place]
        words = _named(route, place)
        for key in ("redirect", "delegate"):
            if getattr(route, key) is not None:
                raise Unclear(f"{words} has a {key}: it sends nobody anywhere itself", "name another `http_route`")
        raw = found.spec["http"][place]
        at = ("spec", "http", str(place))
        found_by = [operation("test", (*at, key), raw[key]) for key in ("name", "match") if key in raw][:1]
        targets = route.route or []
        return [
            Portion(
                name=words, path=(*at, "route"), raw=raw.get("route") or [],
                destinations=[
                    Destination(
                        color=self._color(found, each.destination), words=_target_words(each.destination),
                        weight=1 if len(targets) == 1 else each.weight or 0,
                    )
                    for each in targets
                ],
                found_by=found_by or [operation("test", at, raw)],
            )
        ]  # fmt: skip

    def also(self, portion: Portion, color: str, weight: int) -> dict[str, Any]:
        """The same host or its like, and the same port."""
        like = next(raw for raw, each in zip(portion.raw, portion.destinations, strict=True) if each.color)
        destination = dict(like["destination"])
        if self._subsets:
            destination["subset"] = self._subsets[color]
        else:
            was = next(each.color for each in portion.destinations if each.color)
            destination["host"] = _like(str(destination["host"]), self._services[was], self._services[color])
        return {"destination": destination, "weight": weight}

    async def chosen(self, found: CustomObject, color: str) -> Chosen:
        """The host's Service, and the labels of the color's subset. Raises BackendError: `conflict` where no
        DestinationRule has that subset."""
        if not self._subsets:
            return await super().chosen(found, color)
        namespace, name = _service(self._host, found.metadata.namespace)
        both = await pods_of(self._api, name, namespace)
        labels, _ = await self._subset(found, color)
        return replace(both, labels=both.labels | labels)

    async def before_write(self, found: CustomObject, gaining: tuple[str, ...]) -> None:
        """Until proxies know the subset of a color that had no traffic: the DestinationRule may be seconds old."""
        weights = self.shares(found).weights
        for color in gaining:
            if not self._subsets or weights.get(color):
                continue
            _, rule = await self._subset(found, color)
            times = [entry.time for entry in rule.metadata.managed_fields or () if entry.time is not None]
            age_s = (datetime.now(UTC) - max(times)).total_seconds() if times else SPREADS_S
            if (left_s := min(SPREADS_S, SPREADS_S - age_s)) > 0:
                await sleep(left_s)

    async def findings(self, found: CustomObject, sides: Sides, behind: dict[str, Chosen]) -> list[Finding]:
        """Also: copies of requests, faults, routes that stay, the revision of Istio, other owners."""
        said = await super().findings(found, sides, behind)
        spec = read(found.spec, VirtualServiceSpec)
        moved = self._place(found, spec)
        for place, route in enumerate(spec.http or ()):
            words = _named(route, place)
            if place == moved:
                said += _side_effects(route, words)
            elif any(self._color(found, each.destination) for each in route.route or ()):
                text = f"{words} of {self.words} sends to these colors too, and is not moved"
                fix = "see whether its traffic shall stay where it is"
                said.append(Finding(level="warning", code="rules", text=text, fix=fix))
        field = Field(
            what=self.words, called="the weights", whole="the weights", path=("spec", "http"),
            pointer="jqPathExpressions .spec.http[].route[].weight", name=f"virtualservice {self.name}",
        )  # fmt: skip
        applied = "too\ntake them out of what is applied" if '"weight"' in found.metadata.annotation(APPLIED) else ""
        return [*said, *await self._revision_findings(found), *owners(found.metadata, field, applied)]

    def _place(self, found: CustomObject, spec: VirtualServiceSpec) -> int:
        for key in ("tcp", "tls"):
            routes: list[Any] = getattr(spec, key) or []
            mine = any(self._color(found, each.destination) for one in routes for each in one.route or ())
            if mine or (routes and not spec.http):
                why = f"it routes {key.upper()}, whose weights are not moved here"
                raise Unclear(why, f"take the {key} routes to these colors into a VirtualService of their own")
        routes = spec.http or []
        names = [route.name for route in routes]
        if self._http_route:
            named = [place for place, name in enumerate(names) if name == self._http_route]
            fix = "correct `http_route` of the entry: the name of one of its http routes"
            return only_one(f"http routes are called {clean(self._http_route, 64)}", named, names, fix)
        ours = [
            place
            for place, route in enumerate(routes)
            if any(self._color(found, each.destination) for each in route.route or ())
        ]
        fix = 'say which: `http_route = "NAME"`' if all(names) else "give its http routes names, and say which"
        return only_one("http routes send to its colors", ours, names, fix)

    def _color(self, found: CustomObject, target: Target) -> str:
        here = found.metadata.namespace
        if self._subsets:
            if _service(target.host, here) != _service(self._host, here):
                return ""
            return next((color for color, subset in self._subsets.items() if subset == target.subset), "")
        for color, service in self._services.items():
            namespace, _, name = service.rpartition("/")
            if _service(target.host, here) == (namespace or here, name):
                return color
        return ""

    async def _subset(self, found: CustomObject, color: str) -> tuple[dict[str, str], CustomObject]:
        """Its labels, and the DestinationRule that has it. Raises BackendError(conflict)."""
        here, wanted = found.metadata.namespace, self._subsets[color]
        for rule in await self._known_rules.all():
            spec = read(rule.spec, DestinationRuleSpec)
            if _service(spec.host, here) != _service(self._host, here):
                continue
            for subset in spec.subsets or ():
                if subset.name == wanted:
                    return subset.labels or {}, rule
        words = f"no DestinationRule of host {clean(self._host, 128)} has the subset {clean(wanted, 64)}"
        fix = f"add it there, with labels that only {color.upper()} has: a route to it would be answered with 503"
        raise BackendError("conflict", words, fix=fix)

    async def _revision_findings(self, found: CustomObject) -> list[Finding]:
        """Whether the control plane of these pods reads this object at all. Raises BackendError."""
        own = found.metadata.label(REVISION)
        if not own:
            return []
        try:
            namespace = await self._api.get(f"/api/v1/namespaces/{await self._api.namespace()}", Namespace)
        except BackendError as error:
            if error.kind not in ("auth", "not_found"):
                raise
            theirs = ""
        else:
            theirs = namespace.metadata.label(REVISION)
        text = f"{self.words} is of Istio's revision {clean(own, 64)}"
        if not theirs or theirs == own:
            return [Finding(level="ok", code="revision", text=text)]
        text += f", the pods of its namespace of {clean(theirs, 64)}: they may never see it"
        fix = f"kubectl label virtualservice {self.name} --overwrite {REVISION}={clean(theirs, 64)}"
        return [Finding(level="block", code="revision", text=text, fix=fix, overridable=True)]


def read(data: dict[str, Any], shape: type[T]) -> T:
    """Raises BackendError(malformed)."""
    try:
        return msgspec.convert(data, shape)
    except msgspec.ValidationError as error:
        raise BackendError("malformed", f"VirtualService: {clean(str(error), 200)}") from None


def _service(host: str, here: str) -> tuple[str, str]:
    """(namespace, name) of the Service that a host means; ("", host) for one outside of the cluster."""
    name, _, rest = host.partition(".")
    namespace, _, domain = rest.partition(".")
    if domain and domain != "svc" and not domain.startswith("svc."):
        return "", host
    return namespace or here, name


def _like(host: str, was: str, service: str) -> str:
    """`service` as a host, written as the host of `was` is."""
    namespace, _, name = service.rpartition("/")
    _, _, rest = host.partition(".")
    if namespace != was.rpartition("/")[0]:
        return f"{name}.{namespace}.svc.cluster.local" if namespace else name
    return f"{name}.{rest}" if rest else name


def _side_effects(route: HttpRoute, words: str) -> list[Finding]:
    targets = [*([route.mirror] if route.mirror else []), *(each.destination for each in route.mirrors or ())]
    fix = "see that what gets the copies may answer a request twice, or take the mirror out"
    said = [
        Finding(level="warning", code="mirror", text=f"{words} copies its requests to {_target_words(one)}", fix=fix)
        for one in targets
    ]
    if route.fault:
        kinds = " and ".join(sorted(clean(str(key), 20) for key in route.fault))
        text = f"{words} injects faults ({kinds}): what fails may be the route, not a color"
        said.append(Finding(level="warning", code="fault", text=text, fix="take the fault out first"))
    return said


def _named(route: HttpRoute, place: int) -> str:
    return f"http route {clean(route.name, 64)}" if route.name else f"its http route {place + 1}"


def _target_words(target: Target) -> str:
    return clean(f"{target.host}/{target.subset}" if target.subset else target.host, 128)
