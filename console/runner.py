"""The detached runner of one action: `python -P -m console.runner ACTION_ID`, in a process session of its own.

It outlives the console, the SSH connection and Ctrl-C. What it is to do is in the journal (whose place comes by the
environment, since an argument can be read by every user), how to do it in its own config: addresses, commands and
references of secrets are never taken from a row of the journal.
"""

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from actions.journal.config_entry import Own
from actions.journal.journal import Journal
from actions.journal.location import JournalLocation, journal_location, make_directory
from actions.models import Action
from actions.runner import run_action
from backends.command_line import PLACE_VARIABLE, place, set_place
from backends.environment import handed_on
from backends.errors import BackendError
from backends.http import Http
from backends.ports import Metrics
from backends.registry import AdapterContext, build, no_metrics
from console.errors import CommandError

JOURNAL_VARIABLE = "TEAL_RUNNER_JOURNAL"
CONFIG_VARIABLE = "TEAL_RUNNER_CONFIG"
CONTEXT_VARIABLE = "TEAL_RUNNER_CONTEXT"
DIGEST_VARIABLE = "TEAL_RUNNER_PLAN"
START_TIMEOUT_S = 30.0


async def launch_detached(
    action_id: str, location: JournalLocation, config: Path, context: str, wrap: Sequence[str] = (), digest: str = ""
) -> None:
    """Start a runner that is nobody's child, with the config and context of who starts it and the `digest` of the plan
    that was agreed to, by the command `wrap` where it needs one to outlive the login session. Raises OSError where it
    can not be started."""
    own = {
        JOURNAL_VARIABLE: location.url,
        CONFIG_VARIABLE: str(config),
        CONTEXT_VARIABLE: context,
        DIGEST_VARIABLE: digest,
        PLACE_VARIABLE: place(),
    }
    environment = {**handed_on(), **_import_path(), **own}
    command = [*wrap, sys.executable, "-P", "-m", "console.runner", action_id]
    # What is started here forks once it is ready and ends: so its failure to start is seen, and no zombie is left.
    # A child of asyncio would be killed when this program's event loop is taken down.
    status = await asyncio.to_thread(_start, command, environment)
    if status != 0:
        raise OSError(f"exit status {status} of {shlex.join(command)}")


def _start(command: list[str], environment: dict[str, str]) -> int:
    nothing = subprocess.DEVNULL
    try:
        done = subprocess.run(
            command, stdin=nothing, stdout=nothing, stderr=nothing, cwd="/", env=environment,
            start_new_session=True, timeout=START_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise OSError(f"no start in {START_TIMEOUT_S:g} s: {shlex.join(command)}") from None
    return done.returncode


def _import_path() -> dict[str, str]:
    """The environment in which these packages are found also where they run from a checkout."""
    root = Path(__file__).resolve().parents[1]
    if root.name in ("site-packages", "dist-packages"):
        return {}
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(path)]
    return {"PYTHONPATH": os.pathsep.join(dict.fromkeys([str(root), *others]))}


class InProcess:
    """Runs actions within this process: `--foreground`, for containers and CI jobs that kill what a job leaves."""

    def __init__(self, journal: Journal, own: Own) -> None:
        self._journal = journal
        self._own = own
        self._running: set[asyncio.Task[Action | None]] = set()
        self.park = asyncio.Event()

    async def __call__(self, action_id: str, digest: str) -> None:
        """Begin to run it; returns at once."""
        running = run_action(action_id, self._journal, build_described, self._own, park=self.park, digest=digest)
        task = asyncio.create_task(running, name=action_id)
        self._running.add(task)

    async def aclose(self) -> None:
        """Wait until what runs has ended. Raises what a runner failed with, where nobody else would see it."""
        running, self._running = self._running, set()
        await asyncio.gather(*running)


async def run_in_process(action_id: str, location: JournalLocation, own: Own, digest: str) -> None:
    """Run an action to its end with a journal of its own. Raises BackendError."""
    journal = Journal(location)
    try:
        await run_action(action_id, journal, build_described, own, digest=digest)
    finally:
        await journal.aclose()


async def _run(action_id: str, location: JournalLocation, config: str, context: str, digest: str) -> None:
    """With the entries of a config as they are now. Raises BackendError, CommandError."""
    from actions.targets import described
    from console.config.selection import select
    from console.orders import Orders
    from console.reading.adapters import Adapters

    found = select(config, context).context
    set_place(os.environ.pop(PLACE_VARIABLE, ""))  # commands that it prints are those of who started it
    adapters = Adapters(found)
    try:
        await run_in_process(action_id, location, partial(described, Orders(found, adapters)), digest)
    finally:
        await adapters.aclose()


async def build_described(target: dict[str, Any]) -> Any:
    """The adapter of a description. Raises BackendError(config)."""
    http = Http(user_agent="tealdeck-runner")
    metrics: dict[str, Metrics] = {}

    def source(name: str) -> Metrics:
        if name not in metrics:
            found = (told for told in target.get("sources", ()) if (told["port"], told["name"]) == ("metrics", name))
            told = next(found, None)
            if told is None:
                return no_metrics(name)
            metrics[name] = build(told["port"], told["type"], told["config"], _context(told, http, no_metrics))
        return metrics[name]

    adapter = build(target["port"], target["type"], target["config"], _context(target, http, source))
    return _Owning(adapter, metrics, http)


def _context(told: dict[str, Any], http: Http, metrics: Callable[[str], Metrics]) -> AdapterContext:
    return AdapterContext(told["name"], Path(told["base_dir"]), Path(told["state_dir"]), http, metrics=metrics)


class _Owning:
    """An adapter together with the HTTP client that was made for it alone, and the metrics that it reads."""

    def __init__(self, adapter: Any, metrics: dict[str, Metrics], http: Http) -> None:
        self._adapter = adapter
        self._metrics = metrics
        self._http = http

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    async def aclose(self) -> None:
        for each in (self._adapter, *self._metrics.values(), self._http):
            await each.aclose()


def main() -> int:
    """Forks: the parent says 0 that the runner has started; what becomes of it is in the journal, or in a log file."""
    if len(sys.argv) != 2 or not {JOURNAL_VARIABLE, CONFIG_VARIABLE, CONTEXT_VARIABLE} <= os.environ.keys():
        names = f"{JOURNAL_VARIABLE}=URL {CONFIG_VARIABLE}=FILE {CONTEXT_VARIABLE}=NAME"
        sys.stderr.write(f"usage: {names} python -P -m console.runner ACTION_ID\n")
        return 2
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    action_id = sys.argv[1]
    location = journal_location(os.environ.pop(JOURNAL_VARIABLE), os.environ)
    config, context = os.environ.pop(CONFIG_VARIABLE), os.environ.pop(CONTEXT_VARIABLE)
    digest = os.environ.pop(DIGEST_VARIABLE, "")
    try:
        asyncio.run(_run(action_id, location, config, context, digest))
    except Exception as error:
        _write_down(location.directory, action_id, error)
        return 1
    return 0


def _write_down(directory: Path, action_id: str, error: Exception) -> None:
    """A file that only its owner may read; an expected error is one line, anything else its whole trace."""
    with contextlib.suppress(OSError):
        place = directory / "runner"
        make_directory(place)
        descriptor = os.open(place / f"{action_id}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with open(descriptor, "a", encoding="utf-8") as stream:
            if isinstance(error, BackendError | CommandError):
                stream.write(f"{error.kind}: {error.message} ({error.fix})\n")
            else:
                stream.writelines(traceback.format_exception(error))


if __name__ == "__main__":
    sys.exit(main())
