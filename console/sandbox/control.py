"""The embedded sandbox from outside: start it, stop it, see whether it runs. Cheap to import and to ask."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from backends.environment import without_secrets
from backends.files import open_plain
from backends.json_text import decode_text
from console.errors import EXIT_UNREACHABLE, EXIT_USAGE, CommandError
from console.paths import state_dir
from console.sandbox import files

if TYPE_CHECKING:
    from console.sandbox.load import LoadReport

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
NEEDED_BYTES = 64 * 1024 * 1024
_ALREADY = 75
FAULTS: dict[str, str] = {
    "bad-release": "the idle color turns unhealthy and every third of its answers is an error",
    "failing-task": "validate_transactions_data fails: its suite names a column that is not there",
    "bad-data": "three in ten transactions arrive wrong: the run is green, the data is not",
    "slow-color": "the idle color answers 800 ms late, and is healthy",
    "crash-color": "the process of the idle color dies and stays down",
    "alert-flood": "5,000 partitions have dead letters: an alert for each of them",
    "dead-backend": "the warehouse is gone: scores and alerts cannot be read",
}


class SandboxError(CommandError):
    """The sandbox cannot do what was asked: one line what, one line what to do."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(EXIT_UNREACHABLE, "unreachable", message, fix=fix)


class FaultError(SandboxError):
    """What was named is no fault: a mistake of the command line, whatever state the sandbox is in."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message, fix)
        self.exit_code, self.kind = EXIT_USAGE, "usage"


class SandboxInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A sandbox that runs. `url` is its router's, `faults` names what is broken on purpose."""

    pid: int
    boot_id: str
    version: str
    url: str
    config: str
    started_at: str
    faults: tuple[str, ...] = ()

    @property
    def config_path(self) -> Path:
        """The config that its adapters are built from."""
        return Path(self.config)

    @property
    def port(self) -> int:
        """The router's port on loopback."""
        return int(self.url.rpartition(":")[2])


def sandbox_dir() -> Path:
    """Where the sandbox keeps everything; made with mode 0700. Raises SandboxError."""
    directory = state_dir() / "sandbox"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SandboxError(
            f"{directory}: {error.strerror}", "set TEAL_STATE_DIR to a directory that you can write"
        ) from None
    return directory


def running() -> SandboxInfo | None:
    """The sandbox that is up and ready; None for none, also for one that starts. Counts as use of it.

    Raises SandboxError where one runs, and what it says of itself can not be read.
    """
    directory = state_dir() / "sandbox"
    if not files.lock_is_held(directory):
        return None
    path = directory / files.RUN
    try:
        info = decode_text(path.read_bytes(), SandboxInfo)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        why = (error.strerror or "") if isinstance(error, OSError) else "not what a sandbox writes"
        raise SandboxError(f"a sandbox runs, but {path}: {why}", "`teal sandbox stop`, then start it again") from None
    if info.boot_id != files.boot_id():
        return None
    with suppress(OSError):  # a full disk is no reason to call a sandbox dead that runs
        (directory / files.LAST_USED).touch()
    faults = files.read_json(directory / files.FAULTS).get("faults")
    return msgspec.structs.replace(info, faults=tuple(sorted(faults)) if isinstance(faults, dict) else ())


def ensure_running(
    *, timeout_s: float = START_TIMEOUT_S, on_progress: Callable[[str], None] | None = None
) -> SandboxInfo:
    """The sandbox, started where none runs, replaced where it is of another version of this program.

    Returns when it serves: the first runs have ended well, scores exist, the router answers. Whoever calls is not its
    parent. `on_progress` gets a line now and then. Raises SandboxError.
    """
    directory = sandbox_dir()
    found = running()
    if found is not None and found.version == files.code_version():
        return found
    if found is not None:
        stop()
    deadline = time.monotonic() + timeout_s
    _check_space(directory)
    ours = _spawn(directory)
    told = ""
    while time.monotonic() < deadline:
        found = running()
        if found is not None:
            return found
        line = files.last_line(directory / files.SUPERVISOR_LOG)
        if not files.lock_is_held(directory):
            if ours:
                raise _not_started(directory, line)
            ours = _spawn(directory)  # the other one was about to end
        if on_progress is not None and line != told:
            told = line
            on_progress(line)
        time.sleep(0.03)
    raise SandboxError(
        f"the sandbox was not ready within {timeout_s:.0f} s: {files.last_line(directory / files.SUPERVISOR_LOG)}",
        f"look at {directory / files.SUPERVISOR_LOG}, or start anew with `teal sandbox reset`",
    )


