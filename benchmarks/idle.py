"""The console left alone with ten feeds: processor time, bytes to the terminal, memory."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from pathlib import Path

SETTLE_S = 8.0
WATCH_S = 30.0
FEEDS = 10
LIMITS = {"cpu_pct": 1.0, "bytes_per_s": 1000.0, "rss_mb": 120.0}

LINK = """
[[contexts.idle.checks]]
name = "check{index}"
type = "http"
url = "{url}/health"
"""


def report(env: dict[str, str], directory: Path, url: str) -> bool:
    """Watch it for half a minute after it has settled; print and judge what it took."""
    config = directory / "idle.toml"
    config.write_text("[contexts.idle]\n" + "".join(LINK.format(index=index, url=url) for index in range(FEEDS)))
    config.chmod(0o600)
    taken = _watch(["teal", "-c", str(config)], env)
    within = True
    for name, limit in LIMITS.items():
        verdict = "ok" if taken[name] <= limit else "OVER"
        within = within and verdict == "ok"
        print(f"{verdict:5} idle with {FEEDS} feeds: {name:24} {taken[name]:10.2f} of {limit:g}")
    return within


def _watch(command: list[str], env: dict[str, str]) -> dict[str, float]:
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(command[0], command, env)
    try:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        _drain(terminal, SETTLE_S)
        began = _cpu_seconds(child)
        sent = _drain(terminal, WATCH_S)
        return {
            "cpu_pct": 100 * (_cpu_seconds(child) - began) / WATCH_S,
            "bytes_per_s": sent / WATCH_S,
            "rss_mb": _rss_mb(child),
        }
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)


def _drain(terminal: int, seconds: float) -> int:
    until, size = time.monotonic() + seconds, 0
    while (left := until - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            size += len(os.read(terminal, 65536))
    return size


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
