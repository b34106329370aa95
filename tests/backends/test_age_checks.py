"""`freshness` and `backup` checks on real databases and files: age, size, and what makes them impossible to judge."""

import asyncio
import os
import re
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.checks.backup.check import BackupCheck
from backends.checks.freshness import FreshnessCheck
from backends.errors import BackendError
from backends.http import Http
from backends.models import CheckResult
from backends.registry import AdapterContext, build
from backends.testing.checks import consistent
from tests.own_time import Watch

HOUR = 3600.0
DAY = 86400.0


def built(kind: str, directory: Path, **config: Any) -> Any:
    return build("checks", kind, config, AdapterContext("mine", directory, directory, Http()))


async def look(check: BackupCheck | FreshnessCheck) -> CheckResult:
    try:
        result = await check.run()
        consistent(result)
        return result
    finally:
        await check.aclose()
        await check.aclose()


def backup(directory: Path, name: str, *, age_s: float, size: int) -> Path:
    path = directory / name
    path.write_bytes(b"x" * size)
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def table(path: Path, *times: Any) -> None:
    with sqlite3.connect(path) as database:
        database.execute("create table orders (at)")
        database.executemany("insert into orders values (?)", [(value,) for value in times])
    database.close()


def freshness(directory: Path, **config: Any) -> FreshnessCheck:
    check: FreshnessCheck = built(
        "freshness", directory, **{"url": "sqlite:///w.db", "query": "select max(at) from orders", **config}
    )
    return check


def unhurried(message: str) -> str:
    """Without the seconds that a busy machine took to look."""
    return re.sub(r"(?<=[mhd])\d{1,2}s", "", message)


# ---- freshness


@pytest.mark.parametrize(
    ("age", "state", "words"),
    [
        (timedelta(minutes=10), "ok", "the newest row is 10m old"),
        (timedelta(minutes=90), "warning", "the newest row is 1h30m old, over 1h"),
        (timedelta(hours=3), "critical", "the newest row is 3h old, over 2h"),
        (timedelta(seconds=-20), "ok", "the newest row is 0s old"),
        (timedelta(hours=-2), "unknown", "the newest row is 2h in the future: a clock or a zone is wrong"),
    ],
)
async def test_the_newest_row_against_the_limits(tmp_path: Path, age: timedelta, state: str, words: str) -> None:
    now = datetime.now(UTC)
    table(tmp_path / "w.db", "2020-01-01T00:00:00Z", (now - age).isoformat())
    result = await look(freshness(tmp_path))
    assert (result.state, unhurried(result.message)) == (state, words)
    (datum,) = result.perfdata
    assert (datum.label, datum.unit, datum.warn, datum.crit, datum.min) == ("age", "s", "3600", "7200", 0)
    assert datum.value == pytest.approx(max(0.0, age.total_seconds()), abs=5)


async def test_seconds_since_the_epoch_and_times_without_a_zone(tmp_path: Path) -> None:
    table(tmp_path / "w.db", time.time() - 5400)
    assert (await look(freshness(tmp_path))).state == "warning"
    assert (await look(freshness(tmp_path, query="select datetime('now', '-90 minutes')"))).state == "warning"


@pytest.mark.parametrize("times", [(), (None,)])
async def test_no_data_is_critical(tmp_path: Path, times: tuple[Any, ...]) -> None:
    table(tmp_path / "w.db", *times)
    result = await look(freshness(tmp_path))
    assert (result.state, result.message) == ("critical", f"{tmp_path / 'w.db'}: there is no data at all")


@pytest.mark.parametrize(
    ("query", "kind", "words"),
    [
        ("select at from orders", "config", "more than one row"),
        ("select 'yester\x1b[31mday'", "malformed", "is no time"),
        ("select max(at) from elsewhere", "not_found", "no such table"),
        ("delete from orders", "config", "readonly"),
    ],
)
async def test_what_says_nothing_of_the_data_is_an_error(tmp_path: Path, query: str, kind: str, words: str) -> None:
    table(tmp_path / "w.db", 1, 2)
    with pytest.raises(BackendError, match=words) as caught:
        await look(freshness(tmp_path, query=query))
    assert caught.value.kind == kind
    assert caught.value.message.isprintable()


async def test_a_database_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="no such file") as caught:
        await look(freshness(tmp_path))
    assert caught.value.kind == "unreachable"


# ---- backup


async def test_a_good_backup(tmp_path: Path) -> None:
    backup(tmp_path, "w-1.dump", age_s=2 * DAY, size=9_000)
    backup(tmp_path, "w-2.dump", age_s=1 * DAY, size=10_000)
    (tmp_path / "w-3.dump").mkdir()
    result = await look(built("backup", tmp_path, path="w-*.dump"))
    assert (result.state, unhurried(result.message)) == ("ok", "w-2.dump is 1d old, 10 kB")
    age, size, files = result.perfdata
    assert (age.label, age.unit, age.warn, age.crit) == ("age", "s", "93600", "180000")
    assert age.value == pytest.approx(DAY, abs=5)
    assert (size.label, size.value, size.unit, size.crit) == ("size", 10_000, "B", "1:")
    assert (files.label, files.value) == ("files", 2)


