"""Real HAProxy nodes in front of two colors: config generated, unprivileged, on free loopback ports."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.haproxy.state import Mark, variable_of
from backends.deployments.haproxy.switch import HaproxySwitch
from backends.errors import BackendError
from backends.http import Http
from backends.ports import SwitchState
from backends.registry import AdapterContext, build
from backends.testing.deployments import GREEN
from tests.live.process import accepts, free_port, run, started, until
from tests.live.require import program
from tests.two_colors import COLORS, TwoColors

SERVERS = {color: [f"{color}-1"] for color in COLORS}
CONFIG = """
global
  maxconn 2000
  stats socket {admin} mode 600 level admin
  stats socket {operator} mode 600 level operator
  stats socket ipv4@127.0.0.1:{tcp} level admin
{state_file}
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
  timeout check 5s
  {load_state}
frontend {frontend}
  bind 127.0.0.1:{port}
  default_backend {backend}
backend {backend}
  balance {balance}
  option httpchk
  http-check send meth GET uri /health
  http-check expect status 200
  default-server check inter 200ms fall 2 rise 1
{servers}
"""


class Haproxy:
    """One node. `servers` are (name, port, options); it keeps its sockets in a directory of its own, whose path is
    short, since that of a socket may be 100 bytes."""

    def __init__(
        self,
        directory: Path,
        servers: list[tuple[str, int, str]],
        *,
        backend: str = "model",
        balance: str = "roundrobin",
        keeps: bool = True,
        frontend: str = "clients",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.backend = backend
        self.frontend = frontend
        self.port, self.tcp = free_port(), free_port()
        self._sockets = Path(tempfile.mkdtemp(prefix="teal-ha-"))
        self.admin, self.operator = self._sockets / "admin", self._sockets / "operator"
        self.state_file = directory / "server-state"
        self._config = directory / "haproxy.cfg"
        self._pid = directory / "pid"
        self._running = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self.write_config(servers, balance=balance, keeps=keeps)

    def write_config(
        self, servers: list[tuple[str, int, str]], *, balance: str = "roundrobin", keeps: bool = True
    ) -> None:
        """What the next start or reload reads."""
        lines = "\n".join(f"  server {name} 127.0.0.1:{port} {options}" for name, port, options in servers)
        self._config.write_text(
            CONFIG.format(
                admin=self.admin, operator=self.operator, tcp=self.tcp, port=self.port, backend=self.backend,
                frontend=self.frontend,
                balance=balance, servers=lines,
                state_file=f"  server-state-file {self.state_file}" if keeps else "",
                load_state="load-server-state-from-file global" if keeps else "",
            )
        )  # fmt: skip

    @property
    def node(self) -> str:
        """Its address in a config of ours."""
        return f"unix:{self.admin}"

    @property
    def url(self) -> str:
        """Through the frontend."""
        return f"http://127.0.0.1:{self.port}/health"

    def start(self) -> None:
        """Run it, nothing where it runs. A master with a worker, as a service manager starts it."""
        if self._process is None:
            command = [program("haproxy"), "-W", "-f", str(self._config), "-p", str(self._pid)]

            def ready() -> bool:
                return accepts(self.port) and self.info("Pid") != ""  # its file is there before it listens

            log = self.directory / "haproxy.log"
            self._process = self._running.enter_context(started(command, log, ready))

    def stop(self) -> None:
        """End it; safe to call twice."""
        self._running.close()
        self._process = None
        for path in (self.admin, self.operator):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """End it for good."""
        self.stop()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def hang(self) -> None:
        """Its processes stop answering, and keep their sockets."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """After `hang`."""
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)

    def reload(self) -> None:
        """A new worker with the config as it is now."""
        before = self.info("Pid")
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR2)
        until(lambda: accepts(self.port) and self.info("Pid") not in ("", before), "haproxy reloaded")

    def info(self, name: str) -> str:
        """One line of `show info`; empty where nobody answers."""
        with contextlib.suppress(OSError):
            lines = dict(line.partition(": ")[::2] for line in self.ask("show info").splitlines())
            return lines.get(name, "")
        return ""

    def ask(self, command: str, *, path: Path | None = None) -> str:
        """As socat would."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(path or self.admin))
            connection.sendall(command.encode() + b"\n")
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        return answer.decode()

    def weights(self) -> dict[str, int]:
        """Of each server, now."""
        rows = [line.split() for line in self.ask(f"show servers state {self.backend}").splitlines()]
        names = rows[1][1:]
        found = [dict(zip(names, row, strict=True)) for row in rows[2:] if row]
        return {row["srv_name"]: int(row["srv_uweight"]) for row in found}

    def set(self, **weights: int) -> None:
        """As a hand would, in that order and with one line; `blue_1` is the server blue-1."""
        words = [f"set server {self.backend}/{name.replace('_', '-')} weight {each}" for name, each in weights.items()]
        said = self.ask("; ".join(words)).strip()
        assert not said, said

    def meddle(self, shares: dict[str, int], number: int, stamp: str = "other:1") -> None:
        """As another console on another host would: weights, and its mark."""
        self.set(**{f"{color}-1": share for color, share in shares.items()})
        mark = Mark(phase="done", number=number, fence=0, shares=shares, stamp=stamp)
        self.ask(f"experimental-mode on; set var {variable_of(self.backend)} str({mark.text()})")

    def status(self, server: str) -> str:
        """In HAProxy's words: `UP`, `DOWN`."""
        rows = [line.split(",") for line in self.ask("show stat -1 4 -1").splitlines() if line]
        return next(row[rows[0].index("status")] for row in rows if row[1] == server)

    def up(self, *servers: str) -> bool:
        """Are all of them, or all there are, up after a check?"""
        rows = [line.split(",") for line in self.ask("show stat -1 4 -1").splitlines() if line]
        found = {row[1]: dict(zip(rows[0], row, strict=False)) for row in rows[1:]}
        return all(found[name]["check_status"] == "L7OK" for name in servers or found)

    def _pids(self) -> list[int]:
        assert self._process is not None
        children = run(["ps", "-o", "pid=", "--ppid", str(self._process.pid)]).split()
        return [self._process.pid, *map(int, children)]


