"""journalctl that is missing, refuses, dies or babbles. When all is well: `tests/live/test_journald.py`."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.logs.journald import JournaldConfig, JournaldLogs
from backends.logs.merging import is_gap
from backends.ports import LogQuery
from backends.registry import AdapterContext
from backends.testing.logs import PATIENCE_S

ENTRY = '{"__CURSOR":"c%d","__REALTIME_TIMESTAMP":"177236640000000%d","MESSAGE":"line %d","PRIORITY":"6"}'
Script = Callable[[str], JournaldLogs]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """An adapter whose journalctl is this shell script."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def script(text: str) -> JournaldLogs:
        (tmp_path / "journalctl").write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "journalctl").chmod(0o755)
        return JournaldLogs(JournaldConfig(units=("a.service",)), AdapterContext("j", tmp_path, tmp_path, Http()))

    return script


@pytest.mark.parametrize(
    ("text", "kind", "word"),
    [
        ("echo 'Failed to open files: Permission denied' >&2; exit 1", "auth", "Permission denied"),
        ("echo 'Failed to iterate \033[31mjournal' >&2; exit 1", "unreachable", "Failed to iterate journal"),
        ("exit 3", "unreachable", "journalctl failed"),
        ("echo '{\"MESSAGE\":'", "malformed", "journalctl"),
        ("echo not json", "malformed", "journalctl"),
        ('echo \'{"MESSAGE":"no cursor"}\'', "malformed", "__CURSOR"),
    ],
)
async def test_each_failure_is_one_error(script: Script, text: str, kind: str, word: str) -> None:
    with pytest.raises(BackendError) as caught:
        await script(text).query(LogQuery())
    assert caught.value.kind == kind
    assert word in caught.value.message
    assert caught.value.message.isprintable()


async def test_one_odd_entry_is_a_gap_beside_the_others(script: Script) -> None:
    good = [ENTRY % (n, n, n) for n in range(3)]
    rows = [good[2], "not json", good[1], good[0]]
    adapter = script("\n".join(f"echo '{row}'" for row in rows))
    found = await adapter.query(LogQuery(grep="line"))
    assert [entry.message for entry in found if not is_gap(entry)] == ["line 0", "line 1", "line 2"]
    assert [is_gap(entry) for entry in found] == [False, False, True, False]


async def test_no_journalctl_is_said(script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    adapter = script("")
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(BackendError) as caught:
        await adapter.query(LogQuery())
    assert caught.value.kind == "config"


async def test_a_follow_whose_process_ends_is_an_error_and_not_an_end(script: Script) -> None:
    stream = script(f"echo '{ENTRY % (1, 1, 1)}'").follow(LogQuery())
    got = [(await anext(stream)).message, (await anext(stream)).message]
    with pytest.raises(BackendError):
        await anext(stream)
    assert got == ["line 1", "line 1"]  # this script knows no cursors


@pytest.mark.parametrize("stop", ["enough", "cancelled"])
async def test_no_process_outlives_its_read(script: Script, tmp_path: Path, stop: str) -> None:
    adapter = script(f"echo $$ > {tmp_path}/pid; echo '{ENTRY % (1, 1, 1)}'; exec sleep 600")
    reading = asyncio.ensure_future(adapter.query(LogQuery(limit=1 if stop == "enough" else 2)))
    async with asyncio.timeout(PATIENCE_S):
        if stop == "enough":
            assert [entry.message for entry in await reading] == ["line 1"]
        else:
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
                await asyncio.sleep(0.01)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_config_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="FIELD=VALUE"):
        JournaldConfig(matches=("--file=/etc/shadow",))


async def test_a_stack_trace_stays_with_its_error(script: Script) -> None:
    """Each line of a service's output is an entry of priority info; they come newest first."""
    texts = ["INFO fine", "ERROR failed", "Traceback (most recent call last):", "  File x", "KeyError: y", "INFO fine"]
    rows = [
        f'{{"__CURSOR":"{n}","__REALTIME_TIMESTAMP":"177236640000000{n}","PRIORITY":"6","MESSAGE":"{text}"}}'
        for n, text in enumerate(texts)
    ]
    adapter = script("cat <<'END'\n" + "\n".join(reversed(rows)) + "\nEND")
    found = await adapter.query(LogQuery(level="error"))
    assert [entry.message for entry in found] == ["failed", *texts[2:5]]
