"""The servers of an HAProxy backend, by color: traffic moves by their weights, over the runtime API of every node.

```toml
[[contexts.production.deployments]]
name = "model"
type = "haproxy"
nodes = ["unix:/run/haproxy/admin.sock", "lb-2.internal:9999"]   # sockets of level admin
backend = "model"
servers = { blue = ["blue-1", "blue-2"], green = ["green-1", "green-2"] }
persist = ["./save-state", "{node}"]    # or, for one node on this host, the path of its server-state file
```
"""

import asyncio
import shlex
import time
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from backends.deployments.command_deployer import command_deployer
from backends.deployments.common import DeploymentConfig, colors_problem, live_color
from backends.deployments.file_store import from_anywhere
from backends.deployments.haproxy.memory import Memory
from backends.deployments.haproxy.nodes import Nodes, Reading, SideRates, endpoints_of
from backends.deployments.haproxy.preflight import findings, idle_nodes, refuse_a_side_that_is_down
from backends.deployments.haproxy.socket import ADMIN_FIX, Node
from backends.deployments.haproxy.state import NodeState, shares_words
from backends.deployments.haproxy.weights import Server
from backends.deployments.haproxy.writer import STATIC_WORDS, Writer, goes_back
from backends.deployments.sides import UrlSides, moves_words
from backends.deployments.switch_format import check_weights, refuse_older_fence
from backends.errors import BackendError, nothing_sent
from backends.literals import shown_command
from backends.models import ColorState, Deployment, Finding, Truth, TruthLayer
from backends.paths import path_of
from backends.ports import Deployer, RequestCounts, SwitchState
from backends.registry import AdapterContext
from backends.state_file import state_file
from backends.text import clean, first_line
from backends.together import together


