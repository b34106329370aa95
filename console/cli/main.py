"""`teal`: one entry point. Alone on a terminal it opens the console, and that needs no parser of command lines."""

import gc
import sys

from console.cli.terminal import WHOLE_PROCESS, can_show_console


def main() -> None:
    """The console script. Always ends by SystemExit with a code of docs/contract.md."""
    from console.cli.clock import unusable
    from console.streams import flush, open_streams

    open_streams()
    if code := unusable():
        sys.exit(code)
    from console.cli.ending import Ending, ended, run_command

    # Imports allocate some 200,000 objects that stay: looking through them again and again for garbage took 48 of the
    # 275 ms until the console's first paint. The console looks again once it has painted.
    gc.set_threshold(50_000, 20, 50)
    ending = Ending()
    if len(sys.argv) == 1 and can_show_console():
        gc.disable()
        from console.cli.console import open_console

        code = ending.of(lambda: ended(open_console))
    else:
        from console.cli.commands import teal

        code = ending.of(lambda: run_command(teal, obj={WHOLE_PROCESS: True}))
    code = ended(lambda: flush() or code)
    ending.settled()
    sys.exit(code)


if __name__ == "__main__":
    main()
