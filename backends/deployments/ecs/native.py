"""A service whose traffic ECS moves itself (blue/green, canary, linear): it is ordered and watched.

```toml
[[contexts.production.deployments]]
name = "model"
type = "ecs-native"
aws = { region = "eu-central-1", profile = "data-oncall", account = "123456789012" }
cluster = "models"
service = "model"
container = "model"                  # default: the one behind the load balancer
probe = { url = "https://model.example.com/health", version_header = "X-Version" }
```
Its listener rules are never written: ECS rewrites them with its next step. Rights and limits: docs/aws.md.
API: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-blue-green.html
"""

import asyncio
import shlex
from collections.abc import Collection

from backends.aws.account import SETTLES_S, account_of
from backends.deployments.alb.health import endpoints_of, read_group
from backends.deployments.alb.places import place_of
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
from backends.deployments.ecs.native_guards import alarm_findings, guard_findings, hook_findings, waits_in
from backends.deployments.ecs.native_state import TESTED_IN, NativeReader, Seen
from backends.deployments.ecs.wire import short_of
from backends.errors import BackendError
from backends.images import TAG_FIX, version_problem
from backends.models import ColorState, Deployment, Finding, TruthLayer
from backends.ports import ControllerState, Operation, Order
from backends.registry import AdapterContext
from backends.text import clean
from backends.together import together


