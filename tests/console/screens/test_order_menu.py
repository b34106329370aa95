"""What can be ordered of an action, and a release from the console: plans and forms, and the reason where not."""

import asyncio
from typing import Any, get_args

import pytest
from textual.widgets import Button, Input

from actions.models import Action, Hold, OrderWord, Request
from backends.models import ColorState, Deployment, Freeze
from console.app import TealApp
from console.reading.release_options import ReleaseOptions
from console.screens.action import ActionScreen
from console.screens.action_list import ActionsScreen
from console.screens.choices import choices
from console.screens.menu import ActionMenu
from console.screens.plan import PlanScreen
from console.screens.plan_words import ORDER, subject
from console.screens.release import ReleaseForm
from panels.listing import Listing
from panels.words import UNICODE
from tests.console import fakes
from tests.console.screen_fakes import FakeSession, Holder, a_deployment, a_plan, ago, an_action, outside, said, text_of
from tests.console.screens.test_plan_screen import SIZE, until

UNARMED = "this console is read-only: ! arms it"
ALONE = ago(90)
HOLD = Hold(why="prometheus does not answer", since=ago(120), until=ago(-480))
HELD = an_action(status="paused", phase="analyse[10]", hold=HOLD)
SICK = {**a_deployment().colors, "green": ColorState(version="2.4.1", healthy=False, detail="503")}


def test_every_order_has_its_words() -> None:
    assert set(ORDER) == set(get_args(OrderWord))


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (an_action(), {"p": "", "g": "there is no wait to skip in verify", "k": "", "b": ""}),
        (an_action(phase="bake"), {"g": "", "i": "no evidence is missing: there is nothing to accept"}),
        (HELD, {"p": "", "g": "", "i": "", "k": "", "b": ""}),
        (an_action(orphaned_since=ALONE), {"t": "", "p": "", "b": ""}),
        (an_action(status="rolling_back"), dict.fromkeys("pgi", "it is on its way back")),
        (an_action(status="succeeded"), {"p": "it has ended: succeeded", "k": "it has ended: succeeded", "b": ""}),
        (an_action(status="rolled_back"), {"b": "back already: it went back"}),
        (an_action(kind="trigger"), {"b": "trigger is one step: there is nothing to steer"}),
        (an_action(kind="trigger", status="succeeded"), {"b": "a trigger moves no traffic forward"}),
    ],
)
def test_what_can_be_ordered_of_an_action_and_why_not(action: Action, expected: dict[str, str]) -> None:
    session: Any = FakeSession()
    found = {choice.key: choice.reason for choice in choices(action, session)}
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("action", "there"),
    [
        (an_action(), False),
        (an_action(status="conflict"), True),
        (an_action(status="in_doubt"), True),
        (an_action(orphaned_since=ALONE), True),
        (an_action(status="succeeded"), False),
    ],
)
def test_what_nobody_can_end_otherwise_can_be_abandoned_by_a_key(action: Action, there: bool) -> None:
    session: Any = FakeSession()
    found = [choice for choice in choices(action, session) if choice.key == "d"]
    assert [choice.request.order for choice in found if choice.request] == (["abandon"] if there else [])


def test_p_is_what_can_be_done_of_pause_and_resume() -> None:
    session: Any = FakeSession()

    def orders(action: Action) -> list[str]:
        return [c.request.order for c in choices(action, session) if c.request and c.id.endswith(("pause", "resume"))]

    assert orders(an_action()) == ["pause"]
    assert orders(an_action(status="paused")) == ["resume"]
    assert orders(an_action(orphaned_since=ALONE)) == ["resume"]
    assert orders(HELD) == ["pause", "resume"], "a hold says paused too, and an operator may have paused beside it"


def test_only_what_goes_forward_needs_an_armed_console() -> None:
    session: Any = FakeSession(protected=True, armed=False)
    found = {choice.key: choice.reason for choice in choices(HELD, session)}
    assert [found[key] for key in "gi"] == [UNARMED] * 2
    assert [found[key] for key in "pkb"] == [""] * 3


def test_an_order_is_bound_to_its_action() -> None:
    session: Any = FakeSession()
    by_key = {choice.key: choice.request for choice in choices(HELD, session)}
    assert by_key["i"] == Request(kind="flip", service="analytics", ref="01J9ZK3V7F3", order="accept")
    assert by_key["b"] == Request(kind="rollback", service="analytics")


