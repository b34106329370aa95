"""Servers as child processes on free ports: started, waited for, ended by their id."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

READY_S = 30.0
END_S = 15.0


def free_port() -> int:
    """A loopback port that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    """Does somebody listen on that loopback port?"""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def run(command: Sequence[str]) -> str:
    """A command to its end, and what it printed; AssertionError with what it complained of where it failed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/", check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stderr or done.stdout}"
    return done.stdout


def until(true: Callable[[], object], what: str, *, within: float = READY_S) -> None:
    """Poll until `true()`; AssertionError naming `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(0.05)


def end(process: "subprocess.Popen[bytes]", by: signal.Signals = signal.SIGTERM) -> None:
    """Signalled, and killed where that is not enough; safe for one that has ended."""
    process.send_signal(by)
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(END_S)


@contextlib.contextmanager
def started(
    command: Sequence[str], log: Path, ready: Callable[[], object], *, end_by: signal.Signals = signal.SIGTERM
) -> "Iterator[subprocess.Popen[bytes]]":
    """`command` running, its output in `log`, from when `ready()` is true to the end of the block."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
        )
    try:
        until(lambda: process.poll() is not None or ready(), f"{command[0]} ready, see {log}")
        assert process.poll() is None, f"{command[0]} ended: {log.read_text(errors='replace')[-2000:]}"
        yield process
    finally:
        end(process, end_by)
