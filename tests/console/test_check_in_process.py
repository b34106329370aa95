"""`teal check` within a process that does other things, and has lived for longer than a check may take."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import time
from backends.processes import age_s
from console.cli.commands import teal
from console.cli.ending import run_command
import console.cli.check as module
module.BUDGET_S = 3.0
time.sleep(max(0.0, 3.2 - age_s()))
code = run_command(teal, ["check", "-c", {config!r}])
print("and goes on", code)
"""


def test_it_has_its_whole_time_and_does_not_end_what_called_it(tmp_path: Path) -> None:
    """The clock counted from the start of the process, which a test or a server had long before: it was ended."""
    config = tmp_path / "config.toml"
    config.write_text("[contexts.c]\n")
    config.chmod(0o600)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(config=str(config))],
        capture_output=True, text=True, env={"TEAL_STATE_DIR": str(tmp_path / "state")}, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "and goes on 3", (done.stdout, done.stderr)
