"""The detached runner of one action: `python -P -m console.runner ACTION_ID`, in a process session of its own.

It outlives the console, the SSH connection and Ctrl-C. What it is to do is in the journal (whose place comes by the
environment, since an argument can be read by every user), how to do it in its own config: addresses, commands and
references of secrets are never taken from a row of the journal.
"""

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from functools import partial
from pathlib import Path

from actions.journal.config_entry import FindEntry
from actions.journal.journal import Journal
from actions.journal.lease import handed_over, leave_behind, owner_file, why_ended
from actions.journal.location import JournalLocation, journal_location
from actions.runner import run_action
from actions.targets import described
from backends.command_line import PLACE_VARIABLE, set_place
from backends.errors import BackendError
from backends.files import is_own_directory, open_plain
from backends.redaction import redacted
from backends.text import clean
from console.config.selection import select
from console.config_targets import ConfigTargets
from console.errors import CommandError
from console.paths import state_dir
from console.reading.adapters import Adapters
from console.runners import (
    CONFIG_VARIABLE,
    CONTEXT_VARIABLE,
    DIGEST_VARIABLE,
    JOURNAL_VARIABLE,
    LOCK_VARIABLE,
    build_described,
)


async def run_in_process(
    action_id: str, location: JournalLocation, own: FindEntry, digest: str, lock: int = -1
) -> None:
    """Run an action to its end with a journal of its own. Raises BackendError."""
    journal, ended = Journal(location), False
    try:
        await run_action(action_id, journal, build_described, own, digest=digest, lock=lock)
        ended = True
    finally:
        await journal.aclose(wait=ended)  # one that does not answer would keep it from saying why it ends


async def _run(action_id: str, location: JournalLocation, config: str, context: str, digest: str, lock: int) -> None:
    """With the entries of a config as they are now. Raises BackendError, CommandError."""
    found = select(config, context).context
    set_place(os.environ.pop(PLACE_VARIABLE, ""))  # commands that it prints are those of who started it
    adapters = Adapters(found)
    try:
        await run_in_process(action_id, location, partial(described, ConfigTargets(found, adapters)), digest, lock)
    finally:
        await adapters.aclose()


def main() -> int:
    """Forks: the parent says 0 that the runner has started; what becomes of it is in the journal, or in a log file."""
    if len(sys.argv) != 2 or not {JOURNAL_VARIABLE, CONFIG_VARIABLE, CONTEXT_VARIABLE} <= os.environ.keys():
        names = f"{JOURNAL_VARIABLE}=URL {CONFIG_VARIABLE}=FILE {CONTEXT_VARIABLE}=NAME"
        sys.stderr.write(f"usage: {names} python -P -m console.runner ACTION_ID\n")
        return 2
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    action_id = sys.argv[1]
    journal, config, context = map(os.environ.pop, (JOURNAL_VARIABLE, CONFIG_VARIABLE, CONTEXT_VARIABLE))
    digest, lock = os.environ.pop(DIGEST_VARIABLE, ""), int(os.environ.pop(LOCK_VARIABLE, "-1"))
    directory = None
    try:
        location = journal_location(journal, os.environ)
        directory = location.directory
        asyncio.run(_run(action_id, location, config, context, digest, lock))
    except Exception as error:
        _write_down(directory, action_id, error)
        if directory is not None:
            if handed_over(lock, owner_file(directory, action_id)):  # it failed before it took that over
                os.close(lock)
            leave_behind(directory, action_id, why_ended(error))
        return 1
    return 0


def _write_down(directory: Path | None, action_id: str, error: Exception) -> None:
    """A file that only its owner may read; an expected error is one line, anything else its whole trace. Where the
    journal has no place, or others may write beside it, it is in the user's own state directory."""
    if isinstance(error, BackendError | CommandError):
        lines = [f"{error.kind}: {error.message} ({error.fix})"]
    else:
        lines = redacted("".join(traceback.format_exception(error))).splitlines()
    text = "".join(f"{clean(redacted(line))}\n" for line in lines)
    with contextlib.suppress(OSError):  # without room nothing more can be said
        place = (directory if directory and is_own_directory(directory) else state_dir()) / "runner"
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_own_directory(place):
            descriptor = open_plain(place / f"{os.path.basename(action_id)}.log", os.O_WRONLY | os.O_APPEND)
            with open(descriptor, "a", encoding="utf-8") as stream:
                stream.write(text)


if __name__ == "__main__":
    sys.exit(main())
