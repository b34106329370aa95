"""Runners of actions: in this process, or detached from it; and the adapters that they build from a description.

A detached one is `console.runner`.
"""

import asyncio
import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from actions.described import Described
from actions.journal.config_entry import FindEntry
from actions.journal.journal import Journal
from actions.journal.lease import owner_file, release, take
from actions.journal.location import JournalLocation
from actions.models import Action
from actions.runner import run_action
from backends.command_line import PLACE_VARIABLE, place
from backends.environment import handed_on
from backends.http import Http
from backends.ports import Metrics
from backends.registry import AdapterContext, build, no_metrics

JOURNAL_VARIABLE = "TEAL_RUNNER_JOURNAL"
CONFIG_VARIABLE = "TEAL_RUNNER_CONFIG"
CONTEXT_VARIABLE = "TEAL_RUNNER_CONTEXT"
DIGEST_VARIABLE = "TEAL_RUNNER_PLAN"
LOCK_VARIABLE = "TEAL_RUNNER_LOCK"
START_TIMEOUT_S = 30.0


async def launch_detached(
    action_id: str, location: JournalLocation, config: Path, context: str, wrap: Sequence[str] = (), digest: str = ""
) -> None:
    """Start a runner that is nobody's child, with the config and context of who starts it and the `digest` of the plan
    that was agreed to, by the command `wrap` where it needs one to outlive the login session. The file of the action is
    locked for it from here on: on a busy host its imports took 28 s, in which it was told as dead. Raises OSError where
    it can not be started."""
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
    status = await asyncio.to_thread(_start, command, environment, owner_file(location.directory, action_id))
    if status != 0:
        raise OSError(f"exit status {status} of {shlex.join(command)}")


def _start(command: list[str], environment: dict[str, str], own: Path) -> int:
    nothing, lock = subprocess.DEVNULL, None
    with contextlib.suppress(OSError):  # without room it is only seen later that it lives
        lock = take(own)
    try:
        done = subprocess.run(
            command, stdin=nothing, stdout=nothing, stderr=nothing, cwd="/",
            env=environment if lock is None else {**environment, LOCK_VARIABLE: str(lock)},
            pass_fds=() if lock is None else (lock,), start_new_session=True, timeout=START_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise OSError(f"no start in {START_TIMEOUT_S:g} s: {shlex.join(command)}") from None
    finally:
        if lock is not None:
            release(lock, own, ended=False)
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

    def __init__(self, journal: Journal, own: FindEntry) -> None:
        self._journal = journal
        self._own = own
        self._running: set[asyncio.Task[Action | None]] = set()
        self.park = asyncio.Event()

    async def __call__(self, action_id: str, digest: str) -> None:
        """Begin to run it; returns at once."""
        running = run_action(action_id, self._journal, build_described, self._own, park=self.park, digest=digest)
        task = asyncio.create_task(running, name=action_id)
        self._running.add(task)

    @property
    def runs(self) -> bool:
        """Whether anything does."""
        return any(not task.done() for task in self._running)

    async def aclose(self) -> None:
        """Wait until what runs has ended. Raises what a runner failed with, where nobody else would see it."""
        running, self._running = self._running, set()
        await asyncio.gather(*running)


async def build_described(entry: Described) -> Any:
    """The adapter of an entry. Raises BackendError(config)."""
    http = Http(user_agent="tealdeck-runner")
    metrics: dict[str, Metrics] = {}

    def source(name: str) -> Metrics:
        if name not in metrics:
            found = (told for told in entry.sources if (told.port, told.name) == ("metrics", name))
            told = next(found, None)
            if told is None:
                return no_metrics(name)
            metrics[name] = build(told.port, told.type, told.config, _context(told, http, no_metrics))
        return metrics[name]

    adapter = build(entry.port, entry.type, entry.config, _context(entry, http, source))
    return _Owning(adapter, metrics, http)


def _context(told: Described, http: Http, metrics: Callable[[str], Metrics]) -> AdapterContext:
    return AdapterContext(told.name, told.base_dir, told.state_dir, http, metrics=metrics)


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
