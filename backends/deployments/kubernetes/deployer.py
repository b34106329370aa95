"""A version onto the Deployment of the side that has no traffic: one JSON patch that tests what it expects."""

import hashlib
from typing import Any

import msgspec

from backends.deployments.argo_cd.owner import self_heal_findings
from backends.deployments.kubernetes.control import FENCE, OP, Control, ControlObject
from backends.deployments.kubernetes.owners import owners_by_mark
from backends.deployments.kubernetes.preflight import check_rights, identity_findings
from backends.deployments.kubernetes.rollout import SIZE, judge_rollout
from backends.deployments.kubernetes.run_conditions import RunConditions
from backends.deployments.kubernetes.sides import Sides
from backends.errors import BackendError
from backends.images import TAG_FIX, image_repository, image_version, version_problem, with_version
from backends.kubernetes.api import KubernetesApi
from backends.kubernetes.patches import operation
from backends.kubernetes.wire import Container, Workload
from backends.models import Finding
from backends.ports import Deployed, Rollout
from backends.text import clean
from backends.together import together

DEPLOY_RIGHTS = (("get", "apps", "deployments"), ("patch", "apps", "deployments"), ("list", "", "pods"))


class KubernetesDeployer:
    """The `Deployer` of the Deployments of one service. `repository` is the image without a tag; empty: that which
    runs now."""

    def __init__(
        self,
        api: KubernetesApi,
        control: Control[Any],
        of: ControlObject[Any],
        sides: Sides,
        conditions: RunConditions,
        *,
        deployments: dict[str, str],
        container: str,
        repository: str,
    ) -> None:
        self._api = api
        self._control = control
        self._sides = sides
        self._conditions = conditions
        self._of = of
        self._deployments = deployments
        self._container = container
        self._repository = repository

    async def deployed(self, color: str) -> Deployed:
        """The Deployment now. Raises BackendError: `not_found` where there is none."""
        return self._state(await self._read(color))

    async def deploy_preflight(self, color: str, version: str) -> list[Finding]:
        """Rights, the version's form, the Deployment, its pods' color, autoscalers, other owners, and a dry run.

        Raises BackendError: `auth` naming the verb that is missing, `not_found` for a missing Deployment.
        """
        findings = [await check_rights(self._api, DEPLOY_RIGHTS)]
        if problem := version_problem(version):
            return [*findings, Finding.block("version", problem, TAG_FIX)]
        workload, found = await together(self._read(color), self._control.read())
        problems = [
            Finding.block("deployment", error.message, error.fix) for error in await self._unfit(workload, found, color)
        ]
        if problems:
            return findings + problems
        weights = self._control.state(found).weights
        live = max(weights, key=lambda one: weights[one])
        other = await self._read(live) if live in self._deployments else None
        needed = other.spec.replicas if other is not None else 0
        carries = self._deployments.get(live, "")
        findings += await self._conditions.limits(self._deployments[color], carries, needed, gains=color, loses=live)
        findings += owners_by_mark(workload.metadata, f"Deployment {self._deployments[color]}", "its image")
        findings += await self_heal_findings(self._api, "Deployment", workload.metadata)
        if needed == 0 and workload.spec.replicas == 0:
            text = f"both sides are scaled to zero: how large {color.upper()} must be is not known"
            return [*findings, Finding.block("scale", text, f"scale {self._deployments[color]} up first")]
        operations = self._patch(
            workload, image=self._image(workload, version), replicas=None, stamp="preflight", fence=0
        )
        try:
            await self._api.patch(await self._path(color), operations, msgspec.Raw, dry_run=True)
        except BackendError as error:
            if error.kind == "auth" or error.status is None or error.status >= 500:
                raise
            text = f"the API server refuses the change: {error.message}"
            return [*findings, Finding.block("dry-run", text, "see what its admission wants")]
        return [*findings, Finding(level="ok", code="deployment", text=self._state(workload).detail)]

    async def retire_preflight(self, color: str) -> list[Finding]:
        """As whom, and in which cluster. Raises BackendError."""
        return await identity_findings(self._api)

    async def deploy(
        self, expected: Deployed, color: str, version: str, *, replicas: int | None, stamp: str, fence: int = 0
    ) -> Deployed:
        """The image, the size and the stamp in one write. Returns what was read back.

        Raises BackendError: `config` for a version that is no tag; `failed` for a Deployment that is paused or would
        run nothing; `conflict` where `color` takes traffic or is not `expected`; `auth`, `not_found`, `timeout`,
        `unreachable`.
        """
        if problem := version_problem(version):
            raise BackendError("config", problem, fix=TAG_FIX)
        workload = await self._expected(expected, color)
        size = max(workload.spec.replicas, replicas or 0)
        if size == 0:
            words = f"Deployment {self._deployments[color]} is scaled to zero: nothing would run"
            raise BackendError("failed", words, fix="scale it up first")
        return await self._write(workload, color, self._image(workload, version), size, stamp, fence)

    async def rollout(self, color: str, version: str) -> Rollout:
        """Raises BackendError: `conflict` where another version is wanted there by now."""
        workload = await self._read(color)
        wanted = image_version(self._chosen(workload, color).image)
        if version and wanted != version:
            what = f"Deployment {self._deployments[color]}"
            whose = [found.text for found in owners_by_mark(workload.metadata, what, "the image")]
            words = "; ".join([f"{what} runs {wanted} now, not {clean(version, 128)}", *whose])
            fix = (
                "release it where that takes it from, or plan anew" if whose else "somebody else changed it: plan anew"
            )
            raise BackendError("conflict", words, fix=fix)
        chosen = await self._of.chosen(await self._control.read(), color)
        return judge_rollout(workload, await self._sides.pods(chosen), self._container)

    async def restore(
        self, expected: Deployed, color: str, recorded: Deployed, *, stamp: str, fence: int = 0
    ) -> Deployed:
        """The recorded image and size. Raises as `deploy`."""
        workload = await self._expected(expected, color)
        image = recorded.artifact or self._chosen(workload, color).image
        size = recorded.desired if recorded.desired is not None else workload.spec.replicas
        return await self._write(workload, color, image, size, stamp, fence)

    async def retire(self, expected: Deployed, color: str, *, stamp: str, fence: int = 0) -> Deployed:
        """Scale to zero. Raises as `deploy`."""
        workload = await self._expected(expected, color)
        return await self._write(workload, color, self._chosen(workload, color).image, 0, stamp, fence)

    def describe_deploy(self, color: str, version: str) -> list[str]:
        """One line: Deployment, container, image."""
        container = f"container {self._container}" if self._container else "its first container"
        image = with_version(self._repository, version) if self._repository else f"the same image at {version}"
        if not version:
            image = "the image that is recorded"
        return [f"deploy   Deployment {self._deployments[color]}: {container}: {image}"]

    def describe_retire(self, color: str) -> list[str]:
        """No command: the plan's own line says it all."""
        return []

    # ---- inside

    async def _read(self, color: str) -> Workload:
        name = self._deployments.get(color)
        if name is None:
            known = ", ".join(self._deployments)
            raise BackendError("not_found", f'no Deployment for color "{clean(color, 64)}"', fix=f"known: {known}")
        return await self._api.get(await self._path(color), Workload)

    async def _expected(self, expected: Deployed, color: str) -> Workload:
        """The Deployment where it may be written: as expected, whole, and of a side without traffic at this moment."""
        workload = await self._read(color)
        found = self._state(workload)
        if (found.revision, found.artifact) != (expected.revision, expected.artifact):
            by = f", stamp {found.stamp}" if found.stamp else ""
            words = f"Deployment {self._deployments[color]} runs {found.version} now{by}: changed"
            raise BackendError("conflict", words)
        for problem in await self._unfit(workload, await self._control.read(), color):
            raise problem
        return workload

    async def _unfit(self, workload: Workload, found: Any, color: str) -> list[BackendError]:
        """Why nothing may be put there, the worst first."""
        name, switch = self._deployments[color], self._control.state(found)
        labels = workload.spec.template.metadata.labels or {}
        if not switch.weights:
            why, _, fix = switch.detail.partition("\n")
            return [BackendError("conflict", why, fix=fix)]
        taking = [one for one, weight in switch.weights.items() if weight]
        behind = await together(*(self._of.chosen(found, one) for one in taking))
        if color in taking or any(one.labels and one.labels.items() <= labels.items() for one in behind):
            words = f"{color.upper()} takes the traffic: Deployment {name} is not touched"
            return [BackendError("conflict", words, fix="deploy to the side without traffic")]
        try:
            own = await self._of.chosen(found, color)
        except BackendError as error:
            return [error]
        for key, wanted in own.labels.items():
            if labels.get(key) != wanted:
                said = clean(labels.get(key, "nothing"), 64)
                words = f"Deployment {name} makes pods with {clean(key, 64)}={said}, not {clean(wanted, 64)}"
                return [
                    BackendError("config", words, fix=f"correct `deployments` or `{self._of.chooses}` of this entry")
                ]
        if workload.spec.paused:
            words = f"Deployment {name} is paused: nothing it is told is rolled out"
            return [BackendError("failed", words, fix=f"kubectl rollout resume deployment/{name}")]
        try:
            self._chosen(workload, color)
        except BackendError as error:
            return [error]
        return []

    def _chosen(self, workload: Workload, color: str) -> Container:
        containers = workload.spec.template.spec.containers
        found = next((one for one in containers if self._container in ("", one.name)), None)
        if found is None:
            known = clean(", ".join(one.name for one in containers), 200)
            words = f'Deployment {self._deployments[color]} has no container "{clean(self._container, 64)}"'
            raise BackendError("config", words, fix=f"known: {known}")
        return found

    def _state(self, workload: Workload) -> Deployed:
        name, metadata = clean(workload.metadata.name, 128), workload.metadata
        containers = workload.spec.template.spec.containers
        image = next((one.image for one in containers if self._container in ("", one.name)), "")
        # Without the size: an autoscaler changes that at any time, and it is nobody's decision on the version.
        what = [metadata.uid, image, metadata.annotation(OP), metadata.annotation(FENCE)]
        words = f"Deployment {name}: {workload.status.ready_replicas} of {workload.spec.replicas} ready"
        return Deployed(
            version=image_version(image),
            artifact=clean(image, 512),
            desired=workload.spec.replicas,
            ready=workload.status.ready_replicas,
            revision=hashlib.sha256(msgspec.json.encode(what)).hexdigest()[:16],
            stamp=clean(metadata.annotation(OP), 128),
            detail=words + (", paused" if workload.spec.paused else ""),
        )

    def _image(self, workload: Workload, version: str) -> str:
        containers = workload.spec.template.spec.containers
        now = next((one.image for one in containers if self._container in ("", one.name)), "")
        return with_version(self._repository or image_repository(now), version)

    def _patch(
        self, workload: Workload, *, image: str, replicas: int | None, stamp: str, fence: int
    ) -> list[dict[str, Any]]:
        metadata, containers = workload.metadata, workload.spec.template.spec.containers
        index = next(place for place, one in enumerate(containers) if self._container in ("", one.name))
        at = ("spec", "template", "spec", "containers", str(index))
        annotations = metadata.annotations or {}
        operations = [
            operation("test", ("metadata", "uid"), metadata.uid),
            operation("test", (*at, "name"), containers[index].name),
            operation("test", (*at, "image"), containers[index].image),
        ]
        operations += [
            operation("test", ("metadata", "annotations", key), annotations[key])
            for key in (OP, FENCE)
            if key in annotations
        ]
        if not annotations:
            operations.append(operation("test", ("metadata", "resourceVersion"), metadata.resource_version))
            operations.append(operation("add", ("metadata", "annotations"), {}))
        if image != containers[index].image:
            operations.append(operation("replace", (*at, "image"), image))
        if replicas is not None:
            operations.append(operation("add", ("spec", "replicas"), replicas))
            operations.append(operation("add", ("metadata", "annotations", SIZE), str(replicas)))
        operations.append(operation("add", ("metadata", "annotations", FENCE), str(fence)))
        operations.append(operation("add", ("metadata", "annotations", OP), stamp))
        return operations

    async def _write(
        self, workload: Workload, color: str, image: str, replicas: int, stamp: str, fence: int
    ) -> Deployed:
        operations = self._patch(workload, image=image, replicas=replicas, stamp=stamp, fence=fence)
        try:
            await self._api.patch(await self._path(color), operations, msgspec.Raw)
        except BackendError as error:
            if error.status not in (409, 422):
                raise
            now = self._state(await self._read(color))
            if now.revision == self._state(workload).revision:
                raise  # nobody changed it: the API server does not take what was asked for
            words = f"Deployment {self._deployments[color]} runs {now.version} now: changed"
            raise BackendError("conflict", words) from None
        return self._state(await self._read(color))

    async def _path(self, color: str) -> str:
        return await self._api.path("apps/v1", "deployments", self._deployments[color])
