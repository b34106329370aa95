"""The `deploy` and `retire` commands of the sandbox: another version on one color, or nothing.

    python -P -m console.sandbox.release DIR COLOR VERSION
    python -P -m console.sandbox.release DIR COLOR --retire

The supervisor restarts the color's process; this waits until it answers as that version, or is gone. The end of a
version says what is wrong with it: `-sick` is never healthy, `-crash` ends at once, `-err20` fails every fifth request,
`-slow800` takes 800 ms longer, `-pull` can not be had.
"""

import fcntl
import os
import sys
import time
from pathlib import Path
from typing import Any

from backends.files import open_plain
from backends.json_text import decode_text
from console.sandbox import files
from console.sandbox.fetch import fetch

WAIT_S = 20.0


def main() -> int:
    """0 when it is so; 1 with one line that says why not."""
    directory, color, wanted = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    version = "" if wanted == "--retire" else wanted
    if color not in files.COLORS:
        return _failed(f"no color {color}: one of {', '.join(files.COLORS)}")
    if version.endswith("-pull"):
        return _failed(f"no artifact analytics {version}")
    if not files.lock_is_held(directory):
        return _failed("the sandbox does not run: teal sandbox start")
    port = files.read_json(directory / files.PORTS).get(color, 0)
    restarts = _write(directory, color, version)
    seen = ""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        state = files.read_json(directory / files.RUNNING).get(color, {})
        seen = _version_on(port)
        if state.get("restarts") == restarts and (seen == version if version else not seen):
            sys.stdout.write(f"{color} runs {version or 'nothing'}\n")
            return 0
        time.sleep(0.05)
    return _failed(f"{color} does not answer as {version or 'nothing'} in {WAIT_S:g} s, but as {seen or 'nothing'}")


def _write(directory: Path, color: str, version: str) -> int:
    """Order it; the number of the order."""
    descriptor = open_plain(directory / f".{files.RELEASES}.lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        releases = files.read_json(directory / files.RELEASES)
        number = releases.get(color, {}).get("restarts", 0) + 1
        releases[color] = {"version": version, "restarts": number}
        files.write_json(directory / files.RELEASES, releases)
        return int(number)
    finally:
        os.close(descriptor)


def _version_on(port: int) -> str:
    """What answers there; empty for nothing."""
    try:
        _, _, body = fetch(port, "/health", timeout_s=2.0)
        return str(decode_text(body, dict[str, Any]).get("version", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _failed(why: str) -> int:
    sys.stdout.write(f"{why}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
