"""Other terminals and locales: fewer colors, no Unicode, split sequences, a slow line."""

import re
import time

import pytest

from tests.own_time import Watch
from tests.terminal.conftest import Opener
from tests.terminal.harness import ESCAPE, Terminal

pytestmark = pytest.mark.xdist_group("terminal")
PANELS = ("1 Pipelines", "2 Quality", "3 Alerts", "4 Deployments", "5 Logs")
SLOW_BYTES_S = 4000
ANSWER_S = 8.0
SPLIT_S = 0.12
COLOR = re.compile(rb"\x1b\[[0-9;]*m")


def colored(raw: bytes) -> list[bytes]:
    """The SGR sequences that set a color."""
    found = []
    for sequence in COLOR.findall(raw):
        parameters = [int(number or 0) for number in sequence[2:-1].split(b";")]
        if any(30 <= number <= 38 or 40 <= number <= 48 or number >= 90 for number in parameters):
            found.append(sequence)
    return found


def walk(terminal: Terminal) -> None:
    """Through help, the menu and a detail, and out."""
    terminal.shows(*PANELS)
    terminal.send("?")
    terminal.shows("Keys")
    terminal.send(ESCAPE)
    terminal.shows(*PANELS, "live BLUE")
    terminal.send("4")
    terminal.hides("1 Pipelines")
    terminal.send("\r")
    terminal.shows("endpoints")
    terminal.send("q")
    terminal.shows("4 Deployments")
    terminal.send("0")
    terminal.shows(*PANELS)
    terminal.send("q")
    assert terminal.ends() == 0
    assert terminal.not_restored() == []


@pytest.mark.parametrize("name", ["screen", "tmux-256color", "vt100"])
def test_every_terminal_type_works(console: Opener, name: str) -> None:
    walk(console(env={"TERM": name, "COLORTERM": None}))


def test_a_terminal_that_cannot_place_text_gets_the_status(console: Opener) -> None:
    terminal = console(env={"TERM": "dumb"}, columns=200)
    assert terminal.ends() == 0
    assert "Deployments" in terminal.text
    assert b"TERM=dumb says that this terminal can not place text" in terminal.raw
    assert b"\x1b" not in terminal.raw
    assert terminal.raw.isascii(), set(terminal.raw.decode(errors="replace")) - {chr(code) for code in range(128)}


@pytest.mark.parametrize(
    "env",
    [
        {"LANG": "C"},
        {"LANG": None},
        {"LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LC_ALL": "C"},
        {"TERM": "linux"},
    ],
    ids=lambda env: "-".join(f"{name}={value}" for name, value in env.items()),
)
def test_no_byte_beyond_ascii_where_it_cannot_be_shown(console: Opener, env: dict[str, str | None]) -> None:
    terminal = console(env=env)
    walk(terminal)
    assert terminal.raw.isascii(), set(terminal.raw.decode(errors="replace")) - {chr(code) for code in range(128)}


def test_ascii_on_demand(console: Opener) -> None:
    terminal = console("--ascii")
    walk(terminal)
    assert terminal.raw.isascii(), set(terminal.raw.decode(errors="replace")) - {chr(code) for code in range(128)}


@pytest.mark.parametrize(("arguments", "env"), [((), {"NO_COLOR": "1"}), (("--no-color",), {})], ids=["env", "option"])
def test_no_color(console: Opener, arguments: tuple[str, ...], env: dict[str, str | None]) -> None:
    terminal = console(*arguments, env=env)
    terminal.shows(*PANELS, "live BLUE")
    terminal.settle()
    assert terminal.raw.count(b"\x1b[") > 10
    hues = set(colored(bytes(terminal.raw)))
    assert not hues, hues


def _is_hue(sequence: bytes) -> bool:
    """Whether it sets something else than a gray."""
    for red, green, blue in re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)", sequence):
        if not red == green == blue:
            return True
    return not re.search(rb"[34]8;2;", sequence)


def test_color_is_there_by_default(console: Opener) -> None:
    terminal = console()
    terminal.shows(*PANELS, "live BLUE")
    terminal.settle()
    assert any(_is_hue(sequence) for sequence in colored(bytes(terminal.raw)))


def cursor(terminal: Terminal) -> str:
    """The pipeline under the cursor."""
    return next((line.split()[1] for line in terminal.lines if line.startswith("│▌")), "")


def test_a_split_escape_sequence_is_one_key(console: Opener) -> None:
    terminal = console()
    terminal.shows("monitoring_and_alerting", "production_data_pipeline")
    terminal.send("1")
    terminal.hides("4 Deployments")
    terminal.send("g")
    terminal.until(lambda: cursor(terminal))
    terminal.settle()
    first = cursor(terminal)
    began = time.monotonic()
    terminal.send(b"\x1b")
    time.sleep(SPLIT_S)
    terminal.send(b"[B")
    if time.monotonic() - began > 1.5 * SPLIT_S:
        pytest.skip("this machine is too busy to send half a key in time")
    terminal.until(lambda: cursor(terminal) not in ("", first))
    assert "4 Deployments" not in terminal.text
    assert "looking back" not in terminal.text


def test_a_lone_escape_is_escape(console: Opener) -> None:
    terminal = console()
    terminal.shows(*PANELS)
    terminal.send("1")
    terminal.hides("4 Deployments")
    watch = Watch(terminal.process.pid)
    terminal.send(b"\x1b")
    terminal.shows("4 Deployments")
    assert watch.seconds() < 2.0


def test_keys_act_on_a_slow_line(console: Opener) -> None:
    """At 4 kB a second: what is queued up for the line must not stand between a key and its answer."""
    terminal = console(columns=80, rows=24)
    terminal.shows(*PANELS, "live BLUE")
    terminal.settle(0.3)

    def until_shown(word: str) -> None:
        deadline = time.monotonic() + ANSWER_S
        while word not in terminal.text:
            assert time.monotonic() < deadline, f"no {word} in {ANSWER_S} s:\n{terminal.text}"
            terminal.pump(0.05, SLOW_BYTES_S // 20)
            time.sleep(0.05)

    for _ in range(2):
        terminal.send("?")
        until_shown("Keys")
        terminal.send(ESCAPE)
        until_shown("5 Logs")
    terminal.send("q")
    assert terminal.ends(ANSWER_S) == 0
    assert terminal.not_restored() == []
