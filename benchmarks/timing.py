"""Timing whole processes, best of several, so that a ratio says something on a busy machine."""

import contextlib
import math
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from struct import pack

from msgspec import Struct

ROUNDS = 7
PAINT_TIMEOUT_S = 20.0


class Measurement(Struct, frozen=True):
    """Ours against a peer in the same run: seconds, and the ratio that is allowed (infinite: it says nothing)."""

    name: str
    ours_s: float
    peer_s: float
    limit: float

    @property
    def ratio(self) -> float:
        """How many times as long ours takes."""
        return self.ours_s / self.peer_s

    @property
    def within(self) -> bool:
        """True where the budget holds."""
        return self.ratio <= self.limit

    def __str__(self) -> str:
        verdict = "" if math.isinf(self.limit) else "ok" if self.within else "OVER"
        limit = "(no budget)" if math.isinf(self.limit) else f"of {self.limit:g}"
        return f"{verdict:5} {self.name:44} {self.ours_s:7.3f} s {self.peer_s:7.3f} s {self.ratio:6.2f} {limit}"


def compare(name: str, ours: Callable[[], float], peer: Callable[[], float], limit: float) -> Measurement:
    """The best of several rounds of each, taken in turn, so that both see the same noise."""
    pairs = [(ours(), peer()) for _ in range(ROUNDS)]
    return Measurement(name, min(pair[0] for pair in pairs), min(pair[1] for pair in pairs), limit)


def run_seconds(command: Sequence[str], env: dict[str, str]) -> float:
    """Wall seconds of a whole process."""
    began = time.perf_counter()
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=60)
    return time.perf_counter() - began


def paint_seconds(command: Sequence[str], marker: bytes, env: dict[str, str]) -> float:
    """Seconds from the start of a program in a 120×40 terminal until `marker` is on its screen. It is killed then."""
    began = time.perf_counter()
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(command[0], list(command), env)
    try:
        _set_size(terminal)
        seen = b""
        while marker not in seen:
            left = PAINT_TIMEOUT_S - (time.perf_counter() - began)
            ready, _, _ = select.select([terminal], [], [], max(0.0, left))
            if not ready:
                raise TimeoutError(f"{' '.join(command)}: {marker!r} not seen; last: {seen[-300:]!r}")
            seen += os.read(terminal, 65536)
        return time.perf_counter() - began
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)


def installed(package: str, command: str) -> str:
    """A command of a package of PyPI, in a virtual environment of its own that is kept; empty where there is none."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tealdeck-bench" / package
    path = home / "bin" / command
    if not path.exists():
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            for words in ([sys.executable, "-m", "venv", home], [home / "bin" / "pip", "install", "-q", package]):
                subprocess.run([str(word) for word in words], check=True, capture_output=True, timeout=300)
    if not path.exists():
        print(f"      {package} cannot be installed here")
        return ""
    return str(path)


@contextlib.contextmanager
def sandbox(env: dict[str, str]) -> Iterator[Path]:
    """A sandbox of its own that runs; the directory that it lives in."""
    try:
        subprocess.run(["teal", "sandbox", "start", "-q"], env=env, check=True, capture_output=True, timeout=90)
        yield Path(env["TEAL_STATE_DIR"], "sandbox")
    finally:
        subprocess.run(["teal", "sandbox", "stop"], env=env, capture_output=True, timeout=60, check=False)


def environment(state: Path, **more: str) -> dict[str, str]:
    """A clean environment with a state directory of its own."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    base = {"PATH": path, "HOME": str(state), "TEAL_STATE_DIR": str(state), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    base["TEAL_SANDBOX_BAKE"] = "2s"
    return {**base, **more}


def _set_size(terminal: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, pack("HHHH", 40, 120, 0, 0))
