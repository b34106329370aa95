"""Which change of a controller is a way back, and what the panel says while one is under way."""

from typing import get_args

import pytest

from backends.deployments.controlled import goes_back, offers, way_back
from backends.models import ControllerView, OrderName, Revision
from backends.ports import ControllerState, Operation


@pytest.mark.parametrize(
    ("history", "came_from", "to", "back"),
    [
        ("AB", "A", "C", False), ("AB", "B", "A", True), ("ABA", "B", "A", True), ("ABC", "C", "A", True),
        # What was left and comes again goes forward: it is to be stopped, and gone back from.
        ("ABA", "A", "B", False), ("ABAB", "A", "B", False), ("ABABA", "A", "B", False),
        # A way back that made a change of its own (A, B, A) says nothing of the release after it.
        ("ABA", "A", "C", False), ("ABAC", "C", "A", True), ("ABAC", "A", "C", False),
        ("", "A", "B", False), ("B", "A", "B", False), ("A", "A", "A", False),
    ],
)  # fmt: skip
def test_a_way_back_goes_to_what_was_there_before_the_other_came(
    history: str, came_from: str, to: str, back: bool
) -> None:
    assert goes_back(list(history), came_from, to) is back


@pytest.mark.parametrize("returned", [False, True])
def test_a_way_back_under_way_is_not_offered_to_be_stopped(returned: bool) -> None:
    going = Operation(id="o", state="open", target=Revision(id="a", version="1"), source=Revision(id="b", version="2"))
    view = ControllerView(type="x", phase="progressing", message="going")
    found = way_back(ControllerState(view=view, revision="r", newest=going, returned=returned))
    assert (found.ready, found.to) == ((False, None) if returned else (True, "2"))


@pytest.mark.parametrize("is_open", [True, False])
def test_a_way_back_that_the_system_does_not_take_is_not_called_ready(is_open: bool) -> None:
    """As a pending release of Helm that somebody else makes, or auto-sync of Argo CD."""
    source, target = Revision(id="b", version="2"), Revision(id="a", version="1")
    newest = Operation(id="o", state="open" if is_open else "succeeded", target=target, source=source)
    orders = offers(dict.fromkeys(get_args(OrderName), "") | {"abort" if is_open else "rollback": "not now"})
    view = ControllerView(type="x", phase="progressing", orders=orders)
    found = way_back(ControllerState(view=view, revision="r", newest=newest, before=source))
    assert (found.ready, found.instant, found.to, found.reason) == (False, False, "2", "not now")
