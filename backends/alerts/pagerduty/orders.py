"""Orders to an incident of PagerDuty: look, send once in somebody's name, look again.

PagerDuty has no compare-and-swap; a look before each write stands in for it.
API: https://developer.pagerduty.com/api-reference/8a0e1aa2ec666-update-an-incident
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct

from backends.alerts.pagerduty.wire import Incident, Reference
from backends.errors import BackendError
from backends.pagerduty.api import PagerDutyApi, path_of
from backends.ports.incidents import Escalation, IncidentNow, IncidentOrder, IncidentResult, Person, ids_of
from backends.settings import Secret, reveal
from backends.text import clean

LONGEST_SNOOZE_S = 604_800.0
CLOCKS_S = 60.0
_FIX_FROM = 'set `from = { env = "PAGERDUTY_EMAIL" }`, or use a key of your own (My Profile, User Settings)'


class _User(Struct):
    id: str
    name: str = ""
    email: str = ""


class One(Struct):
    """The answer that is one incident."""

    incident: Incident


class _OnCall(Struct):
    escalation_level: int
    user: Reference


class _Note(Struct):
    id: str = ""
    content: str = ""
    created_at: datetime | None = None
    user: Reference | None = None


class _Noted(Struct):
    note: _Note


class _Notes(Struct):
    notes: tuple[_Note, ...]


class Orders:
    """Those of one account. `from_`: the email of who orders, where the token is nobody's."""

    def __init__(self, api: PagerDutyApi, from_: str | Secret | None, base_dir: Path) -> None:
        self._api = api
        self._from = from_
        self._base_dir = base_dir
        self._as: tuple[str, Person] | None = None

    async def read(self, incident: str) -> IncidentNow:
        """Raises BackendError(not_found)."""
        return incident_now((await self._api.get(path_of("incidents", incident), One)).incident)

    async def orders_as(self) -> Person:
        """As the port says."""
        return (await self._signed())[1]

    async def person(self, wanted: str) -> Person:
        """As the port says."""
        users, _ = await self._api.pages("/users", "users", _User)
        word = wanted.strip().casefold()
        found = [user for user in users if word in (user.id.casefold(), user.email.casefold(), user.name.casefold())]
        if len(found) != 1:
            several = f"{len(found)} users are" if found else "no user is"
            near = ", ".join(clean(user.name, 60) for user in users if word in user.name.casefold())
            fix = f"near: {clean(near, 200)}" if near else "name one by the email or the whole name"
            raise BackendError("not_found", f"{several} called {clean(wanted, 100)} in PagerDuty", fix=fix)
        return Person(id=found[0].id, name=clean(found[0].name, 200))

    async def escalation(self, incident: IncidentNow) -> Escalation:
        """As the port says, by who is on call on each level now."""
        policy = (await self._api.get(path_of("incidents", incident.id), One)).incident.escalation_policy
        asked = {"escalation_policy_ids[]": [policy.id], "earliest": "true"}
        calls, _ = await self._api.pages("/oncalls", "oncalls", _OnCall, asked)
        assigned = set(ids_of(incident.assigned))
        at = max((call.escalation_level for call in calls if call.user.id in assigned), default=0)
        above = [call for call in calls if call.escalation_level > at]
        if not above:
            words = f"no level of {policy.name} is above those who have it"
            raise BackendError("conflict", words, fix="`teal alert reassign REF --to USER`")
        level = min(call.escalation_level for call in above)
        people = {call.user.id: call.user.name for call in above if call.escalation_level == level}
        return Escalation(level=level, people=tuple(Person(id=id_, name=name) for id_, name in people.items()))

    async def order(self, order: IncidentOrder) -> IncidentResult:
        """As the port says."""
        email, person = await self._signed()
        if person.id != order.by:
            raise BackendError("conflict", f"the token is {person.name}'s, and another's when this was agreed to")
        before = await self.read(order.incident)
        if _is_so(before, order):
            return IncidentResult(changed=False, now=before)
        if (before.status, ids_of(before.assigned)) != (order.status, order.assigned):
            had = ", ".join(each.name for each in before.assigned) or "nobody"
            raise BackendError("conflict", f"incident #{before.number} is {before.status} now, and {had} has it")
        began = datetime.now(UTC)
        try:
            await self._send(order, email)
        except BackendError as error:
            if error.status is not None and error.status < 500:
                raise
            if not await self._was_done(order, before, began):
                raise
        now = await self.read(order.incident)
        if order.what != "note" and not _is_so(now, order, before):
            words = f"{order.what} was ordered, and incident #{now.number} is {now.status} still"
            raise BackendError("failed", words, fix="look at it in PagerDuty")
        return IncidentResult(changed=True, now=now)

    # ---- inside

    async def _signed(self) -> tuple[str, Person]:
        """The email and the user that orders are given as."""
        me = await self._api.me()
        if me is not None:
            return me.email, Person(id=me.id, name=clean(me.name, 200))
        if self._from is None:
            raise BackendError("config", "the token is a general key, which is nobody's: who orders?", fix=_FIX_FROM)
        if self._as is None:
            email = (await reveal(self._from, self._base_dir)).strip()
            try:
                self._as = email, await self.person(email)
            except BackendError as error:
                if error.kind != "not_found":
                    raise
                raise BackendError("config", "from: no user of PagerDuty has that email", fix=_FIX_FROM) from None
        return self._as

    async def _send(self, order: IncidentOrder, email: str) -> None:
        path = path_of("incidents", order.incident)
        if order.what == "note":
            await self._api.write("POST", f"{path}/notes", {"note": {"content": order.text}}, _Noted, by=email)
        elif order.what == "snooze":
            await self._api.write("POST", f"{path}/snooze", {"duration": round(order.for_s)}, One, by=email)
        else:
            body = {"incident": {"type": "incident_reference", **_CHANGES[order.what](order)}}
            await self._api.write("PUT", path, body, One, by=email)

    async def _was_done(self, order: IncidentOrder, before: IncidentNow, began: datetime) -> bool:
        if order.what != "note":
            return _is_so(await self.read(order.incident), order, before)
        notes = (await self._api.get(f"{path_of('incidents', order.incident)}/notes", _Notes)).notes
        since = began - timedelta(seconds=CLOCKS_S)
        return any(
            note.content == order.text and note.created_at is not None and note.created_at >= since
            for note in notes if note.user is None or note.user.id == order.by
        )  # fmt: skip