class NativeConfig(ControlledConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service whose strategy is not ROLLING."""

    mover = "ECS"

    def __post_init__(self) -> None:
        if not self.cluster or not self.service:
            raise ValueError("cluster and service: neither may be empty")
        super().__post_init__()


class NativeController:
    """The `Controller` of one service."""

    api = 1
    Config = NativeConfig

    def __init__(self, config: NativeConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._account = account_of(config.aws, context.base_dir, timeout_s=float(config.timeout))
        self._cluster = Cluster(self._account, config.cluster)
        self._ordering = asyncio.Lock()
        self._reader = NativeReader(self._cluster, config.service, config.container, config.preview)

    @property
    def heeds(self) -> Collection[str]:
        """The keys of commands that count."""
        return self._config.heeds

    @property
    def object_id(self) -> str:
        """Account and region as far as the config says, cluster and service."""
        config = self._config
        return "/".join([config.aws.account, config.aws.region, short_of(config.cluster), config.service])

    @property
    def order_settles_s(self) -> float:
        """As long as a call that was cut off may still be on its way."""
        return SETTLES_S

    async def deployment(self) -> Deployment:
        """The newest service deployment, tasks and targets of both revisions, and one fresh request. Raises
        BackendError where ECS itself can not be read."""
        seen = await self._reader.look()
        state = seen.state
        (sides, endpoints), data = await together(self._behind(seen), version_layer(state, self._config))
        return deployment_of(self._name, state, self._where(), endpoints=endpoints, data=data, sides=sides)

    async def observe(self) -> ControllerState:
        """The service and its newest deployment now. Raises BackendError: `config` for a service of another type."""
        return (await self._reader.look()).state

    async def operation(self, operation: str) -> Operation:
        """A service deployment by its ARN."""
        return await self._reader.operation(operation)

    async def preflight(self, expected: ControllerState, order: Order) -> list[Finding]:
        """Who we are, the version and its container, hooks that pause, alarms and circuit breaker. Nothing is
        written; ECS has no dry run."""
        who = await self._account.identity()
        if order.order != "release":
            return [who]
        if problem := version_problem(order.version):
            return [who, Finding.block("version", problem, TAG_FIX)]
        seen = await self._reader.look()
        definition = await self._cluster.definition(self._from(seen))
        if bad := unfit(definition, seen.service.chosen(self._config.container)):
            return [who, bad]
        config = seen.service.deployment_configuration
        lasting = await self._account.lifetime(float(self._config.bake))
        alarms = await alarm_findings(self._account, config)
        tested = smoke_findings(
            self._config.smoke, listener=seen.service.has_test_listener, waits=waits_in(config, TESTED_IN),
            of=f"service {self._config.service}", pause="a PAUSE hook at POST_TEST_TRAFFIC_SHIFT",
        )  # fmt: skip
        return [who, *lasting, *tested, *guard_findings(config), *hook_findings(config), *alarms]

    async def order(self, expected: ControllerState, order: Order, *, stamp: str) -> ControllerState:
        """A new revision by `update_service`, the hook's CONTINUE, or a stop that goes back. Raises as the port
        says."""
        async with self._ordering:
            return await self._ordered(expected, order, stamp)

    def describe_order(self, expected: ControllerState, order: Order) -> list[str]:
        """One line for the order, one for what ECS does then."""
        stable, open_ = expected.view.stable, expected.open
        live = stable.words if stable else "nothing"
        if order.order == "release":
            then = "ECS brings it up beside, moves the traffic by its own stages, bakes, and goes back where it fails"
            return [f"release  {live} → {order.version}: {self._where()}", f"then     {then}{took(expected.newest)}"]
        if order.order == "rollback":
            to = order.version or short_of(order.revision)
            return [f"rollback {live} → {to}: {self._where()}", "then     as a release: stages, hooks and bake"]
        what = short_of(open_.id) if open_ else self._where()
        if order.order == "promote" and open_ is not None and open_.pause is not None:
            return [f"promote  {open_.pause.why} of {what}: CONTINUE"]
        return [f"{order.order:<9}{what}: back to {live}"]

    def manual_commands(self, order: Order) -> list[str]:
        """The same by the AWS command line."""
        config, ids = self._config, order.operation
        words = config.aws.command("ecs")
        stop = shlex.join(
            [*words, "stop-service-deployment", "--service-deployment-arn", ids, "--stop-type", "ROLLBACK"]
        )
        update = [*words, "update-service", "--cluster", config.cluster, "--service", config.service]
        update += ["--task-definition", order.revision or "TASK_DEFINITION"]
        return [*([stop] if ids else []), shlex.join(update)]

    async def aclose(self) -> None:
        """Nothing is held open but what all of this process share."""

    # ---- inside

    async def _ordered(self, expected: ControllerState, order: Order, stamp: str) -> ControllerState:
        seen = await self._reader.look()
        refuse_untaken(order, expected, seen.state, self._where())
        if order.order in ("release", "rollback"):
            return await self._begin(seen, order, stamp)
        assert seen.state.open is not None
        if order.order == "abort":
            return await self._stop(seen.state)
        return await self._continue(seen.state)

    def _where(self) -> str:
        return f"ECS service {self._config.service} of {short_of(self._config.cluster)}"

    @staticmethod
    def _from(seen: Seen) -> str:
        """The task definition that a release starts from: of what is stable."""
        return seen.stable.task_definition if seen.stable is not None else seen.service.task_definition

    async def _begin(self, seen: Seen, order: Order, stamp: str) -> ControllerState:
        arn = order.revision
        if order.order == "release":
            before = await self._cluster.definition(self._from(seen))
            container = seen.service.chosen(self._config.container)
            arn = (await self._cluster.register(before, container, self._config.image, order.version, stamp=stamp)).arn
        was = seen.state.newest.id if seen.state.newest else ""

        def begun(state: ControllerState) -> bool:
            return state.newest is not None and state.newest.id != was

        try:
            await self._cluster.update(self._config.service, taskDefinition=arn)
        except BackendError as error:
            if error.kind == "config" and begun(await self.observe()):
                words = f"{self._where()}: somebody began a deployment in the same moment"
                raise BackendError("conflict", words, fix="look again, then plan anew") from None
            raise
        unseen = f"{self._where()}: it took the change, and shows no deployment of it yet"
        found = await shown(self.observe, begun, unseen)
        assert found.newest is not None
        if found.newest.target.id != arn:
            words = f"{self._where()}: somebody began a deployment in the same moment, to {found.newest.target.words}"
            raise BackendError("conflict", words, fix="look again, then plan anew")
        return found

    async def _stop(self, state: ControllerState) -> ControllerState:
        assert state.open is not None
        await self._steer("ecs", "stop_service_deployment", serviceDeploymentArn=state.open.id, stopType="ROLLBACK")
        return await self.observe()

    async def _continue(self, state: ControllerState) -> ControllerState:
        assert state.open is not None
        assert state.open.pause is not None
        pause = state.open.pause
        await self._steer(
            "ecs", "continue_service_deployment", serviceDeploymentArn=state.open.id, hookId=pause.id, action="CONTINUE"
        )
        return await shown(
            self.observe,
            lambda found: found.open is None or found.open.pause is None or found.open.pause.id != pause.id,
            f"{self._where()}: {pause.why} was continued, and waits still",
        )

    async def _steer(self, service: str, operation: str, /, **request: str) -> None:
        try:
            await self._account.write(service, operation, **request)
        except BackendError as error:
            if error.kind in ("config", "failed") and error.status == 400:
                words = f"{self._where()}: {error.message}"
                raise BackendError("conflict", words, fix="look again: it may have gone on by itself") from None
            raise

    async def _behind(self, seen: Seen) -> tuple[dict[str, ColorState], TruthLayer]:
        """The targets of both revisions, as sides and as the layer of endpoints; tasks where no group is known."""
        known = {"stable": seen.stable, "candidate": seen.candidate}
        places = {
            side: place_of("target group", found.group, "targetgroup")
            for side, found in known.items()
            if found is not None and found.group
        }
        if not places:
            return {}, TruthLayer(value="unknown", detail="no target group is known yet")
        try:
            groups = dict(
                zip(places, await together(*(read_group(self._account, each) for each in places.values())), strict=True)
            )
        except BackendError as error:
            return {}, TruthLayer(value="unknown", detail=clean(error.message, 300))
        shares = {side: share for side, share in shares_of(seen.state).items() if side in groups}
        live = live_side(seen.state)
        sides = {side: self._side(group.state(1), side, seen) for side, group in groups.items()}
        return sides, endpoints_of(shares, groups, 1, live)

    @staticmethod
    def _side(state: ColorState, side: str, seen: Seen) -> ColorState:
        """A candidate whose group no rule forwards to yet is checked by nobody: that is no failure of it."""
        if side == "candidate" and not state.healthy and "no rule forwards" in state.detail:
            return ColorState(ready=state.ready, desired=state.desired, healthy=None, detail=state.detail)
        return state
