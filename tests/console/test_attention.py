"""The terminal is rung once for each need of an action, by what its terminal knows, and by nothing that it is told."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from actions.models import Action, Hold
from backends.errors import BackendError
from console.app import TealApp
from console.attention import BELL, Attention, need_of, sequence
from tests.console import fakes
from tests.console.screen_fakes import an_action

AT = datetime(2026, 8, 24, 13, tzinfo=UTC)
XTERM = {"TERM": "xterm-256color"}
HOLD = Hold(why="no requests", since=AT)


@pytest.mark.parametrize(
    ("changes", "need"),
    [
        ({}, ""),
        ({"status": "paused"}, ""),  # somebody did that
        ({"status": "succeeded"}, ""),
        ({"status": "rolled_back"}, ""),
        ({"status": "succeeded", "hold": HOLD}, ""),
        ({"hold": HOLD}, f"held {AT.isoformat()}"),
        ({"orphaned_since": AT, "hold": HOLD}, "orphaned"),
        *(({"status": word}, word) for word in ("conflict", "in_doubt", "rollback_failed", "awaiting_approval")),
    ],
)
def test_what_needs_a_person(changes: dict[str, Any], need: str) -> None:
    assert need_of(an_action(**changes)) == need


def test_each_need_is_told_once_and_another_one_of_the_same_action_again() -> None:
    attention = Attention("production")
    held = an_action(hold=HOLD)
    assert attention.news([held]) == ["production: flip analytics: held: no requests"]
    assert attention.news([held]) == attention.news([]) == attention.news([held]) == []
    assert attention.news([an_action(status="conflict")]) == ["production: flip analytics: conflict"]
    later = Hold(why="no requests", since=datetime(2026, 8, 24, 14, tzinfo=UTC))
    assert len(attention.news([an_action(hold=later), an_action(id="other", hold=HOLD)])) == 2


def test_that_nobody_runs_it_is_told_at_the_second_look_in_a_row() -> None:
    attention, orphan = Attention("production"), an_action(orphaned_since=AT)
    assert attention.news([orphan]) == []
    assert attention.news([an_action(status="succeeded")]) == []
    assert attention.news([orphan]) == []
    assert attention.news([orphan]) == ["production: flip analytics: nobody runs it"]
    assert attention.news([orphan]) == []


def test_a_bell_and_both_notifications_and_where_both_are_known_one() -> None:
    both = f"{BELL}\x1b]9;teal c: x{BELL}\x1b]777;notify;teal;c: x{BELL}"
    assert sequence("c: x", XTERM) == both
    one = f"{BELL}\x1b]777;notify;teal;c: x{BELL}"
    for environ in ({"TERM": "xterm-kitty"}, {"TERM": "foot"}, {**XTERM, "TERM_PROGRAM": "WezTerm"}):
        assert sequence("c: x", environ) == one
    for term in ("linux", "dumb", ""):
        assert sequence("c: x", {"TERM": term}) == BELL


def test_it_passes_tmux_and_screen() -> None:
    inner = "\x1b]9;teal c: x\a\x1b]777;notify;teal;c: x\a"
    doubled = inner.replace("\x1b", "\x1b\x1b")
    assert sequence("c: x", {"TERM": "tmux-256color", "TMUX": "/tmp/t,1,0"}) == f"{BELL}\x1bPtmux;{doubled}\x1b\\"
    assert sequence("c: x", {"TERM": "screen-256color", "STY": "1.pts"}) == f"{BELL}\x1bP{inner}\x1b\\"


@pytest.mark.parametrize(
    "hostile",
    [
        "a\x07\x1b]52;c;ZXZpbA==\x07", "a\x1b\\\x1b[2J", "a\x9c\x9d52;c;x\x9c", "a\n\r\tb;c;d", "\x1bP1$r\x1b\\",
        "a\x00\x7f\u202eb", "x" * 5000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("environ", [XTERM, {**XTERM, "TMUX": "x"}, {**XTERM, "STY": "x"}])
def test_no_text_breaks_out_of_its_sequence(hostile: str, environ: dict[str, str]) -> None:
    written = sequence(f"c: {hostile}", environ)
    plain = sequence("c: ", environ)
    assert [sign for sign in written if not sign.isprintable()] == [sign for sign in plain if not sign.isprintable()]
    assert len(written) < 600
    assert len(re.findall(";", written)) == len(re.findall(";", plain))


# ---- in the console


class Watched(fakes.FakeSession):
    """Its open actions, and those that have ended."""

    ended: tuple[Action, ...] = ()
    broken = False

    async def actions(self, *, open_only: bool = False) -> list[Action]:
        if self.broken:
            raise BackendError("unreachable", "the journal does not answer")
        return list(self.open_ones) if open_only else [*self.open_ones, *self.ended]


async def rung(session: Watched, *, terminal: bool = True) -> list[str]:
    """What two looks at the journal write to the terminal, the second after the open actions have ended."""
    app = TealApp(session, now=lambda: fakes.NOW)
    written: list[str] = []
    async with app.run_test(size=(80, 24)) as pilot:
        if terminal:
            app.to_terminal = written.append
        await pilot.pause()
        overview: Any = app.screen
        for _ in range(2):
            overview.read_actions()
            await pilot.pause(0.1)
        session.open_ones = []
        overview.read_actions()
        await pilot.pause(0.2)
    return written


async def test_the_console_rings_for_an_action_that_is_held_and_for_one_that_ended_in_need() -> None:
    session = Watched()
    session.open_ones = [an_action(hold=HOLD), an_action(id="2", status="rolling_back")]
    session.ended = (an_action(id="2", status="rollback_failed"), an_action(id="old", status="rollback_failed"))
    written = await rung(session)
    assert len(written) == 2
    assert "production: flip analytics: held: no requests" in written[0]
    assert "production: flip analytics: rollback failed" in written[1]
    assert all(words.startswith(BELL) for words in written)


async def test_nothing_is_written_where_it_is_switched_off_or_there_is_no_terminal() -> None:
    for context, terminal in ((fakes.FakeContext(notify_terminal=False), True), (fakes.FakeContext(), False)):
        session = Watched(context)
        session.open_ones = [an_action(hold=HOLD)]
        assert await rung(session, terminal=terminal) == []
