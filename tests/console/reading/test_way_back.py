"""The way back is called at once only where the switch itself would take it."""

import asyncio
from collections.abc import Sequence

import pytest

from backends.errors import BackendError, ErrorKind
from backends.models import Deployment, Finding, RollbackOffer
from backends.ports import SwitchState
from console.reading.way_back import EVERY_S, WaysBack
from tests.actions.fake_switch import FakeSwitch
from tests.console.fakes import deployment


class Asked(FakeSwitch):
    """Says what the test wants, and counts how often it was asked."""

    def __init__(self, answer: Sequence[Finding] | BackendError = ()) -> None:
        super().__init__()
        self.answer, self.asked = answer, list[dict[str, int]]()
        self.free = asyncio.Event()
        self.free.set()

    async def preflight(self, expected: SwitchState, weights: dict[str, int]) -> list[Finding]:
        self.asked.append(weights)
        await self.free.wait()
        if isinstance(self.answer, BackendError):
            raise self.answer
        return list(self.answer)


def offering(**changes: object) -> Deployment:
    return deployment(rollback=RollbackOffer(**{"to": "blue", "ready": True, "instant": True, **changes}))


async def judged(switch: Asked, item: Deployment | None = None, ways: WaysBack | None = None) -> RollbackOffer:
    found = await (ways or WaysBack()).judged(item or offering(), lambda: switch, wait_s=0.05)
    assert found.rollback is not None
    return found.rollback


REFUSED = Finding(level="block", code="nginx-config", text='unknown directive "sever"', fix="correct it")


async def test_a_switch_that_takes_it_is_at_once() -> None:
    switch = Asked([Finding(level="warning", code="x", text="odd"), Finding(level="ok", code="y", text="fine")])
    assert await judged(switch) == offering().rollback
    assert switch.asked == [{"blue": 100, "green": 0}]


@pytest.mark.parametrize(
    "answer", [[REFUSED], BackendError("auth", 'unknown directive "sever"'), BackendError("config", '… "sever"')]
)
async def test_what_a_rollback_would_be_refused_for_is_no_way_back(answer: list[Finding] | BackendError) -> None:
    """It said `ready, at once` while `deploy rollback` ended with 3."""
    offer = await judged(Asked(answer))
    assert (offer.to, offer.ready, offer.instant) == ("blue", False, False)
    assert offer.reason.startswith("a rollback would be refused: ")
    assert '"sever"' in offer.reason


async def test_what_may_be_overridden_stops_no_rollback_and_is_no_proof() -> None:
    small = Finding(level="block", code="capacity", text="BLUE has 1 ready", overridable=True)
    offer = await judged(Asked([small]))
    assert (offer.ready, offer.instant, "BLUE has 1 ready" in offer.reason) == (True, False, True)


@pytest.mark.parametrize("kind", ["timeout", "unreachable"])
async def test_what_can_not_be_asked_is_not_proven(kind: ErrorKind) -> None:
    offer = await judged(Asked(BackendError(kind, "no answer")), offering(reason="it does not say its version"))
    assert (offer.ready, offer.instant) == (True, False)
    assert offer.reason == "it does not say its version; whether the switch takes it is not proven: no answer"


async def test_a_slow_preflight_holds_nothing_up_and_is_heard_later() -> None:
    switch, ways = Asked([REFUSED]), WaysBack()
    switch.free.clear()
    offer = await judged(switch, ways=ways)
    assert (offer.ready, offer.instant, "not answered yet" in offer.reason) == (True, False, True)
    switch.free.set()
    assert not (await judged(switch, ways=ways)).ready
    assert len(switch.asked) == 1
    await ways.aclose()


async def test_it_is_asked_now_and_then_and_anew_for_another_way() -> None:
    at = [0.0]
    switch, ways = Asked(), WaysBack(lambda: at[0])
    for _ in range(5):
        assert (await judged(switch, ways=ways)).instant
    assert len(switch.asked) == 1, "one in 30 s, however often it is read"
    switch.answer = [REFUSED]
    at[0] = EVERY_S
    assert not (await judged(switch, ways=ways)).ready
    assert len(switch.asked) == 2
    switch.answer = []
    assert (await judged(switch, offering(to="green"), ways)).instant
    assert switch.asked[-1] == {"blue": 0, "green": 100}


async def test_nothing_is_asked_where_there_is_no_way_back() -> None:
    switch = Asked([REFUSED])
    for item in (offering(ready=False), offering(to=None, ready=False), deployment(rollback=None)):
        assert await WaysBack().judged(item, lambda: switch) == item
    assert switch.asked == []


async def test_what_still_runs_ends_with_the_console() -> None:
    switch, ways = Asked(), WaysBack()
    switch.free.clear()
    await judged(switch, ways=ways)
    await ways.aclose()
    assert len(asyncio.all_tasks()) == 1


async def test_an_edit_that_the_way_back_writes_over_does_not_refuse_it() -> None:
    """It said `not ready` of an include edited by hand, while `deploy rollback` went at once."""

    class Edited(Asked):
        async def preflight(self, expected: SwitchState, weights: dict[str, int]) -> list[Finding]:
            return [] if expected.over else [REFUSED]

    assert await judged(Edited()) == offering().rollback
