"""Sentry's web API, also self-hosted: its token, pages, and the right that a refusal is about. For all its adapters.

API: https://docs.sentry.io/api/ (scopes: https://docs.sentry.io/api/permissions/)
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from msgspec import Struct, field

from backends.credentials import Authentication, refuse_bad_url, refuse_literal_secrets
from backends.entered import EnteredHttp, trusting
from backends.errors import BackendError
from backends.http import Answer
from backends.records import decode_mended
from backends.registry import AdapterContext
from backends.settings import Duration, Secret

T = TypeVar("T")

PAGE = 100
RELEASE = "{service}@{version}"
MAX_RELEASE_CHARS = 200
_PLACE = re.compile(r"\{(service|version)\}")
_NO_NAMES = frozenset({"", ".", "..", "latest"})
"""Sentry takes no release by the first three, and takes the last one for whichever is newest."""


class SentryAccess(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An organization of Sentry and how it is entered.

    token: of an internal integration or a user.
    organization: its slug.
    url: of Sentry; of a region: https://us.sentry.io, https://de.sentry.io.
    headers: sent with every request; a value may be a reference.
    ca_file: whose certificates are trusted for `url`.
    timeout: of one request.
    release: what a version is called in Sentry; {service} and {version} are replaced.
    """

    token: Secret
    organization: str
    url: str = "https://sentry.io"
    headers: dict[str, str | Secret] = field(default_factory=dict)
    ca_file: str = ""
    timeout: Duration = Duration(10)
    release: str = RELEASE

    def __post_init__(self) -> None:
        refuse_bad_url("url", self.url)
        refuse_literal_secrets(self.headers)
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")
        if not self.organization.strip():
            raise ValueError("organization: it is empty")
        if "{version}" not in self.release:
            raise ValueError("release: without {version} all versions are one release")

    def release_of(self, service: str, version: str) -> str:
        """What Sentry calls that version; empty where it can not be called so."""
        values = {"service": service, "version": version}
        name = _PLACE.sub(lambda found: values[found[1]], self.release).strip()
        odd = not version or name in _NO_NAMES or len(name) > MAX_RELEASE_CHARS or re.search(r"[/\\\s\x00-\x1f]", name)
        return "" if odd else name


class SentryProjects(SentryAccess, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Projects of an organization, and whose they are.

    projects: their slugs.
    services: of a project that is not called as its service, that service.
    """

    projects: tuple[str, ...]
    services: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.projects or not all(each.strip() for each in self.projects):
            raise ValueError("projects: one or more, none of them empty")
        if strange := sorted(set(self.services) - set(self.projects)):
            raise ValueError(f"services: {strange[0]} is none of `projects`")

    def service_of(self, slug: str) -> str:
        """Whose errors those of a project are."""
        return self.services.get(slug, slug)


class SentryApi:
    """One organization, by one token."""

    def __init__(self, config: SentryAccess, context: AdapterContext) -> None:
        self._base = f"{config.url.rstrip('/')}/api/0"
        self._organization = config.organization.strip()
        self._own_http = trusting(config.ca_file, context.base_dir)
        http, auth = self._own_http or context.http, Authentication(token=config.token)
        self._client = EnteredHttp(http, config.headers, auth, context.base_dir, config.timeout)

    def organization(self, *parts: str) -> str:
        """The path of something of the organization."""
        return _path("organizations", self._organization, *parts)

    def project(self, slug: str, *parts: str) -> str:
        """The path of something of that project."""
        return _path("projects", self._organization, slug, *parts)

    def url_of(self, path: str) -> str:
        """Where that is."""
        return self._base + path

    async def get(self, path: str, shape: type[T], *, scope: str, params: Mapping[str, Any] | None = None) -> T:
        """The answer as `shape`. Raises BackendError; `scope` is named where the token lacks it."""
        answer = await self.send("GET", path, scope=scope, params=params)
        return decode_mended(answer.body, shape, where=answer.url)

    async def pages(
        self, path: str, shape: type[T], params: Mapping[str, Any], *, scope: str, most: int
    ) -> tuple[list[T], bool]:
        """The records of all pages, at most `most`, and whether that is all of them. Raises as `get`."""
        found: list[T] = []
        cursor = ""
        while True:
            asked = {**params, "limit": PAGE, **({"cursor": cursor} if cursor else {})}
            answer = await self.send("GET", path, scope=scope, params=asked)
            records = decode_mended(answer.body, list[shape], where=answer.url)  # type: ignore[valid-type]  # of the caller
            found += records
            before, cursor = cursor, _next_of(answer.headers.get("link", ""))
            if not cursor:
                return found, True
            if not records or cursor == before:
                raise BackendError("malformed", f"{answer.url}: an empty page that says there is more")
            if len(found) >= most:
                return found[:most], False

    async def send(self, method: str, path: str, *, scope: str, **request: Any) -> Answer:
        """One request; only a GET is repeated. Raises as `get`."""
        url = self.url_of(path)
        try:
            return await self._client.request(method, url, **request)
        except BackendError as error:
            if error.status == 403:
                words = f"{error.message}: the token may not; it lacks {scope}, or its team is not of the project"
                raise BackendError("auth", words, fix=f"give the token the right {scope}", status=403) from None
            if error.status == 401:
                fix = "check the token, and `url`: a region has another one"
                raise BackendError("auth", error.message, fix=fix, status=401) from None
            raise

    async def aclose(self) -> None:
        """Close what is not shared."""
        if self._own_http is not None:
            await self._own_http.aclose()


def _path(*parts: str) -> str:
    return "".join(f"/{quote(part, safe='')}" for part in parts) + "/"


def _next_of(link: str) -> str:
    """The cursor of the next page: Sentry names one always, and says in `results` whether there is anything."""
    for part in re.split(r",\s*(?=<)", link):
        told = dict(re.findall(r'(\w+)="([^"]*)"', part))
        if told.get("rel") == "next" and told.get("results") == "true":
            return str(told.get("cursor", ""))
    return ""
