"""What is read of a VirtualService and a DestinationRule. Source: https://istio.io/latest/docs/reference/config/networking/"""

from typing import Any

from msgspec import Struct


class Target(Struct):
    """A host, by name as its clients call it, and one of its subsets."""

    host: str
    subset: str = ""


class WeightedTarget(Struct):
    """One of those among which a route divides its requests."""

    destination: Target
    weight: int | None = None


class Mirror(Struct):
    """Where copies go."""

    destination: Target


class HttpRoute(Struct):
    """One of a VirtualService."""

    name: str = ""
    route: list[WeightedTarget] | None = None
    mirror: Target | None = None
    mirrors: list[Mirror] | None = None
    fault: dict[str, Any] | None = None
    redirect: dict[str, Any] | None = None
    delegate: dict[str, Any] | None = None


class PlainRoute(Struct):
    """Of TCP or TLS."""

    route: list[WeightedTarget] | None = None


class VirtualServiceSpec(Struct):
    """What the requests to some hosts go through."""

    http: list[HttpRoute] | None = None
    tcp: list[PlainRoute] | None = None
    tls: list[PlainRoute] | None = None


class Subset(Struct):
    """Some of the pods of a host."""

    name: str
    labels: dict[str, str] | None = None


class DestinationRuleSpec(Struct):
    """What is known of a host."""

    host: str
    subsets: list[Subset] | None = None
