"""A stamp says which action wrote, in which step, and for which color: each reader reads what was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.endings import Conflict
from actions.ids import new_id
from actions.judging.stages import STRATEGIES, moving_steps, stages_of
from backends.deployments.haproxy.writer import goes_back
from backends.deployments.switch_format import refuse_older_fence
from backends.errors import BackendError
from backends.ports import Stamp, SwitchState, read_stamp

WORDS = st.text(st.characters(exclude_characters=":"), min_size=1)


@given(WORDS, WORDS, st.just("") | WORDS)
def test_what_is_written_is_read_back(action: str, step: str, gains: str) -> None:
    written = Stamp(action, step, gains)
    assert read_stamp(written.text()) == written


@given(st.text())
def test_any_text_is_read_and_names_an_action_only_with_its_step(text: str) -> None:
    found = read_stamp(text)
    assert bool(found.action) == bool(found.step)
    assert not found.action or text.startswith(f"{found.action}:{found.step}")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_stamps_of_an_older_program_are_read(strategy: str) -> None:
    action = new_id()
    for step in (*moving_steps(stages_of(strategy, {})), "shift-back"):  # it named no color
        assert read_stamp(f"{action}:{step}") == Stamp(action, step)


@pytest.mark.parametrize("text", ["", "somebody", ":", "A:", ":shift", "::green"])
def test_what_is_no_stamp_is_no_actions(text: str) -> None:
    assert read_stamp(text) == Stamp()
    assert "(action" not in str(Conflict(SwitchState(weights={"blue": 100}, revision="r", stamp=text)))
    refuse_older_fence("here", SwitchState(weights={}, revision="r", stamp=text, fence=7), text, 6, "")


@pytest.mark.parametrize("step", ["shift", "shift[50]", "shift-back"])
def test_every_reader_knows_the_action_and_the_step(step: str) -> None:
    found = SwitchState(weights={"blue": 100}, revision="r", stamp=Stamp("A", step, "fallback").text(), fence=7)
    assert "(action A)" in str(Conflict(found))
    assert goes_back(found.stamp) == (step == "shift-back")
    refuse_older_fence("here", found, "AB:shift", 6, "")
    with pytest.raises(BackendError, match="A has been taken over"):
        refuse_older_fence("here", found, "A:verify", 6, "")
