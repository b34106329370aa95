"""Backends that refuse or never answer: the console opens at once, says so, and its keys live on."""

import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terminal.conftest import Opener
from tests.terminal.harness import ESCAPE

pytestmark = pytest.mark.xdist_group("terminal")
CONFIG = """
[contexts.lost]
title = "lost"
refresh = "1s"
[[contexts.lost.quality]]
name = "scores"
type = "sql"
url = "sqlite:///not-there.db"
table = "data_quality_log"
[[contexts.lost.quality]]
name = "other"
type = "sql"
url = "sqlite:///other.db"
table = "data_quality_log"
[[contexts.lost.deployments]]
name = "refusing"
type = "file-switch"
path = "missing.json"
probe = {{ url = "http://127.0.0.1:{refusing}/health", header = "X-Environment" }}
health = {{ blue = "http://127.0.0.1:{refusing}/health", green = "http://127.0.0.1:{silent}/health" }}
[[contexts.lost.deployments]]
name = "silent"
type = "file-switch"
path = "switch.json"
probe = {{ url = "http://127.0.0.1:{silent}/health", header = "X-Environment" }}
health = {{ blue = "http://127.0.0.1:{refusing}/health", green = "http://127.0.0.1:{silent}/health" }}
[[contexts.lost.checks]]
name = "refusing"
type = "http"
url = "http://127.0.0.1:{refusing}/health"
[[contexts.lost.checks]]
name = "silent"
type = "http"
url = "http://127.0.0.1:{silent}/health"
"""


@pytest.fixture
def lost(tmp_path: Path) -> Iterator[Path]:
    """A config of such backends, with one file among them that answers."""
    with socket.socket() as refusing, socket.socket() as silent:
        refusing.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port, connections are refused
        silent.bind(("127.0.0.1", 0))
        silent.listen(128)
        text = CONFIG.format(refusing=refusing.getsockname()[1], silent=silent.getsockname()[1])
        config = tmp_path / "config.toml"
        config.write_text(text)
        config.chmod(0o600)
        (tmp_path / "switch.json").write_text('{"weights": {"blue": 100, "green": 0}, "generation": 1}')
        with sqlite3.connect(tmp_path / "other.db") as database:
            database.execute("create table data_quality_log (dataset text, score real, evaluated_at text)")
            database.execute("insert into data_quality_log values ('orders', 0.5, datetime('now'))")
        yield config


def test_lost_backends_are_said_and_hold_up_nothing(console: Opener, lost: Path) -> None:
    terminal = console("-c", str(lost))
    painted = terminal.shows("1 Pipelines", "4 Deployments", "2 Quality")
    terminal.send("?")
    assert terminal.shows("Keys", timeout_s=5.0) < 5.0
    terminal.send(ESCAPE)
    answered = terminal.shows("orders", "0.50")
    assert painted < 10.0
    assert answered < 5.0
    terminal.shows("refusing", "refused")
    terminal.shows("scores no data")
    terminal.send("s")
    terminal.shows("Sources", "refusing", "silent")
    terminal.send(ESCAPE)
    terminal.shows("4 Deployments")
    terminal.shows("silent", "no answer", timeout_s=60.0)
    terminal.send("4")
    terminal.hides("1 Pipelines")
    terminal.send("q")
    terminal.shows("1 Pipelines")
    terminal.send("q")
    assert terminal.ends(5.0) == 0
    assert terminal.not_restored() == []
