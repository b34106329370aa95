"""The question before an order, answered at a real terminal: yes, no, another name, or nothing at all."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.terminal.conftest import TEAL
from tests.terminal.harness import Terminal

CONFIG = """
default_context = "prod"
[contexts.prod]
protected = %s
lock = "local"
[[contexts.prod.pipelines]]
type = "local"
history = "sqlite:///runs.db"
logs = "logs"
dags = [{ name = "load", tasks = [{ name = "one", command = ["touch", "%s/done"] }] }]
"""
CTRL_C, CTRL_D = "\x03", "\x04"
NO, NONE = "not done, nothing changed: the answer was no", "not done, nothing changed: there was no answer"
Ordered = Callable[[bool], Terminal]


@pytest.fixture
def ordered(tmp_path: Path) -> Ordered:
    def opened(protected: bool) -> Terminal:
        config = tmp_path / "config.toml"
        config.write_text(CONFIG % (str(protected).lower(), tmp_path))
        config.chmod(0o600)
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8", "TERM": "xterm"}
        env |= {"TEAL_STATE_DIR": str(tmp_path / "state"), "TEAL_CONFIG": str(config)}
        return Terminal([TEAL, "run", "trigger", "load"], env)

    return opened


@pytest.mark.parametrize(
    ("protected", "answers", "words", "code"),
    [
        (False, [("[y/N]", "n\r")], NO, 3),
        (False, [("[y/N]", "\r")], NO, 3),
        (False, [("[y/N]", CTRL_C)], NONE, 130),
        (False, [("[y/N]", CTRL_D)], NONE, 130),
        (True, [("Type prod", "prd\r"), ("Reason", "r\r")], "prd was typed, and this is prod", 3),
        (True, [("Type prod", "\r"), ("Reason", "r\r")], NO, 3),
        (True, [("Type prod", "prod\r"), ("Reason", "\r")], "a reason is required", 3),
        (True, [("Type prod", "prod\r"), ("Reason", CTRL_C)], NONE, 130),
    ],
)
def test_what_is_not_agreed_to_is_not_done_and_says_so(
    ordered: Ordered, tmp_path: Path, protected: bool, answers: list[tuple[str, str]], words: str, code: int
) -> None:
    """A Ctrl-C was not heard there before it was pressed again."""
    with ordered(protected) as terminal:
        for question, answer in answers:
            terminal.shows(question)
            terminal.send(answer)
        assert terminal.ends() == code
        assert words in terminal.text
        assert "refused" not in terminal.text or "was no" not in terminal.text, "nobody refused what was not wanted"
    assert not (tmp_path / "done").exists()


def test_a_signal_ends_the_question(ordered: Ordered, tmp_path: Path) -> None:
    with ordered(False) as terminal:
        terminal.shows("[y/N]")
        terminal.settle(0.5)
        terminal.signal(signal.SIGTERM)
        assert terminal.ends(5.0) == 143
        assert NONE in terminal.text
        assert "Traceback" not in terminal.text


def test_what_is_agreed_to_is_done(ordered: Ordered, tmp_path: Path) -> None:
    with ordered(False) as terminal:
        terminal.shows("[y/N]")
        terminal.send("y\r")
        assert terminal.ends() == 0, terminal.text


def test_without_a_terminal_it_says_what_to_add(tmp_path: Path, ordered: Ordered) -> None:
    with ordered(False) as terminal:
        terminal.shows("[y/N]")
        env = {name: str(tmp_path / path) for name, path in (("TEAL_CONFIG", "config.toml"), ("TEAL_STATE_DIR", "s"))}
        done = subprocess.run(
            [TEAL, "run", "trigger", "load"], env={**os.environ, **env}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 3
    assert "not confirmed (add -y to do it)" in done.stdout + done.stderr
