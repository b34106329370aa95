"""A fast clock: the console over a sandbox that is read fifty times as often as by default, its screens opened and left
all the time; memory once it is warm, and at the end. `python -m benchmarks.soak --for 8h` for a long one.

Warm it is once the caches of Textual and Rich, which are bounded, have filled.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from backends.settings import Duration
from benchmarks.screen import Console
from benchmarks.timing import environment, sandbox

SECONDS = 60.0
REFRESH = "200ms"
GROWTH_LIMIT_MB = 8.0
WARM_ROUNDS = 10
TURN_S = 0.25
ESC = b"\x1b"
# Every panel alone, its first row in detail, help, the palette, a time of the past and back, wider and narrower.
ROUND = (b"1", b"\r", ESC, b"0", b"2", b"\r", ESC, b"0", b"4", b"\r", ESC, b"0", b"5", b"z", b"e", b"f", b"0",
         b"6", b",", b".", b"0", b"?", ESC, b":", ESC, b"s", ESC, b"]", b"[")  # fmt: skip


def report(env: dict[str, str], seconds: float = SECONDS) -> bool:
    """Print and judge the growth. On a sandbox of its own."""
    with sandbox(env) as directory:
        made = directory / "config.toml"
        config = made.with_name("soak.toml")
        fast = f'[contexts.sandbox]\nrefresh = "{REFRESH}"\n'
        config.write_text(made.read_text().replace("[contexts.sandbox]\n", fast))
        config.chmod(0o600)
        warm, late, rounds = _soaked(["teal", "-c", str(config)], env, seconds)
    verdict = "ok" if late - warm <= GROWTH_LIMIT_MB else "OVER"
    words = f"soak of {seconds:g} s, read each {REFRESH}, {rounds} rounds of keys"
    print(f"{verdict:5} {words}: {warm:.1f} → {late:.1f} MB, {GROWTH_LIMIT_MB:g} MB of growth allowed")
    return verdict == "ok"


def _soaked(command: list[str], env: dict[str, str], seconds: float) -> tuple[float, float, int]:
    """Memory when it is warm and at the end; how often all keys were pressed."""
    with Console(command, env) as console:
        console.until(b"Pipelines")
        for _ in range(WARM_ROUNDS):
            _press_all(console)
        began, warm, rounds = time.monotonic(), console.rss_mb(), 0
        while time.monotonic() - began < seconds:
            _press_all(console)
            rounds += 1
        return warm, console.rss_mb(), rounds


def _press_all(console: Console) -> None:
    for key in ROUND:
        console.send(key)
        console.settle(TURN_S)


def main() -> int:
    """1 where it grows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--for", dest="seconds", default="60s", help="like 60s or 8h")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="teal-soak-") as name:
        return 0 if report(environment(Path(name)), float(Duration.parse(given.seconds))) else 1


if __name__ == "__main__":
    sys.exit(main())
