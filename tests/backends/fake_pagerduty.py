"""PagerDuty's REST API in this process. No PagerDuty can be had: so each request that comes and each answer that goes
is held against PagerDuty's own description, where it is there (`complaints` has to stay empty).

Traps that are real: without `date_range=all` a listing shows a month, a page says `more`, a general key is nobody's
(`/users/me` is a 400), an order wants the email of a user in `From`, a key that only reads may not order.
"""

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.backends.faulty_server import FaultyServer, Received
from tests.backends.pagerduty_openapi import description

TOKEN = "y_NbAkKc66ryYTWUXYEu"
ME = {
    "id": "PXPGF42", "type": "user", "summary": "Alice Greenholt", "name": "Alice Greenholt",
    "email": "alice@example.com", "time_zone": "Europe/Berlin", "html_url": "https://acme.pagerduty.com/users/PXPGF42",
}  # fmt: skip
BOB = {**ME, "id": "PBOB", "summary": "Bob Dee", "name": "Bob Dee", "email": "bob@example.com"}
Handler = Callable[..., tuple[int, Any]]


def refused(code: int, message: str, *errors: str) -> dict[str, Any]:
    """An error as PagerDuty tells one."""
    return {"error": {"code": code, "message": message, "errors": list(errors)}}


def reference(kind: str, key: str, summary: str) -> dict[str, Any]:
    """Another record, as an answer names it."""
    page = f"https://acme.pagerduty.com/{kind}s/{key}"
    return {"id": key, "type": f"{kind}_reference", "summary": summary, "html_url": page}


def stamp(at: datetime) -> str:
    """As PagerDuty writes times, with fractions, so that what happens in one second is told apart."""
    return at.isoformat().replace("+00:00", "Z")


@dataclass
class FakeAlert:
    """An alert of an incident."""

    id: str
    key: str
    details: dict[str, Any]
    created: datetime
    severity: str = "critical"
    status: str = "triggered"
    links: tuple[str, ...] = ()


@dataclass
class FakeIncident:
    """An incident; `acked_by` and what follows are those of its state."""

    id: str
    number: int
    title: str
    created: datetime
    service: tuple[str, str] = ("PIJ90N7", "Analytics")
    urgency: str = "high"
    status: str = "triggered"
    updated: datetime = field(default_factory=lambda: datetime.now(UTC))
    level: int = 1
    assigned: list[str] = field(default_factory=lambda: ["PXPGF42"])
    acked_by: str = ""
    acked_at: datetime | None = None
    ack_until: datetime | None = None
    alerts: list[FakeAlert] = field(default_factory=list)


