"""Which change of a controller is a way back, and what the panel says while one is under way."""

import pytest

from backends.deployments.controlled import goes_back, way_back
from backends.models import ControllerView, Revision
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
