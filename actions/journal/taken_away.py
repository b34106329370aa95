"""A journal whose file is taken away, or replaced, while a runner works by it.

The runner goes on in the file that it has open, which nobody else can read any more; so each of its records is kept in
one of its own, too, before the effect that it tells of, as where there was no journal at all (`actions.journal.late`).
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from actions.journal.errors import NO_SENSE, JournalError
from actions.journal.late import LateFile, Stray, named, places, strays
from actions.journal.location import JournalLocation
from backends.command_line import command
from backends.errors import BackendError

if TYPE_CHECKING:
    from actions.journal.sql import SqlJournal

TAKEN_AWAY = "its file was taken away, or replaced, while it was in use"


class Records:
    """Those of one action that is at work, on the thread of its journal."""

    def __init__(
        self, location: JournalLocation, action_id: str, env: Mapping[str, str], tell: Callable[[str], None]
    ) -> None:
        """`tell` is told once, in words, that the journal is not there any more, and where the records are."""
        self._location, self._action_id, self._env, self._tell = location, action_id, env, tell
        self._late: LateFile | None = None
        self._kept = 0

    def look(self, sql: "SqlJournal") -> None:
        """Whether the file is there; where it is not, all records so far are kept from now on."""
        if self._late is None and not sql.is_there():
            with contextlib.suppress(BackendError, *NO_SENSE):  # tried again with the next look
                draft = sql.draft(self._action_id)
                self._late = LateFile(places(self._location, self._env), self._location.name, draft)
                self.keep(sql)
                self._tell(f"journal {self._location.name}: {TAKEN_AWAY}: {named(self._late)}")

    def keep(self, sql: "SqlJournal") -> None:
        """What was recorded since."""
        if self._late is not None:
            with contextlib.suppress(BackendError, *NO_SENSE):  # what is not kept yet is with the next one
                for line in sql.chain.lines_of(self._action_id)[self._kept :]:
                    self._late.add(line)
                    self._kept += 1

    def end(self, sql: "SqlJournal", context: str) -> None:
        """Its runner ends: the file is free to be added to the next journal of that name."""
        if self._late is not None:
            with contextlib.suppress(BackendError, *NO_SENSE):  # who adds it sees how far it came
                for action in sql.action(context, self._action_id):
                    self._late.end(action)


def refuse_stray(location: JournalLocation, env: Mapping[str, str]) -> None:
    """Raises JournalError where a runner lives that this journal is not told by: who acts is not in it."""
    for stray in strays(location, env):
        raise JournalError("unreachable", _words(location, stray), fix=_fix(stray))


def _words(location: JournalLocation, stray: Stray) -> str:
    return (
        f"journal {location.name}: {TAKEN_AWAY}: {stray.action} on {stray.service} runs, and is not in it; "
        f"its records are in {stray.path}"
    )


def _fix(stray: Stray) -> str:
    return f"wait until it has ended, then any command adds them; or {command('deploy rollback', stray.service)}"
