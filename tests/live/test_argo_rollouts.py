"""`argo-rollouts` on the bench: the contract of a controller, and what only Rollouts do."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.deployments import controlled
from backends.deployments.argo_rollouts.controller import RolloutsController
from backends.errors import BackendError
from backends.http import Http
from backends.models import Finding
from backends.ports import Order
from backends.registry import AdapterContext, build
from backends.testing.controllers import ControllerContract, ended, reached, released
from tests.live.argo import PAUSED_CANARY, ArgoLab, argo_lab

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("argo")]


@dataclasses.dataclass
class Web:
    lab: ArgoLab
    entry: dict[str, Any]
    controller: RolloutsController

    @property
    def name(self) -> str:
        return str(self.entry["rollout"])

    async def preflight(self, order: Order) -> dict[str, Finding]:
        found = await self.controller.preflight(await self.controller.observe(), order)
        return {each.code: each for each in found}

    async def order(self, word: str, *, how: str = "", stamp: str = "A:x", **more: str) -> Any:
        before = await self.controller.observe()
        operation = before.newest.id if before.newest else ""
        order = Order(order=word, operation=operation, how=how, **more)
        return await self.controller.order(before, order, stamp=stamp)

    async def until(self, holds: Callable[[Any], object]) -> Any:
        async with asyncio.timeout(30):
            while not holds(state := await self.controller.observe()):
                await asyncio.sleep(0.1)
        return state


Make = Callable[..., Awaitable[Web]]


@pytest.fixture(scope="module")
def lab() -> Iterator[ArgoLab]:
    with argo_lab() as found:
        yield found


@pytest.fixture
async def make(lab: ArgoLab, http: Http, tmp_path: Path) -> AsyncIterator[Make]:
    made = list[Web]()

    async def web(**how: Any) -> Web:
        entry = await asyncio.to_thread(lab.rollout, **how)
        context = AdapterContext("web", tmp_path, tmp_path / "own", http)
        made.append(Web(lab, entry, build("deployments", "argo-rollouts", entry, context)))
        return made[-1]

    yield web
    for each in made:
        await each.controller.aclose()


@pytest.fixture(params=["blueGreen", "canary"])
async def web(make: Make, request: pytest.FixtureRequest) -> Web:
    if request.param == "canary":
        return await make(strategy="canary", replicas=2, **PAUSED_CANARY)
    return await make()


class TestRolloutsController(ControllerContract):
    @pytest.fixture
    async def web(self, make: Make) -> Web:
        return await make()

    @pytest.fixture
    async def adapter(self, web: Web) -> RolloutsController:
        return web.controller

    @pytest.fixture
    def versions(self) -> tuple[str, str]:
        return "2.4.0", "2.5.0"

    @pytest.fixture
    def meddle(self, web: Web) -> Callable[[], Awaitable[None]]:
        async def begin() -> None:
            await asyncio.to_thread(web.lab.set_image, web.name, "2.5.0")
            await web.until(lambda state: state.open and not state.open.detail.startswith("the controller"))

        return begin


async def test_a_release_waits_is_promoted_and_can_be_undone(web: Web) -> None:
    there = await released(web.controller, "2.5.0")
    assert there.newest is not None
    waiting = await reached(web.controller, there.newest.id, lambda found: found.pause)
    assert waiting.pause is not None
    assert waiting.pause.why in ("BlueGreenPause", "CanaryPauseStep")
    state = await web.controller.observe()
    assert (state.view.phase, state.view.offer("promote").allowed) == ("paused", True)
    assert state.view.paused_since is not None
    await web.order("promote")
    assert (await ended(web.controller, there.newest.id)).state == "succeeded"
    found = await web.until(lambda state: state.view.phase == "healthy")
    assert found.before is not None
    assert (found.view.stable.version, found.before.version, found.returned) == ("2.5.0", "2.4.0", False)
    told = await web.preflight(Order(order="rollback", revision=found.before.id))
    at_once = "at once" in found.at_once
    assert at_once == ("preview" in web.entry)  # a blueGreen keeps the old pods for scaleDownDelaySeconds
    assert ("still up" in told["way-back"].text) == at_once
    assert at_once or "2 steps run again (setWeight 50, pause)" in told["way-back"].text
    offered = (await web.controller.deployment()).rollback
    assert offered is not None
    assert (offered.to, offered.instant) == ("2.4.0", at_once)
    back = await web.order("rollback", revision=found.before.id, stamp="B:rollback")
    assert back.newest.stamp == "B:rollback"
    if not at_once:
        await web.until(lambda state: state.view.offer("promote").allowed)
        await web.order("promote")
    last = await web.until(lambda state: state.view.phase == "healthy" and not state.open)
    assert (last.view.stable.version, last.returned) == ("2.4.0", True)
    assert not last.view.offer("rollback").allowed


async def test_an_abort_leaves_the_spec_and_says_both_ways_out(web: Web) -> None:
    there = await released(web.controller, "2.5.0")
    assert there.newest is not None
    await reached(web.controller, there.newest.id, lambda found: found.pause)
    await web.order("abort")
    over = await ended(web.controller, there.newest.id)
    assert (over.state, over.still_wanted) == ("rolled_back", True)
    state = await web.controller.observe()
    assert state.view.phase == "degraded"
    assert "spec-not-back: the spec still holds 2.5.0, and 2.4.0 has the traffic" in state.view.message
    assert "rollback puts 2.4.0 back into the spec; retry goes forward to 2.5.0 again" in state.view.message
    told = (await web.preflight(Order(order="retry")))["spec-not-back"]
    assert told.fix == "rollback puts 2.4.0 back into the spec; retry goes forward to 2.5.0 again"
    assert (await web.controller.deployment()).live == "stable"
    assert "retry" in state.view.offer("promote").why
    assert "2.5.0 was aborted and is still in the spec: `rollback` puts 2.4.0" in state.view.offer("release").why
    await web.order("retry")
    again = await web.until(lambda state: state.open and state.open.pause)
    assert again.newest.id == there.newest.id
    await web.order("abort")
    await ended(web.controller, there.newest.id)
    assert over.source is not None
    await web.order("rollback", revision=over.source.id, stamp="C:rollback")
    whole = await web.until(lambda state: state.view.phase == "healthy")
    assert (await asyncio.to_thread(web.lab.image, web.name), whole.returned) == ("2.4.0", True)
    gone = await web.controller.operation(there.newest.id)
    assert (gone.state, gone.still_wanted) == ("rolled_back", False)


async def test_a_promote_that_somebody_else_pressed_first_is_a_conflict_and_skips_nothing(make: Make) -> None:
    steps = {"steps": [{"setWeight": 50}, {"pause": {}}, {"pause": {}}]}
    web = await make(strategy="canary", replicas=2, **steps)
    await released(web.controller, "2.5.0")
    waiting = await web.until(lambda state: state.open and state.open.pause)
    await asyncio.to_thread(web.lab.promoted, web.name)
    second = await web.until(lambda state: state.open.step == 3 and state.open.pause)
    with pytest.raises(BackendError) as caught:
        await web.controller.order(waiting, Order(order="promote", operation=waiting.open.id), stamp="A:promote")
    assert caught.value.kind == "conflict"
    assert (await web.controller.observe()).revision == second.revision


async def test_what_skips_is_taken_only_by_its_own_word(make: Make) -> None:
    steps = {"steps": [{"setWeight": 50}, {"analysis": {"templates": [{"templateName": "errors"}]}}, {"pause": {}}]}
    web = await make(strategy="canary", replicas=2, **steps)
    await released(web.controller, "2.5.0")
    judged = await web.until(lambda state: state.open and state.open.stage == "analysis")
    offer = judged.view.offer("promote")
    assert (offer.allowed, offer.forms) == (False, ("full", "skip-step"))
    assert "promote --skip-step" in offer.why
    with pytest.raises(BackendError, match="waits for nobody"):
        await web.order("promote")
    await web.order("promote", how="skip-step")
    assert (await web.until(lambda state: state.open.pause)).open.step == 3
    await web.order("promote", how="full")
    assert (await web.until(lambda state: state.view.phase == "healthy")).view.stable.version == "2.5.0"


async def test_an_analysis_is_told_metric_by_metric_and_what_it_ends_goes_back(make: Make) -> None:
    steps = {"steps": [{"setWeight": 50}, {"analysis": {"templates": [{"templateName": "errors"}]}}]}
    web = await make(strategy="canary", replicas=2, **steps)
    there = await released(web.controller, "2.5.0")
    assert there.newest is not None
    await web.until(lambda state: state.open and state.open.stage == "analysis")
    async with asyncio.timeout(10):
        while not (runs := await asyncio.to_thread(_runs, web)):
            await asyncio.sleep(0.1)
    (run,) = runs
    measured = {"name": "error-rate", "phase": "Failed", "message": "", "measurements": [
        {"phase": "Failed", "value": "[0.07]", "startedAt": "2026-11-29T13:00:00Z"},
    ]}  # fmt: skip
    path = web.lab.path("analysisruns", run["metadata"]["name"])
    metric = {"name": "error-rate", "successCondition": "result[0] < 0.05", "provider": {"prometheus": {"query": "x"}}}
    await asyncio.to_thread(web.lab.api.merge, path, {"spec": {"metrics": [metric]}})
    status = {"status": {"phase": "Running", "metricResults": [measured]}}
    await asyncio.to_thread(web.lab.api.merge, path, status)
    words = "error-rate [0.07] (wanted result[0] < 0.05) Failed"
    await web.until(lambda state: words in state.view.message)
    await asyncio.to_thread(web.lab.api.merge, path, {"status": {"phase": "Failed", "message": "too many errors"}})
    over = await ended(web.controller, there.newest.id)
    assert (over.state, over.still_wanted) == ("rolled_back", True)
    assert words in over.detail
    assert "too many errors" in over.detail


def _runs(web: Web) -> list[Any]:
    found = web.lab.api.call("GET", web.lab.path("analysisruns"))["items"]
    return [each for each in found if each["metadata"]["name"].startswith(web.name)]


async def test_a_controller_that_stands_still_is_unknown_and_nothing_is_sent_twice(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controlled, "ACTED_S", 1.0)
    web = await make()
    with web.lab.without_controller():
        there = await released(web.controller, "2.5.0")
        assert there.newest is not None
        assert (there.newest.state, there.newest.stamp) == ("open", "A:release")
        assert "has not seen generation" in there.unanswered
        taken = await web.order("abort")  # the controller would forget it: the spec is put back
        assert await asyncio.to_thread(web.lab.image, web.name) == "2.4.0"
        assert (await web.controller.operation(there.newest.id)).state == "rolled_back"
        assert "has not seen generation" in taken.unanswered
    await web.until(lambda state: state.view.phase == "healthy")
    again = await released(web.controller, "2.5.0", "B:release")
    assert again.newest is not None
    await reached(web.controller, again.newest.id, lambda found: found.pause)
    with web.lab.without_controller():
        unseen = await web.order("promote")
        assert "no effect seen of a promote" in unseen.unanswered
        version = (await asyncio.to_thread(web.lab.get, web.name))["metadata"]["resourceVersion"]
        assert not (await web.controller.observe()).view.offer("promote").allowed
        assert (await asyncio.to_thread(web.lab.get, web.name))["metadata"]["resourceVersion"] == version
    assert (await ended(web.controller, again.newest.id)).state == "succeeded"


async def test_a_restart_replaces_the_pods_of_the_version_that_runs(make: Make, lab: ArgoLab) -> None:
    web = await make(replicas=2)
    assert "block" not in {each.level for each in (await web.preflight(Order(order="restart"))).values()}

    def pods() -> set[str]:
        path = lab.path("pods", root="/api/v1")
        found = lab.api.call("GET", path, labelSelector=f"app%3D{web.name}")["items"]
        return {each["metadata"]["uid"] for each in found if "deletionTimestamp" not in each["metadata"]}

    before = await asyncio.to_thread(pods)
    await asyncio.sleep(1.0)  # restartAt is to the second, and of what is older
    taken = await web.order("restart")
    assert taken.unanswered == ""
    assert "it restarts already" in taken.view.offer("restart").why
    await web.until(lambda state: state.view.phase == "healthy" and state.view.offer("restart").allowed)
    after = await asyncio.to_thread(pods)
    assert (len(after), before & after) == (2, set())
    assert await asyncio.to_thread(lab.image, web.name) == "2.4.0"


async def test_a_restart_is_refused_where_no_pod_would_be_replaced(make: Make, lab: ArgoLab) -> None:
    web = await make()
    await web.order("pause")
    assert "resume it first" in (await web.controller.observe()).view.offer("restart").why
    await web.order("resume")
    await asyncio.to_thread(lab.merge, web.name, {"spec": {"replicas": 0}})
    state = await web.until(lambda state: not state.view.offer("restart").allowed)
    assert "is scaled to zero: it has no pods" in state.view.offer("restart").why


async def test_a_pause_by_hand_is_told_and_ended(make: Make) -> None:
    web = await make()
    paused = await web.order("pause")
    assert paused.view.phase == "paused"
    assert "paused by somebody (spec.paused)" in paused.view.message
    assert "resume it first" in paused.view.offer("release").why
    assert (await web.order("resume")).view.phase == "healthy"


@pytest.mark.parametrize(
    ("strategy", "config", "words"),
    [
        ("blueGreen", {"autoPromotionEnabled": True}, "it PROMOTES ITSELF as soon as its pods are ready"),
        ("blueGreen", {"autoPromotionEnabled": True, "autoPromotionSeconds": 90}, "PROMOTES ITSELF after 90 s"),
        ("blueGreen", {}, "it waits for `promote` before the traffic moves"),
        ("canary", {"steps": [{"setWeight": 20}, {"pause": {"duration": "1m"}}]}, "it goes on BY ITSELF to 100 %"),
        ("canary", {"steps": [{"setWeight": 20}, {"pause": {}}]}, "it waits for `promote` in step 2"),
    ],
)  # fmt: skip
async def test_what_goes_on_by_itself_is_told_before_it_begins(
    make: Make, strategy: str, config: dict[str, Any], words: str
) -> None:
    web = await make(strategy=strategy, **config)
    told = (await web.preflight(Order(order="release", version="2.5.0")))["pause"]
    assert words in told.text
    assert (told.level == "warning") == ("ITSELF" in words)


async def test_what_can_not_be_released_is_refused_in_one_line(make: Make) -> None:
    web = await make()
    refused = []
    for spec in ({"replicas": 0}, {"replicas": 1, "paused": True}):
        await asyncio.to_thread(web.lab.merge, web.name, {"spec": spec})
        await web.until(lambda state: not state.view.offer("release").allowed)
        with pytest.raises(BackendError) as caught:
            await released(web.controller, "2.5.0")
        refused.append(caught.value.message)
    assert "scaled to zero: nothing would run; scale it up first" in refused[0]
    assert "resume it first" in refused[1]
    assert await asyncio.to_thread(web.lab.image, web.name) == "2.4.0"


async def test_another_owner_of_the_rollout_is_told(make: Make) -> None:
    web = await make()
    mark = {"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "shop:argoproj.io/Rollout:x/web"}}}
    await asyncio.to_thread(web.lab.merge, web.name, mark)
    told = (await web.preflight(Order(order="release", version="2.5.0")))["owner"]
    assert "Argo CD manages Rollout" in told.text


async def test_an_entry_that_is_wrong_says_so(make: Make, http: Http, tmp_path: Path) -> None:
    web = await make()
    context = AdapterContext("web", tmp_path, tmp_path / "own", http)
    other, sidecar = (
        build("deployments", "argo-rollouts", {**web.entry, **change}, context)
        for change in ({"rollout": "nobody"}, {"container": "sidecar"})
    )
    try:
        with pytest.raises(BackendError, match='no Rollout "nobody" in namespace'):
            await other.observe()
        found = await sidecar.preflight(await sidecar.observe(), Order(order="release", version="2.5.0"))
        (block,) = [each for each in found if each.level == "block"]
        assert ('has no container "sidecar"' in block.text, block.fix) == (True, "known: main")
    finally:
        await other.aclose()
        await sidecar.aclose()
