"""What the HAProxy nodes of a service say: servers, counters, and the mark of the last write.

The mark is a process-wide variable (`set var proc.…`): every console sees it, whichever host it runs on, and a
reload takes it away together with the weights that were set at runtime.
"""

import hashlib
import re
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote, unquote

from msgspec import Struct
from msgspec.structs import replace

from backends.deployments.haproxy.socket import Node, csv_table, fields, number, table
from backends.deployments.haproxy.weights import WITHOUT_SHARES, Server, shares_of
from backends.deployments.switch_format import percent
from backends.errors import BackendError
from backends.ports import SwitchState
from backends.text import clean
from backends.times import away

_VARIABLE = re.compile(r"type=\w+ value=<(.*)>\s*\Z", re.DOTALL)
_RUNNING = 2
IDLE_S = 60  # as long as the rates of a side look back


class Mark(Struct, frozen=True, kw_only=True):
    """The last write to a node: its phase, the number of the write, the lease's fence, what it wrote and for whom.

    `journal` and `ended` are in a variable beside it: a program before 0.2 takes a mark with more parts for none."""

    phase: Literal["moving", "done"]
    number: int
    fence: int
    shares: dict[str, int]
    stamp: str
    journal: str = ""
    ended: bool = False

    def text(self) -> str:
        """As the variable holds it: no space, semicolon, comma or bracket, which mean something in a command."""
        shares = "+".join(f"{quote(color, safe='')}={share}" for color, share in self.shares.items())
        return f"1/{self.phase}/{self.number}/{self.fence}/{shares}/{quote(self.stamp, safe=':-_.')}"

    def owner(self) -> str:
        """As the variable beside it holds `journal` and `ended`, with the write that they are of."""
        return f"1/{self.number}/{quote(self.journal, safe='')}/{'ended' if self.ended else 'open'}"

    @staticmethod
    def owns(text: str) -> bool:
        """Whether the variable beside it is of the form that this program writes, or holds nothing."""
        return text == "" or text.startswith("1/")

    def owned(self, text: str) -> "Mark":
        """With what the variable beside it says; without, where that is of another write."""
        version, _, rest = text.partition("/")
        number, _, rest = rest.partition("/")
        journal, _, state = rest.partition("/")
        if (version, number) != ("1", str(self.number)):
            return self
        return replace(self, journal=clean(unquote(journal), 64), ended=state == "ended")

    @classmethod
    def parse(cls, text: str) -> "Mark | None":
        """None for what this program did not write."""
        parts = text.split("/")
        if len(parts) != 6 or parts[0] != "1" or parts[1] not in ("moving", "done"):
            return None
        try:
            pairs = (pair.split("=") for pair in parts[4].split("+"))
            shares = {clean(unquote(color), 64): int(share) for color, share in pairs}
            number, fence = int(parts[2]), int(parts[3])
        except ValueError:
            return None
        phase: Literal["moving", "done"] = "moving" if parts[1] == "moving" else "done"
        return cls(phase=phase, number=number, fence=fence, shares=shares, stamp=clean(unquote(parts[5]), 200))


class Counters(Struct, frozen=True):
    """Of one color on one node, since HAProxy began to count."""

    requests: int = 0
    errors: int = 0
    response_ms: float | None = None  # mean over the last 1024

    def __add__(self, other: "Counters") -> "Counters":
        times = [time for time in (self.response_ms, other.response_ms) if time is not None]
        return Counters(
            self.requests + other.requests, self.errors + other.errors, sum(times) / len(times) if times else None
        )


class NodeState(Struct, frozen=True, kw_only=True):
    """One node, read at once. `mark` is None where there is none, and `odd_mark` is one that can not be read,
    `odd_owner` what is beside one.
    `refused`: errors that HAProxy answered itself, for no server, since it began to count.
    `process` changes with every reload, `started` is the second of the last one, 0 where it is not known."""

    node: str
    servers: tuple[Server, ...]
    shares: dict[str, int]
    detail: str
    algorithm: str
    mark: Mark | None
    process: str
    started: int
    counters: dict[str, Counters]
    refused: int = 0
    odd_mark: str = ""
    odd_owner: str = ""

    @property
    def static(self) -> bool:
        """Whether a server can only have all of its weight or none."""
        return self.algorithm in WITHOUT_SHARES

    @property
    def idle(self) -> bool:
        """Whether it gives nobody traffic: each of its clients gets an error."""
        return not any(server.in_rotation and server.weight for server in self.servers)

    @property
    def stamp(self) -> str:
        """Of the last write, where its weights are still in force or it was not finished."""
        mark = self.mark
        if mark is None or (mark.phase == "done" and mark.shares != self.shares):
            return ""
        return mark.stamp

    @property
    def started_words(self) -> str:
        """` 5m ago`; empty where HAProxy, before 2.5, does not say when it was started."""
        return f" {away(datetime.fromtimestamp(self.started, UTC))} ago" if self.started else ""

    def words(self) -> str:
        """Its shares, or why there are none."""
        return self.detail or shares_words(self.shares)


