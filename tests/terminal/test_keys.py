"""No key of the overview writes, and no key typed ahead submits a plan that nobody has seen."""

import string
import time
from collections.abc import Iterator

import msgspec
import pytest

from tests.terminal.conftest import Opener, Sandbox
from tests.terminal.harness import ESCAPE, PATIENCE_S, Terminal

pytestmark = pytest.mark.xdist_group("keys")
PANELS = ("1 Pipelines", "2 Quality", "3 Alerts", "4 Deployments", "5 Logs")
LEAVES = "q"
OPENS = {"x": "Enter plans it", "b": "Plan", "?": "Keys", "s": "Sources", "@": "Actions", "[": "looking back"}


@pytest.fixture(autouse=True)
def restored(sandbox: Sandbox) -> Iterator[None]:
    """Whatever a test did, traffic is where it was."""
    yield
    deadline = time.monotonic() + PATIENCE_S
    while any(action["ended_at"] is None for action in sandbox.actions) and time.monotonic() < deadline:
        time.sleep(0.2)
    if msgspec.json.decode(sandbox.switch)["weights"]["green"]:
        sandbox.teal("deploy", "rollback", "analytics", "-y", "-o", "json")


def home(terminal: Terminal) -> None:
    """Back on the overview, wherever the last keys led."""
    deadline = time.monotonic() + PATIENCE_S
    terminal.settle(0.3)  # keys may still be on their way
    while not all(panel in terminal.text for panel in PANELS) or "Enter keeps" in terminal.text:
        assert time.monotonic() < deadline, terminal.text
        terminal.send(ESCAPE)
        terminal.settle(0.2)


def test_no_printable_key_writes(console: Opener, sandbox: Sandbox) -> None:
    before = sandbox.actions, sandbox.switch
    terminal = console(columns=80, rows=24)
    terminal.shows(*PANELS, "live BLUE", "production_data_pipeline")
    for key, words in OPENS.items():
        terminal.send("4")
        terminal.hides("1 Pipelines")
        terminal.send(key)
        terminal.shows(words)
        home(terminal)
    for key in string.printable[:95].replace(LEAVES, ""):
        terminal.send(key)
        terminal.settle(0.03)
        terminal.send(ESCAPE)
        terminal.settle(0.03)
    home(terminal)
    terminal.send("q")
    assert terminal.ends() == 0
    assert (sandbox.actions, sandbox.switch) == before


@pytest.mark.parametrize(
    ("burst", "words"),
    [
        ("2\r", "Quality of "),
        ("3\t1\r", "tasks · ended"),
        ("/bax\r", "/bax  0 of 2"),
        ("4/ana\r\r", "Deployment · analytics"),
        ("4/ana\r0", "5 Logs"),
        (":bax", "bax"),
        (":how they answer\r", "Sources"),
        ("#bax", "bax"),
        ("#bax rolled\r", "noted: bax rolled"),
    ],
)
def test_keys_read_at_once_go_where_the_first_of_them_led(console: Opener, burst: str, words: str) -> None:
    """Over SSH a typed word comes in one read; `a`, `b` and `x` would acknowledge, roll back and open the actions."""
    terminal = console()
    terminal.shows(*PANELS, "live BLUE", "transactions", "products", "production_data", "monitoring_and")
    terminal.send(burst)
    terminal.shows(words)
    terminal.settle(0.3)
    assert "Plan" not in terminal.text


@pytest.mark.parametrize("apart_s", [0.0, 0.05, 0.1, 0.15])
def test_esc_and_the_key_behind_it_are_both_heard(console: Opener, apart_s: float) -> None:
    """A byte that begins every sequence of a terminal, and a fast typist."""
    terminal = console()
    terminal.shows(*PANELS, "live BLUE", "transactions")
    for key, words in (("4", "Esc back"), ("b", "Plan"), ("?", "Keys"), ("]", "looking back"), ("/", "Enter keeps")):
        terminal.send("2\r")
        terminal.shows("Quality of ")
        terminal.send(b"\x1b")
        time.sleep(apart_s)
        terminal.send(key)
        terminal.shows(words)
        terminal.hides("Quality of ")
        home(terminal)


def test_what_is_left_in_the_read_that_opened_it_is_left(console: Opener) -> None:
    terminal = console()
    terminal.shows(*PANELS, "live BLUE", "transactions", "products")
    for opening in ("\r", "2\r", "3\r", "4\r", "5\r", "?", "s", "@", "4x", ":", "#"):
        for leaving in ("\x7f", "q"):
            if leaving == "q" and opening in (":", "#"):
                continue  # text
            terminal.send(opening + leaving)
            home(terminal)
            assert terminal.process.poll() is None, (opening, leaving)


def test_keys_of_a_protocol_that_nobody_asked_for_end_nothing(console: Opener) -> None:
    terminal = console()
    terminal.shows(*PANELS, "live BLUE")
    for odd in ("\x1b[1;1:1A", "\x1b[97:65;2u", "\x1b[1114112u", "\x1b[:~"):
        terminal.send(odd)
        terminal.settle(0.2)
        terminal.send("?")
        terminal.shows("Keys")
        home(terminal)


@pytest.mark.parametrize("burst", ["\r" * 40, "\t\r" * 20, "\t\t\r" * 15], ids=["enter", "tab", "two-tabs"])
def test_keys_typed_ahead_of_everything_submit_nothing(console: Opener, sandbox: Sandbox, burst: str) -> None:
    before = sandbox.actions, sandbox.switch
    terminal = console()
    terminal.shows(*PANELS, "live BLUE")
    terminal.send("4")
    terminal.hides("1 Pipelines")
    terminal.send("xf" + burst)
    terminal.hides("4 Deployments")
    terminal.settle(0.3)
    assert (sandbox.actions, sandbox.switch) == before


@pytest.mark.parametrize("keys", ["\r", "\t\r", "\t\t\r"], ids=["enter", "tab", "two-tabs"])
@pytest.mark.parametrize("letter", ["f", "b"])
def test_keys_typed_before_the_plan_is_on_screen_submit_nothing(
    console: Opener, sandbox: Sandbox, letter: str, keys: str
) -> None:
    before = sandbox.actions, sandbox.switch
    terminal = console()
    terminal.shows(*PANELS, "live BLUE")
    terminal.send("4")
    terminal.hides("1 Pipelines")
    terminal.send("x")
    terminal.shows("Enter plans it")
    terminal.send(letter)
    for _ in range(100):
        if "made" in terminal.text or "no plan" in terminal.text:
            break
        terminal.send(keys)
        terminal.pump(0.02)
    terminal.settle(0.3)
    assert (sandbox.actions, sandbox.switch) == before


def test_a_plan_that_was_seen_is_submitted_by_its_button(console: Opener, sandbox: Sandbox) -> None:
    """The counterpart: with patience the same keys do flip."""
    terminal = console()
    terminal.shows(*PANELS, "live BLUE")
    terminal.send("4")
    terminal.hides("1 Pipelines")
    terminal.send("x")
    terminal.shows("Enter plans it")
    terminal.send("f")
    terminal.shows("BLUE → GREEN", "Reason")
    while "yy" not in terminal.lines[terminal.row_of("Reason")]:
        terminal.send("y")
        terminal.settle(1.0, timeout_s=1.0)  # a form opens once nobody has typed for half a second
    terminal.send("\t")
    terminal.settle()
    terminal.send("\r")
    terminal.shows("succeeded", timeout_s=30.0)
    flip = sandbox.actions[0]
    assert (flip["kind"], flip["status"], flip["to"]) == ("flip", "succeeded", "green")
    assert flip["reason"].strip("y") == ""
