"""A program in a terminal of 120×40, as a benchmark drives it: keys in, bytes out, processor time and memory."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE_S = 30.0
TURN_S = 0.3


class Console:
    """A running program; killed at the end."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.execvpe(command[0], list(command), dict(env))
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._seen = b""

    def __enter__(self) -> "Console":
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)

    def send(self, keys: bytes) -> None:
        """Type."""
        self._seen = b""
        os.write(self._terminal, keys)

    def until(self, marker: bytes) -> None:
        """Read until `marker` was written since the last key. Raises TimeoutError."""
        ends = time.monotonic() + PATIENCE_S
        while marker not in self._seen:
            if not self._read(ends - time.monotonic()):
                raise TimeoutError(f"{marker!r} not seen; last: {self._seen[-300:]!r}")

    def settle(self, seconds: float) -> int:
        """Read for so long; how many bytes came."""
        ends, size = time.monotonic() + seconds, len(self._seen)
        while (left := ends - time.monotonic()) > 0:
            self._read(left)
        return len(self._seen) - size

    def answer_ms(self, key: bytes, marker: bytes, *, back: bytes) -> float:
        """Milliseconds from a key to what it brings on the screen; `back` undoes it."""
        began = time.perf_counter()
        self.send(key)
        self.until(marker)
        took = (time.perf_counter() - began) * 1000
        self.send(back)
        self.settle(TURN_S)
        return took

    def rss_mb(self) -> float:
        """Memory in use."""
        return int(Path(f"/proc/{self._pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self._terminal], [], [], max(0.0, timeout_s))[0]:
            return False
        self._seen += os.read(self._terminal, 65536)
        return True
