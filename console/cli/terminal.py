"""Where a command runs: whether the console can be shown there, and whether the process is its own."""

import os
import sys

WHOLE_PROCESS = "whole_process"
"""The key in the context's `obj` that says that the process is this command's alone, from its start to its end."""


def can_show_console() -> bool:
    """Whether there is a terminal to read and to draw on (Textual draws by stderr). TERM=dumb says that text cannot be
    placed on it."""
    on_terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    return on_terminal and os.environ.get("TERM") not in ("dumb", "unknown")
