"""The two doors to an Application: the API of Argo CD, and its object in the cluster.

API: https://argo-cd.readthedocs.io/en/stable/developer-guide/api-docs/
"""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from backends.credentials import Keyring, ServerAccess
from backends.deployments.argo_cd.wire import (
    Application,
    Past,
    RevisionMetadata,
    Said,
    Windows,
)
from backends.errors import BackendError
from backends.http import READ_TIMEOUT_S, Http, refusal
from backends.json_text import decode_text
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.custom import serves
from backends.kubernetes.patches import operation
from backends.models import Finding
from backends.redaction import quoted

T = TypeVar("T")
ARGO = "argoproj.io/v1alpha1"
OP = "tealdeck.io/op"
ASKED = "tealdeck.io/asked"
KEPT = "tealdeck.io/auto-sync"
"""What `syncPolicy.automated` was before this program took it away."""
WRITE_S = 10.0
_PRECONDITION = 9  # of gRPC: the operation's slot is taken, or auto-sync is on
_AUTOMATED = ("spec", "syncPolicy", "automated")


class Door(Protocol):
    """An Application through one of them. All raise BackendError; `conflict` where an operation is in progress."""

    where: str

    async def get(self) -> Application:
        """Now."""

    async def identity(self) -> Finding:
        """As whom."""

    async def sync(self, app: Application, revision: str, stamp: str, by: str) -> None:
        """Begin one."""

    async def roll_back(self, app: Application, past: Past, stamp: str, by: str) -> None:
        """Begin one to a sync of its history, without pruning."""

    async def terminate(self, app: Application) -> None:
        """End what is in progress."""

    async def automate(self, app: Application, on: bool) -> None:
        """Take auto-sync away, and keep how it was; or put that back."""

    async def windows(self) -> Windows | None:
        """None where that can not be asked."""

    async def commit(self, revision: str) -> RevisionMetadata:
        """Who made it, and why; empty where that can not be asked."""


class ApiDoor:
    """By the API. `scope`: where the Application is, as a query says it."""

    def __init__(self, http: Http, keys: Keyring[ServerAccess], name: str, scope: Mapping[str, str], url: str) -> None:
        self._http, self._keys = http, keys
        self._name, self._scope = name, {key: value for key, value in scope.items() if value}
        self.where = f"Application {name}" + (f" at {url}" if url else "")

    async def get(self) -> Application:
        """As the protocol says."""
        return await self._ask("GET", "", Application)

    async def identity(self) -> Finding:
        """What the session says."""
        told = await self._send("GET", "/api/v1/session/userinfo", dict[str, Any])
        who = quoted(str(told.get("username", "")), 128) or "nobody"
        return Finding(level="ok", code="identity", text=f"as {who} at {self.where}")

    async def sync(self, app: Application, revision: str, stamp: str, by: str) -> None:
        """As the protocol says: the slot of the operation is the lock."""
        body = {"revision": revision, "prune": False, "infos": _notes(stamp, by, revision)}
        await self._ask("POST", "/sync", msgspec.Raw, body)

    async def roll_back(self, app: Application, past: Past, stamp: str, by: str) -> None:
        """As the protocol says."""
        await self._ask("POST", "/rollback", msgspec.Raw, {"id": past.id, "prune": False})

    async def terminate(self, app: Application) -> None:
        """As the protocol says."""
        await self._ask("DELETE", "/operation", msgspec.Raw)

    async def automate(self, app: Application, on: bool) -> None:
        """By a patch of the Application."""
        patch = msgspec.json.encode(automation_patch(app, on)).decode()
        await self._ask("PATCH", "", msgspec.Raw, {"patch": patch, "patchType": "json"})

    async def windows(self) -> Windows | None:
        """As the protocol says."""
        try:
            return await self._ask("GET", "/syncwindows", Windows)
        except BackendError as error:
            if error.kind in ("not_found", "auth"):
                return None
            raise

    async def commit(self, revision: str) -> RevisionMetadata:
        """As the protocol says."""
        try:
            return await self._ask("GET", f"/revisions/{quote(revision, safe='')}/metadata", RevisionMetadata)
        except BackendError:
            return RevisionMetadata()

    async def _ask(self, method: str, path: str, shape: type[T], body: dict[str, Any] | None = None) -> T:
        where = f"/api/v1/applications/{quote(self._name, safe='')}{path}"
        if body is not None:
            return await self._send(method, where, shape, body={"name": self._name, **self._scope, **body})
        return await self._send(method, where, shape, params=self._scope)

    async def _send(
        self, method: str, path: str, shape: type[T], *, params: Mapping[str, str] | None = None, body: Any = None
    ) -> T:
        async def ask(known: ServerAccess) -> T:
            answer = await self._http.request(
                method, f"{known.base}{path}", params=params, headers=known.headers, json=body,
                timeout=READ_TIMEOUT_S if method == "GET" else WRITE_S, accept_errors=True,
            )  # fmt: skip
            if answer.status < 300:
                return answer.decode(shape)
            try:
                told = answer.decode(Said)
            except BackendError:
                told = Said()
            error = refusal(answer, headers=known.headers, said=told.message or told.error)
            raise self._named(error, told)

        return await self._keys.entered(ask)

    def _named(self, error: BackendError, told: Said) -> BackendError:
        said = quoted(told.message or told.error)
        if error.status == 403:
            words = f"{self.where}: permission denied ({said}): no such Application, or one of another project"
            fix = "see `application`, `project` and `app_namespace` of this entry, and the RBAC of Argo CD"
            return BackendError("auth", words, fix=fix, status=403)
        if told.code == _PRECONDITION:
            return BackendError(
                "conflict", f"{self.where}: {said}", fix="look again, then plan anew", status=error.status
            )
        if error.status == 400:
            return BackendError("failed", f"{self.where}: {said}", status=400)
        return error


