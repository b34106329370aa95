"""A HAProxy that is reloaded: what it forgets, and what its state file keeps."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.haproxy.nodes import Nodes
from backends.http import Http
from backends.testing.deployments import BLUE, GREEN
from tests.live.haproxy import Haproxy, all_up, haproxy, lines, switch_of
from tests.two_colors import TwoColors

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("haproxy")]


async def test_a_reload_that_forgets_is_foretold_and_then_told(service: TwoColors, http: Http, tmp_path: Path) -> None:
    with haproxy(tmp_path / "forgets", lines(service), keeps=False) as node:
        await all_up([node])
        adapter = switch_of(service, http, [node])
        before = await adapter.observe()
        found = await adapter.preflight(before, GREEN)
        assert [finding.level for finding in found if finding.code == "haproxy-reload"] == ["warning"]
        await adapter.shift(before, GREEN, stamp="A:shift")
        await asyncio.to_thread(node.reload)
        found = await adapter.observe()
        assert (found.weights, found.stamp) == (BLUE, "")
        assert "since GREEN 100 % was written there: that is gone" in found.detail
        assert "gone" in (await adapter.deployment()).truth.control.detail


async def test_a_reload_keeps_what_the_state_file_says_with_its_stamp(
    service: TwoColors, http: Http, nodes: list[Haproxy]
) -> None:
    adapter = switch_of(service, http, nodes, persist=str(nodes[0].state_file))
    before = await adapter.observe()
    assert "no such file" in before.detail
    found = await adapter.preflight(before, GREEN)
    assert not [finding for finding in found if finding.code == "haproxy-reload"]
    after = await adapter.shift(before, GREEN, stamp="A:shift", fence=3)
    assert after.detail == ""
    await asyncio.to_thread(nodes[0].reload)
    again = await adapter.observe()
    assert (again.weights, again.stamp, again.fence, again.revision) == (GREEN, "A:shift", 3, after.revision)
    assert "kept its weights" in again.detail


async def test_a_file_that_says_other_than_what_runs_is_shown(
    service: TwoColors, http: Http, nodes: list[Haproxy]
) -> None:
    adapter = switch_of(service, http, nodes, persist=str(nodes[0].state_file))
    await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    nodes[0].set(blue_1=100, green_1=0)
    detail = (await adapter.deployment()).truth.control.detail
    assert "a reload would go to GREEN 100 %" in detail


@pytest.mark.parametrize("persist", ["own", ["sh", "-c", "echo disk full >&2; exit 1", "{node}"]])
async def test_weights_that_could_not_be_kept_are_written_and_said(
    service: TwoColors, http: Http, nodes: list[Haproxy], persist: Any
) -> None:
    (service.directory / "own").mkdir(exist_ok=True)
    adapter = switch_of(service, http, nodes, persist=persist)
    after = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    assert (after.weights, "not kept for a reload" in after.detail) == (GREEN, True)


async def test_weights_that_nobody_lived_to_keep_are_said_and_kept_at_the_end_of_the_action(
    service: TwoColors, http: Http, nodes: list[Haproxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(_: Any) -> None:
        raise ZeroDivisionError

    adapter = switch_of(service, http, nodes, persist=["sh", "-c", "touch kept", "{node}"])
    with monkeypatch.context() as patch:
        patch.setattr(Nodes, "keep", killed)
        with pytest.raises(ZeroDivisionError):
            await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    found = await adapter.observe()
    assert (found.weights, "nobody saw `persist` end" in found.detail) == (GREEN, True)
    await adapter.mark_ended(found)
    assert ((await adapter.observe()).detail, (service.directory / "kept").exists()) == ("", True)
