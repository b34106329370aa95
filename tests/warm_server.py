"""Forks a process for each `tests.warm.Job` that comes in at a socket: python -m tests.warm_server SOCKET

What a process has imported at its end is imported here before the next one is forked. Ends with its stdin; what was
forked lives on.
"""

import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import threading
import time
from typing import NoReturn

import msgspec

from tests.warm import MOST_BYTES, SOCKET, Job, bound

_LEARNED_BYTES = 1 << 18


class Server:
    """`serve` returns the job of a process that was just forked, in it; None in the server, at its end."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(bound(address))
        self._listener.listen(64)
        self._living: dict[int, tuple[int, socket.socket]] = {}
        self._learned, self.told = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._learned.setblocking(False)
        self.told.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LEARNED_BYTES)
        self._tried: set[str] = set()

    def serve(self) -> Job | None:
        """Until stdin is closed."""
        with selectors.DefaultSelector() as looking:
            for each in (0, self._listener, self._learned):
                looking.register(each, selectors.EVENT_READ)
            os.write(1, b"listens\n")
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 1)  # what is imported may print
            while True:
                for key, _ in looking.select():
                    if key.fileobj == 0:
                        return None
                    if key.fileobj is self._learned:
                        self._learn()
                    elif key.fileobj is not self._listener:
                        looking.unregister(key.fd)
                        self._ended(key.fd)
                    elif (job := self._begun(looking)) is not None:
                        return job

    def _begun(self, looking: selectors.BaseSelector) -> Job | None:
        asker, _ = self._listener.accept()
        said, given, _, _ = socket.recv_fds(asker, MOST_BYTES, 3)
        if not said:
            asker.close()
            return None
        try:
            job = msgspec.json.decode(said, type=Job)
        except msgspec.ValidationError as error:  # it ends the test that asked, and no other one
            sys.stderr.write(f"no job: {error}\n")
            for each in (asker.detach(), *given):
                os.close(each)
            return None
        self._learn()
        assert threading.active_count() == 1, "what is forked would lack a thread"
        gc.freeze()  # or what is forked would copy all pages, by looking for garbage in them
        if pid := os.fork():
            for each in given:
                os.close(each)
            watched = os.pidfd_open(pid)
            self._living[watched] = (pid, asker)
            looking.register(watched, selectors.EVENT_READ)
            _tell(asker, pid)
            return None
        for other in (asker, self._listener, self._learned, *(each for _, each in self._living.values())):
            other.close()
        for watched in self._living:
            os.close(watched)
        self._become(job, given)
        return job

    def _become(self, job: Job, given: list[int]) -> None:
        if job.session:
            os.setsid()
        for number, descriptor in enumerate(given):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(job.directory)
        os.environ.clear()
        os.environ.update({**job.environment, SOCKET: self._address})
        if job.cold:
            os.execv(sys.executable, [sys.executable, "-P", "-m", job.module, *job.arguments])
        time.tzset()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv[1:] = job.arguments
        for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for its life

    def _ended(self, watched: int) -> None:
        pid, asker = self._living.pop(watched)
        os.close(watched)
        _, status = os.waitpid(pid, 0)
        _tell(asker, os.waitstatus_to_exitcode(status))
        asker.close()

    def _learn(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                for name in self._learned.recv(_LEARNED_BYTES).decode().split("\n"):
                    if name not in self._tried:
                        self._tried.add(name)
                        with contextlib.suppress(ImportError):  # some are made, and found nowhere
                            importlib.import_module(name)


def _tell(asker: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # it does not want to know any more
        asker.send(str(number).encode())


def run(job: Job, told: socket.socket) -> NoReturn:
    """Do the job, in the process that was forked for it."""
    known = set(sys.modules)
    try:
        code = getattr(importlib.import_module(job.module), job.function)()
    finally:
        if new := [name for name in sys.modules if name not in known]:
            with contextlib.suppress(OSError):
                told.send("\n".join(new).encode())
    if job.quick:
        os._exit(code or 0)
    sys.exit(code)


def main() -> None:
    """Serve, or be what was forked."""
    server = Server(sys.argv[1])
    if (job := server.serve()) is not None:
        run(job, server.told)


if __name__ == "__main__":
    main()
