"""Whether the console can be shown where a command runs."""

import os
import sys


def can_show_console() -> bool:
    """Whether there is a terminal to read and to draw on (Textual draws by stderr). TERM=dumb says that text cannot be
    placed on it."""
    on_terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    return on_terminal and os.environ.get("TERM") not in ("dumb", "unknown")
