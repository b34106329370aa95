"""The three processes that serve: started on a socket that is bound for them, restarted when they crash."""

import asyncio
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from console.sandbox import files

STABLE_PORTS = {"router": 18080, "blue": 18081, "green": 18082}
STOP_GRACE_S = 4.0
FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_AFTER_S = 0.2, 5.0, 10.0


def claim_ports(directory: Path) -> dict[str, socket.socket]:
    """Listening sockets on the ports of last time where they are free, else on the stable ones, else on any.

    They stay open until the child has them: a port that was free a moment ago may be another sandbox's by now.
    Raises OSError where no port is free.
    """
    before, claimed = files.read_json(directory / files.PORTS), dict[str, socket.socket]()
    for name, stable in STABLE_PORTS.items():
        wishes = [before[name]] if isinstance(before.get(name), int) else []
        for port in (*wishes, stable, 0):
            try:
                claimed[name] = listen(port)
                break
            except (OSError, OverflowError):
                if port == 0:
                    raise
    return claimed


def listen(port: int) -> socket.socket:
    """A listening socket on loopback. Raises OSError where the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(512)
    except BaseException:
        listener.close()
        raise
    return listener


class Child:
    """One serving process: `python -P -m MODULE DIR LISTENING_FD [ARGUMENT…]`.

    It ends by itself when its stdin closes, which the kernel does when the supervisor dies.
    """

    def __init__(
        self, name: str, listener: socket.socket, arguments: list[str], log: Callable[[str, str], None]
    ) -> None:
        """`arguments`: module, directory, and what follows the descriptor."""
        self.name, self.port = name, int(listener.getsockname()[1])
        self._listener: socket.socket | None = listener
        self._arguments, self._log = arguments, log
        self._process: asyncio.subprocess.Process | None = None
        self._started_at, self._pause_s, self._again_at = 0.0, FIRST_PAUSE_S, 0.0
        self.held_down = False

    async def start(self) -> None:
        """Raises OSError where the port was taken by another process meanwhile."""
        listener, self._listener = self._listener or listen(self.port), None
        with listener:
            module, directory, *others = self._arguments
            command = [sys.executable, "-P", "-m", module, directory, str(listener.fileno()), *others]
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, pass_fds=(listener.fileno(),)
            )
        self._started_at = time.monotonic()

    async def tend(self) -> None:
        """Start it again when it has crashed, after a pause that grows while it keeps crashing."""
        now = time.monotonic()
        if self._process is not None:
            if self._process.returncode is None:
                return
            if now - self._started_at > STEADY_AFTER_S:
                self._pause_s = FIRST_PAUSE_S
            if not self.held_down:
                self._log("ERROR", f"{self.name} ended with status {self._process.returncode}: starting it again")
            self._process, self._again_at = None, now + self._pause_s
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        if self.held_down or now < self._again_at:
            return
        try:
            await self.start()
        except OSError as error:
            self._log("ERROR", f"{self.name} does not start on port {self.port}: {error.strerror}")
            self._again_at = now + self._pause_s

    async def restart(self, arguments: list[str], *, down: bool) -> None:
        """End it and begin it anew with other arguments, or leave it `down`. Raises OSError as `start`."""
        self._arguments, self.held_down = arguments, down
        await self.stop()
        self._process, self._pause_s = None, FIRST_PAUSE_S
        if not down:
            await self.start()

    def crash(self) -> None:
        """Kill it, and keep it down until `held_down` is taken back."""
        self.held_down = True
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def stop(self) -> None:
        """Let it finish what it is answering, then end it."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_GRACE_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
