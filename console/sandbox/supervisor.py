"""The process that keeps the sandbox alive: `python -P -m console.sandbox.supervisor DIR`.

One per directory, by a lock that it holds for its life. It takes the lock, then goes to the background: whoever started
it knows by the exit status (0: it lives; `ALREADY`: another one does) and is not bound to it. For tests,
`TEAL_SANDBOX_SPEED` divides the intervals of the schedules, `TEAL_SANDBOX_UNUSED_S` says how long it lives unused and
`TEAL_SANDBOX_BAKE` how long a flip bakes.
"""

import asyncio
import os
import shutil
import signal
import sqlite3
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from backends.file_locks import locked_or_closed
from backends.files import open_plain
from console.sandbox import files, settings, suites, warehouse
from console.sandbox.children import Child, claim_ports
from console.sandbox.load import TARGETS, ask
from console.sandbox.schedule import FirstRunFailed, Schedule

ALREADY = 75
LOCK_WAIT_S = 0.5
TICK_S = 0.25
FIRST_RUNS_S = 60.0
UNUSED_S = 4 * 3600.0
VISIT_EVERY_S = 0.7
TIDY_EVERY_S = 3600.0
TASK_LOGS_KEPT_S = 24 * 3600.0
BROKEN = ("-sick", "-crash", "-err20", "-slow800", "-pull")
RUN_AT_ONCE = frozenset({"bad-data", "failing-task", "dead-backend"})


class StartFailed(Exception):
    """The sandbox cannot be brought up; the message is the last line of the log."""


class Supervisor:
    """Brings the platform up, tends it, takes it down."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stopping = False
        self._children: dict[str, Child] = {}
        self._ports: dict[str, int] = {}
        self._faults: dict[str, dict[str, str]] = {}
        self._generation = 0
        self._releases: dict[str, dict[str, Any]] = {}

    async def run(self) -> None:
        """Until SIGTERM (CancelledError then), or until nobody used the sandbox for hours.

        Raises StartFailed, FirstRunFailed, OSError, sqlite3.Error where it does not come up.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, task)
        self._prepare()
        schedule = Schedule(self._directory, self._log)
        try:
            await asyncio.gather(*(child.start() for child in self._children.values()))
            self._log("INFO", "first runs of the two pipelines")
            await schedule.first_runs(FIRST_RUNS_S)
            await self._until_served()
            self._announce()
            await self._tend(schedule)
        finally:
            (self._directory / files.RUN).unlink(missing_ok=True)
            await schedule.aclose()
            await self._children["router"].stop()
            await asyncio.gather(*(self._children[color].stop() for color in files.COLORS))
            self._log("INFO", "stopped")

    def _stop(self, task: "asyncio.Task[None] | None") -> None:
        """Once: a second signal must not cut short the taking down."""
        if task is not None and not self._stopping:
            self._stopping = True
            task.cancel()

    def _log(self, level: str, message: str) -> None:
        files.append_log(self._directory / files.SUPERVISOR_LOG, level, message)

    def _prepare(self) -> None:
        """A start is always a healthy one: faults of the last life are gone, data and the live color stay."""
        directory = self._directory
        (directory / "logs").mkdir(exist_ok=True)
        _bring_back(directory)
        (directory / files.STATE).unlink(missing_ok=True)
        files.write_json(directory / files.FAULTS, {"generation": 0, "faults": {}})
        suites.write_suites(directory)
        warehouse.create(directory)
        warehouse.flood(directory, 0)
        (directory / files.ACCESS_LOG).touch()
        weights = files.read_json(directory / files.SWITCH).get("weights")
        if not isinstance(weights, dict) or not set(weights) <= set(files.COLORS):
            first = {"weights": {"blue": 100, "green": 0}, "generation": 1, "stamp": "", "at": files.now_text()}
            files.write_json(directory / files.SWITCH, first)
        listeners = claim_ports(directory)
        self._ports = ports = {name: listener.getsockname()[1] for name, listener in listeners.items()}
        files.write_json(directory / files.PORTS, ports)
        files.write_text(directory / files.CONFIG, settings.render(settings.document(directory, ports)))
        self._releases = _healthy_releases(directory)
        for name, listener in listeners.items():
            router = ["console.sandbox.router", str(directory)]
            arguments = router if name == "router" else self._service(name)
            self._children[name] = Child(name, listener, arguments, self._log)
        told = ", ".join(f"{name} on {port}" for name, port in ports.items())
        self._log("INFO", f"starting: {told}")

    async def _until_served(self) -> None:
        """The sockets listen already, so each question waits for its process to come up instead of failing."""
        for name, port in self._ports.items():
            try:
                status, _, _ = await ask(port, "/health")
            except OSError as error:
                raise StartFailed(f"{name} does not answer on port {port}: {error}") from None
            if status != 200:
                raise StartFailed(f"{name} answers /health with {status}")

    def _announce(self) -> None:
        (self._directory / files.LAST_USED).touch()
        told = {
            "pid": os.getpid(),
            "boot_id": files.boot_id(),
            "version": files.code_version(),
            "url": f"http://127.0.0.1:{self._ports['router']}",
            "config": str(self._directory / files.CONFIG),
            "started_at": files.now_text(),
        }
        files.write_json(self._directory / files.RUN, told)
        self._log("INFO", f"ready: {told['url']}")

    async def _tend(self, schedule: Schedule) -> None:
        visitor = asyncio.create_task(self._visit())
        unused_s = float(os.environ.get("TEAL_SANDBOX_UNUSED_S", UNUSED_S))
        tidy_at = time.monotonic() + TIDY_EVERY_S
        try:
            while not self._unused(unused_s):
                for child in self._children.values():
                    await child.tend()
                await self._follow_releases()
                await self._follow_faults(schedule)
                await schedule.tick()
                if time.monotonic() > tidy_at:
                    tidy_at = time.monotonic() + TIDY_EVERY_S
                    await asyncio.to_thread(_tidy, self._directory / "logs" / "tasks")
                await asyncio.sleep(TICK_S)
        finally:
            visitor.cancel()

    def _unused(self, limit_s: float) -> bool:
        try:
            age_s = time.time() - (self._directory / files.LAST_USED).stat().st_mtime
        except OSError:
            return True  # the directory was taken away under us
        if age_s > limit_s:
            self._log("INFO", f"nobody used the sandbox for {limit_s:.0f} s: stopping")
        return age_s > limit_s

    async def _visit(self) -> None:
        """The few users that a quiet service has: without them no latency and no error rate could be measured."""
        number = 0
        while True:
            with suppress(OSError):
                await ask(self._ports["router"], TARGETS[number % len(TARGETS)])
            number += 1
            await asyncio.sleep(VISIT_EVERY_S)

    async def _follow_releases(self) -> None:
        """Restart each color that shall run another version, then say in `running.json` that it was done."""
        wanted = files.read_json(self._directory / files.RELEASES)
        changed = [color for color in files.COLORS if wanted.get(color, {}) != self._releases.get(color, {})]
        for color in changed:
            self._releases[color] = wanted[color]
            version = wanted[color].get("version", "")
            self._log("INFO", f"{color}: {version or 'taken down'}")
            try:
                await self._children[color].restart(self._service(color), down=not version)
            except OSError as error:
                self._log("ERROR", f"{color} does not start: {error.strerror}")
        if changed:
            files.write_json(self._directory / files.RUNNING, self._releases)

    def _service(self, color: str) -> list[str]:
        version = self._releases.get(color, {}).get("version") or files.VERSIONS[color]
        return ["console.sandbox.service", str(self._directory), color, version]

    async def _follow_faults(self, schedule: Schedule) -> None:
        """Make what `faults.json` says so, then say in `state.json` up to which generation of it."""
        document = files.read_json(self._directory / files.FAULTS)
        generation = document.get("generation", 0)
        if generation == self._generation:
            return
        faults, before = document.get("faults", {}), self._faults
        changed = set(faults) ^ set(before) | {name for name in faults if faults[name] != before.get(name)}
        down = faults.get("crash-color", {}).get("color")
        for color in files.COLORS:
            if color == down:
                self._children[color].crash()
            else:
                self._children[color].held_down = self._releases.get(color, {}).get("version") == ""
        if "dead-backend" in faults:
            _take_away(self._directory)
        else:
            _bring_back(self._directory)
        try:
            suites.write_suites(self._directory)
            if "failing-task" in faults:
                suites.break_suite(self._directory)
        except OSError:
            return  # a full disk: tried again with the next tick
        self._log("WARN" if faults else "INFO", f"faults: {', '.join(sorted(faults)) or 'none'}")
        self._faults, self._generation = faults, generation
        for child in self._children.values():
            await child.tend()
        drills = [settings.MONITORING, *([settings.PRODUCTION] if changed & RUN_AT_ONCE else [])]
        await schedule.drill(generation, drills)