class HaproxyConfig(DeploymentConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One backend, on all its nodes.

    nodes: the runtime API of each node: `unix:PATH` or `HOST:PORT`, of level admin.
    backend: the name of the backend.
    servers: the names of the backend's servers by color.
    persist: keeps the weights over a reload: a command with {node}, or the path of the state file of the one node here.
    """

    nodes: tuple[str, ...]
    backend: str
    servers: dict[str, tuple[str, ...]]
    persist: str | tuple[str, ...] = ()

    def __post_init__(self) -> None:
        nodes = [Node(address) for address in self.nodes]
        if not nodes or len(set(self.nodes)) < len(nodes):
            raise ValueError("nodes: at least one, and none twice")
        names = [name for side in self.servers.values() for name in side]
        if len(self.servers) < 2 or not all(self.servers.values()):
            raise ValueError("servers: at least one for each of two colors")
        if len(set(names)) < len(names):
            raise ValueError("servers: none belongs to two colors")
        for name in (self.backend, *names):
            if not name or not all(c.isalnum() or c in "-_.:" for c in name):
                raise ValueError(f'"{clean(name, 60)}" is no name in HAProxy')
        if problem := colors_problem(self.health, self.servers, "servers"):
            raise ValueError(problem)
        if isinstance(self.persist, str) and not (len(nodes) == 1 and nodes[0].path):
            raise ValueError("persist: a path is for one node on this host; for others, a command with {node}")

    @property
    def colors(self) -> tuple[str, ...]:
        """As the servers are grouped."""
        return tuple(self.servers)

    def writes(self, base_dir: Path) -> frozenset[str]:
        """The weight of each server on each node."""
        names = [name for side in self.servers.values() for name in side]
        nodes = [Node(address).socat for address in self.nodes]
        return frozenset(f"server {self.backend}/{name} at {node}" for node in nodes for name in names)


class HaproxySwitch:
    """The `Switch` of one backend on one or more HAProxy nodes."""

    api = 1
    Config = HaproxyConfig

    def __init__(self, config: HaproxyConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        written = config.writes(context.base_dir)
        memory = Memory(state_file(context.state_dir, context.name, written, "haproxy.json"))
        self._nodes = Nodes(config.nodes, config.backend, config.servers, memory)
        self._nodes.base_dir = context.base_dir
        if isinstance(config.persist, str):
            self._nodes.state_file = path_of(config.persist, context.base_dir)
        else:
            self._nodes.command, self._nodes.env = config.persist, config.env
        self._writer = Writer(config.backend, memory)
        self._sides = UrlSides(config, context.http)
        self._deployer = command_deployer(config, context, health=self.color_health, observe=self.observe)
        self._rates = SideRates()
        self._last: list[NodeState] = []
        self._silent: frozenset[str] = frozenset()
        self._static = False

    @property
    def object_id(self) -> str:
        """As the port says."""
        return f"backend {self._config.backend}"

    @property
    def can_split(self) -> bool:
        """Unless the backend, as far as it has been read, balances statically."""
        return not self._static

    @property
    def write_settles_s(self) -> float:
        """HAProxy runs a command when it has read it; one that it has not read goes with the connection."""
        return 1.0

    @property
    def deployer(self) -> Deployer | None:
        """The commands `deploy` and `retire`, where the config has them: a proxy puts no version anywhere."""
        return self._deployer

    async def deployment(self) -> Deployment:
        """All nodes, both sides and one fresh request, side by side. Never raises: what is not known says so."""
        colors = self._config.colors
        reading = await self._read()
        control = reading.switch(colors)
        data, sides = await together(self._sides.data(), self._sides.states(control))
        now = datetime.now(UTC)
        sides = {
            color: _side(reading, color, told) if reading.states else _by_itself(reading, told)
            for color, told in sides.items()
        }
        if not reading.problems:
            for color, seen in self._rates.traffic(reading, time.monotonic()).items():
                sides[color] = self._rates.of(color, sides[color], seen)
        said = (shares_words(control.served) if control.served else "", control.detail)
        # Who has traffic where, and that some clients get no answer.
        known = bool(control.edited) and not control.weights
        truth = Truth(
            control=TruthLayer(
                value="mixed" if known else control.live, detail="; ".join(word for word in said if word), at=now
            ),
            endpoints=endpoints_of(reading, colors, now),
            data=data,
        )
        return Deployment(
            ref=f"{self._name}/{self._name}",
            backend=self._name,
            service=self._name,
            live=live_color(truth),
            colors=sides,
            truth=truth,
            mark=control.mark,
        )

    async def observe(self) -> SwitchState:
        """All nodes now. Raises BackendError where one of them can not be read: its part is unknown."""
        return (await self._read()).whole().switch(self._config.colors)

    async def endpoints(self) -> TruthLayer:
        """The servers that are up and take traffic, on all nodes."""
        return endpoints_of(await self._read(), self._config.colors, datetime.now(UTC))

    async def color_health(self, color: str) -> ColorState:
        """The color's own word, and that HAProxy finds a server of it up on every node. Never raises."""
        if color not in self._config.colors:
            known = ", ".join(self._config.colors)
            return ColorState(healthy=None, detail=f'no color "{clean(color, 64)}" here (known: {known})')
        told, reading = await together(self._sides.health(color), self._read())
        return _side(reading, color, told)

    async def request_counts(self) -> RequestCounts:
        """Over all nodes, since each was started: responses and requests that came to none, those of them of 5xx or
        with none, and the errors that HAProxy answered itself, for no server. Raises BackendError."""
        reading = (await self._read()).whole()
        counts = reading.counts()
        return RequestCounts(
            requests={color: counters.requests for color, counters in counts.items()},
            failures={color: counters.errors for color, counters in counts.items()},
            refused=reading.refused(),
        )

    async def preflight(self, expected: SwitchState, weights: dict[str, int]) -> list[Finding]:
        """The level of each socket, who is up and in rotation, and whether a reload forgets it.

        Raises BackendError: `auth` naming the level that is missing, `config` for shares that can not be written.
        """
        shares = self._shares(weights)
        levels = await together(*(node.ask("show cli level") for node in self._nodes.by_address.values()))
        for address, level in zip(self._nodes.by_address, levels, strict=True):
            if level.strip() != "admin":
                raise BackendError("auth", f"{address}: a socket of level {clean(level.strip(), 20)}", fix=ADMIN_FIX)
        reading = (await self._read()).whole()
        for state in reading.states:
            self._writer.commands(state, shares)
        durability = await asyncio.to_thread(self._nodes.durability)
        return [*idle_nodes(reading), *findings(reading, shares, durability)]

    async def shift(
        self, expected: SwitchState, weights: dict[str, int], *, stamp: str, fence: int = 0, journal: str = ""
    ) -> SwitchState:
        """Node by node, in the order of the config, or in reverse for a step that goes back.

        Raises BackendError: `conflict` where a node is not as expected, `config` for shares that can not be, `auth`,
        `unreachable` and `timeout`. Nodes written before the failure have been put back then, and the message says so.
        """
        shares, colors = self._shares(weights), self._config.colors
        async with self._writer.alone():
            with nothing_sent():
                reading = (await self._read()).whole()
            found = reading.switch(colors)
            self._must_be(found, expected)
            refuse_older_fence(f"backend {self._config.backend}", found, stamp, fence, journal)
            refuse_a_side_that_is_down(reading, found.weights, shares)
            states = reading.states[::-1] if goes_back(stamp) else reading.states
            kept = await self._nodes.begin()
            try:
                await self._writer.write(
                    self._nodes.by_address,
                    states,
                    shares,
                    stamp=stamp,
                    fence=fence,
                    journal=journal,
                    each=expected.back_to,
                )
            except BackendError as error:
                self._static = self._static or STATIC_WORDS in error.message
                await self._nodes.forget(kept)
                raise
            await self._nodes.keep()
            after = await self.observe()
        if after.weights != shares or after.stamp != stamp:
            said = after.detail or shares_words(after.weights)
            raise BackendError("conflict", f"backend {self._config.backend}: somebody wrote in the same moment: {said}")
        return after

    async def mark_ended(self, expected: SwitchState) -> None:
        """As `shift`, on every node."""
        async with self._writer.alone():
            reading = (await self._read()).whole()
            self._must_be(reading.switch(self._config.colors), expected)
            await self._writer.mark_ended(self._nodes.by_address, reading.states)
            await self._nodes.keep_unseen()

    def describe_shift(self, before: SwitchState, weights: dict[str, int]) -> list[str]:
        """One line for the backend, one for the shares, one for each node, one for what keeps them."""
        config, to = self._config, SwitchState(weights=weights, revision="").live
        lines = [f"control  backend {config.backend} on {', '.join(config.nodes)}: {before.live} → {to}"]
        lines.append(f"traffic  {moves_words(before, weights, config.colors)}")
        for state in self._states():
            try:
                raising, lowering = self._writer.commands(state, self._shares(weights))
            except BackendError as error:
                lines.append(f"refused  {error.message}")
                continue
            parts = (", ".join(_short(line) for line in part) for part in (raising, lowering) if part)
            lines.append(f"node     {state.node}: {', then '.join(parts) or 'nothing to change'}")
        if config.persist:
            lines.append(
                f"persist  {config.persist if isinstance(config.persist, str) else shown_command(config.persist)}"
            )
        return lines

    def manual_commands(self, weights: dict[str, int]) -> list[str]:
        """Each node by socat, the side that gains first; then what keeps it. A node that did not answer comes last: it
        has to be started first, and begins with the weights of its files."""
        lines = []
        for state in sorted(self._states(), key=lambda state: state.node in self._silent):
            node = self._nodes.by_address[state.node]
            from_nothing = replace(state, servers=tuple(replace(server, weight=-1) for server in state.servers))
            orders, _ = self._writer.commands(from_nothing, self._shares(weights))
            orders.sort(key=lambda line: line.endswith(" weight 0"))
            first = f"start HAProxy, of which nothing answers at {state.node}, then: " * (state.node in self._silent)
            lines.append(f"{first}echo {shlex.quote('; '.join(orders))} | socat stdio {shlex.quote(node.socat)}")
            if self._nodes.state_file is not None:  # beside it first: the shell empties what a dead socket never fills
                kept, beside = (shlex.quote(f"{self._nodes.state_file}{end}") for end in ("", ".new"))
                asked = f"echo 'show servers state' | socat stdio {shlex.quote(node.socat)}"
                lines.append(f"{asked} > {beside} && mv {beside} {kept}")
            elif self._nodes.command:
                words = [word.replace("{node}", state.node) for word in self._nodes.command]
                lines.append(from_anywhere(self._nodes.base_dir, words))
        return lines

    async def aclose(self) -> None:
        """Nothing is held open."""

    async def _read(self) -> Reading:
        reading = await self._nodes.read()
        self._static = self._static or any(state.static for state in reading.states)
        if not reading.problems:
            self._last = reading.states
        self._silent = reading.silent
        return reading

    def _states(self) -> list[NodeState]:
        """As last read; before that, as if nothing but the names were known."""
        if self._last:
            return self._last
        servers = tuple(
            Server(name=name, color=color, weight=-1, initial=1, admin=0, running=True)
            for color, names in self._config.servers.items()
            for name in names
        )
        return [
            NodeState(
                node=address,
                servers=servers,
                shares={},
                detail="",
                algorithm="",
                mark=None,
                process="",
                started=0,
                counters={},
            )
            for address in self._config.nodes
        ]

    def _shares(self, weights: dict[str, int]) -> dict[str, int]:
        problem = check_weights(weights, self._config.colors)
        if problem:
            fix = "weights in percent, summing to 100"
            raise BackendError("config", f"backend {self._config.backend}: refused: {problem}", fix=fix)
        return {color: weights.get(color, 0) for color in self._config.colors}

    def _must_be(self, found: SwitchState, expected: SwitchState) -> None:
        where = f"backend {self._config.backend}"
        if not expected.goes_over(found):
            raise BackendError("conflict", f"{where}: {first_line(found.detail)}: not written over")
        if (found.weights, found.revision) != (expected.weights, expected.revision):
            said = first_line(found.detail) or shares_words(found.weights)
            raise BackendError("conflict", f"{where}: it says {said}, stamp {found.stamp or 'none'}: changed")


def _by_itself(reading: Reading, told: ColorState) -> ColorState:
    """What a color says where no node answers. To be seen only: a way to go on asks `color_health`, for both."""
    return replace(told, detail=f"{told.detail}; what HAProxy says is not known: {reading.problem}")


def _side(reading: Reading, color: str, told: ColorState) -> ColorState:
    """The color's own word and HAProxy's health checks together: each can say no, and only both say yes."""
    side = reading.servers(color)
    up = [(node, server) for node, server in side if server.running and server.in_rotation]
    without = [state.node for state in reading.states if state.node not in {node for node, _ in up}]
    means = reading.counts().get(color)
    words = [told.detail, f"{len(up)}/{len(side)} servers up"]
    if means is not None and means.response_ms is not None:
        words.append(f"{means.response_ms:.0f} ms mean")
    healthy = told.healthy
    if without and healthy is not False:
        down = next((server for node, server in side if node == without[0]), None)
        why = (down.status or "down" if down.in_rotation else down.out_words) if down else "none"
        healthy, words[0] = False, f"no server of {color.upper()} is up on {without[0]}: {why}"
    elif reading.problems and healthy is not False:
        said = "it answers healthy itself" if healthy else told.detail
        healthy, words[0] = None, f"{said}; what HAProxy says is not known: {reading.problem}"
    if not reading.states:  # nobody counted any
        return replace(told, healthy=healthy, detail=words[0])
    return replace(told, healthy=healthy, ready=len(up), desired=len(side), detail=", ".join(words))


def _short(order: str) -> str:
    """`green-1 weight 100` of the whole command."""
    return order.removeprefix("set server ").partition("/")[2]
