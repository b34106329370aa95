"""`--timeout` is the total time of a read: what a command asks after its first look counts too."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx  # noqa: F401  imports count for nobody
import pytest

from console.cli.commands import teal
from console.cli.ending import run_command

TIMEOUT_S = 1.0
# A connection that is given up in its first moment is anyio's to tell of.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
CONFIG = """
[contexts.c]
[[contexts.c.alerts]]
name = "one"
type = "alertmanager"
urls = ["{url}"]
[[contexts.c.alerts]]
name = "two"
type = "alertmanager"
urls = ["{url}"]
[[contexts.c.pipelines]]
name = "dags"
type = "airflow"
url = "{url}"
[contexts.d]
[[contexts.d.checks]]
name = "web"
type = "http"
url = "{url}"
[[contexts.d.checks]]
name = "api"
type = "http"
url = "{url}"
"""


@pytest.fixture
def frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every source takes the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        config = tmp_path / "config.toml"
        config.write_text(CONFIG.format(url=f"http://127.0.0.1:{server.getsockname()[1]}"))
        monkeypatch.setenv("TEAL_CONFIG", str(config))
        monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
        run_command(teal, ["config", "validate", "--offline"])  # imports count for nobody
        yield


def test_what_is_followed_is_left_when_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "app.log").write_text("2026-11-29T20:00:00Z INFO one\n")
    (tmp_path / "config.toml").write_text('[contexts.c]\n[[contexts.c.logs]]\ntype = "files"\npaths = ["app.log"]\n')
    monkeypatch.setenv("TEAL_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    began = time.monotonic()
    assert run_command(teal, ["log", "-f", "--timeout", "1"]) == 0
    assert time.monotonic() - began < 10, "without an end it never ends"
    assert "one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["-C", "c", "alert", "silences"], ["alerts.one", "alerts.two"]),
        (["-C", "c", "report", "--handover"], ["alerts.one", "pipelines.dags"]),
        (["-C", "c", "alert", "show", "one/x"], []),
        (["-C", "c", "run", "show", "dags/p/1"], []),
        (["-C", "c", "run", "log", "dags/p/1"], []),
        (["-C", "c", "doctor"], ["no answer"]),
        (["config", "validate"], ["alerts.one", "alerts.two", "pipelines.dags", "checks.web", "checks.api"]),
    ],
)
@pytest.mark.usefixtures("frozen")
def test_a_read_ends_in_its_time_and_names_who_was_silent(
    words: list[str], named: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    assert run_command(teal, [*words, "--timeout", str(TIMEOUT_S)]) == 7
    assert time.monotonic() - began < 4.5, "an adapter alone would wait for 5 s or 10 s"
    said = "".join(capsys.readouterr())
    assert [name for name in named if name not in said] == []
