"""What CodeDeploy says of a deployment group, as a controller's state: its newest deployment and what was before."""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from backends.aws.account import Account
from backends.aws.wire import told
from backends.deployments.codedeploy.appspec import task_definition
from backends.deployments.codedeploy.wire import Deployment, Event, Group, ServiceTaskSet, Target
from backends.deployments.controlled import goes_back, offers
from backends.deployments.ecs.cluster import FROM, Cluster
from backends.deployments.ecs.wire import LAUNCH_FIX, Service, short_of
from backends.errors import BackendError
from backends.models import ControllerPhase, ControllerView, OrderName
from backends.models import Revision as Version
from backends.ports import ControllerState, Operation, Pause
from backends.ports.controllers import OperationState
from backends.redaction import quoted
from backends.times import local_words

EVENTS = (
    "BeforeInstall", "Install", "AfterInstall", "AllowTestTraffic", "AfterAllowTestTraffic", "BeforeAllowTraffic",
    "AllowTraffic", "AfterAllowTraffic",
)  # fmt: skip
HISTORY = 25
ROLLBACK_COMES_S = 60.0
"""So long after a deployment was stopped its rollback, a deployment of its own, may take to be seen."""
OURS = re.compile(r"tealdeck (\S+)")
_ENDED = frozenset({"Succeeded", "Failed", "Stopped"})


class Seen(Struct, kw_only=True):
    """All that one look found: `state`, and what a panel and an order need besides. `spec`: the AppSpec that ran last;
    empty where none did, or where it lies `elsewhere`."""

    state: ControllerState
    group: Group
    service: Service
    newest: Deployment | None
    target: Target | None
    spec: str
    elsewhere: bool


