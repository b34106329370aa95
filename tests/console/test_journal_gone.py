"""A journal whose file system is not mounted: what was there is told, no new one is made, and the way back runs."""

from pathlib import Path

import pytest

from actions.journal.journal import Journal
from actions.journal.location import JournalLocation, journal_location
from backends.errors import BackendError
from tests.console.test_broken_journal import BLUE, GREEN
from tests.console.test_foreground import Teal
from tests.console.test_orders import written
from tests.console.test_orphan_commands import said
from tests.two_colors import TwoColors


def unmounted(mount: Path) -> Path:
    """The mount point without what is mounted there; returns where that is."""
    kept = mount.rename(mount.with_name("kept"))
    mount.mkdir()
    return kept


def mounted(mount: Path, kept: Path) -> None:
    mount.rmdir()
    kept.rename(mount)


async def identity(location: JournalLocation) -> str:
    journal = Journal(location)
    try:
        await journal.looked("c")
        return await journal.identity()
    finally:
        await journal.aclose()


async def test_the_id_that_was_seen_last_is_kept_apart_from_the_journal(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    location = journal_location(str(mount / "journal.db"), {"TEAL_STATE_DIR": str(tmp_path / "state")})
    assert not location.exists()
    first = await identity(location)
    kept = unmounted(mount)
    for empty in (False, True):
        if empty:
            (mount / "journal.db").touch()
        assert location.exists(), "or it would be passed over as one that was never made"
        with pytest.raises(BackendError) as gone:
            await identity(location)
        assert gone.value.kind == "unreachable"
        assert gone.value.message == (
            f"journal {mount / 'journal.db'}: the journal that was here ({first}) is gone, and no new one was made"
        )
        assert gone.value.fix == f"is its file system mounted? to begin a new one: rm {location.memory}"
    assert (mount / "journal.db").stat().st_size == 0
    (mount / "journal.db").unlink()
    mounted(mount, kept)
    assert await identity(location) == first
    unmounted(mount)
    assert location.memory is not None
    location.memory.unlink()
    assert await identity(location) not in ("", first)


async def test_nobody_goes_forward_without_it_and_the_way_back_runs(tmp_path: Path, service: TwoColors) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    config = written(service, "")
    config.write_text(
        config.read_text().replace("[contexts.c]\n", f'[contexts.c]\njournal = "{mount}/journal.db"\n', 1)
    )
    teal = Teal(tmp_path, config)
    code, _, err = await said(teal, "deploy", "flip", "analytics", "-y")
    assert (code, service.weights()) == (0, GREEN), err
    kept = unmounted(mount)
    code, out, _ = await said(teal, "deploy", "status")
    assert "GREEN" in out
    assert "is gone, and no new one was made" in out
    code, _, err = await said(teal, "deploy", "flip", "analytics", "--to", "blue", "-y")
    assert (code, service.weights(), "is its file system mounted?" in err) == (7, GREEN, True), err
    code, out, err = await said(teal, "deploy", "rollback", "analytics", "-y")
    assert (code, service.weights()) == (0, BLUE), (out, err)
    assert not (mount / "journal.db").exists()
    mounted(mount, kept)
    code, out, _ = await said(teal, "audit", "verify")
    assert code == 0
    assert (await teal.action())["kind"] == "rollback"
