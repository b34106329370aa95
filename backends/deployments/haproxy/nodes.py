"""All HAProxy nodes of a service read at once, with what a reload took or would take."""

import asyncio
import os
from datetime import datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from backends.deployments.haproxy.memory import Memory, after_reload, drift, read_file, run_persist, save_file
from backends.deployments.haproxy.socket import Node
from backends.deployments.haproxy.state import Counters, NodeState, combine, read_node
from backends.deployments.haproxy.weights import Server
from backends.deployments.rates import Count, Rates, Traffic
from backends.errors import BackendError
from backends.models import ColorState, TruthLayer
from backends.ports import SwitchState


class Reading(Struct, frozen=True):
    """The nodes that answered, what was wrong with the others, and what is to be said of reloads. `silent`: where
    nothing answers, as of one that is dead."""

    states: list[NodeState]
    problems: list[BackendError]
    notes: list[str]
    silent: frozenset[str] = frozenset()

    @property
    def problem(self) -> str:
        """The nodes that could not be read, in one line; empty where all were."""
        said = [problem.message for problem in self.problems]
        return "; ".join(said + [f"{state.node} {state.words()}" for state in self.states] if said else [])

    def whole(self) -> "Reading":
        """Itself where all nodes answered. Raises BackendError: what one node says is not what is live."""
        if self.problems:
            raise BackendError(self.problems[0].kind, self.problem, fix=self.problems[0].fix)
        return self

    def switch(self, colors: tuple[str, ...]) -> SwitchState:
        """As one switch; empty weights where a node is missing."""
        if self.problems:
            return SwitchState(weights={}, revision="", detail=self.problem)
        found = combine(self.states, colors)
        return replace(found, detail="; ".join(word for word in (found.detail, *self.notes) if word))

    def servers(self, color: str) -> list[tuple[str, Server]]:
        """The servers of a color, each with its node."""
        return [(state.node, server) for state in self.states for server in state.servers if server.color == color]

    def counts(self) -> dict[str, Counters]:
        """The counters of each color over all nodes."""
        found: dict[str, Counters] = {}
        for state in self.states:
            for color, counters in state.counters.items():
                found[color] = found[color] + counters if color in found else counters
        return found

    def refused(self) -> int:
        """Errors that HAProxy answered itself, over all nodes."""
        return sum(state.refused for state in self.states)


UNSEEN = "nobody saw `persist` end after the last write"


