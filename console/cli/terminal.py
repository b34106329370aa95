"""Where a command runs: whether the console can be shown there, and whether the process is its own."""

import os
import sys

WHOLE_PROCESS = "whole_process"
"""The key in the context's `obj` that says that the process is this command's alone, from its start to its end."""


def can_show_console() -> bool:
    """Whether there is a terminal to read and to draw on (Textual draws by stderr)."""
    return _on_terminal() and not _cannot_place()


def why_no_console() -> str:
    """What is said to somebody at a terminal on which no console can be drawn; nothing where nobody sits at one."""
    if not (_on_terminal() and _cannot_place()):
        return ""
    return (
        f"TERM={os.environ['TERM']} says that this terminal can not place text: this is `teal status`; "
        "where it can, `TERM=xterm-256color teal` opens the console"
    )


def _on_terminal() -> bool:
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def _cannot_place() -> bool:
    return os.environ.get("TERM") in ("dumb", "unknown")
