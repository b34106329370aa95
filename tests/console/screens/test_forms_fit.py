"""Forms and plans: as tall as what they hold and never taller than the screen; Tab leads where Enter leads."""

from typing import Any

import pytest
from textual.screen import Screen
from textual.widgets import Input

from console.screens.parts import Frame
from console.screens.plan import PlanScreen
from console.screens.several import SeveralPlans
from tests.console.screen_fakes import FakeSession, Holder, a_plan
from tests.console.screens.test_forms import FORMS
from tests.console.screens.test_plan_screen import FLIP, until

SIZES = ((80, 24), (60, 20), (60, 16), (120, 40))
PLANS = {
    "plan": lambda session: PlanScreen(session, FLIP),
    "several": lambda session: SeveralPlans(session, [FLIP, FLIP], "Extend", "silence"),
}
ALL = {**FORMS, **PLANS}


@pytest.mark.parametrize("name", ALL)
async def test_tab_leads_from_the_last_field_to_the_button_that_goes_on_and_never_to_cancel(name: str) -> None:
    session = FakeSession()
    session.plans = [a_plan()]
    form: Screen[Any] = ALL[name](session)
    async with Holder(form).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(form.focused, Input), "a field has the focus")
        for _ in range(9):
            if not isinstance(form.focused, Input):
                break
            await pilot.press("tab")
        assert form.focused is form.query_one("#go")
        await pilot.press("shift+tab")
        assert form.focused is form.query_one("#leave")
        await pilot.press("tab")
        assert form.focused is form.query_one("#go")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ALL)
async def test_it_is_as_tall_as_what_it_holds_and_its_buttons_are_seen(name: str, size: tuple[int, int]) -> None:
    session = FakeSession()
    session.plans = [a_plan()]
    form: Screen[Any] = ALL[name](session)
    async with Holder(form).run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(form.focused, Input), "a field has the focus")
        await pilot.pause()
        frame = form.query_one(Frame)
        assert frame.outer_size.height <= size[1] - 1
        buttons, at = form.query_one("#buttons"), form.query_one("#go")
        assert buttons.region.bottom == frame.region.bottom - 1, "nothing stands below the buttons"
        assert form.region.contains_region(at.region)
        assert form.focused is not None
        assert frame.region.contains_region(form.focused.region)
        if size == (120, 40):
            assert frame.outer_size.height < 30, "no taller than its content"


async def test_a_plan_that_is_left_says_that_nothing_was_sent() -> None:
    session = FakeSession()
    session.plans = [a_plan()]
    form = PlanScreen(session, FLIP)
    holder = Holder(form)
    said = list[str]()
    holder.say = said.append
    async with holder.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(form.focused, Input), "a field has the focus")
        await pilot.press("escape")
        await until(pilot, lambda: form not in holder.screen_stack, "left")
        assert said == ["left the plan: nothing was sent"]
