"""One log file is read once, whatever paths lead to it, also while it is rotated."""

import asyncio
import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from backends.checks.backup.check import BackupCheck
from backends.errors import BackendError
from backends.http import Http
from backends.logs import files, reading
from backends.logs.files import FileLogs
from backends.models import LogEntry
from backends.ports import LogQuery
from backends.registry import AdapterContext, build
from tests.backends.unreadable import shut

LINE = "2026-01-01T00:00:{:02}Z INFO {}\n"


def logs_in(directory: Path, *paths: str) -> FileLogs:
    adapter: FileLogs = build("logs", "files", {"paths": paths}, AdapterContext("files", directory, directory, Http()))
    return adapter


def put(path: Path, *words: str, at: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(LINE.format(at + number, word) for number, word in enumerate(words)))
    os.utime(path, (2_000_000_000 + at, 2_000_000_000 + at))


async def read(directory: Path, *paths: str) -> list[LogEntry]:
    logs = logs_in(directory, *paths)
    try:
        return await asyncio.wait_for(logs.query(LogQuery(limit=100)), 20)
    finally:
        await logs.aclose()


def said(entries: list[LogEntry]) -> list[tuple[str, str]]:
    return [(entry.source, entry.message.rpartition(" ")[2]) for entry in entries]


async def test_links_to_their_own_directory(tmp_path: Path) -> None:
    put(tmp_path / "logs/app.log", "one")
    for name in ("loop", "again"):  # two of them are 2**40 paths
        (tmp_path / "logs" / name).symlink_to(".")
    assert said(await read(tmp_path, "logs/**/*.log")) == [("app", "one")]


async def test_patterns_that_overlap_and_second_names(tmp_path: Path) -> None:
    put(tmp_path / "a/app.log", "one")
    os.link(tmp_path / "a/app.log", tmp_path / "a/hard.log")
    (tmp_path / "current.log").symlink_to("a/app.log")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/link.log").symlink_to(tmp_path / "a/app.log")
    assert said(await read(tmp_path, "**/*.log", "a/*", "a/../a/app.log", "out/*")) == [("current", "one")]
    assert said(await read(tmp_path, "a/*", "out/*.log")) == [("app", "one")]


async def test_what_is_followed_is_read_once(tmp_path: Path) -> None:
    put(tmp_path / "app.log", "one")
    (tmp_path / "loop").symlink_to(".")
    logs = logs_in(tmp_path, "**/*.log")
    stream = logs.follow(LogQuery(limit=10))
    got = [await asyncio.wait_for(anext(stream), 10)]
    with (tmp_path / "app.log").open("a") as file:
        file.write(LINE.format(1, "two") + LINE.format(2, "three"))
    got += [await asyncio.wait_for(anext(stream), 10) for _ in range(2)]
    await stream.aclose()
    await logs.aclose()
    assert said(got) == [("app", "one"), ("app", "two"), ("app", "three")]


async def test_a_broken_link_is_said_once_beside_the_lines(tmp_path: Path) -> None:
    put(tmp_path / "app.log", "one")
    (tmp_path / "gone.log").symlink_to("nowhere.log")
    (tmp_path / "loop").symlink_to(".")
    broken, line = await read(tmp_path, "*.log", "**/*.log")
    assert broken.message == f"cannot read {tmp_path}/gone.log: a link to what is not there"
    assert line.message.endswith("one")


async def test_pipes_and_devices_behind_links_are_not_read(tmp_path: Path) -> None:
    put(tmp_path / "app.log", "one")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "pipe.log").symlink_to("pipe")
    (tmp_path / "zero.log").symlink_to("/dev/zero")
    assert said(await read(tmp_path, "*.log")) == [("app", "one")]
    (pipe,) = [one for one in await read(tmp_path, "app.log", "pipe.log", "./pipe.log") if one.source == "pipe"]
    assert pipe.message.endswith("pipe.log: not a regular file")


async def test_a_closed_directory_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "app.log", "one")
    put(tmp_path / "shut/b.log", "two")
    shut(monkeypatch, tmp_path / "shut")
    closed, line = await read(tmp_path, "**/*.log", "*/*.log")
    assert (closed.level, closed.message) == ("error", f"cannot read {tmp_path}/shut: Permission denied")
    assert said([line]) == [("app", "one")]
    with pytest.raises(BackendError, match="shut: Permission denied"):
        await read(tmp_path, "shut/*.log")


async def test_a_tree_that_is_too_wide_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "app.log", "one")
    for number in range(9):
        put(tmp_path / f"x/{number}.log", str(number))
    monkeypatch.setattr(files, "MAX_NAMES", 5)
    entries = await read(tmp_path, "**/*.log")
    assert "only the first 5 names" in entries[0].message
    assert ("app", "one") in said(entries)


async def test_many_that_may_not_be_read_are_counted(tmp_path: Path) -> None:
    put(tmp_path / "app.log", "one")
    for number in range(30):
        (tmp_path / f"{number}.log").symlink_to("nowhere")
    entries = await read(tmp_path, "*.log")
    assert len(entries) == files.MOST_SAID + 2
    assert entries[-2].message.endswith("10 more cannot be read")


@pytest.mark.parametrize("is_packed", [False, True])
async def test_a_rotation_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_packed: bool) -> None:
    put(tmp_path / "app.log", "three", at=30)
    put(tmp_path / "app.log.1", "two", at=20)
    put(tmp_path / "app.log.2", "one", at=10)
    real, reads = reading.search_file, 0

    def search(path: Path, *args: Any, **kwargs: Any) -> list[LogEntry]:
        nonlocal reads
        found = real(path, *args, **kwargs)
        reads += 1
        if reads == 1:  # the newest is read: now all are moved by one
            for number in (2, 1):
                (tmp_path / f"app.log.{number}").rename(tmp_path / f"app.log.{number + 1}")
            (tmp_path / "app.log").rename(tmp_path / "app.log.1")
            put(tmp_path / "app.log", "four", at=40)
            if is_packed:
                text = (tmp_path / "app.log.3").read_bytes()
                (tmp_path / "app.log.3").unlink()
                (tmp_path / "app.log.3.gz").write_bytes(gzip.compress(text))
        return found

    monkeypatch.setattr(files, "search_file", search)
    entries = await read(tmp_path, "app.log*")
    assert [word for _, word in said(entries)] == ["one", "two", "three", "four"]


async def test_a_link_to_the_newest_backup_is_not_the_one_before(tmp_path: Path) -> None:
    for number, size in ((1, 1000), (2, 10)):
        path = tmp_path / f"w-{number}.dump"
        path.write_bytes(b"x" * size)
        os.utime(path, (path.stat().st_mtime - 4 * 3600 + number * 3600,) * 2)
    (tmp_path / "latest.dump").symlink_to("w-2.dump")
    for loop in ("loop", "again"):
        (tmp_path / loop).symlink_to(".")
    check: BackupCheck = build(
        "checks", "backup", {"path": "**/*.dump"}, AdapterContext("b", tmp_path, tmp_path, Http())
    )
    result = await asyncio.wait_for(check.run(), 20)
    await check.aclose()
    assert "of the one before" in result.message
    assert "w-2.dump" in result.message