class GroupReader:
    """Reads one deployment group. `container`: whose image is the version; empty: the one behind the load balancer.
    `preview`: the URL at its test listener."""

    def __init__(
        self, account: Account, cluster: Cluster, application: str, group: str, service: str, container: str,
        preview: str = "",
    ) -> None:  # fmt: skip
        self._account = account
        self._cluster = cluster
        self._application = application
        self._group = group
        self._service = service
        self._container = self._chosen = container
        self._preview = preview
        self._ask = f"`{account.who_called('CreateDeployment')}` names who"
        self._ended: dict[str, Deployment] = {}
        self._sets: list[ServiceTaskSet] = []

    @property
    def where(self) -> str:
        """For people."""
        return f"CodeDeploy group {self._group} of {self._application}"

    async def look(self) -> Seen:
        """Now. Raises BackendError: `config` for a group of another service or platform."""
        group = await self.group()
        service = await self._serviced(group)
        attempted = group.last_attempted_deployment.deployment_id
        newest = await self._origin(await self.deployment(attempted)) if attempted else None
        target = await self._target(newest) if newest is not None else None
        operation = None if newest is None else await self._operation(newest, target)
        live = next((each.task_definition for each in self._sets if each.status == "PRIMARY"), service.task_definition)
        stable = operation.source if operation is not None and operation.open else await self._version(live)
        history = await self._history(newest)
        before, returned = await self._before(history, operation, stable)
        if operation is not None and operation.left:  # it is put right by what it came from, never by anything older
            before, returned = operation.source, False
        spec = next((each.revision.text for each in history if _ended_well(each) and each.revision.text), "")
        state = self._state(operation, stable, before, returned)
        last = group.last_successful_deployment.deployment_id  # that of a rollback, too, which put no version out
        looked_at = not last or any(each.deployment_id == last for each in history)
        elsewhere = not spec and (not looked_at or any(_ended_well(each) for each in history))
        return Seen(
            state=state, group=group, service=service, newest=newest, target=target, spec=spec, elsewhere=elsewhere
        )

    async def operation(self, ident: str) -> Operation:
        """That deployment with the one that takes it back. Raises BackendError(not_found)."""
        await self._serviced(await self.group())
        found = await self.deployment(ident)
        return await self._operation(found, await self._target(found))

    async def group(self) -> Group:
        """The deployment group. Raises BackendError: `not_found`, `config` for another platform."""
        answer = await self._account.read(
            "codedeploy", "get_deployment_group", applicationName=self._application, deploymentGroupName=self._group
        )
        found = told(answer.get("deploymentGroupInfo"), Group, self._account.where)
        if found.compute_platform not in ("ECS", "") or not found.ecs_services:
            words = f"{self.where} deploys to {quoted(found.compute_platform or 'no ECS service')}"
            raise BackendError("config", words, fix="a deployment group of the compute platform ECS")
        return found

    async def deployment(self, ident: str) -> Deployment:
        """One that has ended never changes, but for its rollback. Raises BackendError(not_found)."""
        if ident in self._ended:
            return self._ended[ident]
        answer = await self._account.read("codedeploy", "get_deployment", deploymentId=ident)
        return self._kept(told(answer.get("deploymentInfo"), Deployment, self._account.where))

    # ---- inside

    def _kept(self, found: Deployment) -> Deployment:
        if found.status == "Succeeded":
            self._ended[found.deployment_id] = found
        return found

    async def _serviced(self, group: Group) -> Service:
        """Raises BackendError(config) where the group deploys another service than the config names."""
        theirs = group.ecs_services[0]
        names = (short_of(theirs.cluster_name), theirs.service_name)
        if names != (short_of(self._cluster.name), self._service):
            words = (
                f"{self.where} deploys {quoted('/'.join(names))}, not {self._service} of {short_of(self._cluster.name)}"
            )
            raise BackendError("config", words, fix="correct `cluster` and `service`, or the group")
        answer = await self._cluster.account.read(
            "ecs", "describe_services", cluster=self._cluster.name, services=[self._service]
        )
        found = answer.get("services") or []
        if not found:
            raise BackendError(
                "not_found", f"{self._cluster.where}: service {self._service}: MISSING", fix="correct it"
            )
        service = told(found[0], Service, self._cluster.where)
        kind = service.deployment_controller.type
        if service.unreached:
            raise BackendError("config", service.unreached, fix=LAUNCH_FIX)
        if kind != "CODE_DEPLOY":
            fits = 'type = "ecs"' if service.strategy == "ROLLING" else 'type = "ecs-native"'
            words = f"service {self._service} is moved by {quoted(kind)}, not by CodeDeploy"
            raise BackendError("config", words, fix=fits)
        self._chosen = service.chosen(self._container)
        self._sets = told(found[0].get("taskSets", []), list[ServiceTaskSet], self._cluster.where)
        return service

    async def _origin(self, found: Deployment) -> Deployment:
        """A rollback is told with the deployment that it takes back."""
        triggered_by = found.rollback_info.rollback_triggering_deployment_id
        return await self.deployment(triggered_by) if triggered_by else found

    async def _target(self, found: Deployment) -> Target | None:
        ident = f"{short_of(self._cluster.name)}:{self._service}"
        try:
            answer = await self._account.read(
                "codedeploy", "batch_get_deployment_targets", deploymentId=found.deployment_id, targetIds=[ident]
            )
        except BackendError as error:
            if error.kind in ("not_found", "config", "malformed"):  # it has not begun with the service yet
                return None
            raise
        targets = answer.get("deploymentTargets") or []
        return told(targets[0].get("ecsTarget") or {}, Target, self._account.where) if targets else None

    async def _history(self, newest: Deployment | None) -> list[Deployment]:
        """The newest first."""
        asked = {"applicationName": self._application, "deploymentGroupName": self._group}
        answer = await self._account.first("codedeploy", "list_deployments", "deployments", dict, **asked)
        ids = [ident for ident in answer.get("deployments", []) if ident][:HISTORY]
        missing = [ident for ident in ids if ident not in self._ended]
        found = [self._ended[ident] for ident in ids if ident in self._ended]
        if missing:
            said = await self._account.read("codedeploy", "batch_get_deployments", deploymentIds=missing)
            found += [self._kept(each) for each in told(said.get("deploymentsInfo", []), list[Deployment], self.where)]
        first = datetime.min.replace(tzinfo=UTC)
        return sorted(found, key=lambda each: each.create_time or first, reverse=True)

    async def _before(
        self, history: Sequence[Deployment], operation: Operation | None, stable: Version | None
    ) -> tuple[Version | None, bool]:
        """What was stable before, and whether the newest change, open or ended, was a way back."""
        good = [task_definition(each.revision.text) for each in history if _ended_well(each)]
        known = [arn for arn in good if arn]
        if known and (len(history) < HISTORY or len({*known}) == 1):  # what ran before the first of them
            noted = (await self._cluster.definition(known[-1])).tags.get(FROM)
            known += [(await self._cluster.definition(noted)).arn] if noted else []
        oldest_first = known[::-1]
        if operation is not None and operation.open:
            source = operation.source.id if operation.source else ""
            return None, goes_back(oldest_first, source, operation.target.id)
        if stable is None:
            return None, False
        before = next((arn for arn in known if arn != stable.id), "")
        return await self._version(before), goes_back(oldest_first, before, stable.id)

    async def _version(self, arn: str) -> Version | None:
        if not arn:
            return None
        definition = await self._cluster.definition(arn)
        return Version(id=definition.arn, version=definition.version(self._chosen))

    async def _operation(self, found: Deployment, target: Target | None) -> Operation:
        back = found.rollback_info.rollback_deployment_id
        rollback = await self.deployment(back) if back else None
        blue, green = (target.side(label) if target else None for label in ("Blue", "Green"))
        weight = round(green.traffic_weight) if green is not None else 0
        shares = {"stable": 100 - weight, "candidate": weight}
        state, goes_back = _state_of(found, rollback, moved=green is not None)
        arrived = found.status == "InProgress" and found.instance_termination_wait_time_started
        ours = OURS.match(found.description)
        began, ended = found.start_time or found.create_time, (rollback or found).complete_time
        event = _event(target)
        return Operation(
            id=found.deployment_id, state=state,
            target=await self._version(task_definition(found.revision.text)) or Version(id="?"),
            source=await self._version(self._definition_of(blue.identifer if blue else "", found)),
            back=goes_back, arrived=arrived and state == "open" and not goes_back, shares=shares,
            stage=event.lifecycle_event_name if event is not None and state == "open" else "",
            step=EVENTS.index(event.lifecycle_event_name) + 1
            if event is not None and event.lifecycle_event_name in EVENTS and state == "open" else None,
            steps_total=len(EVENTS) if state == "open" else None, pause=_pause(found, target, self._preview),
            stamp=ours[1] if ours else "", by="" if ours else _creator(found), ask="" if ours else self._ask,
            detail=_detail(found, rollback, target, event, state, weight), began_at=began, ended_at=ended,
            took_s=((ended or datetime.now(UTC)) - began).total_seconds() if began else None,
        )  # fmt: skip

    def _definition_of(self, task_set: str, found: Deployment) -> str:
        """Of the side that had the traffic: its task set, where the service still has it."""
        known = next((each.task_definition for each in self._sets if task_set and each.id == task_set), "")
        if known:
            return known
        # What is PRIMARY and was not made by this deployment.
        others = [each for each in self._sets if each.external_id != found.deployment_id]
        return next((each.task_definition for each in others if each.status == "PRIMARY"), "")

    def _state(
        self, operation: Operation | None, stable: Version | None, before: Version | None, returned: bool
    ) -> ControllerState:
        open_ = operation if operation is not None and operation.open else None
        phase: ControllerPhase = "healthy"
        if open_ is not None:
            phase = "rolling_back" if open_.back else "paused" if open_.pause else "progressing"
        elif operation is not None and operation.state in ("failed", "stopped"):
            phase = "degraded"
        elif stable is None:
            phase = "unknown"
        pause = open_.pause if open_ else None
        view = ControllerView(
            type="codedeploy", phase=phase, message=operation.detail if operation else "never deployed by this group",
            stage=open_.stage if open_ else "", step=open_.step if open_ else None,
            steps_total=open_.steps_total if open_ else None, stable=stable,
            candidate=open_.target if open_ else None, paused_since=pause.since if pause else None,
            paused_until=pause.until if pause else None, then=pause.then_words if pause else "",
            orders=offers(_why_not(open_, before, returned)),
        )  # fmt: skip
        stage = (open_.back, open_.arrived, pause.id if pause else "") if open_ else ()
        what = (operation.id if operation else "", operation.state if operation else "", *stage)
        token = hashlib.sha256(repr(what).encode()).hexdigest()[:16]
        return ControllerState(view=view, revision=token, newest=operation, before=before, returned=returned)


