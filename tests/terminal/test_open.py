"""`teal open` on a terminal: the console with that one thing on top of the overview."""

import socket
from pathlib import Path

import pytest

from tests.terminal.conftest import TEAL
from tests.terminal.harness import ESCAPE, Terminal

pytestmark = pytest.mark.xdist_group("terminal")
CONFIG = """
[contexts.lone]
title = "lone"
[[contexts.lone.checks]]
name = "port"
type = "tcp"
host = "127.0.0.1"
port = {port}
[[contexts.lone.checks]]
name = "postern"
type = "tcp"
host = "127.0.0.1"
port = {port}
"""


def test_it_opens_on_the_thing_and_leads_back_to_the_overview(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    env = {"HOME": str(tmp_path), "LANG": "C.UTF-8", "TERM": "xterm-256color", "TEAL_STATE_DIR": str(tmp_path)}
    with socket.create_server(("127.0.0.1", 0)) as server:
        config.write_text(CONFIG.format(port=server.getsockname()[1]))
        config.chmod(0o600)
        with Terminal([TEAL, "-c", str(config), "open", "postern"], env) as terminal:
            terminal.shows("Check postern", "connected in")
            terminal.send(ESCAPE)
            terminal.shows("1 Pipelines", "5 Logs")
            terminal.send("q")
            assert terminal.ends() == 0
            assert terminal.not_restored() == []


def test_what_is_not_there_opens_nothing(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[contexts.lone]\n")
    config.chmod(0o600)
    env = {"HOME": str(tmp_path), "LANG": "C.UTF-8", "TERM": "xterm-256color", "TEAL_STATE_DIR": str(tmp_path)}
    with Terminal([TEAL, "-c", str(config), "open", "postern"], env) as terminal:
        assert terminal.ends() == 5
        assert 'no item "postern"' in terminal.text
        assert b"\x1b[?1049h" not in terminal.raw
