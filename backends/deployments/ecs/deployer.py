"""A version onto the ECS service of the side that has no traffic: a new revision of its task definition, and
`update_service`, which has neither a compare-and-swap nor a token: it is read before and after, and the service's tag
says what was put there by which action."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping

from backends.deployments.ecs.cluster import MARK, Cluster, unfit
from backends.deployments.ecs.failing import why_failing
from backends.deployments.ecs.scaling import ALL, SUSPENDED, Scaling, findings, recorded
from backends.deployments.ecs.wire import LAUNCH_FIX, Rolling, Service, short_of
from backends.errors import BackendError
from backends.images import TAG_FIX, version_problem, with_version
from backends.models import Finding
from backends.ports import Deployed, Rollout, SwitchState
from backends.redaction import quoted
from backends.text import clean, counted

_ROLLS_BACK = re.compile(r"roll(?:ing|ed) back", re.IGNORECASE)
FAILED_TASKS = 3
"""So many tasks of a deployment that failed are its failure, where no circuit breaker says so."""
_FITS = {"CODE_DEPLOY": "codedeploy", "EXTERNAL": ""}


class EcsDeployer:
    """The `Deployer` of the services of one pair. `groups`: the target group of each color."""

    def __init__(
        self,
        cluster: Cluster,
        services: Mapping[str, str],
        groups: Mapping[str, str],
        observe: Callable[[], Awaitable[SwitchState]],
        *,
        container: str,
        repository: str,
    ) -> None:
        self._cluster = cluster
        self._services = services
        self._groups = groups
        self._observe = observe
        self._container = container
        self._repository = repository
        self._scaling = Scaling(cluster.account, cluster.name)
        self._followed: dict[str, str] = {}

    async def both(self) -> dict[str, Deployed]:
        """What runs on each side, in one look at the services. Raises BackendError."""
        found = await self._cluster.services(*self._services.values())
        return {color: await self._state(service) for color, service in zip(self._services, found, strict=True)}

    async def deployed(self, color: str) -> Deployed:
        """The service now. Raises BackendError: `not_found` where there is none."""
        return await self._state(await self._read(color))

    async def deploy_preflight(self, color: str, version: str) -> list[Finding]:
        """The version's form, the service and its kind, target group and container, and auto scaling.

        Raises BackendError: `auth` naming the right that is missing, `not_found` for a missing service."""
        if problem := version_problem(version):
            return [Finding.block("version", problem, TAG_FIX)]
        found = dict(zip(self._services, await self._cluster.services(*self._services.values()), strict=True))
        service = found[color]
        if bad := self._unfit(service, color):
            return [bad]
        definition = await self._cluster.definition(service.task_definition)
        if bad := unfit(definition, service.chosen(self._container)):
            return [bad]
        needed = max((each.desired_count for name, each in found.items() if name != color), default=0)
        if needed == 0 and service.desired_count == 0:
            text = f"both services are at 0: how large {color.upper()} must be is not known"
            return [Finding.block("scale", text, f"set the desired count of {service.service_name} first")]
        said = [Finding(level="ok", code="service", text=f"{service.service_name}: {_counts(service)}")]
        if len(service.deployments) > 1 or (service.primary and service.primary.rollout_state == "IN_PROGRESS"):
            text = f"a deployment of {service.service_name} is under way already: it is replaced"
            said.append(Finding(level="warning", code="under-way", text=text, fix="see who deploys there"))
        return said + await self._scaling_findings(service, color, needed)

    async def deploy(
        self, expected: Deployed, color: str, version: str, *, replicas: int | None, stamp: str, fence: int = 0
    ) -> Deployed:
        """A new revision in which only the image differs, and the service at it, as large as the live one at least.

        Raises BackendError: `config` for a version that is no tag or a service that is none of these; `failed` for one
        that would run nothing; `conflict` where `color` takes traffic or is not `expected`."""
        service = await self._expected(expected, color)
        size = max(service.desired_count, replicas or 0)
        if size == 0:
            words = f"service {service.service_name} is at 0: nothing would run"
            raise BackendError("failed", words, fix="set its desired count first")
        before = await self._cluster.definition(service.task_definition)
        container = service.chosen(self._container)
        made = before
        if before.version(container) != version or self._repository:
            made = await self._cluster.register(before, container, self._repository, version, stamp=stamp)
        return await self._put(service, color, made.arn, size, stamp, anew=made.arn == before.arn)

    async def rollout(self, color: str, version: str) -> Rollout:
        """By the id of the deployment that this program began, else by its version. Raises BackendError(conflict)
        where another version is wanted there by now."""
        service = await self._read(color)
        primary = service.primary
        if primary is None:
            raise BackendError("malformed", f"{service.service_name} has no deployment")
        container = service.chosen(self._container)
        wanted = await self._version(primary.task_definition, container)
        if version and wanted != version:
            gone = await self._went_back(service, color, version, container)
            if gone is not None:
                why = await why_failing(self._cluster, service, gone, container)
                said = quoted(gone.rollout_state_reason) or "its deployment failed"
                words = "; ".join(filter(None, (f"ECS goes back to {wanted or 'what it was'} by itself: {said}", why)))
                return Rollout(state="failed", detail=words)
            words = f"service {service.service_name} runs {wanted} now, not {clean(version, 128)}"
            raise BackendError("conflict", words, fix="somebody else changed it: plan anew")
        return await self._judge(service, primary, container)

    async def restore(
        self, expected: Deployed, color: str, recorded_: Deployed, *, stamp: str, fence: int = 0
    ) -> Deployed:
        """The recorded task definition and size; where ECS has gone back by itself there is nothing to write. Raises as
        `deploy`."""
        service = await self._expected(expected, color)
        arn = recorded_.artifact or service.task_definition
        size = recorded_.desired if recorded_.desired is not None else service.desired_count
        if (service.task_definition, service.desired_count) == (arn, size):
            self._followed[color] = service.primary.id if service.primary else ""
            return await self._state(service)
        return await self._put(service, color, arn, size, stamp)

    async def retire(self, expected: Deployed, color: str, *, stamp: str, fence: int = 0) -> Deployed:
        """To 0; auto scaling, whose minimum would undo it, is suspended, and a tag keeps what was before. Raises as
        `deploy`."""
        service = await self._expected(expected, color)
        scaled = await self._scaling.of(service.service_name)
        suspended = scaled is not None and not all(scaled.SuspendedState.all)
        if scaled is not None and suspended:
            await self._tag(service.service_arn, **{SUSPENDED: scaled.SuspendedState.words})
            await self._scaling.suspend(service.service_name, ALL)
        found = await self._put(service, color, service.task_definition, 0, stamp)
        if not suspended:
            return found
        words = f"{service.service_name} is at 0; its auto scaling is suspended until something is deployed there"
        return Deployed(
            version=found.version, artifact=found.artifact, desired=0, ready=found.ready, revision=found.revision,
            stamp=found.stamp, detail=words,
        )  # fmt: skip

    def describe_deploy(self, color: str, version: str) -> list[str]:
        """One line: service, container, image."""
        container = f"container {self._container}" if self._container else "the container behind the load balancer"
        image = with_version(self._repository, version) if self._repository else f"the same image at {version}"
        if not version:
            image = "the task definition that is recorded"
        return [f"deploy   ECS service {short_of(self._services[color])}: {container}: {image}"]

    def describe_retire(self, color: str) -> list[str]:
        """One line: auto scaling may be touched too."""
        return [f"scaling  of {short_of(self._services[color])} is suspended, where it has any"]

    # ---- inside

    async def _read(self, color: str) -> Service:
        if color not in self._services:
            known = ", ".join(self._services)
            raise BackendError("not_found", f'no ECS service for color "{clean(color, 64)}"', fix=f"known: {known}")
        (found,) = await self._cluster.services(self._services[color])
        return found

    async def _expected(self, expected: Deployed, color: str) -> Service:
        """The service where it may be written: as expected, of a fitting kind, without traffic at this moment."""
        service = await self._read(color)
        if bad := self._unfit(service, color):
            raise BackendError("config", bad.text, fix=bad.fix)
        now = await self._observe()
        if not now.weights or now.weights.get(color, 0) != 0:
            words = f"{color.upper()} takes traffic: service {service.service_name} is left as it is"
            raise BackendError("conflict", words)
        if _revision(service) != expected.revision:
            words = f"service {service.service_name} is at {short_of(service.task_definition)} now: changed"
            raise BackendError("conflict", words)
        return service

    async def _put(
        self, service: Service, color: str, arn: str, size: int, stamp: str, *, anew: bool = False
    ) -> Deployed:
        """The mark first: what it says counts where the service is so."""
        await self._tag(service.service_arn, **{MARK: f"{stamp} {short_of(arn)} {size}"})
        change: dict[str, object] = {"desiredCount": size}
        if arn != service.task_definition:
            change["taskDefinition"] = arn
        elif anew:
            change["forceNewDeployment"] = True
        written = await self._cluster.update(service.service_name, **change)
        self._followed[color] = written.primary.id if written.primary else ""
        if size and (tag := service.tag(SUSPENDED)):
            before = recorded(tag)
            if before is not None:
                await self._scaling.suspend(service.service_name, before)
            await self._untag(service.service_arn, SUSPENDED)
        return await self._state(await self._read(color))

    async def _tag(self, arn: str, **tags: str) -> None:
        pairs = [{"key": key, "value": value} for key, value in tags.items()]
        await self._cluster.account.write("ecs", "tag_resource", resourceArn=arn, tags=pairs)

    async def _untag(self, arn: str, *keys: str) -> None:
        await self._cluster.account.write("ecs", "untag_resource", resourceArn=arn, tagKeys=list(keys))

    async def _state(self, service: Service) -> Deployed:
        primary = service.primary
        stamp, _, rest = service.tag(MARK).partition(" ")
        is_so = rest == f"{short_of(service.task_definition)} {service.desired_count}"
        return Deployed(
            version=await self._version(service.task_definition, service.chosen(self._container)),
            artifact=service.task_definition,
            desired=service.desired_count,
            ready=primary.running_count if primary else service.running_count,
            revision=_revision(service),
            stamp=clean(stamp, 128) if is_so else "",
            detail=f"{service.service_name}: {_counts(service)}",
        )

    async def _version(self, arn: str, container: str) -> str | None:
        return (await self._cluster.definition(arn)).version(container) if arn else None

    async def _went_back(self, service: Service, color: str, version: str, container: str) -> Rolling | None:
        """The deployment of `version` that failed, where ECS has another one as its newest since."""
        for each in service.deployments:
            mine = each.id == self._followed.get(color) or each.rollout_state == "FAILED"
            if each.status != "PRIMARY" and mine and await self._version(each.task_definition, container) == version:
                return each
        primary, followed = service.primary, self._followed.get(color, "")
        if primary is None or not _ROLLS_BACK.search(primary.rollout_state_reason):
            return None
        # One without tasks is not listed any more: what became of it stands in the service's events.
        told = (each.message for each in service.events if followed and followed in each.message)
        reason = next((words for words in told if "failed" in words), primary.rollout_state_reason)
        return Rolling(
            id=followed, task_definition=primary.task_definition, rollout_state_reason=reason, failed_tasks=1
        )

    async def _judge(self, service: Service, primary: Rolling, container: str) -> Rollout:
        running, desired = primary.running_count, primary.desired_count
        counts = f"{running} of {desired} running"
        size = {"ready": running, "desired": desired}
        done = primary.rollout_state in ("COMPLETED", "") and len(service.deployments) == 1
        if done and desired > 0 and running >= desired and primary.pending_count == 0:
            return Rollout(state="complete", detail=f"{counts}, deployment {primary.id} completed", **size)
        troubled = primary.failed_tasks or running < desired
        why = await why_failing(self._cluster, service, primary, container) if troubled else ""
        breaker = (service.deployment_configuration.get("deploymentCircuitBreaker") or {}).get("enable")
        if primary.rollout_state == "FAILED":
            said = quoted(primary.rollout_state_reason) or "the deployment failed"
            return Rollout(state="failed", detail="; ".join(filter(None, (said, why))), **size)
        if primary.failed_tasks >= max(FAILED_TASKS, desired) and not breaker:
            words = f"{counted(primary.failed_tasks, 'task')} failed, and no circuit breaker ends it"
            return Rollout(state="failed", detail="; ".join(filter(None, (words, why))), **size)
        failed = f"{primary.failed_tasks} failed" if primary.failed_tasks else ""
        return Rollout(state="progressing", detail="; ".join(filter(None, (counts, failed, why))), **size)

    def _unfit(self, service: Service, color: str) -> Finding | None:
        """Why this program does not deploy there, with the type that fits."""
        name, kind = service.service_name, service.deployment_controller.type
        if kind != "ECS":
            fits = f'type = "{_FITS[kind]}"' if _FITS.get(kind) else "a service of the controller ECS"
            return Finding.block("controller", f"service {name} is moved by {clean(kind, 40)}", fits)
        if service.strategy != "ROLLING":
            text = f"service {name} has the strategy {clean(service.strategy, 40)}: ECS moves its traffic itself"
            return Finding.block("strategy", text, 'type = "ecs-native"')
        if service.unreached:
            return Finding.block("launch-type", service.unreached, LAUNCH_FIX)
        groups = [each.target_group_arn for each in service.load_balancers]
        if self._groups[color] not in groups:
            behind = ", ".join(clean(short_of(arn.rpartition("/")[0]), 64) for arn in groups) or "no target group"
            text = f"service {name} is behind {behind}, not behind target_groups.{color}"
            return Finding.block("target-group", text, "correct `services` or `target_groups`")
        return None

    async def _scaling_findings(self, service: Service, color: str, needed: int) -> list[Finding]:
        try:
            return findings(await self._scaling.of(service.service_name), service.service_name, color, needed)
        except BackendError as error:
            if error.kind != "auth":
                raise
            text = f"whether auto scaling limits {color.upper()} is not known: {error.message}"
            return [Finding(level="warning", code="autoscaler", text=text, fix=error.fix)]


def _revision(service: Service) -> str:
    primary = service.primary
    what = (primary.id if primary else "", service.task_definition, service.desired_count)
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def _counts(service: Service) -> str:
    return f"{service.running_count} of {service.desired_count} running, {short_of(service.task_definition)}"
