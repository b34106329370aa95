"""An HTTPRoute as the switch: the weights of the backendRefs of its rules.

Weights are relative; one that is absent is 1. Source: https://gateway-api.sigs.k8s.io/reference/spec/#backendref
"""

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from backends.deployments.gateway_api.wire import BackendRef, ParentRef, ParentStatus, RouteSpec, RouteStatus, Rule
from backends.deployments.kubernetes.owners import APPLIED, Field, owners
from backends.deployments.kubernetes.routes import Destination, Portion, WeightedRoute, only_one
from backends.deployments.kubernetes.sides import Chosen, Sides
from backends.deployments.unclear import Unclear
from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.custom import CustomKind
from backends.kubernetes.patches import operation
from backends.kubernetes.wire import CustomObject
from backends.models import Finding
from backends.text import clean

GROUP, VERSIONS = "gateway.networking.k8s.io", ("v1", "v1beta1")
_NEEDED = ("Accepted", "ResolvedRefs")
_MIRRORS = "RequestMirror"
T = TypeVar("T")


class RuleMatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule by what it matches, where rules have no names.

    host: one of the hostnames of the route; by default any.
    path: the value of one of the rule's path matches.
    """

    host: str = ""
    path: str = "/"

    @property
    def words(self) -> str:
        """`rule that matches api.example.com/v1`."""
        return f"rule that matches {clean(self.host + self.path, 128)}"


class HttpRoute(WeightedRoute):
    """The `ControlObject` of one HTTPRoute."""

    kind = "httproute"
    chooses = "services"

    def __init__(
        self,
        api: KubernetesApi,
        name: str,
        colors: tuple[str, ...],
        services: dict[str, str],
        *,
        rules: tuple[str, ...],
        matches: tuple[RuleMatch, ...],
    ) -> None:
        custom = CustomKind(api, GROUP, VERSIONS, "HTTPRoute", "httproutes", "the Gateway API")
        super().__init__(api, custom, name, colors, services)
        self._rules = rules
        self._matches = matches

    @property
    def rights(self) -> tuple[tuple[str, str, str], ...]:
        """Of the route, the Services and the pods."""
        return (
            ("get", GROUP, "httproutes"),
            ("patch", GROUP, "httproutes"),
            ("get", "", "services"),
            ("list", "", "pods"),
        )

    def portions(self, found: CustomObject) -> list[Portion]:
        """The rules of the config, by name or by match; without either the one that names a color. Raises Unclear."""
        spec = read(found.spec, RouteSpec)
        return [self._portion(found, place, (spec.rules or [])[place]) for place in self._places(spec)]

    def also(self, portion: Portion, color: str, weight: int) -> dict[str, Any]:
        """The same port and kind at the other Service."""
        like = next(raw for raw, each in zip(portion.raw, portion.destinations, strict=True) if each.color)
        namespace, _, name = self._services[color].rpartition("/")
        kept = {key: value for key, value in like.items() if key in ("group", "kind", "port")}
        return {**kept, "name": name, **({"namespace": namespace} if namespace else {}), "weight": weight}

    def pending(self, found: CustomObject) -> str:
        """Which parent has not accepted this generation, with all its references resolved; empty where all have."""
        spec, status = read(found.spec, RouteSpec), read(found.status or {}, RouteStatus)
        parents = spec.parent_refs or []
        if not parents:
            return "it is attached to no parent: no Gateway takes it"
        own = status.parents or []
        return next(filter(None, (_refusal(found, parent, own) for parent in parents)), "")

    async def findings(self, found: CustomObject, sides: Sides, behind: dict[str, Chosen]) -> list[Finding]:
        """Also: whether it is in force, copies of requests, sticky clients, rules that stay, grants, other owners."""
        said = await super().findings(found, sides, behind)
        spec = read(found.spec, RouteSpec)
        rules, places = spec.rules or [], self._places(spec)
        if pending := self.pending(found):
            fix = f"kubectl describe httproute {self.name}: it has to be in force before it is changed"
            text = f"{self.words} is not in force: {pending}"
            said.append(Finding(level="block", code="route", text=text, fix=fix, overridable=True))
        for place, rule in enumerate(rules):
            words = _named(rule, place)
            if place in places:
                said += [*_copies(rule, words), *_sticky(rule, words)]
            elif any(self._color(found, ref) for ref in rule.backend_refs or ()):
                text = f"{words} of {self.words} sends to these Services too, and is not moved"
                fix = "name it in `rule` as well, if its traffic shall move"
                said.append(Finding(level="warning", code="rules", text=text, fix=fix))
        field = Field(
            what=self.words, called="the weights", whole="the weights", path=("spec", "rules"),
            pointer="jqPathExpressions .spec.rules[].backendRefs[].weight", name=f"httproute {self.name}",
        )  # fmt: skip
        return [*said, *await self._grants(found), *owners(found.metadata, field, _applied(found))]

    def _places(self, spec: RouteSpec) -> list[int]:
        rules = spec.rules or []
        names = [rule.name for rule in rules]
        if self._rules:
            fix = "correct `rule` of the entry: a name in the route, or `match` where its rules have none"
            return [
                only_one(
                    f"rules are called {clean(name, 64)}", [i for i, n in enumerate(names) if n == name], names, fix
                )
                for name in self._rules
            ]
        if self._matches:
            paths = [path for rule in rules for path in rule.paths]
            fix = 'say `rule = "NAME"`, or a `match` that one rule has'
            return [
                only_one(f"rules match {clean(m.host + m.path, 128)}", _matching(spec, m), paths, fix)
                for m in self._matches
            ]
        ours = [
            place
            for place, rule in enumerate(rules)
            if any((ref.name, ref.kind) in self._refs() for ref in rule.backend_refs or ())
        ]
        fix = 'say which: `rule = "NAME"`' if all(names) else 'say which: `match = { path = "…" }`'
        return [only_one("rules send to its Services", ours, names, fix)]

    def _refs(self) -> set[tuple[str, str]]:
        return {(service.rpartition("/")[2], "Service") for service in self._services.values()}

    def _portion(self, found: CustomObject, place: int, rule: Rule) -> Portion:
        at = ("spec", "rules", str(place))
        raw = found.spec["rules"][place]
        found_by = [operation("test", (*at, key), raw[key]) for key in ("name", "matches") if key in raw][:1]
        destinations = [
            Destination(color=self._color(found, ref), words=_ref_words(ref), weight=ref.weight)
            for ref in rule.backend_refs or ()
        ]
        self._refuse(rule, _named(rule, place))
        return Portion(
            name=_named(rule, place), path=(*at, "backendRefs"), raw=raw.get("backendRefs") or [],
            destinations=destinations, found_by=found_by or [operation("test", at, raw)],
        )  # fmt: skip

    def _color(self, found: CustomObject, ref: BackendRef) -> str:
        if (ref.group, ref.kind) != ("", "Service"):
            return ""
        here = found.metadata.namespace
        for color, service in self._services.items():
            namespace, _, name = service.rpartition("/")
            if ref.name == name and (ref.namespace or here) == (namespace or here):
                return color
        return ""

    def _refuse(self, rule: Rule, words: str) -> None:
        """Raises Unclear for a reference by the name of a color that is another thing."""
        for ref in rule.backend_refs or ():
            for color, service in self._services.items():
                namespace, _, name = service.rpartition("/")
                if ref.name != name:
                    continue
                if (ref.group, ref.kind) != ("", "Service"):
                    why = f"{words} sends to the {clean(ref.kind, 64)} {clean(name, 128)}, which is no Service"
                    raise Unclear(why, f"let it send to the Service of {color.upper()}, or correct `services`")
                if ref.namespace and not namespace:
                    where = f"{clean(ref.namespace, 64)}/{clean(name, 128)}"
                    why = f"{words} sends to {where}, in another namespace than the route"
                    raise Unclear(why, f'if that is meant: services.{color} = "{where}", with a ReferenceGrant there')

    async def _grants(self, found: CustomObject) -> list[Finding]:
        """Services of other namespaces that no ReferenceGrant there lets this route send to. Raises BackendError."""
        said = []
        here = found.metadata.namespace or await self._api.namespace()
        for service in self._services.values():
            namespace, _, name = service.rpartition("/")
            if not namespace or namespace == here:
                continue
            if not await self._granted(here, namespace, name):
                text = f"no ReferenceGrant in namespace {namespace} lets {self.words} send to Service {name}"
                fix = f"make one there: from HTTPRoute in {here}, to Service {name}"
                said.append(Finding(level="block", code="grant", text=text, fix=fix, overridable=True))
        return said

    async def _granted(self, here: str, namespace: str, name: str) -> bool:
        grants = CustomKind(self._api, GROUP, ("v1", "v1beta1"), "ReferenceGrant", "referencegrants", "the Gateway API")
        try:
            found = await grants.all(namespace)
        except BackendError as error:
            if error.kind == "not_found":
                return False
            raise
        return any(
            any(one.get("kind") == "HTTPRoute" and one.get("namespace") == here for one in grant.spec.get("from") or ())
            and any(
                one.get("kind") == "Service" and one.get("name") in (None, "", name)
                for one in grant.spec.get("to") or ()
            )
            for grant in found
        )


def read(data: dict[str, Any], shape: type[T]) -> T:
    """Raises BackendError(malformed)."""
    try:
        return msgspec.convert(data, shape)
    except msgspec.ValidationError as error:
        raise BackendError("malformed", f"HTTPRoute: {clean(str(error), 200)}") from None


def _serves(hostnames: list[str], host: str) -> bool:
    """Whether a route with these is of `host`: one without any is of all, and `*.` stands for names before the rest."""
    if not host or not hostnames:
        return True
    return any(host == each or (each.startswith("*.") and host.endswith(each[1:])) for each in hostnames)


def _matching(spec: RouteSpec, wanted: RuleMatch) -> list[int]:
    if not _serves(spec.hostnames or [], wanted.host):
        return []
    return [place for place, rule in enumerate(spec.rules or ()) if wanted.path in rule.paths]


def _refusal(found: CustomObject, parent: ParentRef, told: list[ParentStatus]) -> str:
    """Why `parent` has not put this generation into force; empty where it says that it has."""
    here = found.metadata.namespace
    own = [each for each in told if _same(each.parent_ref, parent, here)]
    why = ""
    for each in own:
        conditions = {one.type: one for one in each.conditions or ()}
        old = [
            t for t in _NEEDED if t not in conditions or conditions[t].observed_generation < found.metadata.generation
        ]
        against = [conditions[t] for t in _NEEDED if t not in old and conditions[t].status != "True"]
        if against:
            one = against[0]
            said = clean(": ".join(filter(None, (one.reason, one.message))), 200)
            return f"{parent.words()} says {one.type} {one.status}: {said}"
        if not old:
            return ""
        why = f"{parent.words()} has not taken generation {found.metadata.generation} over yet"
    return why or f"{parent.words()} says nothing of it"


def _same(one: ParentRef, other: ParentRef, here: str) -> bool:
    def key(ref: ParentRef) -> tuple[Any, ...]:
        return ref.group, ref.kind, ref.namespace or here, ref.name, ref.section_name, ref.port

    return key(one) == key(other)


def _copies(rule: Rule, words: str) -> list[Finding]:
    filters = [*(rule.filters or ()), *(one for ref in rule.backend_refs or () for one in ref.filters or ())]
    copies = [one.get("requestMirror") or {} for one in filters if one.get("type") == _MIRRORS]
    names = [clean(str((one.get("backendRef") or {}).get("name", "?")), 128) for one in copies]
    fix = "see that what gets the copies may answer a request twice, or take the filter out"
    return [
        Finding(level="warning", code="mirror", text=f"{words} copies its requests to {name} ({_MIRRORS})", fix=fix)
        for name in names
    ]


def _sticky(rule: Rule, words: str) -> list[Finding]:
    if not rule.session_persistence:
        return []
    text = f"{words} keeps a client where it was (sessionPersistence): weights hold for new clients only"
    fix = "wait for its sessions to end before the old side is retired"
    return [Finding(level="warning", code="stickiness", text=text, fix=fix)]


def _named(rule: Rule, place: int) -> str:
    return f"rule {clean(rule.name, 64)}" if rule.name else f"rule {clean(', '.join(rule.paths), 128)}"


def _ref_words(ref: BackendRef) -> str:
    kind = "" if (ref.group, ref.kind) == ("", "Service") else f"{ref.kind} "
    return clean(f"{kind}{ref.namespace + '/' if ref.namespace else ''}{ref.name}", 128)


def _applied(found: CustomObject) -> str:
    """As `owners` takes it: client-side `kubectl apply` keeps the weights that it sets."""
    text = found.metadata.annotation(APPLIED)
    return "too\ntake them out of what is applied" if '"weight"' in text else ""
