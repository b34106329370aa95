"""`make shots`: the README's screenshots, rendered by the running app from a sandbox of its own with a drill in it."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
OVERVIEW_SIZE = (120, 40)
PLAN_SIZE = (100, 26)
SETTLE_S = 4.0
TWO_READS_S = 14.0  # the rates of a color are the difference between two reads, ten seconds apart
SANDBOX_SPEED = "12"  # a picture with a history in it, without waiting an hour for it
HISTORY_S = 25.0


def main() -> int:
    """Start a sandbox, break its data, drive some traffic, take the pictures, stop it."""
    state = Path(tempfile.gettempdir()) / "teal-shots"  # the same each time: a plan shows it
    os.environ |= {"TEAL_STATE_DIR": str(state), "HOME": str(state), "TEXTUAL_ANIMATIONS": "none"}
    os.environ["TEAL_SANDBOX_SPEED"] = SANDBOX_SPEED
    os.environ.pop("TEAL_CONFIG", None)
    try:
        teal("sandbox", "start", "-q")
        time.sleep(HISTORY_S)
        teal("deploy", "flip", "analytics", "-y", "--reason", "2.4.1 go")
        teal("sandbox", "break", "bad-data")
        traffic = subprocess.Popen([sys.executable, "-m", "console.cli.main", "sandbox", "load", "--for", "60s"])
        try:
            asyncio.run(shoot())
        finally:
            traffic.terminate()
            traffic.wait(timeout=10)
    finally:
        teal("sandbox", "stop")
        shutil.rmtree(state)
    return 0


def teal(*arguments: str) -> None:
    """One command, its output kept off the terminal."""
    subprocess.run([sys.executable, "-m", "console.cli.main", *arguments], check=True, capture_output=True, timeout=120)


async def shoot() -> None:
    """The overview, and the plan of a rollback."""
    from actions.models import Request
    from console.app import TealApp
    from console.config.selection import select
    from console.session import Session

    async with _running(TealApp(Session(select(None, None))), OVERVIEW_SIZE) as app:
        await asyncio.sleep(TWO_READS_S)
        _save(app, "overview.svg")
    app = TealApp(Session(select(None, None)))
    async with _running(app, PLAN_SIZE):
        app.open_plan(Request(kind="flip", service="analytics"))
        await asyncio.sleep(SETTLE_S)
        _save(app, "plan.svg")


class _running:  # noqa: N801 - reads as a phrase: `async with _running(app, size)`
    def __init__(self, app: Any, size: tuple[int, int]) -> None:
        self._app = app
        self._test = app.run_test(size=size)

    async def __aenter__(self) -> Any:
        await self._test.__aenter__()
        await asyncio.sleep(SETTLE_S)
        return self._app

    async def __aexit__(self, *failure: Any) -> None:
        await self._test.__aexit__(*failure)


def _save(app: Any, name: str) -> None:
    (DOCS / name).write_text(app.export_screenshot(title="teal"), encoding="utf-8")
    sys.stdout.write(f"{DOCS / name}\n")


if __name__ == "__main__":
    sys.exit(main())
