"""The corpus in tests/fixtures/logs: what each of its lines says, and whether lnav reads the same time and level.

Beside each NAME.log stands NAME.expected: time, level and message of each line, by tabs; `-` for no time.
"""

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from backends.logs.lines import entry_of, parse_text, plain
from backends.logs.reading import LineFilter, LineFormat, search_file
from backends.logs.wrappers import Joiner
from backends.models import LogEntry, LogLevel
from backends.ports import LogQuery
from tests.live.require import program

CORPUS = Path(__file__).parents[1] / "fixtures" / "logs"
NAMES = sorted(path.stem for path in CORPUS.glob("*.log"))
WRITTEN = datetime(2026, 11, 28, 21, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")

# Of the others lnav 0.11.1 is no judge: it does not read them, takes one format for a file, makes up a day, or ignores
# offsets, names of zones, the level of logfmt, priority 11 or the status of a request.
_BY_LNAV = (
    "access", "access-vhost", "airflow", "apache-error", "aws-access", "bom-crlf", "celery", "cisco-ios",
    "colored", "generic", "glog", "go", "iso-offset", "java-util-logging", "journalctl", "kafka", "klog",
    "logrus", "lower-case-level", "mongod-before-4.4", "mysql", "nginx-error", "nlog", "nul-hole",
    "postgres-debug", "python-logging", "serilog", "stack-trace", "syslog", "vdsm", "zeek",
)  # fmt: skip
_IGNORES_OFFSETS = ("access", "iso-offset", "journalctl", "serilog")


def read(path: Path) -> list[LogEntry]:
    return search_file(path, LogQuery(), LineFormat(zone=UTC_ZONE))


@pytest.fixture(params=NAMES)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy that was written when the corpus says so: a time without a year is read by that."""
    path = tmp_path / f"{request.param}.log"
    shutil.copy(CORPUS / path.name, path)
    os.utime(path, (WRITTEN.timestamp(),) * 2)
    return path


def test_each_line_says_what_is_written_beside_it(log: Path) -> None:
    expected = [line.split("\t", 2) for line in (CORPUS / f"{log.stem}.expected").read_text().splitlines()]
    found = [
        [entry.at.isoformat().replace("+00:00", "Z") if entry.at else "-", entry.level, entry.message]
        for entry in read(log)
    ]
    assert found == expected


def test_the_same_through_any_other_source(log: Path) -> None:
    """Pods, Loki, Elasticsearch, the journal and runs hand over text."""
    text = log.read_bytes().decode("utf-8-sig").replace("\0", "")
    lines = [line for line in text.split("\n") if line.strip()]
    entries = [parse_text(line, source=log.stem, zone=UTC_ZONE, written=WRITTEN) for line in lines]
    assert entries == [entry for entry in read(log) if entry.message]


@pytest.mark.parametrize("level", ["debug", "warning", "error", "critical"])
def test_a_search_for_a_level_finds_what_has_it(log: Path, level: LogLevel) -> None:
    """A block is searched by how a level can be written, not line by line: what is known there is known here."""
    wanted, line_format = LineFilter(LogQuery(level=level)), LineFormat(zone=UTC_ZONE, written=WRITTEN)
    joiner = Joiner()
    lines = [whole for line in line_format.text(log.read_bytes()).split("\n") if (whole := joiner.feed(plain(line)))]
    entries = [(line, entry_of(line_format.read(line), log.stem)) for line in lines]
    one_by_one = [entry for line, entry in entries if line.strip() and wanted.takes(line, entry)]
    found = search_file(log, LogQuery(level=level), LineFormat(zone=UTC_ZONE))
    assert [entry for entry in found if entry.message] == one_by_one


def test_there_are_at_least_fifty_formats() -> None:
    assert len(NAMES) >= 50


def _by_lnav(path: Path) -> list[dict[str, Any]]:
    select = ";SELECT log_line, log_time, log_level FROM all_logs"
    command = [program("lnav"), "-n", "-c", select, "-c", ":write-json-to -", str(path)]
    env = {**os.environ, "HOME": str(path.parent), "TZ": "UTC"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, stdin=subprocess.DEVNULL)
    rows: list[dict[str, Any]] = json.loads(done.stdout) if done.stdout.strip() else []
    return rows


@pytest.mark.live
@pytest.mark.parametrize("log", _BY_LNAV, indirect=True)
def test_time_and_level_are_those_of_lnav(log: Path) -> None:
    """Wherever it reads a line; the lines that follow one are part of it there."""
    rows = _by_lnav(log)
    assert rows
    messages = [entry for entry in read(log) if entry.at is not None]
    by_time = {entry.at: entry for entry in messages}
    for row in rows:
        at = datetime.fromisoformat(row["log_time"]).replace(tzinfo=UTC)
        entry = (
            messages[row["log_line"]]
            if log.stem in _IGNORES_OFFSETS
            else by_time.get(at) or _to_milliseconds(messages, at)
        )
        assert entry is not None, row
        if row["log_level"] != "unknown":
            assert _alike(row["log_level"], entry.level), row


def _to_milliseconds(entries: list[LogEntry], at: datetime) -> LogEntry | None:
    return next((entry for entry in entries if entry.at and abs(entry.at - at) < timedelta(milliseconds=1)), None)


def _alike(theirs: str, ours: str) -> bool:
    """lnav has eleven levels, and calls what names none `info`."""
    names = {"trace": "debug", "stats": "info", "debug2": "debug", "notice": "info", "fatal": "critical"}
    return names.get(theirs, theirs) == ours or (theirs == "info" and ours == "unknown")
