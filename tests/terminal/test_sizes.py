"""What is on the screen at any size, and while the size changes."""

import random

import pytest

from tests.terminal.conftest import Opener
from tests.terminal.harness import Terminal

pytestmark = pytest.mark.xdist_group("terminal")
PANELS = ("1 Pipelines", "2 Quality", "3 Alerts", "4 Deployments", "5 Logs")


def assert_drawn(terminal: Terminal, columns: int, rows: int) -> None:
    """The screen is whole: header, closed boxes, keys in the last line, nothing wider than the screen."""
    terminal.until(lambda: len(terminal.lines) == rows and "? help" in terminal.lines[-1])
    terminal.settle(0.2)
    lines = terminal.lines
    assert len(lines) == rows
    assert "SANDBOX" in lines[0]
    assert "? help" in lines[-1]
    corners = [line for line in lines if line.startswith(("╭", "╰"))]
    assert len(corners) >= 6
    assert all(len(line) == columns and line.endswith(("╮", "╯")) for line in corners), terminal.text
    assert lines[-2].startswith("╰")


@pytest.mark.parametrize(("columns", "rows"), [(120, 40), (80, 24)])
def test_first_screen_has_all_panels_with_data(console: Opener, columns: int, rows: int) -> None:
    terminal = console(columns=columns, rows=rows)
    terminal.shows(*PANELS, "production_data_pipe", "transactions", "live BLUE", "GET /")
    assert_drawn(terminal, columns, rows)
    assert ("6 Timeline" in terminal.text) == (rows == 40)


def test_too_small_says_so_and_comes_back(console: Opener) -> None:
    terminal = console(columns=40, rows=12)
    terminal.shows("teal needs 60", "this terminal", "q quits")
    terminal.resize(100, 30)
    terminal.shows(*PANELS, "live BLUE")
    assert_drawn(terminal, 100, 30)
    terminal.resize(40, 12)
    terminal.shows("teal needs 60")
    terminal.send("q")
    assert terminal.ends() == 0


def test_resize_storm_leaves_a_right_screen(console: Opener) -> None:
    terminal = console()
    terminal.shows(*PANELS)
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(50):
        terminal.resize(chance.randint(1, 240), chance.randint(1, 80))
        terminal.pump(chance.choice((0.0, 0.0, 0.01)))
    terminal.resize(100, 30)
    terminal.shows(*PANELS, "live BLUE")
    terminal.settle(0.5)  # once a storm has settled, all is drawn anew
    assert_drawn(terminal, 100, 30)
    terminal.send("q")
    assert terminal.ends() == 0
    assert terminal.not_restored() == []
