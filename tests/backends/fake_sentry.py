"""Sentry's API in this process. No Sentry can be had: so each request that comes and each answer that goes is held
against Sentry's own description, where it is there (`complaints` has to stay empty).

Traps that are real: for a release that it does not know it finds no issues; `count` is a text; a page names a next one
always, and says in `results` whether there is anything; a project that the token does not see is a 404.
"""

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.backends.faulty_server import FaultyServer, Received
from tests.backends.sentry_openapi import description

TOKEN = "sntrys_8c1f0aa6b7"
ORGANIZATION = "acme"
Handler = Callable[..., tuple[int, Any]]


@dataclass
class FakeIssue:
    """An issue; `release` is the one that brought it."""

    id: str
    project: str
    title: str
    release: str = ""
    status: str = "unresolved"
    substatus: str | None = "ongoing"
    level: str = "error"
    count: int = 1
    users: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)
    culprit: str = ""
    environment: str = "production"
    assigned: dict[str, str] | None = None
    details: dict[str, Any] = field(default_factory=dict)
    first_seen: datetime = field(default_factory=lambda: datetime.now(UTC))
    last_seen: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def short_id(self) -> str:
        """As Sentry shows it."""
        return f"{self.project.upper()}-{self.id}"


@dataclass
class FakeSentry(FaultyServer):
    """`scopes`: what the token may. `page`: how many issues are on one, at most."""

    scopes: set[str] = field(default_factory=lambda: {"event:read", "project:read"})
    projects: dict[str, int] = field(default_factory=lambda: {"shop": 4505278496})
    releases: dict[str, set[str]] = field(default_factory=dict)
    issues: list[FakeIssue] = field(default_factory=list)
    page: int = 100
    token: str = TOKEN
    deploys: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def raises(self, title: str, **more: Any) -> FakeIssue:
        """An error of the first project, unless said."""
        issue = FakeIssue(str(next(self._numbers)), more.pop("project", "shop"), title, **more)
        self.issues.append(issue)
        return issue

    def routes(self) -> list[tuple[str, str, str, Handler]]:
        """Method, pattern of a path below the API, the scope that it takes, and who answers."""
        organization = f"/organizations/{ORGANIZATION}"
        return [
            ("GET", f"{organization}/issues/", "event:read", self._list),
            ("GET", f"{organization}/releases/([^/]+)/", "project:read", self._release),
            ("POST", f"{organization}/releases/", "project:releases", self._make),
            ("POST", f"{organization}/releases/([^/]+)/deploys/", "project:releases", self._deploy),
            ("GET", f"/projects/{ORGANIZATION}/([^/]+)/", "project:read", self._project),
        ]

    async def respond(self, writer: Any, request: Received) -> None:
        """As Sentry, or what it was told to."""
        status, answer = self._answer(request)
        headers = {}
        if isinstance(answer, _Page):
            headers["link"] = answer.link(self.url + urlsplit(request.target).path)
            answer = answer.records
        body = b"" if answer is None else json.dumps(answer).encode()
        if known := description():
            self.complaints += known.complaints(request.method, request.target, request.body, status, body)
        await self.send(writer, status, body, {**headers, **self.extra_headers})

    def _answer(self, request: Received) -> tuple[int, Any]:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return 401, {"detail": "Invalid token"}
        parts = urlsplit(request.target)
        body = json.loads(request.body) if request.body else None
        for method, pattern, scope, handler in self.routes():
            if method == request.method and (match := re.fullmatch("/api/0" + pattern, parts.path)):
                if scope not in self.scopes:
                    return 403, {"detail": "You do not have permission to perform this action."}
                return handler(parse_qs(parts.query), body, *map(unquote, match.groups()))
        return 404, {"detail": "The requested resource does not exist"}

    def _project(self, query: Any, body: Any, slug: str) -> tuple[int, Any]:
        if slug not in self.projects:
            return 404, {"detail": "The requested resource does not exist"}
        if known := description():
            path = "/api/0/projects/{organization_id_or_slug}/{project_id_or_slug}/"
            whole = known.answer_of("GET", path, 200)
        else:
            whole = {}
        return 200, {**whole, "id": str(self.projects[slug]), "slug": slug, "name": slug.title()}

    def _release(self, query: Any, body: Any, version: str) -> tuple[int, Any]:
        if version not in self.releases:
            return 404, {"detail": "The requested resource does not exist"}
        return 200, release_of(version, {slug: self.projects[slug] for slug in self.releases[version]})

    def _make(self, query: Any, body: Any) -> tuple[int, Any]:
        if strange := set(body["projects"]) - set(self.projects):
            return 400, {"projects": [f"Invalid project slugs: {strange}"]}
        known = body["version"] in self.releases
        self.releases.setdefault(body["version"], set()).update(body["projects"])
        ids = {slug: self.projects[slug] for slug in self.releases[body["version"]]}
        return (208, None) if known else (201, release_of(body["version"], ids))

    def _deploy(self, query: Any, body: Any, version: str) -> tuple[int, Any]:
        if version not in self.releases:
            return 404, {"detail": "The requested resource does not exist"}
        self.deploys.append((version, body))
        told = {name: body.get(name) for name in ("environment", "name", "dateFinished")}
        return 201, {"id": str(len(self.deploys)), "url": None, "dateStarted": None, **told}

    def found(self, query: dict[str, list[str]]) -> list[FakeIssue]:
        """What a query finds: only the words that are asked here are understood."""
        (words,) = query.get("query", ["is:unresolved"])
        left = words.split()
        assert {"is:unresolved", "issue.category:error"} <= set(left), words
        first = [_unquoted(each.removeprefix("firstRelease:")) for each in left if each.startswith("firstRelease:")]
        since = datetime.now(UTC) - timedelta(minutes=int(query["statsPeriod"][0].removesuffix("m")))
        return sorted((
            issue for issue in self.issues
            if issue.status == "unresolved"
            and str(self.projects[issue.project]) in query["project"]
            and issue.environment in query.get("environment", [issue.environment])
            and issue.last_seen > since
            and (not first or (first == [issue.release] and issue.release in self.releases))
        ), key=lambda issue: issue.last_seen, reverse=True)  # fmt: skip

    def _list(self, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        found = self.found(query)
        (start,) = (int(each.split(":")[1]) for each in query.get("cursor", ["0:0:0"]))
        size = min(self.page, int(query.get("limit", ["100"])[0]))
        shown = [self.wire(issue) for issue in found[start : start + size]]
        return 200, _Page(shown, start + size, start + size < len(found))

    def wire(self, issue: FakeIssue) -> dict[str, Any]:
        """As a list has it."""
        page = f"https://acme.sentry.io/issues/{issue.id}/"
        id_ = str(self.projects[issue.project])
        return {
            "id": issue.id, "shortId": issue.short_id, "title": issue.title, "culprit": issue.culprit,
            "permalink": page, "level": issue.level, "status": issue.status, "substatus": issue.substatus,
            "statusDetails": issue.details, "metadata": issue.metadata, "assignedTo": issue.assigned,
            "project": {"id": id_, "name": issue.project.title(), "slug": issue.project, "platform": "python"},
            "count": str(issue.count), "userCount": issue.users,
            "firstSeen": stamp(issue.first_seen), "lastSeen": stamp(issue.last_seen),
            "shareId": None, "logger": None, "isPublic": False, "platform": "python", "priority": "high",
            "priorityLockedAt": None, "seerFixabilityScore": None, "seerAutofixLastTriggered": None,
            "seerExplorerAutofixLastTriggered": None, "type": "error", "issueType": "error",
            "issueCategory": "error", "numComments": 0, "isBookmarked": False, "isSubscribed": False,
            "subscriptionDetails": None, "hasSeen": False, "annotations": [], "isUnhandled": True,
            "derivedData": {
                "blocker": "none", "progress": "none", "status": "open", "viewCount": 0, "hasOpenFixPr": False,
                "isAssigned": False, "hasRootCause": False, "lastCompletedAutofixStep": "none",
                "lastProgressedAt": None,
            },
            "stats": {}, "lifetime": {}, "filtered": None, "sessionCount": 0, "integrationIssues": [],
            "sentryAppIssues": [], "latestEventHasAttachments": False, "matchingEventId": None,
            "matchingEventEnvironment": None,
            "inbox": {"reason": 0, "reason_details": None, "date_added": stamp(issue.first_seen)},
            "owners": {"type": "suspectCommit", "owner": "user:1", "date_added": stamp(issue.first_seen)},
        }  # fmt: skip


@dataclass
class _Page:
    records: list[Any]
    end: int
    is_more: bool

    def link(self, url: str) -> str:
        """As Sentry says where the pages before and after are, whether or not there are any."""
        more = str(self.is_more).lower()
        return (
            f'<{url}?cursor=0:0:1>; rel="previous"; results="false"; cursor="0:0:1", '
            f'<{url}?cursor=0:{self.end}:0>; rel="next"; results="{more}"; cursor="0:{self.end}:0"'
        )


def stamp(at: datetime) -> str:
    """As Sentry writes times."""
    return at.isoformat().replace("+00:00", "Z")


def release_of(version: str, projects: dict[str, int]) -> dict[str, Any]:
    """A release as an answer has it."""
    return {
        "id": 1122684517, "version": version, "status": "open", "shortVersion": version,
        "versionInfo": {
            "package": version.partition("@")[0], "version": {"raw": version}, "buildHash": None,
            "description": version,
        },
        "ref": None, "url": None, "dateReleased": None, "dateCreated": stamp(datetime.now(UTC)), "data": {},
        "newGroups": 0, "owner": None, "commitCount": 0, "lastCommit": None, "deployCount": 0, "lastDeploy": None,
        "authors": [], "firstEvent": None, "lastEvent": None,
        "projects": [
            {"id": id_, "slug": slug, "name": slug.title(), "newGroups": 0, "platform": "python",
             "platforms": ["python"], "hasHealthData": False}
            for slug, id_ in projects.items()
        ],
    }  # fmt: skip


def _unquoted(value: str) -> str:
    assert value[0] == value[-1] == '"', value
    return re.sub(r"\\(.)", r"\1", value[1:-1])
