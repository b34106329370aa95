"""What every adapter of the port `Schedules` does. An adapter's test class inherits this and gives three fixtures:

`adapter` (a fresh one over a system with one schedule, `primary`, that has nobody; closed afterwards), `plan`: makes
the system hold these turns and no others, and `lose`: makes the system go away.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from backends.errors import BackendError
from backends.models import OnCall
from backends.ports import Schedules

HOUR = timedelta(hours=1)


class Turn(NamedTuple):
    """One person for one time; an override stands instead of whoever is on call by the rotation."""

    who: str
    since: datetime
    until: datetime
    is_override: bool = False


Plan = Callable[[Sequence[Turn]], None]
Lose = Callable[[], None]


def now() -> datetime:
    """In whole seconds, as systems keep shifts."""
    return datetime.now(UTC).replace(microsecond=0)


async def only(adapter: Schedules, at: datetime) -> OnCall:
    """The one schedule, which fits together."""
    (found,) = await adapter.on_call(at)
    assert all(isinstance(name, str) for name in adapter.me)
    assert found.schedule == "primary"
    assert found.ref.startswith(found.backend)
    assert found.health == found.state
    assert (found.now is None) == (found.state == "unknown")
    if found.now is not None:
        assert found.now.covers(at)
        assert found.state == ("ok" if found.now.who else "warning"), "nobody on call is not well"
        assert [found.now, found.next] == [*found.shifts, None][:2], "the first two of its shifts"
    for one, other in zip(found.shifts, found.shifts[1:], strict=False):
        assert one.until == other.since, "without a gap"
        assert one.who != other.who
    return found


class SchedulesContract:
    async def test_who_is_on_call_now_and_next(self, adapter: Schedules, plan: Plan) -> None:
        at = now()
        plan([Turn("alice", at - HOUR, at + HOUR), Turn("bob", at + HOUR, at + 9 * HOUR)])
        found = await only(adapter, at)
        assert found.now is not None
        assert found.next is not None
        assert (found.now.who, found.now.since, found.now.until) == (("alice",), at - HOUR, at + HOUR)
        assert (found.next.who, found.next.since, found.next.until) == (("bob",), at + HOUR, at + 9 * HOUR)
        for told in (found.at, found.now.since, found.now.until):
            assert told is not None
            assert told.utcoffset() == timedelta(0)

    async def test_at_another_time(self, adapter: Schedules, plan: Plan) -> None:
        at = now()
        plan([Turn("alice", at - 9 * HOUR, at - HOUR), Turn("bob", at - HOUR, at + HOUR)])
        for hours, who in ((-10, ()), (-9, ("alice",)), (-2, ("alice",)), (-1, ("bob",)), (0, ("bob",)), (1, ())):
            found = await only(adapter, at + hours * HOUR)
            assert found.now is not None
            assert found.now.who == who, hours

    async def test_nobody_is_said_and_is_a_warning(self, adapter: Schedules, plan: Plan) -> None:
        at = now()
        plan([Turn("alice", at - 9 * HOUR, at - HOUR), Turn("bob", at + 2 * HOUR, at + 9 * HOUR)])
        found = await only(adapter, at)
        assert found.now is not None
        assert found.next is not None
        assert (found.state, found.now.who, found.now.until) == ("warning", (), at + 2 * HOUR)
        assert found.next.who == ("bob",)

    async def test_a_schedule_of_nobody(self, adapter: Schedules) -> None:
        found = await only(adapter, now())
        assert (found.state, found.next) == ("warning", None)

    async def test_an_override_stands_instead_and_only_as_long_as_it_lasts(
        self, adapter: Schedules, plan: Plan
    ) -> None:
        at = now()
        plan([Turn("alice", at - 9 * HOUR, at + 9 * HOUR), Turn("bob", at - HOUR, at + HOUR, is_override=True)])
        found = await only(adapter, at)
        assert found.now is not None
        assert found.next is not None
        assert (found.now.who, found.now.until) == (("bob",), at + HOUR)
        assert (found.next.who, found.next.until) == (("alice",), at + 9 * HOUR)
        assert (before := (await only(adapter, at - 2 * HOUR)).now) is not None
        assert (before.who, before.until) == (("alice",), at - HOUR)

    async def test_two_turns_of_the_same_person_are_one_shift(self, adapter: Schedules, plan: Plan) -> None:
        at = now()
        plan([Turn("alice", at - HOUR, at + HOUR), Turn("alice", at + HOUR, at + 5 * HOUR)])
        found = await only(adapter, at)
        assert found.now is not None
        assert found.now.until == at + 5 * HOUR

    async def test_its_end_belongs_to_the_next(self, adapter: Schedules, plan: Plan) -> None:
        at = now()
        plan([Turn("alice", at - HOUR, at), Turn("bob", at, at + HOUR)])
        found = await only(adapter, at)
        assert found.now is not None
        assert found.now.who == ("bob",)

    async def test_strings_from_outside_are_clean(self, adapter: Schedules, plan: Plan) -> None:
        at = now()
        plan([Turn("ali\x1b[31mce\u202e" + "x" * 500, at - HOUR, at + HOUR)])
        found = await only(adapter, at)
        assert found.now is not None
        assert found.now.who[0].startswith("alicex")
        assert found.now.who[0].isprintable()
        assert len(found.now.who[0]) <= 100

    async def test_a_lost_system_is_an_error_that_says_what_to_do(
        self, adapter: Schedules, plan: Plan, lose: Lose
    ) -> None:
        plan([Turn("alice", now() - HOUR, now() + HOUR)])
        await adapter.on_call(now())
        lose()
        with pytest.raises(BackendError) as caught:
            await adapter.on_call(now())
        assert caught.value.kind in ("unreachable", "timeout")
        assert caught.value.message.isprintable()
        assert caught.value.fix

    async def test_reads_side_by_side_and_cancelled_ones(self, adapter: Schedules, plan: Plan) -> None:
        at = now()
        plan([Turn("alice", at - HOUR, at + HOUR)])
        tasks = [asyncio.create_task(adapter.on_call(at)) for _ in range(6)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        assert all(isinstance(items, list) and len(items) == 1 for items in found[1:])
        assert (await only(adapter, at)).state == "ok"

    async def test_closing_twice(self, adapter: Schedules) -> None:
        await adapter.on_call(now())
        await adapter.aclose()
        await adapter.aclose()
