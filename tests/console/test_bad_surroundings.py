"""A zone that is none, a journal that is a directory, a place that nothing can be written to: one clear line each."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from console import crash
from console.cli.commands import teal
from console.cli.ending import run_command


@pytest.mark.parametrize("zone", ["UTC-99:99:99", "Europe/Berln", "Nope", ":Mars/X", "/no/such/file"])
def test_a_zone_that_is_none_is_said_and_taken_for_utc(tmp_path: Path, zone: str) -> None:
    """Every local time raised, or was UTC under another name."""
    (tmp_path / "config.toml").write_text("[contexts.c]\n")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "console.cli.main", "-c", str(tmp_path / "config.toml"), "status"],
        env={"PATH": "/usr/bin:/bin", "TZ": zone, "HOME": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = zone.removeprefix(":")
    assert done.stderr.startswith(f"teal: TZ={said} is no time zone, so times are UTC (")
    assert "times in UTC" in done.stdout.splitlines()[0]
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "zone", ["UTC", "", "Europe/Berlin", ":Europe/Berlin", "<+14>-14", "CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT"]
)
def test_other_zones_are_left_alone(
    zone: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from console.zones import mend_zone

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        mend_zone()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("tz", "timezone", "frozen"), [("Europe/Berln", "", True), ("Europe/Berln", "UTC", False), ("UTC", "", False)]
)
def test_a_freeze_whose_zone_nobody_knows_lets_nothing_forward(
    monkeypatch: pytest.MonkeyPatch, tz: str, timezone: str, frozen: bool
) -> None:
    from console.zones import zone_doubts

    monkeypatch.setenv("TZ", tz)
    assert bool(zone_doubts(timezone, ("Fri 16:00 - Mon 08:00",))) is frozen
    assert zone_doubts(timezone, ()) == ()


def test_a_journal_that_is_a_directory_is_a_mistake_of_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 70."""
    (tmp_path / "journal.db").mkdir()
    config = tmp_path / "config.toml"
    config.write_text(f'[contexts.c]\njournal = "sqlite:///{tmp_path / "journal.db"}"\n')
    monkeypatch.setenv("TEAL_CONFIG", str(config))
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    assert run_command(teal, ["note", "hello"]) == 2
    told = capsys.readouterr().err
    assert f"journal {tmp_path / 'journal.db'}: a directory, where its file should be" in told
    assert f"name a file in it: {tmp_path / 'journal.db' / 'journal.db'}" in told


def test_places_that_may_not_be_looked_at_are_state_and_no_defect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In Python 3.11 `Path.exists` raises where a directory may not be searched."""
    locked = tmp_path / "locked"
    entries = {
        "quality": f'type = "sql"\nurl = "sqlite:///{locked}/warehouse.db"\ntable = "t"',
        "deployments": (
            f'type = "haproxy"\nnodes = ["unix:/nosuch.sock"]\nbackend = "b"\npersist = "{locked}/state"\n'
            'servers = { blue = ["b"], green = ["g"] }'
        ),
        "logs": 'type = "kubernetes"\nselector = "app=x"',
    }
    config = tmp_path / "config.toml"
    config.write_text("[contexts.c]\n" + "".join(f"[[contexts.c.{port}]]\n{more}\n" for port, more in entries.items()))
    monkeypatch.setenv("TEAL_CONFIG", str(config))
    monkeypatch.setenv("KUBECONFIG", str(locked / "kubeconfig"))
    real = os.stat

    def refused(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if str(path).startswith(str(locked)):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setenv("TEAL_STATE_DIR", str(locked / "state"))
    monkeypatch.setattr(os, "stat", refused)
    for arguments in (["doctor"], ["doctor", "-o", "json"], ["check"], ["status"]):
        code = run_command(teal, arguments)
        told = "".join(capsys.readouterr())
        assert code != 70, told
        assert "defect" not in told


def test_a_crash_without_a_place_for_its_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole stack was in the text of the monitoring plugin."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "file" / "state"))
    try:
        raise ValueError("with a secret")
    except ValueError as error:
        said = str(crash.write_crash_file(error))
    assert said.startswith('"test_bad_surroundings.py:')
    assert "no crash file could be written" in said
    assert "\n" not in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["status"], 7),
        (["deploy", "rollback", "x", "-y"], 7),
        (["note", "check"], 7),
        (["check"], 3),
        (["-C", "status", "check", "--list"], 3),
    ],
)
def test_a_clock_beyond_what_can_be_counted_is_said_in_one_line(command: list[str], code: int, tmp_path: Path) -> None:
    """Exit 70, from each command."""
    program = (
        "import sys, time\n"
        "def beyond(): raise OverflowError('timestamp too large to convert to C _PyTime_t')\n"
        "time.time = time.time_ns = beyond\n"
        "from console.cli.main import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *command], env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == "teal: the clock of this host says a year after 2262 (set it, as with `timedatectl`)\n"
    assert not list(tmp_path.rglob("crash-*"))
