"""PagerDuty's REST API in this process. No PagerDuty can be had: so each request that comes and each answer that goes
is held against PagerDuty's own description, where it is there (`complaints` has to stay empty).

Traps that are real: without `date_range=all` a listing shows a month, a page says `more`, a general key is nobody's
(`/users/me` is a 400), an order wants the email of a user in `From`, a key that only reads may not order.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.backends.faulty_server import FaultyServer, Received
from tests.backends.pagerduty_openapi import description

TOKEN = "y_NbAkKc66ryYTWUXYEu"
ME = {
    "id": "PXPGF42", "type": "user", "summary": "Alice Greenholt", "name": "Alice Greenholt",
    "email": "alice@example.com", "time_zone": "Europe/Berlin", "html_url": "https://acme.pagerduty.com/users/PXPGF42",
}  # fmt: skip
Handler = Callable[..., tuple[int, Any]]


def refused(code: int, message: str, *errors: str) -> dict[str, Any]:
    """An error as PagerDuty tells one."""
    return {"error": {"code": code, "message": message, "errors": list(errors)}}


def reference(kind: str, key: str, summary: str) -> dict[str, Any]:
    """Another record, as an answer names it."""
    page = f"https://acme.pagerduty.com/{kind}s/{key}"
    return {"id": key, "type": f"{kind}_reference", "summary": summary, "html_url": page}


@dataclass
class FakePagerDuty(FaultyServer):
    """`is_general`: the key is nobody's. `reads_only`: it may not order. `lose` carries out the next order and loses
    its answer; `limited`: the next requests are one too many."""

    is_general: bool = False
    reads_only: bool = False
    lose: bool = False
    limited: int = 0
    remaining: int = 959
    users: list[dict[str, Any]] = field(default_factory=lambda: [ME])
    complaints: list[str] = field(default_factory=list)

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
        ]

    async def respond(self, writer: Any, request: Received) -> None:
        """As PagerDuty, or what it was told to."""
        headers = {"ratelimit-limit": "960", "ratelimit-remaining": str(self.remaining), "ratelimit-reset": "23"}
        status, answer = self._answer(request)
        body = b"" if answer is None else json.dumps(answer).encode()
        if known := description():
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


def page_of(query: dict[str, list[str]], key: str, records: list[Any]) -> tuple[int, Any]:
    """One page of `records`, as `limit` and `offset` ask for it."""
    limit, offset = (int(query.get(name, [usual])[0]) for name, usual in (("limit", "25"), ("offset", "0")))
    if limit > 100 or limit + offset > 10_000:
        return 400, refused(2001, "Invalid Input Provided", "Offset must be less than 10000")
    shown = records[offset : offset + limit]
    return 200, {key: shown, "limit": limit, "offset": offset, "more": offset + limit < len(records), "total": None}
