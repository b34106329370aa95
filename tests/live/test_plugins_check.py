"""The `command` check with Debian's monitoring plugins: what they say is what is told."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.checks.command import CommandCheck
from backends.http import Http
from backends.models import CheckResult
from backends.registry import AdapterContext, build
from backends.testing.checks import consistent
from tests.live.process import free_port
from tests.live.require import program

pytestmark = pytest.mark.live

PLUGINS = "/usr/lib/nagios/plugins"


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def look(directory: Path, name: str, *arguments: str, **config: Any) -> CheckResult:
    command = [program(name, f"{PLUGINS}/{name}"), *arguments]
    context = AdapterContext("mine", directory, directory, Http())
    check: CommandCheck = build("checks", "command", {"command": command, "timeout": "30s", **config}, context)
    result = await check.run()
    consistent(result)
    return result


@pytest.mark.parametrize(
    ("status", "state"), [(0, "ok"), (1, "warning"), (2, "critical"), (3, "unknown"), (9, "unknown")]
)
async def test_each_status(tmp_path: Path, status: int, state: str) -> None:
    result = await look(tmp_path, "check_dummy", str(status), "so it is")
    assert result.state == state
    assert status > 3 or result.message == f"{state.upper()}: so it is"


async def test_a_port_that_answers_and_one_that_does_not(tmp_path: Path, listening: int) -> None:
    result = await look(tmp_path, "check_tcp", "-H", "127.0.0.1", "-p", str(listening), "-w", "5", "-c", "9")
    assert result.state == "ok"
    assert result.message.startswith("TCP OK - ")
    (time,) = result.perfdata
    assert (time.label, time.unit, time.min, time.max) == ("time", "s", 0, 10)
    assert (float(time.warn), float(time.crit)) == (5, 9)
    assert time.value is not None
    gone = await look(tmp_path, "check_tcp", "-H", "127.0.0.1", "-p", str(free_port()))
    assert gone.state == "critical"
    assert "Connection refused" in gone.message


async def test_a_disk(tmp_path: Path) -> None:
    fine = await look(tmp_path, "check_disk", "-w", "0%", "-c", "0%", "-p", str(tmp_path))
    assert fine.state == "ok"
    (datum,) = fine.perfdata
    assert (datum.unit, datum.min) in (("B", 0), ("MB", 0), ("MiB", 0))
    assert datum.value is not None
    assert datum.max is not None
    assert 0 < datum.value < datum.max
    assert (await look(tmp_path, "check_disk", "-w", "100%", "-c", "100%", "-p", str(tmp_path))).state == "critical"


async def test_several_values(tmp_path: Path) -> None:
    result = await look(tmp_path, "check_load", "-w", "9999,9999,9999", "-c", "9999,9999,9999")
    assert [datum.label for datum in result.perfdata] == ["load1", "load5", "load15"]
    assert {float(datum.warn) for datum in result.perfdata} == {9999}


async def test_a_plugin_that_runs_another_and_one_that_is_called_wrongly(tmp_path: Path) -> None:
    dummy = program("check_dummy", f"{PLUGINS}/check_dummy")
    swapped = await look(tmp_path, "negate", "--substitute", dummy, "0", "well")
    assert (swapped.state, swapped.message) == ("critical", "CRITICAL: well")
    wrong = await look(tmp_path, "check_tcp", "--no-such-option")
    assert wrong.state == "unknown"
    assert wrong.message