class ClusterDoor:
    """By its object in the cluster: what the API does, as its server writes it."""

    def __init__(self, api: KubernetesApi, name: str) -> None:
        self._api, self._name = api, name
        self.where = f"Application {name}"

    async def get(self) -> Application:
        """As the protocol says. Raises BackendError(config) where the cluster knows no Applications."""
        try:
            return await self._api.get(await self._path(), Application)
        except BackendError as error:
            if error.kind == "not_found" and not await serves(self._api, ARGO, "applications"):
                where = (await self._api.access()).where
                words = f"{where} knows no Applications (argoproj.io/v1alpha1): Argo CD is not installed there"
                raise BackendError("config", words, fix="correct `kube_context` of this entry") from None
            raise

    async def identity(self) -> Finding:
        """As the kubeconfig says."""
        access = await self._api.access()
        text = f"as {quoted(access.user_name, 128) or 'nobody'} at {access.cluster_words}"
        return Finding(level="ok", code="identity", text=text)

    async def sync(self, app: Application, revision: str, stamp: str, by: str) -> None:
        """The field `operation`, which is empty, set."""
        await self._operate(app, {"sync": {"revision": revision}}, stamp, by, revision)

    async def roll_back(self, app: Application, past: Past, stamp: str, by: str) -> None:
        """The same, with the source of that time."""
        sync = {"revision": past.revision, "source": past.source or {}, "syncStrategy": {"apply": {}}}
        await self._operate(app, {"sync": sync}, stamp, by)

    async def terminate(self, app: Application) -> None:
        """The phase, as its server sets it."""
        patch = [*_same(app), operation("replace", ("status", "operationState", "phase"), "Terminating")]
        await self._patch(patch)

    async def automate(self, app: Application, on: bool) -> None:
        """By a JSON patch."""
        await self._patch(automation_patch(app, on))

    async def windows(self) -> Windows | None:
        """Not asked: its project is another object."""
        return None

    async def commit(self, revision: str) -> RevisionMetadata:
        """Not known in the cluster."""
        return RevisionMetadata()

    async def _operate(self, app: Application, told: dict[str, Any], stamp: str, by: str, asked: str = "") -> None:
        body = {**told, "initiatedBy": {"username": by or "tealdeck"}, "info": _notes(stamp, by, asked)}
        await self._patch([*_same(app), operation("add", ("operation",), body)])

    async def _patch(self, patch: list[dict[str, Any]]) -> None:
        try:
            await self._api.patch(await self._path(), patch, msgspec.Raw)
        except BackendError as error:
            if error.status in (409, 422):
                words = f"{self.where}: it was changed in the same moment"
                raise BackendError("conflict", words, fix="look again, then plan anew", status=409) from None
            raise

    async def _path(self) -> str:
        return await self._api.path(ARGO, "applications", self._name)


def _notes(stamp: str, by: str, asked: str) -> list[dict[str, str]]:
    """What goes with an operation: the action, the person, the revision as it was asked for."""
    told = {OP: stamp, ASKED: asked, "by": by}
    return [{"name": name, "value": value} for name, value in told.items() if value]


def automation_patch(app: Application, on: bool) -> list[dict[str, Any]]:
    """Auto-sync taken away, with an annotation that keeps it; or what that keeps put back. Raises
    BackendError(conflict) where nothing is kept."""
    annotations = app.metadata.annotations or {}
    mark = ("metadata", "annotations", KEPT)
    if on:
        kept = annotations.get(KEPT, "")
        try:
            automated = decode_text(kept, dict[str, Any])
        except msgspec.DecodeError:
            raise BackendError("conflict", f"the annotation {KEPT} of it says nothing that was auto-sync") from None
        removed = operation("test", mark, kept)
        policy = [] if app.spec.sync_policy else [operation("add", ("spec", "syncPolicy"), {})]
        return [
            *_same(app), removed, {"op": "remove", "path": removed["path"]}, *policy,
            operation("add", _AUTOMATED, automated),
        ]  # fmt: skip
    found = app.spec.sync_policy.automated if app.spec.sync_policy else None
    kept = msgspec.json.encode(found).decode()
    first = [] if annotations else [operation("add", ("metadata", "annotations"), {})]
    path = operation("remove", _AUTOMATED, None)["path"]
    return [*_same(app), *first, operation("add", mark, kept), {"op": "remove", "path": path}]


def _same(app: Application) -> list[dict[str, Any]]:
    metadata = app.metadata
    return [
        operation("test", ("metadata", "uid"), metadata.uid),
        operation("test", ("metadata", "resourceVersion"), metadata.resource_version),
    ]
