"""What every adapter of the port `Controller` does. An adapter's test class inherits this and gives three fixtures:

`adapter`: a fresh one over a service whose stable version is `versions[0]`, healthy, nothing under way, where a release
waits before it comes to its end; closed afterwards. `versions`: that version, and one that can be released.
`meddle`: begins a release of `versions[1]` past the adapter, and returns when it is seen to be under way. One whose
system takes a space in a version has its own `bad_version`, too.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import get_args

import pytest

from backends.errors import BackendError
from backends.models import CONTROLLER_SIDES, OrderName
from backends.ports import Controller, ControllerState, Operation, Order, is_controller

Meddle = Callable[[], Awaitable[None]]
ENDS_WITHIN_S = 60.0


async def ended(adapter: Controller, operation: str) -> Operation:
    """That operation, as soon as it has ended."""
    async with asyncio.timeout(ENDS_WITHIN_S):
        while (found := await adapter.operation(operation)).open:
            await asyncio.sleep(0.1)
    return found


async def reached(adapter: Controller, operation: str, holds: Callable[[Operation], object]) -> Operation:
    """That operation, as soon as it `holds`; it is under way until then."""
    async with asyncio.timeout(ENDS_WITHIN_S):
        while not holds(found := await adapter.operation(operation)):
            assert found.open, found
            await asyncio.sleep(0.05)
    return found


async def released(adapter: Controller, version: str, stamp: str = "A:release") -> ControllerState:
    return await adapter.order(await adapter.observe(), Order(order="release", version=version), stamp=stamp)


class ControllerContract:
    @pytest.fixture
    def bad_version(self) -> str:
        """What is no version there."""
        return "no version"

    async def test_at_rest_it_says_what_it_is_and_what_it_would_do_and_closes_twice(
        self, adapter: Controller, versions: tuple[str, str]
    ) -> None:
        assert is_controller(adapter)
        assert adapter.object_id
        assert 0 <= adapter.order_settles_s <= 120
        with pytest.raises(BackendError) as caught:
            await adapter.operation("nothing-of-that-name")
        assert caught.value.kind in ("not_found", "config")
        before = await adapter.observe()
        order = Order(order="release", version=versions[1])
        lines = adapter.describe_order(before, order)
        assert lines[0].startswith("release  ")
        assert versions[1] in lines[0]
        assert adapter.manual_commands(Order(order="rollback", revision="r-1", operation="o-1"))
        await adapter.aclose()
        await adapter.aclose()

    async def test_it_says_and_shows_what_is_stable_and_which_orders_it_takes(
        self, adapter: Controller, versions: tuple[str, str]
    ) -> None:
        found = await adapter.observe()
        assert found.view.phase == "healthy", found.view
        assert found.view.stable is not None
        assert (found.view.stable.version, found.view.candidate, found.open) == (versions[0], None, None)
        assert {offer.order for offer in found.view.orders} == set(get_args(OrderName))
        assert all(offer.allowed == (offer.why == "") for offer in found.view.orders), found.view.orders
        assert all("\n" not in offer.why for offer in found.view.orders)
        assert found.view.offer("release").allowed
        assert not any(found.view.offer(word).allowed for word in ("promote", "abort", "resume"))
        assert (await adapter.observe()).revision == found.revision
        shown = await adapter.deployment()
        assert shown.controller is not None
        assert (shown.controller.phase, shown.live) == ("healthy", "stable")
        assert shown.ref == f"{shown.backend}/{shown.service}"
        assert set(shown.colors) <= set(CONTROLLER_SIDES)
        assert shown.colors["stable"].version == versions[0]
        assert shown.truth.control.value == "stable"
        assert shown.truth.control.at is not None

    async def test_a_release_is_read_back_with_its_stamp(self, adapter: Controller, versions: tuple[str, str]) -> None:
        before = await adapter.observe()
        after = await released(adapter, versions[1])
        assert after.revision != before.revision
        assert after.open is not None
        assert (after.open.target.version, after.open.stamp) == (versions[1], "A:release")
        assert after.open.source is not None
        assert after.open.source.version == versions[0]
        found = await adapter.operation(after.open.id)
        assert (found.id, found.state, found.stamp) == (after.open.id, "open", "A:release")
        assert not after.view.offer("release").allowed
        assert after.view.offer("abort").allowed

    async def test_an_abort_goes_back_to_what_was_stable(self, adapter: Controller, versions: tuple[str, str]) -> None:
        there = await released(adapter, versions[1])
        assert there.open is not None
        back = Order(order="abort", operation=there.open.id)
        await adapter.order(await adapter.observe(), back, stamp="A:abort")
        assert (await ended(adapter, there.open.id)).state == "rolled_back"
        found = await adapter.observe()
        assert found.view.stable is not None
        assert found.view.stable.version == versions[0]

    async def test_another_state_than_expected_is_a_conflict(
        self, adapter: Controller, versions: tuple[str, str], meddle: Meddle
    ) -> None:
        expected = await adapter.observe()
        await meddle()
        there = await adapter.observe()
        assert there.open is not None
        assert (there.open.stamp, bool(there.open.by)) == ("", True)
        with pytest.raises(BackendError) as caught:
            await adapter.order(expected, Order(order="release", version=versions[1]), stamp="A:release")
        assert caught.value.kind == "conflict"
        assert caught.value.message
        now = (await adapter.observe()).newest
        assert now is not None
        assert now.id == there.open.id

    async def test_of_two_at_once_one_wins(self, adapter: Controller, versions: tuple[str, str]) -> None:
        expected = await adapter.observe()
        order = Order(order="release", version=versions[1])
        outcomes = await asyncio.gather(
            *(adapter.order(expected, order, stamp=f"{name}:release") for name in "AB"), return_exceptions=True
        )
        lost = [each for each in outcomes if isinstance(each, BackendError)]
        assert [each.kind for each in lost] == ["conflict"], outcomes

    async def test_an_order_that_it_does_not_take_changes_nothing_and_says_what_it_has(
        self, adapter: Controller
    ) -> None:
        before = await adapter.observe()
        for offer in before.view.orders:
            if offer.allowed:
                continue
            with pytest.raises(BackendError) as caught:
                await adapter.order(before, Order(order=offer.order), stamp="A:x")
            assert caught.value.kind in ("config", "conflict")
            assert "\n" not in caught.value.message
        assert (await adapter.observe()).revision == before.revision

    async def test_a_preflight_writes_nothing_and_blocks_nothing_that_can_be_done(
        self, adapter: Controller, versions: tuple[str, str], bad_version: str
    ) -> None:
        before = await adapter.observe()
        good = await adapter.preflight(before, Order(order="release", version=versions[1]))
        assert not [finding for finding in good if finding.level == "block"]
        assert all(finding.code and finding.text for finding in good)
        bad = await adapter.preflight(before, Order(order="release", version=bad_version))
        assert [finding for finding in bad if finding.level == "block" and finding.fix]
        assert (await adapter.observe()).revision == before.revision
