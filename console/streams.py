"""The three standard streams of this process, made fit to be written to whatever a shell, cron or a unit left there."""

import codecs
import errno
import io
import os
import sys
from typing import TextIO, cast

from console.errors import EXIT_UNREACHABLE, CommandError
from console.symbols import fitting
from panels.words import PLAIN

LACKING = "teal-lacking"
"""The error handler of our streams: a symbol that the code page lacks is written in ASCII, a letter as `?`."""
_NAMES = ("stdin", "stdout", "stderr")


class _Out(io.FileIO):
    """A descriptor to write on. Once it is `forgiving`, what can not be written is lost and said to nobody: the reader
    has closed the pipe or the disk is full, and neither may end a command that is in the middle of an order."""

    forgiving = False

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]  # ReadableBuffer is of typeshed alone
        """Raises BrokenPipeError for a reader that has gone, CommandError for anything else."""
        try:
            return super().write(data)
        except OSError as error:
            if self.forgiving:
                return len(data)
            if isinstance(error, BrokenPipeError) or error.errno == errno.EIO:  # the reader, or the terminal, has gone
                raise
            message = f"{_NAMES[self.fileno()]} can not be written: {error.strerror}"
            raise CommandError(EXIT_UNREACHABLE, "unreachable", message, fix="see where it is redirected to") from None


def open_streams() -> None:
    """Call first in a process. Descriptors 0 to 2 that are closed are opened on the null device, or the next file that
    is opened would get one of their numbers and what is printed; stdout and stderr never fail for want of a letter."""
    codecs.register_error(LACKING, _lacking)
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, number)
            if null != number:
                os.close(null)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
    sys.stdout = _writer(1, sys.stdout)
    sys.stderr = _writer(2, sys.stderr)
    _forgive(sys.stderr)


def forgive() -> None:
    """From now on nothing that is printed can fail: what was done decides how the command ends, not who listened."""
    _forgive(sys.stdout)


def say(line: str) -> None:
    """One line on stderr."""
    sys.stderr.write(fitting(f"{line}\n", sys.stderr))


def tell(*lines: str) -> None:
    """Lines on stdout for a person, flushed."""
    sys.stdout.write(fitting("".join(f"{line}\n" for line in lines), sys.stdout))
    sys.stdout.flush()


def _forgive(stream: TextIO) -> None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    if isinstance(raw, _Out):
        raw.forgiving = True


def flush() -> int:
    """Write what is left; returns 0. Raises CommandError where it can not be written; that a reader or a terminal has
    gone is no failure at the end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, CommandError) as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # or the interpreter tries again at its end
            if isinstance(error, CommandError):
                raise
    return 0


def _writer(number: int, before: TextIO | None) -> io.TextIOWrapper:
    raw = _Out(number, "w", closefd=False)
    encoding = before.encoding if before is not None else "utf-8"
    buffered = io.BufferedWriter(cast(io.RawIOBase, raw))
    return io.TextIOWrapper(buffered, encoding, LACKING, line_buffering=number == 2 or raw.isatty())


def _lacking(error: UnicodeError) -> tuple[str, int]:
    missing = cast(UnicodeEncodeError, error)
    text = missing.object[missing.start : missing.end].translate(PLAIN)
    return "".join(char if char.isascii() else "?" for char in text), missing.end
