"""Errors of services by Sentry, also self-hosted: what is new since the version that takes traffic, what is back.

```toml
[[contexts.production.errors]]
type = "sentry"
token = { env = "SENTRY_TOKEN" }        # may event:read and project:read
organization = "acme"
projects = ["analytics"]                # slugs; each is the service of its name
# services = { web-api = "analytics" }  # or of another one: the project first
# environment = "production"
# url = "https://sentry.internal"
```
API: https://docs.sentry.io/api/events/list-an-organizations-issues/
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from msgspec import Struct

from backends.errors import BackendError
from backends.missing import missing
from backends.models import ErrorIssue
from backends.models.errors import IssueState
from backends.ports.errors import LiveVersions
from backends.records import text_at
from backends.registry import AdapterContext
from backends.sentry import SentryApi, SentryProjects
from backends.settings import Duration
from backends.text import clean, link
from backends.together import few_at_a_time

MAX_ISSUES = 500
SIDE_BY_SIDE = 4
DAY_S = 86400
EVENTS, RELEASES = "event:read", "project:read"
OPEN = "is:unresolved issue.category:error"
_STATES: dict[str, IssueState] = {"unresolved": "unresolved", "ignored": "ignored", "resolved": "resolved"}
_TURNED: dict[str, IssueState] = {"regressed": "regressed", "escalating": "escalating"}
_TELL = 'tell Sentry of releases: an entry of notify with type = "sentry", or sentry-cli'


class SentryErrorsConfig(SentryProjects, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which errors of which projects.

    environment: only events of this one count.
    window: only issues with an event in it are told of, and only its events are counted; from 1h to 90d.
    """

    environment: str = ""
    window: Duration = Duration(DAY_S)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not DAY_S / 24 <= self.window <= 90 * DAY_S:
            raise ValueError("window: from 1h to 90d")


class _Project(Struct, frozen=True):
    id: str | int
    slug: str


class _Assignee(Struct, frozen=True):
    name: str = ""


class Issue(Struct, frozen=True, rename="camel"):
    """An issue as an answer has it; `count` is a text there."""

    id: str
    project: _Project
    title: str = ""
    short_id: str = ""
    culprit: str | None = None
    permalink: str | None = None
    level: str = "unknown"
    status: str = ""
    substatus: str | None = None
    metadata: dict[str, Any] = {}
    assigned_to: _Assignee | None = None
    count: str | int | None = None
    user_count: int | None = None
    first_seen: datetime | None = None
    last_seen: datetime | None = None


class _Release(Struct, frozen=True):
    projects: tuple[_Project, ...] = ()


class _Since(Struct, frozen=True):
    """The release that brought an issue, by the issue's id; `why` not all of them are known; `service` of whom."""

    service: str = ""
    brought: dict[str, str] = {}
    issues: tuple[Issue, ...] = ()
    why: str = ""


