"""No key of the overview writes, and no key typed ahead submits a plan that nobody has seen."""

import string
import time

import msgspec
import pytest

from tests.terminal.conftest import Opener, Sandbox
from tests.terminal.harness import ESCAPE, PATIENCE_S, Terminal

pytestmark = pytest.mark.xdist_group("terminal")
PANELS = ("1 Pipelines", "2 Quality", "3 Alerts", "4 Deployments", "5 Logs")
LEAVES = "q"


def home(terminal: Terminal) -> None:
    """Back on the overview, wherever the last keys led."""
    deadline = time.monotonic() + PATIENCE_S
    while not all(panel in terminal.text for panel in PANELS):
        assert time.monotonic() < deadline, terminal.text
        terminal.send(ESCAPE)
        terminal.settle(0.2)


def test_no_printable_key_writes(console: Opener, sandbox: Sandbox) -> None:
    before = sandbox.actions, sandbox.switch
    terminal = console(columns=80, rows=24)
    terminal.shows(*PANELS, "live BLUE", "production_data_pipeline")
    terminal.send("4")
    terminal.hides("1 Pipelines")
    seen = ""
    digits_last = sorted(string.printable[:95].replace(LEAVES, ""), key=str.isdigit)
    for key in [*"1xab4", *digits_last]:
        terminal.send(key)
        terminal.settle(0.05)
        seen += terminal.text
        terminal.send(ESCAPE)
        terminal.settle(0.05)
    home(terminal)
    for word in ("Enter plans it", "Roll back analytics", "Keys", "Sources", "looking back"):
        assert word in seen
    terminal.send("q")
    assert terminal.ends() == 0
    assert (sandbox.actions, sandbox.switch) == before


@pytest.mark.parametrize("burst", [b"\r" * 40, b"\t\r" * 20, b"y\r\t\t\r \r" * 8], ids=["enter", "tab-enter", "mixed"])
@pytest.mark.parametrize("way", ["xf", "b"])
def test_keys_typed_ahead_submit_nothing(console: Opener, sandbox: Sandbox, way: str, burst: bytes) -> None:
    before = sandbox.actions, sandbox.switch
    terminal = console()
    terminal.shows(*PANELS, "live BLUE")
    terminal.send("4")
    terminal.hides("1 Pipelines")
    terminal.send(way.encode() + burst)
    terminal.until(lambda: "Plan" in terminal.text or "Action" in terminal.text)
    terminal.settle(0.3)
    assert (sandbox.actions, sandbox.switch) == before


def test_a_plan_that_was_seen_is_submitted_by_its_button(console: Opener, sandbox: Sandbox) -> None:
    """The counterpart: with patience the same keys do flip, and `b` takes it back."""
    terminal = console()
    terminal.shows(*PANELS, "live BLUE")
    terminal.send("4")
    terminal.hides("1 Pipelines")
    terminal.send("x")
    terminal.shows("Enter plans it")
    terminal.send("f")
    terminal.shows("BLUE → GREEN", "Reason")
    try:
        terminal.send("a reason")
        terminal.shows("a reason")
        terminal.send("\t\t")
        terminal.settle()
        terminal.send("\r")
        terminal.shows("succeeded", timeout_s=30.0)
        flip = sandbox.actions[0]
        assert (flip["kind"], flip["status"], flip["to"], flip["reason"]) == ("flip", "succeeded", "green", "a reason")
    finally:
        if msgspec.json.decode(sandbox.switch)["weights"].get("green"):
            sandbox.teal("deploy", "rollback", "analytics", "-y", "-o", "json")
