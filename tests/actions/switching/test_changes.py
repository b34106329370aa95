"""Back is never forward: what a rollback does, for each newest change in the journal and each state of the switch."""

from typing import Any

import pytest
from msgspec.structs import replace

from actions.expected import SwitchExpected
from actions.journal.rows import Event, StoredEvent
from actions.models import Action, ActionStatus, Plan
from actions.switching.changes import Change, change_of, way_back
from tests.actions.journals import draft

BLUE, GREEN, SPLIT = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}, {"blue": 60, "green": 40}
COLORS = ("blue", "green")
FULL = {"blue": BLUE, "green": GREEN}


def an_action(kind: Any, from_: str, to: str, status: ActionStatus) -> tuple[Action, Plan]:
    weights = FULL.get(from_, SPLIT)
    expected = SwitchExpected(weights=weights, revision="1", to_weights=FULL[to])
    plan = replace(draft().plan, kind=kind, from_=from_, to=to, expected=expected)
    action = Action(id="A1", kind=kind, service="svc", status=status, phase="", from_=from_, to=to, changed=True)
    return action, plan


def told(*lines: tuple[str, str, dict[str, int] | None]) -> list[StoredEvent]:
    """Each line: the kind of the event, its step, and the weights that were seen applied."""
    history = []
    for kind, step, weights in lines:
        after = {"after": {"weights": weights or {}}, "result": "applied" if weights else "not applied"}
        history.append(StoredEvent(id=0, at="", fence=1, event=Event(step=step, kind=kind, data=after)))
    return history


SHIFTED = told(("intent", "shift", None), ("observed", "shift", GREEN))
HALF_WAY = told(("intent", "shift[40]", None), ("observed", "shift[40]", SPLIT))
WENT_BACK = [*SHIFTED, *told(("intent", "shift-back", None), ("observed", "shift-back", BLUE))]
LOST = told(("intent", "shift", None))
BACK_LOST = [*SHIFTED, *told(("intent", "shift-back", None))]
NOT_WRITTEN = told(("intent", "shift", None), ("observed", "shift", None))

# kind, from, to, status, history, what the switch says now, what a rollback does, to, whether it was changed since
TABLE = [
    # The newest change went forward, and the side that gained still has traffic: back to where it came from.
    ("flip", "blue", "green", "succeeded", [], GREEN, "back", "blue", False),
    ("release", "blue", "green", "succeeded", [], GREEN, "back", "blue", False),
    ("flip", "blue", "green", "succeeded", [], SPLIT, "back", "blue", True),
    ("flip", "blue", "green", "succeeded", [], BLUE, "already", "blue", False),
    # The newest change was a way back, and the switch is as it left it.
    ("flip", "blue", "green", "rolled_back", [], BLUE, "already", "blue", False),
    ("release", "blue", "green", "rolled_back", [], BLUE, "already", "blue", False),
    ("rollback", "green", "blue", "succeeded", [], BLUE, "already", "blue", False),
    ("flip", "mixed", "green", "rolled_back", [], SPLIT, "already", "mixed", False),
    # It was a way back, and the side that it left has traffic again.
    ("flip", "blue", "green", "rolled_back", [], GREEN, "back", "blue", True),
    ("flip", "blue", "green", "rolled_back", [], SPLIT, "back", "blue", True),
    ("rollback", "green", "blue", "succeeded", [], GREEN, "back", "blue", True),
    ("rollback", "green", "blue", "succeeded", [], SPLIT, "back", "blue", True),
    ("rollback", "mixed", "blue", "succeeded", [], SPLIT, "back", "blue", True),
    # The way back failed, or did not end: the same is tried again, also where only its proof was missing.
    ("flip", "blue", "green", "rollback_failed", [], GREEN, "back", "blue", False),
    ("flip", "blue", "green", "rollback_failed", [], BLUE, "back", "blue", False),
    ("rollback", "green", "blue", "rollback_failed", [], GREEN, "back", "blue", False),
    ("rollback", "green", "blue", "abandoned", SHIFTED, GREEN, "back", "blue", False),
    ("rollback", "green", "blue", "abandoned", LOST, GREEN, "back", "blue", False),
    # Closed by hand: what was seen of its writes says where it stood.
    ("flip", "blue", "green", "abandoned", SHIFTED, GREEN, "back", "blue", False),
    ("flip", "blue", "green", "abandoned", HALF_WAY, SPLIT, "back", "blue", False),
    ("flip", "blue", "green", "abandoned", HALF_WAY, GREEN, "back", "blue", True),
    ("flip", "blue", "green", "abandoned", SHIFTED, BLUE, "already", "blue", False),
    ("flip", "blue", "green", "abandoned", LOST, GREEN, "back", "blue", False),
    ("flip", "blue", "green", "abandoned", LOST, BLUE, "already", "blue", False),
    ("flip", "blue", "green", "abandoned", WENT_BACK, BLUE, "back", "blue", False),
    ("flip", "blue", "green", "abandoned", BACK_LOST, GREEN, "back", "blue", False),
    # Where it came from is no one side.
    ("flip", "mixed", "green", "succeeded", [], GREEN, "split", "mixed", False),
    ("flip", "mixed", "green", "succeeded", [], BLUE, "already", "mixed", False),
    # What is live is not known.
    ("flip", "blue", "green", "succeeded", [], {}, "unknown", "blue", False),
    ("flip", "blue", "green", "rolled_back", [], {}, "unknown", "blue", False),
    ("rollback", "green", "blue", "succeeded", [], {"blue": 0, "green": 0}, "unknown", "blue", False),
]


@pytest.mark.parametrize(("kind", "from_", "to", "status", "history", "weights", "word", "goes_to", "since"), TABLE)
def test_what_a_rollback_does(
    kind: str, from_: str, to: str, status: ActionStatus, history: list[StoredEvent], weights: dict[str, int],
    word: str, goes_to: str, since: bool,
) -> None:  # fmt: skip
    change = change_of(*an_action(kind, from_, to, status), history)
    found = way_back(change, weights, COLORS)
    assert (found.word, found.to, bool(found.since)) == (word, goes_to, since)
    assert found.text.startswith("back already") == (word == "already")


@pytest.mark.parametrize("history", [[], NOT_WRITTEN])
def test_what_never_wrote_is_no_change(history: list[StoredEvent]) -> None:
    assert change_of(*an_action("flip", "blue", "green", "abandoned"), history) is None
    assert change_of(*an_action("flip", "blue", "green", "aborted"), history) is None


def test_with_no_change_it_is_not_known_where_to_unless_nothing_is_known() -> None:
    assert way_back(None, GREEN, COLORS).word == "never"
    assert way_back(None, {}, COLORS).word == "unknown"


def test_a_third_side_that_has_the_traffic_is_not_taken_from_it() -> None:
    change = change_of(*an_action("flip", "blue", "green", "succeeded"), [])
    found = way_back(change, {"blue": 0, "green": 0, "red": 100}, (*COLORS, "red"))
    assert (found.word, "RED has all traffic" in found.text) == ("elsewhere", True)


def test_back_is_never_forward() -> None:
    """Whatever the newest change and the switch: what is called back raises only the share of the side that had it."""
    for kind, from_, to, status, history, *_ in TABLE:
        change = change_of(*an_action(kind, from_, to, status), history)
        assert isinstance(change, Change)
        bad = to if kind != "rollback" else from_
        for weights in (BLUE, GREEN, SPLIT, {}):
            found = way_back(change, weights, COLORS)
            assert found.word != "back" or found.to != bad