def _healthy_releases(directory: Path) -> dict[str, dict[str, Any]]:
    """What each color runs at a start: a version that is broken on purpose, or none, does not come back."""
    kept = files.read_json(directory / files.RELEASES)
    for color, release in kept.items():
        version = str(release.get("version", ""))
        if not version or version.endswith(BROKEN):
            kept[color] = {**release, "version": files.VERSIONS.get(color, "")}
    files.write_json(directory / files.RELEASES, kept)
    return kept


def _take_away(directory: Path) -> None:
    """A whole directory in one rename: the database never loses its write-ahead log."""
    folder = (directory / files.WAREHOUSE).parent
    with suppress(OSError):
        folder.rename(folder.with_name("warehouse.away"))


def _bring_back(directory: Path) -> None:
    folder = (directory / files.WAREHOUSE).parent
    if folder.with_name("warehouse.away").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_name("warehouse.away").rename(folder)


def _tidy(logs: Path) -> None:
    """Task logs of runs that ended more than a day ago."""
    for run in logs.glob("*/*"):
        with suppress(OSError):
            if time.time() - run.stat().st_mtime > TASK_LOGS_KEPT_S:
                shutil.rmtree(run)


def take_lock(directory: Path) -> int | None:
    """The descriptor that holds the lock; None where another supervisor does.

    Who asks whether one lives holds the lock for an instant, hence more than one try.
    """
    return locked_or_closed(open_plain(directory / files.LOCK, os.O_RDWR), LOCK_WAIT_S)


def main() -> int:
    os.umask(0o077)
    directory = Path(sys.argv[1]).resolve()
    lock = take_lock(directory)
    if lock is None:
        return ALREADY
    (directory / files.RUN).unlink(missing_ok=True)
    if os.fork():
        os._exit(0)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    try:
        with suppress(asyncio.CancelledError):
            asyncio.run(Supervisor(directory).run())
    except (StartFailed, FirstRunFailed, OSError, sqlite3.Error) as error:
        files.append_log(directory / files.SUPERVISOR_LOG, "ERROR", f"{error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