_CHANGES: dict[str, Any] = {
    "acknowledge": lambda order: {"status": "acknowledged"},
    "resolve": lambda order: {"status": "resolved"},
    "escalate": lambda order: {"escalation_level": order.level},
    "reassign": lambda order: {"assignments": [{"assignee": {"id": order.to, "type": "user_reference"}}]},
}


def _is_so(now: IncidentNow, order: IncidentOrder, before: IncidentNow | None = None) -> bool:
    """Whether the incident is as ordered; with `before`, whether it became so."""
    if order.what == "acknowledge":
        return now.status == "acknowledged" and order.by in ids_of(now.acked_by)
    if order.what == "resolve":
        return now.status == "resolved"
    if order.what == "reassign":
        return ids_of(now.assigned) == (order.to,)
    if order.what == "snooze":
        until = datetime.now(UTC) + timedelta(seconds=order.for_s - CLOCKS_S)
        return now.status == "acknowledged" and now.acked_until is not None and now.acked_until >= until
    return order.what == "escalate" and before is not None and ids_of(now.assigned) != ids_of(before.assigned)


def incident_now(incident: Incident) -> IncidentNow:
    """As the port has it."""
    return IncidentNow(
        id=incident.id,
        status=clean(incident.status, 40),
        title=clean(incident.title or incident.summary, 300),
        number=incident.incident_number,
        assigned=_people(each.assignee for each in incident.assignments),
        acked_by=_people(each.acknowledger for each in incident.acknowledgements),
        acked_until=incident.ack_until,
        alerts=incident.alert_counts.all,
        alerts_firing=incident.alert_counts.triggered,
    )


def _people(found: Iterable[Reference]) -> tuple[Person, ...]:
    return tuple(Person(id=each.id, name=each.name) for each in {each.id: each for each in found}.values())
