"""A real VictoriaMetrics on a free port of loopback: it takes samples of any time, readable at once."""

import contextlib
import subprocess
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from tests.live.process import accepts, free_port, started
from tests.live.prometheus import series
from tests.live.require import program

AT_ONCE = ("-search.latencyOffset=0s", "-search.disableCache")


class VictoriaMetrics:
    """Keeps its data and its log in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._directory = directory
        self._running = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it; nothing where it runs."""
        if self._process is None:
            command = [program("victoria-metrics"), f"-storageDataPath={self._directory / 'data'}"]
            command += [f"-httpListenAddr=127.0.0.1:{self.port}", *AT_ONCE]
            self._process = self._running.enter_context(
                started(command, self._directory / "log", lambda: accepts(self.port))
            )

    def stop(self) -> None:
        """End it; safe to call twice."""
        self._running.close()
        self._process = None

    def put(self, name: str, value: float, at: datetime, **labels: str) -> None:
        """One sample."""
        self._send("api/v1/import/prometheus", f"{series(name, **labels)} {value} {round(at.timestamp() * 1000)}\n")
        self._send("internal/force_flush", "")

    def _send(self, path: str, text: str) -> None:
        with urllib.request.urlopen(f"{self.url}/{path}", text.encode(), timeout=10):
            pass


@contextlib.contextmanager
def victoria(directory: Path) -> Iterator[VictoriaMetrics]:
    """A new server that runs, gone at the end of the block."""
    server = VictoriaMetrics(directory)
    server.start()
    try:
        yield server
    finally:
        server.stop()