@pytest.mark.parametrize(
    ("deployment", "ways", "expected"),
    [
        (a_deployment(), ReleaseOptions(), {"d": "", "w": ""}),
        (a_deployment(colors=SICK), ReleaseOptions(), {"d": "", "w": "GREEN is not healthy: 503"}),
        (
            a_deployment(),
            ReleaseOptions(no_deployer="no `deploy`", no_split="all at once"),
            {"d": "no `deploy`", "w": "all at once"},
        ),
        (a_deployment(action="7F3"), ReleaseOptions(), dict.fromkeys("dw", "an action is open on it: @ shows it")),
        (
            a_deployment(live="mixed"),
            ReleaseOptions(),
            dict.fromkeys("dw", "the layers of truth disagree; b rolls back"),
        ),
        (
            a_deployment(freeze=Freeze(by="alice", reason="month end")),
            ReleaseOptions(),
            {**dict.fromkeys("fdw", "frozen by alice: month end; h unfreezes it"), "b": ""},
        ),
        (a_deployment(freeze=Freeze(by="config")), ReleaseOptions(), {"d": "frozen by the config", "b": ""}),
    ],
)
def test_when_a_version_can_be_released(deployment: Deployment, ways: ReleaseOptions, expected: dict[str, str]) -> None:
    session: Any = FakeSession()
    session.forward = ways
    found = {choice.key: choice.reason for choice in choices(deployment, session)}
    assert {key: found[key] for key in expected} == expected


def test_of_a_frozen_service_the_command_that_overrides_it_is_named() -> None:
    session: Any = FakeSession()
    frozen = a_deployment(freeze=Freeze(by="alice", reason="month end"))
    notes = {choice.key: choice.note for choice in choices(frozen, session)}
    assert 'deploy flip analytics --to green --override freeze --reason "…"' in notes["f"]
    assert 'deploy release analytics --version V --override freeze --reason "…"' in notes["d"]
    assert not any("override" in choice.note for choice in choices(a_deployment(), session))
    assert not {choice.note for choice in choices(a_deployment(freeze=frozen.freeze, colors=SICK), session)} & {
        notes["f"]
    }


async def test_x_d_asks_for_version_and_strategy_and_plans_a_release() -> None:
    session = FakeSession()
    async with Holder(ActionMenu(session, a_deployment())).run_test(size=SIZE) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, ReleaseForm), "the form is open")
        form = pilot.app.screen
        go = form.query_one("#go", Button)
        await until(pilot, lambda: form.focused is form.query_one("#version"), "the version has focus")
        assert outside(form, "Button, Input, KeyBar") == []
        assert "gradual      10 → 50 → 100 %, 10m each" in text_of(pilot.app)
        assert "blue-green   all at once" in text_of(pilot.app)
        go.press()
        await until(pilot, lambda: "a version is needed" in said(form, "#said"), "said")
        await pilot.press(*"2.5.0", "enter", *"canarry")
        await until(pilot, lambda: 'no strategy "canarry"' in said(form, "#said"), "said at once")
        await pilot.press("enter", "enter")
        await until(pilot, lambda: 'no strategy "canarry"' in said(form, "#said"), "said")
        assert session.requests == []
        form.query_one("#strategy", Input).value = "blue"
        form.query_one("#strategy", Input).focus()
        await pilot.press("down", "down")
        assert form.query_one("#strategy", Input).value == "canary"
        assert said(form, "#said") == ""
        await pilot.press("enter")
        assert form.focused is go
        await pilot.press("enter")
        await until(pilot, lambda: session.requests, "planned")
        assert session.requests == [Request(kind="release", service="analytics", version="2.5.0", strategy="canary")]
        await until(pilot, lambda: "Release analytics 2.5.0  BLUE → GREEN" in text_of(pilot.app), "the plan is open")
        assert session.submits == []
        await until(pilot, lambda: pilot.app.screen.focused is not None, "the plan has focus")
        pilot.app.screen.query_one("#go", Button).press()
        await until(pilot, lambda: isinstance(pilot.app.screen, ActionScreen), "the action is shown")
        await pilot.press("q")
        await until(pilot, lambda: form not in pilot.app.screen_stack, "the form is passed")


async def test_x_w_plans_a_flip_in_stages() -> None:
    session = FakeSession()
    async with Holder(ActionMenu(session, a_deployment())).run_test(size=SIZE) as pilot:
        await pilot.press("w")
        await until(pilot, lambda: isinstance(pilot.app.screen, ReleaseForm), "the form is open")
        form = pilot.app.screen
        await until(pilot, lambda: form.focused is not None, "the strategy has focus")
        form.query_one("#go", Button).press()
        await until(pilot, lambda: "a strategy is needed" in said(form, "#said"), "said")
        await pilot.press(*"gradual")
        form.query_one("#go", Button).press()
        await until(pilot, lambda: session.requests, "planned")
        assert session.requests == [Request(kind="flip", service="analytics", strategy="gradual")]


