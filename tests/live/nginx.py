"""A real nginx in front of two colors: config generated, unprivileged, on free loopback ports."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backends.deployments.nginx.include import accepting_workers
from tests.live.process import accepts, free_port, started, until
from tests.live.require import program

WORKERS = 2
CONFIG = """
pid {directory}/nginx.pid;
error_log {directory}/error.log notice;
worker_processes {workers};
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  include {directory}/teal/*.conf;
  server {{
    listen 127.0.0.1:{port};
    {also}
    location / {{
      proxy_pass http://{target};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      {more}
    }}
  }}
}}
"""


class Nginx:
    """`mode` as in the adapter's config; the include has to be there before it starts."""

    def __init__(self, directory: Path, *, mode: str = "upstream") -> None:
        self.directory = directory
        self.port, self.stamp_port = free_port(), free_port()
        self.mode = mode
        (directory / "teal").mkdir(parents=True)
        self.include = directory / "teal" / "analytics.conf"
        self._config = directory / "nginx.conf"
        self._running = contextlib.ExitStack()
        self.process: subprocess.Popen[bytes] | None = None
        self.write_config()

    def write_config(self, more: str = "", *, also: str = "") -> None:
        """What the next start or reload reads; `more` goes into the location, `also` beside it."""
        target = "analytics" if self.mode == "upstream" else "$analytics_upstream"
        self._config.write_text(
            CONFIG.format(
                directory=self.directory, port=self.port, target=target, more=more, also=also, workers=WORKERS
            )
        )

    @property
    def pid_file(self) -> Path:
        """Where its master writes its pid."""
        return self.directory / "nginx.pid"

    @property
    def url(self) -> str:
        """Through nginx."""
        return f"http://127.0.0.1:{self.port}/health"

    def entry(self, ports: dict[str, int]) -> dict[str, Any]:
        """The adapter's config, as far as this nginx knows it."""
        nginx = [program("nginx"), "-c", str(self._config), "-e", str(self.directory / "error.log")]
        return {
            "include": str(self.include),
            "upstream": "analytics",
            "mode": self.mode,
            "servers": {color: [f"127.0.0.1:{port}"] for color, port in ports.items()},
            "stamp_url": f"http://127.0.0.1:{self.stamp_port}/__color",
            "validate": [*nginx, "-t"],
            "reload": [*nginx, "-s", "reload"],
            "pid_file": str(self.pid_file),
        }

    def start(self) -> None:
        """Run it, nothing where it runs."""
        if self.process is None:
            log = self.directory / "error.log"
            command = [program("nginx"), "-c", str(self._config), "-e", str(log), "-g", "daemon off;"]

            def ready() -> bool:
                return accepts(self.port) and self.pid_file.exists()

            self.process = self._running.enter_context(
                started(command, self.directory / "output.log", ready, end_by=signal.SIGTERM)
            )

    def stop(self) -> None:
        """End it; safe to call twice."""
        self._running.close()
        self.process = None

    @contextlib.contextmanager
    def renewing(self) -> Iterator[None]:
        """Until no worker of before takes connections: for 100 ms old and new ones answer side by side."""
        before = accepting_workers(self.pid_file)
        yield
        until(
            lambda: (now := accepting_workers(self.pid_file)) and not now & before,
            "the old workers take no connections",
        )

    def is_of_one_mind(self) -> bool:
        """Whether the workers of one config alone take connections: on a late machine those of before do so long."""
        master = self.pid_file.read_text().strip()
        titles = []
        for worker in Path(f"/proc/{master}/task/{master}/children").read_text().split():
            with contextlib.suppress(OSError):
                titles.append(Path(f"/proc/{worker}/cmdline").read_bytes())
        return sum(b"worker process" in each and b"shutting down" not in each for each in titles) == WORKERS

    def reload(self) -> None:
        """As logrotate would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)


@contextlib.contextmanager
def nginx(directory: Path, **how: Any) -> Iterator[Nginx]:
    """One that can be started, gone at the end of the block."""
    program("nginx")
    server = Nginx(directory, **how)
    try:
        yield server
    finally:
        server.stop()
