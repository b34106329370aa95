"""What has to outlast a reload of HAProxy: the server-state file, and this host's memory of its own writes."""

import asyncio
import contextlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from backends.deployments.file_store import read_bounded, replace_file, run_command
from backends.deployments.haproxy.socket import Node, table
from backends.deployments.haproxy.state import Mark, NodeState, shares_words
from backends.deployments.haproxy.weights import OUT_OF_ROTATION
from backends.deployments.switch_format import percent
from backends.errors import BackendError
from backends.files import open_plain
from backends.json_text import decode_text
from backends.state_file import StateFile
from backends.text import clean

MAX_BYTES = 8 * 1024 * 1024


class _Wrote(Struct, frozen=True):
    mark: str = field(name="crumb")  # the key of files that are there
    process: str
    owner: str = ""


class _Remembered(Struct, frozen=True):
    nodes: dict[str, _Wrote] = {}
    not_persisted: str = ""
    damage: str = ""


class Memory:
    """A file of this host beside the adapter's state: the mark that was last written to each node."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self.path = file.path

    def make(self) -> None:
        """The directory and the file. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(open_plain(self.path, os.O_RDWR))

    def read(self) -> _Remembered:
        """What is remembered; nothing where there is none. `damage` says that nobody knows what was."""
        try:
            return decode_text(self._file.read(MAX_BYTES) or b"{}", _Remembered)
        except OSError as error:
            return _Remembered(damage=f"{self.path}: {error.strerror}")
        except msgspec.DecodeError:
            return _Remembered(damage=f"{self.path} is damaged")

    def wrote(self, node: str, mark: Mark, process: str) -> None:
        """Remember it. What can not be kept is only missed after a reload, so it stops nothing."""
        found = self.read()
        self._keep(replace(found, nodes={**found.nodes, node: _Wrote(mark.text(), process, mark.owner())}))

    def persisted(self, problem: str) -> None:
        """How keeping the weights went; empty for well."""
        self._keep(replace(self.read(), not_persisted=problem))

    def _keep(self, found: _Remembered) -> None:
        with contextlib.suppress(BackendError, OSError):
            self.make()
            replace_file(self.path, msgspec.json.encode(replace(found, damage="")))


def after_reload(state: NodeState, remembered: _Remembered) -> tuple[NodeState, str]:
    """A reload took the mark: it is put back where the weights are still those it wrote; else it says what is lost."""
    wrote = remembered.nodes.get(state.node)
    if remembered.damage and state.mark is None:
        return state, f"{remembered.damage}: what was written to {state.node} before its last reload is not known"
    if wrote is None or state.mark is not None or state.odd_mark or wrote.process == state.process:
        return state, ""
    mark = Mark.parse(wrote.mark)
    if mark is None:
        return state, ""
    when = f"{state.node} was reloaded{state.started_words}"
    if mark.phase == "done" and mark.shares == state.shares:
        return replace(state, mark=mark.owned(wrote.owner)), f"{when} and kept its weights"
    return state, f"{when}, since {shares_words(mark.shares)} was written there: that is gone"


class Persisted(Struct, frozen=True, kw_only=True):
    """What the server-state file says of our servers: weight and whether in rotation; `problem` where it can not."""

    weights: dict[str, tuple[int, bool]] = field(default_factory=dict)
    problem: str = ""


def read_file(path: Path, node: Node, backend: str) -> Persisted:
    """The server-state file that HAProxy loads when it is reloaded."""
    try:
        content = read_bounded(path, MAX_BYTES)
        if content is None:
            return Persisted(problem=f"{path}: no such file: a reload forgets the weights")
        rows = table(
            node, content.decode("utf-8", "replace").rstrip("\n") + "\n\n", "be_name", "srv_name", "srv_uweight"
        )
    except BackendError as error:
        return Persisted(problem=f"{path}: {error.message}")
    found = {}
    for row in rows:
        if row["be_name"] == backend:
            weight, admin = row["srv_uweight"], row.get("srv_admin_state", "0")
            if not (weight.isdecimal() and admin.isdecimal()):
                return Persisted(
                    problem=f"{path}: weight {clean(weight, 20)} of {clean(row['srv_name'], 60)}, no number"
                )
            found[row["srv_name"]] = (int(weight), not int(admin) & OUT_OF_ROTATION)
    return Persisted(weights=found)


def drift(path: Path, persisted: Persisted, state: NodeState) -> str:
    """How the file differs from what runs; empty where a reload would change nothing."""
    if persisted.problem:
        return persisted.problem
    ours = [server for server in state.servers if server.color]
    if all(persisted.weights.get(server.name, (None, True))[0] == server.weight for server in ours):
        return ""
    sums: dict[str, int] = {}
    for server in ours:
        weight, rotating = persisted.weights.get(server.name, (server.initial, True))
        sums[server.color] = sums.get(server.color, 0) + (weight if rotating else 0)
    return f"a reload would go to {shares_words(percent(sums))}: that is in {path}"


async def save_file(path: Path, node: Node) -> str:
    """Write what runs, of all backends, where HAProxy looks for it. What went wrong, in words; empty for nothing."""
    try:
        answer = await node.ask("show servers state")
        table(node, answer, "be_name", "srv_name", "srv_uweight")
        await asyncio.to_thread(_replace, path, answer)
    except (BackendError, OSError) as error:
        return error.message if isinstance(error, BackendError) else f"{path}: {error.strerror}"
    return ""


async def run_persist(command: tuple[str, ...], node: Node, directory: Path, env: tuple[str, ...]) -> str:
    """The `persist` command for one node; `{node}` is its address. As `save_file`."""
    words = [word.replace("{node}", str(node)) for word in command]
    return await asyncio.to_thread(run_command, words, directory, env)


def _replace(path: Path, answer: str) -> None:
    replace_file(path, answer.encode(), mode=0o644)
