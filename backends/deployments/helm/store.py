"""Reads the revisions of one release from the cluster, and keeps beside them which of them are ours.

Helm keeps no word of ours for a rollback, so that is in a ConfigMap of its own: which action makes which revision, and
the process that does. Writing it compares with what was read: of two consoles one begins.
"""

import asyncio
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from backends.deployments.helm.manifest import digest_of, version_of
from backends.deployments.helm.wire import Listed, Release, Stored, StoredMetadata, decoded
from backends.errors import BackendError
from backends.json_text import decode_text
from backends.kubernetes.api import FIELD_MANAGER, WRITE_BOUND_S, WRITE_TIMEOUT_S, KubernetesApi
from backends.kubernetes.patches import operation
from backends.kubernetes.wire import Items
from backends.processes import Running
from backends.redaction import quoted
from backends.together import together

DRIVERS = {"secret": "secrets", "secrets": "secrets", "configmap": "configmaps", "configmaps": "configmaps"}
"""What HELM_DRIVER may be, and the kind of object that it means."""
KEPT = 12
"""So many of the newest revisions are read whole; of older ones, what their labels say."""
MARK = "tealdeck.io/helm"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_PENDING = "pending-"


class Revised(NamedTuple):
    """One revision. `release` is None for an old one; `image`: the version of its images, where they have one."""

    number: int
    status: str
    metadata: StoredMetadata
    release: Release | None = None
    image: str | None = None
    digest: str = ""

    @property
    def version(self) -> str | None:
        """Of what runs: by its images, else what the chart says of its application."""
        if self.image or self.release is None:
            return self.image
        return quoted(self.release.chart.metadata.app_version, 128) or None

    @property
    def pending(self) -> bool:
        """Whether somebody is, or was, at work on it."""
        return self.status.startswith(_PENDING)

    @property
    def good(self) -> bool:
        """Whether it was deployed to its end."""
        return self.status in ("deployed", "superseded")


class Mark(Struct, frozen=True, omit_defaults=True):
    """What this program last began: the action and its step, the revision that this makes, the one that it goes back to
    (0 for a release), the command; `ended`: how that ended, empty while it runs."""

    stamp: str
    revision: int
    to: int = 0
    command: Running | None = None
    ended: str = ""

    def is_end_of(self, other: "Mark") -> bool:
        """Whether it says how that ended."""
        return bool(self.ended) and not other.ended and (self.revision, self.to) == (other.revision, other.to)


class Marked(NamedTuple):
    """The mark and what it is compared with; both empty where there is no object."""

    mark: Mark | None
    resource_version: str = ""


