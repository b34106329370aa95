"""The logs in a real terminal: followed live, left and taken up again, saved."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.terminal.conftest import Opener

pytestmark = pytest.mark.xdist_group("terminal")


def write(path: Path, *texts: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ} INFO {text}\n" for text in texts)


def test_lines_are_followed_live_paused_and_saved(console: Opener, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    write(log, *(f"line {n}" for n in range(100)))
    config = tmp_path / "config.toml"
    config.write_text('[contexts.c]\n[[contexts.c.logs]]\nname = "app"\ntype = "files"\npaths = ["app.log"]\n')
    config.chmod(0o600)
    terminal = console("-c", str(config), columns=100, rows=30, env={"TEAL_STATE_DIR": str(tmp_path / "state")})
    terminal.shows("line 99")
    terminal.send("5")
    terminal.hides("4 Deployments")
    write(log, "came while it was open")
    terminal.shows("came while it was open", "following")
    terminal.send("k")
    terminal.shows("paused")
    write(log, "came while it was paused")
    terminal.shows("1 new")
    assert "came while it was paused" not in terminal.text
    terminal.send("f")
    terminal.shows("came while it was paused", "following")
    terminal.send("&")
    terminal.shows("Enter keeps")
    terminal.send("open\r")
    terminal.hides("Enter keeps")
    terminal.shows("&open", "1 of 102")
    terminal.send("S")
    terminal.shows("1 line saved in")
    (saved,) = (tmp_path / "state" / "saved").iterdir()
    assert saved.read_text().rstrip().endswith("came while it was open")
    assert terminal.process.poll() is None
