"""`argo-cd` on the bench, by its API and by its object in the cluster: the contract of a controller, auto-sync, windows
and what it does to others. "git" is a ConfigMap there."""

import asyncio
import dataclasses
import json
import urllib.error
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.argo_cd.controller import ArgoCdController
from backends.errors import BackendError
from backends.http import Http
from backends.models import Finding
from backends.ports import Order
from backends.registry import AdapterContext, build
from backends.testing.controllers import ControllerContract, ended, released
from tests.live.argo import IMAGE, ArgoLab, argo_lab
from tests.live.process import free_port, until

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("argo")]
COMMITS = {"2.4.0": "a" * 40, "2.5.0": "b" * 40, "2.6.0": "c" * 40}


@dataclasses.dataclass
class App:
    """An Application of its own, in the namespace of the lab, over one Deployment there."""

    lab: ArgoLab
    name: str
    controller: Any = None

    @property
    def path(self) -> str:
        return self.lab.path("applications", self.name)

    def create(self, **policy: Any) -> None:
        labels, port = {"app": self.name}, free_port()
        container = {"name": "main", "image": f"{IMAGE}:2.4.0", "ports": [{"containerPort": port}]}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        deployment = {
            "metadata": {"name": self.name},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        }  # fmt: skip
        self.lab.api.call("POST", self.lab.path("deployments", root="/apis/apps/v1"), deployment)
        git = COMMITS | {"main": COMMITS["2.4.0"]}
        held = {commit: f"deployment/{self.name}={IMAGE}:{tag}" for tag, commit in COMMITS.items()}
        maps = self.lab.path("configmaps", root="/api/v1")
        try:
            self.lab.api.call("POST", maps, {"metadata": {"name": "sim-git"}, "data": git | held})
        except urllib.error.HTTPError:
            self.lab.api.merge(f"{maps}/sim-git", {"data": git | held})
        source = {"repoURL": "https://git.example/web", "path": ".", "targetRevision": "main"}
        destination = {"server": "https://kubernetes.default.svc", "namespace": self.lab.namespace}
        body = {
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": self.name},
            "spec": {"project": "default", "source": source, "destination": destination, **policy},
        }  # fmt: skip
        self.lab.api.call("POST", self.lab.path("applications"), body)
        self.operate(COMMITS["2.4.0"])
        until(lambda: self.status().get("history") and self.settled(), f"{self.name} is synced")

    def get(self) -> Any:
        return self.lab.api.call("GET", self.path)

    def status(self) -> Any:
        return self.get().get("status", {})

    def settled(self) -> bool:
        found = self.get()
        health = found.get("status", {}).get("health", {}).get("status")
        return "operation" not in found and health == "Healthy"

    def operate(self, revision: str) -> None:
        """As somebody begins a sync by kubectl."""
        told = {"sync": {"revision": revision}, "initiatedBy": {"username": "mallory"}}
        self.lab.api.merge(self.path, {"operation": told})

    def image(self) -> str:
        found = self.lab.api.call("GET", self.lab.path("deployments", self.name, "/apis/apps/v1"))
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"]).rpartition(":")[2]

    async def preflight(self, order: Order) -> dict[str, Finding]:
        found = await self.controller.preflight(await self.controller.observe(), order)
        return {each.code: each for each in found}

    async def until(self, holds: Callable[[Any], object]) -> Any:
        async with asyncio.timeout(30):
            while not holds(state := await self.controller.observe()):
                await asyncio.sleep(0.1)
        return state


@pytest.fixture(scope="module")
def lab() -> Iterator[ArgoLab]:
    with argo_lab() as found:
        yield found


Make = Callable[..., Awaitable[App]]


