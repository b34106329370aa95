"""One rule for every form: Enter goes on, field by field, to the button that goes on, and never to Cancel."""

from typing import Any

import pytest
from textual.screen import Screen
from textual.widgets import Input

from console.screens.order_form import OrderForm
from console.screens.release import ReleaseForm
from console.screens.silence import SilenceForm
from console.screens.trigger import TriggerForm
from tests.console.screen_fakes import FakeSession, Holder, a_deployment
from tests.console.screens.test_alert_screens import ALERT
from tests.console.screens.test_plan_screen import SIZE, until

FORMS = {
    "release": lambda session: ReleaseForm(session, a_deployment()),
    "flip in stages": lambda session: ReleaseForm(session, a_deployment(), flips=True),
    "trigger": lambda session: TriggerForm(session, "local", "etl"),
    "silence": lambda session: SilenceForm(session, ALERT),
}


def subclasses(of: type[Any]) -> set[type[Any]]:
    return {of, *(found for each in of.__subclasses__() for found in subclasses(each))}


def test_every_form_is_walked() -> None:
    session = FakeSession()
    walked = {type(make(session)) for make in FORMS.values()}
    assert {form for form in subclasses(OrderForm) if form.__module__.startswith("console.")} - {OrderForm} == walked


@pytest.mark.parametrize("name", FORMS)
async def test_enter_goes_on_to_the_button_that_goes_on(name: str) -> None:
    session = FakeSession()
    form: Screen[Any] = FORMS[name](session)
    async with Holder(form).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: isinstance(form.focused, Input), "a field has the focus")
        seen = []
        while isinstance(form.focused, Input):
            seen.append(form.focused.id)
            assert len(seen) < 9, seen
            await pilot.press("enter")
        assert form.focused is form.query_one("#go")
        assert len(seen) == len(set(seen))
