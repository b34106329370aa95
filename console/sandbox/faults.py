"""What can be broken on purpose, and how to see that it is."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from backends.files import open_plain
from console.sandbox import files, settings, warehouse
from console.sandbox.control import FAULTS, FaultError, SandboxError, SandboxInfo, running, sandbox_dir
from console.sandbox.fetch import fetch

OF_A_COLOR = ("bad-release", "slow-color", "crash-color")
NEEDS_WHOLE = {  # what has to be whole for a fault to show, or to be seen to be gone
    "bad-data": ("failing-task", "dead-backend"),
    "failing-task": ("dead-backend",),
    "alert-flood": ("dead-backend",),
    "bad-release": ("crash-color",),
    "slow-color": ("crash-color",),
}
OBSERVE_TIMEOUT_S = 30.0
FLOOD = 5000


def inject(fault: str) -> str:
    """Break it and return once that can be seen, with a line that says where.

    `NAME:COLOR`, `NAME:live` and `NAME:idle` choose the color of a fault that concerns one. Raises SandboxError.
    """
    name, _, wish = fault.partition(":")
    _known(name)
    info, directory = _sandbox(), sandbox_dir()
    detail: dict[str, str] = {"at": files.now_text()}
    if name in OF_A_COLOR:
        detail["color"] = _color(info, wish or "idle")
    elif wish:
        raise FaultError(f"{name} concerns no color", f"teal sandbox break {name}")
    with _changed(directory) as faults:
        _refuse_hidden(name, detail, faults, "show")
        if name == "alert-flood":
            _flood(directory, FLOOD)
        faults[name] = detail
    return _observe(directory, name, detail.get("color", ""), broken=True)


def fix(fault: str | None = None) -> str:
    """Take one fault away, or all, and return once that can be seen. Raises SandboxError."""
    name = fault.partition(":")[0] if fault else None
    if name is not None:
        _known(name)
    _sandbox()
    directory = sandbox_dir()
    before = files.read_json(directory / files.FAULTS).get("faults", {})
    gone = [found for found in before if name in (None, found)]
    if not gone:
        return f"{name} was not broken" if name else "nothing was broken"
    with _changed(directory) as faults:
        stays = {found: detail for found, detail in faults.items() if found not in gone}
        for found in gone:
            if found not in OF_A_COLOR:  # what is down shows none of these
                _refuse_hidden(found, before[found], stays, "be seen to be gone")
        if "alert-flood" in gone:
            _flood(directory, 0)
        for found in gone:
            faults.pop(found, None)
    told = [_observe(directory, found, before[found].get("color", ""), broken=False) for found in gone]
    return "; ".join(told)


def _known(name: str) -> None:
    if name not in FAULTS:
        near = get_close_matches(name, FAULTS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        raise FaultError(f'no fault "{name}"', f"{hint}there are: {', '.join(FAULTS)}")


def _refuse_hidden(name: str, detail: dict[str, str], faults: dict[str, dict[str, str]], verb: str) -> None:
    """Raises SandboxError where another fault would hide what is changed, before anything is."""
    for other in NEEDS_WHOLE.get(name, ()):
        if other in faults and faults[other].get("color", "") == detail.get("color", ""):
            message = f"{name} can not {verb} while {other} is broken; nothing was changed"
            raise SandboxError(message, f"`teal sandbox fix {other}` first")


def _sandbox() -> SandboxInfo:
    info = running()
    if info is None:
        raise SandboxError("the sandbox does not run", "teal sandbox start")
    return info


def _color(info: SandboxInfo, wish: str) -> str:
    if wish in files.COLORS:
        return wish
    if wish not in ("idle", "live"):
        raise FaultError(f'no color "{wish}"', f"one of: idle, live, {', '.join(files.COLORS)}")
    weights = files.read_json(info.config_path.parent / files.SWITCH).get("weights", {})
    ordered = sorted(files.COLORS, key=lambda color: weights.get(color, 0))
    return ordered[0] if wish == "idle" else ordered[-1]


@contextmanager
def _changed(directory: Path) -> Iterator[dict[str, dict[str, str]]]:
    """The faults, to be changed by one at a time, written with the next generation."""
    descriptor = open_plain(directory / f".{files.FAULTS}.lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        document = files.read_json(directory / files.FAULTS)
        faults = document.get("faults", {})
        yield faults
        generation = document.get("generation", 0) + 1
        files.write_json(directory / files.FAULTS, {"generation": generation, "faults": faults})
    except OSError as error:
        raise SandboxError(f"{directory / files.FAULTS}: {error.strerror}", "free some space") from None
    finally:
        os.close(descriptor)


def _observe(directory: Path, name: str, color: str, *, broken: bool) -> str:
    """Wait until what was changed shows, bounded in time."""
    generation = files.read_json(directory / files.FAULTS).get("generation", 0)
    deadline = time.monotonic() + OBSERVE_TIMEOUT_S
    line = ""
    while time.monotonic() < deadline:
        state = files.read_json(directory / files.STATE)
        if state.get("generation", 0) >= generation and _drills_ended(state):
            seen, line = _look(directory, name, color, state)
            if seen == broken:
                return line
        if not files.lock_is_held(directory):
            raise SandboxError("the sandbox ended meanwhile", f"look at {directory / files.SUPERVISOR_LOG}")
        time.sleep(0.05)
    verb = "break" if broken else "fix"
    raise SandboxError(
        f"{name}: {verb} shows no effect within {OBSERVE_TIMEOUT_S:.0f} s{': ' + line if line else ''}",
        f"look at {directory / files.SUPERVISOR_LOG}, or start anew with `teal sandbox reset`",
    )


def _drills_ended(state: dict[str, Any]) -> bool:
    ended = ("success", "failed", "cancelled", "skipped")
    return not state.get("waiting") and all(run["state"] in ended for run in state.get("drills", {}).values())


def _look(directory: Path, name: str, color: str, state: dict[str, Any]) -> tuple[bool, str]:
    """Whether it is broken now, and a line that says where to see it."""
    ports = files.read_json(directory / files.PORTS)
    if name in OF_A_COLOR:
        return _look_at_color(name, color, ports[color])
    if name == "dead-backend":
        if (directory / files.WAREHOUSE).exists():
            return False, "the warehouse is back: `teal quality list`"
        return True, "the warehouse is gone: `teal quality list` and `teal alert list` say unknown"
    if name == "alert-flood":
        count = _asked(directory, "SELECT count(*) FROM dead_letters") or 0
        return count > 0, f"{count:.0f} partitions with dead letters: `teal alert list`"
    if name == "failing-task":
        run = state.get("drills", {}).get(settings.PRODUCTION, {})
        line = f"run {run.get('run_id')} {run.get('state')}: `teal run log {settings.PRODUCTION}@latest`"
        return run.get("state") == "failed", line
    score = _asked(directory, "SELECT score FROM latest_quality WHERE dataset = 'transactions'")
    return score is None or score < 0.8, f"transactions score {score}: `teal quality list`, `teal alert list`"


def _look_at_color(name: str, color: str, port: int) -> tuple[bool, str]:
    started = time.monotonic()
    try:
        status, _, _ = fetch(port, "/health", timeout_s=3.0)
    except OSError as error:
        why = error.strerror or str(error)
        return name == "crash-color", f"{color} on port {port}: {why}: `teal deploy status`, `teal check`"
    took_ms = (time.monotonic() - started) * 1000
    line = f"{color} answers /health with {status} in {took_ms:.0f} ms: `teal deploy status`, `teal check`"
    if name == "bad-release":
        return status != 200, line
    return name == "slow-color" and took_ms > 700, line


def _flood(directory: Path, partitions: int) -> None:
    try:
        warehouse.flood(directory, partitions)
    except sqlite3.Error as error:
        raise SandboxError(f"the warehouse: {error}", "teal sandbox fix dead-backend") from None


def _asked(directory: Path, query: str) -> float | None:
    """One number of the warehouse; None where there is none, or the warehouse is away."""
    try:
        connection = sqlite3.connect(f"{(directory / files.WAREHOUSE).as_uri()}?mode=ro", uri=True, timeout=5)
    except sqlite3.Error:
        return None
    try:
        row = connection.execute(query).fetchone()
        return float(row[0]) if row is not None else None
    except sqlite3.Error:
        return None
    finally:
        connection.close()