@contextlib.contextmanager
def haproxy(directory: Path, servers: list[tuple[str, int, str]], **how: Any) -> Iterator[Haproxy]:
    """A node that runs, gone at the end of the block."""
    program("haproxy")
    node = Haproxy(directory, servers, **how)
    try:
        node.start()
        yield node
    finally:
        with contextlib.suppress(AssertionError, OSError):
            node.go_on()
        node.close()


def lines(
    service: TwoColors, *, blue: int = 1, green: int = 1, weights: tuple[int, int] = (100, 0)
) -> list[tuple[str, int, str]]:
    counts = zip(COLORS, (blue, green), weights, strict=True)
    return [
        (f"{color}-{number}", service.ports[color], f"weight {weight}")
        for color, count, weight in counts
        for number in range(1, count + 1)
    ]


async def all_up(nodes: list[Haproxy], *servers: str) -> None:
    for node in nodes:
        await asyncio.to_thread(until, lambda node=node: node.up(*servers), "servers up")


def switch_of(service: TwoColors, http: Http, over: list[Haproxy], **config: Any) -> HaproxySwitch:
    base = service.directory
    entry = {
        "nodes": [node.node for node in over],
        "backend": "model",
        "servers": SERVERS,
        "health": {color: service.url(color) for color in COLORS},
        "probe": {"url": over[0].url, "header": "X-Environment"},
        **config,
    }
    found: HaproxySwitch = build("deployments", "haproxy", entry, AdapterContext("model", base, base / "own", http))
    return found


async def error_of(
    adapter: HaproxySwitch, weights: dict[str, int] = GREEN, before: SwitchState | None = None, stamp: str = "A:shift"
) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await adapter.shift(before or await adapter.observe(), weights, stamp=stamp)
    return caught.value


def one_line(error: BackendError) -> bool:
    return bool(error.message and error.fix) and "\n" not in error.message + error.fix
