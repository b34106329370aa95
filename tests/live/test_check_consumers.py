"""What `teal check` prints, taken by whom it is for: plugins' `negate`, promtool, node_exporter, a JUnit reader."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.process import accepts, free_port, started
from tests.live.require import program

pytestmark = pytest.mark.live

CONFIG = """
default_context = "production"
[contexts.production]
[[contexts.production.checks]]
name = "port"
type = "tcp"
host = "127.0.0.1"
port = {port}
[[contexts.production.checks]]
name = "größte \\"backup\\" \\\\ it's = | <x> …"
type = "backup"
path = "*.dump"
[[contexts.production.checks]]
name = "gone"
type = "freshness"
url = "sqlite:///gone.db"
query = "select 1"
"""
ODD_NAME = 'größte "backup" \\ it\'s = | <x> …'


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def command(listening: socket.socket, tmp_path: Path) -> list[str]:
    """`teal check` of a port that answers, a backup of 50 GB a day and a half ago, and a database that is not there."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(port=listening.getsockname()[1]), encoding="utf-8")
    path.chmod(0o600)
    backup = tmp_path / "w.dump"
    with backup.open("wb") as file:
        file.truncate(50_000_000_123)
    os.utime(backup, (time.time() - 1.5 * 86400,) * 2)
    return [sys.executable, "-m", "console.cli.main", "check", "-c", str(path)]


def run(command: list[str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    env = {"TEAL_STATE_DIR": str(tmp_path / "state"), "PATH": os.environ["PATH"]}
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=env, timeout=30, check=False)


@pytest.mark.parametrize("name", ["port", "gone", ODD_NAME])
def test_negate_of_the_monitoring_plugins(
    command: list[str], listening: socket.socket, tmp_path: Path, name: str
) -> None:
    negate = [program("negate", "/usr/lib/nagios/plugins/negate"), "--substitute"]
    swaps = ["--ok=CRITICAL", "--critical=OK", "--warning=UNKNOWN", "--unknown=WARNING"]
    code, swapped = {"port": (2, "CRITICAL: "), "gone": (1, "WARNING: ")}.get(name, (3, "UNKNOWN: "))
    done = run([*negate, *swaps, *command, name], tmp_path)
    assert (done.returncode, done.stdout.startswith(swapped)) == (code, True), done.stdout + done.stderr
    listening.close()
    done = run([*negate, *swaps, *command, "port"], tmp_path)
    assert (done.returncode, done.stdout.startswith("OK: port: ")) == (0, True)


def test_promtool_accepts_the_metrics(command: list[str], tmp_path: Path) -> None:
    metrics = run([*command, "-o", "prom"], tmp_path).stdout
    assert 'label="size",unit="B"} 50000000123\n' in metrics
    promtool = [program("promtool"), "check", "metrics"]
    done = subprocess.run(promtool, input=metrics, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_node_exporter_serves_the_metrics(command: list[str], tmp_path: Path) -> None:
    directory = tmp_path / "textfile"
    directory.mkdir()
    done = run([*command, "-o", "prom"], tmp_path)
    assert done.returncode == 3
    (directory / "teal.prom.new").write_text(done.stdout, encoding="utf-8")
    (directory / "teal.prom.new").rename(directory / "teal.prom")
    port = free_port()
    exporter = [program("prometheus-node-exporter", "/usr/bin/node_exporter"), "--collector.disable-defaults"]
    exporter += ["--collector.textfile", f"--collector.textfile.directory={directory}"]
    exporter += [f"--web.listen-address=127.0.0.1:{port}"]
    with (
        started(exporter, tmp_path / "exporter.log", lambda: accepts(port)),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer,
    ):
        served = answer.read().decode()
    assert "node_textfile_scrape_error 0" in served
    assert 'tealdeck_check_status{check="port",context="production"} 0' in served
    assert 'tealdeck_check_status{check="gone",context="production"} 3' in served
    assert 'tealdeck_check_status{check="größte \\"backup\\" \\\\ it\'s = | <x> …",context="production"} 1' in served
    assert "\ntealdeck_check_last_run_timestamp_seconds{" in served


def test_a_junit_reader_accepts_the_report(command: list[str], tmp_path: Path) -> None:
    import junitparser

    report = tmp_path / "report.xml"
    report.write_text(run([*command, "-o", "junit"], tmp_path).stdout, encoding="utf-8")
    found = junitparser.JUnitXml.fromfile(str(report))
    assert (found.tests, found.failures, found.errors, found.skipped) == (3, 0, 1, 0)
    (suite,) = found
    assert (suite.name, suite.tests, suite.hostname) == ("production", 3, socket.gethostname())
    by_name = {case.name: case for case in suite}
    assert set(by_name) == {"port", "gone", ODD_NAME}
    (error,) = by_name["gone"].result
    assert isinstance(error, junitparser.Error)
    assert "gone.db: no such file" in error.message
    assert by_name["port"].is_passed
    assert by_name[ODD_NAME].is_passed
    assert "WARNING: w.dump is 1d12h" in by_name[ODD_NAME].system_out
    assert all(case.time is not None and case.classname == "production.check" for case in suite)


def test_perfdata_that_plugins_can_read(command: list[str], tmp_path: Path) -> None:
    """A reader as the guidelines have it: quoted labels, doubled quotes, no equals sign or bar inside."""
    first, *others = run(command, tmp_path).stdout.splitlines()
    assert first.count("|") == 1
    assert not any("|" in line for line in others)
    label = "'größte \"backup\" \\ it''s _ / <x> …_size'"
    assert f" {label}=50000000123B;;1:;0" in first
