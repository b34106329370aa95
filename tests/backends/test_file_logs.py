"""Log files: the contract, and what only files do: rotate, shrink, merge, be huge or forbidden."""

import asyncio
import gzip
import os
import random
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.logs.around import around
from backends.logs.files import FileLogs, FilesConfig
from backends.logs.lines import MAX_LINE_BYTES, time_of
from backends.logs.merging import is_note, missing_lines
from backends.models import LogEntry, LogLevel
from backends.ports import LogQuery
from backends.registry import AdapterContext, build
from backends.testing.logs import T0, Line, LogsContract, Write, lines, take
from tests.backends.unreadable import shut


def logs_in(directory: Path, *paths: str, **config: Any) -> FileLogs:
    context = AdapterContext("files", directory, directory, Http())
    adapter: FileLogs = build("logs", "files", {"paths": paths or ("*.log",), **config}, context)
    return adapter


def text_of(rows: list[Line]) -> str:
    return "".join(f"{row.at.isoformat()} {row.level} {row.message}\n" for row in rows)


def append(path: Path, data: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(data.encode() if isinstance(data, str) else data)


def messages(entries: list[LogEntry]) -> list[str]:
    return [entry.message for entry in entries]


@pytest.fixture
async def adapter(tmp_path: Path) -> AsyncIterator[FileLogs]:
    adapter = logs_in(tmp_path)
    yield adapter
    await adapter.aclose()


class TestContract(LogsContract):
    @pytest.fixture
    def write(self, tmp_path: Path) -> Write:
        return lambda rows: append(tmp_path / "app.log", text_of(rows))


class Followed:
    """A follower that has looked at the files once, so that whatever is written now is new."""

    def __init__(self, adapter: FileLogs, query: LogQuery) -> None:
        self.stream = adapter.follow(query)

    async def expect(self, count: int) -> list[str]:
        return messages(await take(self.stream, count))


@pytest.fixture
async def followed(adapter: FileLogs, tmp_path: Path) -> AsyncIterator[Followed]:
    append(tmp_path / "app.log", "old\n")
    followed = Followed(adapter, LogQuery())
    assert await followed.expect(1) == ["old"]  # what was there comes once the follower knows where it ends
    yield followed
    await followed.stream.aclose()


async def test_files_merge_in_time_order_and_tracebacks_stay_together(adapter: FileLogs, tmp_path: Path) -> None:
    at = [(T0 + timedelta(seconds=n)).isoformat() for n in range(4)]
    append(tmp_path / "a.log", f"{at[0]} ERROR a0\nTraceback (most recent call last):\n  File x\n{at[3]} INFO a3\n")
    append(tmp_path / "b.log", f"{at[1]} INFO b1\n{at[2]} INFO b2\n")
    found = await adapter.query(LogQuery())
    assert messages(found) == ["a0", "Traceback (most recent call last):", "  File x", "b1", "b2", "a3"]
    assert [entry.source for entry in found] == ["a", "a", "a", "b", "b", "a"]
    assert found[2].at is None


async def test_window_far_back_reads_little_of_a_large_file(
    adapter: FileLogs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 60_000
    append(tmp_path / "app.log", text_of(lines(count)))
    size = (tmp_path / "app.log").stat().st_size
    at = T0 + timedelta(seconds=count // 3)
    looked_at: list[int] = []

    def counted(raw: bytes, *more: Any) -> int | None:
        looked_at.append(len(raw))
        return time_of(raw, *more)

    monkeypatch.setattr("backends.logs.reading.time_of", counted)
    found = await adapter.query(LogQuery(since=at, until=at + timedelta(seconds=2)))
    assert messages(found) == [f"line {count // 3 + n}" for n in range(3)]
    assert sum(looked_at) < size / 5


@pytest.mark.parametrize("seed", range(3))
async def test_search_agrees_with_reading_everything(adapter: FileLogs, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)  # the seed is the parameter
    rows, at = [], T0
    for n in range(3000):
        at += timedelta(milliseconds=rng.choice((0, 1, 700, 9000)))
        level = rng.choice(("DEBUG", "INFO", "WARNING", "ERROR"))
        rows.append(Line(at, level, f"n{n} " + rng.choice("xyz") * rng.randrange(0, 90)))
    append(tmp_path / "app.log", text_of(rows))
    for _ in range(20):
        since, until = sorted((rng.choice(rows).at, rng.choice(rows).at))
        grep = rng.choice((None, r"n\d*7 ", r"y{5}$", r"[^x]*z", r"\s+y+\s*$", r"n1(?!0)", r"^2026.*x\Z"))
        least: LogLevel | None = rng.choice((None, "info", "warning", "error"))
        bounds = rng.choice(((None, None), (since, None), (None, until), (since, until)))
        query = LogQuery(since=bounds[0], until=bounds[1], grep=grep, level=least, limit=rng.choice((1, 50, 5000)))
        wanted_levels = {"info": "IWE", "warning": "WE", "error": "E"}.get(least or "", "DIWE")
        expected = [
            row.message.rstrip()
            for row in rows
            if (bounds[0] is None or row.at >= bounds[0])
            and (bounds[1] is None or row.at <= bounds[1])
            and (grep is None or re.search(grep, text_of([row])[:-1]))
            and row.level[0] in wanted_levels
        ][-query.limit :]
        assert [message.rstrip() for message in messages(await adapter.query(query))] == expected, query


async def test_a_huge_line_costs_no_memory_and_hides_nothing(adapter: FileLogs, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    append(path, "before\n2026-03-01T12:00:00Z INFO huge ")
    for _ in range(20):
        append(path, b"x" * 1_000_000)
    append(path, "\nafter\n")
    before, huge, after = await adapter.query(LogQuery())
    assert (before.message, after.message) == ("before", "after")
    assert huge.at == T0
    assert huge.message.startswith("huge xxx")
    assert len(huge.message) <= 4096


async def test_invalid_utf8_and_another_encoding(tmp_path: Path) -> None:
    append(tmp_path / "app.log", b"caf\xe9\n")
    for encoding, expected in (("utf-8", "caf\ufffd"), ("latin-1", "café")):
        adapter = logs_in(tmp_path, encoding=encoding)
        assert messages(await adapter.query(LogQuery())) == [expected]
        await adapter.aclose()


async def test_since_does_not_bound_a_fresh_file_without_times(adapter: FileLogs, tmp_path: Path) -> None:
    append(tmp_path / "app.log", "no time here\n")
    changed = datetime.fromtimestamp((tmp_path / "app.log").stat().st_mtime, T0.tzinfo)
    said, line = await adapter.query(LogQuery(since=changed - timedelta(hours=1)))
    assert (is_note(said), line.message) == (True, "no time here")
    assert "app: no line has a time that can be read" in said.message
    assert await adapter.query(LogQuery(since=changed + timedelta(hours=1))) == []


async def test_what_may_not_be_read_is_said(adapter: FileLogs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(tmp_path / "app.log", "secret\n")
    real = os.open

    def forbid(path: Any, *arguments: Any, **more: Any) -> int:
        if str(path).endswith("app.log"):  # root may read everything, so permissions alone prove nothing here
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **more)

    monkeypatch.setattr(os, "open", forbid)
    with pytest.raises(BackendError) as caught:
        await adapter.query(LogQuery())
    assert caught.value.kind == "auth"
    assert "app.log: Permission denied" in caught.value.message
    with pytest.raises(BackendError):
        await take(adapter.follow(LogQuery()), 1)
    (tmp_path / "other.log").write_text("fine\n")
    found = await adapter.query(LogQuery())
    assert [entry.level for entry in found] == ["error", "unknown"]
    assert found[1].message == "fine"


async def test_a_directory_that_may_not_be_listed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [tmp_path / name for name in ("private", "readable")]
    for place in places:
        place.mkdir()
        append(place / "app.log", f"{place.name}\n")
    adapter = logs_in(tmp_path, *(f"{place.name}/*.log" for place in places))
    shut(monkeypatch, places[0])
    said, line = await adapter.query(LogQuery())
    assert (said.level, line.message) == ("error", "readable")
    assert "private: Permission denied" in said.message
    shut(monkeypatch, places[1])
    with pytest.raises(BackendError, match="Permission denied"):
        await adapter.query(LogQuery())
    await adapter.aclose()


async def test_a_file_whose_reading_fails_takes_no_other_away(adapter: FileLogs, tmp_path: Path) -> None:
    (tmp_path / "bad.log").symlink_to("/proc/self/mem")  # its reads fail, as those of a disk that does, with no name
    append(tmp_path / "app.log", "fine\n")
    said, line = await adapter.query(LogQuery())
    assert (said.source, said.level, line.message) == ("bad", "error", "fine")
    assert "bad.log: " in said.message
    async with asyncio.timeout(10):
        assert "fine" in messages(await take(adapter.follow(LogQuery()), 2))
    (tmp_path / "app.log").unlink()
    with pytest.raises(BackendError, match=r"cannot read .*bad\.log: "):
        await adapter.query(LogQuery())


async def test_what_is_no_log_is_left_alone(adapter: FileLogs, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.log")
    (tmp_path / "folder.log").mkdir()
    append(tmp_path / "app.log", "fine\n")
    async with asyncio.timeout(5):
        assert messages(await adapter.query(LogQuery())) == ["fine"]


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"paths": ()}, "paths"),
        ({"timezone": "Mars/Base"}, "Mars/Base"),
        ({"encoding": "utf-16"}, "utf-16"),
        ({"encoding": "x"}, "x"),
    ],
)
def test_config_says_what_is_wrong(config: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        FilesConfig(**{"paths": ("a",), **config})


async def test_follow_a_renamed_file_to_its_end_then_its_successor(followed: Followed, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    writer = path.open("ab", buffering=0)
    path.rename(tmp_path / "app.log.1")
    writer.write(b"last of the old\n")
    writer.close()
    append(path, "first of the new\n")
    assert await followed.expect(2) == ["last of the old", "first of the new"]


async def test_follow_does_not_read_a_rotated_file_again(tmp_path: Path) -> None:
    adapter = logs_in(tmp_path, "app.log*")
    path = tmp_path / "app.log"
    append(path, "old\n")
    stream = adapter.follow(LogQuery())
    assert messages(await take(stream, 1)) == ["old"]
    path.rename(tmp_path / "app.log.1")
    append(path, "new\n")
    assert messages(await take(stream, 1)) == ["new"]
    await stream.aclose()
    await adapter.aclose()


async def test_follow_a_file_truncated_in_place(followed: Followed, tmp_path: Path) -> None:
    os.truncate(tmp_path / "app.log", 0)
    append(tmp_path / "app.log", "x\n")
    assert await followed.expect(1) == ["x"]


async def test_follow_a_file_that_comes_later(followed: Followed, tmp_path: Path) -> None:
    append(tmp_path / "late.log", "from its start\n")
    assert await followed.expect(1) == ["from its start"]


async def test_follow_holds_a_partial_line_until_it_is_whole_or_old(followed: Followed, tmp_path: Path) -> None:
    append(tmp_path / "app.log", "par")
    await asyncio.sleep(0.4)
    append(tmp_path / "app.log", "tial\nnever ended")
    assert await followed.expect(2) == ["partial", "never ended"]


async def test_follow_cuts_a_huge_line(followed: Followed, tmp_path: Path) -> None:
    append(tmp_path / "app.log", b"y" * (3 * MAX_LINE_BYTES) + b"\nnext\n")
    huge, after = await followed.expect(2)
    assert huge.startswith("yyy")
    assert after == "next"


async def test_rotated_and_compressed_files_are_read_as_one_log(tmp_path: Path) -> None:
    rows = lines(300)
    for name, part in (("app.log.2.gz", rows[:100]), ("app.log.1", rows[100:200]), ("app.log", rows[200:])):
        raw = text_of(part).encode()
        (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        os.utime(tmp_path / name, (part[-1].at.timestamp(),) * 2)
    adapter = logs_in(tmp_path, "app.log*")
    assert messages(await adapter.query(LogQuery())) == [row.message for row in rows]
    found = await adapter.query(LogQuery(grep=r"line \d*5$", level="info", limit=25))
    assert messages(found) == [row.message for row in rows if row.message.endswith("5")][-25:]
    window = LogQuery(since=rows[98].at, until=rows[101].at)
    assert messages(await adapter.query(window)) == ["line 98", "line 99", "line 100", "line 101"]
    await adapter.aclose()


async def test_old_files_are_not_opened_for_the_newest_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        part = lines(100 * number + 100)[-100:]
        append(tmp_path / f"{number}.log", text_of(part))
        os.utime(tmp_path / f"{number}.log", (part[-1].at.timestamp(),) * 2)
    opened: list[str] = []
    real = os.open

    def counted(path: Any, *arguments: Any, **more: Any) -> int:
        opened.append(os.path.basename(str(path)))
        return real(path, *arguments, **more)

    monkeypatch.setattr(os, "open", counted)
    adapter = logs_in(tmp_path)
    assert messages(await adapter.query(LogQuery(limit=50)))[-1] == "line 499"
    assert opened == ["4.log"]
    await adapter.aclose()


@pytest.mark.parametrize("damage", ["truncated", "no gzip"])
async def test_a_broken_archive_is_said_and_the_rest_is_read(tmp_path: Path, damage: str) -> None:
    raw = gzip.compress(text_of(lines(5000)).encode())
    (tmp_path / "old.log.gz").write_bytes(raw[:-2000] if damage == "truncated" else b"plain text\n" * 9)
    append(tmp_path / "app.log", text_of(lines(1)))
    adapter = logs_in(tmp_path, "*.log*")
    lost, fine = await adapter.query(LogQuery())
    assert (lost.level, fine.message) == ("error", "line 0")
    assert "old.log.gz" in lost.message
    assert "gzip" in lost.message
    await adapter.aclose()


async def test_a_compressed_file_is_not_followed(tmp_path: Path) -> None:
    adapter = logs_in(tmp_path, "*.log*")
    append(tmp_path / "app.log", "old\n")
    stream = adapter.follow(LogQuery())
    assert messages(await take(stream, 1)) == ["old"]
    (tmp_path / "a.log.1.gz").write_bytes(gzip.compress(b"archived\n"))
    append(tmp_path / "app.log", "new\n")
    assert messages(await take(stream, 1)) == ["new"]
    await stream.aclose()
    await adapter.aclose()


async def test_bytes_and_text_find_the_same_lines(adapter: FileLogs, tmp_path: Path) -> None:
    rows = [Line(T0, "INFO", f"{word} end") for word in ("abc", "äbc", "a\u0660c", "\u212aelvin", "kelvin", "日本語")]
    append(tmp_path / "app.log", text_of(rows))
    for grep in (r"\bab", r" \w{3} end$", r"a\dc", "(?i)KELVIN", "日", r"[^a-z ]{3} end", r"(?a) \w{3} end"):
        expected = [row.message for row in rows if re.search(grep, text_of([row])[:-1])]
        assert messages(await adapter.query(LogQuery(grep=grep))) == expected, grep


async def test_a_line_that_is_being_written_comes_once_and_whole(adapter: FileLogs, tmp_path: Path) -> None:
    append(tmp_path / "app.log", "whole\nbeg")
    stream = adapter.follow(LogQuery())
    assert messages(await take(stream, 1)) == ["whole"]
    append(tmp_path / "app.log", "un\n")
    assert messages(await take(stream, 1)) == ["begun"]
    await stream.aclose()


async def test_a_writer_that_is_too_fast_costs_lines_that_are_counted(
    followed: Followed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.logs.following.MAX_BEHIND", 10_000)
    monkeypatch.setattr("backends.logs.following.KEPT_BEHIND", 1000)
    append(tmp_path / "app.log", "".join(f"line {n:04}\n" for n in range(2000)))
    (missing,) = await take(followed.stream, 1)
    rest = await followed.expect(1)
    while rest[-1] != "line 1999":
        rest += await followed.expect(1)
    assert rest == [f"line {n:04}" for n in range(2000 - len(rest), 2000)]
    assert 50 < len(rest) <= 100
    assert missing_lines(missing) == 2000 - len(rest)
    assert missing.level == "warning"


async def test_the_lines_around_a_time_are_found_in_archives_and_where_lines_have_no_times(tmp_path: Path) -> None:
    rows = lines(9000)
    rows[4000] = rows[4000]._replace(message="line 4000\n  at line 1\n  at line 2")
    text = text_of(rows)
    (tmp_path / "a.log.1.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "b.log").write_text("never\nany\ntime\n")
    adapter = logs_in(tmp_path, "*.log*")
    at = T0 + timedelta(seconds=4000)
    found = await around(adapter, LogQuery(), at, before=2, after=4)
    assert messages(found)[-4:] == ["line 4000", "  at line 1", "  at line 2", "line 4001"]
    assert "line 3999" in messages(found)
    assert sum(is_note(entry) for entry in found) == 1
    (tmp_path / "b.log").unlink()
    (tmp_path / "a.log.1.gz").unlink()
    (tmp_path / "a.log").write_text(text)
    found = await around(adapter, LogQuery(), at, before=2, after=4)
    assert messages(found) == ["line 3998", "line 3999", "line 4000", "  at line 1", "  at line 2", "line 4001"]
    first = await adapter.query(LogQuery(since=at + timedelta(seconds=1), limit=1, first=True, level="error"))
    assert messages(first) == ["line 4010"]
