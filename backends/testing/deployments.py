"""What every adapter of the port `Switch` does. An adapter's test class inherits this and gives three fixtures:

`adapter` (a fresh one over a service of the colors blue and green, all traffic on blue, both healthy, closed
afterwards), `meddle`: changes the weights past the adapter, and `sicken`: makes a color unhealthy.
"""

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from backends.errors import BackendError
from backends.models import ColorState, Deployment
from backends.ports import Switch, SwitchState, retire_lines

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}

Meddle = Callable[[dict[str, int]], None]
Sicken = Callable[[str], None]


async def conflicts(adapter: Switch, expected: SwitchState, weights: dict[str, int]) -> bool:
    try:
        await adapter.shift(expected, weights, stamp="A:shift")
    except BackendError as error:
        return error.kind == "conflict" and bool(error.message and error.fix)
    return False


class SwitchContract:
    async def test_it_says_what_is_live(self, adapter: Switch) -> None:
        found = await adapter.observe()
        assert (found.weights, found.live) == (BLUE, "blue")
        assert found.revision
        assert await adapter.observe() == found

    async def test_a_shift_is_read_back_with_its_stamp_and_a_new_revision(self, adapter: Switch) -> None:
        before = await adapter.observe()
        after = await adapter.shift(before, GREEN, stamp="A:shift")
        assert (after.weights, after.live, after.stamp) == (GREEN, "green", "A:shift")
        assert after.revision != before.revision
        assert await adapter.observe() == after

    async def test_a_shift_there_and_back(self, adapter: Switch) -> None:
        there = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
        back = await adapter.shift(there, BLUE, stamp="A:shift-back")
        assert (back.weights, back.stamp) == (BLUE, "A:shift-back")

    async def test_another_state_than_expected_is_a_conflict_and_stays(self, adapter: Switch, meddle: Meddle) -> None:
        expected = await adapter.observe()
        meddle(GREEN)
        there = await adapter.observe()
        assert await conflicts(adapter, expected, GREEN)
        assert await conflicts(adapter, expected, BLUE)
        assert await adapter.observe() == there

    async def test_the_same_weights_written_again_by_another_are_a_conflict_too(
        self, adapter: Switch, meddle: Meddle
    ) -> None:
        expected = await adapter.observe()
        meddle(GREEN)
        meddle(BLUE)
        assert (await adapter.observe()).revision != expected.revision
        assert await conflicts(adapter, expected, GREEN)

    async def test_of_two_at_once_one_wins(self, adapter: Switch) -> None:
        expected = await adapter.observe()
        outcomes = await asyncio.gather(*(conflicts(adapter, expected, GREEN) for _ in range(4)))
        assert sorted(outcomes) == [False, True, True, True]

    @pytest.mark.parametrize(
        "weights",
        [{}, {"blue": 0, "green": 0}, {"blue": 60, "green": 60}, {"blue": 150, "green": -50}, {"purple": 100}],
    )
    async def test_weights_that_can_not_be_are_refused(self, adapter: Switch, weights: dict[str, int]) -> None:
        before = await adapter.observe()
        with pytest.raises(BackendError):
            await adapter.shift(before, weights, stamp="A:shift")
        assert await adapter.observe() == before

    async def test_a_healthy_side_proves_which_it_is(self, adapter: Switch) -> None:
        for color in ("blue", "green"):
            health = await adapter.color_health(color)
            assert health.healthy is True, health.detail
            assert health.version

    async def test_an_unhealthy_side_says_why(self, adapter: Switch, sicken: Sicken) -> None:
        sicken("green")
        health = await adapter.color_health("green")
        assert health.healthy is False
        assert health.detail
        assert (await adapter.color_health("blue")).healthy is True

    async def test_an_unknown_color_is_no_healthy_one(self, adapter: Switch) -> None:
        health: ColorState = await adapter.color_health("purple")
        assert health.healthy is None
        assert "purple" in health.detail

    async def test_the_deployment_shows_three_layers_that_agree(self, adapter: Switch) -> None:
        found: Deployment = await adapter.deployment()
        layers = (found.truth.control, found.truth.endpoints, found.truth.data)
        assert [layer.value for layer in layers] == ["blue"] * 3
        assert all(layer.at is not None for layer in layers)
        assert (found.live, found.health) == ("blue", "ok")
        assert found.ref == f"{found.backend}/{found.service}"
        assert {color: side.weight_pct for color, side in found.colors.items()} == {"blue": 100.0, "green": 0.0}

    async def test_what_a_deployer_would_do_is_said_a_line_each_and_nothing_is_done(self, adapter: Switch) -> None:
        deployer = adapter.deployer
        if deployer is None:
            return
        before = await adapter.observe()
        for lines in (deployer.describe_deploy("green", "2.5.0"), retire_lines(deployer, "green")):
            assert all(isinstance(line, str) and line and "\n" not in line for line in lines)
        assert await adapter.observe() == before

    async def test_a_sick_live_side_is_critical_and_a_sick_idle_one_a_warning(
        self, adapter: Switch, sicken: Sicken
    ) -> None:
        sicken("green")
        assert (await adapter.deployment()).health == "warning"
        sicken("blue")
        assert (await adapter.deployment()).health == "critical"

    async def test_a_split_is_mixed_or_refused(self, adapter: Switch, meddle: Meddle) -> None:
        if not adapter.can_split:
            before = await adapter.observe()
            with pytest.raises(BackendError) as caught:
                await adapter.shift(before, {"blue": 90, "green": 10}, stamp="A:shift")
            assert caught.value.kind == "config"
            assert await adapter.observe() == before
            return
        meddle({"blue": 90, "green": 10})
        assert (await adapter.observe()).live == "mixed"
        assert (await adapter.deployment()).live == "mixed"

    async def test_shares_are_written_as_planned(self, adapter: Switch) -> None:
        if not adapter.can_split:
            return
        state = await adapter.observe()
        for share in (5, 10, 25, 50, 99, 100, 50, 0):
            wanted = {"blue": 100 - share, "green": share}
            stamp = f"A:shift[{share}]:green"
            state = await adapter.shift(state, wanted, stamp=stamp)
            assert (state.weights, state.stamp) == (wanted, stamp)
            assert await adapter.observe() == state

    async def test_the_endpoints_follow_the_control_object(self, adapter: Switch) -> None:
        layer = await adapter.endpoints()
        assert (layer.value, layer.at is not None) == ("blue", True), layer.detail
        await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
        async with asyncio.timeout(30):
            while (layer := await adapter.endpoints()).value != "green":
                assert layer.value in ("blue", "mixed", "unknown")
                await asyncio.sleep(0.1)

    async def test_requests_are_counted_by_known_colors_or_not_at_all(self, adapter: Switch) -> None:
        before, after = await adapter.request_counts(), await adapter.request_counts()
        assert set(before.failures) <= set(before.requests) <= set(BLUE)
        assert all(0 <= count <= after.requests[color] for color, count in before.requests.items())
        assert all(0 <= count <= after.failures[color] for color, count in before.failures.items())
        assert before.refused is None or 0 <= before.refused <= (after.refused or 0)

    async def test_a_preflight_writes_nothing_and_blocks_nothing_that_can_be_done(self, adapter: Switch) -> None:
        before = await adapter.observe()
        findings = await adapter.preflight(before, GREEN)
        assert not [finding for finding in findings if finding.level == "block"]
        assert all(finding.code and finding.text for finding in findings)
        assert all(finding.fix for finding in findings if finding.level == "warning")
        assert await adapter.observe() == before

    async def test_a_writer_whose_lease_was_taken_over_writes_nothing(self, adapter: Switch) -> None:
        there = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift", fence=7)
        if not there.fence:
            return  # an object that can not carry it
        assert there.fence == 7
        with pytest.raises(BackendError) as caught:
            await adapter.shift(there, BLUE, stamp="A:shift-back", fence=6)
        assert (caught.value.kind, "fence" in caught.value.message) == ("conflict", True)
        assert await adapter.observe() == there
        back = await adapter.shift(there, BLUE, stamp="A:shift-back", fence=8)
        assert (back.weights, back.fence) == (BLUE, 8)

    async def test_a_fence_of_another_journal_is_no_fence(self, adapter: Switch) -> None:
        there = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift", fence=7, journal="j1")
        assert (there.fence, there.journal, there.ended) == (7, "j1", False)
        back = await adapter.shift(there, BLUE, stamp="B:shift", fence=1, journal="j2")
        assert (back.weights, back.fence, back.journal) == (BLUE, 1, "j2")
        again = await adapter.shift(back, GREEN, stamp="B:shift-back", fence=1, journal="j2")
        assert (again.weights, again.fence, again.journal) == (GREEN, 1, "j2")

    async def test_the_end_of_an_action_is_noted_and_changes_nothing_else(self, adapter: Switch) -> None:
        there = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift", fence=3, journal="j1")
        assert not there.ended
        await adapter.mark_ended(there)
        ended = await adapter.observe()
        assert ended.ended
        assert replace(ended, ended=False) == there
        await adapter.mark_ended(ended)
        assert await adapter.observe() == ended
        back = await adapter.shift(there, BLUE, stamp="B:shift", fence=1, journal="j2")  # it was planned before the end
        assert (back.weights, back.ended, back.journal) == (BLUE, False, "j2")
        await adapter.mark_ended(back)
        assert (await adapter.observe()).ended

    async def test_what_the_last_write_made_is_known_and_an_edit_is_never_taken_for_it(
        self, adapter: Switch, meddle: Meddle
    ) -> None:
        there = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift", fence=1, journal="j1")
        assert there.wrote == GREEN
        await adapter.mark_ended(there)
        assert (await adapter.observe()).wrote == GREEN
        meddle(BLUE)
        edited = await adapter.observe()
        assert edited.live == "blue"
        assert edited.wrote != edited.weights or edited.stamp != "A:shift"

    async def test_an_end_that_comes_late_is_a_conflict_and_ends_nothing(self, adapter: Switch, meddle: Meddle) -> None:
        there = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift", fence=3, journal="j1")
        other = await adapter.shift(there, BLUE, stamp="B:shift", fence=1, journal="j2")
        with pytest.raises(BackendError) as caught:
            await adapter.mark_ended(there)
        assert caught.value.kind == "conflict"
        assert await adapter.observe() == other
        meddle(GREEN)
        by_hand = await adapter.observe()
        with pytest.raises(BackendError):
            await adapter.mark_ended(other)
        assert await adapter.observe() == by_hand

    def test_it_says_for_how_long_a_lost_write_may_come(self, adapter: Switch) -> None:
        assert 0 <= adapter.write_settles_s <= 60

    async def test_what_it_would_do_is_said_in_words(self, adapter: Switch) -> None:
        before = await adapter.observe()
        lines = adapter.describe_shift(before, GREEN)
        assert lines[0].startswith("control  ")
        assert "blue → green" in lines[0]
        assert before.revision not in " ".join(lines)
        assert adapter.describe_shift(before, GREEN) == lines
        assert adapter.manual_commands(GREEN)

    async def test_closing_twice_is_fine(self, adapter: Switch) -> None:
        await adapter.aclose()
        await adapter.aclose()
