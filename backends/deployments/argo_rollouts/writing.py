"""What is written to a Rollout: one JSON patch each, which tests what was seen.

Source: `pkg/kubectl-argo-rollouts/cmd` of argoproj/argo-rollouts, whose merge patches compare nothing.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from backends.deployments.argo_rollouts.reading import RolloutReader
from backends.deployments.argo_rollouts.state import OP, OP_FROM, OP_REVISION, Seen
from backends.deployments.argo_rollouts.wire import containers_of
from backends.errors import BackendError
from backends.images import image_repository, with_version
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.patches import operation
from backends.text import clean

Patch = list[dict[str, Any]]
_TEMPLATE = ("spec", "template")
_REFUSED_OR_CHANGED = frozenset({409, 422})


class RolloutWriter:
    """Writes one Rollout. `container`: whose image is set; `repository`: of that image; both empty: as it is."""

    def __init__(self, api: KubernetesApi, reader: RolloutReader, container: str, repository: str) -> None:
        self._api = api
        self._reader = reader
        self._container = container
        self._repository = repository

    def image_patch(self, seen: Seen, version: str, stamp: str) -> Patch:
        """The image of its container. Raises BackendError(config) where there is none of that name."""
        at, image = self._place(seen)
        name = containers_of(seen.rollout.spec.template)[at][0]
        wanted = with_version(self._repository or image_repository(image), version)
        where = (*_TEMPLATE, "spec", "containers", str(at))
        return [
            *_same_spec(seen), operation("test", (*where, "name"), name), operation("test", (*where, "image"), image),
            operation("replace", (*where, "image"), wanted), *_marks(seen, stamp),
        ]  # fmt: skip

    def template_patch(self, seen: Seen, template: dict[str, Any], stamp: str) -> Patch:
        """Another template, whole. An empty `stamp` takes our marks away: nothing is begun by it."""
        return [*_same_spec(seen), operation("replace", _TEMPLATE, template), *_marks(seen, stamp)]

    @staticmethod
    def pause_patch(seen: Seen, paused: bool) -> Patch:
        """`spec.paused`."""
        return [*_same_spec(seen), operation("add", ("spec", "paused"), paused)]

    @staticmethod
    def restart_patch(seen: Seen) -> Patch:
        """`spec.restartAt`: the controller replaces what is older, a pod after the other. To the second, as it reads
        it."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return [*_same_spec(seen), operation("add", ("spec", "restartAt"), now)]

    @staticmethod
    def promote_patch(seen: Seen, how: str) -> Patch:
        """The pause that was seen cleared; `full`: everything skipped; `skip-step`: on to the next step."""
        status = seen.rollout.status
        patch = _same_change(seen)
        if how == "full":
            return [*patch, operation("add", ("status", "promoteFull"), True)]
        if status.pause_conditions:
            shown = [_plain(each) for each in status.pause_conditions]
            patch += [operation("test", ("status", "pauseConditions"), shown)]
            patch.append({"op": "remove", "path": "/status/pauseConditions"})
        if how == "skip-step":
            at = status.current_step_index or 0
            patch.append(operation("test", ("status", "currentStepIndex"), at))
            patch.append(operation("replace", ("status", "currentStepIndex"), at + 1))
            if status.controller_pause:
                patch.append(operation("replace", ("status", "controllerPause"), False))
        return patch

    @staticmethod
    def abort_patch(seen: Seen, abort: bool) -> Patch:
        """`status.abort`."""
        patch = _same_change(seen)
        if not abort:
            patch.append(operation("test", ("status", "abort"), True))
        return [*patch, operation("add", ("status", "abort"), abort)]

    async def send(self, seen: Seen, patch: Patch, *, status: bool = False, dry_run: bool = False) -> None:
        """One write. Raises BackendError: `conflict` where what was tested has changed, else what the server says."""
        try:
            path = await self._reader.path(*(["status"] if status else []))
            await self._api.patch(path, patch, msgspec.Raw, dry_run=dry_run)
        except BackendError as error:
            if error.status not in _REFUSED_OR_CHANGED:
                raise
            now = (await self._reader.look(judged=False)).state
            if now.revision == seen.state.revision and "test failed" not in error.message:
                raise  # nobody changed it: the API server does not take what was asked for
            words = f"Rollout {seen.name}: it was changed in the same moment: {now.view.message or now.view.phase}"
            raise BackendError("conflict", words, fix="look again, then plan anew") from None

    def _place(self, seen: Seen) -> tuple[int, str]:
        containers = containers_of(seen.rollout.spec.template)
        found = next((n for n, (name, _) in enumerate(containers) if self._container in ("", name)), None)
        if found is None:
            known = clean(", ".join(name for name, _ in containers), 200) or "none"
            words = f'Rollout {seen.name} has no container "{clean(self._container, 64)}"'
            raise BackendError("config", words, fix=f"known: {known}")
        return found, containers[found][1]


def _same_spec(seen: Seen) -> Patch:
    """That its spec is as it was seen: every change of that is another generation."""
    metadata = seen.rollout.metadata
    return [
        operation("test", ("metadata", "uid"), metadata.uid),
        operation("test", ("metadata", "generation"), metadata.generation),
    ]


def _same_change(seen: Seen) -> Patch:
    """That the same change is under way."""
    return [*_same_spec(seen), operation("test", ("status", "currentPodHash"), seen.rollout.status.current_pod_hash)]


def _marks(seen: Seen, stamp: str) -> Patch:
    """Who begins which change, and from where: kept where the next console finds it."""
    annotations = seen.rollout.metadata.annotations or {}
    if not stamp:
        return [
            {"op": "remove", "path": operation("remove", ("metadata", "annotations", key), None)["path"]}
            for key in (OP, OP_REVISION, OP_FROM) if key in annotations
        ]  # fmt: skip
    first = [] if annotations else [operation("add", ("metadata", "annotations"), {})]
    marks = {OP: stamp, OP_REVISION: str(seen.last_revision + 1), OP_FROM: seen.rollout.status.stable_rs}
    return first + [operation("add", ("metadata", "annotations", key), value) for key, value in marks.items()]


def _plain(condition: Any) -> dict[str, str]:
    began = condition.start_time
    told = {"reason": condition.reason, "startTime": began.strftime("%Y-%m-%dT%H:%M:%SZ") if began else ""}
    return {key: value for key, value in told.items() if value}
