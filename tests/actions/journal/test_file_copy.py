"""A copy of the journal is read, and the journal itself is none the worse for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from actions.journal import file_copy
from actions.journal.audit import AuditEntry
from actions.journal.errors import JournalError
from actions.journal.file_copy import copied
from actions.journal.journal import Journal
from actions.journal.location import JournalLocation
from tests.actions.journals import ROOT, here

OTHER = """
import asyncio, sys
from pathlib import Path
from actions.journal.audit import AuditEntry
from actions.journal.journal import Journal
from tests.actions.journals import here

async def write():
    journal = Journal(here(Path(sys.argv[1])))
    await journal.audit(AuditEntry(kind="note", detail="theirs"))
    await journal.aclose()

asyncio.run(write())
"""


async def details(journal: Journal) -> list[str]:
    return [record.detail for record in await journal.audit_records()]


async def test_who_has_it_open_keeps_its_locks_when_it_is_copied(tmp_path: Path) -> None:
    """Without them the next who closes it takes it to be alone, and deletes the log that others go on to write."""
    mine = Journal(here(tmp_path))
    await mine.audit(AuditEntry(kind="note", detail="mine"))
    async with copied(mine.location) as copy:
        assert await details(copy) == ["mine"]
    subprocess.run([sys.executable, "-c", OTHER, str(tmp_path)], cwd=ROOT, check=True)
    assert await details(mine) == ["mine", "theirs"]
    await mine.audit(AuditEntry(kind="note", detail="mine again"))
    fresh = Journal(here(tmp_path))
    assert await details(fresh) == ["mine", "theirs", "mine again"]
    await fresh.aclose()
    await mine.aclose()


async def test_a_disk_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Journal(here(tmp_path))
    await mine.audit(AuditEntry(kind="note", detail="mine"))
    await mine.aclose()
    hangs = tmp_path / "bin" / "cp"
    hangs.parent.mkdir()
    hangs.write_text("#!/bin/sh\nexec sleep 600\n")
    hangs.chmod(0o755)
    monkeypatch.setenv("PATH", str(hangs.parent), prepend=os.pathsep)
    monkeypatch.setattr(file_copy, "COPY_TIMEOUT_S", 0.2)
    with pytest.raises(JournalError, match="not copied in"):
        async with copied(mine.location):
            pass


async def test_what_can_not_be_copied_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.symlink_to(tmp_path / "nothing")
    with pytest.raises(JournalError) as caught:
        async with copied(JournalLocation(f"sqlite:///{path}", path, tmp_path, False)):
            pass
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
