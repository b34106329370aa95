"""An ECS service whose traffic a deployment group of CodeDeploy moves: it is ordered and watched.

```toml
[[contexts.production.deployments]]
name = "model"
type = "codedeploy"
aws = { region = "eu-central-1", profile = "data-oncall", account = "123456789012" }
application = "model"
deployment_group = "model-production"
cluster = "models"
service = "model"
probe = { url = "https://model.example.com/health", version_header = "X-Version" }
```
Its listeners are never written: CodeDeploy owns them. Rights and limits: docs/aws.md.
API: https://docs.aws.amazon.com/codedeploy/latest/APIReference/
"""

import asyncio
import shlex
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from backends.aws.account import SETTLES_S, account_of
from backends.deployments.codedeploy.appspec import hooks, minimal, with_definition
from backends.deployments.codedeploy.reading import GroupReader, Seen
from backends.deployments.controlled import (
    deployment_of,
    live_side,
    refuse_untaken,
    shares_of,
    shown,
    took,
    version_layer,
)
from backends.deployments.ecs.cluster import Cluster, unfit
from backends.deployments.ecs.controlled import ControlledConfig, smoke_findings
from backends.deployments.ecs.native_guards import red_alarms
from backends.deployments.ecs.wire import short_of
from backends.errors import BackendError
from backends.images import TAG_FIX, version_problem
from backends.models import ColorState, Deployment, Finding, TruthLayer
from backends.ports import ControllerState, Operation, Order
from backends.redaction import quoted
from backends.registry import AdapterContext
from backends.text import clean


