"""`teal` alone: the console."""

import sys

from backends.models import Item
from console.config.selection import select
from console.launch import run_console
from console.ports.table import readings
from console.session import Session


def open_console(
    config: str | None = None,
    context: str | None = None,
    *,
    ascii_only: bool = False,
    mouse: bool = False,
    color: bool = True,
    item: Item | None = None,
) -> int:
    """Open the console on a context, or on one `item` of it, starting the sandbox where there is no config.

    Returns the exit code.
    """

    def say(line: str) -> None:
        sys.stderr.write(f"teal: {line}\n")

    # Each entry is checked when its adapter is built, after the first paint; its panel says what is wrong with it.
    selection = select(config, context, start_sandbox=True, check_entries=False, on_progress=say)
    session = Session(selection, panels=(*(name for name, _ in readings()), "timeline"), keeps=True)
    session.preload()
    return run_console(session, ascii_only=ascii_only, mouse=mouse, color=color, item=item)
