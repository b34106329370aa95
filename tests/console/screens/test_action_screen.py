"""The action screen: what it ticks was observed, what it says at the end is what happened."""

from typing import Any

import pytest

from actions.models import Action, ActionError, Finding, Refused, Step, SwitchReport
from backends.models import Alert
from console.screens.action import ActionScreen, ending, switch_words
from console.screens.plan import PlanScreen
from console.screens.stage_lines import ticks
from panels.words import UNICODE
from tests.console.screen_fakes import HOSTILE, FakeSession, Holder, ago, an_action, outside, said, text_of
from tests.console.screens.test_plan_screen import SIZE, until

VERIFIED = (Step(name="verify", status="succeeded", detail="20 of 20 fresh requests GREEN"),)
BY_HAND = (Step(name="verify", status="succeeded", detail="3 of 20 fresh requests GREEN, accepted by hand"),)
BACK = (*VERIFIED, Step(name="verify-back", status="succeeded", detail="20 of 20 fresh requests BLUE"))
DOWN = Finding(level="warning", code="live-down", text="BLUE is down", fix="teal deploy flip analytics --to GREEN")


def a_screen(session: FakeSession) -> ActionScreen:
    return ActionScreen(session, "01J9ZK3V7F3")


async def test_what_worries_of_one_with_nothing_to_do_is_on_its_page_once() -> None:
    session = FakeSession()
    app = Holder(a_screen(session))
    async with app.run_test(size=SIZE) as pilot:
        await session.news.put(an_action(kind="rollback", status="succeeded", findings=(DOWN,)))
        await until(pilot, lambda: DOWN.text in text_of(app), "it is on screen")
        assert text_of(app).count(DOWN.text) == 1


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("pending", ""),
        ("running", "requested ✓  accepted ·  observed ·"),
        ("failed", "requested ✓  accepted ·  observed ·"),
        ("succeeded", "requested ✓  accepted ✓  observed ✓"),
    ],
)
def test_nothing_is_ticked_that_was_not_observed(status: Any, expected: str) -> None:
    assert ticks(Step(name="shift", status=status), UNICODE) == expected


def test_a_side_that_was_never_seen_is_said() -> None:
    report = SwitchReport(requests=10, errors=2, first_new_s=None, last_old_s=1.26)
    assert switch_words(report, "blue", "green").plain == "10   errors 2   GREEN not seen   last BLUE +1.3 s"
    taken_over = SwitchReport(requests=10, errors=0, first_new_s=None, last_old_s=None, new_seen=True)
    assert switch_words(taken_over, "blue", "green").plain == "10   errors 0   GREEN seen, since when is not known"


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (an_action(status="succeeded", changed=True, steps=VERIFIED), "done and verified by fresh requests"),
        (
            an_action(status="succeeded", changed=True, steps=BY_HAND),
            "not verified, its evidence was accepted by hand",
        ),
        (an_action(status="succeeded", changed=True, steps=()), "done and not verified by fresh requests"),
        (an_action(status="rolled_back", changed=True, steps=VERIFIED), "rolled back and not verified by fresh"),
        (an_action(status="rolled_back", changed=True, steps=BACK), "rolled back and verified by fresh requests"),
        (an_action(kind="rollback", status="succeeded", findings=(DOWN,)), "BLUE is down: teal deploy flip analytics"),
        (an_action(kind="trigger", status="succeeded", changed=True), "done"),
        (an_action(status="succeeded", changed=False), "already so, nothing changed"),
        (an_action(status="aborted"), "aborted: nothing was changed"),
        (an_action(status="rollback_failed"), "by hand: teal deploy rollback analytics"),
        (an_action(error=ActionError(kind="x", message="went wrong", fix="do\nthis")), "went wrong  do  this"),
    ],
)
def test_how_it_ended_and_what_to_do(action: Action, words: str) -> None:
    assert words in "  ".join(row.body.plain for row in ending(action, UNICODE))


async def test_it_follows_to_the_end_and_stays() -> None:
    session = FakeSession()
    screen = a_screen(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        session.news.put_nowait(an_action())
        await until(pilot, lambda: "control GREEN · data 14 of 20" in text_of(pilot.app), "the running step is shown")
        shown = text_of(pilot.app)
        for words in ("Flip analytics  BLUE → GREEN", "by alice as root on bastion-1", '"2.4.1 go"', "errors 0"):
            assert words in shown
        session.news.put_nowait(an_action(status="succeeded", changed=True, ended_at=ago(0)))
        session.news.put_nowait(None)
        await until(pilot, lambda: "done and not verified" in text_of(pilot.app), "the end is shown")
        assert "no more news" not in text_of(pilot.app)
        assert outside(screen, "KeyBar, #subject, #by") == []


async def test_a_stream_that_ends_early_is_no_success() -> None:
    session = FakeSession()
    async with Holder(a_screen(session)).run_test(size=SIZE) as pilot:
        session.news.put_nowait(an_action())
        session.news.put_nowait(None)
        await until(pilot, lambda: "no more news" in text_of(pilot.app), "said")


async def test_an_action_that_is_not_there_is_said() -> None:
    session = FakeSession()

    async def watch(action_id: str, *, in_time: bool = False) -> Any:
        raise Refused(5, ActionError(kind="not_found", message=f"no action {action_id}", fix="look under @"))
        yield

    session.watch = watch
    async with Holder(a_screen(session)).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "no action 01J9ZK3V7F3: look under @" in text_of(pilot.app), "said")


async def test_b_plans_the_way_back_and_q_leaves() -> None:
    session = FakeSession()
    screen = a_screen(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await pilot.press("b")
        assert pilot.app.screen is screen, "nothing is known yet, so nothing is rolled back"
        session.news.put_nowait(an_action())
        await until(pilot, lambda: "roll back" in text_of(pilot.app), "b is offered")
        await pilot.press("b")
        await until(pilot, lambda: isinstance(pilot.app.screen, PlanScreen), "the plan is open")
        await until(pilot, lambda: session.requests, "planned")
        assert (session.requests[0].kind, session.requests[0].service) == ("rollback", "analytics")
        assert session.submits == []
        await pilot.press("escape", "q")
        await until(pilot, lambda: screen not in pilot.app.screen_stack, "left")


async def test_what_was_red_and_what_has_cleared() -> None:
    session = FakeSession()
    alerts = [
        Alert(
            ref=f"r/{host}", backend="r", fingerprint=host, name="Down", severity="critical", state="firing",
            labels={"instance": host},
        ) for host in ("db-1", "db-2")
    ]  # fmt: skip
    session.put("alerts", *alerts)
    screen = a_screen(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        session.news.put_nowait(an_action(kind="rollback"))
        await until(pilot, lambda: "still red Down db-1, Down db-2" in said(screen, "#facts"), "both are red")
        session.put("alerts", alerts[0])
        await until(pilot, lambda: "cleared Down db-2" in said(screen, "#facts"), "one has cleared")
        assert "still red Down db-1" in said(screen, "#facts")


async def test_data_is_never_markup() -> None:
    session = FakeSession()
    step = Step(name="verify", status="running", started_at=ago(1), detail=HOSTILE)
    error = ActionError(kind="x", message=HOSTILE, fix=HOSTILE)
    session.news.put_nowait(an_action(service=HOSTILE, reason=HOSTILE, steps=(step,), error=error, status="conflict"))
    async with Holder(a_screen(session)).run_test(size=(200, 40)) as pilot:
        await until(pilot, lambda: text_of(pilot.app).count(HOSTILE) == 5, "shown as it is")