@pytest.fixture
async def make(lab: ArgoLab, http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    made = list[App]()
    monkeypatch.setenv("ARGOCD_TOKEN", lab.token)

    async def app(*, by: str = "api", **policy: Any) -> App:
        found = App(lab, f"app-{uuid.uuid4().hex[:6]}")
        await asyncio.to_thread(found.create, **policy)
        entry: dict[str, Any] = {"application": found.name, "app_namespace": lab.namespace}
        if by == "api":
            entry |= {"url": lab.argocd, "token": {"env": "ARGOCD_TOKEN"}, "project": "default"}
        else:
            entry |= {"kubeconfig": str(lab.kubeconfig), "kube_context": "sim"}
        context = AdapterContext("web", tmp_path, tmp_path / "own", http)
        found.controller = build("deployments", "argo-cd", entry, context)
        made.append(found)
        await found.until(lambda state: not state.open)
        return found

    yield app
    for each in made:
        await each.controller.aclose()


class TestArgoCdController(ControllerContract):
    @pytest.fixture
    async def app(self, make: Make) -> App:
        return await make()

    @pytest.fixture
    async def adapter(self, app: App) -> ArgoCdController:
        found: ArgoCdController = app.controller
        return found

    @pytest.fixture
    def versions(self) -> tuple[str, str]:
        return "2.4.0", "2.5.0"

    @pytest.fixture
    def meddle(self, app: App) -> Callable[[], Awaitable[None]]:
        async def begin() -> None:
            await asyncio.to_thread(app.operate, COMMITS["2.5.0"])
            await app.until(lambda state: state.open and not state.open.id.endswith("asked"))

        return begin


@pytest.mark.parametrize("by", ["api", "cluster"])
async def test_a_sync_and_the_way_back_by_its_history(make: Make, by: str) -> None:
    app = await make(by=by)
    there = await released(app.controller, "2.5.0")
    assert there.newest is not None
    assert there.newest.stamp == "A:release"
    over = await ended(app.controller, there.newest.id)
    assert (over.state, over.answers) == ("succeeded", "2.5.0")
    state = await app.controller.observe()
    assert (state.view.stable.version, state.before.id, state.returned) == ("2.5.0", COMMITS["2.4.0"], False)
    assert "OutOfSync with main" in state.view.message
    told = await app.preflight(Order(order="rollback", revision=state.before.id))
    assert "nothing is pruned" in told["leaves"].text
    assert "aaaaaaa" in told["history"].text
    back = await app.controller.order(state, Order(order="rollback", revision=state.before.id), stamp="B:rollback")
    done = await ended(app.controller, back.newest.id)
    assert (done.state, done.answers) == ("succeeded", "2.4.0")
    assert await asyncio.to_thread(app.image) == "2.4.0"
    last = await app.controller.observe()
    assert last.returned
    assert not last.view.offer("rollback").allowed
    assert (await app.controller.operation(there.newest.id)).state == "rolled_back"


async def test_auto_sync_blocks_a_rollback_and_both_ways_out_are_told(make: Make, lab: ArgoLab) -> None:
    policy = {"syncPolicy": {"automated": {"selfHeal": True}}}
    app = await make(**policy)
    maps = lab.path("configmaps", "sim-git", "/api/v1")
    await asyncio.to_thread(lab.api.merge, maps, {"data": {"main": COMMITS["2.5.0"]}})
    await app.until(lambda state: not state.open and state.view.stable and state.view.stable.version == "2.5.0")
    state = await app.controller.observe()
    why = state.view.offer("rollback").why
    assert "auto-sync is on, and would sync main again: `pause` turns it off until `resume`" in why
    assert "`git revert bbbbbbb && git push`" in why
    told = await app.preflight(Order(order="release", version="2.6.0"))
    assert told["auto-sync"].level == "block"
    paused = await app.controller.order(state, Order(order="pause"), stamp="A:pause")
    found = await asyncio.to_thread(app.get)
    assert "automated" not in found["spec"]["syncPolicy"]
    assert json.loads(found["metadata"]["annotations"]["tealdeck.io/auto-sync"]) == {"selfHeal": True}
    assert "`resume` puts it back" in paused.view.message
    assert paused.view.phase == "paused"  # so that a handover names it
    order = Order(order="rollback", revision=COMMITS["2.4.0"])
    back = await app.controller.order(await app.controller.observe(), order, stamp="B:rollback")
    assert (await ended(app.controller, back.newest.id)).state == "succeeded"
    assert await asyncio.to_thread(app.image) == "2.4.0"
    await app.controller.order(await app.controller.observe(), Order(order="resume"), stamp="C:resume")
    again = await asyncio.to_thread(app.get)
    assert again["spec"]["syncPolicy"] == policy["syncPolicy"]
    assert "tealdeck.io/auto-sync" not in (again["metadata"].get("annotations") or {})


async def test_where_somebody_else_writes_the_application_only_a_revert_is_offered(make: Make) -> None:
    app = await make(syncPolicy={"automated": {}})
    mark = {"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "root:argoproj.io/Application:argocd/web"}}}
    await asyncio.to_thread(app.lab.api.merge, app.path, mark)
    view = (await app.controller.observe()).view
    assert view.offer("pause").why == "Application root would put auto-sync back"


async def test_an_operation_in_progress_names_who(make: Make) -> None:
    app = await make()
    await asyncio.to_thread(app.operate, COMMITS["2.5.0"])
    state = await app.until(lambda state: state.open)
    assert state.open.by.startswith("mallory")
    assert "in progress of mallory" in state.view.offer("release").why


async def test_a_stranger_is_refused_in_words(make: Make, http: Http, tmp_path: Path, lab: ArgoLab) -> None:
    app = await make()
    for entry, kind, words in (
        ({"application": "nobody", "project": "default"}, "not_found", "not found"),
        ({"application": "nobody"}, "auth", "no such Application, or one of another project"),
    ):
        told = {"url": lab.argocd, "token": {"env": "ARGOCD_TOKEN"}, "app_namespace": lab.namespace, **entry}
        other = build("deployments", "argo-cd", told, AdapterContext("web", tmp_path, tmp_path / "own", http))
        with pytest.raises(BackendError, match=words) as caught:
            await other.observe()
        assert caught.value.kind == kind
    assert app.name


async def test_a_reader_may_not_sync(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGOCD_TOKEN", "argocd-viewer-token")
    app = await make()
    monkeypatch.setenv("ARGOCD_TOKEN", "argocd-viewer-token")
    with pytest.raises(BackendError) as caught:
        await released(app.controller, "2.5.0")
    assert caught.value.kind == "auth"
    assert await asyncio.to_thread(app.image) == "2.4.0"


async def test_what_self_heal_takes_back_is_told_before_and_seen_after(
    make: Make, lab: ArgoLab, http: Http, tmp_path: Path
) -> None:
    app = await make(syncPolicy={"automated": {"selfHeal": True}})
    deployments, selector = lab.path("deployments", root="/apis/apps/v1"), {"app": app.name, "color": "blue"}
    green = await asyncio.to_thread(lab.api.call, "GET", f"{deployments}/{app.name}")
    template = green["spec"]["template"] | {"metadata": {"labels": selector}}
    blue = {"replicas": 0, "selector": {"matchLabels": selector}, "template": template}
    await asyncio.to_thread(lab.api.call, "POST", deployments, {"metadata": {"name": f"{app.name}-blue"}, "spec": blue})
    mark = f"{lab.namespace}_{app.name}:apps/Deployment:{lab.namespace}/{app.name}"
    labels = {"spec": {"template": {"metadata": {"labels": {"color": "green"}}}}}
    tracked = {"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": mark}}, **labels}
    await asyncio.to_thread(lab.api.merge, f"{deployments}/{app.name}", tracked)
    service = {"metadata": {"name": f"{app.name}-live"}, "spec": {"selector": selector, "ports": [{"port": 80}]}}
    await asyncio.to_thread(lab.api.call, "POST", lab.path("services", root="/api/v1"), service)
    entry = {
        "service": f"{app.name}-live", "kubeconfig": str(lab.kubeconfig), "kube_context": "sim",
        "namespace": lab.namespace, "deployments": {"blue": f"{app.name}-blue", "green": app.name},
    }  # fmt: skip
    switch = build("deployments", "kubernetes", entry, AdapterContext("web", tmp_path, tmp_path / "own", http))
    try:
        told = {each.code: each for each in await switch.deployer.deploy_preflight("green", "2.5.0")}
        assert "with self-heal: the image IS PUT BACK within seconds" in told["self-heal"].text
        before = await switch.deployer.deployed("green")
        await switch.deployer.deploy(before, "green", "2.5.0", replicas=None, stamp="A:deploy")
        assert await asyncio.to_thread(app.image) == "2.5.0"
        await asyncio.to_thread(until, lambda: app.image() == "2.4.0", "it is put back", within=20)
        with pytest.raises(BackendError, match=r"runs 2\.4\.0 now") as caught:
            await switch.deployer.rollout("green", "2.5.0")
        assert caught.value.kind == "conflict"
    finally:
        await switch.aclose()
