"""What is read of an HTTPRoute. Source: https://gateway-api.sigs.k8s.io/reference/spec/"""

from typing import Any

from msgspec import Struct

from backends.kubernetes.wire import Condition


class PathMatch(Struct):
    """Of a match; by default all paths."""

    type: str = "PathPrefix"
    value: str = "/"


class Match(Struct):
    """One of those that send a request to a rule."""

    path: PathMatch | None = None


class BackendRef(Struct):
    """Where a rule sends to."""

    name: str
    group: str = ""
    kind: str = "Service"
    namespace: str = ""
    weight: int = 1
    filters: list[dict[str, Any]] | None = None


class Rule(Struct, rename="camel"):
    """One of a route."""

    name: str = ""
    matches: list[Match] | None = None
    filters: list[dict[str, Any]] | None = None
    backend_refs: list[BackendRef] | None = None
    session_persistence: dict[str, Any] | None = None

    @property
    def paths(self) -> list[str]:
        """Those that it matches."""
        return [(match.path or PathMatch()).value for match in self.matches or [Match()]]


class ParentRef(Struct, rename="camel"):
    """What a route is attached to."""

    name: str
    namespace: str = ""
    kind: str = "Gateway"
    group: str = "gateway.networking.k8s.io"
    section_name: str = ""
    port: int | None = None

    def words(self) -> str:
        """`Gateway edge/http`."""
        section = f"/{self.section_name}" if self.section_name else f":{self.port}" if self.port else ""
        return f"{self.kind} {self.name}{section}"


class RouteSpec(Struct, rename="camel"):
    """Of an HTTPRoute."""

    hostnames: list[str] | None = None
    parent_refs: list[ParentRef] | None = None
    rules: list[Rule] | None = None


class ParentStatus(Struct, rename="camel"):
    """What the controller of one parent says."""

    parent_ref: ParentRef
    controller_name: str = ""
    conditions: list[Condition] | None = None


class RouteStatus(Struct):
    """Of an HTTPRoute."""

    parents: list[ParentStatus] | None = None
