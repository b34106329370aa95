"""`teal`, and the detached runners that it starts, as processes of `tests.warm`."""

import os
import sys
from pathlib import Path

from console import runners
from console.cli.main import main as teal
from tests.warm import SOCKET, Job, run_here

_RUNNER = [sys.executable, "-P", "-m", "console.runner"]
_cold = runners._start


def main() -> None:
    """The command line of this process."""
    sys.argv[0] = "teal"
    runners._start = _start
    teal()


def _start(command: list[str], environment: dict[str, str], own: Path) -> int:
    if command[: len(_RUNNER)] != _RUNNER:
        return _cold(command, environment, own)
    job = Job("console.runner", "main", command[len(_RUNNER) :], environment, "/", session=True)
    return run_here(os.environ[SOCKET], job, runners.START_TIMEOUT_S)
