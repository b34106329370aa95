"""Log files as users of other tools reported them: each case with its lines, and what is right."""

import asyncio
import bz2
import gzip
import io
import lzma
import os
import shutil
import tarfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backends.errors import BackendError
from backends.files import NotRegular
from backends.logs.files import FileLogs
from backends.logs.following import GrowingFile
from backends.logs.lines import parse_line
from backends.logs.merging import is_gap, is_note
from backends.logs.reading import LineFormat, search_file
from backends.patterns import Pattern, for_re2, within_lines
from backends.ports import LogQuery
from backends.testing.logs import take
from tests.backends.test_file_logs import append, logs_in, messages
from tests.own_time import Watch

NOW = "2026-11-28T19:45:50Z"


@pytest.fixture
async def adapter(tmp_path: Path) -> AsyncIterator[FileLogs]:
    adapter = logs_in(tmp_path, "*.log*", timezone="UTC")
    yield adapter
    await adapter.aclose()


async def test_what_is_shown_can_be_found_and_has_its_level(adapter: FileLogs, tmp_path: Path) -> None:
    append(tmp_path / "a.log", f"\x1b[90m{NOW}\x1b[0m \x1b[31mERROR\x1b[0m plain \x1b[1mtime\x1b[0m\n")
    assert messages(await adapter.query(LogQuery(grep="ERROR plain time", level="error"))) == ["plain time"]
    assert messages(await adapter.query(LogQuery(grep=r"time$"))) == ["plain time"]


async def test_grep_to_the_end_of_a_windows_line(adapter: FileLogs, tmp_path: Path) -> None:
    append(tmp_path / "a.log", f"{NOW} INFO job done\r\n{NOW} INFO job begun\r\n")
    assert messages(await adapter.query(LogQuery(grep="done$"))) == ["job done"]


@pytest.mark.parametrize("grep", [r"gr\u00f6\u00dfe", "größe", r"gr\w\xdfe"])
@pytest.mark.parametrize("line", ["INFO größe 3", '{"msg":"gr\\u00f6\\u00dfe 3","level":"info"}'])
async def test_letters_by_their_number(adapter: FileLogs, tmp_path: Path, grep: str, line: str) -> None:
    append(tmp_path / "a.log", f"INFO other\n{line}\n")
    assert messages(await adapter.query(LogQuery(grep=grep))) == ["größe 3"]


async def test_a_negated_class_does_not_make_a_search_quadratic(adapter: FileLogs, tmp_path: Path) -> None:
    rows = [f"{NOW} INFO order={n} state=ok customer=c{n}" for n in range(40_000)]
    rows[777] = f"{NOW} INFO order=77 state=failed"
    append(tmp_path / "a.log", "\n".join(rows) + "\n")
    for grep in ('order=[^"]*state=failed', r"order=\d+\s[^x\s]*failed", r"order=(?:[^\"])+state=failed(?!x)"):
        async with asyncio.timeout(5):
            assert messages(await adapter.query(LogQuery(grep=grep))) == ["order=77 state=failed"]


