"""Weights onto HAProxy nodes, one node after the other: the side that gains first, then the side that loses.

The runtime API has no compare-and-swap. What stands for it is a lock for the writers of this host, the lease for those
of others, and reading everything right before and right after: between that read and the last write of a node there are
some milliseconds in which somebody else's change is written over.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

from msgspec.structs import replace

from backends.deployments.file_store import locked_beside
from backends.deployments.haproxy.memory import Memory
from backends.deployments.haproxy.socket import Node
from backends.deployments.haproxy.state import Mark, NodeState, owner_variable_of, variable_of
from backends.deployments.haproxy.weights import weights_for
from backends.errors import BackendError
from backends.ports import read_stamp

STATIC_WORDS = "static LB algorithm"
_ONE_WORD = re.compile(r"[\w./=+:%~-]{1,190}", re.ASCII)  # what can stand in a command as it is


class Writer:
    """Writes to the nodes of one backend."""

    def __init__(self, backend: str, memory: Memory) -> None:
        self._backend = backend
        self._memory = memory
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """No other writer of this host. A lock that can not be made stops nothing: a full disk may be why somebody
        has to go back. Raises BackendError(timeout) where another holds it."""
        async with self._lock, contextlib.AsyncExitStack() as held:
            try:
                await asyncio.to_thread(self._memory.make)
                await held.enter_async_context(locked_beside(self._memory.path))
            except (BackendError, OSError) as error:
                if isinstance(error, BackendError) and error.kind == "timeout":
                    raise
            yield

    def commands(self, state: NodeState, shares: dict[str, int]) -> tuple[list[str], list[str]]:
        """What raises weights on a node, and what lowers them. Raises BackendError(config) for what can not be."""
        try:
            wanted = weights_for(state.servers, shares, static=state.static)
        except ValueError as error:
            fix = "flip all traffic at once" if state.static else "see `show servers state` there"
            raise BackendError("config", f"{state.node}: {error}", fix=fix) from None
        return self._between({server.name: server.weight for server in state.servers}, wanted)

    async def write(
        self,
        nodes: dict[str, Node],
        states: list[NodeState],
        shares: dict[str, int],
        *,
        stamp: str,
        fence: int,
        journal: str,
        each: dict[str, dict[str, int]],
    ) -> None:
        """All nodes in the order of `states`; one that has these shares from this very write is left as it is. `each`:
        other shares by node. Where
        one fails, what was written before is put back and the error raised; a write that itself goes back stays."""
        number = 1 + max((state.mark.number for state in states if state.mark), default=0)
        wanted = {state.node: each.get(state.node, shares) for state in states}
        # What can not be written is refused before anything is.
        plans = [(state, wanted[state.node], self.commands(state, wanted[state.node])) for state in states]
        touched: list[NodeState] = []
        for state, own, (raising, lowering) in plans:
            if state.shares == own and state.mark and (state.mark.phase, state.mark.stamp) == ("done", stamp):
                continue
            mark = Mark(phase="done", number=number, fence=fence, shares=own, stamp=stamp, journal=journal)
            touched.append(state)
            try:
                await self._apply(nodes[state.node], mark, raising, lowering)
                await self._not_idle(nodes[state.node], state, own)
            except BackendError as error:
                if goes_back(stamp):
                    raise
                raise await self._put_back(nodes, touched, error) from None
            await asyncio.to_thread(self._memory.wrote, state.node, mark, state.process)

    async def mark_ended(self, nodes: dict[str, Node], states: list[NodeState]) -> None:
        """Note on each node that the action of its last write is over. Raises BackendError."""
        for state in states:
            if state.mark is not None and not state.mark.ended:
                mark = replace(state.mark, ended=True)
                await nodes[state.node].order(self._marked(None, mark.owner()))
                await asyncio.to_thread(self._memory.wrote, state.node, mark, state.process)

    async def _apply(self, node: Node, mark: Mark, raising: list[str], lowering: list[str]) -> None:
        moving = replace(mark, phase="moving")
        await node.order([*self._marked(moving.text(), moving.owner()), *raising])
        await node.order([*lowering, *self._marked(mark.text())])

    async def _not_idle(self, node: Node, state: NodeState, shares: dict[str, int]) -> None:
        """Somebody took the weight from the side that gained before it was taken from the other: nobody has traffic on
        this node then, and the write is made whole at once. Where he does it again, the traffic goes back to who had
        it. Raises BackendError, `conflict` for that."""
        before = {server.name: server.weight for server in state.servers}
        for wanted in (weights_for(state.servers, shares, static=state.static), before):
            now = _weights_in(await node.ask(f"show servers state {self._backend}"))
            if any(now.get(server.name, 0) for server in state.servers if server.in_rotation):
                return
            raising, _ = self._between(now, wanted)
            await node.order(raising)
        words = f"{state.node}: somebody takes the weight from the side that gains, again and again"
        raise BackendError("conflict", words, fix="see who writes there, then plan anew", taken_back=True)

    async def _put_back(self, nodes: dict[str, Node], touched: list[NodeState], error: BackendError) -> BackendError:
        """`error`, with what became of each node. What has other weights than before was carried out, whether or not
        that was answered."""
        words, carried_out = [error.message], error.taken_back
        for before in reversed(touched):
            node = nodes[before.node]
            try:
                answer = await node.ask(f"show servers state {self._backend}")
                raising, lowering = self._between(_weights_in(answer), {s.name: s.weight for s in before.servers})
                carried_out = carried_out or bool(raising or lowering)
                await node.order(raising)
                odd = before.odd_mark if _ONE_WORD.fullmatch(before.odd_mark) else ""
                marks = (before.mark.text(), before.mark.owner()) if before.mark else (odd, "")
                await node.order([*lowering, *self._marked(*marks)])
                words.append(f"{before.node} is as it was")
            except BackendError as again:
                words.append(f"{before.node} may have changed: {again.message}")
        return BackendError(error.kind, "; ".join(words), fix=error.fix, taken_back=carried_out)

    def _between(self, now: dict[str, int], wanted: dict[str, int]) -> tuple[list[str], list[str]]:
        def order(name: str) -> str:
            return f"set server {self._backend}/{name} weight {wanted[name]}"

        raising = [order(name) for name in wanted if name in now and wanted[name] > now[name]]
        return raising, [order(name) for name in wanted if name in now and wanted[name] < now[name]]

    def _marked(self, mark: str | None, owner: str | None = None) -> list[str]:
        variables = ((owner_variable_of(self._backend), owner), (variable_of(self._backend), mark))
        return [
            "experimental-mode on",
            *(f"set var {name} str({value})" for name, value in variables if value is not None),
        ]


def goes_back(stamp: str) -> bool:
    """Whether a step undoes another (`shift-back`): the nodes are then taken in reverse."""
    return "back" in read_stamp(stamp).step


def _weights_in(answer: str) -> dict[str, int]:
    lines = [line.split() for line in answer.splitlines()]
    names = next((line[1:] for line in lines if line[:1] == ["#"]), [])
    rows = [dict(zip(names, line, strict=False)) for line in lines if len(line) == len(names) and line[:1] != ["#"]]
    found = {row.get("srv_name", ""): row.get("srv_uweight", "") for row in rows}
    return {name: int(weight) for name, weight in found.items() if weight.isdecimal()}
