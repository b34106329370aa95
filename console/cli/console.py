"""`teal` alone: the console."""

import click

from console.launch import run_console
from console.select import select
from console.session import Session


def open_console(config: str | None, context: str | None, *, ascii_only: bool, mouse: bool, color: bool) -> int:
    """Open the console on a context, starting the sandbox where there is no config; returns the exit code."""

    def say(line: str) -> None:
        click.echo(f"teal: {line}", err=True)

    selection = select(config, context, start_sandbox=True, on_progress=say)
    for problem in selection.problems:
        say(f"disabled: {problem}")
    return run_console(Session(selection), ascii_only=ascii_only, mouse=mouse, color=color)