class Nodes:
    """The nodes of one backend. `persist`: the path of a server-state file, a command, or nothing."""

    def __init__(
        self, addresses: tuple[str, ...], backend: str, servers: dict[str, tuple[str, ...]], memory: Memory
    ) -> None:
        self.by_address = {address: Node(address) for address in addresses}
        self._backend = backend
        self._servers = servers
        self._memory = memory
        self.state_file: Path | None = None
        self.command: tuple[str, ...] = ()
        self.env: tuple[str, ...] = ()
        self.base_dir = Path()

    async def read(self) -> Reading:
        """Now. What is wrong with a node is in `problems`."""
        found = await asyncio.gather(
            *(read_node(node, self._backend, self._servers) for node in self.by_address.values()),
            return_exceptions=True,
        )
        problems = [answer for answer in found if isinstance(answer, BackendError)]
        for answer in found:
            if isinstance(answer, BaseException) and not isinstance(answer, BackendError):
                raise answer
        seen = [answer for answer in found if isinstance(answer, NodeState)]
        states, notes = await asyncio.to_thread(self._with_memory, seen)
        silent = frozenset(
            address for address, answer in zip(self.by_address, found, strict=True)
            if isinstance(answer, BackendError) and answer.kind == "unreachable"
        )  # fmt: skip
        return Reading(states, problems, notes, silent)

    def _with_memory(self, seen: list[NodeState]) -> tuple[list[NodeState], list[str]]:
        remembered = self._memory.read()
        states, notes = [], []
        for state in seen:
            state, note = after_reload(state, remembered)
            states.append(state)
            notes += [note] if note else []
            if self.state_file is not None:
                persisted = read_file(self.state_file, self.by_address[state.node], self._backend)
                differs = drift(self.state_file, persisted, state)
                notes += [differs] if differs else []
        notes += [f"not kept for a reload: {remembered.not_persisted}"] if remembered.not_persisted else []
        return states, notes

    async def begin(self) -> str:
        """Remember that what is about to be written is not kept yet: who is killed before he can `keep` it says so.
        Returns what was remembered, for `forget` where nothing is written."""
        before = (await asyncio.to_thread(self._memory.read)).not_persisted
        if self.state_file is not None or self.command:
            await asyncio.to_thread(self._memory.persisted, UNSEEN)
        return before

    async def forget(self, before: str) -> None:
        """The write that began was taken back."""
        if self.state_file is not None or self.command:
            await asyncio.to_thread(self._memory.persisted, before)

    async def keep_unseen(self) -> None:
        """`keep`, where a writer did not live to do it."""
        if (await asyncio.to_thread(self._memory.read)).not_persisted == UNSEEN:
            await self.keep()

    async def keep(self) -> None:
        """Persist what runs on all nodes. Traffic has moved by then: what goes wrong is shown, and fails nothing."""
        nodes = list(self.by_address.values())
        if self.state_file is not None:
            problems = [await save_file(self.state_file, nodes[0])]
        elif self.command:
            problems = [await run_persist(self.command, node, self.base_dir, self.env) for node in nodes]
        else:
            return
        said = "; ".join(problem for problem in problems if problem)
        if said or self._memory.read().not_persisted:
            await asyncio.to_thread(self._memory.persisted, said)

    def durability(self) -> tuple[str, str]:
        """What a reload would do to a write, and what to do about it; two empty strings where it is kept."""
        if self.command:
            return "", ""
        if self.state_file is None:
            fix = "set `persist`, and load-server-state-from-file in HAProxy (docs/proxies.md)"
            return "a reload of HAProxy forgets these weights: nothing keeps them", fix
        target = self.state_file if os.path.exists(self.state_file) else self.state_file.parent
        if not (os.access(target, os.W_OK) and os.access(self.state_file.parent, os.W_OK)):
            return (
                f"{self.state_file} can not be written: a reload goes back",
                "let this user write it and its directory",
            )
        return "", ""


class SideRates:
    """Traffic by color, between readings of the same processes."""

    def __init__(self) -> None:
        self._processes = ""
        self._of: dict[str, Rates] = {}

    def traffic(self, reading: Reading, at: float) -> dict[str, Traffic]:
        """`at` is `time.monotonic()`. Only `pending` for the first reading, and after a reload."""
        processes = " ".join(state.process for state in reading.states)
        if processes != self._processes:
            self._processes, self._of = processes, {}
        return {
            color: self._of.setdefault(color, Rates()).traffic(
                Count(at=at, requests=counters.requests, failed=counters.errors)
            )
            for color, counters in reading.counts().items()
        }

    def of(self, color: str, side: ColorState, seen: Traffic) -> ColorState:
        """`side` with what came of its version."""
        return self._of[color].of(side, seen)


def endpoints_of(reading: Reading, colors: tuple[str, ...], at: datetime) -> TruthLayer:
    """A color where every server that is up, in rotation and weighted is of that color, on all nodes."""
    reached: set[str] = set()
    words = []
    empty = [state.node for state in reading.states if not any(_takes(server) for server in state.servers)]
    for color in colors:
        side = reading.servers(color)
        reached |= {color} if any(_takes(server) for _, server in side) else set()
        up = sum(server.running for _, server in side)
        words.append(f"{color.upper()} {up}/{len(side)} up{_of_those_down(side, several=len(reading.states) > 1)}")
    detail = "   ".join(words)
    if reading.problems or empty or not reached:
        why = reading.problem or (f"{empty[0]} reaches no server that is up" if empty else "")
        return TruthLayer(value="unknown", detail=f"{why}   {detail}".strip(), at=at)
    return TruthLayer(value=reached.pop() if len(reached) == 1 else "mixed", detail=detail, at=at)


def _takes(server: Server) -> bool:
    return server.running and server.in_rotation and server.weight > 0


def _of_those_down(side: list[tuple[str, Server]], *, several: bool) -> str:
    out = [(node, server) for node, server in side if not server.running or not server.in_rotation]
    said = [
        f"{server.name} {server.status or 'down' if server.in_rotation else server.out_words}"
        + (f" on {node}" if several else "")
        for node, server in out
    ]
    return f" ({', '.join(said)})" if said else ""
