"""The switch of a service whose colors are pods of a cluster, whatever object there moves its traffic."""

import asyncio
import shlex
import time
from datetime import UTC, datetime
from typing import Any, Generic

import msgspec
from msgspec.structs import replace

from backends.deployments.argo_cd.owner import self_heal_findings
from backends.deployments.common import color_health, data_layer, live_color
from backends.deployments.exposition import Exposition
from backends.deployments.kubernetes.config import ClusterConfig
from backends.deployments.kubernetes.control import Control, ControlObject, T, Weights
from backends.deployments.kubernetes.deployer import KubernetesDeployer
from backends.deployments.kubernetes.preflight import (
    capacity,
    check_rights,
    ending,
    identity_findings,
    rehearsal,
)
from backends.deployments.kubernetes.run_conditions import RunConditions
from backends.deployments.kubernetes.sides import Chosen, Sides
from backends.deployments.kubernetes.surroundings import Surroundings
from backends.deployments.rates import Traffic
from backends.deployments.sides import moves_words
from backends.deployments.switch_format import check_weights
from backends.errors import BackendError, nothing_sent
from backends.kubernetes.api import WRITE_BOUND_S, KubernetesApi
from backends.models import ColorState, Deployment, Finding, RunCondition, TimelineEvent, Truth, TruthLayer
from backends.ports import Deployer, ProbeTarget, RequestCounts, SwitchState
from backends.registry import AdapterContext
from backends.text import clean, first_line
from backends.together import together

IN_FORCE_S = 5.0
_LOOK_S = 0.2


