"""Start-up of this tree beside that of a commit before it, in turns: both see the same noise."""

import contextlib
import io
import subprocess
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.startup import checks_config
from benchmarks.timing import compare, environment, paint_seconds, run_seconds, sandbox

ROOT = Path(__file__).parents[1]
PARTS = ("actions", "backends", "console", "panels", "config.example.toml")
LIMIT = 1.15
"""How many times as long as before; the best of several rounds differs by less on a machine that does little else."""

Timed = Callable[[dict[str, str]], float]


def report(directory: Path, url: str, base: str) -> bool:
    """Print one line a measurement; whether all are within. Raises subprocess.CalledProcessError where git does not
    know `base`."""
    config = checks_config(directory, url)
    timed: dict[str, Timed] = {
        "teal --version": lambda env: run_seconds(["teal", "--version"], env),
        "teal check -o json": lambda env: run_seconds(["teal", "check", "-c", str(config), "-o", "json"], env),
        "teal status": lambda env: run_seconds(["teal", "status"], env),
        "console, first paint": lambda env: paint_seconds(["teal"], b"Pipelines", env),
        "console, first data": lambda env: paint_seconds(["teal"], b"customers", env),
    }
    # A state directory each: the journal of a newer program is not that of an older one.
    ours = environment(_made(directory / "ours"), PYTHONPATH=str(ROOT))
    before = environment(_made(directory / "before"), PYTHONPATH=str(_checked_out(base, directory / "tree")))
    with contextlib.ExitStack() as stack:
        for env in (ours, before):
            stack.enter_context(sandbox(env))
            subprocess.run(["teal", "status"], env=env, check=True, capture_output=True, timeout=60)
        measured = []
        for name, seconds in timed.items():
            measured.append(compare(name, partial(seconds, ours), partial(seconds, before), LIMIT))
            print(measured[-1])
    return all(measurement.within for measurement in measured)


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _checked_out(base: str, into: Path) -> Path:
    """What is imported, as it was in that commit: it stands on the path before what is installed."""
    packed = subprocess.run(
        ["git", "archive", "--format=tar", base, *PARTS], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(into, filter="data")
    return into
