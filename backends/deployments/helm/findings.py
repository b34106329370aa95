"""What a rollback of a release does besides putting manifests back: told before it is begun."""

from collections.abc import Sequence
from datetime import UTC

from backends.deployments.helm.binary import HelmVersion
from backends.deployments.helm.manifest import Key, deleted, resources, unchangeable, words, workloads
from backends.deployments.helm.store import Revised
from backends.deployments.helm.wire import Hook, Release
from backends.models import Finding
from backends.ports.controllers import MIGRATES
from backends.redaction import quoted
from backends.text import counted
from backends.times import local_words

_RUNNING = frozenset({"Job", "Pod", "CronJob", "Workflow"})
"""Kinds of hooks that run something, as a migration does."""
_SHOWN = 6
_FLUX = "helm.toolkit.fluxcd.io"
_DATA = frozenset({"PersistentVolumeClaim", "PersistentVolume", "Namespace", "CustomResourceDefinition"})
"""What takes data with it that no rollback brings back."""


def history_finding(revisions: Sequence[Revised]) -> Finding:
    """The newest revisions, the newest first."""
    told = "; ".join(_told(each) for each in reversed(revisions[-_SHOWN:]))
    return Finding(level="ok", code="history", text=told)


def owner_findings(now: Revised | None) -> list[Finding]:
    """Who makes this release again, and when: Flux marks each object of those that it makes. Blocks."""
    release = now.release if now is not None else None
    for each in workloads(release.manifest, release.namespace).values() if release else ():
        labels = each["metadata"].get("labels")
        name = labels.get(f"{_FLUX}/name") if isinstance(labels, dict) else None
        if name:
            space = quoted(str(labels.get(f"{_FLUX}/namespace", "")), 64)
            by = quoted(str(name), 128)
            text = f"HelmRelease {by} of Flux makes this release: its next reconciliation upgrades it again"
            fix = f"`flux suspend helmrelease {by} -n {space}` first, and a revert in git"
            return [Finding(level="warning", code="owner", text=text, fix=fix)]
    return []


def rollback_findings(now: Revised, to: Revised, *, hooks: bool, version: HelmVersion) -> list[Finding]:
    """Of a rollback from what runs to a revision. Parses both manifests: blocks."""
    found = [Finding(level="ok", code="way-back", text=f"to revision {_told(to)}"), *owner_findings(now)]
    if now.release is None or to.release is None:
        text = f"what a rollback to revision {to.number} deletes is not known: its content could not be read"
        return [*found, Finding(level="warning", code="leaves", text=text, fix="see `helm get manifest`")]
    space = to.release.namespace
    mine, theirs = resources(now.release.manifest, space), resources(to.release.manifest, space)
    gone, kept = deleted(mine, theirs)
    found += hook_findings(to.release.hooks_of_rollback, hooks)
    found += _deletes(gone)
    found += _leaves(kept, now.release, to.release)
    found += _unchangeable(unchangeable(mine, theirs))
    if now.release.apply_method == "ssa" and version.major < 4:
        text = f"Helm 4 applied revision {now.number} (server-side), and {version.words} does not know who owns fields"
        found.append(Finding(level="warning", code="apply-method", text=text, fix="`binary` names Helm 4"))
    return found


def hook_findings(hooks: Sequence[Hook], run: bool) -> list[Finding]:
    """Which objects it makes before and after, as a migration does; those that are left out by `hooks = false`."""
    if not hooks:
        return []
    named = _list([f"{'/'.join(hook.events or ())} {quoted(hook.kind, 32)} {quoted(hook.name, 128)}" for hook in hooks])
    if not run:
        text = f"hooks = false: left out, {named}"
        fix = "`hooks = true` where one of them puts a schema back"
        return [Finding(level="warning", code="hooks", text=text, fix=fix)]
    text = f"it RUNS {counted(len(hooks), 'hook')} of that revision: {named}"
    fix = "`hooks = false` leaves them out; `helm get hooks` shows what they do"
    code = MIGRATES if any(hook.kind in _RUNNING for hook in hooks) else "hooks"
    return [Finding(level="warning", code=code, text=text, fix=fix)]


def release_findings(now: Revised | None, *, hooks: bool) -> list[Finding]:
    """Who else makes it, and what a release that fails would run: it goes back by itself. Blocks."""
    release = now.release if now is not None else None
    named = (
        [f"{quoted(hook.kind, 32)} {quoted(hook.name, 128)}" for hook in release.hooks_of_rollback] if release else []
    )
    found = owner_findings(now)
    if not named or not hooks or now is None:
        return found
    text = f"where it fails it goes back to revision {now.number}, and RUNS its hooks: {_list(named)}"
    return [*found, Finding(level="warning", code="hooks", text=text, fix="`hooks = false` leaves them out")]


def _told(found: Revised) -> str:
    """`5 deployed, model 0.1.0, app 2.4.0, Rollback to 3, 29 Nov 17:26 UTC`."""
    release = found.release
    if release is None:
        return f"{found.number} {found.status}"
    chart, at = release.chart.metadata, release.deployed_at
    parts = [f"{found.number} {found.status}", f"{quoted(chart.name, 64)} {quoted(chart.version, 64)}"]
    parts += [f"app {quoted(chart.app_version, 64)}"] if chart.app_version else []
    parts += [found.image] if found.image and found.image != chart.app_version else []
    parts += [quoted(release.info.description, 80)] if release.info.description else []
    return ", ".join([*parts, *([local_words(at, UTC)] if at else [])])


def _deletes(gone: list[Key]) -> list[Finding]:
    if not gone:
        return []
    text = f"it DELETES {counted(len(gone), 'object')} that the revision has not: {_list([words(key) for key in gone])}"
    lost = [key for key in gone if key[0] in _DATA]
    fix = "the annotation `helm.sh/resource-policy: keep` on an object keeps it"
    if lost:
        text += f"; {_list([words(key) for key in lost])} with all that is in it"
        return [Finding(level="block", code="deletes", text=text, fix=fix, overridable=True)]
    return [Finding(level="warning", code="deletes", text=text, fix=fix)]


def _leaves(kept: list[Key], now: Release, to: Release) -> list[Finding]:
    told = [f"{_list([words(key) for key in kept])} (resource-policy: keep)"] if kept else []
    files = sorted({*now.crds, *to.crds})
    if files:
        told.append(f"the CRDs of {_list([quoted(name, 128) for name in files])}, as they are")
    if not told:
        return []
    text = f"it leaves {'; '.join(told)}"
    return [Finding(level="warning", code="leaves", text=text, fix="see that the older version can live with them")]


def _unchangeable(fields: list[str]) -> list[Finding]:
    if not fields:
        return []
    text = (
        f"it can not change {_list([quoted(field) for field in fields])}: Helm fails there, and what it did stays done"
    )
    fix = "release a version forward that has them as they are now"
    return [Finding(level="block", code="immutable", text=text, fix=fix, overridable=True)]


def _list(found: list[str]) -> str:
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more
