"""A real Redis server on a free port of loopback."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.live.process import free_port, run, started
from tests.live.require import program

PASSWORD = "p@ss/w:rd%20x"


class RedisServer:
    """Started with arguments like `--maxmemory 2mb`; keeps its data in `directory`."""

    def __init__(self, directory: Path, *, password: str = "") -> None:
        self.directory = directory
        self.port = free_port()
        self._password = password
        self._running = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        """Run it; nothing where it runs."""
        if self._process is not None:
            return
        command = [program("redis-server"), "--bind", "127.0.0.1", "--port", str(self.port)]
        command += ["--dir", str(self.directory), "--save", "", "--repl-diskless-sync-delay", "0"]
        command += ["--requirepass", self._password] if self._password else []
        self._process = self._running.enter_context(
            started([*command, *arguments], self.directory / "redis.log", self._answers)
        )

    def stop(self) -> None:
        """End it; safe to call twice."""
        self._running.close()
        self._process = None

    def signal(self, number: signal.Signals) -> None:
        """To the server's process."""
        assert self._process is not None
        self._process.send_signal(number)

    def do(self, *words: str) -> str:
        """One command through Debian's own client."""
        secret = ["-a", self._password, "--no-auth-warning"] if self._password else []
        return run([program("redis-cli"), "-h", "127.0.0.1", "-p", str(self.port), *secret, *words]).strip()

    def _answers(self) -> bool:
        client = [program("redis-cli"), "-h", "127.0.0.1", "-p", str(self.port), "ping"]
        done = subprocess.run(client, capture_output=True, text=True, check=False)
        return any(word in done.stdout + done.stderr for word in ("PONG", "NOAUTH", "LOADING", "MISCONF", "MASTERDOWN"))


@contextlib.contextmanager
def redis(directory: Path, *arguments: str, password: str = "") -> Iterator[RedisServer]:
    """A new server that runs, gone at the end of the block."""
    server = RedisServer(directory, password=password)
    server.start(*arguments)
    try:
        yield server
    finally:
        server.stop()
