"""What a controller says of a service whose traffic it moves itself: how far it is, and which orders it takes now."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

ControllerPhase = Literal["healthy", "progressing", "paused", "degraded", "rolling_back", "unknown"]

OrderName = Literal["release", "promote", "abort", "retry", "pause", "resume", "restart", "rollback", "retire"]
"""What may be ordered of a controller; each of them offers those that it has."""

CONTROLLER_SIDES = ("stable", "candidate")
"""The colors of a service that has a controller."""


class Revision(Struct, frozen=True, kw_only=True):
    """A revision as the system calls it, and the version that it runs; null where that is not known."""

    id: str
    version: str | None = None

    @property
    def words(self) -> str:
        """What people call it."""
        return self.version or self.id


class OrderOffer(Struct, frozen=True, kw_only=True):
    """Whether the controller takes an order now; `why` not, and what the system has instead. `forms`: explicit forms of
    it that are taken now, and skip what the system would judge (`full`, `skip-step`)."""

    order: OrderName
    allowed: bool
    why: str = ""
    forms: tuple[str, ...] = ()

    def refuses(self, form: str) -> str:
        """Why it is not taken in that form, empty for the plain one; empty where it is."""
        if not form:
            return self.why
        return "" if form in self.forms else self.why or f"there is nothing to skip by `--{form}`"


class ControllerView(Struct, frozen=True, kw_only=True):
    """`Deployment.controller` in JSON. `step` of `steps_total` is the stage `stage`, 1 the first; null where the system
    has no order of them. `message`: what it does now and what it does next by itself, in one line. `paused_until`: when
    a pause ends by itself, and `then` what the system does at that time (`promotes itself`, `rolls back`)."""

    type: str
    phase: ControllerPhase
    message: str = ""
    stage: str = ""
    step: int | None = None
    steps_total: int | None = None
    stable: Revision | None = None
    candidate: Revision | None = None
    paused_since: datetime | None = None
    paused_until: datetime | None = None
    then: str = ""
    orders: tuple[OrderOffer, ...] = ()

    def offer(self, order: OrderName) -> OrderOffer:
        """That of an order; one that the system does not have is not allowed."""
        found = (offer for offer in self.orders if offer.order == order)
        return next(found, OrderOffer(order=order, allowed=False, why=f"{self.type} has no {order}"))
