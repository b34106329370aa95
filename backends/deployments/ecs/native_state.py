"""What ECS says of a service whose traffic it moves, as a controller's state: its newest deployment and its history."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from backends.aws.wire import told
from backends.deployments.controlled import goes_back, offers
from backends.deployments.ecs.cluster import ACTION, Cluster
from backends.deployments.ecs.failing import is_planned, stopped_words
from backends.deployments.ecs.native_wire import Brief, ServiceDeployment, ServiceRevision, Weighted
from backends.deployments.ecs.wire import LAUNCH_FIX, Service, short_of
from backends.errors import BackendError
from backends.models import ControllerPhase, ControllerView, OrderName, Revision
from backends.ports import ControllerState, Operation, Pause
from backends.ports.controllers import OperationState
from backends.redaction import quoted
from backends.times import local_words

STAGES = (
    "RECONCILE_SERVICE", "PRE_SCALE_UP", "SCALE_UP", "POST_SCALE_UP", "TEST_TRAFFIC_SHIFT", "POST_TEST_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME", "CLEAN_UP",
)  # fmt: skip
TESTED_IN = frozenset({"POST_TEST_TRAFFIC_SHIFT", "PRE_PRODUCTION_TRAFFIC_SHIFT"})
"""The stages in which the test listener reaches the new tasks, and no other does."""
HISTORY = 10
_STATES: dict[str, OperationState] = {
    "PENDING": "open", "IN_PROGRESS": "open", "STOP_REQUESTED": "open", "ROLLBACK_REQUESTED": "open",
    "ROLLBACK_IN_PROGRESS": "open", "SUCCESSFUL": "succeeded", "ROLLBACK_SUCCESSFUL": "rolled_back",
    "STOPPED": "stopped", "ROLLBACK_FAILED": "failed",
}  # fmt: skip
_BACK = frozenset({"ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"})
_PHASES: dict[OperationState, ControllerPhase] = {
    "succeeded": "healthy", "rolled_back": "healthy", "stopped": "degraded", "failed": "degraded",
    "unknown": "unknown",
}  # fmt: skip
NO_PAUSE = "ECS has none of its own: a lifecycle hook of the type PAUSE in the service's deploymentConfiguration waits"


class Seen(Struct, kw_only=True):
    """All that one look found: `state`, and what a panel shows besides."""

    state: ControllerState
    service: Service
    newest: ServiceDeployment | None
    stable: ServiceRevision | None
    candidate: ServiceRevision | None


class NativeReader:
    """Reads one service. `container`: whose image is the version; empty: the one behind the load balancer. `preview`:
    the URL at its test listener."""

    def __init__(self, cluster: Cluster, service: str, container: str, preview: str = "") -> None:
        self._cluster = cluster
        self._service = service
        self._container = container
        self._preview = preview
        self._ask = f"`{cluster.account.who_called('UpdateService')}` names who"
        self._revisions: dict[str, ServiceRevision] = {}

    async def look(self) -> Seen:
        """Now. Raises BackendError: `config` for a service that ECS does not move itself."""
        (service,) = await self._cluster.services(self._service)
        refuse_another_kind(service)
        listed = await self._listed()
        newest = await self.deployment(listed[0].service_deployment_arn) if listed else None
        known = [each.target_service_revision_arn for each in listed]
        if newest is not None:
            known += [each.arn for each in newest.source_service_revisions]
            known += [newest.rollback.service_revision_arn] if newest.rollback else []
        await self._learn(known)
        operation = None if newest is None else await self.operation_of(newest, listed)
        stable, candidate = self._sides(newest, operation, service)
        before, returned = self._before(listed, stable, candidate)
        if operation is not None and operation.left:  # it is put right by what it came from, never by anything older
            before, returned = operation.source, False
        state = self._state(newest, operation, stable, candidate, before, returned)
        return Seen(state=state, service=service, newest=newest, stable=stable, candidate=candidate)

    async def operation(self, arn: str) -> Operation:
        """That deployment, open or ended. Raises BackendError(not_found)."""
        found = await self.deployment(arn)
        listed = await self._listed()
        target = found.target_service_revision
        known = [each.arn for each in (*found.source_service_revisions, *([target] if target else []))]
        await self._learn([*known, *(each.target_service_revision_arn for each in listed)])
        return await self.operation_of(found, listed)

    async def deployment(self, arn: str) -> ServiceDeployment:
        """Raises BackendError(not_found)."""
        if ":service-deployment/" not in arn:
            raise BackendError("not_found", f"{self._cluster.where}: no service deployment {quoted(arn)}")
        answer = await self._cluster.account.read("ecs", "describe_service_deployments", serviceDeploymentArns=[arn])
        found = told(answer.get("serviceDeployments", []), list[ServiceDeployment], self._cluster.where)
        if not found:
            raise BackendError("not_found", f"{self._cluster.where}: no service deployment {short_of(arn)}")
        return found[0]

    async def operation_of(self, found: ServiceDeployment, listed: Sequence[Brief]) -> Operation:
        """A deployment as an operation."""
        state = _STATES.get(found.status, "unknown")
        target, source = found.target_service_revision, found.source
        stage = found.lifecycle_stage if state == "open" else ""
        began = found.started_at or found.created_at
        ended = found.finished_at
        took = ((ended or datetime.now(UTC)) - began).total_seconds() if began else None
        stamp = await self._stamp(found, listed)
        return Operation(
            id=found.service_deployment_arn, state=state, target=self._revision(target) or Revision(id="?"),
            source=self._revision(source), back=found.status in _BACK,
            shares=_shares(source, target), stage=stage,
            step=STAGES.index(stage) + 1 if stage in STAGES else None, steps_total=len(STAGES) if stage else None,
            pause=_pause(found, self._preview) if state == "open" and found.status == "IN_PROGRESS" else None,
            stamp=stamp,
            by="" if stamp else f"somebody since {local_words(began, UTC)}" if began else "somebody",
            ask="" if stamp else self._ask, detail=await self._detail(found, state),
            began_at=began, ended_at=ended, took_s=took,
        )  # fmt: skip

    # ---- inside

    async def _listed(self) -> list[Brief]:
        """The newest first."""
        asked = {"cluster": self._cluster.name, "service": self._service, "maxResults": HISTORY}
        answer = await self._cluster.account.first(
            "ecs", "list_service_deployments", "serviceDeployments", dict, **asked
        )
        return told(answer.get("serviceDeployments", []), list[Brief], self._cluster.where)[:HISTORY]

    async def _learn(self, arns: Sequence[str]) -> None:
        missing = [arn for arn in dict.fromkeys(arns) if arn and arn not in self._revisions]
        if not missing:
            return
        answer = await self._cluster.account.read("ecs", "describe_service_revisions", serviceRevisionArns=missing[:20])
        for each in told(answer.get("serviceRevisions", []), list[ServiceRevision], self._cluster.where):
            self._revisions[each.service_revision_arn] = each

    def _revision(self, weighted: Weighted | None) -> Revision | None:
        return None if weighted is None else self._named(self._revisions.get(weighted.arn))

    def _named(self, found: ServiceRevision | None) -> Revision | None:
        if found is None:
            return None
        return Revision(id=found.task_definition, version=found.version(self._container))

    async def _stamp(self, found: ServiceDeployment, listed: Sequence[Brief]) -> str:
        """Of the action that made the task definition, where this is the first deployment of it."""
        target = found.target_service_revision
        mine = self._revisions.get(target.arn) if target else None
        if mine is None:
            return ""
        arns = [each.service_deployment_arn for each in listed]
        older = listed[arns.index(found.service_deployment_arn) + 1 :] if found.service_deployment_arn in arns else []
        defined = (self._revisions.get(each.target_service_revision_arn) for each in older)
        if any(each is not None and each.task_definition == mine.task_definition for each in defined):
            return ""
        return (await self._cluster.definition(mine.task_definition)).tags.get(ACTION, "")

    async def _detail(self, found: ServiceDeployment, state: OperationState) -> str:
        target = found.target_service_revision
        said = quoted(found.status_reason or (found.rollback.reason if found.rollback else ""))
        if state != "open":
            words = {"succeeded": "completed", "rolled_back": "went back"}.get(state, state)
            return f"{words}: {said}" if said and state != "succeeded" else words
        if found.status in _BACK or found.status == "STOP_REQUESTED":
            words = "goes back" if found.status in _BACK else "is being stopped"
            return f"{words}: {said}" if said else words
        parts = [found.lifecycle_stage or "PENDING"]
        if target is not None:
            parts.append(f"{target.running_task_count} of {target.requested_task_count} new tasks running")
            if target.requested_production_traffic_weight:
                parts.append(f"{target.requested_production_traffic_weight:g} % of the traffic")
            if target.running_task_count < target.requested_task_count and (why := await self._why(target)):
                parts.append(why)
        if (pause := _pause(found)) is not None:
            return ", ".join([*parts[1:], pause.words])
        parts += [f"hook {short_of(each.target_arn)} at work" for each in found.lifecycle_hook_details
                  if each.status == "IN_PROGRESS"]  # fmt: skip
        return ", ".join(parts)

    async def _why(self, target: Weighted) -> str:
        """Why its newest task stopped, or which right is missing to look; empty where none did."""
        revision = self._revisions.get(target.arn)
        try:
            tasks = await self._cluster.stopped(self._service)
        except BackendError as error:
            return f"why a task stopped can not be read: {error.message}" if error.kind == "auth" else ""
        failed = [task for task in tasks if revision and task.task_definition_arn == revision.task_definition]
        return next((stopped_words(task) for task in failed if not is_planned(task)), "")

    def _sides(
        self, newest: ServiceDeployment | None, operation: Operation | None, service: Service
    ) -> tuple[ServiceRevision | None, ServiceRevision | None]:
        if newest is None or operation is None:
            return None, None
        target = newest.target_service_revision
        aim = self._revisions.get(target.arn) if target else None
        source = self._revisions.get(newest.source.arn) if newest.source else None
        if operation.state == "succeeded":
            return aim, None
        if operation.state == "rolled_back" and newest.rollback is not None:
            return self._revisions.get(newest.rollback.service_revision_arn, source), None
        return source, aim

    def _before(
        self, listed: Sequence[Brief], stable: ServiceRevision | None, candidate: ServiceRevision | None
    ) -> tuple[Revision | None, bool]:
        """What was stable before, and whether the newest change, open or ended, was a way back."""
        good = [self._revisions.get(each.target_service_revision_arn) for each in listed if each.status == "SUCCESSFUL"]
        defined = [each for each in good if each is not None]
        if stable is None:
            return None, False
        history, here = [each.task_definition for each in reversed(defined)], stable.task_definition
        before = next((each for each in defined if each.task_definition != here), None)
        if candidate is not None:
            return self._named(before), goes_back(history, here, candidate.task_definition)
        return self._named(before), before is not None and goes_back(history, before.task_definition, here)

    def _state(
        self, newest: ServiceDeployment | None, operation: Operation | None, stable: ServiceRevision | None,
        candidate: ServiceRevision | None, before: Revision | None, returned: bool,
    ) -> ControllerState:  # fmt: skip
        phase: ControllerPhase = "unknown"
        if operation is not None:
            phase = _PHASES.get(operation.state, "progressing")
            if operation.open:
                phase = "rolling_back" if operation.back else "paused" if operation.pause else "progressing"
        pause = operation.pause if operation else None
        view = ControllerView(
            type="ecs-native", phase=phase, message=operation.detail if operation else "no deployment is known",
            stage=operation.stage if operation else "", step=operation.step if operation else None,
            steps_total=operation.steps_total if operation else None, stable=self._named(stable),
            candidate=self._named(candidate), paused_since=pause.since if pause else None,
            paused_until=pause.until if pause else None, then=pause.then_words if pause else "",
            orders=offers(_why_not(operation, before, returned)),
        )  # fmt: skip
        what = (
            operation.id if operation else "", newest.status if newest else "", operation.stage if operation else "",
            pause.id if pause else "",
        )  # fmt: skip
        token = hashlib.sha256(repr(what).encode()).hexdigest()[:16]
        return ControllerState(view=view, revision=token, newest=operation, before=before, returned=returned)


def refuse_another_kind(service: Service) -> None:
    """Raises BackendError(config) for a service whose traffic ECS does not move, with the type that fits."""
    name, kind = service.service_name, service.deployment_controller.type
    if service.unreached:
        raise BackendError("config", service.unreached, fix=LAUNCH_FIX)
    if kind != "ECS":
        fits = 'type = "codedeploy"' if kind == "CODE_DEPLOY" else "a service of the controller ECS"
        raise BackendError("config", f"service {name} is moved by {quoted(kind)}, not by ECS", fix=fits)
    if service.strategy == "ROLLING":
        raise BackendError(
            "config", f"service {name} has the strategy ROLLING: ECS moves no traffic", fix='type = "ecs"'
        )


def _shares(source: Weighted | None, target: Weighted | None) -> dict[str, int]:
    if target is None:
        return {}
    candidate = round(target.requested_production_traffic_weight)
    return {"stable": 100 - candidate if source is not None else 0, "candidate": candidate}


def _pause(found: ServiceDeployment, preview: str = "") -> Pause | None:
    for hook in found.lifecycle_hook_details:
        if hook.status == "AWAITING_ACTION":
            ends: Literal["promote", "rollback"] = "promote" if hook.timeout_action == "CONTINUE" else "rollback"
            return Pause(
                id=hook.hook_id, why=found.lifecycle_stage or "a hook", since=found.updated_at, until=hook.expires_at,
                then=ends if hook.expires_at else "", preview=preview if found.lifecycle_stage in TESTED_IN else "",
            )  # fmt: skip
    return None


def _why_not(operation: Operation | None, before: Revision | None, returned: bool) -> dict[OrderName, str]:
    under_way = operation if operation is not None and operation.open else None
    busy = f"{short_of(under_way.id)} is under way: {under_way.detail}" if under_way else ""
    idle = "" if under_way else "nothing is under way"
    waits = "no hook waits: stages and bake go on by themselves, and abort ends them"
    back = "it is on its way back" if under_way and under_way.back else ""
    undone = "the newest change was a way back" if returned else ""
    return {
        "release": busy,
        "promote": idle or back or ("" if under_way and under_way.pause else waits),
        "abort": idle or back,
        "rollback": busy or undone or ("" if before else "no other revision is known that was stable"),
        "retry": "ECS has none: release the version again",
        "pause": NO_PAUSE,
        "resume": f"{NO_PAUSE}, and promote goes on",
        "retire": "ECS itself takes the old revision down, after the bake",
    }
