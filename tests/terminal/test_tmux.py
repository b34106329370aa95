"""The console within a real tmux: drawn, resized, copied from, left, and ended with its window."""

import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.attention import sequence
from tests.live.require import program
from tests.terminal.conftest import TEAL, Sandbox
from tests.terminal.harness import Terminal

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("terminal")]
PATIENCE_S = 30.0


class Tmux:
    """A server of its own, with one window that runs a shell."""

    def __init__(self, directory: Path, env: dict[str, str]) -> None:
        self._socket = directory / "tmux"
        self._env = {**env, "SHELL": "/bin/sh", "PS1": "prompt> "}
        self.run("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", "-s", "teal", "/bin/sh")

    def run(self, *words: str) -> str:
        command = [program("tmux"), "-S", str(self._socket), *words]
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def type(self, *keys: str) -> None:
        self.run("send-keys", "-t", "teal", *keys)

    @property
    def text(self) -> str:
        return self.run("capture-pane", "-p", "-t", "teal")

    def shows(self, *words: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while not all(word in self.text for word in words):
            assert time.monotonic() < until, f"{words} not in\n{self.text}"
            time.sleep(0.1)

    def close(self) -> None:
        subprocess.run([program("tmux"), "-S", str(self._socket), "kill-server"], check=False, capture_output=True)


@pytest.fixture
def tmux(tmp_path: Path, sandbox: Sandbox) -> Iterator[Tmux]:
    env = {**os.environ, **sandbox.env, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    for name in ("TMUX", "TERM", "NO_COLOR", "COLUMNS", "LINES"):  # the last two would be its size for good
        env.pop(name, None)
    found = Tmux(tmp_path, env)
    yield found
    found.close()


def test_it_is_drawn_resized_copied_from_and_left(tmux: Tmux) -> None:
    tmux.shows("prompt>")
    tmux.type(f"{shlex.quote(TEAL)}; echo ended with $?", "Enter")
    tmux.shows("1 Pipelines", "4 Deployments", "live BLUE")
    tmux.run("resize-window", "-t", "teal", "-x", "120", "-y", "40")
    tmux.shows("6 Timeline")
    tmux.run("resize-window", "-t", "teal", "-x", "40", "-y", "12")
    tmux.shows("teal needs 60 by 16")
    tmux.run("resize-window", "-t", "teal", "-x", "80", "-y", "24")
    tmux.shows("1 Pipelines", "live BLUE")
    tmux.type("1")
    tmux.shows("production_data_pipeline")
    tmux.type("y")
    tmux.shows("sent to the clipboard through tmux")
    assert "_" in tmux.run("show-buffer"), "a row of Pipelines"
    tmux.type("q", "q")
    tmux.shows("ended with 0", "prompt>")
    assert "1 Pipelines" not in tmux.text, "the screen is given back"


def test_the_end_of_its_window_ends_it(tmux: Tmux, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    tmux.type(f"sh -c 'echo $$ > {shlex.quote(str(pid))}; exec {shlex.quote(TEAL)}'", "Enter")
    tmux.shows("1 Pipelines", "live BLUE")
    console = Path(f"/proc/{pid.read_text().strip()}")
    assert b"teal" in (console / "cmdline").read_bytes()
    tmux.close()
    until = time.monotonic() + 5
    while console.exists() and "State:\tZ" not in (console / "status").read_text():
        assert time.monotonic() < until, "it outlived its terminal"
        time.sleep(0.05)


def test_a_notification_passes_a_tmux_that_lets_it(tmp_path: Path) -> None:
    written = sequence("c: held", {"TERM": "tmux-256color", "TMUX": "yes"})
    file = tmp_path / "written"
    file.write_text(written)
    inside = f"printf ready; read go; cat {shlex.quote(str(file))}; sleep 30"
    command = [program("tmux"), "-S", str(tmp_path / "s"), "-f", "/dev/null", "new-session", inside]
    passes = [";", "set-option", "-g", "allow-passthrough", "on"]
    env = {name: value for name, value in os.environ.items() if name != "TMUX"} | {"TERM": "xterm-256color"}
    try:
        with Terminal([*command, *passes], env) as outside:
            outside.shows("ready")
            outside.send("\r")
            ends = time.monotonic() + PATIENCE_S
            while b"\x1b]777;notify;teal;c: held\a" not in outside.raw:
                assert time.monotonic() < ends, bytes(outside.raw)
                outside.pump(0.1)
            assert b"\x1b]9;teal c: held\a" in outside.raw
    finally:
        subprocess.run([program("tmux"), "-S", str(tmp_path / "s"), "kill-server"], check=False, capture_output=True)
