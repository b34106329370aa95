"""One try of one task: a command in a process group of its own, its output stamped into a log file."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from backends.commands import GATE, startable
from backends.environment import MARK
from backends.files import open_plain
from backends.logs.lines import MAX_LINE_BYTES, leads_with_level, parse_line, time_of
from backends.models import LogLevel
from backends.ownership import refuse_unsafe_command
from backends.pipelines.local.dag import TaskConfig
from backends.redaction import quoted

KILL_AFTER_S = 3.0
_DRAIN_S = 1.0


class TaskLog:
    """Writes lines to the log of a try: those without a time get the present one, those without a level get one.

    The level is what the line names; an indented line has that of the line before it; any other is INFO.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = open(open_plain(path, os.O_WRONLY | os.O_APPEND, 0o644), "ab")  # noqa: SIM115 - open as long as the task runs
        self._level: LogLevel = "info"
        self.last_line = ""
        self.last_error = ""

    def write(self, raw: bytes) -> None:
        """One line of output, at most `MAX_LINE_BYTES` of it."""
        raw = raw[:MAX_LINE_BYTES].rstrip(b"\r\n")
        if not raw.strip():
            return
        entry = parse_line(raw, source="")
        if entry.level != "unknown":
            self._level = entry.level
        elif not raw[:1].isspace():
            self._level = "info"
        self.last_line = entry.message.strip() or self.last_line
        if self._level in ("error", "critical") and not raw[:1].isspace():
            self.last_error = entry.message.strip() or self.last_error
        if time_of(raw) is None:
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            level = "" if leads_with_level(raw) else f"{self._level.upper():<8} "
            raw = f"{now} {level}".encode() + raw
        self._file.write(raw + b"\n")

    def flush(self) -> None:
        """Let readers see what was written."""
        self._file.flush()

    def close(self) -> None:
        """Flush and release the file."""
        self._file.close()


class TaskProcess:
    """A started command, which waits for `begin()`. `poll()` drives its timeout and its end; `reason` says why it was
    made to stop, if it was."""

    def __init__(
        self, task: TaskConfig, log: Path, *, directory: str, env: Mapping[str, str], on_end: Callable[[], None]
    ) -> None:
        """Raises OSError where the command cannot be started."""
        self.reason = ""
        self._log = TaskLog(log)
        self._on_end = on_end
        self._kill_at: float | None = None
        self._timeout = task.timeout
        self._deadline = time.monotonic() + task.timeout if task.timeout is not None else None
        try:
            startable(task.command[0], Path(directory), env.get("PATH", os.defpath))
            refuse_unsafe_command(task.command, Path(directory))
            self._process = subprocess.Popen(
                [*GATE, *task.command],
                cwd=directory,
                env={**env, MARK: mark_of(log)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            self._log.write(f"ERROR cannot start {task.command[0]}: {error.strerror}".encode())
            self._log.close()
            raise
        self.pid = self._process.pid
        self._pump = threading.Thread(target=self._copy_output, daemon=True)
        self._pump.start()

    def begin(self) -> None:
        """Let it begin: it is known by now that it runs."""
        assert self._process.stdin is not None
        with suppress(OSError):  # it was ended before
            self._process.stdin.write(b"\n")
            self._process.stdin.close()

    def _copy_output(self) -> None:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        partial = b""
        while chunk := os.read(descriptor, 65536):
            *lines, partial = (partial + chunk).split(b"\n")
            if len(partial) > MAX_LINE_BYTES:
                lines, partial = [*lines, partial], b""
            self._write(lines)
        self._write([partial])
        self._process.stdout.close()
        self._process.wait()
        self._on_end()

    def _write(self, lines: list[bytes]) -> None:
        try:
            for line in lines:
                self._log.write(line)
            self._log.flush()
        except OSError as error:  # a full disk must not stop the task: its output is read and lost
            sys.stderr.write(f"{self._log}: {error}\n")

    def stop(self, reason: str) -> None:
        """Ask the process group to end, and end it when it has not after `KILL_AFTER_S`."""
        if self._kill_at is None:
            self.reason = reason
            self._kill_at = time.monotonic() + KILL_AFTER_S
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process group now."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):  # it has ended; on macOS a group of zombies answers EPERM
            os.killpg(self.pid, number)

    def poll(self) -> int | None:
        """The exit status once the command has ended, as `subprocess` counts; what it left behind ends with it."""
        status = self._process.poll()
        now = time.monotonic()
        if status is None:
            if self._kill_at is not None and now >= self._kill_at:
                self.kill()
            elif self._deadline is not None and now >= self._deadline:
                self.stop(f"timed out after {self._timeout}")
            return None
        self.kill()
        self._pump.join(_DRAIN_S)
        if not self._pump.is_alive():
            self._log.close()
        return status

    def failure(self, status: int) -> str:
        """Why it failed: what stopped it, else the last error that it wrote, else its last line, else how it ended."""
        if self.reason:
            return self.reason
        said = self._log.last_error or self._log.last_line
        if said:
            return quoted(said, 512)
        if status < 0:
            return f"ended by {signal.Signals(-status).name}"
        return f"exit status {status}"


def mark_of(log: Path) -> str:
    """What the processes of a try carry in their environment: the place of its log is its own."""
    return hashlib.sha256(os.fsencode(log.absolute())).hexdigest()[:32]
