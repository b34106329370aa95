"""`teal log` as a process: merged, around a time, followed, ended by Ctrl-C or by a reader that has enough."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.warm import Job, called

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATIENCE_S = 60.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two log files of 200 lines, a second each in turn, and a config that names them."""
    for name, first in (("web", 0), ("etl", 1)):
        rows = [f"{T0 + timedelta(seconds=n):%Y-%m-%dT%H:%M:%SZ} INFO line {n}\n" for n in range(first, 400, 2)]
        (tmp_path / f"{name}.log").write_text("".join(rows))
    config = "[contexts.c]\ntimezone = 'UTC'\n"
    config += "".join(
        f'[[contexts.c.logs]]\nname = "{n}"\ntype = "files"\npaths = ["{n}.log"]\n' for n in ("web", "etl")
    )
    (tmp_path / "config.toml").write_text(config)
    (tmp_path / "config.toml").chmod(0o600)
    return tmp_path


def command(home: Path, *arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("teal")), "log", "-c", str(home / "config.toml"), *arguments]


def env(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "TEAL_STATE_DIR": str(home / "state"), "LANG": "C.UTF-8"}


def ended(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A whole command, such as `command`, from a process that has imported what it needs."""
    return called(Job("tests.warm_teal", "main", list(words[1:]), env(home)), PATIENCE_S)


def teal_log(home: Path, *arguments: str, code: int = 0) -> list[str]:
    done = ended(home, *command(home, *arguments))
    assert done.returncode == code, done.stderr
    return done.stdout.splitlines() or done.stderr.splitlines()


def numbers(lines: list[str]) -> list[int]:
    return [int(line.rpartition("line ")[2]) for line in lines]


def test_the_last_lines_of_all_sources_in_order(home: Path) -> None:
    assert numbers(teal_log(home, "-n", "7")) == list(range(393, 400))
    assert numbers(teal_log(home, "etl", "-n", "2")) == [397, 399]


def test_on_a_terminal_the_zone_of_the_times_is_named_once(home: Path) -> None:
    reader, terminal = os.openpty()
    done = subprocess.run(
        command(home, "-n", "3"), env={**env(home), "TZ": "UTC"}, stdin=subprocess.DEVNULL, stdout=terminal,
        stderr=subprocess.PIPE, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    os.close(terminal)
    first, *lines = os.read(reader, 65536).decode().splitlines()
    os.close(reader)
    assert (done.returncode, first, numbers(lines)) == (0, "Times in UTC", [397, 398, 399])


def test_limit_is_the_number_of_lines_and_0_is_all_of_the_window(home: Path) -> None:
    assert numbers(teal_log(home, "--limit", "7")) == list(range(393, 400))
    for words in (("--limit", "0"), ("-n", "0", "--since", "2026-03-01T12:00:00Z")):
        done = ended(home, *command(home, *words))
        assert (done.returncode, numbers(done.stdout.splitlines()), done.stderr) == (0, list(range(400)), "")


def test_what_is_not_shown_is_not_counted(home: Path) -> None:
    done = ended(home, *command(home))
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 200)
    said = done.stderr
    assert "200 lines shown; there may be more" in said
    assert "-n 0: all" in said
    assert "--limit" not in said
    assert "400" not in said


def test_status_has_them_in_order_too(home: Path) -> None:
    words = command(home, "-o", "json")
    words[1] = "status"
    done = ended(home, *words)
    assert numbers([entry["message"] for entry in json.loads(done.stdout)["logs"]]) == list(range(400))
    done = ended(home, *words[:-2])
    assert numbers(done.stdout.partition("\nLogs\n")[2].splitlines()[:10]) == list(range(390, 400))


def test_around_a_time(home: Path) -> None:
    assert numbers(teal_log(home, "--around", "2026-03-01T12:01:40Z", "-n", "10")) == list(range(95, 105))
    assert numbers(teal_log(home, "--around", "2026-03-01T12:06:38Z", "-n", "10")) == list(range(390, 400))
    (said,) = teal_log(home, "--around", "1h", "--since", "2h", code=2)
    assert "--around excludes" in said


def test_around_a_time_however_many_lines_follow(home: Path) -> None:
    rows = [f"{T0 + timedelta(milliseconds=10 * n):%Y-%m-%dT%H:%M:%S.%fZ} INFO line {n}\n" for n in range(60_000)]
    (home / "web.log").write_text("".join(rows))
    at = f"{T0 + timedelta(seconds=200):%Y-%m-%dT%H:%M:%SZ}"
    assert numbers(teal_log(home, "web", "--around", at, "-n", "4")) == [19998, 19999, 20000, 20001]


@pytest.mark.parametrize(
    ("at", "lines", "words"),
    [
        (
            "2026-03-01T12:40:00Z", [398, 399],
            "no line within 5m of 12:40:00 UTC; the nearest is of 12:06:39 UTC (33m earlier)",
        ),
        (
            "2026-03-01T10:59:00Z", [0, 1],
            "no line within 5m of 10:59:00 UTC; the nearest is of 12:00:00 UTC (1h later)",
        ),
        (
            "2026-03-03T12:00:00Z", [398, 399],
            "no line within 5m of 2026-03-03 12:00:00 UTC; the nearest is of 2026-03-01 12:06:39 UTC (47h earlier)",
        ),
        ("2026-04-03T12:00:00Z", [], "no line within 7d of 2026-04-03 12:00:00 UTC"),
    ],
)  # fmt: skip
def test_around_a_time_that_has_no_line_near_it(home: Path, at: str, lines: list[int], words: str) -> None:
    """It printed nothing and ended with 0; the time of another zone is what is typed at night."""
    done = ended(home, *command(home, "--around", at, "-n", "2"))
    assert (done.returncode, numbers(done.stdout.splitlines())) == (0, lines)
    assert done.stderr == f"teal: {words}\n"


@pytest.mark.parametrize("odd", [b"no time here\nnor here\n", bytes(range(128, 256)) * 4], ids=["untimed", "binary"])
def test_a_file_without_times_does_not_hide_the_nearest_lines_of_the_others(home: Path, odd: bytes) -> None:
    """Its lines were all that was shown, with nothing said of how far off the others are."""
    (home / "odd.log").write_bytes(odd)
    config = home / "config.toml"
    config.write_text(config.read_text().replace('paths = ["etl.log"]', 'paths = ["etl.log", "odd.log"]'))
    done = ended(home, *command(home, "--around", "2026-03-01T12:40:00Z", "-n", "8"))
    assert all(f"INFO line {n}" in done.stdout or f"line {n}\n" in done.stdout for n in (398, 399))
    assert "the nearest is of 12:06:39 UTC (33m earlier)" in done.stderr


def test_a_window_without_a_line_is_said_as_it_was_understood(home: Path) -> None:
    done = ended(home, *command(home, "--since", "2026-03-01 02:53", "--until", "2026-03-01 03:10", "--grep", "line"))
    words = "no line that matches since 2026-03-01 02:53:00 UTC and until 2026-03-01 03:10:00 UTC"
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"teal: {words}\n")


def test_around_a_time_a_quiet_source_does_not_bring_far_lines_beside_near_ones(home: Path) -> None:
    (home / "etl.log").write_text("2026-03-01T11:00:00Z INFO line 7000\n")
    assert numbers(teal_log(home, "--around", "2026-03-01T12:01:40Z", "-n", "4")) == [96, 98, 100, 102]


def test_a_window_of_time(home: Path) -> None:
    window = ("--since", "2026-03-01T12:00:10Z", "--until", "2026-03-01T12:00:12Z", "-o", "jsonl")
    found = [json.loads(line) for line in teal_log(home, *window)]
    assert [entry["message"] for entry in found] == ["line 10", "line 11", "line 12"]
    assert {entry["late"] for entry in found} == {False}


class Following:
    """`teal log -f` with its output read line by line."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            command(home, "-f", *arguments), env=env(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def lines(self, count: int) -> list[str]:
        assert self.process.stdout is not None
        return [self.process.stdout.readline().decode().rstrip("\n") for _ in range(count)]


@pytest.fixture
def following(home: Path) -> Iterator[Any]:
    started: list[Following] = []

    def follow(*arguments: str) -> Following:
        started.append(Following(home, *arguments))
        return started[-1]

    yield follow
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate(timeout=PATIENCE_S)


def append(path: Path, at: datetime, text: str) -> None:
    with path.open("a") as file:
        file.write(f"{at:%Y-%m-%dT%H:%M:%S.%fZ} INFO {text}\n")


def test_follow_merges_and_ends_with_130_on_interrupt(home: Path, following: Any) -> None:
    tail = following("-n", "3", "--level", "info")
    assert numbers(tail.lines(6)) == list(range(394, 400))
    append(home / "web.log", T0 + timedelta(seconds=500), "line 500")
    append(home / "etl.log", T0 + timedelta(seconds=501), "line 501")
    assert numbers(tail.lines(2)) == [500, 501]
    tail.process.send_signal(signal.SIGINT)
    assert tail.process.wait(PATIENCE_S) == 130
    _, said = tail.process.communicate(timeout=PATIENCE_S)
    assert said.strip() == b""


def test_a_reader_that_has_enough_ends_it_quietly(home: Path, following: Any) -> None:
    tail = following("web", "-o", "jsonl", "-n", "2")
    assert [json.loads(line)["message"] for line in tail.lines(2)] == ["line 396", "line 398"]
    assert tail.process.stdout is not None
    tail.process.stdout.close()
    ends = time.monotonic() + PATIENCE_S
    while tail.process.poll() is None and time.monotonic() < ends:
        append(home / "web.log", T0, "nobody reads this")
        time.sleep(0.1)
    assert tail.process.returncode == 0
    assert tail.process.stderr is not None
    assert tail.process.stderr.read() == b""
    tail.process.stdout = None


def test_a_source_that_is_lost_is_said_and_the_others_go_on(home: Path, following: Any) -> None:
    config = (home / "config.toml").read_text()
    config += '[[contexts.c.logs]]\nname = "loki"\ntype = "loki"\nurl = "http://127.0.0.1:1"\nquery = "{}"\n'
    (home / "config.toml").write_text(config)
    tail = following("-n", "1")
    assert sorted(numbers(tail.lines(2))) == [398, 399]
    assert tail.process.stderr is not None
    assert b"loki: http://127.0.0.1:1" in tail.process.stderr.readline()
    append(home / "web.log", T0 + timedelta(seconds=500), "line 500")
    assert numbers(tail.lines(1)) == [500]


def test_a_read_whose_reader_has_enough_ends_quietly_too(home: Path) -> None:
    (home / "web.log").write_text("".join(f"line {n} {'x' * 100}\n" for n in range(5000)))
    words = " ".join(command(home, "-n", "100000"))
    done = subprocess.run(
        ["bash", "-c", f"{words} | head -1; exit ${{PIPESTATUS[0]}}"],
        env=env(home),
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_time_that_is_read_off_the_screen_finds_its_line(home: Path) -> None:
    """On a host of another zone than the context's."""
    config = home / "config.toml"
    config.write_text(config.read_text().replace("timezone = 'UTC'", "timezone = 'Europe/Berlin'"))
    shown = teal_log(home, "--around", "2026-03-01 13:01:40", "-n", "2")
    assert numbers(shown) == [99, 100]
    assert [line.split()[1] for line in shown] == ["13:01:39.000", "13:01:40.000"]
