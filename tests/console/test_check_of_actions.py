"""`teal check` of what is open: whatever wants a person is no OK, and says the ways out."""

from datetime import UTC, timedelta
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from actions.ids import now
from actions.models import ENDED, ActionError, ActionStatus, Actor, Hold, Owner, Pause
from console.check_results import of_actions
from console.session import Acting
from panels.kinds.deployments import health as standing_of
from tests.console.fakes import deployment
from tests.console.screen_fakes import an_action

ID = "01M0000000000000000000000A"
BACK = "teal deploy rollback analytics"
HOLD = Hold(why="no requests", since=now(), until=None)
PAUSE = Pause(by="alice", since=now(), reason="asks the team")
PAGES = ActionError(kind="target_unhealthy", message="held: nothing works")
LOST = ActionError(kind="conflict", message="somebody else wrote it")


@pytest.mark.parametrize(
    ("fields", "state", "words"),
    [
        ({}, "ok", ("1 open",)),
        ({"status": "paused", "hold": HOLD, "error": ActionError(kind="held", message="held: no requests")}, "warning",
         ("held (no requests)", f"teal action accept {ID} --reason WHY, or {BACK}")),
        ({"status": "paused", "hold": HOLD, "error": PAGES}, "critical", ("held (no requests)", BACK)),
        ({"status": "paused", "paused": PAUSE}, "warning",
         ("paused by alice since", "asks the team", f"teal action resume {ID}, or {BACK}")),
        ({"status": "rolling_back", "error": LOST}, "warning", ("rolling back", f"teal action watch {ID}")),
        ({"status": "conflict", "error": LOST}, "critical",
         ("conflict (somebody else wrote it)", BACK, f"teal action abandon {ID} --reason WHY")),
        ({"status": "in_doubt", "error": LOST}, "critical", ("in doubt", BACK, "teal action abandon")),
        ({"status": "awaiting_approval"}, "warning", ("awaiting approval",)),
    ],
)  # fmt: skip
def test_what_waits_for_a_person_says_why_and_its_ways_out(
    fields: dict[str, Any], state: str, words: tuple[str, ...]
) -> None:
    owner = Owner(user="alice", host="elsewhere", pid=1, lease_expires_at=now() + timedelta(minutes=1))
    action = an_action(id=ID, kind="flip", phase="bake", owner=owner, actor=Actor(login="alice"), **fields)
    found = of_actions(Acting(actions=(action,)), UTC)
    assert found.state == state
    assert [word for word in words if word not in found.message] == [], found.message
    assert "resume" not in found.message or "paused" in fields


@pytest.mark.parametrize("status", [each for each in get_args(ActionStatus) if each not in ENDED | {"planned"}])
def test_no_open_status_but_running_is_ok(status: ActionStatus) -> None:
    owner = Owner(user="alice", host="elsewhere", pid=1, lease_expires_at=now() + timedelta(minutes=1))
    action = an_action(id=ID, kind="flip", phase="bake", owner=owner, status=status)
    assert (of_actions(Acting(actions=(action,)), UTC).state == "ok") == (status == "running")


def test_the_worst_of_several_comes_first() -> None:
    held = an_action(id=ID, status="paused", hold=HOLD, phase="bake")
    lost = an_action(id=ID, status="conflict", error=LOST, phase="bake")
    found = of_actions(Acting(actions=(held, lost)), UTC)
    assert (found.state, found.message.index("conflict") < found.message.index("held")) == ("critical", True)


def test_a_service_whose_action_is_held_is_a_warning_also_where_all_traffic_is_well() -> None:
    runs = deployment(action=ID, action_about="release")
    held = replace(runs, action_held="no requests")
    assert (runs.health, held.health) == ("ok", "warning")
    split = replace(held, live="mixed")
    assert standing_of(split) == "warning", "it wants a person: it is not just running"
