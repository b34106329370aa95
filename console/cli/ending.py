"""How a command ends: an exit code, one line on stderr, and a JSON document where one was asked for."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from console.cli.arguments import is_check, wants_json
from console.errors import EXIT_USAGE, CommandError
from console.streams import say
from console.zones import mend_zone

if TYPE_CHECKING:
    import click


EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
EXIT_STILL_OPEN = 8
PATIENCE_S = 1.5
LAST_WORDS_S = 1.0


class Ending:
    """How this process ends: in order where it can, and at once where a thread keeps it.

    SIGTERM goes the way of Ctrl-C, also inside: an exception that is raised where the signal finds the program is lost
    in a callback of the garbage collector (seen once in ten under load), while asyncio cancels its main task. It is
    heard once: a second one interrupted what the first had begun to close, and printed a traceback.
    """

    _when_stuck = EXIT_TERMINATED

    def __init__(self) -> None:
        self._terminated = False
        signal.signal(signal.SIGTERM, self._terminate)

    @classmethod
    def after_effect(cls) -> None:
        """From now on something was ordered, and may be under way when this process is told to end."""
        cls._when_stuck = EXIT_STILL_OPEN

    def of(self, run: Callable[[], int]) -> int:
        """The exit code of `run`. What still runs in a thread after it has a second; no signal changes the code."""
        try:
            code = run()
        except KeyboardInterrupt:
            code = EXIT_INTERRUPTED
        if self._terminated and code == EXIT_INTERRUPTED:
            code = EXIT_TERMINATED
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os._exit(code))
        _exit_in(LAST_WORDS_S, lambda: code)
        return code

    def settled(self) -> None:
        """Everything is written. What is left is Python's own end, which puts the system's handlers back: a signal
        there would replace the code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        if self._terminated:
            return
        self._terminated = True
        _exit_in(PATIENCE_S, lambda: self._when_stuck)
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt):  # a shell ignores Ctrl-C for what it runs in the background
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)


def _exit_in(seconds: float, code: Callable[[], int]) -> None:
    timer = threading.Timer(seconds, lambda: os._exit(code()))
    timer.daemon = True
    timer.start()


_ALSO_CALLED = {"--comment": "--reason", "--message": "--reason", "--duration": "--for", "--force": "--override"}
"""What other tools call our options; the nearest spelling would be another one."""


def run_command(command: "click.Command", arguments: list[str] | None = None, obj: dict[str, Any] | None = None) -> int:
    """Run `command`, which finds `obj` in its context, and return its exit code; nothing gets past this."""
    import click

    def run() -> int:
        try:
            result = command.main(arguments, standalone_mode=False, obj=obj)
        except click.exceptions.Exit as ending:
            return ending.exit_code
        except click.Abort:
            return EXIT_INTERRUPTED
        except SystemExit:  # click's word for a pipe whose reader has gone; we raise none in a command
            return 0
        except click.NoSuchOption as error:
            meant = _ALSO_CALLED.get(error.option_name)
            words = (
                f"No such option '{error.option_name}'. Did you mean '{meant}'?" if meant else error.format_message()
            )
            raise _wrong_call(words, error, arguments) from None
        except click.ClickException as error:
            raise _wrong_call(error.format_message(), error, arguments) from None
        return result if isinstance(result, int) else 0

    return ended(run)


def _wrong_call(words: str, error: "click.ClickException", arguments: list[str] | None) -> CommandError:
    """Of a check it is unknown, which a monitor is told on stdout: there 2 would be critical, and page somebody."""
    given = sys.argv[1:] if arguments is None else arguments
    if not is_check(given):
        return CommandError(EXIT_USAGE, "usage", words, fix=_help_of(error))
    from console.printing.check_output import EXIT_OF_HEALTH, write

    if not any(word.startswith(("-o", "--output")) for word in given):
        write(f"UNKNOWN: {_said(words)}\n")
    return CommandError(EXIT_OF_HEALTH["unknown"], "usage", words, fix="teal check --help")


def _help_of(error: "click.ClickException") -> str:
    context = getattr(error, "ctx", None)
    return f"`{context.command_path} --help`" if context else ""


def ended(run: Callable[[], int]) -> int:
    """What `run` returns, or the exit code of what it raised, said in one line."""
    try:
        mend_zone()
        return run()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return 0
    except Exception as error:
        return say_why(error)


def say_why(error: Exception) -> int:
    """Say in one line what went wrong, and return its exit code; a defect leaves a crash file."""
    from backends.errors import BackendError
    from console.errors import exit_code_of

    if isinstance(error, CommandError):
        return _say(error.exit_code, error.kind, error.message, error.fix)
    if isinstance(error, BackendError):
        return _say(exit_code_of(error.kind), error.kind, error.message, error.fix)
    from actions.models import Refused

    if isinstance(error, Refused):
        return _say(error.exit_code, error.error.kind, error.error.message, error.error.fix)
    from console.crash import of_defect

    told = of_defect(error)
    return _say(told.exit_code, told.kind, told.message, told.fix)


def _said(text: str) -> str:
    """`text` without what would drive the terminal, and without the secrets of URLs, whatever arguments it quotes."""
    from backends.literals import without_url_secrets
    from backends.redaction import redacted
    from backends.text import clean

    return "\n".join(clean(line) for line in without_url_secrets(redacted(text)).split("\n"))


def _say(code: int, kind: str, message: str, fix: str) -> int:
    from backends.text import with_fix

    message, fix = _said(message), _said(fix)
    say(f"teal: {with_fix(message, fix)}")
    if wants_json(sys.argv[1:]):
        from console.printing.output import failure_document, print_json

        with contextlib.suppress(OSError):  # stdout may be what failed
            print_json(failure_document(kind, message, fix))
    return code