class SentryErrors:
    """`Errors` of projects of one organization."""

    api = 1
    Config = SentryErrorsConfig

    def __init__(self, config: SentryErrorsConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._api = SentryApi(config, context)
        self._ids: dict[str, str] = {}
        self._released: set[tuple[str, str]] = set()

    async def issues(self, live: Mapping[str, LiveVersions]) -> list[ErrorIssue]:
        """As the port says, by the first release of an issue in `environment`. A release that Sentry does not know
        brought nobody knows what."""
        ids = await self._projects()
        listed, is_all = await self._list(list(ids.values()), OPEN)
        if not is_all:
            words = (
                f"{self._name}: more than {MAX_ISSUES} issues are open, those that are quiet for longest are not read"
            )
            missing(BackendError("config", words, fix="choose a shorter `window`, or fewer `projects`"))
        asked = [partial(self._since, slug, id_, live) for slug, id_ in ids.items()]
        since = dict(zip(ids.values(), await few_at_a_time(SIDE_BY_SIDE, asked), strict=True))
        found = {issue.id: issue for each in since.values() for issue in each.issues}
        found |= {issue.id: issue for issue in listed}
        return [self._issue(each, since.get(str(each.project.id), _Since())) for each in found.values()]

    async def aclose(self) -> None:
        """Safe to call twice."""
        await self._api.aclose()

    async def _projects(self) -> dict[str, str]:
        """The id of each project by its slug, looked for once: a self-hosted Sentry takes no slugs, and for one that is
        not there answers as if it had no errors."""
        for slug in self._config.projects:
            if slug in self._ids:
                continue
            try:
                self._ids[slug] = str((await self._api.get(self._api.project(slug), _Project, scope=RELEASES)).id)
            except BackendError as error:
                if error.status != 404:
                    raise
                words = f"projects: Sentry has no {clean(slug, 100)} in {clean(self._config.organization, 100)}"
                fix = "see its slug in Sentry, and that the token sees it"
                raise BackendError("config", words, fix=fix, status=404) from None
        return self._ids

    async def _list(self, projects: Sequence[str], query: str) -> tuple[list[Issue], bool]:
        asked = {
            "project": projects,
            "query": query,
            "statsPeriod": f"{self._config.window // 60:.0f}m",
            "sort": "date",
        }
        if self._config.environment:
            asked["environment"] = self._config.environment
        return await self._api.pages(
            self._api.organization("issues"), Issue, asked, scope=EVENTS, most=MAX_ISSUES
        )  # fmt: skip

    async def _since(self, slug: str, project: str, live: Mapping[str, LiveVersions]) -> _Since:
        """What the versions brought that take traffic of the project's service."""
        service = self._config.service_of(slug)
        known = live.get(service)
        if known is None:
            return _Since(why=f"no service of this context is called {service}: `services` says whose {slug} is")
        brought: dict[str, str] = {}
        issues: list[Issue] = []
        why = known.unknown
        for version in known.versions:
            release = self._config.release_of(service, version)
            if not release or not await self._knows(release, project):
                named = release or self._config.release.replace("{service}", service).replace("{version}", version)
                why = f"Sentry does not know the release {clean(named, 100)}: {_TELL}"
                continue
            new, is_all = await self._list([project], f"{OPEN} firstRelease:{_quoted(release)}")
            why = why if is_all else f"{release} brought more than {MAX_ISSUES} issues"
            brought |= {issue.id: release for issue in new}
            issues += new
        return _Since(service, brought, tuple(issues), why)

    async def _knows(self, release: str, project: str) -> bool:
        """Whether Sentry has that release in the project: for one that it does not know it finds no new issues."""
        if (release, project) not in self._released:
            try:
                path = self._api.organization("releases", release)
                found = await self._api.get(path, _Release, scope=RELEASES, params={"project_id": project})
            except BackendError as error:
                if error.status != 404:
                    raise
                return False
            if project not in {str(each.id) for each in found.projects}:
                return False
            self._released.add((release, project))
        return True

    def _issue(self, issue: Issue, since: _Since) -> ErrorIssue:
        release = since.brought.get(issue.id)
        is_new = True if release else None if since.why else False
        state = _STATES.get(issue.status, "unknown")
        if state == "unresolved":
            state = _TURNED.get(issue.substatus or "", state)
        id_ = clean(issue.short_id or issue.id, 100)
        return ErrorIssue(
            ref=f"{self._name}/{id_}",
            backend=self._name,
            id=clean(issue.id, 40),
            title=clean(issue.title, 300) or id_,
            project=clean(issue.project.slug, 100),
            state=state,
            raw_state=clean(f"{issue.status}/{issue.substatus}" if issue.substatus else issue.status, 60),
            level=clean(issue.level, 20),
            service=clean(since.service, 100),
            is_new=is_new,
            release=release and clean(release, 200),
            reason="" if is_new else clean(since.why, 300),
            frame=_frame(issue),
            count=int(count) if (count := str(issue.count)).isdecimal() else None,
            users=issue.user_count,
            first_seen=issue.first_seen,
            last_seen=issue.last_seen,
            assigned=clean(issue.assigned_to.name, 100) if issue.assigned_to else "",
            url=link(issue.permalink or "", 500),
        )


def _frame(issue: Issue) -> str:
    """Where it was raised, as Sentry keeps it of the frame that broke; else what it says is to blame."""
    file, function = text_at(issue.metadata, "filename"), text_at(issue.metadata, "function")
    return clean(f"{file} in {function}" if file and function else file or function or issue.culprit or "", 200)


def _quoted(value: str) -> str:
    """As a query takes it for itself: a star would match anything."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("*", "\\*") + '"'
