"""A note on the journal is in the first plan, and in no later one."""

import pytest

from actions.models import Finding, Request
from tests.actions.house import YES, House

NOTE = Finding(level="warning", code="private-journal", text="the journal is this user's own")
FREEZE = Request(kind="freeze", service="analytics")
FLIP = Request(kind="flip", service="analytics")


@pytest.mark.parametrize("request_", [FREEZE, FLIP])
async def test_it_is_said_once(house: House, request_: Request) -> None:
    house.under(notes=(NOTE,))
    assert NOTE in (await house.gate.plan(request_)).findings
    await house.order(FREEZE, YES)
    assert NOTE not in (await house.gate.plan(request_)).findings
