"""How a command ends: an exit code, one line on stderr, and a JSON document where one was asked for."""

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

from console.errors import EXIT_USAGE, CommandError

if TYPE_CHECKING:
    import click

EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class Sigterm:
    """SIGTERM ends a command the way Ctrl-C does: what is open is closed, and the exit code says which it was.

    It goes the way of Ctrl-C also inside: an exception that is raised where the signal finds the program is lost in a
    callback of the garbage collector (seen once in ten under load), while asyncio cancels its main task.
    """

    def __init__(self) -> None:
        self._came = False
        signal.signal(signal.SIGTERM, self._end)

    def code(self, code: int) -> int:
        """The exit code of what ended with `code`."""
        return EXIT_TERMINATED if self._came and code == EXIT_INTERRUPTED else code

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt):  # a shell ignores Ctrl-C for what it runs in the background
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)


def run_command(command: "click.Command", arguments: list[str] | None = None) -> int:
    """Run `command` and return its exit code; nothing gets past this."""
    import click

    def run() -> int:
        try:
            result = command.main(arguments, standalone_mode=False)
        except click.exceptions.Exit as ending:
            return ending.exit_code
        except click.Abort:
            return EXIT_INTERRUPTED
        except SystemExit:  # click's word for a pipe whose reader has gone; we raise none in a command
            return 0
        except click.ClickException as error:
            raise CommandError(EXIT_USAGE, "usage", error.format_message(), fix=_help_of(error)) from None
        return result if isinstance(result, int) else 0

    return ended(run)


def _help_of(error: "click.ClickException") -> str:
    context = getattr(error, "ctx", None)
    return f"`{context.command_path} --help`" if context else ""


def ended(run: Callable[[], int]) -> int:
    """What `run` returns, or the exit code of what it raised, said in one line."""
    try:
        return run()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return 0
    except CommandError as error:
        return _say(error.exit_code, error.kind, error.message, error.fix)
    except Exception as error:
        return _unexpected(error)


def _unexpected(error: Exception) -> int:
    from backends.errors import BackendError
    from console.errors import exit_code_of

    if isinstance(error, BackendError):
        return _say(exit_code_of(error.kind), error.kind, error.message, error.fix)
    from actions.models import Refused

    if isinstance(error, Refused):
        return _say(error.exit_code, error.error.kind, error.error.message, error.error.fix)
    from console.crash import write_crash_file

    path = write_crash_file(error)
    return _say(EXIT_INTERNAL, "internal", f"{type(error).__name__}: this is a defect", f"report it with {path}")


def _say(code: int, kind: str, message: str, fix: str) -> int:
    sys.stderr.write(f"teal: {message}" + (f" ({fix})" if fix else "") + "\n")
    if _wants_json(sys.argv[1:]):
        from console.output import failure_document, print_json

        print_json(failure_document(kind, message, fix))
    return code


def _wants_json(arguments: list[str]) -> bool:
    """Asked of the raw arguments, since the failure may be that they do not parse."""
    joined = " ".join(arguments)
    return any(form in f"{joined} " for form in ("-o json ", "--output json ", "-ojson ", "--output=json "))