@dataclass
class FakePagerDuty(FaultyServer):
    """`is_general`: the key is nobody's. `reads_only`: it may not order. `lose` carries out the next order and loses
    its answer, `ignores` answers it and does nothing; `limited`: the next requests are one too many."""

    is_general: bool = False
    reads_only: bool = False
    lose: bool = False
    ignores: bool = False
    limited: int = 0
    remaining: int = 959
    users: list[dict[str, Any]] = field(default_factory=lambda: [ME, BOB])
    levels: list[list[str]] = field(default_factory=lambda: [["PXPGF42"], ["PBOB"]])
    notes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    incidents: list[FakeIncident] = field(default_factory=list)
    services: dict[str, tuple[str, str]] = field(default_factory=lambda: {"PIJ90N7": ("Analytics", "PQ9K7I8")})
    _numbers: Any = field(default_factory=lambda: itertools.count(1234))
    complaints: list[str] = field(default_factory=list)

    # ---- the world

    def trigger(
        self,
        key: str,
        details: dict[str, Any],
        *,
        title: str = "The server is on fire.",
        ago: timedelta = timedelta(),
        severity: str = "critical",
        **more: Any,
    ) -> FakeIncident:
        """An event: of an alert that is not over it is another payload, else it opens an incident."""
        now = datetime.now(UTC)
        for incident in self.incidents:
            for alert in incident.alerts:
                if alert.key == key and alert.status == "triggered" and incident.status != "resolved":
                    alert.details, alert.severity, incident.title, incident.updated = details, severity, title, now
                    return incident
        number = next(self._numbers)
        links = more.pop("links", ())
        alert = FakeAlert(f"Q{number}ALERT", key, details, now - ago, severity, links=links)
        incident = FakeIncident(f"Q{number}INC", number, title, now - ago, alerts=[alert], **more)
        self.incidents.append(incident)
        return incident

    def ends(self, key: str) -> None:
        """The alert of that key is over; an incident all of whose alerts are is resolved."""
        for incident in self.incidents:
            for alert in incident.alerts:
                if alert.key == key:
                    alert.status, incident.updated = "resolved", datetime.now(UTC)
            if incident.alerts and all(alert.status == "resolved" for alert in incident.alerts):
                incident.status = "resolved"

    # ---- the server

    @property
    def orders(self) -> list[tuple[str, str, str, Any]]:
        """What was asked to change, in order: method, path, who, and what."""
        return [
            (each.method, urlsplit(each.target).path, each.headers.get("from", ""), json.loads(each.body or b"null"))
            for each in self.requests
            if each.method != "GET"
        ]

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Method, pattern of a path, and who answers `(query, body, *groups)`."""
        return [
            ("GET", "/users/me", self._me),
            ("GET", "/users", lambda query, body: page_of(query, "users", self.users)),
            ("GET", "/services", self._services),
            ("GET", "/incidents", self._list),
            ("GET", r"/incidents/(\w+)", self._incident),
            ("GET", r"/incidents/(\w+)/alerts", self._alerts),
            ("PUT", r"/incidents/(\w+)", self._change),
            ("POST", r"/incidents/(\w+)/snooze", self._snooze),
            ("POST", r"/incidents/(\w+)/notes", self._note),
            ("GET", r"/incidents/(\w+)/notes", self._notes),
            ("GET", "/oncalls", self._on_calls),
            ("GET", "/log_entries", self._log_entries),
        ]

    async def respond(self, writer: Any, request: Received) -> None:
        """As PagerDuty, or what it was told to."""
        headers = {"ratelimit-limit": "960", "ratelimit-remaining": str(self.remaining), "ratelimit-reset": "23"}
        status, answer = self._answer(request)
        body = b"" if answer is None else json.dumps(answer).encode()
        if (known := description()) and urlsplit(request.target).path == "/log_entries" and status == 200:
            # No acknowledge_log_entry fits what is described of the answer as a whole: its kind is misspelt there.
            self.complaints += [each for one in answer["log_entries"] for each in known.misfits("LogEntry", one)]
            asked = known.complaints("GET", request.target, b"", 404, b"", headers=request.headers)
            self.complaints += asked
        elif known:
            self.complaints += known.complaints(
                request.method, request.target, request.body, status, body, headers=request.headers
            )
        if self.lose and request.method != "GET":
            self.lose = False
            writer.close()
            return
        await self.send(writer, status, body, {**headers, **self.extra_headers})

    def _answer(self, request: Received) -> tuple[int, Any]:
        if request.headers.get("authorization") != f"Token token={TOKEN}":
            return 401, refused(2006, "Unauthorized")
        if self.limited:
            self.limited -= 1
            return 429, refused(2020, "Rate Limit Exceeded")
        if request.method != "GET":
            if self.reads_only:
                return 403, refused(2010, "Access Denied")
            if request.headers.get("from") not in {user["email"] for user in self.users}:
                return 400, refused(2001, "Invalid Input Provided", "Requester User Not Found")
        parts = urlsplit(request.target)
        body = json.loads(request.body) if request.body else None
        for method, pattern, handler in self.routes():
            if method == request.method and (match := re.fullmatch(pattern, parts.path)):
                return handler(parse_qs(parts.query), body, *match.groups())
        return 404, refused(2100, "Not Found")

    def _me(self, query: Any, body: Any) -> tuple[int, Any]:
        if self.is_general:
            return 400, refused(2001, "Invalid Input Provided", "Current user is only available for user tokens")
        return 200, {"user": self.users[0]}

    def _services(self, query: Any, body: Any) -> tuple[int, Any]:
        found = [
            {**reference("service", id_, name), "type": "service", "name": name,
             "escalation_policy": reference("escalation_policy", "PT20YPA", "Data on call"),
             "teams": [reference("team", team, "Data platform" if team == "PQ9K7I8" else team)]}
            for id_, (name, team) in self.services.items()
        ]  # fmt: skip
        return page_of(query, "services", found)

    def _list(self, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        since = datetime.now(UTC) - timedelta(days=30)
        found = [
            incident for incident in self.incidents
            if incident.status in query.get("statuses[]", [incident.status])
            and incident.service[0] in query.get("service_ids[]", [incident.service[0]])
            and self.services.get(incident.service[0], ("", ""))[1] in query.get("team_ids[]", ["PQ9K7I8", ""])
            and (query.get("date_range") == ["all"] or incident.created > since)
        ]  # fmt: skip
        newest = sorted(
            found, key=lambda incident: incident.created, reverse=query.get("sort_by") == ["created_at:desc"]
        )
        return page_of(query, "incidents", [self.wire(incident) for incident in newest])

    def found(self, key: str) -> FakeIncident | None:
        """The incident of that id."""
        return next((incident for incident in self.incidents if incident.id == key), None)

    def _incident(self, query: Any, body: Any, key: str) -> tuple[int, Any]:
        incident = self.found(key)
        return (200, {"incident": self.wire(incident)}) if incident else (404, refused(2100, "Not Found"))

    def _alerts(self, query: Any, body: Any, key: str) -> tuple[int, Any]:
        incident = self.found(key)
        if incident is None:
            return 404, refused(2100, "Not Found")
        found = [
            {
                "id": alert.id, "type": "alert", "summary": incident.title, "created_at": stamp(alert.created),
                "status": alert.status, "alert_key": alert.key, "severity": alert.severity, "suppressed": False,
                "service": reference("service", *incident.service), "html_url": f"https://acme.pagerduty.com/alerts/{alert.id}",
                "incident": {"id": incident.id, "type": "incident_reference"},
                "body": {
                    "type": "alert_body", "details": alert.details,
                    "contexts": [{"type": "link", "href": url, "text": "more"} for url in alert.links],
                },
            }
            for alert in incident.alerts
        ]  # fmt: skip
        return page_of(query, "alerts", found)

    def _by(self) -> str:
        """Whose order the last request is."""
        email = self.requests[-1].headers["from"]
        return next(str(user["id"]) for user in self.users if user["email"] == email)

    def _change(self, query: Any, body: Any, key: str) -> tuple[int, Any]:
        incident, wanted = self.found(key), body["incident"]
        if incident is None:
            return 404, refused(2100, "Not Found")
        if incident.status == "resolved":
            return 400, refused(2001, "Invalid Input Provided", "Incident Already Resolved")
        if self.ignores:
            return 200, {"incident": self.wire(incident)}
        incident.updated = datetime.now(UTC)
        if wanted.get("status") == "acknowledged":
            self._acknowledge(incident, timedelta(minutes=30))
        elif wanted.get("status") == "resolved":
            incident.status = "resolved"
        if "escalation_level" in wanted:
            incident.status, incident.acked_by, incident.ack_until = "triggered", "", None
            incident.assigned = self.levels[wanted["escalation_level"] - 1]
        if "assignments" in wanted:
            incident.assigned = [each["assignee"]["id"] for each in wanted["assignments"]]
        return 200, {"incident": self.wire(incident)}

    def _acknowledge(self, incident: FakeIncident, lasts: timedelta) -> None:
        incident.status, incident.acked_by, incident.acked_at = "acknowledged", self._by(), datetime.now(UTC)
        incident.ack_until = incident.acked_at + lasts

    def _snooze(self, query: Any, body: Any, key: str) -> tuple[int, Any]:
        incident = self.found(key)
        if incident is None:
            return 404, refused(2100, "Not Found")
        self._acknowledge(incident, timedelta(seconds=body["duration"]))
        return 201, {"incident": self.wire(incident)}

    def _note(self, query: Any, body: Any, key: str) -> tuple[int, Any]:
        names = {user["id"]: user["summary"] for user in self.users}
        note = {
            "id": f"N{len(self.notes)}", "content": body["note"]["content"], "created_at": stamp(datetime.now(UTC)),
            "user": reference("user", self._by(), names[self._by()]), "channel": {"summary": "The REST API"},
        }  # fmt: skip
        self.notes.append((key, note))
        return 200, {"note": note}

    def _notes(self, query: Any, body: Any, key: str) -> tuple[int, Any]:
        return 200, {"notes": [note for of, note in self.notes if of == key]}

    def log(self, incident: FakeIncident, word: str, at: datetime, summary: str, **more: Any) -> None:
        """Something that happened to an incident."""
        page = f"https://acme.pagerduty.com/incidents/{incident.id}/log_entries/R{len(self.entries)}"
        entry = {
            "id": f"R{len(self.entries)}", "type": f"{word}_log_entry", "summary": summary, "created_at": stamp(at),
            "incident": reference("incident", incident.id, f"[#{incident.number}] {incident.title}"),
            "service": reference("service", *incident.service), "html_url": page, **more,
        }  # fmt: skip
        self.entries.append(entry)

    def _log_entries(self, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        since, until = (datetime.fromisoformat(query[name][0]) for name in ("since", "until"))
        found = [entry for entry in self.entries if since <= datetime.fromisoformat(entry["created_at"]) < until]
        return page_of(query, "log_entries", found[::-1])

    def _on_calls(self, query: Any, body: Any) -> tuple[int, Any]:
        names = {user["id"]: user["summary"] for user in self.users}
        found = [
            {"escalation_policy": reference("escalation_policy", "PT20YPA", "Data on call"),
             "escalation_level": level, "user": reference("user", user, names[user])}
            for level, users in enumerate(self.levels, 1) for user in users
        ]  # fmt: skip
        return page_of(query, "oncalls", found)

    def wire(self, incident: FakeIncident) -> dict[str, Any]:
        """As an answer has it."""
        names = {user["id"]: user["summary"] for user in self.users}
        counts = {
            status: sum(alert.status == status for alert in incident.alerts) for status in ("triggered", "resolved")
        }
        page = f"https://acme.pagerduty.com/incidents/{incident.id}"
        shown = {
            "id": incident.id, "type": "incident", "summary": f"[#{incident.number}] {incident.title}",
            "self": f"https://api.pagerduty.com/incidents/{incident.id}", "html_url": page,
            "incident_number": incident.number, "title": incident.title, "status": incident.status,
            "created_at": stamp(incident.created), "updated_at": stamp(incident.updated),
            "urgency": incident.urgency, "incident_key": f"key-of-{incident.id}",
            "service": reference("service", *incident.service),
            "escalation_policy": reference("escalation_policy", "PT20YPA", "Data on call"),
            "alert_counts": {"all": len(incident.alerts), **counts},
            "assignments": [
                {"at": stamp(incident.created), "assignee": reference("user", user, names[user])}
                for user in incident.assigned
            ],
            "acknowledgements": [], "pending_actions": [],
        }  # fmt: skip
        if incident.status == "acknowledged":
            assert incident.acked_at
            who = reference("user", incident.acked_by, names[incident.acked_by])
            shown["acknowledgements"] = [{"at": stamp(incident.acked_at), "acknowledger": who}]
        if incident.ack_until:
            shown["pending_actions"] = [{"type": "unacknowledge", "at": stamp(incident.ack_until)}]
        return shown


def page_of(query: dict[str, list[str]], key: str, records: list[Any]) -> tuple[int, Any]:
    """One page of `records`, as `limit` and `offset` ask for it."""
    limit, offset = (int(query.get(name, [usual])[0]) for name, usual in (("limit", "25"), ("offset", "0")))
    if limit > 100 or limit + offset > 10_000:
        return 400, refused(2001, "Invalid Input Provided", "Offset must be less than 10000")
    shown = records[offset : offset + limit]
    return 200, {key: shown, "limit": limit, "offset": offset, "more": offset + limit < len(records), "total": None}