def _ended_well(found: Deployment) -> bool:
    """Whether it put a version out. One that took another back brought none, whatever its revision says."""
    return found.status == "Succeeded" and not found.rollback_info.rollback_triggering_deployment_id


def _state_of(found: Deployment, rollback: Deployment | None, *, moved: bool) -> tuple[OperationState, bool]:
    """How it stands, and whether it is on its way back."""
    if found.status not in _ENDED:
        return "open", False
    if found.status == "Succeeded":
        return "succeeded", False
    if rollback is not None:
        if rollback.status not in _ENDED:
            return "open", True
        return ("rolled_back" if rollback.status == "Succeeded" else "failed"), False
    if not moved:  # the new side was never there: what had the traffic has it
        return "rolled_back", False
    ended = found.complete_time
    if ended is not None and datetime.now(UTC) - ended < timedelta(seconds=ROLLBACK_COMES_S) and _goes_back(found):
        return "open", True
    return ("failed" if found.status == "Failed" else "stopped"), False


def _goes_back(found: Deployment) -> bool:
    code = found.error_information.code if found.error_information else ""
    by_group = {"ALARM_ACTIVE": "DEPLOYMENT_STOP_ON_ALARM", "MANUAL_STOP": "DEPLOYMENT_STOP_ON_REQUEST"}
    auto = found.auto_rollback_configuration
    return auto.enabled and by_group.get(code, "DEPLOYMENT_FAILURE") in auto.events


