"""The plan screen: nothing is submitted that was not agreed to, and what was agreed to is what is submitted."""

import asyncio
from typing import Any

import pytest
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Button, Input

from actions.models import ActionError, Finding, Refused, Request
from backends.errors import BackendError
from console.screens.action import ActionScreen
from console.screens.plan import PlanScreen
from tests.console.screen_fakes import HOSTILE, FakeSession, Holder, a_plan, ago, an_action, outside, said, text_of

FLIP = Request(kind="flip", service="analytics", to="green")
BACK = Request(kind="rollback", service="analytics")
SIZE = (80, 24)


async def until(pilot: Pilot[Any], condition: Any, what: str) -> None:
    for _ in range(100):
        if condition():
            return
        await pilot.pause(0.02)
    pytest.fail(f"never: {what}\n{text_of(pilot.app)}")


async def opened(pilot: Pilot[Any], screen: PlanScreen) -> PlanScreen:
    await until(pilot, lambda: screen.focused is not None, "the form has focus")
    return screen


def a_screen(session: FakeSession, request: Request = FLIP) -> PlanScreen:
    return PlanScreen(session, request)


async def test_focus_starts_on_the_reason_and_enter_there_submits_nothing() -> None:
    session = FakeSession()
    screen = a_screen(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await opened(pilot, screen)
        assert screen.focused is screen.query_one("#reason")
        await pilot.press(*"yf", "enter")
        assert screen.focused is screen.query_one("#go")
        await pilot.press("enter", "y", "enter", "f", "enter")
        await pilot.pause()
        assert session.submits == []
        assert "press it again" in said(screen, "#said")
        assert screen.query_one("#reason", Input).value == "yf"


async def test_what_was_lacking_is_no_longer_asked_for_once_it_stands_there() -> None:
    session = FakeSession(protected=True)
    screen = a_screen(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await opened(pilot, screen)
        await pilot.press(*"go", "enter")
        assert screen.focused is screen.query_one("#context")
        screen.query_one("#go", Button).press()
        await until(pilot, lambda: "type production into Context" in said(screen, "#said"), "it is asked for")
        await pilot.press(*"produc")
        assert "type production into Context" in said(screen, "#said")
        await pilot.press(*"tion")
        await until(pilot, lambda: said(screen, "#said") == "", "it stands there")
        assert session.submits == []


async def test_a_plan_that_may_be_overridden_names_the_command_that_does_it() -> None:
    frozen = Finding(level="block", code="freeze", text="frozen by alice", fix="wait", overridable=True)
    owned = Finding(level="block", code="owner", text="it is Helm's")
    for findings, named in (((frozen,), True), ((frozen, owned), False)):
        session = FakeSession()
        session.plans = [a_plan(findings=findings)]
        screen = a_screen(session)
        async with Holder(screen).run_test(size=SIZE) as pilot:
            await opened(pilot, screen)
            told = 'deploy flip analytics --to green --override freeze --reason "…"'
            assert (told in said(screen, "#worries")) is named


async def test_a_plan_that_waited_for_arming_starts_where_every_plan_of_its_kind_does() -> None:
    session = FakeSession(protected=True, armed=False)
    screen = a_screen(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await opened(pilot, screen)
        assert screen.focused is screen.query_one("#leave")
        session.armed = True
        await until(pilot, lambda: screen.focused is screen.query_one("#reason"), "the reason has the focus")


async def test_a_rollback_starts_on_cancel_and_enter_there_leaves() -> None:
    session = FakeSession(protected=True, armed=False)
    session.plans = [a_plan(BACK)]
    screen = a_screen(session, BACK)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await opened(pilot, screen)
        assert screen.focused is screen.query_one("#leave")
        await pilot.press("b", "y", "enter")
        await pilot.pause()
        assert session.submits == []
        assert screen not in pilot.app.screen_stack


async def test_a_rollback_needs_one_confirmation_even_where_protected_and_unarmed() -> None:
    session = FakeSession(protected=True, armed=False)
    session.plans = [a_plan(BACK)]
    screen = a_screen(session, BACK)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await opened(pilot, screen)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: session.submits, "submitted")
        plan, consent = session.submits[0]
        assert (plan.kind, consent.confirmed, consent.armed, consent.typed_context) == ("rollback", True, False, "")


async def test_the_button_submits_what_was_shown_and_the_action_takes_the_place_of_the_plan() -> None:
    session = FakeSession()
    screen = a_screen(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await opened(pilot, screen)
        await pilot.press(*"go", "tab", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ActionScreen), "the action is shown")
        [(plan, consent)] = session.submits
        assert consent.plan_hash == plan.hash
        assert (consent.reason, consent.confirmed, consent.interactive) == ("go", True, True)
        assert consent.idempotency_key
        assert screen not in pilot.app.screen_stack


async def test_a_protected_context_wants_a_reason_and_its_name() -> None:
    session = FakeSession(protected=True)
    screen = a_screen(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await opened(pilot, screen)
        go = screen.query_one("#go", Button)
        go.press()
        await until(pilot, lambda: "reason is needed" in said(screen, "#said"), "a reason is asked for")
        assert screen.focused is screen.query_one("#reason")
        await pilot.press(*"why", "tab", *"productio")
        go.press()
        await until(pilot, lambda: "type production" in said(screen, "#said"), "the name is asked for")
        assert session.submits == []
        assert screen.focused is screen.query_one("#context")
        await pilot.press("n")
        go.press()
        await until(pilot, lambda: session.submits, "submitted")
        assert session.submits[0][1].typed_context == "production"


async def test_a_console_that_is_not_armed_has_no_button_until_it_is() -> None:
    session = FakeSession(protected=True, armed=False)
    screen = a_screen(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await opened(pilot, screen)
        assert not screen.query_one("#go").display
        assert "press ! to arm" in said(screen, "#worries")
        session.armed = True
        await until(pilot, lambda: screen.query_one("#go").display, "armed, so it is offered")


async def test_keys_typed_before_the_form_is_there_are_dropped() -> None:
    session = FakeSession()
    session.gate.clear()
    screen = a_screen(session)
    plan = session.plan

    async def plan_while_they_type(request: Request) -> Any:
        made = await plan(request)
        for letter in "xyzq":
            screen.app.post_message(Key(letter, letter))
        screen.app.post_message(Key("enter", "\r"))
        return made

    session.plan = plan_while_they_type
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await pilot.press("tab", "enter", "y", "q", "backspace", "1")
        assert "planning…" in text_of(pilot.app)
        session.gate.set()
        await opened(pilot, screen)
        assert screen.query_one("#reason", Input).value == ""
        assert session.submits == []
        assert screen in pilot.app.screen_stack


async def test_escape_leaves_while_it_plans() -> None:
    session = FakeSession()
    session.gate.clear()
    screen = a_screen(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await pilot.press("escape")
        await until(pilot, lambda: screen not in pilot.app.screen_stack, "left")


@pytest.mark.parametrize(
    "answer",
    [
        Refused(3, ActionError(kind="refused", message="GREEN is not healthy", fix="look at its log")),
        BackendError("unreachable", "switch.json: no such file", fix="start the sandbox"),
        a_plan(findings=(Finding(level="block", code="sick", text="GREEN is not healthy", fix="look at its log"),)),
        a_plan(already=True, findings=()),
    ],
    ids=["refused", "unreachable", "blocked", "already"],
)
async def test_what_cannot_be_done_has_no_button_and_says_what_to_do(answer: Any) -> None:
    session = FakeSession()
    session.plans = [answer]
    screen = a_screen(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await opened(pilot, screen)
        assert not screen.query_one("#go").display
        assert screen.focused is screen.query_one("#leave")
        words = said(screen, "#worries")
        assert "look at its log" in words or "start the sandbox" in words or "nothing would be written" in words
        screen.query_one("#go", Button).press()
        await pilot.pause()
        assert session.submits == []


async def test_a_refusal_at_the_gate_is_shown_in_place() -> None:
    session = FakeSession()
    session.submit_answer = Refused(
        6, ActionError(kind="conflict", message="alice flips it since 14:02", fix="watch it")
    )
    screen = a_screen(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await opened(pilot, screen)
        screen.query_one("#go", Button).press()
        await until(pilot, lambda: "alice flips it" in said(screen, "#worries"), "the refusal is shown")
        assert not screen.query_one("#go").display
        assert pilot.app.screen is screen


async def test_an_old_plan_that_is_still_the_same_is_made_anew_and_submitted() -> None:
    session = FakeSession()
    session.plans = [a_plan(made_at=ago(61), protected=False), a_plan(protected=False)]
    screen = a_screen(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await opened(pilot, screen)
        assert "made anew" in text_of(pilot.app)
        screen.query_one("#go", Button).press()
        await until(pilot, lambda: session.submits, "submitted")
        assert len(session.requests) == 2
        assert session.submits[0][0].made_at > ago(30)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"hash": "0badcafe"}, "7f3a91c2 → 0badcafe"), ({"findings": ()}, "findings changed")],
    ids=["hash", "findings"],
)
async def test_an_old_plan_that_changed_is_shown_again_instead(change: dict[str, Any], words: str) -> None:
    session = FakeSession()
    session.plans = [a_plan(made_at=ago(61), protected=False), a_plan(protected=False, **change)]
    screen = a_screen(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await opened(pilot, screen)
        screen.query_one("#go", Button).press()
        await until(pilot, lambda: words in said(screen, "#worries"), "the change is said")
        assert session.submits == []
        screen.query_one("#go", Button).press()
        await until(pilot, lambda: session.submits, "submitted after a second look")


async def test_pressing_twice_is_one_order() -> None:
    session = FakeSession()
    held = asyncio.Event()
    submit = session.submit

    async def slow(plan: Any, consent: Any) -> Any:
        action = await submit(plan, consent)
        await held.wait()
        return action

    session.submit = slow
    screen = a_screen(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await opened(pilot, screen)
        go = screen.query_one("#go", Button)
        go.press()
        go.press()
        await until(pilot, lambda: session.submits, "submitted")
        await pilot.press("escape")
        assert pilot.app.screen is screen, "an order under way is not left"
        held.set()
        await until(pilot, lambda: isinstance(pilot.app.screen, ActionScreen), "the action is shown")
        assert len(session.submits) == 1


async def test_data_is_never_markup() -> None:
    session = FakeSession()
    session.plans = [
        a_plan(
            service=HOSTILE,
            from_="",
            findings=tuple(Finding(level="warning", code=str(n), text=HOSTILE, fix=HOSTILE) for n in range(2)),
        )
    ]
    screen = a_screen(session)
    async with Holder(screen).run_test(size=(200, 50)) as pilot:
        await opened(pilot, screen)
        assert text_of(pilot.app).count(HOSTILE) == 5


@pytest.mark.parametrize("request_", [FLIP, BACK], ids=["flip", "rollback"])
async def test_it_fits_80_by_24_whatever_was_found(request_: Request) -> None:
    session = FakeSession(protected=True)
    many = tuple(Finding(level="warning", code=str(n), text=f"worry {n} " + "long " * 30) for n in range(12))
    session.plans = [a_plan(request_, findings=many)]
    screen = a_screen(session, request_)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await opened(pilot, screen)
        await pilot.pause()
        assert outside(screen, "Button, Input, KeyBar, #subject") == []
        shown = text_of(pilot.app)
        for words in (
            "[ Cancel ]",
            "Flip traffic" if request_ is FLIP else "Roll back",
            "worry 0",
            "control",
            "Reason",
        ):
            assert words in shown
        assert ("type production to confirm" in shown) == (request_ is FLIP)


async def test_an_action_that_changed_nothing_says_so() -> None:
    session = FakeSession()
    session.submit_answer = an_action(id=None, status="succeeded", changed=False)
    screen = a_screen(session)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await opened(pilot, screen)
        screen.query_one("#go", Button).press()
        await until(pilot, lambda: "so already" in said(screen, "#said"), "said")
