"""The way back while the journal is broken in every way, and what becomes of its records when it is mended."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from actions.ids import time_of
from actions.journal.audit import AuditEntry
from actions.journal.errors import JournalError
from actions.journal.journal import Journal
from actions.journal.late import LateFile, add_late, places
from actions.journal.location import JournalLocation, journal_location
from actions.journal.rows import Draft
from actions.models import Action, Finding, Plan, Refused, Request
from actions.switching.by_mark import back_by_mark
from actions.switching.changes import Change, way_back
from actions.switching.unjournalled_plan import RUNNER_LIVES
from actions.telling import outcome, way
from actions.unjournalled_rollback import run_unjournalled
from backends.ports import SwitchState
from console.runners import build_described
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.actions.orders.test_orders import in_phase
from tests.chaos.test_journal import fill
from tests.live.postgres import PostgresServer
from tests.own_time import Watch
from tests.two_colors import TwoColors

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}
ENV: dict[str, str] = {}


class Unjournalled:
    """What the command line does: runs it here, and keeps what it tells."""

    def __init__(self, house: House) -> None:
        self.location = house.location
        self.own = house.gate.own
        self.told: list[str] = []
        self.late: LateFile | None = None
        self.findings: tuple[Finding, ...] = ()

    async def __call__(self, draft: Draft, audit: list[AuditEntry]) -> Action:
        self.findings = draft.plan.findings
        self.late = LateFile(places(self.location, ENV), self.location.name, draft)
        return await run_unjournalled(draft, audit, build_described, self.own, self.told.append, late=self.late)

    @property
    def kinds(self) -> list[str]:
        return [msgspec.json.decode(msgspec.json.decode(line)["text"])["kind"] for line in self.told]


@contextlib.contextmanager
def damaged(path: Path, change: Callable[[bytes], bytes]) -> Iterator[None]:
    whole = path.read_bytes()
    path.write_bytes(change(whole))
    yield
    path.write_bytes(whole)


@contextlib.contextmanager
def locked(path: Path, *statements: str) -> Iterator[None]:
    other = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        other.execute(statement)
    yield
    other.close()


@contextlib.contextmanager
def newer(path: Path) -> Iterator[None]:
    def set_to(version: str, oldest_writer: str) -> None:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("UPDATE alembic_version SET version_num = ?", [version])
            other.execute("UPDATE identity SET oldest_writer = ?", [oldest_writer])

    with contextlib.closing(sqlite3.connect(path)) as other:
        found = other.execute("SELECT version_num, oldest_writer FROM alembic_version, identity").fetchone()
    set_to("9999", "9999")
    yield
    set_to(*found)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[None]:
    aside = path.rename(path.with_name("aside"))
    path.mkdir()
    yield
    path.rmdir()
    aside.rename(path)


@contextlib.contextmanager
def mounted(path: Path, *, then: Callable[[Path], None]) -> Iterator[None]:
    """The journal's directory as a file system of one megabyte, after `then`."""
    kept = path.parent.with_name("kept")
    shutil.copytree(path.parent, kept)
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path.parent)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        shutil.rmtree(kept)
        pytest.skip("no file system may be mounted here")
    shutil.copytree(kept, path.parent, dirs_exist_ok=True)
    then(path.parent)
    yield
    subprocess.run(["umount", "-l", str(path.parent)], check=True)
    shutil.rmtree(kept)


def read_only(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)


def full(place: Path) -> None:
    fill(place)
    assert os.statvfs(place).f_bavail == 0


