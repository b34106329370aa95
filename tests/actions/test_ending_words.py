"""What a switch that cannot be read has, and what is live then, are sentences."""

from actions.endings import Conflict, live_words
from backends.ports import SwitchState


def test_a_switch_that_cannot_be_read() -> None:
    odd = SwitchState(weights={}, revision="r", detail="a weight is no whole number from 0 to 100")
    assert str(Conflict(odd)).startswith("the switch can not be read now (a weight is no whole number from 0 to 100): ")
    assert live_words(odd) == "what is live is unknown (a weight is no whole number from 0 to 100)"


def test_one_that_can() -> None:
    found = SwitchState(weights={"blue": 100, "green": 0}, revision="r", detail="")
    assert str(Conflict(found)).startswith("the switch has BLUE 100 %, GREEN 0 % now: ")
    assert live_words(found) == "traffic: BLUE 100 %, GREEN 0 %"


def test_a_hands_edit_that_keeps_our_stamp_is_somebody_elses() -> None:
    """Nothing of what this action wrote is left: it is no write that took only in part."""
    wrote = {"blue": 0, "green": 100}
    edited = SwitchState(weights={"blue": 100, "green": 0}, revision="2", stamp="A:shift", wrote=wrote)
    assert "changed by somebody else since this action wrote it" in str(Conflict(edited, ours=True))
    nodes = SwitchState(
        weights={"blue": 50, "green": 50}, revision="2", stamp="A:shift", wrote=wrote, detail="the nodes differ"
    )
    assert "only a part of what this action wrote" in str(Conflict(nodes, ours=True))


def test_a_load_balancer_that_forgot_what_was_written_is_nobody_else() -> None:
    said = "lb-1 was reloaded 41s ago, since GREEN 25 % was written there: that is gone"
    forgot = SwitchState(weights={"blue": 100, "green": 0}, revision="2", detail=said)
    assert str(Conflict(forgot)) == f"the switch has BLUE 100 %, GREEN 0 % now: {said}"


def test_no_mean_of_what_differs_is_told_as_traffic() -> None:
    half, said = {"blue": 50, "green": 50}, "the nodes differ: lb-1 BLUE 100 %, lb-2 GREEN 100 %"
    parts = {"lb-1": {"blue": 100, "green": 0}, "lb-2": {"blue": 0, "green": 100}}
    for odd in (
        SwitchState(weights=half, revision="2", detail=said, parts=parts),
        SwitchState(weights=half, revision="2", detail=said, armed="any reload goes to GREEN 100 %"),
    ):
        assert (odd.served, live_words(odd)) == ({}, f"traffic: {said}")
        assert str(Conflict(odd)).startswith(f"the switch is not one thing now ({said}): ")