class CodeDeployConfig(ControlledConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A deployment group of the compute platform ECS.

    application: of CodeDeploy.
    deployment_group: its group that deploys the service.
    """

    mover = "CodeDeploy"
    application: str
    deployment_group: str

    def __post_init__(self) -> None:
        if not all((self.application, self.deployment_group, self.cluster, self.service)):
            raise ValueError("application, deployment_group, cluster, service: none of them may be empty")
        super().__post_init__()


class CodeDeployController:
    """The `Controller` of one deployment group."""

    api = 1
    Config = CodeDeployConfig

    def __init__(self, config: CodeDeployConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._account = account_of(config.aws, context.base_dir, timeout_s=float(config.timeout))
        self._cluster = Cluster(self._account, config.cluster)
        self._ordering = asyncio.Lock()
        self._reader = GroupReader(
            self._account, self._cluster, config.application, config.deployment_group, config.service,
            config.container, config.preview,
        )  # fmt: skip

    @property
    def heeds(self) -> Collection[str]:
        """The keys of commands that count."""
        return self._config.heeds

    @property
    def object_id(self) -> str:
        """Account and region as far as the config says, application and group."""
        config = self._config
        return "/".join([config.aws.account, config.aws.region, config.application, config.deployment_group])

    @property
    def order_settles_s(self) -> float:
        """As long as a call that was cut off may still be on its way."""
        return SETTLES_S

    async def deployment(self) -> Deployment:
        """The newest deployment, the task sets of both sides, and one fresh request. Raises BackendError where
        CodeDeploy itself can not be read."""
        seen = await self._reader.look()
        data = await version_layer(seen.state, self._config)
        return deployment_of(
            self._name, seen.state, self._reader.where, endpoints=self._endpoints(seen), data=data,
            sides=self._sides(seen),
        )  # fmt: skip

    async def observe(self) -> ControllerState:
        """The group, the service and the newest deployment now. Raises BackendError: `config` for another service."""
        return (await self._reader.look()).state

    async def operation(self, operation: str) -> Operation:
        """A deployment by its id, with the one that takes it back."""
        return await self._reader.operation(operation)

    async def preflight(self, expected: ControllerState, order: Order) -> list[Finding]:
        """Who we are, the version and its container, the AppSpec that is used again, waits and alarms of the group.
        Nothing is written; CodeDeploy has no dry run."""
        who = await self._account.identity()
        if order.order not in ("release", "rollback"):
            return [who]
        if order.order == "release" and (problem := version_problem(order.version)):
            return [who, Finding.block("version", problem, TAG_FIX)]
        seen = await self._reader.look()
        definition = await self._cluster.definition(self._from(seen))
        if bad := unfit(definition, seen.service.chosen(self._config.container)):
            return [who, bad]
        lasting = await self._account.lifetime(float(self._config.bake))
        return [who, *lasting, *self._appspec_findings(seen), *await self._group_findings(seen)]

    async def order(self, expected: ControllerState, order: Order, *, stamp: str) -> ControllerState:
        """A deployment of the current AppSpec with another task definition, READY_WAIT continued, the old tasks taken
        down, or a stop that goes back. Raises as the port says."""
        async with self._ordering:
            return await self._ordered(expected, order, stamp)

    def describe_order(self, expected: ControllerState, order: Order) -> list[str]:
        """One line for the order, one for what CodeDeploy does then."""
        stable, open_ = expected.view.stable, expected.open
        live = stable.words if stable else "nothing"
        where = self._reader.where
        if order.order == "release":
            then = "CodeDeploy brings it up beside, moves the traffic as the group says, and waits before it ends"
            return [f"release  {live} → {order.version}: {where}", f"then     {then}{took(expected.newest)}"]
        if order.order == "rollback":
            to = order.version or short_of(order.revision)
            return [f"rollback {live} → {to}: {where}", "then     as a release: hooks, waits and the shift of traffic"]
        ident = open_.id if open_ else where
        if order.order == "promote":
            return [f"promote  READY_WAIT of {ident}: traffic moves"]
        if order.order == "retire":
            return [f"retire   the old tasks of {ident}: the way back at once ends with them"]
        return [f"{order.order:<9}{ident}: stopped with its rollback, back to {live}"]

    def manual_commands(self, order: Order) -> list[str]:
        """The same by the AWS command line."""
        config = self._config
        words = config.aws.command("deploy")
        ident = order.operation or "DEPLOYMENT"
        stop = shlex.join([*words, "stop-deployment", "--deployment-id", ident, "--auto-rollback-enabled"])
        listed = [*words, "list-deployments", "--application-name", config.application]
        return [stop, shlex.join([*listed, "--deployment-group-name", config.deployment_group])]

    async def aclose(self) -> None:
        """Nothing is held open but what all of this process share."""

    # ---- inside

    async def _ordered(self, expected: ControllerState, order: Order, stamp: str) -> ControllerState:
        seen = await self._reader.look()
        refuse_untaken(order, expected, seen.state, self._reader.where)
        if order.order in ("release", "rollback"):
            return await self._begin(seen, order, stamp)
        assert seen.state.open is not None
        ident = seen.state.open.id
        if order.order == "abort":
            await self._steer("codedeploy", "stop_deployment", deploymentId=ident, autoRollbackEnabled=True)
            return await self._until(lambda state: state.open is None or state.open.back or state.open.id != ident)
        wait = "READY_WAIT" if order.order == "promote" else "TERMINATION_WAIT"
        await self._steer("codedeploy", "continue_deployment", deploymentId=ident, deploymentWaitType=wait)
        if order.order == "promote":
            return await self._until(lambda state: state.open is None or state.open.pause is None)
        return await self._until(lambda state: state.open is None or not state.open.arrived)

    @staticmethod
    def _from(seen: Seen) -> str:
        """The task definition that a release starts from: of what is stable."""
        stable = seen.state.view.stable
        return stable.id if stable is not None else seen.service.task_definition

    def _spec(self, seen: Seen, arn: str) -> str:
        """The AppSpec of the last deployment that succeeded, with that task definition. Raises BackendError(config)
        where that lies elsewhere: its hooks would be lost."""
        if seen.spec:
            return with_definition(seen.spec, arn)
        if seen.elsewhere:
            words = (
                f"the AppSpec of the last deployment of {self._reader.where} lies elsewhere (S3): hooks would be lost"
            )
            raise BackendError("config", words, fix="deploy once with the AppSpec as text (AppSpecContent)")
        behind = next((each for each in seen.service.load_balancers), None)
        if behind is None:
            raise BackendError("config", f"service {self._config.service} is behind no load balancer", fix="add one")
        return minimal(arn, seen.service.chosen(self._config.container), behind.container_port)

    def _appspec_findings(self, seen: Seen) -> list[Finding]:
        try:
            spec = self._spec(seen, "preflight")
        except BackendError as error:
            return [Finding(level="block", code="appspec", text=error.message, fix=error.fix)]
        if not seen.spec:
            text = "no deployment of the group has ended well yet: a new AppSpec is made, without hooks"
            return [
                Finding(level="warning", code="appspec", text=text, fix="deploy once with hooks, where there are any")
            ]
        named = ", ".join(quoted(name) for name in hooks(spec)) or "none"
        return [Finding(level="ok", code="appspec", text=f"the AppSpec that ran last is used again; hooks: {named}")]

    async def _group_findings(self, seen: Seen) -> list[Finding]:
        group, found = seen.group, list[Finding]()
        waits = group.blue_green_deployment_configuration
        is_waited = waits.deployment_ready_option.action_on_timeout == "STOP_DEPLOYMENT"
        found += smoke_findings(
            self._config.smoke, listener=group.has_test_listener, waits=is_waited, of=self._reader.where,
            pause="deploymentReadyOption STOP_DEPLOYMENT of the group",
        )  # fmt: skip
        if is_waited:
            minutes = waits.deployment_ready_option.wait_time_in_minutes
            text = f"it waits for `promote` before traffic moves, and is stopped after {minutes} min"
            found.append(Finding(level="ok", code="pause", text=text))
        auto = group.auto_rollback_configuration
        if not (auto.enabled and "DEPLOYMENT_FAILURE" in auto.events):
            text = "the group does not go back by itself where a deployment fails"
            fix = "autoRollbackConfiguration of the group, with DEPLOYMENT_FAILURE"
            found.append(Finding(level="warning", code="guards", text=text, fix=fix))
        alarms = group.alarm_configuration
        if alarms.enabled and alarms.alarms:
            found += await red_alarms(self._account, [each.name for each in alarms.alarms])
        else:
            text, fix = "the group has no alarms: only hooks judge a version there", "alarmConfiguration of the group"
            found.append(Finding(level="warning", code="alarms", text=text, fix=fix))
        return found

    async def _begin(self, seen: Seen, order: Order, stamp: str) -> ControllerState:
        arn = order.revision
        spec = self._spec(seen, "before")  # before anything is made: it may be refused
        if order.order == "release":
            before = await self._cluster.definition(self._from(seen))
            made = await self._cluster.register(
                before, seen.service.chosen(self._config.container), self._config.image, order.version, stamp=stamp
            )
            arn = made.arn
        revision = {"revisionType": "AppSpecContent", "appSpecContent": {"content": with_definition(spec, arn)}}
        by = f" by {clean(order.by, 64)}" if order.by else ""
        try:
            answer = await self._account.write(
                "codedeploy", "create_deployment", applicationName=self._config.application,
                deploymentGroupName=self._config.deployment_group, revision=revision,
                description=f"tealdeck {stamp}{by}",
            )  # fmt: skip
        except BackendError as error:
            if "DeploymentLimitExceeded" not in error.message:
                raise
            words = f"{self._reader.where}: somebody began a deployment in the same moment: {error.message}"
            raise BackendError("conflict", words, fix="look again, then plan anew") from None
        ident = str(answer.get("deploymentId", ""))
        return await self._until(lambda state: state.newest is not None and state.newest.id == ident)

    async def _steer(self, service: str, operation: str, /, **request: object) -> None:
        try:
            await self._account.write(service, operation, **request)
        except BackendError as error:
            if "AlreadyCompleted" not in error.message and "IsNotInReadyState" not in error.message:
                raise
            words = f"{self._reader.where}: {error.message}"
            raise BackendError("conflict", words, fix="look again: it may have gone on by itself") from None

    async def _until(self, holds: Callable[[ControllerState], bool]) -> ControllerState:
        """The state as soon as it shows what was ordered. Raises BackendError(timeout)."""
        return await shown(self.observe, holds, f"{self._reader.where}: it took the order, and does not show it yet")

    def _sides(self, seen: Seen) -> dict[str, ColorState]:
        """The task sets: of what is at rest, the counts of the service."""
        sets = {side: seen.target.side(label) if seen.target else None for side, label in _LABELS.items()}
        if seen.state.open is None:
            service = seen.service
            running, desired = service.running_count, service.desired_count
            return {"stable": _side(running, desired)}
        return {side: _side(each.running_count, each.desired_count) for side, each in sets.items() if each is not None}

    def _endpoints(self, seen: Seen) -> TruthLayer:
        """Whether the sides that have traffic have tasks that run."""
        sides, shares = self._sides(seen), shares_of(seen.state)
        taking = [side for side, share in shares.items() if share > 0]
        up = bool(taking) and all(side in sides and sides[side].healthy for side in taking)
        words = "   ".join(f"{side.upper()} {each.detail}" for side, each in sides.items())
        value = live_side(seen.state) if up else "unknown"
        ready = sum(sides[side].ready or 0 for side in taking if side in sides)
        return TruthLayer(value=value, detail=words or "no tasks are known", at=datetime.now(UTC), ready=ready)


_LABELS = {"stable": "Blue", "candidate": "Green"}


def _side(running: int, desired: int) -> ColorState:
    detail = f"{running} of {desired} tasks running"
    return ColorState(ready=running, desired=desired, healthy=running >= desired > 0, detail=detail)