class ClusterSwitch(Generic[T]):
    """The `Switch` of one object of the API. A type of its own says which (`_made`)."""

    api = 1
    Config: type[ClusterConfig] = ClusterConfig

    def __init__(self, config: Any, context: AdapterContext) -> None:
        self._config: ClusterConfig = config
        self._name = context.name
        self._http = context.http
        self._api = config.api(context.base_dir)
        self._of = self._made(config, self._api)
        self._control = Control(self._api, self._of)
        self._sides = Sides(self._api, config.deployments, config.container)
        self._conditions = RunConditions(self._api)
        self._around = Surroundings(
            self._api, self._control, self._of, self._sides, self._conditions, config.colors, config.deployments
        )
        self._deployer = (
            KubernetesDeployer(
                self._api, self._control, self._of, self._sides, self._conditions, deployments=config.deployments,
                container=config.container, repository=config.image,
            )
            if config.deployments
            else None
        )  # fmt: skip
        self._expositions = {color: Exposition(self._http, url) for color, url in config.exposition.items()}

    def _made(self, config: Any, api: KubernetesApi) -> ControlObject[T]:
        raise NotImplementedError

    @property
    def object_id(self) -> str:
        """The object, with its kind, its namespace and its cluster."""
        return self._config.object_id(self._of.name, self._of.kind)

    @property
    def rights(self) -> tuple[tuple[str, str, str], ...]:
        """(verb, group, resource) that a shift needs."""
        return self._of.rights

    @property
    def can_split(self) -> bool:
        """As its object can."""
        return self._of.can_split

    @property
    def deployer(self) -> Deployer | None:
        """The Deployments of the config; None where it names none."""
        return self._deployer

    @property
    def write_settles_s(self) -> float:
        """What the API server is told to give a write up after, and a little for its clock."""
        return WRITE_BOUND_S + 2.0

    async def deployment(self) -> Deployment:
        """The object, what it reaches, the pods of each color and one fresh request, side by side.

        Raises BackendError where the object itself cannot be read; what else cannot is said in its place.
        """
        colors = self._config.colors
        found, data = await together(
            self._control.read(), data_layer(self._config.probe, colors, float(self._config.probe_timeout))
        )
        at = datetime.now(UTC)
        control = self._control.state(found)
        endpoints, sides, traffic = await together(
            self._endpoints(found, control),
            together(*(self._side(found, color) for color in colors)),
            together(*(self._traffic(color) for color in colors)),
        )
        behind = endpoints.value not in ("unknown", control.live)  # what it reaches lags: who gets what is not known
        shares = {} if behind else control.served
        sides = list(map(self._measured, colors, sides, traffic))
        states = {
            color: replace(side, weight_pct=float(shares[color]) if color in shares else None)
            for color, side in zip(colors, sides, strict=True)
        }
        truth = Truth(
            control=TruthLayer(value=control.live, detail=self._said(control), at=at), endpoints=endpoints, data=data
        )
        live = live_color(truth)
        if control.pending and data.value == "unknown":  # what is written is not in force, and no request says more
            live = "unknown"
        return Deployment(
            ref=f"{self._name}/{self._name}", backend=self._name, service=self._name, live=live, colors=states,
            truth=truth, mark=control.mark,
        )  # fmt: skip

    async def conditions(self) -> tuple[RunCondition, ...]:
        """What else decides how both sides run. Never raises BackendError."""
        return await self._around.conditions()

    async def events(self, since: datetime, until: datetime) -> list[TimelineEvent]:
        """What the cluster warns of, about the object, its Services, and the workloads and pods of both sides. Raises
        BackendError."""
        return await self._around.events(self._name, since, until)

    async def observe(self) -> SwitchState:
        """What the object says now. Raises BackendError."""
        return self._control.state(await self._control.read())

    async def endpoints(self) -> TruthLayer:
        """The pods that the object reaches now, by the color that they have. Raises BackendError."""
        found = await self._control.read()
        return await self._endpoints(found, self._control.state(found))

    async def color_health(self, color: str) -> ColorState:
        """The pods of `color`, and its health URL where there is one. Never raises."""
        if color not in self._config.colors:
            known = ", ".join(self._config.colors)
            return ColorState(healthy=None, detail=f'no color "{clean(color, 64)}" here (known: {known})')
        try:
            found = await self._control.read()
        except BackendError as error:
            return ColorState(healthy=None, detail=error.message)
        return await self._side(found, color)

    async def request_counts(self) -> RequestCounts:
        """Not known: nothing here counts."""
        return RequestCounts()

    async def preflight(self, expected: SwitchState, weights: dict[str, int]) -> list[Finding]:
        """Who we are, our rights, the patch as a dry run, ready pods on both sides, other owners of the object.

        Raises BackendError(auth) naming the verb that is missing.
        """
        self._check(weights)
        identity, rights, found = await together(
            identity_findings(self._api), check_rights(self._api, self._of.rights), self._control.read()
        )
        state = self._control.state(found)
        findings = [*identity, rights]
        if not state.weights:
            why, _, fix = state.detail.partition("\n")
            return [*findings, Finding.block(self._of.unread, why, fix or "put it right by hand")]
        to, live = _gaining(state.weights, weights), _losing(state.weights, weights)
        behind, missing = await self._around.behind(found)
        if to in missing:
            return [*findings, Finding.block("sides", missing[to].message, missing[to].fix)]
        # Of a side that is left it is only said: its defect must not be in the way of those who leave it.
        findings += [
            Finding(level="warning", code="sides", text=error.message, fix=error.fix) for error in missing.values()
        ]
        findings += await ending(self._api)
        findings.append(await rehearsal(self._control, weights))
        ready, waiting, own = await together(
            self._of.ready(self._sides, behind[to]),
            self._sides.pods(behind[to]),
            self._of.findings(found, self._sides, behind),
        )
        needed = await self._of.ready(self._sides, behind[live]) if live in behind else 0
        findings += capacity(ready, needed, live, to, behind=self._of.behind, waiting=waiting)
        if (deployment := self._config.deployments.get(to)) is not None:
            carries = self._config.deployments.get(live, "")
            findings += await self._conditions.limits(deployment, carries, needed, gains=to, loses=live)
        kind = self._of.words.split()[0]
        return findings + own + await self_heal_findings(self._api, kind, found.metadata)

    async def shift(
        self, expected: SwitchState, weights: dict[str, int], *, stamp: str, fence: int = 0, journal: str = ""
    ) -> SwitchState:
        """One JSON patch of the object. Returns what was read back, as soon as it is in force, or after a while.

        Raises BackendError: `config` for weights that it cannot say, `conflict` where it is not `expected` or traffic
        would go where no pod is ready, `auth`, and `timeout` or `unreachable` where nobody knows what came of it.
        """
        self._check(weights)
        with nothing_sent():
            found = await self._control.read()
            had = self._control.state(found).weights
            gaining = tuple(color for color, weight in weights.items() if weight > had.get(color, 0) or weight == 100)
            # A side that nobody answers on is an outage at once, so this is looked at here too, whoever asks.
            for color in gaining:
                if not await self._of.ready(self._sides, await self._of.chosen(found, color)):
                    words = f"no pod of {color.upper()} is ready: {self._of.words} is left as it is"
                    raise BackendError("conflict", words, fix=f"scale {color.upper()} up, and wait until it is ready")
            await self._of.before_write(found, gaining)
        after = await self._control.write(expected, weights, stamp=stamp, fence=fence, journal=journal)
        return await self._in_force(after)

    async def mark_ended(self, expected: SwitchState) -> None:
        """As `shift`: one JSON patch of the object's annotations."""
        await self._control.mark_ended(expected)

    def describe_shift(self, before: SwitchState, weights: dict[str, int]) -> list[str]:
        """The object and what of it changes; of shares a line with both."""
        kind, _, name = self._of.words.partition(" ")
        moves = self._of.moves(before, SwitchState(weights=weights, revision="").live)
        lines = [f"control  {self._config.words(kind, name)}: {moves}"]
        return [*lines, f"traffic  {moves_words(before, weights, self._config.colors)}"] if self.can_split else lines

    def manual_commands(self, weights: dict[str, int]) -> list[str]:
        """The same patch, by kubectl; of an object that has to be read for it, only after that."""
        self._check(weights)
        patch = self._of.by_hand(self._control.last, weights)
        words = [*self._kubectl(), "patch", self._of.kind, self._of.name, "--type=json", "-p"]
        return [shlex.join([*words, msgspec.json.encode(patch).decode()])] if patch else []

    async def aclose(self) -> None:
        """Close the connections to the API server; safe to call twice."""
        await self._api.aclose()

    def _kubectl(self) -> list[str]:
        config = self._config
        words = ["kubectl"]
        words += ["--kubeconfig", config.kubeconfig] if config.kubeconfig else []
        words += ["--context", config.kube_context] if config.kube_context else []
        return [*words, "-n", config.namespace] if config.namespace else words

    def _check(self, weights: Weights) -> None:
        problem = check_weights(weights, self._config.colors)
        fix = "weights in percent, summing to 100"
        if not problem and not self.can_split and SwitchState(weights=weights, revision="").live == "mixed":
            problem, fix = f"a {self._of.words.partition(' ')[0]} cannot split traffic", "all traffic to one color"
        if problem:
            raise BackendError("config", f"{self._of.words}: {problem}", fix=fix)

    def _said(self, control: SwitchState) -> str:
        if control.detail:
            return first_line(control.detail)
        return "; ".join(filter(None, (self._of.says(control), control.pending)))

    async def _endpoints(self, found: T, control: SwitchState) -> TruthLayer:
        layer = await self._of.endpoints(found, self._sides, control.weights)
        return replace(layer, detail=f"{layer.detail}; {control.pending}") if control.pending else layer

    async def _in_force(self, after: SwitchState) -> SwitchState:
        """The same once nothing of it is pending, or after a while with what is."""
        until = time.monotonic() + IN_FORCE_S
        while after.pending and time.monotonic() < until:
            await asyncio.sleep(_LOOK_S)
            try:
                now = await self.observe()
            except BackendError:
                continue
            if replace(now, pending=after.pending) != after:
                break  # somebody else has written: that is for the next look
            after = now
        return after

    async def _side(self, found: T, color: str) -> ColorState:
        """Readiness and the color's own word together: each of them can say no, and only both say yes."""
        url = self._config.health.get(color)
        if url is None:
            return await self._pods(found, color)
        header = self._config.probe.header if self._config.probe else ProbeTarget(url="").header
        asked = color_health(self._http, color, url, header=header, others=self._config.colors)
        pods, told = await together(self._pods(found, color), asked)
        healthy = told.healthy if pods.healthy or pods.ready is None else pods.healthy
        return replace(
            pods, healthy=healthy, version=told.version or pods.version, detail=f"{told.detail}, {pods.detail}"
        )

    async def _pods(self, found: T, color: str) -> ColorState:
        try:
            chosen: Chosen = await self._of.chosen(found, color)
        except BackendError as error:
            return ColorState(healthy=None, detail=error.message)
        return await self._sides.state(chosen, color)

    async def _traffic(self, color: str) -> Traffic:
        exposition = self._expositions.get(color)
        return await exposition.traffic() if exposition else Traffic()

    def _measured(self, color: str, side: ColorState, seen: Traffic) -> ColorState:
        exposition = self._expositions.get(color)
        return exposition.of(side, seen) if exposition else side


def _gaining(before: Weights, weights: Weights) -> str:
    """The color that gains most, else the one that has most."""
    return max(weights, key=lambda color: (weights[color] - before.get(color, 0), weights[color]))


def _losing(before: Weights, weights: Weights) -> str:
    """The color that has most now, of those that lose, else of all."""
    losing = [color for color in before if weights.get(color, 0) < before[color]]
    return max(losing or before, key=lambda color: before[color])
