"""Incidents: alerts that somebody has been called for, and what may be ordered of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol, Self

from msgspec import Struct

from backends.ports.alerts import Alerts

IncidentOrderName = Literal["acknowledge", "resolve", "escalate", "reassign", "snooze", "note"]


class Person(Struct, frozen=True, kw_only=True):
    """Somebody as the system knows them."""

    id: str
    name: str = ""


class Escalation(Struct, frozen=True, kw_only=True):
    """The next level of an incident's escalation policy, and who is on call there."""

    level: int
    people: tuple[Person, ...]


class IncidentNow(Struct, frozen=True, kw_only=True):
    """An incident as it is read now. `status`: triggered, acknowledged, resolved, or the system's own word; of its
    `alerts`, `alerts_firing` are not over. `acked_until`: when the acknowledgement, or a snooze, runs out."""

    id: str
    status: str
    title: str = ""
    number: int = 0
    assigned: tuple[Person, ...] = ()
    acked_by: tuple[Person, ...] = ()
    acked_until: datetime | None = None
    alerts: int = 0
    alerts_firing: int = 0


class IncidentOrder(Struct, frozen=True, kw_only=True):
    """What is ordered of the incident of that id, and how it was when that was agreed to (`status`, ids of `assigned`).
    `by`: the id of who orders. `for_s`: of a snooze; `to`: the id of who gets it; `level`: where it is escalated to;
    `text`: of a note."""

    what: IncidentOrderName
    incident: str
    by: str
    status: str
    assigned: tuple[str, ...]
    for_s: float = 0.0
    to: str = ""
    level: int = 0
    text: str = ""

    @classmethod
    def of(cls, what: IncidentOrderName, incident: IncidentNow, by: Person) -> Self:
        """Of an incident as it is now."""
        assigned = ids_of(incident.assigned)
        return cls(what=what, incident=incident.id, by=by.id, status=incident.status, assigned=assigned)


class IncidentResult(Struct, frozen=True, kw_only=True):
    """An incident after an order; `changed` is false where it was so already."""

    changed: bool
    now: IncidentNow


class Incidents(Alerts, Protocol):
    """A system of alerts that calls people. Each order is sent once, as the user whose credentials are used: where its
    answer was lost, the system is looked at for what it would have made, and only then is it an error."""

    @property
    def links_acks(self) -> bool:
        """Whether an acknowledgement is also one of the alerts that opened the incident, and the other way."""

    async def incident(self, fingerprint: str) -> IncidentNow:
        """The open incident of the alert of that fingerprint. Raises `not_found`."""

    async def orders_as(self) -> Person:
        """In whose name orders are given. Raises `config` where the credentials are nobody's."""

    async def person(self, wanted: str) -> Person:
        """The one whom an id, an email or a whole name means. Raises `not_found`, also where several are meant."""

    async def escalation(self, incident: IncidentNow) -> Escalation:
        """Where it would go next. Raises `conflict` where no level is above those who have it."""

    async def order_incident(self, order: IncidentOrder) -> IncidentResult:
        """Do it, and read back. Raises `conflict` where the incident is no longer as it was agreed to."""


def ids_of(people: Sequence[Person]) -> tuple[str, ...]:
    """Sorted, so that two looks compare."""
    return tuple(sorted(each.id for each in people))
