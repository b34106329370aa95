"""A switch that was moved a moment ago is looked at often: whoever else owns it may be about to put it back."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from backends.models import LastSwitch
from console import moment
from console.ports.deployments import DEPLOYMENTS
from tests.console.fakes import deployment


@pytest.mark.parametrize(("ago_s", "often"), [(10, True), (120, False), (-10, True), (-3600, False)])
async def test_it_is_looked_at_often_for_a_minute_also_after_a_clock_was_set_back(ago_s: float, often: bool) -> None:
    at = moment.utc_now() - timedelta(seconds=ago_s)
    found = deployment(last_switch=LastSwitch(at=at, by="alice", from_="blue", to="green", action="A"))
    hastened = []

    async def answer(*_: Any) -> Any:
        return found

    adapters = SimpleNamespace(of=lambda *_: SimpleNamespace(deployment=answer))
    desk: Any = SimpleNamespace(
        adapters=adapters, with_action=answer, hasten=lambda _, interval_s: hastened.append(interval_s is not None)
    )
    assert DEPLOYMENTS.reading is not None
    assert await DEPLOYMENTS.reading.fetch(desk, "analytics") == (found,)
    assert hastened == [often]
