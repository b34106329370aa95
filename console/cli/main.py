"""`teal`: one entry point. Alone on a terminal it opens the console, and that needs no parser of command lines."""

import gc
import os
import sys


def can_show_console() -> bool:
    """Whether there is a terminal to draw on. TERM=dumb says that text cannot be placed on it."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def main() -> None:
    """The console script. Always ends by SystemExit with a code of DESIGN §3."""
    from console.cli.ending import Sigterm, ended, run_command

    # Imports allocate some 200,000 objects that stay: looking through them again and again for garbage took 48 of the
    # 275 ms until the console's first paint. The console looks again once it has painted.
    gc.set_threshold(50_000, 20, 50)
    sigterm = Sigterm()
    if len(sys.argv) == 1 and can_show_console():
        gc.disable()
        from console.cli.console import open_console

        code = ended(open_console)
    else:
        from console.cli.commands import teal

        code = run_command(teal)
    # A reader that closed the pipe, or a terminal that has gone, must not become a traceback or exit code 120 when the
    # interpreter flushes at its end.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(sigterm.code(code))


if __name__ == "__main__":
    main()