class Store:
    """The revisions of `release`. `driver`: a key of `DRIVERS`; `container`: whose image is the version."""

    def __init__(self, api: KubernetesApi, release: str, driver: str, container: str) -> None:
        self._api = api
        self._release = release
        self._kind = DRIVERS[driver]
        self._container = container
        self._known: dict[tuple[str, str], Revised] = {}

    async def revisions(self) -> list[Revised]:
        """Oldest first. Raises BackendError: `not_found` where there is none, `malformed` for a damaged one."""
        path = await self._api.path("v1", self._kind)
        params = {"labelSelector": f"owner=helm,name={self._release}"}
        listed = await self._api.get(path, Items[Listed], params=params, accept=_METADATA)
        found = sorted((each for each in map(_labelled, listed.items) if each), key=lambda each: each.number)
        if not found:
            namespace = quoted(await self._api.namespace(), 64)
            words = f'no release "{quoted(self._release, 64)}" in the {self._kind} of namespace {namespace}'
            fix = f"`helm list -A` names them; where HELM_DRIVER is {_other(self._kind)}, `driver` in the entry"
            raise BackendError("not_found", words, fix=fix)
        newest = found[-KEPT:]
        deployed = next((each for each in reversed(found) if each.status == "deployed"), None)
        whole = newest if deployed is None or deployed in newest else [deployed, *newest]
        needed = (found[-1], deployed)
        asked = (self._whole(each, needed=each in needed) for each in whole)
        read = {each.number: each for each in await together(*asked) if each}
        self._known = {(each.metadata.name, each.metadata.resource_version): each for each in read.values()}
        gone = {each.number for each in whole} - read.keys()
        return [read.get(each.number, each) for each in found if each.number not in gone]

    async def mark(self) -> Marked:
        """What this program last began. Raises BackendError."""
        try:
            found = await self._api.get(await self._api.path("v1", "configmaps", self._mark_name), Stored)
        except BackendError as error:
            if error.kind == "not_found":
                return Marked(None)
            raise
        try:
            mark = decode_text(found.metadata.annotation(MARK), Mark)
        except msgspec.DecodeError:  # edited by hand: nobody of ours is at work on it, as far as anybody knows
            mark = None
        return Marked(mark, found.metadata.resource_version)

    async def set_mark(self, before: Marked, mark: Mark) -> None:
        """Raises BackendError: `conflict` where somebody began something since `before`. That the end of what was begun
        has been noted since is none."""
        try:
            await self._write(before, mark)
        except BackendError as error:
            if error.status not in (404, 409, 422):
                raise
            now = await self.mark()
            if before.mark is not None and now.mark is not None and now.mark.is_end_of(before.mark):
                return await self.set_mark(now, mark)
            words = f"release {quoted(self._release, 64)}: somebody else began a change in the same moment"
            raise BackendError("conflict", words, fix="look again, then plan anew") from None

    # ---- inside

    @property
    def _mark_name(self) -> str:
        return f"tealdeck.helm.{self._release}"

    async def _write(self, before: Marked, mark: Mark) -> None:
        if not before.resource_version:
            await self._create(mark)
            return
        patch = [
            operation("test", ("metadata", "resourceVersion"), before.resource_version),
            operation("add", ("metadata", "annotations", MARK), _written(mark)),
        ]
        await self._api.patch(await self._api.path("v1", "configmaps", self._mark_name), patch, msgspec.Raw)

    async def _create(self, mark: Mark) -> None:
        labels = {"app.kubernetes.io/managed-by": FIELD_MANAGER}
        metadata = {"name": self._mark_name, "labels": labels, "annotations": {MARK: _written(mark)}}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        await self._api.send(
            "POST", await self._api.path("v1", "configmaps"), content=msgspec.json.encode(body),
            content_type="application/json", timeout=WRITE_TIMEOUT_S,
            params={"fieldManager": FIELD_MANAGER, "timeout": f"{WRITE_BOUND_S:g}s"},
        )  # fmt: skip

    async def _whole(self, found: Revised, *, needed: bool) -> Revised | None:
        """With what is in it; None where it was deleted meanwhile. One that is damaged is only told where `needed`."""
        known = self._known.get((found.metadata.name, found.metadata.resource_version))
        if known is not None:
            return known
        try:
            stored = await self._api.get(await self._api.path("v1", self._kind, found.metadata.name), Stored)
        except BackendError as error:
            if error.kind == "not_found":
                return None
            raise
        try:
            return await asyncio.to_thread(self._read, stored, found.number)
        except BackendError:
            if needed:
                raise
            return found

    def _read(self, stored: Stored, number: int) -> Revised:
        metadata = stored.metadata
        release = decoded((stored.data or {}).get("release", ""), metadata.name, secret=self._kind == "secrets")
        chart = release.chart.metadata
        return Revised(
            number, release.info.status or metadata.label("status"), metadata, release,
            version_of(release.manifest, self._container),
            digest_of(release.manifest, f"{chart.name} {chart.version}"),
        )  # fmt: skip


def _labelled(listed: Listed) -> Revised | None:
    metadata = listed.metadata
    number = metadata.label("version")
    if not (number.isascii() and number.isdecimal()):
        return None
    return Revised(int(number), metadata.label("status"), metadata)


def _other(kind: str) -> str:
    return "configmap" if kind == "secrets" else "secret"


def _written(mark: Mark) -> Any:
    return msgspec.json.encode(mark).decode()