def shares_words(shares: dict[str, int]) -> str:
    """`GREEN 100 %` for all of it, else each color with its share."""
    taking = {color: share for color, share in shares.items() if share}
    return " ".join(f"{color.upper()} {share} %" for color, share in taking.items()) or "nothing"


def variable_of(backend: str) -> str:
    """The mark's variable: names there have only letters, digits, dots and underscores."""
    return f"proc.tealdeck.{_name(backend)}"


def owner_variable_of(backend: str) -> str:
    """That of the mark's journal and end."""
    return f"proc.tealdeck_owner.{_name(backend)}"


def _name(backend: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else f"_{ord(c):02x}" for c in backend)


async def read_node(node: Node, backend: str, servers: dict[str, tuple[str, ...]]) -> NodeState:
    """Everything that one node says of the backend. Raises BackendError; `config` for a server it does not have."""
    state = await node.ask(f"show servers state {backend}")
    if state.startswith("Can't find backend"):
        raise BackendError(
            "config", f'{node}: HAProxy has no backend "{backend}"', fix="correct `backend` in the config"
        )
    rows = table(node, state, "be_id", "srv_name", "srv_op_state", "srv_admin_state", "srv_uweight", "srv_iweight")
    # A name may be that of a frontend too, and `show stat` takes that one then; a number is of one of them.
    wanted = str(number(node, rows[0], "be_id")) if rows else backend
    stat = csv_table(node, await node.ask(f"show stat {wanted} 6 -1"), "svname", "status", "stot", "hrsp_5xx")
    info = fields(node, await node.ask("show info"), "Pid")
    found_mark = _VARIABLE.search(await node.ask(f"get var {variable_of(backend)}"))
    owner = _VARIABLE.search(await node.ask(f"get var {owner_variable_of(backend)}"))
    mark = Mark.parse(found_mark[1]) if found_mark else None
    color_of = {name: color for color, names in servers.items() for name in names}
    by_name = {row["svname"]: row for row in stat}
    found = tuple(_server(node, row, by_name.get(row["srv_name"], {}), color_of) for row in rows)
    missing = sorted(set(color_of) - {server.name for server in found})
    if missing:
        has = ", ".join(server.name for server in found) or "none"
        raise BackendError(
            "config", f'{node}: backend {backend} has no server "{missing[0]}" (it has: {has})', fix="correct `servers`"
        )
    shares, detail = _shares(found, tuple(servers), backend)
    return NodeState(
        node=str(node),
        servers=found,
        shares=shares,
        detail=detail,
        algorithm=clean(by_name.get("BACKEND", {}).get("algo") or "", 40),
        mark=mark.owned(owner[1]) if mark and owner else mark,
        process=f"{info['Pid']}/{info.get('Start_time_sec', '')}",
        started=number(node, info, "Start_time_sec"),
        counters=_counters(node, stat, color_of),
        refused=_refused(node, stat),
        odd_mark=clean(found_mark[1], 200) if found_mark and mark is None else "",
        odd_owner=clean(owner[1], 200) if owner and mark and not mark.owns(owner[1]) else "",
    )


def combine(nodes: list[NodeState], colors: tuple[str, ...]) -> SwitchState:
    """All nodes as one switch: their shares where they agree, else the mean with who says what in `detail`.

    The stamp is that of the newest write on any node, so that a write that reached only some of them can be told from
    somebody else's.
    """
    digest = hashlib.sha256()
    for node in nodes:
        text = node.mark.text() if node.mark else node.odd_mark
        digest.update(f"{node.node}|{text}|".encode())
        for server in sorted(node.servers, key=lambda server: server.name):
            digest.update(f"{server.name}={server.weight}/{server.admin}|".encode())
    # Of the nodes of one write, one that still is as it was written speaks, where somebody changed another since.
    newest = max(nodes, key=lambda node: (node.mark.number if node.mark else 0, bool(node.stamp)))
    marks = ((node.odd_mark or node.odd_owner, node.node) for node in nodes)
    odd = next((f"{clean(mark, 80)} on {node}" for mark, node in marks if mark), "")
    state = SwitchState(weights={}, revision=digest.hexdigest()[:16], odd_mark=odd)
    if (mark := newest.mark) is not None:
        # A reload takes a mark away: a node without one says nothing against the end that the others tell.
        ended = all(node.mark.ended for node in nodes if node.mark is not None)
        state = replace(state, fence=mark.fence, journal=mark.journal, wrote=_wrote(nodes, mark, colors), ended=ended)
    unreadable = [f"{node.node}: {node.detail}" for node in nodes if not node.shares]
    if unreadable:
        # A node that gives nobody traffic hides nothing that the way back would write over.
        edited = "; ".join(unreadable) if all(node.shares or node.idle for node in nodes) else ""
        return replace(state, detail="; ".join(unreadable), stamp=newest.stamp, edited=edited)
    if all(node.shares == nodes[0].shares for node in nodes):
        return replace(state, weights=nodes[0].shares, stamp=newest.stamp)
    sums = {color: sum(node.shares[color] for node in nodes) for color in colors}
    said = "the nodes differ: " + ", ".join(f"{node.node} {node.words()}" for node in nodes)
    parts = {node.node: node.shares for node in nodes}
    return replace(state, weights=percent(sums), stamp=newest.stamp, detail=said, parts=parts)


