"""The journal under a full disk, a kill at any moment, and a file that was damaged."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from actions.journal.audit import AuditEntry
from actions.journal.errors import JournalFull
from actions.journal.journal import Journal
from actions.journal.lease import Lease
from actions.journal.rows import Draft, Event
from actions.models import Action, Refused
from actions.unjournalled_rollback import run_unjournalled
from backends.errors import BackendError
from console.runners import build_described
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.actions.journals import ROOT, begun, draft, here
from tests.two_colors import TwoColors

SEED = int(os.environ.get("TEAL_CHAOS_SEED", "20261126"))
KILLS = 12
WRITER = """
import asyncio, sys
import alembic.command, sqlalchemy.dialects.sqlite
from pathlib import Path
from actions.journal.audit import AuditEntry
from actions.journal.journal import Journal
from tests.actions.journals import here

async def write():
    journal = Journal(here(Path(sys.argv[1])))
    print("begins", flush=True)
    for number in range(10000):
        await journal.audit(AuditEntry(kind="note", detail=str(number)))
        print(number, flush=True)

asyncio.run(write())
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes; skipped where none may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True, check=False
    )  # fmt: skip
    if mounted.returncode != 0:
        pytest.skip("no file system may be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    filler = place / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 4096)
    return filler


async def many_notes(journal: Journal) -> None:
    for _ in range(100):  # what is left of the last page may hold a record
        await journal.audit(AuditEntry(kind="note", detail="x" * 500))


async def many_intents(journal: Journal, hold: Lease) -> None:
    for _ in range(1000):
        await journal.write(hold, Event(step="shift", kind="intent", detail="x" * 2000))


async def use(journal: Journal) -> None:
    for ask in (journal.audit_records, journal.audit_verify):
        await ask()
    await journal.begin(draft(), audit=[AuditEntry(kind="command")])


async def test_on_a_full_disk_nothing_is_begun_and_nothing_moves(small_disk: Path, tmp_path: Path) -> None:
    async with TwoColors(tmp_path) as service, House(small_disk / "state", service) as house:
        await house.journal.audit(AuditEntry(kind="note"))
        plan = await house.gate.plan(ANALYTICS_FLIP)
        filler = fill(small_disk)
        with pytest.raises(JournalFull, match="no space is left") as caught:
            await many_notes(house.journal)
        assert caught.value.kind == "unreachable"  # exit 7, before any effect
        with pytest.raises(Refused, match="no space is left"):
            await house.gate.submit(plan, YES)
        assert service.weights() == {"blue": 100, "green": 0}
        filler.unlink()
        assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"
        assert (await house.gate.verify_audit()).intact


async def test_on_a_full_disk_the_way_back_is_open_and_tells_its_audit(small_disk: Path, tmp_path: Path) -> None:
    told: list[str] = []

    async def without(draft: Draft, audit: list[AuditEntry]) -> Action:
        return await run_unjournalled(draft, audit, build_described, house.gate.own, told.append)

    async with TwoColors(tmp_path) as service, House(small_disk / "state", service) as house:
        assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"
        plan = await house.gate.plan(ANALYTICS_ROLLBACK)
        filler = fill(small_disk)
        with pytest.raises(JournalFull):
            await many_notes(house.journal)
        with pytest.raises(JournalFull):
            await house.gate.submit(plan, YES)
        assert service.weights() == {"blue": 0, "green": 100}
        back = await house.gate.submit(plan, YES, without_journal=without)
        assert (back.status, service.weights()) == ("succeeded", {"blue": 100, "green": 0})
        kinds = [msgspec.json.decode(msgspec.json.decode(line)["text"])["kind"] for line in told]
        assert [kinds[0], kinds[-1]] == ["command", "result"]
        assert {"intent", "observed"} <= set(kinds)
        filler.unlink()
        assert (await house.gate.verify_audit()).intact


async def test_on_a_full_disk_the_way_back_is_open_while_an_action_is(small_disk: Path, tmp_path: Path) -> None:
    """Its runner may live or be dead: it can not be ordered back, and is not waited for."""

    async def without(draft: Draft, audit: list[AuditEntry]) -> Action:
        return await run_unjournalled(draft, audit, build_described, house.gate.own, lambda _: None)

    async with TwoColors(tmp_path) as service, House(small_disk / "state", service, bake="60s") as house:
        opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        await house.reaches(opened, "bake")
        await house.kill_runner()
        fill(small_disk)
        with contextlib.suppress(JournalFull):
            await many_notes(house.journal)
        again = Journal(house.location)
        house.gate.journal = again
        back = await house.gate.submit(await house.gate.plan(ANALYTICS_ROLLBACK), YES, without_journal=without)
        assert (back.status, service.weights()) == ("succeeded", {"blue": 100, "green": 0})
        assert any(str(opened.id) in finding.text for finding in back.findings)
        await again.aclose()


async def test_where_there_is_room_to_begin_and_none_for_the_runner_it_goes_back_here(
    small_disk: Path, tmp_path: Path
) -> None:
    async def without(draft: Draft, audit: list[AuditEntry]) -> Action:
        return await run_unjournalled(draft, audit, build_described, house.gate.own, lambda _: None)

    async with TwoColors(tmp_path) as service, House(small_disk / "state", service) as house:
        assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"

        async def starts_in_vain(*_: str) -> None:
            fill(small_disk)
            with contextlib.suppress(JournalFull):
                await many_notes(house.journal)

        plan = await house.gate.plan(ANALYTICS_ROLLBACK)
        back = await house.gate.submit(plan, YES, launch=starts_in_vain, without_journal=without)
        assert (back.status, service.weights()) == ("succeeded", {"blue": 100, "green": 0})


async def test_a_full_disk_is_not_waited_for_before_an_effect(small_disk: Path) -> None:
    journal = Journal(here(small_disk / "state"))
    hold = await begun(journal)
    fill(small_disk)
    with pytest.raises(JournalFull):
        await asyncio.wait_for(many_intents(journal, hold), 20)
    await journal.aclose()


def test_killed_at_any_moment_it_is_whole_and_holds_what_it_said(tmp_path: Path) -> None:
    """Kills fall into the migration (the file is new each third time) and into the writes."""
    chance = random.Random(SEED)
    for kill in range(KILLS):
        directory = tmp_path / f"{kill // 3}"
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(directory)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )  # fmt: skip
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begins\n"
        with contextlib.suppress(subprocess.TimeoutExpired):
            writer.wait(chance.uniform(0.0, 0.4))
        writer.send_signal(signal.SIGKILL)
        said = [line for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        writer.wait()
        writer.stdout.close()
        kept, verdict = asyncio.run(read(directory))
        assert verdict or not (said or kept), f"seed {SEED}, kill {kill}"  # no record is no chain that holds
        assert {line.strip() for line in said} <= set(kept), f"seed {SEED}, kill {kill}"


async def read(directory: Path) -> tuple[list[str], bool]:
    journal = Journal(here(directory))
    try:
        records = await journal.audit_records()
        return [record.detail for record in records], (await journal.audit_verify()).intact
    finally:
        await journal.aclose()


@pytest.mark.parametrize("damage", ["truncated", "middle", "header", "emptied"])
async def test_a_damaged_file_gives_one_line(tmp_path: Path, damage: str) -> None:
    journal = Journal(here(tmp_path / "state"))
    for number in range(200):
        await journal.audit(AuditEntry(kind="note", detail=f"{number} {'x' * 300}"))
    await journal.aclose()
    path = journal.location.path
    assert path is not None
    whole = path.read_bytes()
    damaged = {
        "truncated": whole[: len(whole) // 2],
        "middle": whole[:8192] + b"\xff" * (len(whole) - 12288) + whole[-4096:],
        "header": b"\x00" * 512 + whole[512:],
        "emptied": b"",
    }[damage]
    path.write_bytes(damaged)
    again = Journal(here(tmp_path / "state"))
    if damage == "emptied":  # that is no journal yet, and the next write begins one
        assert await again.audit_records() == []
        await again.begin(draft())
    else:
        with pytest.raises(BackendError) as caught:
            await use(again)
        assert str(path) in caught.value.message
        assert "\n" not in f"{caught.value.message}{caught.value.fix}"
        assert caught.value.fix
    await again.aclose()