def _event(target: Target | None) -> Event | None:
    """The one that is at work, or the last that has ended."""
    events = target.lifecycle_events if target else []
    running = next((each for each in events if each.status == "InProgress"), None)
    ended = [each for each in events if each.status in ("Succeeded", "Failed", "Skipped") and each.end_time]
    return running or (ended[-1] if ended else None)


def _pause(found: Deployment, target: Target | None, preview: str = "") -> Pause | None:
    """READY_WAIT: it waits to be continued before any traffic moves."""
    if found.status != "Ready":
        return None
    ready = found.blue_green_deployment_configuration.deployment_ready_option
    ended = [each.end_time for each in (target.lifecycle_events if target else []) if each.end_time]
    since = max(ended, default=None)
    until = since + timedelta(minutes=ready.wait_time_in_minutes) if since and ready.wait_time_in_minutes else None
    return Pause(
        id=f"{found.deployment_id}:READY_WAIT", why="READY_WAIT", since=since, until=until,
        then="rollback" if until else "", preview=preview,
    )  # fmt: skip


def _creator(found: Deployment) -> str:
    since = f" since {local_words(found.create_time, UTC)}" if found.create_time else ""
    said = f' ("{quoted(found.description)}")' if found.description else ""
    return f"{quoted(found.creator or 'somebody')}{since}{said}"


def _detail(
    found: Deployment, rollback: Deployment | None, target: Target | None, event: Event | None, state: OperationState,
    weight: int,
) -> str:  # fmt: skip
    error = found.error_information
    why = quoted(error.message or error.code) if error is not None else ""
    failed = next((each for each in (target.lifecycle_events if target else []) if each.status == "Failed"), None)
    if failed is not None and failed.diagnostics is not None and failed.diagnostics.script_name:
        why = f"hook {failed.lifecycle_event_name} ({quoted(failed.diagnostics.script_name)}) failed"
    if rollback is not None:
        if rollback.status in _ENDED and rollback.status != "Succeeded":
            said = rollback.error_information.message if rollback.error_information else rollback.status
            return f"{why}; its way back {rollback.deployment_id} failed: {quoted(said)}"
        going = "went back" if rollback.status in _ENDED else "goes back"
        return f"{going} by {rollback.deployment_id}: {why}"
    if state != "open":
        words = {"succeeded": "completed", "rolled_back": "ended before traffic moved"}.get(state, found.status)
        return f"{words}: {why}" if why and state != "succeeded" else words
    if found.status in _ENDED:
        return f"{found.status}, its rollback is awaited: {why}"
    if found.instance_termination_wait_time_started:
        minutes = found.blue_green_deployment_configuration.terminate_blue_instances_on_deployment_success
        wait = minutes.termination_wait_time_in_minutes
        return f"all traffic is there; the old tasks stay for {wait} min, and with them the way back"
    parts = [event.lifecycle_event_name if event is not None else found.status]
    green = target.side("Green") if target else None
    if green is not None:
        parts.append(f"{green.running_count} of {green.desired_count} new tasks running")
    if weight and event is not None and event.start_time is not None:
        shifting_s = (datetime.now(UTC) - event.start_time).total_seconds()
        parts.append(f"{weight} % of the traffic, shifting for {shifting_s / 60:.0f} min")
    if (pause := _pause(found, target)) is not None:
        parts.append(pause.words)
    return ", ".join(parts)


def _why_not(open_: Operation | None, before: Version | None, returned: bool) -> dict[OrderName, str]:
    busy = f"{open_.id} is under way: {open_.detail}" if open_ else ""
    idle = "" if open_ else "nothing is under way"
    back = "it is on its way back" if open_ and open_.back else ""
    no_pause = "CodeDeploy has none: deploymentReadyOption STOP_DEPLOYMENT of the group waits before traffic moves"
    return {
        "release": busy,
        "promote": idle or back or ("" if open_ and open_.pause else "it waits for nobody: traffic moves by itself"),
        "abort": idle or back,
        "rollback": busy or ("the newest change was a way back" if returned else "")
        or ("" if before else "no other revision is known that was stable"),
        "retry": "CodeDeploy has none: release the version again",
        "pause": no_pause,
        "resume": f"{no_pause}, and promote goes on",
        "retire": idle or ("" if open_ and open_.arrived else "the old tasks are not waiting to be taken down"),
    }  # fmt: skip
