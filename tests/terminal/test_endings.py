"""However the console ends, the terminal is as it was, nothing runs on, and nothing private is printed."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.terminal.conftest import TEAL, Opener, Sandbox
from tests.terminal.harness import Terminal

pytestmark = pytest.mark.xdist_group("terminal")
PROMPT_S = 2.0  # within which a program that is told to end has ended

BROKEN = """
import sys
import console.app
from console.launch import run_console
from console.config.selection import select
from console.session import Session

class Broken(console.app.TealApp):
    def action_help(self):
        password = "hunter2-in-a-local"
        raise RuntimeError("hunter2-in-a-message " + password)

    def action_sources(self):
        self.run_worker(self.work())

    async def work(self):
        password = "hunter2-in-a-local"
        raise RuntimeError("hunter2-in-a-message " + password)

    def action_actions(self):
        password = "hunter2-in-a-local"
        def line(y):
            raise RuntimeError("hunter2-in-a-message " + password)
        self.screen.keys.line = line
        self.screen.keys.repaint()

console.app.TealApp = Broken
sys.exit(run_console(Session(select(None, None))))
"""


def test_q_quits_and_gives_the_terminal_back(console: Opener) -> None:
    terminal = console()
    terminal.shows("live BLUE")
    assert terminal.alternate
    assert terminal.not_restored() != []
    terminal.send("q")
    assert terminal.ends() == 0
    assert terminal.not_restored() == []
    assert terminal.text.strip() == ""


@pytest.mark.parametrize("pause_s", [0.0, 0.02, 0.06], ids=["same-read", "right-after", "while-closing"])
@pytest.mark.parametrize("keys", [":/&?@s#", "1746", "4xtl", "&/1", "xq", "\r\t,", "r[", "size"])
def test_what_is_typed_while_it_leaves_does_nothing(
    console: Opener, sandbox: Sandbox, keys: str, pause_s: float
) -> None:
    """Its widgets are gone by then. What comes in the same read is handled before anything is taken down."""
    terminal = console()
    terminal.shows("live BLUE")
    terminal.settle()
    typed = "" if keys == "size" else keys * 2
    if pause_s:
        terminal.send("q")
        time.sleep(pause_s)
    if not typed:
        terminal.resize(60, 20)
        terminal.resize(130, 45)
    terminal.send(typed if pause_s else f"q{typed}")
    assert terminal.ends() == 0
    assert terminal.text.strip() == ""
    assert terminal.not_restored() == []
    assert not [path for path in sandbox.state.glob("crash-*.txt") if str(terminal.process.pid) in path.name]


def test_mouse_reports_are_off_but_on_demand_and_then_taken_back(console: Opener) -> None:
    quiet, wanted = console(), console("--mouse")
    for terminal in (quiet, wanted):
        terminal.shows("live BLUE")
    assert b"\x1b[?1000h" not in quiet.raw
    assert "mouse" in wanted.not_restored()
    wanted.send("q")
    assert wanted.ends() == 0
    assert wanted.not_restored() == []


def test_ctrl_c_says_how_to_quit_and_ends_nothing(console: Opener) -> None:
    terminal = console()
    terminal.shows("live BLUE")
    terminal.send(b"\x03")
    terminal.shows("q leaves")
    terminal.send(b"\x03\x03\x03")
    terminal.send("?")
    terminal.shows("Keys")
    assert terminal.process.poll() is None


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_at_once_and_restores_the_terminal(console: Opener, number: signal.Signals, code: int) -> None:
    terminal = console()
    terminal.shows("live BLUE")
    terminal.signal(number)
    assert terminal.ends(PROMPT_S) == code
    assert terminal.not_restored() == []


def test_a_signal_on_a_screen_above_the_overview_ends_it_too(console: Opener) -> None:
    terminal = console()
    terminal.shows("live BLUE")
    terminal.send("?")
    terminal.shows("Keys")
    terminal.signal(signal.SIGTERM)
    assert terminal.ends(PROMPT_S) == 143
    assert terminal.not_restored() == []


@pytest.mark.parametrize("controlling", [True, False], ids=["hangup", "end-of-file-alone"])
def test_a_lost_terminal_ends_it(console: Opener, controlling: bool) -> None:
    """Textual's input thread spins on the end of file; without a controlling terminal no signal comes to help."""
    terminal = console(controlling=controlling)
    terminal.shows("live BLUE")
    terminal.settle()
    terminal.close_master()
    assert terminal.ends(PROMPT_S) == 129


