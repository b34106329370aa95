"""Plans and actions as lines on a terminal: no way back is offered where there is none."""

from typing import Any

import pytest
from msgspec.structs import replace

from actions.ids import now
from actions.models import Action, Finding, Plan, PlanSummary, Request, SwitchReport
from console.cli.writing import action_lines, plan_lines

UNKNOWN = Finding(level="block", code="truth-unknown", text="what is live is unknown: no selector", fix="look")
BACK = Finding(level="ok", code="undone", text="back already: BLUE has all traffic; flip A1 went back")
PLAN = Plan(
    kind="flip", context="prod", service="web", guard_class="3", protected=False, from_="unknown", to="",
    findings=(UNKNOWN,), summary=PlanSummary(effects=(), preconditions=(), undo=""), hash="h", made_at=now(),
    request=Request(kind="flip", service="web"),
)  # fmt: skip
SEEN = SwitchReport(requests=23, errors=0, first_new_s=0.13, last_old_s=0.08)
DONE = Action(
    id="A1", kind="flip", service="web", status="succeeded", phase="", from_="blue", to="green", changed=True,
    switch=SEEN, undo="teal deploy rollback web",
)  # fmt: skip


def test_a_blocked_plan_is_neither_done_already_nor_undone() -> None:
    assert plan_lines(PLAN) == [
        "flip web   unknown   (prod)",
        "  ✗ what is live is unknown: no selector (look)",
        "  plan  h",
    ]


def test_a_plan_that_is_done_already_says_so() -> None:
    lines = plan_lines(replace(PLAN, kind="rollback", from_="blue", to="blue", findings=(BACK,), already=True))
    assert lines[1:3] == [f"  ✓ {BACK.text}", "  nothing to do: it is so already"]


def test_what_was_seen_is_a_sentence() -> None:
    seen = "23 test requests during the switch, 0 failed; GREEN answered after 0.13 s, BLUE last after 0.08 s"
    assert action_lines(DONE)[1:] == [seen, "undo: teal deploy rollback web"]
    never = replace(DONE, from_="mixed", switch=SwitchReport(requests=9, errors=9, first_new_s=None, last_old_s=0.5))
    assert "9 failed; none of them was answered by GREEN, another side last after 0.50 s" in action_lines(never)[1]
    taken_over = replace(
        DONE, switch=SwitchReport(requests=66, errors=0, first_new_s=None, last_old_s=None, new_seen=True)
    )
    words = "66 test requests during the switch, 0 failed; GREEN answered, since when is not known"
    assert action_lines(taken_over)[1] == words


def test_a_rollback_that_found_nothing_to_do_says_why() -> None:
    nothing = replace(DONE, kind="rollback", changed=False, switch=None, undo="", findings=(BACK,))
    assert action_lines(nothing)[1:] == [BACK.text]


@pytest.mark.parametrize(
    ("status", "says"), [("running", False), ("paused", False), ("in_doubt", False), ("aborted", True)]
)
def test_only_of_what_has_ended_it_is_said_that_nothing_changed(status: Any, says: bool) -> None:
    line = action_lines(replace(DONE, status=status, changed=False))[0]
    assert ("(nothing changed)" in line) is says
