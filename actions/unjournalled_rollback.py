"""A rollback without a journal: run here and now over one in memory; its records go to the caller and into a file.

Without a journal forward actions stop; the way back must not wait for somebody to free a disk. What is lost is the
lease: another runner is not kept out, it sees the write and ends. So it is done by a command that waits, only.
"""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from actions.journal.audit import AuditEntry
from actions.journal.config_entry import FindEntry
from actions.journal.file_copy import in_memory
from actions.journal.journal import Journal, T
from actions.journal.late import LateFile
from actions.journal.location import FILE_NAME, JournalLocation
from actions.journal.rows import Draft
from actions.models import Action
from actions.runner import run_action
from actions.targets import Build


async def run_unjournalled(
    draft: Draft,
    audit: Sequence[AuditEntry],
    build: Build,
    own: FindEntry,
    tell: Callable[[str], None],
    *,
    late: LateFile | None = None,
) -> Action:
    """Run `draft` to its end, or to an open state that nobody goes on with; `tell` and `late` get each record of the
    audit as a line of JSON, before the effect that it tells of. Raises OSError, BackendError where not even memory has
    room."""
    with tempfile.TemporaryDirectory(prefix="teal-", dir=in_memory()) as directory:
        place = Path(directory)
        path = place / FILE_NAME
        where = JournalLocation(url=f"sqlite:///{path}", path=path, directory=place, shared=False)

        def keep(line: str) -> None:
            if late is not None:
                late.add(line)
            tell(line)

        journal = _Teller(where, keep)
        try:
            begun = await journal.begin(draft, audit=audit)
            ended = await run_action(draft.id, journal, build, own) or begun
        finally:
            await journal.aclose()
        if late is not None:
            late.end(ended)
        return ended


class _Teller(Journal):
    """A journal that tells each record of its audit as soon as it is written."""

    def __init__(self, location: JournalLocation, tell: Callable[[str], None]) -> None:
        super().__init__(location)
        self._tell = tell
        self._told_lines = 0
        self._telling = asyncio.Lock()

    async def _do(self, ask: Callable[[Any], T], *, reads: bool = False, follows: bool = False) -> T:
        done = await super()._do(ask, reads=reads, follows=follows)
        if not reads:
            async with self._telling:
                lines = await super()._do(lambda sql: sql.chain.lines(), reads=True)
                for line in lines[self._told_lines :]:
                    self._tell(line)
                self._told_lines = len(lines)
        return done
