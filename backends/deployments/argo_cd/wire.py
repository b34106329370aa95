"""An Application of Argo CD, with the fields that are read of it; the API and the cluster show the same object.

Source: shared by https://argo-cd.readthedocs.io/en/stable/user-guide/ and the API's own description (swagger.json)
"""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, field

from backends.http import without_nulls
from backends.kubernetes.wire import Metadata


class Source(Struct, rename="camel"):
    """Where its manifests are. `target_revision`: a branch, a tag or a commit."""

    repo_url: str = field(name="repoURL", default="")
    path: str = ""
    target_revision: str = ""


class Automated(Struct, rename="camel"):
    """That it syncs by itself."""

    prune: bool = False
    self_heal: bool = False
    enabled: bool = True


class SyncPolicy(Struct, rename="camel"):
    """How it syncs. `automated` as it is written, to be put back so."""

    automated: dict[str, Any] | None = None
    sync_options: list[str] | None = None


class Ignored(Struct, rename="camel"):
    """Fields whose differences do not count."""

    group: str = ""
    kind: str = ""
    name: str = ""
    json_pointers: list[str] | None = None
    jq_path_expressions: list[str] | None = None
    managed_fields_managers: list[str] | None = None


class AppSpec(Struct, rename="camel"):
    """As it is wanted."""

    project: str = "default"
    source: Source | None = None
    sources: list[Source] | None = None
    sync_policy: SyncPolicy | None = None
    ignore_differences: list[Ignored] | None = None

    @property
    def automated(self) -> Automated | None:
        """How it syncs by itself; None where it does not."""
        told = self.sync_policy.automated if self.sync_policy else None
        found = msgspec.convert(without_nulls(told), Automated) if told is not None else None
        return found if found is not None and found.enabled else None

    @property
    def target(self) -> str:
        """What it follows."""
        return (self.source.target_revision if self.source else "") or "HEAD"


class Initiator(Struct):
    """Who began an operation."""

    username: str = ""
    automated: bool = False


class Info(Struct):
    """A note that goes with an operation."""

    name: str = ""
    value: str = ""


class SyncOperation(Struct, rename="camel"):
    """What is synced."""

    revision: str = ""
    dry_run: bool = False


class RunningOperation(Struct, rename="camel"):
    """An operation as it was asked for."""

    sync: SyncOperation | None = None
    initiated_by: Initiator = field(default_factory=Initiator)
    info: list[Info] | None = None

    def note(self, name: str) -> str:
        """Empty where there is none of that name."""
        return next((each.value for each in self.info or () if each.name == name), "")


class ResourceResult(Struct):
    """What a sync did to one resource."""

    kind: str = ""
    name: str = ""
    status: str = ""
    message: str = ""


class SyncResult(Struct):
    """What a sync did."""

    revision: str = ""
    resources: list[ResourceResult] | None = None


class OperationState(Struct, rename="camel"):
    """The newest operation: Running, Terminating, Succeeded, Failed, Error."""

    phase: str = ""
    message: str = ""
    operation: RunningOperation = field(default_factory=RunningOperation)
    started_at: datetime | None = None
    finished_at: datetime | None = None
    sync_result: SyncResult | None = None


class Health(Struct, rename="camel"):
    """Healthy, Progressing, Suspended, Degraded, Missing, Unknown."""

    status: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class Sync(Struct):
    """Whether the cluster is as the target revision says."""

    status: str = ""
    revision: str = ""


class Resource(Struct):
    """One of its objects."""

    kind: str = ""
    name: str = ""
    namespace: str = ""
    status: str = ""
    health: Health | None = None


class Past(Struct, rename="camel"):
    """A sync that succeeded."""

    id: int = 0
    revision: str = ""
    source: dict[str, Any] | None = None
    deployed_at: datetime | None = None
    deploy_started_at: datetime | None = None
    initiated_by: Initiator = field(default_factory=Initiator)


class AppCondition(Struct):
    """What is wrong with it."""

    type: str = ""
    message: str = ""


class Summary(Struct):
    """What of it runs."""

    images: list[str] | None = None


class AppStatus(Struct, rename="camel"):
    """As it is."""

    sync: Sync = field(default_factory=Sync)
    health: Health = field(default_factory=Health)
    operation_state: OperationState | None = None
    history: list[Past] | None = None
    resources: list[Resource] | None = None
    conditions: list[AppCondition] | None = None
    summary: Summary = field(default_factory=Summary)
    reconciled_at: datetime | None = None


class Application(Struct):
    """argoproj.io/v1alpha1 Application."""

    metadata: Metadata
    spec: AppSpec = field(default_factory=AppSpec)
    status: AppStatus = field(default_factory=AppStatus)
    operation: RunningOperation | None = None


class Window(Struct, rename="camel"):
    """When it may be synced, or may not."""

    kind: str = ""
    schedule: str = ""
    duration: str = ""
    manual_sync: bool = False


class Windows(Struct, rename="camel"):
    """Those of its project."""

    active_windows: list[Window] | None = None
    assigned_windows: list[Window] | None = None
    can_sync: bool = True


class RevisionMetadata(Struct):
    """Who made a commit, and why."""

    author: str = ""
    message: str = ""
    tags: list[str] | None = None


class Said(Struct):
    """What the API answers instead."""

    message: str = ""
    error: str = ""
    code: int = 0