def _wrote(nodes: list[NodeState], newest: Mark, colors: tuple[str, ...]) -> dict[str, int]:
    """What the newest write made of all nodes; empty where it has not reached each of them."""
    marks = [node.mark for node in nodes]
    shares = [mark.shares for mark in marks if mark and mark.phase == "done" and mark.stamp == newest.stamp]
    if len(shares) < len(nodes) or any(set(each) != set(colors) for each in shares):
        return {}
    same = all(each == shares[0] for each in shares)
    return shares[0] if same else percent({color: sum(each[color] for each in shares) for color in colors})


def _server(node: Node, row: dict[str, str], stat: dict[str, str], color_of: dict[str, str]) -> Server:
    status = clean(f"{stat.get('status', '')} {stat.get('check_status', '').removeprefix('* ')}".strip(), 60)
    return Server(
        name=clean(row["srv_name"], 128),
        color=color_of.get(row["srv_name"], ""),
        weight=number(node, row, "srv_uweight"),
        initial=number(node, row, "srv_iweight"),
        admin=number(node, row, "srv_admin_state"),
        running=number(node, row, "srv_op_state") == _RUNNING,
        status=status,
        agent=bool((stat.get("agent_status") or "").strip()),
    )


def _shares(servers: tuple[Server, ...], colors: tuple[str, ...], backend: str) -> tuple[dict[str, int], str]:
    strangers = [server for server in servers if not server.color and server.in_rotation and server.weight]
    if strangers:
        return {}, f"{strangers[0].name} of backend {backend} takes traffic, and `servers` gives it no color"
    shares = shares_of(servers, colors)
    return shares, "" if shares else f"nobody takes traffic of backend {backend}: {_idle_words(servers)}"


def _idle_words(servers: tuple[Server, ...]) -> str:
    """Who was taken out by hand, which its weight does not show; else that none has weight."""
    out = [f"{server.name} is {server.out_words}" for server in servers if server.weight and not server.in_rotation]
    return f"{', '.join(out)}, and no other server has weight" if out else "no server has weight"


def _counters(node: Node, stat: list[dict[str, str]], color_of: dict[str, str]) -> dict[str, Counters]:
    found: dict[str, Counters] = {}
    for row in stat:
        color = color_of.get(row["svname"])
        if color is None:
            continue
        failed = sum(number(node, row, name) for name in ("hrsp_5xx", "econ", "eresp"))
        answered = sum(number(node, row, f"hrsp_{kind}") for kind in ("1xx", "2xx", "3xx", "4xx", "5xx", "other"))
        http = row.get("mode") == "http"
        # What came to no response is in no hrsp of its server: a request that failed, all the same.
        requests = answered + _without_answer(node, row) if http else number(node, row, "stot")
        time = float(number(node, row, "rtime")) if http and answered and not _is_idle(row) else None
        found[color] = found.get(color, Counters()) + Counters(requests, failed, time)
    return found


def _is_idle(row: dict[str, str]) -> bool:
    """Whether its last request is so long ago that HAProxy's mean of the last ones says nothing of now."""
    since = row.get("lastsess", "")
    return since == "-1" or (since.isdecimal() and int(since) > IDLE_S)


def _without_answer(node: Node, row: dict[str, str]) -> int:
    return number(node, row, "econ") + number(node, row, "eresp")


def _refused(node: Node, stat: list[dict[str, str]]) -> int:
    """What the backend counts and no server does: with every server down, its clients get a 503 that is nobody's."""
    whole = next((row for row in stat if row["svname"] == "BACKEND"), None)
    if whole is None:
        return 0
    servers = [row for row in stat if row is not whole]
    if whole.get("mode") != "http":
        return max(0, number(node, whole, "econ") - sum(number(node, row, "econ") for row in servers))
    theirs = sum(number(node, row, "hrsp_5xx") + _without_answer(node, row) for row in servers)
    return max(0, number(node, whole, "hrsp_5xx") - theirs)
