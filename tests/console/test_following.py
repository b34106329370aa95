"""When the command that ordered an action stops watching it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actions.models import Action, ActionError, Hold
from console.cli.following import waits_for_a_person

NOW = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
HELD = ActionError(kind="held", message="held: errors: no data")


def action(**fields: Any) -> Action:
    told = {"status": "paused", "phase": "analyse[50]", **fields}
    return Action(id="A", kind="flip", service="analytics", from_="blue", to="green", **told)


@pytest.mark.parametrize(
    ("seen", "ends"),
    [
        (action(status="running"), False),
        (action(error=HELD, hold=Hold(why="no data", since=NOW, until=NOW + timedelta(minutes=10))), False),
        (action(phase="bake", error=HELD, hold=Hold(why="no data", since=NOW)), True),
        (action(), True),
    ],
    ids=["runs", "held below 100 %: it goes back by itself", "held at 100 %", "paused by hand"],
)
def test_it_goes_on_watching_what_goes_on_by_itself(seen: Action, ends: bool) -> None:
    assert waits_for_a_person(seen) is ends
