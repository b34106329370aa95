"""A real journal: written by systemd-journal-remote, read by the adapter through the real journalctl."""

import asyncio
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backends.http import Http
from backends.logs.journald import JournaldLogs
from backends.ports import LogQuery
from backends.registry import AdapterContext, build
from backends.testing.logs import PATIENCE_S, T0, Line, LogsContract, Write, take
from tests.live.require import program

pytestmark = pytest.mark.live

REMOTE = "/lib/systemd/systemd-journal-remote"
PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}

Put = Callable[..., None]


def exported(at_us: int, number: int, message: bytes, **fields: str) -> bytes:
    """One entry in the journal's export format; the message as bytes, which any may be."""
    lines = [f"__REALTIME_TIMESTAMP={at_us}", f"__MONOTONIC_TIMESTAMP={number}", "_BOOT_ID=" + "0123456789abcdef" * 2]
    lines += [f"{name}={value}" for name, value in fields.items()]
    head = "".join(f"{line}\n" for line in lines).encode()
    return head + b"MESSAGE\n" + struct.pack("<Q", len(message)) + message + b"\n\n"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    program("journalctl")
    program("systemd-journal-remote", REMOTE)
    (tmp_path / "journal").mkdir()
    return tmp_path / "journal"


@pytest.fixture
def put(journal: Path) -> Put:
    numbers = iter(range(1, 1_000_000))

    def put(*messages: tuple[int, bytes, dict[str, str]]) -> None:
        data = b"".join(exported(at, next(numbers), text, **fields) for at, text, fields in messages)
        subprocess.run(
            [REMOTE, "-o", str(journal / "a.journal"), "-"], input=data, check=True, capture_output=True, timeout=60
        )

    return put


def logs_of(journal: Path, **config: Any) -> JournaldLogs:
    context = AdapterContext("journal", journal.parent, journal.parent, Http())
    adapter: JournaldLogs = build("logs", "journald", {"directory": "journal", **config}, context)
    return adapter


@pytest.fixture
async def adapter(journal: Path) -> JournaldLogs:
    return logs_of(journal)


class TestContract(LogsContract):
    @pytest.fixture
    def write(self, put: Put) -> Write:
        def write(rows: list[Line]) -> None:
            put(
                *(
                    (
                        int(row.at.timestamp() * 1e6),
                        row.message.encode("utf-8", "surrogatepass"),
                        {"PRIORITY": str(PRIORITIES[row.level]), "SYSLOG_IDENTIFIER": "app"},
                    )
                    for row in rows
                )
            )

        return write


async def test_units_matches_levels_and_bytes(journal: Path, put: Put) -> None:
    at = int(T0.timestamp() * 1e6)
    put(
        (at, b"ERROR: said on stdout", {"PRIORITY": "6", "_SYSTEMD_UNIT": "a.service", "_HOSTNAME": "h1", "_PID": "7"}),
        (at + 1, b"not UTF-8 \xff\xfe", {"PRIORITY": "3", "_SYSTEMD_UNIT": "b.service"}),
        (at + 2, b"kernel", {"_TRANSPORT": "kernel"}),
    )
    first, second, third = await logs_of(journal).query(LogQuery())
    assert (first.source, first.level, first.labels) == (
        "a", "error", {"unit": "a.service", "host": "h1", "pid": "7"}
    )  # fmt: skip
    assert (second.message, second.level, second.at_ns) == ("not UTF-8 \ufffd\ufffd", "error", str((at + 1) * 1000))
    assert (third.source, third.level) == ("journal", "unknown")
    (kernel,) = await logs_of(journal, matches=["_TRANSPORT=kernel"]).query(LogQuery())
    assert kernel.message == "kernel"


async def test_a_large_message_is_read_and_cut(journal: Path, put: Put) -> None:
    put((int(T0.timestamp() * 1e6), b"x" * 300_000, {}), (int(T0.timestamp() * 1e6) + 1, b"after", {}))
    large, after = await logs_of(journal).query(LogQuery())
    assert large.message.startswith("xxx")
    assert len(large.message) <= 4096
    assert after.message == "after"


async def test_follow_an_empty_journal_from_its_first_entry(journal: Path, put: Put) -> None:
    stream = logs_of(journal).follow(LogQuery())
    waiting = asyncio.ensure_future(take(stream, 1, PATIENCE_S))
    put((int(T0.timestamp() * 1e6), b"first", {}))
    assert [entry.message for entry in await waiting] == ["first"]
    await stream.aclose()
