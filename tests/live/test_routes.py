"""The switches `gateway-api` and `istio` against a real API server, with a data plane that really divides requests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.kubernetes.cluster_switch import ClusterSwitch
from backends.deployments.kubernetes.control import FENCE, OP, WROTE
from backends.errors import BackendError
from backends.http import Http
from backends.models import Finding
from backends.registry import AdapterContext, build
from backends.testing.deployments import BLUE, GREEN, Meddle, Sicken, SwitchContract
from tests.live.kubernetes import COLORS, Cluster
from tests.live.process import until
from tests.live.routes import KINDS, Routed, RoutedByGateway, RoutedByIstio, routed

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kubernetes")]
Switch = ClusterSwitch[Any]


@pytest.fixture(scope="module", params=KINDS)
def shared(kube: Cluster, request: pytest.FixtureRequest) -> Iterator[Routed]:
    with routed(kube, request.param) as space:
        yield space


@pytest.fixture
def space(shared: Routed) -> Routed:
    """As it was created: all on blue, 2.4.0 on both sides, all ready."""
    shared.reset()
    return shared


def switch_of(space: Routed, http: Http, tmp_path: Path, **config: Any) -> Switch:
    context = AdapterContext("analytics", tmp_path, tmp_path, http)
    found: Switch = build("deployments", space.kind, space.config(**config), context)
    return found


@pytest.fixture
async def adapter(space: Routed, http: Http, tmp_path: Path) -> AsyncIterator[Switch]:
    adapter = switch_of(space, http, tmp_path)
    yield adapter
    await adapter.aclose()


class TestContract(SwitchContract):
    @pytest.fixture
    def meddle(self, space: Routed) -> Meddle:
        return space.meddle

    @pytest.fixture
    def sicken(self, space: Routed) -> Sicken:
        def sicken(color: str) -> None:
            space.set_image(color, "2.4.0-sick")
            space.settle()

        return sicken


# ---- what a person did meanwhile


async def test_all_but_the_weights_is_as_it_was_there_and_back(space: Routed, adapter: Switch) -> None:
    before = space.without_weights()
    there = await adapter.shift(await adapter.observe(), {"blue": 40, "green": 60}, stamp="A:shift", fence=7)
    assert (space.weights(), space.without_weights()) == ({"blue": 40, "green": 60}, before)
    notes = space.get_route()["metadata"]["annotations"]
    assert {key: notes[key] for key in (OP, FENCE)} == {OP: "A:shift", FENCE: "7"}
    assert set(notes) == {OP, FENCE, WROTE, *space.annotations()}
    back = await adapter.shift(there, BLUE, stamp="A:back", fence=7)
    assert (back.weights, space.weights(), space.without_weights()) == (BLUE, BLUE, before)


async def test_an_edit_of_the_metadata_is_no_conflict_and_one_of_the_spec_is(space: Routed, adapter: Switch) -> None:
    first = await adapter.observe()
    space.api.merge(space.route, {"metadata": {"labels": {"team": "data"}}})
    assert await adapter.observe() == first
    there = await adapter.shift(first, GREEN, stamp="A:shift")
    rules = space.get_route()["spec"][space.rules]
    key = "timeouts" if space.kind == "gateway-api" else "timeout"
    rules[space.moved][key] = {"request": "20s"} if space.kind == "gateway-api" else "20s"
    space.edit({space.rules: rules})
    error = await error_of(adapter.shift(there, BLUE, stamp="A:back"))
    assert (error.kind, space.weights()) == ("conflict", GREEN)
    back = await adapter.shift(await adapter.observe(), BLUE, stamp="A:back")
    assert (back.weights, space.get_route()["spec"][space.rules][space.moved][key]) == (BLUE, rules[space.moved][key])


async def test_a_side_that_the_route_does_not_name_yet_is_added(space: Routed, adapter: Switch) -> None:
    spec = space.spec()
    del spec[space.rules][space.moved][space.refs][1:]
    space.make(spec)
    before = await adapter.observe()
    assert before.weights == BLUE
    there = await adapter.shift(before, {"blue": 90, "green": 10}, stamp="A:shift")
    assert (there.weights, there.pending, space.weights()) == ({"blue": 90, "green": 10}, "", there.weights)
    assert (await adapter.shift(there, BLUE, stamp="A:back")).weights == BLUE
    assert space.weights() == BLUE, "a single destination would be another thing"


async def test_what_would_block_is_found_on_a_real_route(space: Routed, adapter: Switch) -> None:
    found = {one.code: one for one in await adapter.preflight(await adapter.observe(), GREEN)}
    assert {code for code, one in found.items() if one.level != "ok"} <= {"tls"}
    assert "1 ready behind what gains traffic, 1 behind what has it" in found["capacity"].text
    assert isinstance(found["dry-run"], Finding)
    if isinstance(space, RoutedByGateway):
        space.edit({"parentRefs": [{"name": "edge"}, {"name": "nobody"}]})
        until(space.is_taken, "taken by the one that is there", within=30)
        text = {one.code: one for one in await adapter.preflight(await adapter.observe(), GREEN)}["route"].text
        assert "Gateway nobody says nothing of it" in text
    if isinstance(space, RoutedByIstio):
        space.make_subsets(("blue",))
        try:
            error = await error_of(adapter.shift(await adapter.observe(), GREEN, stamp="A:shift"))
            assert (error.kind, "has the subset green" in error.message) == ("conflict", True)
        finally:
            space.make_subsets(COLORS)


async def error_of(order: Any) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await order
    return caught.value