def stop() -> bool:
    """End the sandbox and everything that it started; False where none ran. Raises SandboxError."""
    directory = state_dir() / "sandbox"
    for number, patience_s in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, 2.0)):
        if not files.lock_is_held(directory):
            return number == signal.SIGKILL
        pid = _pid_of_holder(directory)
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if not files.lock_is_held(directory):
                return True
            time.sleep(0.02)
    raise SandboxError(f"the supervisor ({_pid_of_holder(directory)}) does not end", "end that process")


def reset(*, on_progress: Callable[[str], None] | None = None) -> SandboxInfo:
    """Stop, throw all data away, start again. Raises SandboxError."""
    stop()
    directory = sandbox_dir()
    descriptor = open_plain(directory / files.LOCK, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for path in directory.iterdir():
            if path.name == files.LOCK:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise SandboxError(f"{directory}: {error.strerror}", f"remove {directory} by hand") from None
    finally:
        os.close(descriptor)
    return ensure_running(on_progress=on_progress)


def _pid_of_holder(directory: Path) -> int:
    """The pid in the lock file, written by who holds it; only to be trusted while it is held."""
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        text = (directory / files.LOCK).read_text(encoding="ascii", errors="replace").strip()
        if text.isdecimal() and int(text) > 1:
            return int(text)
        time.sleep(0.02)
    raise SandboxError(f"{directory / files.LOCK} is held, but does not say by whom", f"see who: fuser {directory}")


def _check_space(directory: Path) -> None:
    free = shutil.disk_usage(directory).free
    if free < NEEDED_BYTES:
        raise SandboxError(
            f"{directory}: disk full, {free // 2**20} MB left and {NEEDED_BYTES // 2**20} MB needed",
            "free some space, or set TEAL_STATE_DIR to another disk",
        )


def _spawn(directory: Path) -> bool:
    """Start a supervisor; False where there is one already.

    It has gone to the background when this returns: from then on its lock says whether it lives.
    """
    log = directory / files.SUPERVISOR_LOG
    command = [sys.executable, "-P", "-m", "console.sandbox.supervisor", str(directory)]
    try:
        log.parent.mkdir(mode=0o700, exist_ok=True)
        with log.open("ab") as output:
            started = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=directory,
                env={**without_secrets(), **files.import_path()},
                start_new_session=True,
                timeout=START_TIMEOUT_S,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise _not_started(directory, f"no sign of life within {START_TIMEOUT_S:.0f} s") from None
    except OSError as error:
        raise _not_started(directory, f"{error.filename or directory}: {error.strerror}") from None
    if started.returncode not in (0, _ALREADY):
        raise _not_started(directory, files.last_line(log))
    return started.returncode == 0


def _not_started(directory: Path, line: str) -> SandboxError:
    lowered = line.lower()
    if "no space left" in lowered or "disk is full" in lowered:
        return SandboxError(f"the sandbox does not start: disk full: {line}", "free some space, or set TEAL_STATE_DIR")
    if "address already in use" in lowered:
        return SandboxError(f"the sandbox does not start: port taken: {line}", "try again, or free a port on 127.0.0.1")
    fix = f"look at {directory / files.SUPERVISOR_LOG}, or start anew with `teal sandbox reset`"
    return SandboxError(f"the sandbox does not start: {line or 'its log is empty'}", fix)


def load(rps: float, seconds: float) -> "LoadReport":
    """Bounded traffic through the router (500 requests/s, 120 s at most) and what became of it. Raises SandboxError."""
    import asyncio

    from console.sandbox.load import drive

    info = running()
    if info is None:
        raise SandboxError("the sandbox does not run", "teal sandbox start")
    return asyncio.run(drive(info.port, rps, seconds))
