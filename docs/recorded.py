"""Records `docs/canary-session.txt`: a whole canary with shortened stages, by the real commands, on a real HAProxy and
a real Prometheus, under load. `python -m docs.recorded` needs both programs."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.live.haproxy import haproxy
from tests.live.measured import measured
from tests.live.process import until
from tests.live.prometheus import Exporter, PrometheusServer
from tests.live.test_canary import CONFIG, PER_SECOND

SESSION = Path(__file__).parent / "canary-session.txt"
HOME_WORDS = re.compile(r"/tmp/teal-[^/ ]*")


def main() -> None:
    """Two releases: a good one all the way, then one with 20 % errors."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="teal-")))
        service = stack.enter_context(measured())
        blue, green = service.colors["blue"], service.colors["green"]
        servers = [("blue-1", blue.port, "weight 100"), ("green-1", green.port, "weight 0")]
        proxy = stack.enter_context(haproxy(directory / "lb", servers))
        until(proxy.up, "servers up")
        exporter = Exporter()
        stack.callback(exporter.close)
        prometheus = PrometheusServer(directory, exporter, also=[blue.port, green.port])
        stack.callback(prometheus.stop)
        service.drive(proxy.port, PER_SECOND)
        prometheus.start()
        query = 'sum(increase(http_requests_total{color="blue"}[2s]))'
        until(lambda: float(prometheus.value(query) or 0) > PER_SECOND / 2, "traffic is seen", within=60)
        config = directory / "config.toml"
        config.write_text(
            CONFIG.format(
                prometheus=prometheus.url, node=proxy.node, port=proxy.port, blue=blue.port, green=green.port,
                stages="[5, 10, 25, 50, 100]", stage_time="4s", hold="60s",
            )
        )  # fmt: skip
        config.chmod(0o600)
        env = {**os.environ, "TEAL_CONFIG": str(config), "TEAL_STATE_DIR": str(directory / "state"), "NO_COLOR": "1"}
        session = [
            run_shown("teal deploy flip model --to green --strategy canary --dry-run", env),
            run_shown('teal deploy flip model --to green --strategy canary -y --reason "2.4.1: go" --detach', env),
            run_shown("teal action watch", env),
        ]
        blue.errors = 0.2
        session += [
            run_shown('teal deploy flip model --to blue --strategy canary -y --reason "2.4.2: go" --detach', env),
            run_shown("teal action watch", env),
            run_shown("teal report --dora --since 1d", env),
        ]
    SESSION.write_text(HOME_WORDS.sub("/run", "\n".join(session)))


def run_shown(command: str, env: dict[str, str]) -> str:
    """The command, what it prints and how it ends."""
    words = shlex.split(command)
    program = [sys.executable, "-m", "console.cli.main", *words[1:]]
    done = subprocess.run(program, env=env, capture_output=True, text=True, timeout=300, check=False)
    shown = f"$ {command}\n{done.stdout}{done.stderr}"
    return shown + (f"(exit {done.returncode})\n" if done.returncode else "")


if __name__ == "__main__":
    main()
