"""Sentry: a release when its action starts, and its deploy when the action has succeeded.

```toml
type = "sentry"
token = { env = "SENTRY_TOKEN" }        # may project:read and project:releases
organization = "acme"
projects = ["analytics"]                # slugs; each is the service of its name
# services = { web-api = "analytics" }  # or of another one: the project first
# environment = "production"            # of the deploy; default: the context
```
Only a release is told of: of a flip and a way back the event does not say which version they are of.
API: https://docs.sentry.io/api/releases/create-a-deploy/
"""

from typing import Any

from backends.errors import BackendError
from backends.http import Answer
from backends.notify.posting import POST_TIMEOUT_S, said_by_label
from backends.ports import ActionEvent
from backends.redaction import quoted
from backends.registry import AdapterContext
from backends.sentry import SentryApi, SentryProjects
from backends.settings import Duration
from backends.text import clean

MAX_NAME_CHARS = 64
READS, WRITES = "project:read", "project:releases"


class SentryNotifyConfig(SentryProjects, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which projects are told of the releases of which services.

    environment: of a deploy; by default the name of the context.
    """

    environment: str = ""
    timeout: Duration = Duration(POST_TIMEOUT_S)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.environment) > MAX_NAME_CHARS or "/" in self.environment:
            raise ValueError(f"environment: at most {MAX_NAME_CHARS} characters, and no slash")


class SentryNotifier:
    """A release and its deploy, in the projects of the event's service."""

    api = 1
    Config = SentryNotifyConfig

    def __init__(self, config: SentryNotifyConfig, context: AdapterContext) -> None:
        self._config = config
        self._label = f"notify.{context.name}"
        self._api = SentryApi(config, context)

    async def notify(self, event: ActionEvent) -> None:
        """Nothing of what is no release, of another service, or did not come to a deploy. Raises BackendError."""
        projects = [slug for slug in self._config.projects if self._config.service_of(slug) == event.service]
        if event.kind != "release" or not event.version or not projects or event.what not in ("started", "succeeded"):
            return
        release = self._config.release_of(event.service, event.version)
        if not release:
            words = f"{self._label}: Sentry has no release called so: {clean(event.version, 100)}"
            raise BackendError("config", words, fix="see `release` of this entry")
        path = self._api.organization("releases")
        await self._ask("POST", path, WRITES, {"version": release, "projects": projects})  # one that is there stays
        if event.what == "succeeded":
            deploy = {
                "environment": self._config.environment or event.context.replace("/", "-")[:MAX_NAME_CHARS],
                "name": quoted(event.text, MAX_NAME_CHARS), "projects": projects,
                "dateFinished": event.at.isoformat(),
            }  # fmt: skip
            await self._ask("POST", self._api.organization("releases", release, "deploys"), WRITES, deploy)

    async def dry_run(self) -> None:
        """Whether the projects are there and the token is one; whether it may tell of releases, only one tells. Raises
        BackendError."""
        for slug in self._config.projects:
            await self._ask("GET", self._api.project(slug), READS)

    async def aclose(self) -> None:
        """Safe to call twice."""
        await self._api.aclose()

    async def _ask(self, method: str, path: str, scope: str, body: Any = None) -> Answer:
        request = {} if body is None else {"json": body}
        asking = self._api.send(method, path, scope=scope, **request)
        return await said_by_label(asking, self._api.url_of(path), self._label)