@pytest.mark.parametrize(("written", "for_s"), [("", None), ("2h", 7200.0)])
async def test_x_h_asks_for_how_long_and_plans_a_freeze(written: str, for_s: float | None) -> None:
    session = FakeSession()
    async with Holder(ActionMenu(session, a_deployment())).run_test(size=SIZE) as pilot:
        await pilot.press("h")
        await until(pilot, lambda: "for how long" in text_of(pilot.app), "it is asked")
        await pilot.press(*"soon", "enter")
        assert session.requests == []
        await pilot.press(*["backspace"] * 4, *written, "enter")
        await until(pilot, lambda: session.requests, "planned")
        assert session.requests == [Request(kind="freeze", service="analytics", for_s=for_s)]


async def test_an_order_from_the_action_screen_comes_back_to_it_and_follows_again() -> None:
    session = FakeSession()
    orphan = an_action(orphaned_since=ALONE)
    session.plans = [
        a_plan(guard_class="3", protected=False, needs_reason="missing evidence is only accepted with a reason")
    ]
    screen = ActionScreen(session, "01J9ZK3V7F3")
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await pilot.press("x")
        assert pilot.app.screen is screen, "nothing is known of it yet"
        session.news.put_nowait(orphan)
        session.news.put_nowait(None)
        await until(pilot, lambda: "nobody runs it: x p resumes it" in text_of(pilot.app), "said")
        await pilot.press("x")
        await until(pilot, lambda: isinstance(pilot.app.screen, ActionMenu), "the menu is open")
        await pilot.press("t")
        await until(pilot, lambda: session.requests, "planned")
        assert session.requests[0].order == "takeover"
        plan = pilot.app.screen
        await until(pilot, lambda: "Take over: Flip analytics" in text_of(pilot.app), "its words are shown")
        await until(pilot, lambda: plan.focused is plan.query_one("#reason"), "the reason has focus")
        plan.query_one("#go", Button).press()
        await until(pilot, lambda: "only accepted with a reason" in said(plan, "#said"), "a reason is asked for")
        await pilot.press(*"seen")
        plan.query_one("#go", Button).press()
        await until(pilot, lambda: pilot.app.screen is screen, "back on the same screen")
        assert [type(each) for each in pilot.app.screen_stack].count(ActionScreen) == 1
        session.news.put_nowait(an_action(phase="bake"))
        await until(pilot, lambda: " baking " in text_of(pilot.app), "its news are followed again")


async def test_what_needs_one_confirmation_does_not_start_under_the_finger() -> None:
    session = FakeSession()
    session.plans = [a_plan(guard_class="R")]
    request = Request(kind="release", service="analytics", ref="01J9ZK3V7F3", order="abort")
    screen = PlanScreen(session, request)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: screen.focused is not None, "it has focus")
        assert screen.focused is screen.query_one("#leave")
        assert "[ Abort ]" in text_of(pilot.app)


class Journal(fakes.FakeSession):
    """Has one open action."""

    async def actions(self, *, open_only: bool = False) -> list[Action]:
        return [an_action()]


async def test_x_in_the_list_of_actions() -> None:
    app = TealApp(Journal(), now=lambda: fakes.NOW)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(0.1)
        await pilot.press("at")
        await until(pilot, lambda: isinstance(app.screen, ActionsScreen), "the list is open")
        await until(pilot, lambda: app.screen.query_one(Listing).current is not None, "the action is listed")
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ActionMenu), "the menu is open")
        assert "pause at the next safe point" in text_of(app)


class SlowJournal(Journal):
    """Answers once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()

    async def actions(self, *, open_only: bool = False) -> list[Action]:
        await self.let.wait()
        return await super().actions(open_only=open_only)


async def test_enter_before_the_list_of_actions_is_there_opens_the_first() -> None:
    session = SlowJournal()
    app = TealApp(session, now=lambda: fakes.NOW)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(0.1)
        await pilot.press("at", "enter")
        await until(pilot, lambda: isinstance(app.screen, ActionsScreen), "the list is open")
        assert "nothing to open" not in text_of(app)
        session.let.set()
        await until(pilot, lambda: isinstance(app.screen, ActionScreen), "the first action is open")
        assert "nothing to open" not in text_of(app)


def test_without_a_journal_the_way_back_can_be_planned() -> None:
    session: Any = FakeSession()
    blind = a_deployment(rollback=None, last_switch=None, action_unknown="who acts is unknown: journal /j.db")
    assert {choice.key: choice.reason for choice in choices(blind, session)}["b"] == ""
    none = a_deployment(rollback=None, last_switch=None)
    assert {choice.key: choice.reason for choice in choices(none, session)}["b"] != ""


def test_a_plan_that_goes_nowhere_has_no_arrow() -> None:
    assert subject("rollback", "a", "", "blue", "blue", UNICODE).plain == "Roll back a  BLUE has it already"
    assert subject("rollback", "a", "", "green", "blue", UNICODE).plain == "Roll back a  GREEN → BLUE"
