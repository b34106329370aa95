"""A release as Helm keeps it: JSON, gzip, base64, one object of the cluster for each revision.

Source: https://github.com/helm/helm, `pkg/storage/driver/util.go` and `pkg/release`
"""

import base64
from datetime import datetime

import msgspec
from msgspec import Struct, field

from backends.errors import BackendError
from backends.inflating import DamagedError, inflated
from backends.json_text import decode_text
from backends.kubernetes.wire import Metadata
from backends.redaction import quoted
from backends.times import parse_time

MAX_RELEASE_BYTES = 32 * 2**20
"""Of one release, inflated: Kubernetes keeps at most 1 MiB of it, which may be a bomb."""
_GZIP = b"\x1f\x8b\x08"


class StoredMetadata(Metadata, rename="camel"):
    """With its age."""

    creation_timestamp: datetime | None = None


class Listed(Struct):
    """A Secret or a ConfigMap without what is in it."""

    metadata: StoredMetadata


class Stored(Struct):
    """The same with it: `data.release`; of a Secret in base64 once more."""

    metadata: StoredMetadata
    data: dict[str, str] | None = None


class ChartMetadata(Struct, rename="camel"):
    """Of a chart."""

    name: str = ""
    version: str = ""
    app_version: str = ""


class ChartFile(Struct):
    """One that is no template, as those under `crds/`."""

    name: str = ""


class Chart(Struct):
    """What a revision was made from."""

    metadata: ChartMetadata = field(default_factory=ChartMetadata)
    files: list[ChartFile] | None = None


class Hook(Struct):
    """An object that is made at `events` (`pre-rollback`), and not with the others."""

    name: str = ""
    kind: str = ""
    manifest: str = ""
    events: list[str] | None = None
    weight: int = 0


class Info(Struct):
    """How a revision is. `rollback_revision`: what it goes back to (Helm 4.3 and later)."""

    status: str = ""
    description: str = ""
    last_deployed: str = ""
    rollback_revision: int = 0


class Release(Struct):
    """One revision. `apply_method`: `ssa` or `csa` (Helm 4)."""

    name: str = ""
    version: int = 0
    namespace: str = ""
    info: Info = field(default_factory=Info)
    chart: Chart = field(default_factory=Chart)
    manifest: str = ""
    hooks: list[Hook] | None = None
    apply_method: str = ""

    @property
    def deployed_at(self) -> datetime | None:
        """When it was begun."""
        found = parse_time(self.info.last_deployed)
        return found if found is not None and found.year > 1 else None

    @property
    def hooks_of_rollback(self) -> list[Hook]:
        """Those that a rollback to this revision runs, in the order that it runs them."""
        order = ("pre-rollback", "post-rollback")
        found = [
            (order.index(event), hook) for hook in self.hooks or () for event in hook.events or () if event in order
        ]
        return [hook for _, hook in sorted(found, key=lambda each: (each[0], each[1].weight, each[1].name))]

    @property
    def crds(self) -> list[str]:
        """The files of its chart that Helm installs once, and never changes or deletes."""
        return [each.name for each in self.chart.files or () if each.name.startswith("crds/")]


def decoded(data: str, name: str, *, secret: bool) -> Release:
    """The release in `data.release` of the object `name`. Blocks. Raises BackendError(malformed)."""
    try:
        text: bytes | str = base64.b64decode(data, validate=True) if secret else data
        packed = base64.b64decode(text, validate=True)
        return decode_text(inflated(packed, MAX_RELEASE_BYTES) if packed.startswith(_GZIP) else packed, Release)
    except (DamagedError, msgspec.MsgspecError) as error:
        why = str(error)
    except ValueError:
        why = "not base64"
    words = f"{quoted(name, 128)}: no release as Helm writes it: {quoted(why)}"
    raise BackendError("malformed", words, fix="see who else writes objects with the label owner=helm")
