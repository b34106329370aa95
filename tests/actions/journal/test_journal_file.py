"""The journal's file: born with the first write, private or its group's, and found where it is."""

import asyncio
import contextlib
import gc
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actions.ids import new_id, now, time_of, time_text
from actions.journal.audit import EMPTY, AuditEntry
from actions.journal.errors import how_to_move_away
from actions.journal.journal import Journal
from actions.journal.lease import is_held, owner_file, release, take
from actions.journal.location import journal_location
from actions.journal.rows import Event, StoredEvent, steps_of
from actions.journal.schema import Database
from backends.errors import BackendError
from backends.redaction import forget, learn, redacted
from tests.actions.journals import ALICE, ROOT, draft, here


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(here(tmp_path / "state"))
    yield journal
    await journal.aclose()


async def test_reading_what_is_not_there_finds_nothing_and_creates_nothing(journal: Journal) -> None:
    assert await journal.actions("test") == []
    assert await journal.open_action("test", "analytics") is None
    assert await journal.planned("test", "analytics", ("flip",)) == []
    verdict = await journal.audit_verify()
    assert (verdict.intact, verdict.records, verdict.detail) == (False, 0, EMPTY)
    assert not journal.location.directory.exists()


@pytest.mark.parametrize("what", ["journal.db", "state"])
async def test_a_link_to_what_is_not_there_is_not_taken_for_no_journal(tmp_path: Path, what: str) -> None:
    place = tmp_path / "state"
    gone = tmp_path / "not-mounted" / "x"
    if what == "journal.db":
        place.mkdir()
        gone.parent.mkdir()  # SQLite would make the file that the link names
    (place if what == "state" else place / what).symlink_to(gone)
    journal = Journal(here(place))
    with pytest.raises(BackendError, match="is a link to what is not there"):
        await journal.actions("test", open_only=True)
    await journal.aclose()
    assert not gone.exists()


async def test_a_journal_that_was_emptied_is_no_new_one(tmp_path: Path) -> None:
    place = tmp_path / "state"
    place.mkdir()
    (place / "journal.db").touch()
    journal = Journal(here(place))
    assert await journal.actions("test") == [], "nothing was ever there"
    await journal.aclose()
    owner = owner_file(place, "01ACTION")
    descriptor = take(owner)
    assert descriptor is not None
    release(descriptor, owner, ended=True)
    journal = Journal(here(place))
    with pytest.raises(BackendError, match="it is empty, and actions have run by it"):
        await journal.actions("test")
    await journal.aclose()
    assert (place / "journal.db").stat().st_size == 0


