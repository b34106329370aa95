"""What is said of a shift before it is written: who is up, who is out of rotation, what the balance algorithm makes of
shares, and whether the weights outlive a reload."""

from backends.deployments.haproxy.nodes import Reading
from backends.deployments.haproxy.weights import Server
from backends.errors import BackendError
from backends.models import Finding
from backends.text import counted

_BY_REQUESTS = ("roundrobin", "random")


def findings(reading: Reading, shares: dict[str, int], durability: tuple[str, str]) -> list[Finding]:
    """One finding for each thing that was looked at; the level of the sockets has been by then."""
    count = len(reading.states)
    found = [Finding(level="ok", code="haproxy-level", text=f"admin on {counted(count, 'node')}")]
    found += [finding for color, share in shares.items() if share for finding in _side(reading, color)]
    if asked := sorted({server.name for state in reading.states for server in state.servers if server.agent}):
        text = f"the agent-check of {', '.join(asked)} may write over any weight at its next answer"
        fix = "`disable agent BACKEND/SERVER` there, or an agent that answers no percentage"
        found.append(Finding(level="warning", code="haproxy-agent", text=text, fix=fix))
    algorithms = {state.algorithm or "unknown" for state in reading.states}
    if sum(share > 0 for share in shares.values()) > 1 and not algorithms <= set(_BY_REQUESTS):
        text = f"balance {', '.join(sorted(algorithms))}: the observed shares of requests will differ from the planned"
        found.append(Finding(level="warning", code="haproxy-algorithm", text=text, fix="balance roundrobin or random"))
    text, fix = durability
    if text:
        found.append(Finding(level="warning", code="haproxy-reload", text=text, fix=fix))
    return found


def idle_nodes(reading: Reading) -> list[Finding]:
    """The nodes on which nobody gets an answer now."""
    fix = "the way back gives a side its weight again"
    return [
        Finding(level="warning", code="haproxy-idle", text=f"{state.node}: {state.detail}", fix=fix)
        for state in reading.states
        if state.idle
    ]


def refuse_a_side_that_is_down(reading: Reading, before: dict[str, int], shares: dict[str, int]) -> None:
    """Raises BackendError where a color that gains traffic has no server that is up on some node."""
    for state in reading.states:
        for color, share in shares.items():
            side = [server for server in state.servers if server.color == color]
            if share > before.get(color, 0) and not any(_ready(server) for server in side):
                said = ", ".join(
                    f"{server.name} {server.status if server.in_rotation else server.out_words}" for server in side
                )
                message = f"{state.node}: no server of {color.upper()} is up ({said}): no traffic is sent there"
                raise BackendError("unreachable", message, fix=f"make {color.upper()} healthy first")


def _side(reading: Reading, color: str) -> list[Finding]:
    side = reading.servers(color)
    up = [server for _, server in side if _ready(server)]
    out = [f"{server.name} on {node} is {server.out_words}" for node, server in side if not server.in_rotation]
    down = [
        f"{server.name} on {node} {server.status}" for node, server in side if server.in_rotation and not server.running
    ]
    found = []
    if out:
        text = f"{', '.join(out)}: somebody took it out, and it stays out"
        found.append(
            Finding(level="warning", code="haproxy-rotation", text=text, fix="`set server … state ready` puts it back")
        )
    if down:
        text = f"{color.upper()} will be carried by {len(up)} of {len(side)}: {', '.join(down)}"
        found.append(Finding(level="warning", code="haproxy-servers", text=text, fix="see its health checks"))
    if not out and not down:
        found.append(
            Finding(level="ok", code="haproxy-servers", text=f"{color.upper()} has {len(up)} of {len(side)} up")
        )
    return found


def _ready(server: Server) -> bool:
    return server.running and server.in_rotation
