"""An Application of Argo CD, which is synced to a revision of git: it is ordered and watched.

```toml
[[contexts.production.deployments]]
name = "model"
type = "argo-cd"
url = "https://argocd.example.com"
token = { env = "ARGOCD_TOKEN" }       # or argocd_context = "prod": the session of `argocd login`
application = "model"
project = "data"
```
Without `url` and `argocd_context` the Application is reached in the cluster, by a kubeconfig. Rights and limits:
docs/kubernetes.md. API: https://argo-cd.readthedocs.io/en/stable/developer-guide/api-docs/
"""

import asyncio
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from backends.credentials import Authentication, Keyring, ServerAccess, refuse_bad_url, server_access
from backends.deployments.argo_cd.access import session_of
from backends.deployments.argo_cd.doors import ApiDoor, ClusterDoor, Door
from backends.deployments.argo_cd.state import Seen, short
from backends.deployments.argo_cd.windows import window_findings
from backends.deployments.common import DeploymentConfig
from backends.deployments.controlled import (
    acted_on,
    deployment_of,
    refuse_untaken,
    unheeded,
    version_layer,
)
from backends.entered import trusting
from backends.http import Http
from backends.kubernetes.api import WRITE_BOUND_S, KubernetesApi
from backends.kubernetes.kubeconfig import at_cluster
from backends.models import ColorState, Deployment, Finding, TruthLayer
from backends.ports import ControllerState, Operation, Order
from backends.redaction import quoted
from backends.registry import AdapterContext
from backends.settings import Secret
from backends.text import first_line
from backends.times import away
from backends.together import together

HOME = "argocd"