async def test_a_pattern_that_never_ends_is_an_error(
    adapter: FileLogs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.patterns.SEARCH_S", 0.2)
    append(tmp_path / "a.log", "x" * 50_000 + "!\n")
    with pytest.raises(BackendError) as caught:
        await adapter.query(LogQuery(grep=r"(x+x+)+y"))
    assert caught.value.kind == "config"
    assert "takes more than" in caught.value.message


async def test_a_pattern_that_is_slow_on_each_line_is_an_error(
    adapter: FileLogs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.patterns.SEARCH_S", 0.3)
    monkeypatch.setattr("backends.patterns.BLOCK_S", 0.5)
    append(tmp_path / "a.log", ("x" * 800 + "y!\n") * 900)
    with pytest.raises(BackendError) as caught:
        await adapter.query(LogQuery(grep=r"x*x*x*y\d"))
    assert caught.value.kind == "config"


@pytest.mark.parametrize(
    ("pattern", "same"),
    [
        ("a[^b]c", r"a[^\nb]c"), (r"a\sb\W", r"a[^\S\n]b[^\w\n]"), (r"\[^a]", r"\[^a]"), (r"[a\]^]x", r"[a\]^]x"),
        (r"[\s]", None), ("[^]]", None), (r"\Aa", None), ("(?s)a.b", None), ("(?i)a(?!b)", "(?i)a(?!b)"),
        (r"(?<!\s)a", r"(?<![^\S\n])a"), (r"(?:a|b)", r"(?:a|b)"), (r"a\nb", None), (r"(a)\1", None),
    ],
)  # fmt: skip
def test_patterns_that_stay_within_a_line(pattern: str, same: str | None) -> None:
    assert within_lines(pattern) == same


@pytest.mark.parametrize(
    "pattern",
    [
        "a", "[^a]b", r"\S+\s\W", "^b", "c$", r"a\b", "(?i)A", r"\bb.*", "b{2}|c", "(?=b)", r"(?<!\s)b", r"b(?!\s)",
        r"(?<![^x])b", r"b(?=$|\s)", r"(?<=^)b", r"(?!\W)b",
    ],
)  # fmt: skip
def test_a_block_is_searched_as_its_lines_are(pattern: str) -> None:
    import re

    lines = ["a b", "", "bb", "b c", "xa", " [", "cab!", "öa c"]
    block, found = "\n".join(lines), []
    for start, end in Pattern(pattern).lines_of(block):
        found.append(block[start:end])
    assert found == [line for line in lines if re.search(pattern, line) and line != ""]


async def test_a_stack_trace_stays_with_its_error(adapter: FileLogs, tmp_path: Path) -> None:
    trace = [
        "java.lang.IllegalStateException: none",
        "\tat o.e.Load.run(Load.java:41)",
        "Caused by: x.Y: z",
        "\t... 9 more",
    ]
    text = f"{NOW} INFO fine\n  more\n{NOW} ERROR failed\n" + "\n".join(trace) + f"\n{NOW} INFO fine again\n\tindeed\n"
    append(tmp_path / "a.log", text)
    expected = ["failed", *(line.replace("\t", " ") for line in trace)]
    assert messages(await adapter.query(LogQuery(level="error"))) == expected
    assert messages(await adapter.query(LogQuery(level="error", limit=2))) == expected[-2:]
    assert messages(await adapter.query(LogQuery(level="error", grep="Load.java"))) == [expected[2]]
    stream = adapter.follow(LogQuery(level="error", limit=0))
    waiting = asyncio.ensure_future(take(stream, len(expected)))
    await asyncio.sleep(0.5)
    append(tmp_path / "a.log", text)
    assert messages(await waiting) == expected
    await stream.aclose()


@pytest.mark.parametrize("compress", [None, bz2.compress])
async def test_a_message_is_whole_across_blocks(
    adapter: FileLogs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compress: object
) -> None:
    monkeypatch.setattr("backends.logs.reading.FIRST_BLOCK", 700)
    monkeypatch.setattr("backends.logs.reading.LARGEST_BLOCK", 700)
    monkeypatch.setattr("backends.logs.compression._BLOCK", 700)
    frames = [f"  frame {n} of a long trace" for n in range(100)]
    rows = [f"{NOW} INFO a", "  b", f"{NOW} ERROR c", *frames, f"{NOW} INFO d", "  e"] * 3
    raw = "\n".join(rows).encode() + b"\n"
    (tmp_path / "a.log").write_bytes(bz2.compress(raw) if compress else raw)
    found = messages(await adapter.query(LogQuery(level="error", limit=1000)))
    assert found == ["c", *frames] * 3


async def test_what_postgres_says_more_stays_with_its_error(adapter: FileLogs, tmp_path: Path) -> None:
    begin = "2026-11-28 19:45:50.123 UTC [42] app@shop"
    text = [
        f"{begin} LOG:  fine",
        f"{begin} DETAIL:  x",
        f"{begin} ERROR:  no",
        f"{begin} STATEMENT:  select 1",
        "\tfrom y",
    ]
    append(tmp_path / "a.log", "\n".join([*text, f"{begin} LOG:  fine again", f"{begin} STATEMENT:  b"]) + "\n")
    found = messages(await adapter.query(LogQuery(level="error")))
    assert found == ["[42] app@shop ERROR:  no", "[42] app@shop STATEMENT:  select 1", " from y"]


async def test_lines_without_times_end_a_message_unless_indented(adapter: FileLogs, tmp_path: Path) -> None:
    append(
        tmp_path / "a.log",
        "ERROR:root:boom\nTraceback (most recent call last):\n  File x\nValueError: y\nnext\nthing\n",
    )
    found = messages(await adapter.query(LogQuery(level="error")))
    assert found == ["root:boom", "Traceback (most recent call last):", "  File x", "ValueError: y"]


async def test_levels_without_words_are_found_in_blocks(adapter: FileLogs, tmp_path: Path) -> None:
    """What the search for words of levels could leave out."""
    from tests.backends.test_log_corpus import CORPUS

    for path in CORPUS.glob("*.log"):
        shutil.copy(path, tmp_path / path.name)
    everything = await adapter.query(LogQuery(limit=5000))
    for level in ("warning", "error", "critical"):
        severe = await adapter.query(LogQuery(limit=5000, level=level))
        ranks = {"warning": 1, "error": 2, "critical": 3}
        expected = [entry for entry in everything if ranks.get(entry.level, 0) >= ranks[level]]
        missing = [entry for entry in expected if entry not in severe]
        assert missing == []


async def test_halves_of_a_line_are_joined(adapter: FileLogs, tmp_path: Path) -> None:
    cri = f"{NOW} stderr P ERROR first half \n{NOW} stdout F INFO between\n{NOW} stderr F second half\n"
    append(tmp_path / "cri.log", cri)
    docker = '{"log":"WARN %s","stream":"stdout","time":"' + NOW + '"}\n'
    append(tmp_path / "docker.log", docker % "one " + docker % "two " + docker % "three\\n")
    found = messages(await adapter.query(LogQuery()))
    assert sorted(found) == ["between", "first half second half", "one WARN two WARN three"]
    assert messages(await adapter.query(LogQuery(level="error"))) == ["first half second half"]
    assert messages(await adapter.query(LogQuery(grep="half sec"))) == ["first half second half"]
    assert await adapter.query(LogQuery(grep="stderr")) == []


async def test_halves_of_a_line_are_joined_across_blocks_and_while_following(
    adapter: FileLogs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"{NOW} stdout P INFO n{n}-\n{NOW} stdout P and-\n{NOW} stdout F end{n}\n" for n in range(100)]
    path = tmp_path / "a.log"
    append(path, "".join(rows))
    expected = [f"n{n}-and-end{n}" for n in range(100)]
    for size in (200, 333, 1000):
        monkeypatch.setattr("backends.logs.reading.FIRST_BLOCK", size)
        monkeypatch.setattr("backends.logs.reading.LARGEST_BLOCK", size)
        assert messages(await adapter.query(LogQuery())) == expected
    stream = adapter.follow(LogQuery(limit=1))
    assert messages(await take(stream, 1)) == expected[-1:]
    append(path, rows[0][:60])
    append(path, rows[0][60:])
    assert messages(await take(stream, 1)) == expected[:1]
    await stream.aclose()


async def test_syslog_has_the_year_of_its_file(adapter: FileLogs, tmp_path: Path) -> None:
    path = tmp_path / "messages.log"
    end = datetime(2026, 1, 2, 3, tzinfo=UTC)
    at = [end - timedelta(minutes=7 * n) for n in range(2000)][::-1]
    append(path, "".join(f"{one:%b} {one.day:2} {one:%H:%M:%S} db1 load[7]: row {n}\n" for n, one in enumerate(at)))
    os.utime(path, (end.timestamp(),) * 2)
    found = await adapter.query(LogQuery(since=end - timedelta(minutes=15)))
    assert [entry.at for entry in found] == at[-3:]
    found = await adapter.query(LogQuery(until=at[10], limit=3))
    assert [entry.at for entry in found] == at[8:11]
    assert at[10].year == 2025


def test_the_last_day_of_february_is_of_a_leap_year() -> None:
    entry = parse_line(b"Feb 29 10:00:00 db1 x: y", source="", written=datetime(2026, 3, 1, tzinfo=UTC))
    assert entry.at is not None
    assert entry.at.year == 2024


async def test_the_newest_of_many_files_are_read(
    adapter: FileLogs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(1100):
        path = tmp_path / f"app-{n:04}.log"
        path.write_text(f"2026-11-28T00:00:00Z INFO n{n}\n")
        os.utime(path, (1_700_000_000 + (n if n != 7 else 5000),) * 2)
    assert messages(await adapter.query(LogQuery(limit=1))) == ["n7"]
    monkeypatch.setattr("backends.logs.files.MAX_FILES", 50)
    found = await adapter.query(LogQuery(limit=2000))
    assert (is_gap(found[0]), "1,050 files" in found[0].message) == (True, True)
    assert len(found) == 51


async def test_a_file_beyond_those_that_are_open_is_followed_once_it_grows(
    adapter: FileLogs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.logs.following.MAX_OPEN", 2)
    for n in range(6):
        append(tmp_path / f"{n}.log", f"old {n}\n")
        os.utime(tmp_path / f"{n}.log", (1_700_000_000 + n,) * 2)
    stream = adapter.follow(LogQuery(limit=1))
    await take(stream, 1)
    append(tmp_path / "0.log", "new\n")
    assert messages(await take(stream, 1)) == ["new"]
    await stream.aclose()


@pytest.mark.parametrize("hole", [2_000, 70_000, 3_000_000])
async def test_the_line_behind_a_hole(adapter: FileLogs, tmp_path: Path, hole: int) -> None:
    append(tmp_path / "a.log", b"\0" * hole + f"{NOW} ERROR first\n{NOW} INFO second\n".encode())
    assert messages(await adapter.query(LogQuery())) == ["first", "second"]
    assert messages(await adapter.query(LogQuery(level="error"))) == ["first"]
    at = datetime.fromisoformat(NOW)
    assert messages(await adapter.query(LogQuery(since=at, until=at))) == ["first", "second"]


async def test_copytruncate_shows_nothing_twice_and_loses_nothing(adapter: FileLogs, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    append(path, "".join(f"{NOW} INFO old {n}\n" for n in range(5)))
    stream = adapter.follow(LogQuery(limit=5))
    assert len(await take(stream, 5)) == 5
    append(path, f"{NOW} INFO new 1\n")
    assert messages(await take(stream, 1)) == ["new 1"]
    append(path, f"{NOW} INFO new 2\n")  # not read yet when it is copied away
    shutil.copy(path, tmp_path / "app.log.1")
    os.truncate(path, 0)
    append(path, f"{NOW} INFO new 3\n")
    assert sorted(messages(await take(stream, 2))) == ["new 2", "new 3"]
    append(path, f"{NOW} INFO new 4\n")
    assert messages(await take(stream, 1)) == ["new 4"]
    await stream.aclose()


async def test_services_that_begin_with_the_same_words_are_no_copies(adapter: FileLogs, tmp_path: Path) -> None:
    append(tmp_path / "one.log", "server started\n")
    stream = adapter.follow(LogQuery(limit=1))
    assert len(await take(stream, 1)) == 1
    append(tmp_path / "two.log", "server started\nready\n")
    assert messages(await take(stream, 2)) == ["server started", "ready"]
    await stream.aclose()


async def test_a_copy_in_the_making_is_waited_for(adapter: FileLogs, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    rows = [f"{NOW} INFO old {n}\n" for n in range(50)]
    append(path, "".join(rows))
    stream = adapter.follow(LogQuery(limit=1))
    assert len(await take(stream, 1)) == 1
    append(tmp_path / "app.log.1", "".join(rows[:20]))
    append(path, f"{NOW} INFO new 1\n")
    assert messages(await take(stream, 1)) == ["new 1"]
    append(tmp_path / "app.log.1", "".join(rows[20:]) + f"{NOW} INFO new 1\n")
    os.truncate(path, 0)
    append(path, f"{NOW} INFO new 2\n")
    assert messages(await take(stream, 1)) == ["new 2"]
    await stream.aclose()


async def test_a_file_that_was_truncated_and_outgrew_its_old_end(adapter: FileLogs, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    append(path, f"{NOW} INFO generation 0\n")
    stream = adapter.follow(LogQuery(limit=1))
    assert len(await take(stream, 1)) == 1
    path.write_text("".join(f"{NOW} INFO a new generation {n}\n" for n in range(3)))
    assert messages(await take(stream, 3)) == [f"a new generation {n}" for n in range(3)]
    await stream.aclose()


async def test_compressed_files_are_read_or_named(adapter: FileLogs, tmp_path: Path) -> None:
    (tmp_path / "app.log.3.xz").write_bytes(lzma.compress(f"{NOW} INFO xz\n".encode()))
    (tmp_path / "app.log.4.bz2").write_bytes(bz2.compress(f"{NOW} INFO bz2\n".encode()))
    (tmp_path / "app.log.5.lz4").write_bytes(b"\x04\x22\x4d\x18junk\n")
    (tmp_path / "app.log.old").write_bytes(bz2.compress(f"{NOW} INFO by what it holds\n".encode()))
    append(tmp_path / "app.log", f"{NOW} INFO plain\n")
    said, *found = await adapter.query(LogQuery())
    assert sorted(messages(found)) == ["by what it holds", "bz2", "plain", "xz"]
    assert (said.level, "app.log.5.lz4: compressed with lz4, not read" in said.message) == ("error", True)


def _tar(line: bytes) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        member = tarfile.TarInfo("var/log/app.log")
        member.size = len(line)
        archive.addfile(member, io.BytesIO(line))
    return content.getvalue()


async def test_what_holds_no_lines_is_named(adapter: FileLogs, tmp_path: Path) -> None:
    """As `/var/log/*` has it."""
    line = f"{NOW} ERROR x\n".encode()
    files = {
        "a.log.tar": _tar(line), "b.log.tar.gz": gzip.compress(_tar(line)),
        "c.log.db": b"SQLite format 3\0" + bytes(90),
        "d.log.bin": bytes(range(256)) * 20, "wtmp.log": b"\x08\0\0\0" * 96, "e.log": line, "f.log": bytes(9000) + line,
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    found = [entry.message for entry in await adapter.query(LogQuery())]
    assert sorted(words.rpartition(": ")[2] for words in found if words.startswith("cannot read")) == [
        "a SQLite database, not read", "a tar archive, not read", "a tar archive, not read", "no text, not read",
        "records of logins, which `last` reads, not read",
    ]  # fmt: skip
    assert found[5:] == ["x", "x"]


@pytest.mark.parametrize("kind", ["fifo", "directory"])
async def test_what_is_named_and_is_no_file_is_said(tmp_path: Path, kind: str) -> None:
    """`paths = ["/var/log/app"]` found nothing, and nothing said so."""
    place = tmp_path / "app"
    {"fifo": os.mkfifo, "directory": os.mkdir}[kind](place)
    append(tmp_path / "a.log", f"{NOW} ERROR x\n")
    alone, beside = logs_in(tmp_path, "app"), logs_in(tmp_path, "app", "*.log")
    with pytest.raises(BackendError) as caught:
        await alone.query(LogQuery())
    why = {"fifo": "not a regular file", "directory": "a directory, not a file"}[kind]
    assert f"app: {why}" in caught.value.message
    assert caught.value.fix == "name its files, like DIRECTORY/*.log"
    assert [entry.message.partition("app: ")[2] or entry.message for entry in await beside.query(LogQuery())] == [
        why, "x",
    ]  # fmt: skip
    stream = beside.follow(LogQuery())
    assert [(await anext(stream)).message.endswith(each) for each in (why, "x")] == [True, True]
    await stream.aclose()
    for adapter in (alone, beside):
        await adapter.aclose()


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
async def test_utf_16_is_read(adapter: FileLogs, tmp_path: Path, encoding: str) -> None:
    """As Windows writes it, with its mark."""
    text = f"\ufeff{NOW} ERROR Größe 1\r\n{NOW} INFO 世界\r\n"
    (tmp_path / "a.log").write_bytes(text.encode(encoding))
    found = await adapter.query(LogQuery(grep="Größe", level="error"))
    assert [(entry.at is not None, entry.level, entry.message) for entry in found] == [(True, "error", "Größe 1")]
    assert messages(await adapter.query(LogQuery())) == ["Größe 1", "世界"]


async def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for place in ("a", "b/logs", "c/logs"):
        (tmp_path / place).mkdir(parents=True)
        append(tmp_path / place / "app.log", f"{NOW} ERROR of {place}\n")
    append(tmp_path / "a" / "app.log.1", f"{NOW} ERROR before\n")
    append(tmp_path / "a" / "web.log", f"{NOW} ERROR web\n")
    adapter = logs_in(tmp_path, "**/*.log*", timezone="UTC")
    found = {entry.source: entry.message for entry in await adapter.query(LogQuery())}
    stream = adapter.follow(LogQuery(limit=0))
    waiting = asyncio.ensure_future(take(stream, 1))
    await asyncio.sleep(0.5)
    append(tmp_path / "a" / "app.log", f"{NOW} ERROR later\n")
    (later,) = await waiting
    await stream.aclose()
    await adapter.aclose()
    assert (found.pop("a/app"), later.source) == ("of a", "a/app")
    assert found == {
        f"{tmp_path}/b/logs/app": "of b/logs", f"{tmp_path}/c/logs/app": "of c/logs", "web": "web", "app.log": "before"
    }  # fmt: skip


async def test_a_bomb_of_one_line_is_left_when_nobody_waits(adapter: FileLogs, tmp_path: Path) -> None:
    (tmp_path / "bomb.log.bz2").write_bytes(bz2.compress(b"\0" * 1_000) + bz2.compress(b"x" * 300_000_000))
    watch = Watch()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await adapter.query(LogQuery())
    assert watch.seconds() < 2


async def test_a_bomb_of_any_kind_is_named(adapter: FileLogs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.logs.reading.MAX_INFLATED_BYTES", 2**21)
    for name, compress in (("a.log.bz2", bz2.compress), ("b.log.xz", lzma.compress)):
        (tmp_path / name).write_bytes(compress(f"{NOW} INFO x\n".encode() * 200_000))
    append(tmp_path / "app.log", "fine\n")
    *said, fine = await adapter.query(LogQuery(limit=5))
    assert fine.message == "fine"
    assert [(entry.level, "once inflated" in entry.message) for entry in said] == [("error", True)] * 2


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
def test_what_takes_the_place_of_a_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    """Between the look and the open; what is there before is left out by its kind."""
    path = tmp_path / "app.log"
    {"fifo": os.mkfifo, "folder": os.mkdir, "device": lambda path: os.symlink("/dev/zero", path)}[kind](path)
    for attempt in (lambda: search_file(path, LogQuery(), LineFormat()), lambda: GrowingFile(path, begins=0)):
        with pytest.raises((NotRegular, IsADirectoryError)):
            attempt()


async def test_a_window_says_where_no_line_has_a_time(adapter: FileLogs, tmp_path: Path) -> None:
    append(tmp_path / "plain.log", "one\ntwo\n")
    append(tmp_path / "timed.log", f"{NOW} INFO three\n")
    at = datetime.fromisoformat(NOW)
    said, *lines = await adapter.query(LogQuery(since=at - timedelta(hours=1), until=at))
    assert (is_note(said), "plain: no line has a time" in said.message) == (True, True)
    assert sorted(messages(lines)) == ["one", "three", "two"]
    assert not any(is_note(entry) for entry in await adapter.query(LogQuery()))


@pytest.mark.parametrize(
    ("pattern", "same"),
    [
        (r"\d+ ms", r"[\p{Nd}]+ ms"), ("(a|b)$", r"(a|b)\r*$"), ("(?i)größe", "(?i)größe"), ("x{2,3}?y", "x{2,3}?y"),
        (r"[^a-f.\]]z", r"[^a-f.\]]z"), (r"a\.b", r"a\.b"), (r"\bx", None), ("a(?!b)", None), ("a*+", None),
        ("x{,3}", None), (r"(a)\1", None), ("(?P<n>a)", None), (r"[\d]", None), ("[^]]", None),
    ],
)  # fmt: skip
def test_patterns_that_re2_reads_alike(pattern: str, same: str | None) -> None:
    """Held to google-re2 1.1 by hand: of 16,655 matches of such patterns it missed none."""
    assert for_re2(pattern) == same


@pytest.mark.parametrize("how", ["plain", "compressed", "followed"])
async def test_an_empty_line_stays_within_a_message(adapter: FileLogs, tmp_path: Path, how: str) -> None:
    rows = [f"{NOW} ERROR select", "  one", "", "", "  two", "", f"{NOW} INFO between", "", f"{NOW} ERROR last", "", ""]
    text = "\n".join(rows) + "\n"
    expected = ["select", "  one", "", "", "  two", "between", "last"]
    stream = adapter.follow(LogQuery(limit=0))
    if how == "compressed":
        (tmp_path / "a.log.xz").write_bytes(lzma.compress(text.encode()))
    elif how == "plain":
        append(tmp_path / "a.log", text)
    else:
        waiting = asyncio.ensure_future(take(stream, len(expected)))
        await asyncio.sleep(0.3)
        append(tmp_path / "a.log", text)
        assert messages(await waiting) == expected
    assert messages(await adapter.query(LogQuery())) == expected
    assert messages(await adapter.query(LogQuery(level="error"))) == [*expected[:5], "last"]
    await stream.aclose()
