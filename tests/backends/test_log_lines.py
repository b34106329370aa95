"""Lines of logs as they are written by real programs."""

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.logs import stamps
from backends.logs.lines import at_least, nanoseconds, parse_line, parse_time

NINE = datetime(2026, 11, 21, 9, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "at", "level", "message"),
    [
        (b"2026-11-21T09:31:00Z ERROR boom", NINE, "error", "boom"),
        (b"2026-11-21 09:31:00,000 - db - WARNING - slow", NINE, "warning", "db - WARNING - slow"),
        (b"[2026-11-21 10:31:00 +0100] [4711] [INFO] Booting", NINE, "info", "[4711] [INFO] Booting"),
        (b"2026/11/21 09:31:00 [error] 7#7: *1 open() failed", NINE, "error", "7#7: *1 open() failed"),
        (b"2026-11-21 09:31:00.000 UTC [81] LOG:  checkpoint", NINE, "info", "[81] LOG:  checkpoint"),
        (b"2026-11-21T09:31:00Z INFO       indented", NINE, "info", "  indented"),
        (b"INFO:     Application startup complete.", None, "info", "Application startup complete."),
        (b'  File "app.py", line 3, in <module>', None, "unknown", '  File "app.py", line 3, in <module>'),
        (b"sqlite3.OperationalError: no such table", None, "error", "sqlite3.OperationalError: no such table"),
        (b"error in the middle of information", None, "unknown", "error in the middle of information"),
        (b"2026-13-41T09:31:00Z not a date", None, "unknown", "2026-13-41T09:31:00Z not a date"),
        (b'{"ts": 1795253460, "level": "Warn", "msg": "low", "n": 3}', NINE, "warning", "low"),
        (b'{"@timestamp": "2026-11-21T09:31:00Z", "severity": "FATAL", "message": "x"}', NINE, "critical", "x"),
        (b'{"time": 3.2, "level": "info", "msg": "took"}', None, "info", "took"),
        (b'{"level": "info", "msg": ', None, "unknown", '{"level": "info", "msg": '),
        (b'ts=2026-11-21T09:31:00Z level=error msg="a \\"b\\" c" k=v', NINE, "error", 'a "b" c'),
        (b"Nov 21 09:31:00 db1 load[7]: 0 errors", NINE, "unknown", "db1 load[7]: 0 errors"),
        (b"caf\xe9 \xff", None, "unknown", "caf� �"),
    ],
)  # fmt: skip
def test_forms(raw: bytes, at: datetime | None, level: str, message: str) -> None:
    entry = parse_line(raw, source="app", zone=ZoneInfo("UTC"), written=NINE)
    assert (entry.at, entry.level, entry.message) == (at, level, message)
    assert entry.at_ns == (None if at is None else str(nanoseconds(at)))


def test_nanoseconds_survive() -> None:
    entry = parse_line(b"2026-11-21T09:31:00.123456789Z x", source="app")
    assert entry.at_ns == "1795253460123456789"
    assert entry.at == NINE.replace(microsecond=123456)


def test_naive_time_is_of_the_configured_zone() -> None:
    found = parse_time("2026-07-01 12:00:00", ZoneInfo("Europe/Berlin"))
    assert found is not None
    assert found[0] == datetime(2026, 7, 1, 10, tzinfo=UTC)


def test_labels_of_structured_lines() -> None:
    entry = parse_line(b'{"msg": "m", "user": "al\\u001b[31mice", "n": 3, "deep": {"x": 1}}', source="app")
    assert entry.labels == {"user": "alice", "n": "3", "deep": '{"x":1}'}


@given(st.binary(max_size=300))
def test_any_bytes_become_a_printable_line(raw: bytes) -> None:
    entry = parse_line(raw, source="app")
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in entry.message)


@given(st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds have no zone
def test_times_come_back(at: datetime) -> None:
    assert parse_time(at.isoformat()) == (at, nanoseconds(at))


def test_unknown_is_not_an_error_nor_fine() -> None:
    assert not at_least("unknown", "debug")
    assert at_least("unknown", None)
    assert at_least("critical", "error")


@pytest.mark.parametrize("caller", [None, "Asia/Tokyo", "America/Chicago"])
def test_a_time_without_a_zone_is_of_the_host_whoever_reads_it(
    monkeypatch: pytest.MonkeyPatch, caller: str | None
) -> None:
    """A job under cron has no TZ, and a console has that of its user."""
    monkeypatch.setattr(stamps, "HOST_ZONE", "/usr/share/zoneinfo/Europe/Berlin")
    stamps.host_zone.cache_clear()
    monkeypatch.delenv("TZ", raising=False)
    if caller is not None:
        monkeypatch.setenv("TZ", caller)
    time.tzset()
    try:
        read = [parse_line(f"2026-07-01 14:00:00{named} ERROR x".encode(), source="s").at for named in ("", " CEST")]
    finally:
        monkeypatch.undo()
        time.tzset()
        stamps.host_zone.cache_clear()
    assert read == [datetime(2026, 7, 1, 12, tzinfo=UTC)] * 2