class ArgoCdConfig(DeploymentConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An Application.

    application: its name.
    url: the API of Argo CD.
    token: of that API, of an account or a project role.
    argocd_context: the session of `argocd login` of that name, SSO included, instead of a token.
    project: whose Application it is; a missing one is then told from one that is not allowed.
    app_namespace: the namespace of the Application; by default that of Argo CD.
    ca_file: whose certificates are trusted for `url`.
    kubeconfig: without `url`, the path of the kubeconfig of the cluster of Argo CD.
    kube_context: its context; by default the current one.
    """

    application: str
    url: str = ""
    token: Secret | None = None
    argocd_context: str = ""
    project: str = ""
    app_namespace: str = ""
    ca_file: str = ""
    kubeconfig: str = ""
    kube_context: str = ""

    def __post_init__(self) -> None:
        if not self.application:
            raise ValueError("application: it is empty")
        if self.url:
            refuse_bad_url("url", self.url)
        by_api = bool(self.url or self.argocd_context)
        if by_api and (self.kubeconfig or self.kube_context):
            raise ValueError("url or argocd_context, or kubeconfig and kube_context: one way to reach it")
        if self.url and (self.token is None) == (not self.argocd_context):
            raise ValueError("url: with either token or argocd_context")
        if self.token is not None and not self.url:
            raise ValueError("token: it is for `url`")
        if problem := unheeded(self, "Argo CD"):
            raise ValueError(problem)

    @property
    def by_api(self) -> bool:
        """Whether it is reached by the API."""
        return bool(self.url or self.argocd_context)

    def writes(self, base_dir: Path) -> frozenset[str]:
        """The Application, as the entry names it."""
        where = self.url or self.argocd_context or self.kube_context or "(current)"
        return frozenset({f"Application {self.app_namespace or HOME}/{self.application} of {where}"})


class ArgoCdController:
    """The `Controller` of one Application."""

    api = 1
    Config = ArgoCdConfig

    def __init__(self, config: ArgoCdConfig, context: AdapterContext) -> None:
        self._config, self._name = config, context.name
        self._base_dir = context.base_dir
        self._http: Http | None = None
        self._api: KubernetesApi | None = None
        self._door = self._opened(context)
        self._ordering = asyncio.Lock()

    @property
    def object_id(self) -> str:
        """Namespace and name, and the server or cluster that has it."""
        config = self._config
        where = config.url or config.argocd_context or config.kube_context
        return at_cluster(f"{config.app_namespace or HOME}/{config.application}", where)

    @property
    def order_settles_s(self) -> float:
        """As long as a call that was cut off may still be on its way."""
        return WRITE_BOUND_S + 2.0

    async def deployment(self) -> Deployment:
        """The Application: sync status, health with the worst resource, and one fresh request. Raises BackendError."""
        seen = await self._look()
        state, health = seen.state, seen.app.status.health
        data = await version_layer(state, self._config)
        words = f"{quoted(health.status, 32) or 'not known'}" + (f", {seen.worst}" if seen.worst else "")
        endpoints = TruthLayer(value="unknown", detail=f"Argo CD says {words}", at=datetime.now(UTC))
        healthy = {"Healthy": True, "Degraded": False, "Missing": False}.get(health.status)
        sides = {"stable": ColorState(healthy=healthy, detail=words)}
        return deployment_of(self._name, state, self._door.where, endpoints=endpoints, data=data, sides=sides)

    async def observe(self) -> ControllerState:
        """The Application now. Raises BackendError."""
        return (await self._look()).state

    async def operation(self, operation: str) -> Operation:
        """A sync by the number that it has in the history."""
        return (await self._look()).operation(operation)

    async def preflight(self, expected: ControllerState, order: Order) -> list[Finding]:
        """Who we are, auto-sync, sync windows, who made the revision and why, what a rollback leaves. Nothing is
        written."""
        who, seen, windows = await together(self._door.identity(), self._look(), self._door.windows())
        found = [who]
        if order.order in ("release", "rollback"):
            found += window_findings(windows, datetime.now(UTC))
        if order.order == "release":
            return found + self._release_findings(seen, order.version)
        if order.order == "rollback":
            past = seen.past_of(order.revision)
            told = await self._door.commit(past.revision)
            said = f": {quoted(first_line(told.message), 120)}, {quoted(told.author, 64)}" if told.message else ""
            text = f"sync {past.id} of {_ago(past.deployed_at)}, {short(past.revision)}{said}"
            found.append(Finding(level="ok", code="history", text=text))
            text = (
                "nothing is pruned: what newer revisions added stays, and so does what git says (OutOfSync until then)"
            )
            found.append(
                Finding(level="warning", code="leaves", text=text, fix="a revert in git, as soon as there is time")
            )
        if order.order == "pause":
            text = "auto-sync is turned off: nothing that is pushed goes out, and nothing is healed, until `resume`"
            found.append(Finding(level="warning", code="auto-sync", text=text, fix="resume it as soon as git is right"))
        return found

    async def order(self, expected: ControllerState, order: Order, *, stamp: str) -> ControllerState:
        """A sync, a rollback to an entry of the history, the end of an operation, auto-sync off and on. The slot of the
        operation is the lock. Raises as the port says."""
        async with self._ordering:
            seen = await self._look()
            refuse_untaken(order, expected, seen.state, self._door.where)
            return await self._given(seen, order, stamp)

    def describe_order(self, expected: ControllerState, order: Order) -> list[str]:
        """One line for the order, one for what Argo CD does then."""
        stable, open_, where = expected.view.stable, expected.open, self._door.where
        live = short(stable.words) if stable else "nothing"
        if order.order == "release":
            then = "Argo CD applies it, without pruning; its health decides when it is done"
            return [f"release  {live} → {order.version}: {where}", f"then     {then}"]
        if order.order == "rollback":
            to = short(order.version or order.revision)
            return [f"rollback {live} → {to}: {where}", "then     its manifests of that time are applied, prune: false"]
        words = {
            "abort": f"{open_.name if open_ else 'the operation'} terminated; what it applied stays",
            "pause": "auto-sync turned off", "resume": "auto-sync put back as it was",
        }  # fmt: skip
        return [f"{order.order:<9}{words.get(order.order, '')}: {where}"]

    def manual_commands(self, order: Order) -> list[str]:
        """The same by the argocd command line."""
        name = self._config.application
        return [
            shlex.join(["argocd", "app", "terminate-op", name]),
            shlex.join(["argocd", "app", "history", name]),
            shlex.join(["argocd", "app", "rollback", name, "ID"]),
        ]

    async def aclose(self) -> None:
        """Close the connections of its own; safe to call twice."""
        if self._api is not None:
            await self._api.aclose()
        if self._http is not None:
            await self._http.aclose()

    # ---- inside

    def _opened(self, context: AdapterContext) -> Door:
        config = self._config
        if not config.by_api:
            self._api = KubernetesApi(
                kubeconfig=config.kubeconfig, context=config.kube_context, namespace=config.app_namespace or HOME,
                base_dir=context.base_dir,
            )  # fmt: skip
            return ClusterDoor(self._api, config.application)
        self._http = trusting(config.ca_file, context.base_dir)
        http = self._http or context.http
        scope = {"appNamespace": config.app_namespace, "project": config.project}
        return ApiDoor(http, Keyring(self._access), config.application, scope, config.url or config.argocd_context)

    async def _access(self) -> ServerAccess:
        config = self._config
        if config.argocd_context:
            return await asyncio.to_thread(session_of, config.argocd_context, config.url)
        return await server_access(config.url, {}, Authentication(token=config.token), self._base_dir)

    async def _look(self) -> Seen:
        return Seen(await self._door.get())

    async def _given(self, seen: Seen, order: Order, stamp: str) -> ControllerState:
        door, app, was = self._door, seen.app, seen.state
        if order.order in ("release", "rollback"):
            if order.order == "release":
                await door.sync(app, order.version, stamp, order.by)
            else:
                await door.roll_back(app, seen.past_of(order.revision), stamp, order.by)
            known = was.newest.id if was.newest else ""
            return await self._until(
                lambda state: state.newest is not None and state.newest.id != known and not _asked(state.newest),
                "it took the operation, and has not begun it",
            )
        if order.order == "abort" and seen.running is None:
            return await self._taken_back(seen, stamp, order.by)
        if order.order == "abort":
            await door.terminate(app)
            ident = was.open.id if was.open else ""
            return await self._until(
                lambda state: state.open is None or state.open.id != ident or "terminated" in state.open.detail,
                "the operation is still in progress",
            )
        await door.automate(app, order.order == "resume")
        return await self._until(lambda state: state.revision != was.revision, "auto-sync is as it was")

    async def _taken_back(self, seen: Seen, stamp: str, by: str) -> ControllerState:
        """What is applied, and not healthy yet: what was before it is synced again."""
        newest = seen.newest
        assert newest is not None
        assert newest.source is not None
        await self._door.roll_back(seen.app, seen.past_of(newest.source.id), stamp, by)
        state = await self._until(
            lambda state: state.newest is not None and state.newest.id != newest.id and not _asked(state.newest),
            "it took the operation, and has not begun it",
        )
        return replace(state, newest=await self.operation(newest.id))

    async def _until(self, holds: Callable[[ControllerState], bool], unseen: str) -> ControllerState:
        async def look() -> tuple[ControllerState, str]:
            state = await self.observe()
            return state, "" if holds(state) else f"{self._door.where}: no effect seen: {unseen}"

        return await acted_on(look)

    @staticmethod
    def _release_findings(seen: Seen, version: str) -> list[Finding]:
        if problem := problem_of_revision(version):
            return [Finding.block("version", problem, "a branch, a tag or a commit of its repository")]
        app = seen.app
        if app.spec.automated is not None and version != app.spec.target:
            text = f"auto-sync is on and follows {quoted(app.spec.target, 64)}: Argo CD syncs to nothing else"
            fix = f"push to {quoted(app.spec.target, 64)}, or `pause` turns auto-sync off"
            return [Finding.block("auto-sync", text, fix)]
        found = []
        if app.spec.sources:
            text = "it has several sources: a revision says nothing of which one is meant"
            found.append(Finding.block("sources", text, "argocd app sync with --revisions and --source-positions"))
        if owner := seen.owner:
            text = f"{owner} writes this Application, and puts its spec back"
            found.append(Finding(level="warning", code="owner", text=text, fix="change it there"))
        if version != app.spec.target:
            text = f"it follows {quoted(app.spec.target, 64)}: after this it is OutOfSync until the next sync to that"
            found.append(Finding(level="warning", code="target", text=text, fix="push it there, too"))
        return found


def problem_of_revision(version: str) -> str:
    """Why it is no revision of git; empty where it may be one."""
    if not version or version.startswith("-") or any(c.isspace() or not c.isprintable() for c in version):
        return f'"{quoted(version, 64)}" is no revision of git'
    return f'"{quoted(version, 64)}" is no revision of git' if ".." in version or set(version) & set("~^:?*[\\") else ""


def _asked(operation: Operation) -> bool:
    return operation.id.endswith("-asked")


def _ago(at: datetime | None) -> str:
    return f"{away(at)} ago" if at is not None else "an unknown time"