def test_nor_does_it_load_a_database_library(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from actions.gate import Gate\nfrom actions.journal.journal import Journal\n"
        "from actions.journal.location import journal_location\n"
        f"journal = Journal(journal_location(None, {{'TEAL_STATE_DIR': {str(tmp_path)!r}}}))\n"
        "assert asyncio.run(journal.actions('test')) == []\n"
        "print([name for name in ('sqlalchemy', 'alembic', 'httpx', 'textual') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_alembic_is_loaded_only_to_upgrade(tmp_path: Path) -> None:
    journal = Journal(here(tmp_path))
    await journal.audit(AuditEntry(kind="note"))
    await journal.aclose()
    script = (
        "import asyncio, sys\nfrom actions.journal.journal import Journal\n"
        "from actions.journal.location import journal_location\n"
        f"journal = Journal(journal_location(None, {{'TEAL_STATE_DIR': {str(tmp_path)!r}}}))\n"
        "assert asyncio.run(journal.audit_verify()).records == 1\nprint('alembic' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


async def test_it_is_private_durable_and_in_wal_mode(journal: Journal) -> None:
    await journal.begin(draft())
    path = journal.location.path
    assert path is not None
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    assert journal._sql is not None
    with journal._sql._database.writing() as inside:
        assert inside.exec_driver_sql("PRAGMA synchronous").scalar() == 2


async def test_a_file_that_is_no_database_is_left_as_it_is(journal: Journal) -> None:
    assert journal.location.path is not None
    journal.location.directory.mkdir()
    journal.location.path.write_text("not a database, but a diary\n" * 100)
    with pytest.raises(BackendError, match="not a database"):
        await journal.begin(draft())
    assert "diary" in journal.location.path.read_text()


async def test_what_goes_wrong_after_its_caller_has_gone_is_printed_over_no_screen(journal: Journal) -> None:
    await journal.audit(AuditEntry(kind="note"))
    said: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["message"]))
    with contextlib.closing(sqlite3.connect(journal.location.path or "", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        ordered = asyncio.create_task(journal.enqueue("A", "abort", ALICE, "", wait_s=0.2))
        await asyncio.sleep(0.05)
        ordered.cancel()
        await asyncio.gather(ordered, return_exceptions=True)
        await journal.audit_head()  # behind it
        del ordered
    gc.collect()
    assert said == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link that is another's")
@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal", "journal.db-journal"])
async def test_a_link_that_another_has_put_in_its_place_is_not_written_through(journal: Journal, name: str) -> None:
    assert journal.location.path is not None
    directory = journal.location.directory
    if name != "journal.db":
        await journal.audit(AuditEntry(kind="note"))
        await journal.aclose()
    directory.mkdir(exist_ok=True)
    target, link = directory.parent / "profile.sh", directory / name
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    os.lchown(link, 12345, 12345)
    other = Journal(journal.location)
    with pytest.raises(BackendError, match=f"{name} is a symbolic link that user 12345"):
        await other.audit(AuditEntry(kind="note"))
    await other.aclose()
    assert not target.exists()


def test_a_lock_file_tells_the_living_from_the_dead(tmp_path: Path) -> None:
    path = owner_file(tmp_path, "A")
    assert not is_held(path)
    descriptor = take(path)
    assert descriptor is not None
    assert is_held(path)
    assert take(path) is None
    release(descriptor, path, ended=False)
    assert not is_held(path)


def test_ids_sort_by_time_and_times_by_text() -> None:
    ids = [new_id() for _ in range(50)]
    assert len(set(ids)) == 50
    assert all(len(made) == 26 for made in ids)
    assert [made[:10] for made in ids] == sorted(made[:10] for made in ids)
    at = now()
    assert time_of(time_text(at)) == at
    assert time_text(at.replace(microsecond=0)) < time_text(at.replace(microsecond=1))


@pytest.mark.parametrize(
    ("configured", "env", "url", "shared"),
    [
        (None, {"TEAL_STATE_DIR": "/s"}, "sqlite:////s/journal.db", False),
        (None, {"XDG_STATE_HOME": "/x"}, "sqlite:////x/tealdeck/journal.db", False),
        (None, {"HOME": "/h"}, "sqlite:////h/.local/state/tealdeck/journal.db", False),
        ("sqlite:////j/a.db", {}, "sqlite:////j/a.db", False),
        ("postgresql+psycopg://db/teal", {"HOME": "/h"}, "postgresql+psycopg://db/teal", True),
    ],
)
def test_where_the_journal_is(
    configured: str | None, env: dict[str, str], url: str, shared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actions.journal.location.SHARED_DIR", tmp_path / "absent")
    found = journal_location(configured, env)
    assert (found.url, found.shared, found.finding is None) == (url, shared, shared)


def test_a_group_writable_setgid_directory_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o2770)
    monkeypatch.setattr("actions.journal.location.SHARED_DIR", tmp_path)
    found = journal_location(None, {"HOME": "/h"})
    assert (found.path, found.shared, found.finding) == (tmp_path / "journal.db", True, None)


@pytest.mark.parametrize(
    ("configured", "path"),
    [
        ("journal.db", "/etc/teal/journal.db"),
        ("state/j.db", "/etc/teal/state/j.db"),
        ("/srv/teal/j.db", "/srv/teal/j.db"),
        ("~/j.db", "/home/mia/j.db"),
        ("sqlite:///j.db", "/etc/teal/j.db"),
        ("sqlite:////srv/j.db", "/srv/j.db"),
    ],
)
def test_a_path_is_a_file_from_the_directory_of_the_config_on(
    configured: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/mia")
    learn(configured)  # as a reference to it does
    found = journal_location(configured, {}, Path("/etc/teal"))
    assert (found.path, found.name) == (Path(path), path)
    assert redacted(f"journal {found.name}") == f"journal {path}"


@pytest.mark.parametrize(
    ("configured", "words"),
    [
        ("mysql://db/teal", "no journal can be kept at mysql://"),
        ("sqlite://journal.db", "no journal can be kept at sqlite://"),
        ("postgresql://db:x/teal", "no URL of a database"),
        ("host=db password=hunter2hunter", "a connection string"),
        ("~nobody-of-that-name/j.db", "nobody's home"),
        (" ", "no path"),
    ],
)
def test_what_is_no_place_for_a_journal_is_said(configured: str, words: str) -> None:
    with pytest.raises(BackendError, match=words) as refused:
        journal_location(configured, {"HOME": "/h"})
    assert (refused.value.kind, bool(refused.value.fix)) == ("config", True)
    assert "hunter2" not in str(refused.value)


def test_a_name_with_a_question_mark_is_a_file_of_that_name(tmp_path: Path) -> None:
    location = journal_location("a?b.db", {}, tmp_path)
    Database(location).close()
    assert (tmp_path / "a?b.db").is_file()


def test_no_command_names_a_file_that_is_not_the_journals(tmp_path: Path) -> None:
    assert "mv /srv/j.db" in how_to_move_away("/srv/j.db")
    assert "mv " not in how_to_move_away("postgresql://db/teal")
    learn("tok-8731-abc")
    assert "mv " not in how_to_move_away("/srv/tok-8731-abc/j.db")
    forget("tok-8731-abc")


def test_a_step_that_never_ran_has_no_time() -> None:
    begun = [("preflight", "running"), ("preflight", "failed"), ("shift", "skipped")]
    begun += [("bake", "running"), ("bake", "skipped")]
    history = [
        StoredEvent(id=at, at=time_text(now()), fence=1, event=Event(step=step, kind="verdict", status=status))
        for at, (step, status) in enumerate(begun)
    ]
    assert [(step.name, step.ended_at is not None) for step in steps_of(history)] == [
        ("preflight", True), ("shift", False), ("bake", True),
    ]  # fmt: skip


async def test_a_state_directory_that_is_none_is_no_journal_without_actions() -> None:
    """Not there yet is empty; what nobody can look into is not known: it was told as "0 open"."""
    place = journal_location(None, {"TEAL_STATE_DIR": "/dev/null"})
    with pytest.raises(BackendError, match=r"/dev/null/journal\.db"):
        await Journal(place).actions("production", open_only=True)
