"""A rollback while the journal has no room: run here and now over a journal in memory, its audit given to the caller.

Research §5.16, C14: forward actions stop; the way back must not wait for somebody to free a disk. What is lost is the
lease: another runner can not be kept out, so it is done only where no action is open, and by a command that waits.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from actions.audit import AuditEntry
from actions.journal import Journal
from actions.location import FILE_NAME, JournalLocation
from actions.models import Action
from actions.rows import Draft
from actions.runner import run_action
from actions.targets import Build

MEMORY = Path("/dev/shm")


async def run_unjournalled(
    draft: Draft, audit: Sequence[AuditEntry], build: Build, tell: Callable[[str], None]
) -> Action:
    """Run `draft` to its end, or to an open state that nobody goes on with; `tell` gets each record of the audit as a
    line of JSON. Raises OSError, BackendError where not even memory has room."""
    with tempfile.TemporaryDirectory(prefix="teal-", dir=_memory()) as directory:
        place = Path(directory)
        path = place / FILE_NAME
        journal = Journal(JournalLocation(url=f"sqlite:///{path}", path=path, directory=place, shared=False))
        try:
            begun = await journal.begin(draft, audit=audit)
            ended = await run_action(draft.id, journal, build)
            for line in await journal.audit_lines():
                tell(line)
        finally:
            await journal.aclose()
        return ended or begun


def _memory() -> Path | None:
    """A file system that no full disk concerns, where the host has one."""
    return MEMORY if MEMORY.is_dir() else None
