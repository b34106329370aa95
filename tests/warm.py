"""Processes by the hundred: one that has imported what they need forks each of them, real and by itself.

A process that is started here has a pid, a start time, a session, an environment, a directory and descriptors of its
own, dies of `kill -9`, and ends as an interpreter does. Left out is how it begins: `exec`, and a second or two of
imports (its `/proc/PID/environ` and `cmdline` are those of the one that forks, `tests.warm_server`). A `cold` one has
that, too.
"""

import asyncio
import atexit
import contextlib
import functools
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
from msgspec import Struct

ROOT = Path(__file__).parents[1]
SOCKET = "TEAL_TEST_WARM"
"""The variable that tells a process where the server listens, so that it can have others started."""
MOST_BYTES = 65536
START_S = 60.0
NOWHERE = -1
_STARTING = threading.Lock()


class Job(Struct, frozen=True):
    """`module`'s `function`, called without arguments; `arguments` is `sys.argv[1:]`. `session`: in one of its own.
    `quick`: it ends by `os._exit`, since an interpreter's own end takes 50 ms. `cold`: a new interpreter runs the
    module, as `python -P -m module`."""

    module: str
    function: str
    arguments: list[str]
    environment: dict[str, str]
    directory: str = str(ROOT)
    session: bool = False
    quick: bool = False
    cold: bool = False


class Gone(Exception):
    """The server has ended."""


class Process:
    """One that was started. `code` is None while it lives, and negative for the signal that ended it."""

    def __init__(self, pid: int, heard: socket.socket) -> None:
        self.pid = pid
        self.code: int | None = None
        self._ended = asyncio.create_task(self._follow(heard))

    async def wait(self) -> int:
        """How it ended."""
        return await asyncio.shield(self._ended)

    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.code is not None

    def kill(self) -> None:
        """SIGKILL, if it lives."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """As of a process."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def _follow(self, heard: socket.socket) -> int:
        with heard:
            self.code = _number(await asyncio.get_running_loop().sock_recv(heard, 64))
        return self.code


async def start(job: Job, *, out: int = NOWHERE, err: int = 2) -> Process:
    """A process that has begun to live, with nothing on its stdin."""
    heard = await asyncio.to_thread(lambda: _asked(server(), job, out, err))
    heard.setblocking(False)
    try:
        pid = _number(await asyncio.wait_for(asyncio.get_running_loop().sock_recv(heard, 64), START_S))
    except BaseException:
        heard.close()
        raise
    return Process(pid, heard)


class Piped:
    """One that was started, as `asyncio.subprocess.Process` is one: what it writes comes through pipes."""

    def __init__(self, process: Process, out: int, err: int) -> None:
        self._process = process
        self.pid, self.kill, self.send_signal, self.wait = (
            process.pid, process.kill, process.send_signal, process.wait,
        )  # fmt: skip
        self._read = [asyncio.create_task(asyncio.to_thread(_all_of, each)) for each in (out, err)]

    @property
    def returncode(self) -> int | None:
        """As of `Process.code`."""
        return self._process.code

    async def communicate(self) -> tuple[bytes, bytes]:
        """All of stdout and stderr, once it has ended."""
        await self.wait()
        out, err = await asyncio.gather(*self._read)
        return out, err


async def piped(job: Job) -> Piped:
    """A process that has begun to live, with nothing on its stdin."""
    (out, out_end), (err, err_end) = os.pipe(), os.pipe()
    try:
        process = await start(job, out=out_end, err=err_end)
    except BaseException:
        os.close(out)
        os.close(err)
        raise
    finally:
        os.close(out_end)
        os.close(err_end)
    return Piped(process, out, err)


async def run(job: Job, within_s: float) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a process, through pipes. Raises TimeoutError, and kills it then."""
    process = await piped(job)
    try:
        async with asyncio.timeout(within_s):
            code = await process.wait()
    except TimeoutError:
        process.kill()
        raise
    finally:
        out, err = await process.communicate()
    return code, out.decode(), err.decode()


def called(job: Job, within_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """A process to its end, as `subprocess.run` gives it with `capture_output` and `text`; for a test that has no loop.
    Blocks. Raises TimeoutError, and kills it then."""
    code, out, err = asyncio.run(run(job, within_s))
    return subprocess.CompletedProcess([job.module, *job.arguments], code, out, err)


def run_here(address: str, job: Job, within_s: float) -> int:
    """Exit status of a process that one which was started here wants: nothing on its descriptors. Blocks."""
    with _asked(address, job, NOWHERE, NOWHERE) as heard:
        heard.settimeout(within_s)
        _number(heard.recv(64))
        return _number(heard.recv(64))


def server() -> str:
    """Where it listens; started with the first process, and ended with this one. Blocks."""
    with _STARTING:
        return _server()


@functools.cache
def _server() -> str:
    address = f"@teal-test-{os.getpid()}-{secrets.token_hex(8)}"
    # It ends with its stdin: those that it has forked live on.
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.warm_server", address], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    given, heard = process.stdin, process.stdout
    assert given is not None
    assert heard is not None
    with heard:
        assert heard.readline() == b"listens\n"

    def end() -> None:
        given.close()
        process.wait()

    atexit.register(end)
    return address


def bound(address: str) -> str:
    """The name of a socket that has no file."""
    return address.replace("@", "\0", 1)


def _asked(address: str, job: Job, out: int, err: int) -> socket.socket:
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        heard.connect(bound(address))
        with open(os.devnull, "r+b", buffering=0) as null:
            given = [null.fileno(), *(null.fileno() if each == NOWHERE else each for each in (out, err))]
            socket.send_fds(heard, [msgspec.json.encode(job)], given)
    except BaseException:
        heard.close()
        raise
    return heard


def _number(said: bytes) -> int:
    if not said:
        raise Gone
    return int(said)


def _all_of(descriptor: int) -> bytes:
    with open(descriptor, "rb") as stream:
        return stream.read()
