"""The time that `teal check` has: one answer is written, by the command or, when its time is over, by the clock."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator

import click

from backends.processes import age_s
from console.cli.terminal import WHOLE_PROCESS
from console.printing.check_output import EXIT_OF_HEALTH, write

WRITING_S = 0.5
EXIT_UNKNOWN = EXIT_OF_HEALTH["unknown"]


class Ending:
    """The one answer of a check, with its exit code."""

    def __init__(self, budget_s: float, since_s: float) -> None:
        self.budget_s = budget_s
        self._since_s = since_s
        self.code: int | None = None
        self.known: Callable[[], object] | None = None
        """Tells what is known so far; None while nothing was asked."""
        self._telling = threading.Lock()

    def left_s(self) -> float:
        """Seconds until the clock ends the process."""
        return max(0.0, self._since_s + self.budget_s - age_s())

    def tell(self, code: int, write_it: Callable[[], None]) -> None:
        """Write the answer, unless one was written; where that fails another one may be."""
        if not self._telling.acquire(blocking=False):
            return
        self.code = code
        try:
            write_it()
        except BaseException:
            self.code = None
            self._telling.release()
            raise

    def give_up(self) -> None:
        """Tell what is known and end the process, whatever it hangs in."""
        telling = threading.Thread(target=self._tell_known, daemon=True)
        telling.start()
        telling.join(WRITING_S)
        self.tell(EXIT_UNKNOWN, lambda: write(f"UNKNOWN: no answer in {self.budget_s:g} s\n"))
        sys.stdout.flush()
        os._exit(EXIT_UNKNOWN if self.code is None else self.code)

    def _tell_known(self) -> None:
        if self.known is not None:
            with contextlib.suppress(Exception):  # whatever it is, the process ends with an answer
                self.known()


@contextlib.contextmanager
def within(budget_s: float) -> Iterator[Ending]:
    """Ends the process after `budget_s`, whatever it hangs in: a resolver, a file system, a driver that closes.

    The seconds count from the start of a process that is this command's alone: imports are a user's time, too. In one
    that does other things (a test, a server) they count from now.
    """
    root = click.get_current_context().find_root().obj or {}
    ending = Ending(budget_s, 0.0 if root.get(WHOLE_PROCESS) else age_s())
    timer = threading.Timer(ending.left_s(), ending.give_up)
    timer.daemon = True
    timer.start()
    try:
        yield ending
    finally:
        timer.cancel()
