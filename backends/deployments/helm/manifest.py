"""The objects of a revision, as its manifest has them: which images run, what a rollback deletes, what it can not
change."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from backends.images import image_version
from backends.redaction import quoted

KEEP = "helm.sh/resource-policy"
_WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout"})
_KIND = re.compile(r"^kind:\s*['\"]?(\w+)", re.MULTILINE)
_BREAK = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)
_MAX_CHARS = 8 * 2**20
_IMMUTABLE: dict[str, tuple[str, ...]] = {
    "Deployment": ("spec.selector",),
    "DaemonSet": ("spec.selector",),
    "ReplicaSet": ("spec.selector",),
    "StatefulSet": ("spec.selector", "spec.serviceName", "spec.volumeClaimTemplates", "spec.podManagementPolicy"),
    "Job": ("spec.selector", "spec.template", "spec.completionMode"),
    "Service": ("spec.clusterIP",),
    "PersistentVolumeClaim": ("spec.accessModes", "spec.storageClassName", "spec.volumeName", "spec.selector"),
    "StorageClass": ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "PriorityClass": ("value",),
}
"""What the API server lets nobody change of a kind: Helm fails there, and what it did before stays done."""

Resource = dict[str, Any]
Key = tuple[str, str, str]


def resources(manifest: str, namespace: str, *, only: frozenset[str] | None = None) -> dict[Key, Resource]:
    """Its objects by (kind, namespace, name), of the kinds `only`. What is no object is left out. Blocks."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: dict[Key, Resource] = {}
    for text in _documents(manifest):
        kind = _KIND.search(text)
        if only is not None and (kind is None or kind[1] not in only):
            continue
        try:
            each = yaml.load(text, Loader=loader)
        except (yaml.YAMLError, RecursionError, ValueError):
            continue
        metadata = each.get("metadata") if isinstance(each, dict) else None
        if isinstance(metadata, dict) and metadata.get("name"):
            where = str(metadata.get("namespace") or namespace)
            found[str(each.get("kind", "")), where, str(metadata["name"])] = each
    return found


def workloads(manifest: str, namespace: str) -> dict[Key, Resource]:
    """Those of its objects that run pods and stay. Blocks."""
    return resources(manifest, namespace, only=_WORKLOADS)


def version_of(manifest: str, container: str) -> str | None:
    """The tag of the image of the container of that name; empty: the one that all of its pods have. None where there is
    none, or several. Blocks."""
    tags = {
        image_version(str(each.get("image", "")))
        for found in workloads(manifest, "").values()
        for each in _containers(found)
        if container in ("", each.get("name"))
    }
    return next(iter(tags)) if len(tags) == 1 else None


def digest_of(manifest: str, chart: str) -> str:
    """The same for two revisions that apply the same."""
    text = "\n".join(line.rstrip() for line in manifest.splitlines() if line.strip())
    return hashlib.sha256(f"{chart}\n{text}".encode()).hexdigest()


def deleted(now: dict[Key, Resource], then: dict[Key, Resource]) -> tuple[list[Key], list[Key]]:
    """What going from `now` to `then` deletes, and what stays of what `then` has not (`helm.sh/resource-policy`)."""
    gone = [key for key in now if key not in then]
    kept = [key for key in gone if _annotation(now[key], KEEP) == "keep"]
    return [key for key in gone if key not in kept], kept


def unchangeable(now: dict[Key, Resource], then: dict[Key, Resource]) -> list[str]:
    """The fields that differ and that the API server lets nobody change: `StatefulSet db: spec.serviceName`."""
    found = []
    for key, wanted in then.items():
        if key not in now:
            continue
        for path in _IMMUTABLE.get(key[0], ()):
            new = _at(wanted, path)
            if new is not None and new != _at(now[key], path):
                found.append(f"{words(key)}: {path}")
        frozen = key[0] in ("ConfigMap", "Secret") and now[key].get("immutable") is True
        if frozen and any(now[key].get(part) != wanted.get(part) for part in ("data", "binaryData", "stringData")):
            found.append(f"{words(key)}: data (immutable: true)")
    return found


def words(key: Key) -> str:
    """`Deployment model`."""
    return f"{quoted(key[0], 64)} {quoted(key[2], 128)}"


def _documents(manifest: str) -> Iterator[str]:
    yield from _BREAK.split(manifest[:_MAX_CHARS])


def _containers(workload: Resource) -> list[Resource]:
    listed = _at(workload, "spec.template.spec.containers")
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _annotation(found: Resource, name: str) -> str:
    told = found["metadata"].get("annotations")
    return str(told.get(name, "")) if isinstance(told, dict) else ""


def _at(found: Any, path: str) -> Any:
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
