"""An action in words: it names what it is about, and one that had nothing to do is no move."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actions.models import Action, ActionError, GateView, Hold
from actions.telling import hold_end, is_noop, outcome, short_title, title, way


def action(**fields: Any) -> Action:
    given = {
        "id": "A1", "kind": "flip", "service": "analytics", "status": "succeeded", "phase": "", "from_": "blue",
        "to": "green", "changed": True,
    }  # fmt: skip
    return Action(**{**given, **fields})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "flip analytics BLUE → GREEN succeeded"),
        ({"kind": "release", "version": "2.4.1"}, "release analytics 2.4.1 BLUE → GREEN succeeded"),
        ({"kind": "rollback", "changed": False, "to": "blue"}, "rollback analytics back already, nothing changed"),
        ({"changed": False, "to": "blue"}, "flip analytics already so, nothing changed"),
        ({"changed": False, "status": "aborted"}, "flip analytics BLUE → GREEN aborted"),
        ({"changed": False, "status": "running"}, "flip analytics BLUE → GREEN running"),
        ({"kind": "reject", "version": "2.4.1", "from_": "", "to": "rejected"}, "reject analytics 2.4.1 succeeded"),
        ({"kind": "freeze", "for_s": 7200.0, "from_": "open", "to": "frozen"}, "freeze analytics for 2h succeeded"),
        ({"kind": "unfreeze", "from_": "frozen", "to": "open"}, "unfreeze analytics succeeded"),
        ({"kind": "retire"}, "retire analytics GREEN succeeded"),
        (
            {"kind": "release", "version": "v2.5.0-rc1", "from_": "4b825dc642cb6eb9", "to": "v2.5.0-rc1"},
            "release analytics v2.5.0-rc1 4b825dc642cb6eb9 → v2.5.0-rc1 succeeded",
        ),
        ({"kind": "trigger", "service": "a/etl", "from_": "", "to": "running"}, "trigger a/etl succeeded"),
        (
            {"kind": "ack", "about": "Down web", "from_": "firing", "to": "acknowledged", "for_s": 3600.0},
            "ack Down web for 1h firing → acknowledged succeeded",
        ),
    ],
)
def test_what_it_is_about_where_it_goes_and_what_came_of_it(fields: dict[str, Any], words: str) -> None:
    found = action(**fields)
    assert f"{title(found)}{way(found)} {outcome(found)}" == words
    assert is_noop(found) == ("nothing changed" in words)


def test_a_short_title_leaves_the_service_to_what_stands_above() -> None:
    assert short_title(action(kind="reject", version="2.4.1")) == "reject 2.4.1"
    assert way(action(), "->", capitals=False) == " blue -> green"


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        ("rolled_back", "gate_failed", "rolled back by gate error-rate"),
        ("rolled_back", "verify_failed", "rolled back by its verification"),
        ("rolled_back", "deadline", "rolled back by its time limit"),
        ("aborted", "health_failed", "aborted by its health check"),
        ("rolled_back", "ordered", "rolled back (abort ordered by mia)"),
        ("aborted", "unreachable", "aborted"),
    ],
)
def test_what_took_it_back_is_named_and_not_who_ordered_it(status: str, kind: str, words: str) -> None:
    gates = tuple(GateView(name=name, word=word, sample="") for name, word in (("p99", "pass"), ("error-rate", "fail")))
    error = ActionError(kind=kind, message="abort ordered by mia" if kind == "ordered" else "what was seen")
    assert outcome(action(status=status, error=error, gates=gates)) == words


@pytest.mark.parametrize(
    ("fields", "minutes", "words"),
    [
        ({}, 10, "goes back by itself at 01 Mar 14:10 UTC"),
        ({}, None, "until the evidence comes or somebody decides"),
        ({"phase": "shift-back"}, 10, "gives up at 01 Mar 14:10 UTC"),
        ({"kind": "rollback"}, 10, "gives up at 01 Mar 14:10 UTC"),
        ({"orphaned_since": datetime(2026, 3, 1, tzinfo=UTC)}, 10, ""),
        ({"status": "succeeded"}, 10, ""),
    ],
)
def test_what_comes_of_a_hold_by_itself_and_when(fields: dict[str, Any], minutes: int | None, words: str) -> None:
    """No line said it, and a canary went back at night that everybody thought was waiting for somebody."""
    since = datetime(2026, 3, 1, 14, tzinfo=UTC)
    until = None if minutes is None else since + timedelta(minutes=minutes)
    held = action(**{"status": "paused", "hold": Hold(why="no requests", since=since, until=until), **fields})
    assert hold_end(held, UTC) == words
    assert hold_end(action(), UTC) == ""
