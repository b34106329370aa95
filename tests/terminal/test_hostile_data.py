"""What the outside writes cannot speak to the terminal."""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.terminal.conftest import Opener
from tests.terminal.harness import Terminal

pytestmark = pytest.mark.xdist_group("terminal")

OURS = re.compile(  # all that Textual says to a terminal here; what it copies on `y` comes on top
    rb"\x1b\[[0-9;]*[mH]|\x1b\[\?(?:25|7|1004|1049|2004|2026)[hl]|\x1b\[\?20(?:26|48)\$p|\x1b\[>\d+u|\x1b\[<u"
    rb"|\x1b\]22;[a-z]*\x07|\r"
    rb"|\x1b\]8;(?:id=[\d-]+;https?://[!-~]+|;)\x1b\\"  # a URL in a text is a link; what a text sends has no id
)
STRUCTURED = ("fields", "logfmt")  # begin with what makes them JSON or logfmt
PAYLOAD = b"cm0gLXJmIC8="
LINES = {
    "clipboard": "\x1b]52;c;cm0gLXJmIC8=\x07clipboard one \x1b]52;c;cm0gLXJmIC8=\x1b\\ clipboard two",
    "title": "\x1b]0;owned\x07title \x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "move": "\x1b[2J\x1b[H\x1b[31mmove\x1b[5A\x1b[1;1Hcursor \x1b[?1049l\x1b[?1000h\x1bc reset \x1b#8",
    "c1": "c1 \x9b2J \x9d52;c;eA==\x9c \x90q\x9c \x85 \x84end",
    "controls": "controls \x00\x01\x07\x08\x08\x08\x0b\x0c\x0e\x0f\x7f\rreturn",
    "report": "report \x1b[6n\x1b[c\x1b[>c\x1b[5n\x1b[?6n\x05",
    "markup": "markup [bold]x[/] [/] [0] [@click=app.quit]q[/] $error {x} [link=http://x]y[/link] [",
    "bidi": "bidi \u202eNEERG\u202c \u2066x\u2069 \u200f\u061c end",
    "emoji": "emoji 👩‍👩‍👧‍👦 🇩🇪 ✈️ é ａｂ 你好 \u0301\u0301\u0301 z\u200b\u200d",
    "huge": "huge " + "A" * 1_000_000 + "\x1b]52;c;cm0gLXJmIC8=\x07",
    "fields": '{"msg": "fields", "\\u001b[31mn": "\\u001b]52;c;cm0gLXJmIC8=\\u0007 \\u202e", "o": {"a": "\\u009b2J"}}',
    "logfmt": 'level=error msg="logfmt \x1b[2J" user="\x1b]0;owned\x07" bad=\x9b2J',
    "unterminated": "unterminated \x1b]52;c;cm0gLXJmIC8=",
}


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A config whose only source is a log of such lines; the file names it too."""
    now = datetime.now(UTC)
    with (tmp_path / "app.log").open("w", encoding="utf-8", newline="\n") as log:
        for number, (name, text) in enumerate(LINES.items()):
            at = now - timedelta(seconds=60 - number)
            head = "" if name in STRUCTURED else f"{at:%Y-%m-%dT%H:%M:%S.000Z} ERROR "
            log.write(f"{head}{text}\n")
        log.write(f"{now:%Y-%m-%dT%H:%M:%S.000Z} INFO the last line\n")
    config = tmp_path / "config.toml"
    config.write_text(
        '[contexts.hostile]\ntitle = "[bold]analytics[/]"\n'
        '[[contexts.hostile.logs]]\nname = "app"\ntype = "files"\npaths = ["app.log"]\n'
    )
    config.chmod(0o600)
    return config


def assert_clean(terminal: Terminal) -> None:
    """Nothing but the console's own words has reached the terminal."""
    foreign = {sequence for sequence in terminal.sequences if not OURS.fullmatch(sequence)}
    assert foreign == set()
    text = terminal.raw.decode()
    assert not [char for char in set(text) if unicodedata.category(char) in ("Cf", "Cs", "Co") and char != "\u200d"]
    assert not re.search("[\x80-\x9f]", text)
    assert PAYLOAD not in terminal.raw


@pytest.mark.parametrize(("columns", "rows"), [(120, 40), (80, 24)])
def test_no_byte_of_a_log_line_speaks_to_the_terminal(console: Opener, hostile: Path, columns: int, rows: int) -> None:
    terminal = console("-c", str(hostile), columns=columns, rows=rows)
    terminal.shows("5 Logs", "the last line")
    terminal.send("5")
    terminal.hides("4 Deployments")
    terminal.shows("clipboard", "markup [bold]x[/] [/] [0] [@click=app.quit]q[/]", "the last line")
    terminal.settle()
    assert_clean(terminal)
    assert "analytics" in terminal.lines[0]
    inside = [line for line in terminal.lines if line.startswith("│")]
    assert len(inside) >= rows - 6
    # Graphemes of several code points have no width that all terminals agree on: that line may end elsewhere.
    assert not [line for line in inside if not (line.endswith("│") and len(line) <= columns) and "emoji" not in line]


def test_nor_does_a_title_with_an_escape_that_is_refused(console: Opener, hostile: Path) -> None:
    hostile.write_text(hostile.read_text().replace("analytics", r"an\u001b]52;c;eA==\u0007alytics"))
    terminal = console("-c", str(hostile), columns=200)
    assert terminal.ends() == 2
    assert "contexts.hostile.title" in terminal.text
    assert_clean(terminal)


@pytest.mark.parametrize("name", ["clipboard", "move", "c1", "markup", "emoji", "huge", "fields", "logfmt"])
def test_the_detail_of_such_a_line_neither(console: Opener, tmp_path: Path, name: str) -> None:
    head = "" if name in STRUCTURED else f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z} ERROR "
    (tmp_path / "app.log").write_text(f"{head}{LINES[name]}\n", encoding="utf-8", newline="\n")
    config = tmp_path / "config.toml"
    config.write_text('[contexts.h]\n[[contexts.h.logs]]\nname = "app"\ntype = "files"\npaths = ["app.log"]\n')
    config.chmod(0o600)
    terminal = console("-c", str(config), columns=100, rows=30)
    terminal.shows("5 Logs", name)
    terminal.send("5")
    terminal.hides("4 Deployments")
    unfolded = "\r" if name in ("huge", *STRUCTURED) else ""  # of the others Enter opens the detail: they are whole
    terminal.send(f"{unfolded}z/")  # wrapped, searched
    terminal.shows("Enter keeps")
    terminal.send("o\r")
    terminal.hides("Enter keeps")
    terminal.send("v")
    terminal.hides("5 Logs")
    terminal.shows("Log line of app", name)
    terminal.settle()
    assert_clean(terminal)
    assert terminal.process.poll() is None