def test_a_lost_terminal_with_much_to_draw_ends_it(console: Opener) -> None:
    """Nobody takes what is drawn any more: waiting for room in Textual's queue would be waiting for ever."""
    terminals = [console(controlling=False, env={"TEXTUAL_FPS": "240"}) for _ in range(3)]
    for terminal in terminals:
        terminal.shows("live BLUE")
    for terminal in terminals:
        terminal.close_master()
    deadline = time.monotonic() + 2 * PROMPT_S
    while time.monotonic() < deadline and any(terminal.process.poll() is None for terminal in terminals):
        for terminal in terminals:
            terminal.signal(signal.SIGWINCH)
        time.sleep(0.004)
    assert [terminal.process.poll() for terminal in terminals] == [129] * 3


def test_stop_and_continue_under_a_shell(sandbox: Sandbox) -> None:
    """The shell gets its terminal back at the stop, and the console draws all anew at `fg`."""
    env = {**sandbox.env, "PS1": "shell> ", "TEAL": TEAL}
    with Terminal(["bash", "--norc", "--noprofile", "-i"], env) as terminal:
        terminal.shows("shell>")
        terminal.send('"$TEAL"\r')
        terminal.shows("live BLUE", "5 Logs")
        terminal.settle()
        pid = int(Path(f"/proc/{terminal.process.pid}/task/{terminal.process.pid}/children").read_text())
        os.kill(pid, signal.SIGTSTP)
        terminal.shows("Stopped", "shell>")
        assert not terminal.alternate
        terminal.send("echo back-$((40+2))\r")
        terminal.shows("back-42")
        before = len(terminal.raw)
        terminal.send("fg\r")
        terminal.until(lambda: terminal.alternate)
        terminal.shows("1 Pipelines", "4 Deployments", "live BLUE", "5 Logs", "? help")
        assert len(terminal.raw) - before > 2000
        terminal.send("?")
        terminal.shows("Keys")
        terminal.send("qq")
        terminal.until(lambda: not terminal.alternate)
        terminal.until(lambda: terminal.text.rstrip().endswith("shell>"))  # what is typed before is discarded
        terminal.send("echo left-$?\r")
        terminal.shows("left-0")


@pytest.mark.parametrize("key", ["?", "s", "@"], ids=["handler", "worker", "paint"])
def test_a_defect_prints_one_line_and_no_value(sandbox: Sandbox, tmp_path: Path, key: str) -> None:
    script = tmp_path / "broken.py"
    script.write_text(BROKEN)
    with Terminal([sys.executable, "-P", str(script)], sandbox.env) as terminal:
        terminal.shows("live BLUE")
        terminal.send(key)
        assert terminal.ends() == 70
        assert terminal.not_restored() == []
        assert b"hunter2" not in terminal.raw
        said = " ".join(line for line in terminal.lines if line)
        assert said.count("teal: RuntimeError") == 1
        assert len(terminal.text.strip().splitlines()) <= 3
    (crash,) = (path for path in sandbox.state.glob("crash-*.txt") if str(terminal.process.pid) in path.name)
    assert crash.name in said.replace(" ", "")
    assert crash.stat().st_mode & 0o077 == 0
    text = crash.read_text()
    assert "RuntimeError" in text
    assert "broken.py" in text
    assert "hunter2" not in text
