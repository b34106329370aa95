"""Where the records of an action have no room, nothing new begins, and everybody who looks is told so."""

import os
from datetime import UTC
from pathlib import Path
from types import SimpleNamespace

import pytest

from actions.models import Refused
from backends import room
from backends.room import Room, room_at
from console.check_results import of_actions
from console.printing.diagnosis import _of_state
from console.session import Acting
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.actions.test_orphans import orphan
from tests.two_colors import TwoColors


def disk(monkeypatch: pytest.MonkeyPatch, free: int, files: int = 100) -> None:
    """Every file system has so much left."""
    found = SimpleNamespace(f_bavail=free, f_frsize=1, f_favail=files, f_files=1000)
    monkeypatch.setattr(room, "os", SimpleNamespace(statvfs=lambda _: found, path=os.path))


@pytest.mark.parametrize(
    ("free", "files", "health", "words"),
    [
        (0, 9, "critical", "/x: no space is left (0 B free, an action needs 1 MiB)"),
        (500 * 2**10, None, "critical", "/x: no space is left (500 KiB free, an action needs 1 MiB)"),
        (2**30, 0, "critical", "/x: no space is left (no more files can be made there)"),
        (8 * 2**20, 9, "warning", "/x: little space is left (8 MiB free, an action needs 1 MiB)"),
        (2**30, None, "ok", ""),
    ],
)
def test_how_much_is_left_and_whether_that_will_do(free: int, files: int | None, health: str, words: str) -> None:
    found = Room("/x", free, files)
    assert (found.health, found.words) == (health, words)


def test_of_a_place_that_is_not_there_yet_its_nearest_directory_counts(tmp_path: Path) -> None:
    found = room_at(tmp_path / "state" / "teal")
    assert found is not None
    assert (found.place, found.free_bytes > 0) == (str(tmp_path), True)


async def test_nothing_new_begins_on_a_full_disk_and_the_way_back_goes_on(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with House(tmp_path / "state", service) as house:
        assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"
        disk(monkeypatch, 0)
        with pytest.raises(Refused) as refused:
            await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        (block,) = [finding for finding in refused.value.findings if finding.level == "block"]
        assert (refused.value.exit_code, block.code, block.overridable) == (3, "journal-space", False)
        assert "no space is left (0 B free" in block.text
        assert (await house.order(ANALYTICS_ROLLBACK)).status == "succeeded"


async def test_an_action_that_nobody_runs_on_a_full_disk_says_so_and_offers_no_way_back_to_where_it_is(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        found = await orphan(house)
        adapter = (await house.targets.switch("analytics")).adapter
        service.write({"blue": 100, "green": 0})
        disk(monkeypatch, 0)
        told = await house.gate.enrich(await adapter.deployment())
        assert "no space is left" in told.orphaned_why
        offer = told.rollback
        assert offer is not None
        assert (offer.to, offer.ready, offer.instant) == (None, False, False)
        assert offer.reason.startswith("BLUE has all traffic: a rollback only ends ")
        again = await house.gate.action(str(found.id))
        assert "no space is left" in of_actions(Acting(actions=(again,)), UTC).message


@pytest.mark.parametrize(("free", "health"), [(0, "critical"), (8 * 2**20, "warning"), (2**30, "ok")])
def test_check_and_doctor_look_at_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, health: str) -> None:
    disk(monkeypatch, free)
    found = room_at(tmp_path)
    assert found is not None
    assert of_actions(Acting(), UTC, [found]).state == health
    seen = _of_state(tmp_path)
    assert (seen.health, "space is left" in seen.detail) == (health, health != "ok")


def test_what_nobody_counted_is_no_zero() -> None:
    assert [datum.value for datum in of_actions(Acting(), UTC).perfdata] == [0, 0, 0]
    lost = of_actions(Acting(unknown="who acts is unknown: journal x: locked"), UTC)
    assert (lost.state, lost.perfdata) == ("unknown", ())
