"""A clock that no program can count with: 64 bits of nanoseconds end in 2262, and Python refuses what comes after."""

import sys
import time

from console.cli.arguments import is_check
from console.errors import EXIT_REFUSED, EXIT_UNREACHABLE


def unusable() -> int:
    """The exit code where the clock of this host is such a one, which is said in one line; else 0. The modules of the
    standard library that a JSON document needs can not even be loaded then."""
    try:
        time.time()
    except OverflowError:
        sys.stderr.write("teal: the clock of this host says a year after 2262 (set it, as with `timedatectl`)\n")
        return EXIT_REFUSED if is_check(sys.argv[1:]) else EXIT_UNREACHABLE  # a monitor takes 3 for unknown
    return 0