@pytest.mark.parametrize(
    ("age_s", "size", "config", "state", "words"),
    [
        (27 * HOUR, 10_000, {}, "warning", "w.dump is 1d3h old, over 1d2h"),
        (51 * HOUR, 10_000, {}, "critical", "w.dump is 2d3h old, over 2d2h"),
        (HOUR, 0, {}, "critical", "w.dump is empty"),
        (HOUR, 900, {"min_bytes": 1000, "shrunk": 0}, "critical", "w.dump has only 900 B"),
        (HOUR, 4_000, {}, "warning", "w.dump has 4 kB, 40% of the one before"),
        (HOUR, 5_000, {}, "ok", ""),
        (HOUR, 4_000, {"shrunk": 0.25}, "ok", ""),
        (51 * HOUR, 0, {}, "critical", "w.dump is 2d3h old, over 2d2h; w.dump is empty"),
    ],
)
async def test_each_fault_in_its_own_words(
    tmp_path: Path, age_s: float, size: int, config: dict[str, Any], state: str, words: str
) -> None:
    backup(tmp_path, "before.dump", age_s=9 * DAY, size=10_000)
    backup(tmp_path, "w.dump", age_s=age_s, size=size)
    result = await look(built("backup", tmp_path, path=str(tmp_path / "**" / "*.dump"), **config))
    assert result.state == state
    assert not words or unhurried(result.message) == words


async def test_one_that_is_being_written_is_not_judged_yet(tmp_path: Path) -> None:
    backup(tmp_path, "w-1.dump", age_s=HOUR, size=10_000)
    backup(tmp_path, "w-2.dump", age_s=1, size=0)
    result = await look(built("backup", tmp_path, path=["w-1.dump", "w-2.dump"]))
    assert (result.state, result.message.startswith("w-1.dump")) == ("ok", True)
    assert (await look(built("backup", tmp_path, path="w-2.dump"))).state == "critical", "the only one there is"


async def test_none_at_all(tmp_path: Path) -> None:
    result = await look(built("backup", tmp_path, path="*.dump"))
    assert (result.state, result.message, result.perfdata) == ("critical", "no file matches *.dump", ())
    with pytest.raises(BackendError, match="mnt: No such file or directory"):
        await look(built("backup", tmp_path, path="mnt/*/w.dump"))


@pytest.mark.usefixtures("bound_by_modes")
async def test_a_directory_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(BackendError, match="Permission denied") as caught:
        await look(built("backup", tmp_path, path="closed/*.dump"))
    assert caught.value.kind == "auth"


async def test_a_file_system_that_hangs_is_bounded_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup(tmp_path, "w.dump", age_s=HOUR, size=10)
    monkeypatch.setattr("backends.checks.backup.files._file", lambda path: time.sleep(1))
    watch = Watch()
    with pytest.raises(BackendError, match="no answer in 200ms"):
        await asyncio.wait_for(look(built("backup", tmp_path, path="w.dump", timeout="200ms")), 5)
    assert watch.seconds() < 0.9


@pytest.mark.parametrize(
    ("kind", "config", "words"),
    [
        ("freshness", {"url": "postgresql://u:p@host/"}, "a password inside a URL"),
        ("freshness", {"query": " "}, "query"),
        ("freshness", {"metrics": "prom"}, "url, metrics"),
        ("freshness", {"warn": "3h"}, "warn, crit"),
        ("backup", {"path": ""}, "path"),
        ("backup", {"path": []}, "path"),
        ("backup", {"warn": "0s"}, "warn, crit"),
        ("backup", {"min_bytes": 0}, "min_bytes"),
        ("backup", {"shrunk": 50}, "shrunk"),
        ("backup", {"timeout": "0s"}, "timeout"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(tmp_path: Path, kind: str, config: dict[str, Any], words: str) -> None:
    needed = {"freshness": {"url": "sqlite:///w.db", "query": "select 1"}, "backup": {"path": "*"}}[kind]
    with pytest.raises(BackendError, match=words):
        built(kind, tmp_path, **{**needed, **config})


async def test_one_place_of_several_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    backup(tmp_path, "orders.dump", age_s=3600, size=2_000_000)
    check = built("backup", tmp_path, path=["*.dump", "gone/*.dump"])
    found = await look(check)
    assert found.state == "unknown"
    assert "gone" in found.message
    os.symlink("loop.dump", tmp_path / "loop.dump")
    found = await look(built("backup", tmp_path, path="*.dump"))
    assert found.state == "unknown"
    assert "loop.dump" in found.message
