"""A log of 1,000,000 lines: its end on screen, a search of it, memory; and 10,000 lines a second followed.

The peers are lnav (Debian) and toolong (PyPI, in a virtual environment of its own that is kept), in the same run.
"""

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.screen import Console
from benchmarks.timing import Measurement, compare, installed, paint_seconds, run_seconds

LINES = 1_000_000
LAST = b"0999999"
SEARCHED = "request 0(123456|777777) "
RSS_LIMIT_MB = 200.0
RATE = 10_000
FOLLOW_S = 12.0
KEY_LIMIT_MS = 50.0

CONFIG = """
[contexts.bench]
[[contexts.bench.logs]]
name = "app"
type = "files"
paths = ["{path}"]
"""


def report(env: dict[str, str], directory: Path) -> bool:
    """Print and judge every line."""
    path = directory / "big.log"
    write_log(path, LINES)
    config = _config(directory, path)
    within = True
    for measurement in _compared(env, path, config):
        print(measurement)
        within = within and measurement.within
    return all((within, _memory(env, config), _followed(env, directory)))


def write_log(path: Path, count: int) -> None:
    """`count` lines of a web service, about 92 bytes each; the same ones each time."""
    rng, at = random.Random(1), datetime(2026, 3, 1, tzinfo=UTC)
    with path.open("w", encoding="ascii") as file:
        for number in range(count):
            at += timedelta(milliseconds=rng.randrange(50))
            level = rng.choices(("INFO", "WARNING", "ERROR"), (987, 10, 3))[0]
            file.write(
                f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z {level} [worker-{rng.randrange(8)}] "
                f"request {number:07} GET /api/customers/{rng.randrange(10**6)} took {rng.randrange(1, 900)} ms\n"
            )


def _config(directory: Path, path: Path) -> Path:
    config = directory / f"{path.stem}.toml"
    config.write_text(CONFIG.format(path=path))
    config.chmod(0o600)
    return config


def _compared(env: dict[str, str], path: Path, config: Path) -> list[Measurement]:
    found = []
    console = ["teal", "-c", str(config)]
    if shutil.which("lnav"):
        found.append(
            compare("end of 1,000,000 lines on screen : lnav", _paints(console, env), _paints(["lnav", path], env), 1.6)
        )
        search = ["teal", "log", "-c", str(config), "--grep", SEARCHED]
        peer = ["lnav", "-n", "-c", f":filter-in {SEARCHED}", str(path)]
        found.append(
            compare(
                "search of it, headless : lnav", lambda: run_seconds(search, env), lambda: run_seconds(peer, env), 1
            )
        )
    else:
        print("      lnav is not installed: apt-get install lnav")
    if toolong := installed("toolong", "tl"):
        peer_paints = _paints([toolong, path], env)
        found.append(compare("end of 1,000,000 lines on screen : toolong", _paints(console, env), peer_paints, 1.0))
    return found


def _paints(command: list[str | Path], env: dict[str, str]) -> Callable[[], float]:
    return lambda: paint_seconds([str(word) for word in command], LAST, env)


def _memory(env: dict[str, str], config: Path) -> bool:
    with Console(["teal", "-c", str(config)], env) as console:
        console.until(LAST)
        console.send(b"5")
        console.settle(2.0)
        taken = console.rss_mb()
    return _judged("console on it: memory", taken, RSS_LIMIT_MB, "MB")


def _followed(env: dict[str, str], directory: Path) -> bool:
    """Keys while a file grows by `RATE` lines a second: the median answer, and what it is while nothing is written."""
    path = directory / "growing.log"
    path.write_text(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ} INFO begin\n" * 50)
    with Console(["teal", "-c", str(_config(directory, path))], env) as console:
        console.until(b"begin")
        console.send(b"5")
        console.settle(1.0)
        idle = _median_answer(console)
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(RATE), str(FOLLOW_S)], env=env)
        try:
            console.settle(2.0)
            busy = _median_answer(console)
        finally:
            writer.wait(60)
        console.until(b"the last line")
    return _judged(f"{RATE:,} lines/s followed: key (idle: {idle:.1f} ms)", busy, KEY_LIMIT_MS, "ms")


def _median_answer(console: Console) -> float:
    return sorted(console.answer_ms(b"k", b"paused", back=b"f") for _ in range(9))[4]


def _judged(name: str, value: float, limit: float, unit: str) -> bool:
    verdict = "ok" if value <= limit else "OVER"
    print(f"{verdict:5} {name:44} {value:9.1f} of {limit:g} {unit}")
    return verdict == "ok"


WRITER = """
import sys, time
from datetime import datetime, timezone
path, rate, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
began, written = time.monotonic(), 0
with open(path, "a", buffering=1 << 16) as file:
    while (elapsed := time.monotonic() - began) < seconds:
        for _ in range(int(elapsed * rate) - written):
            file.write(f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S.%fZ} INFO followed line {written}\\n")
            written += 1
        file.flush()
        time.sleep(0.02)
    file.write(f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S.%fZ} INFO the last line\\n")
"""
