"""A real `teal` on streams and code pages as cron, units and old terminals leave them, and told to end while a thread
hangs. What was done is what the exit code says."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from panels.words import PLAIN, UNICODE
from tests.console.sandbox_tools import until
from tests.own_time import Watch

LETTERS = "löschen → ✓ 日本"
ORDER = "run trigger hello -y --reason t"
CODE_PAGES = {
    "ascii": "PYTHONIOENCODING=ascii",
    "latin-9": "PYTHONIOENCODING=iso-8859-15",
    "C": "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0",
}
HANGING = """
import asyncio
import backends.logs.files as files

async def query(*_):
    open("hanging", "w").close()
    await asyncio.to_thread(open, "hangs")

async def follow(*_):
    await query()
    yield

files.FileLogs.query, files.FileLogs.follow = query, follow
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A pipeline of one task, and a log with letters that few code pages have."""
    (tmp_path / "app.log").write_text(f"2026-03-01T12:00:00Z ERROR {LETTERS}\n", encoding="utf-8")
    (tmp_path / "config.toml").write_text(
        '[contexts.c]\ntimezone = "UTC"\nlock = "local"\n'
        '[[contexts.c.logs]]\nname = "app"\ntype = "files"\npaths = ["app.log"]\n'
        '[[contexts.c.pipelines]]\ntype = "local"\nhistory = "sqlite:///runs.db"\nlogs = "tasks"\n'
        '[[contexts.c.pipelines.dags]]\nname = "hello"\ntasks = [{ name = "one", command = ["true"] }]\n'
    )
    (tmp_path / "config.toml").chmod(0o600)
    return tmp_path


def start(home: Path, script: str) -> "subprocess.Popen[bytes]":
    """A script of bash in which `teal` is a command."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": str(home), "TEAL_STATE_DIR": str(home / "state"), "LANG": "C.UTF-8"}
    environ["TEAL_CONFIG"] = str(home / "config.toml")
    return subprocess.Popen(
        ["bash", "-c", script], cwd=home, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def shell(home: Path, script: str) -> tuple[int, bytes, bytes]:
    """Exit status, stdout, stderr."""
    process = start(home, script)
    output, complaints = process.communicate(timeout=60)
    return process.returncode, output, complaints


def own_seconds(process: "subprocess.Popen[bytes]", watch: Watch) -> float:
    """Until it has ended, of its own time; it prints less than a pipe holds."""
    deadline = time.monotonic() + 60
    while process.poll() is None:
        seconds = watch.seconds()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return seconds


def runs(home: Path) -> int:
    return len(json.loads(shell(home, "teal run list -o json")[1])["items"])


@pytest.mark.parametrize("page", CODE_PAGES.values(), ids=CODE_PAGES)
def test_a_letter_that_the_code_page_lacks_is_replaced_and_the_order_keeps_its_exit_code(home: Path, page: str) -> None:
    code, _, complaints = shell(home, f"{page} teal {ORDER} --wait")
    assert (code, runs(home)) == (0, 1), complaints
    code, output, _ = shell(home, f"{page} teal log")
    assert code == 0
    assert b"schen > v ??" in output
    assert json.loads(shell(home, f"{page} teal log -o json")[1])["items"][0]["message"] == LETTERS
    for words in ("status", "doctor", "run list"):
        code, output, complaints = shell(home, f"{page} teal {words}")
        assert code == 0, complaints
        assert b"\xe2" not in output + complaints, "a symbol in UTF-8"


@pytest.mark.parametrize("streams", [">&-", "<&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full", "| head -c0"])
def test_what_is_closed_or_has_gone_changes_no_exit_code(home: Path, streams: str) -> None:
    for words, runs_by_then in (("status", 0), ("check", 0), (ORDER, 1)):
        _, output, complaints = shell(home, f"( teal {words}; echo $? > code ) {streams}")
        assert (home / "code").read_text() == "0\n", words
        assert b"Traceback" not in output + complaints
        assert not list((home / "state").glob("crash-*"))
        assert runs(home) == runs_by_then


def test_a_full_disk_under_stdout_is_said_by_a_read_and_does_not_undo_an_order(home: Path) -> None:
    for words in ("status", "status -o json", "log"):
        code, _, complaints = shell(home, f"teal {words} >/dev/full")
        assert (code, complaints.splitlines()[-1][:28]) == (7, b"teal: stdout can not be writ"), words
    assert shell(home, f"teal {ORDER} >/dev/full")[0] == 0
    assert shell(home, "teal check >/dev/full")[0] == 0


def test_no_file_gets_the_number_of_a_closed_stream(home: Path) -> None:
    script = "import os, console.streams as s; s.open_streams(); os.write(3, b'%d' % os.open('runs.txt', os.O_CREAT))"
    shell(home, f'exec 3> number; python -c "{script}" <&- >&- 2>&-')
    assert int((home / "number").read_text()) > 2


@pytest.mark.parametrize("words", ["log -f", "log", "status"])
def test_sigterm_ends_a_command_whose_thread_hangs_within_two_seconds(home: Path, words: str) -> None:
    """Opening a named pipe that nobody writes to hangs, as a dead network file system does."""
    os.mkfifo(home / "hangs")
    (home / "sitecustomize.py").write_text(HANGING)
    process = start(home, f"PYTHONPATH=. exec teal {words}")
    until(lambda: (home / "hanging").exists())
    watch = Watch(process.pid)
    for _ in range(3):  # heard once: the others must not interrupt the end
        process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    assert own_seconds(process, watch) < 2.5
    _, complaints = process.communicate(timeout=10)
    assert (process.returncode, b"Traceback" in complaints) == (143, False), complaints


def test_a_read_that_is_out_of_time_ends_whatever_a_thread_does(home: Path) -> None:
    os.mkfifo(home / "hangs")
    (home / "sitecustomize.py").write_text(HANGING)
    process = start(home, "PYTHONPATH=. exec teal log --timeout 1s")
    assert own_seconds(process, Watch(process.pid)) < 4
    _, complaints = process.communicate(timeout=10)
    assert (process.returncode, b"Traceback" in complaints) == (7, False), complaints


def test_symbols_of_tables_have_one_ascii_letter_each() -> None:
    for symbol in (*UNICODE.bars, UNICODE.ok, UNICODE.critical, UNICODE.warning, UNICODE.live, UNICODE.arrow):
        plain = symbol.translate(PLAIN)
        assert (len(plain), plain.isascii()) == (1, True)