BROKEN: dict[str, Callable[[Path], contextlib.AbstractContextManager[None]]] = {
    "no header": lambda path: damaged(path, lambda whole: b"\x00" * 512 + whole[512:]),
    "diary": lambda path: damaged(path, lambda _: b"not a database, but a diary\n" * 100),
    "truncated": lambda path: damaged(path, lambda whole: whole[: len(whole) // 2]),
    "middle": lambda path: damaged(path, lambda whole: whole[:4096] + b"\xff" * (len(whole) - 4096)),
    "text in rows": lambda path: damaged(path, lambda whole: whole.replace(b'{"', b'{{')),
    "newer": newer,
    "directory": replaced,
    "locked": lambda path: locked(path, "BEGIN EXCLUSIVE"),
    "locked for readers": lambda path: locked(path, "PRAGMA locking_mode=EXCLUSIVE", "BEGIN EXCLUSIVE"),
    "full": lambda path: mounted(path, then=full),
    "read-only": lambda path: mounted(path, then=read_only),
}  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the records go if there is no room beside the journal."""
    place = tmp_path / "runtime"
    place.mkdir()
    monkeypatch.setitem(ENV, "XDG_RUNTIME_DIR", str(place))
    return place


async def flipped(tmp_path: Path, service: TwoColors) -> Path:
    """A journal that knows a flip to green, and nobody has open."""
    async with House(tmp_path / "state", service) as house:
        assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"
    path = house.location.path
    assert path is not None
    return path


@pytest.mark.parametrize("how", BROKEN)
async def test_it_goes_back_and_the_journal_learns_it_when_it_is_mended(
    tmp_path: Path, service: TwoColors, how: str
) -> None:
    path = await flipped(tmp_path, service)
    with BROKEN[how](path):
        async with House(tmp_path / "state", service) as house:
            without_journal = Unjournalled(house)
            watch = Watch()
            plan = await house.gate.plan(ANALYTICS_ROLLBACK)
            back = await house.gate.submit(plan, YES, without_journal=without_journal)
            took_s = watch.seconds()
            assert (back.status, service.weights()) == ("succeeded", BLUE)
            assert took_s < 15, took_s
            assert [without_journal.kinds[0], without_journal.kinds[-1]] == ["command", "result"]
            assert {"intent", "observed"} <= set(without_journal.kinds)
            assert without_journal.late is not None
            assert without_journal.late.path is not None
            assert without_journal.late.path.stat().st_mode & 0o777 == 0o600
            again = await house.gate.submit(
                await house.gate.plan(ANALYTICS_ROLLBACK), YES, without_journal=without_journal
            )
            assert (again.status, again.changed, service.weights()) == ("succeeded", False, BLUE)
    async with House(tmp_path / "state", service) as house:
        for expected in ([back.id], []):
            assert await add_late(house.journal, "test", ENV) == expected
        assert not without_journal.late.path.exists()
        late = [record for record in await house.gate.audit_records() if record.late]
        assert [record.kind for record in late] == without_journal.kinds
        assert all(record.happened_at < record.at and record.action == back.id for record in late)
        assert all(record.done_at == time_of(record.happened_at) for record in late)
        assert (await house.gate.verify_audit()).intact
        kept = await house.gate.action(str(back.id))
        assert (kept.status, kept.changed, {step.status for step in kept.steps}) == ("succeeded", True, {"succeeded"})
        assert (await house.order(ANALYTICS_ROLLBACK)).changed is False


@pytest.mark.parametrize("how", ["diary", "locked", "full", "directory"])
async def test_only_the_way_back_goes_on_and_a_console_names_the_command(
    tmp_path: Path, service: TwoColors, how: str
) -> None:
    path = await flipped(tmp_path, service)
    with BROKEN[how](path):
        async with House(tmp_path / "state", service) as house:
            plan = await house.gate.plan(ANALYTICS_ROLLBACK)
            with pytest.raises(JournalError) as caught:
                await house.gate.submit(plan, YES)
            assert caught.value.fix == "teal deploy rollback analytics -y does it without the journal"
            with pytest.raises(JournalError):
                await house.gate.submit(await house.gate.plan(Request(kind="flip", service="analytics")), YES)
            assert service.weights() == GREEN
            if how in ("diary", "directory"):
                assert path.is_dir() or b"diary" in path.read_bytes()


@pytest.mark.parametrize("how", ["locked", "directory"])
async def test_a_living_runner_is_told_of_and_kept_from_nothing(tmp_path: Path, service: TwoColors, how: str) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        opened = await in_phase(house, "bake")
        path = house.location.path
        assert path is not None
        with BROKEN[how](path):
            async with House(tmp_path / "state", service) as other:
                without_journal = Unjournalled(other)
                plan = await other.gate.plan(ANALYTICS_ROLLBACK)
                back = await other.gate.submit(plan, YES, without_journal=without_journal)
                assert (back.status, service.weights()) == ("succeeded", BLUE)
                texts = " ".join(finding.text for finding in back.findings)
                assert f"the runner of {opened.id} lives, which wrote the switch last" in texts
                written = service.switch.read_bytes()
        ended = await house.ended(opened)
        assert (ended.status, service.switch.read_bytes()) == ("conflict", written)


def state(live: dict[str, int], stamp: str) -> SwitchState:
    """With the id of a journal, which programs since 0.2 write, unless it says that it is an older one's."""
    stamp, _, old = stamp.partition(" ")
    return SwitchState(weights=live, revision="r", stamp=stamp, journal="" if old else "J")


SPLIT = {"blue": 75, "green": 25}


@pytest.mark.parametrize(
    ("weights", "stamp", "to", "already"),
    [
        (GREEN, "A:shift", "blue", False),
        (GREEN, "A:shift old", "", False),
        (GREEN, "A:shift[100] old", "blue", False),
        (GREEN, "A:shift[100]", "blue", False),
        (BLUE, "A:shift[100]", "green", False),
        (SPLIT, "A:shift[25]", "blue", False),
        ({"blue": 25, "green": 75}, "A:shift[25]", "green", False),
        ({"blue": 50, "green": 50}, "A:shift[50]", "", False),
        (SPLIT, "A:shift[10]", "", False),
        (BLUE, "A:shift-back", "", True),
        (SPLIT, "A:shift-back", "", False),
        (GREEN, "hand", "", False),
        (GREEN, "", "", False),
        (GREEN, "A:retire", "", False),
    ],
)
def test_the_mark_says_where_back_is_or_nothing(weights: dict[str, int], stamp: str, to: str, already: bool) -> None:
    back = back_by_mark(state(weights, stamp), ("blue", "green"))
    assert (back.to, back.already) == (to, already)
    assert "mark" in back.why
    three = back_by_mark(state({**weights, "red": 0}, stamp), ("blue", "green", "red"))
    assert three.to == ""


@pytest.mark.parametrize(
    ("weights", "stamp", "wrote", "to", "already"),
    [
        (GREEN, "A:shift", GREEN, "blue", False),
        (SPLIT, "A:shift", GREEN, "blue", False),  # somebody has made a split of it
        (BLUE, "A:shift", GREEN, "", True),  # somebody has taken it back: GREEN is the side that was bad
        (BLUE, "A:shift", BLUE, "green", False),
        (BLUE, "A:shift[100]", GREEN, "", True),
        (SPLIT, "A:shift[25]", SPLIT, "blue", False),
        ({"blue": 25, "green": 75}, "A:shift[25]", SPLIT, "blue", False),  # without what was written: GREEN
        (BLUE, "A:shift[25]", SPLIT, "", True),
        ({"blue": 50, "green": 50}, "A:shift[50]", {"blue": 50, "green": 50}, "", False),
        (BLUE, "A:shift-back", BLUE, "", True),
        (GREEN, "A:shift-back", BLUE, "blue", False),
        (SPLIT, "A:shift-back", BLUE, "blue", False),
        (BLUE, "A:shift-back", SPLIT, "", True),
    ],
)
def test_a_mark_that_says_what_it_wrote_is_gone_by_as_the_journal_would_be(
    weights: dict[str, int], stamp: str, wrote: dict[str, int], to: str, already: bool
) -> None:
    back = back_by_mark(replace(state(weights, stamp), wrote=wrote), ("blue", "green"))
    assert (back.to, back.already) == (to, already)
    assert "mark" in back.why
    if to and not already:
        assert to == way_back(change(stamp, wrote), weights, ("blue", "green")).to


def change(stamp: str, wrote: dict[str, int]) -> Change:
    """What a journal would have of it."""
    back = stamp.endswith("-back")
    gained = min(wrote, key=lambda color: wrote[color]) if "[25]" in stamp else max(wrote, key=lambda c: wrote[c])
    home = gained if back else next(color for color in wrote if color != gained)
    away = tuple(color for color in wrote if color != home)
    return Change(
        action="A", kind="release", status="succeeded", home=home, away=away, back=back, left=dict(wrote)
    )  # fmt: skip


async def plan_of(house: House, **more: str) -> Plan:
    return await house.gate.plan(Request(kind="rollback", service="analytics", **more))


async def test_where_nothing_says_it_the_operator_does(tmp_path: Path, service: TwoColors) -> None:
    path = await flipped(tmp_path, service)
    service.write(GREEN, stamp="hand")
    with BROKEN["diary"](path):
        async with House(tmp_path / "state", service) as house:
            without_journal = Unjournalled(house)
            plan = await plan_of(house)
            (why,) = [finding for finding in plan.findings if finding.level == "block"]
            assert why.fix == "look, then name it: teal deploy rollback analytics --to BLUE"
            with pytest.raises(Refused) as caught:
                await house.gate.submit(plan, YES, without_journal=without_journal)
            assert (caught.value.exit_code, service.weights()) == (3, GREEN)
            with pytest.raises(Refused, match='no color "red"'):
                await plan_of(house, to="red")
            back = await house.gate.submit(await plan_of(house, to="BLUE"), YES, without_journal=without_journal)
            assert (back.status, service.weights()) == ("succeeded", BLUE)
            assert (await plan_of(house)).already  # the mark says it now
            assert (await plan_of(house, to="blue")).already


async def test_a_side_that_is_sick_gets_nothing_without_a_journal_either(tmp_path: Path, service: TwoColors) -> None:
    path = await flipped(tmp_path, service)
    service.faults["blue"].status = 503
    with BROKEN["diary"](path):
        async with House(tmp_path / "state", service) as house:
            with pytest.raises(Refused) as caught:
                await house.gate.submit(await plan_of(house), YES, without_journal=Unjournalled(house))
            assert (caught.value.exit_code, service.weights()) == (9, GREEN)


async def test_with_a_journal_that_can_be_read_the_color_is_its_to_say(house: House, service: TwoColors) -> None:
    await house.order(ANALYTICS_FLIP)
    with pytest.raises(Refused) as caught:
        await plan_of(house, to="green")
    assert caught.value.exit_code == 2
    assert (await plan_of(house, to="blue")).to == "blue"


async def test_a_command_that_was_killed_leaves_what_it_did(tmp_path: Path, service: TwoColors) -> None:
    path = await flipped(tmp_path, service)
    with BROKEN["diary"](path):
        async with House(tmp_path / "state", service) as house:
            without_journal = Unjournalled(house)
            await house.gate.submit(await plan_of(house), YES, without_journal=without_journal)
            assert without_journal.late is not None
            assert without_journal.late.path is not None
            lines = without_journal.late.path.read_text().splitlines()
    without_journal.late.path.write_text("\n".join([*lines[:-4], lines[-4][:40]]))
    async with House(tmp_path / "state", service) as house:
        assert len(await add_late(house.journal, "test", ENV)) == 1
        kept = (await house.gate.actions())[0]
        assert (kept.kind, kept.status, kept.error is not None) == ("rollback", "abandoned", True)
        assert kept.changed
        again = await plan_of(house)  # a way back that did not end is tried again
        assert (again.to, [finding.code for finding in again.findings if finding.code == "tried-again"]) == (
            "blue", ["tried-again"]
        )  # fmt: skip


def test_what_others_put_there_is_not_ours(tmp_path: Path, elsewhere: Path) -> None:
    location = JournalLocation("sqlite:////j.db", tmp_path / "state" / "j.db", tmp_path / "state", False)
    strange = elsewhere / "tealdeck" / "A.late.jsonl"
    strange.parent.mkdir()
    strange.write_text("{}\n")
    strange.chmod(0o644)
    assert asyncio.run(add_late(Journal(location), "test", ENV)) == []
    assert strange.exists()


@pytest.mark.live
@pytest.mark.xdist_group("journal-postgresql")
async def test_on_a_standby_it_is_read_and_the_way_back_runs(
    tmp_path: Path, service: TwoColors, postgresql: PostgresServer
) -> None:
    postgresql.sql("CREATE DATABASE standby")
    where = journal_location(postgresql.url(database="standby"), {"TEAL_STATE_DIR": str(tmp_path / "state")})

    async def at(house: House) -> Unjournalled:
        await house.journal.aclose()
        house.location, house.journal = where, Journal(where)
        house.gate.journal = house.journal
        return Unjournalled(house)

    async with House(tmp_path / "state", service) as house:
        await at(house)
        assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"
    postgresql.sql("ALTER DATABASE standby SET default_transaction_read_only = on")
    async with House(tmp_path / "state", service) as house:
        without_journal = await at(house)
        back = await house.gate.submit(await plan_of(house), YES, without_journal=without_journal)
        assert (back.status, service.weights()) == ("succeeded", BLUE)
    postgresql.sql("ALTER DATABASE standby RESET default_transaction_read_only")
    async with House(tmp_path / "state", service) as house:
        await at(house)
        assert await add_late(house.journal, "test", ENV) == [back.id]
        assert (await plan_of(house)).already


async def test_a_release_that_was_about_to_move_traffic_is_stopped_by_a_rollback_without_the_journal(
    tmp_path: Path, service: TwoColors
) -> None:
    """ "Back already", said the rollback, and a second after the journal was back the release moved all traffic."""
    deploy = ["sh", "-c", "sleep 4; echo $1 > $0.version", "{color}", "{version}"]
    async with House(tmp_path / "state", service, deploy=deploy) as house:
        release = await in_phase(house, "deploy", Request(kind="release", service="analytics", version="2.5.0"))
        path = house.location.path
        assert path is not None
        with locked(path, "BEGIN EXCLUSIVE"):
            plan = await plan_of(house)
            assert (plan.already, plan.to) == (False, "blue")
            without_journal = Unjournalled(house)
            back = await house.gate.submit(plan, YES, without_journal=without_journal)
            assert back.status == "succeeded"
            assert f"{way(back)}: {outcome(back)}" == " BLUE: back already, written once more"
        told = [(finding.code, finding.text) for finding in without_journal.findings]
        assert [str(release.id) in text for code, text in told if code == RUNNER_LIVES] == [True]
        assert "BLUE is written once more" in dict(told)["by-the-mark"]
        ended = await house.ended(release)
        assert ended.error is not None
        assert (ended.error.kind, service.weights()) == ("conflict", BLUE)
