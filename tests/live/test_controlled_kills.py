"""The runner of a release that ECS or CodeDeploy makes, killed at each stage on a bench whose tasks really run: whoever
goes on with it, or takes it back, comes to its end, and nothing is ordered twice."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from actions.models import Action, Consent, Request
from console.config.load import load_config, pick_context
from console.orders import Orders
from console.reading.adapters import Adapters
from tests.backends.faulty_server import FaultyServer
from tests.live.ecs import EcsLab
from tests.live.guard import Guard, guarded
from tests.live.process import until
from tests.live.teal import toml
from tests.live.test_ecs_native import pausing
from tests.live.test_ecs_release import answers

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("keys")]
# Side by side, with a lab each: a deployment takes its time.
KINDS = [pytest.param(kind, marks=pytest.mark.xdist_group(f"kills-{kind}")) for kind in ("ecs-native", "codedeploy")]
YES = Consent(confirmed=True, reason="a test")
ROLLBACK = Request(kind="rollback", service="model")
BEGINS = {"ecs-native": "ecs:UpdateService", "codedeploy": "codedeploy:CreateDeployment"}
ENDS = {"ecs-native": "ecs:StopServiceDeployment", "codedeploy": "codedeploy:StopDeployment"}
GATED = {"metrics": "prom", "bake": "1s"}
GATE = """
[[contexts.test.deployments.gates]]
name = "errors"
candidate = "errors"
max = 1
window = "200ms"
every = "100ms"
"""


class Service(Struct):
    """One that waits for `promote` in each release, and its data plane; versions go up from test to test."""

    kind: str
    guard: Guard
    entry: dict[str, Any]
    url: str
    metrics: str = ""
    serial: int = 4

    def next_version(self) -> str:
        self.serial += 1
        return f"2.{self.serial}.0"

    @contextlib.asynccontextmanager
    async def orders(self, home: Path, **more: Any) -> AsyncIterator[Orders]:
        """As a console has them, with a journal of its own."""
        known = {key: value for key, value in self.entry.items() if not key.startswith("_")}
        entry = {
            "name": "model", "type": self.kind, **known, "aws": {**known["aws"], "endpoint_url": self.guard.url},
            "probe": {"url": f"{self.url}/health", "version_header": "X-Version"}, "probe_timeout": "10s", **more,
        }  # fmt: skip
        lines = ["[contexts.test]", 'title = "model"', "[[contexts.test.metrics]]", 'name = "prom"']
        lines += ['type = "prometheus"', f'url = "{self.metrics or self.url}"', "[[contexts.test.deployments]]"]
        path = home / "config.toml"
        gate = GATE if "metrics" in more else ""
        path.write_text("\n".join([*lines, *(f"{key} = {toml(value)}" for key, value in entry.items())]) + gate)
        path.chmod(0o600)
        config = load_config(path)
        assert not config.problems, config.problems
        adapters = Adapters(pick_context(config, "test"))
        orders = Orders(adapters.context, adapters)
        try:
            yield orders
        finally:
            self.guard.thaw()
            await orders.aclose()
            await adapters.aclose()


@pytest.fixture(scope="module")
def services(_lab: EcsLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Service]]:
    """One of each type, made when it is first asked for."""
    with contextlib.ExitStack() as stack:
        guard = stack.enter_context(guarded(_lab.aws.endpoint_url))
        guard.allow([{"Action": ["*"]}])
        known: dict[str, Service] = {}

        def made(kind: str) -> Service:
            if kind not in known:
                home = tmp_path_factory.mktemp(kind)
                native = kind == "ecs-native"
                entry = (
                    _lab.native("2.4.0", lifecycleHooks=[pausing(minutes=6000)])
                    if native
                    else _lab.codedeploy("2.4.0", ready_min=6000)
                )
                url = stack.enter_context(_lab.routed(entry["_listener"], home))
                until(lambda: answers(url), "the load balancer answers")
                known[kind] = Service(kind, guard, entry, url)
            return known[kind]

        yield made


@pytest.fixture
async def metrics() -> AsyncIterator[FaultyServer]:
    """A Prometheus in which `errors` is 0."""
    async with FaultyServer(answer=lambda _: (200, answer_of("0"))) as server:
        yield server


def answer_of(value: str) -> dict[str, Any]:
    return {
        "status": "success",
        "data": {"resultType": "vector", "result": [{"metric": {}, "value": [time.time(), value]}]},
    }  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))


async def reached(orders: Orders, action: Action, holds: Callable[[Action], bool]) -> Action:
    async with asyncio.timeout(60):
        while not holds(found := await orders.action(action.id or "")):
            assert found.open, found
            await asyncio.sleep(0.01)
    return found


async def promoted(orders: Orders, action: Action) -> None:
    """It waits, and goes on."""
    waiting = await reached(orders, action, lambda seen: seen.hold is not None and seen.orphaned_since is None)
    await ordered(orders, waiting, "promote")


async def ordered(orders: Orders, action: Action, word: Any) -> Action:
    request = Request(kind=action.kind, service="model", ref=action.id or "", order=word)
    return await orders.submit(await orders.plan(request), YES)


async def killed(orders: Orders, action: Action) -> Action:
    found = await reached(orders, action, lambda seen: seen.owner is not None)
    assert found.owner is not None
    os.kill(found.owner.pid, signal.SIGKILL)
    return await reached(orders, action, lambda seen: seen.orphaned_since is not None)


async def killed_at(stage: str, orders: Orders, at: Service, action: Action) -> Action:
    """As soon as it is there."""
    if stage == "follow":
        await reached(orders, action, lambda seen: seen.phase == "follow")
    elif stage == "pause":
        await reached(orders, action, lambda seen: seen.hold is not None)
    elif stage in ("verify", "bake"):
        await promoted(orders, action)
        await reached(orders, action, lambda seen: seen.phase == stage)
    elif stage == "way back":
        await reached(orders, action, lambda seen: seen.hold is not None)
        at.guard.freeze(ENDS[at.kind], taken=True)
        await orders.submit(await orders.plan(ROLLBACK), YES)
        assert await asyncio.to_thread(at.guard.frozen.wait, 30)
    else:
        assert await asyncio.to_thread(at.guard.frozen.wait, 30)
    found = await killed(orders, action)
    at.guard.thaw()
    return found


CASES = [
    ("order", "resume", "succeeded"), ("order", "rollback", "rolled_back"), ("follow", "resume", "succeeded"),
    ("pause", "rollback", "rolled_back"), ("verify", "resume", "succeeded"), ("bake", "resume", "succeeded"),
    ("bake", "rollback", "rolled_back"), ("way back", "rollback", "rolled_back"),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("stage", "way", "status"), CASES)
async def test_a_runner_killed_at_each_stage_is_gone_on_with_or_taken_back(
    services: Callable[[str], Service], metrics: FaultyServer, tmp_path: Path,
    kind: str, stage: str, way: str, status: str,
) -> None:  # fmt: skip
    at = await asyncio.to_thread(services, kind)
    at.metrics, version = metrics.url, at.next_version()
    gates = GATED if stage == "bake" else {}
    async with at.orders(tmp_path, **gates) as orders:
        if stage == "order":
            at.guard.freeze(BEGINS[kind], taken=True)
        plan = await orders.plan(Request(kind="release", service="model", version=version))
        before = plan.from_
        action = await orders.submit(plan, YES)
        orphan = await killed_at(stage, orders, at, action)
        if way == "rollback":
            await orders.submit(await orders.plan(ROLLBACK), YES)
        else:
            await ordered(orders, orphan, "resume")
            if stage in ("order", "follow"):
                await promoted(orders, orphan)
        async with asyncio.timeout(60):
            async for seen in orders.watch(action.id or ""):
                ended = seen
        assert ended.status == status, ended
        after = await orders.plan(Request(kind="release", service="model", version="9.9.9"))
        assert after.from_ == (version if status == "succeeded" else before)
        records = [record for record in await orders.audit_records() if record.kind == "intent"]
        assert [record.step for record in records].count("release") == 1, "it was ordered once"
        assert (await orders.verify_audit()).intact


@pytest.mark.parametrize("kind", KINDS)
async def test_a_gate_that_fails_when_all_traffic_is_there_takes_it_back(
    services: Callable[[str], Service], metrics: FaultyServer, tmp_path: Path, kind: str
) -> None:
    """All at once, and CodeDeploy ends at once: what it ended in is judged all the same, and its way back waits for
    nobody."""
    at = await asyncio.to_thread(services, kind)
    at.metrics = metrics.url
    async with at.orders(tmp_path, **{**GATED, "bake": "20s"}) as orders:
        plan = await orders.plan(Request(kind="release", service="model", version=at.next_version()))
        action = await orders.submit(plan, YES)
        await promoted(orders, action)
        await reached(orders, action, lambda seen: seen.phase == "bake")
        metrics.answer = lambda _: (200, answer_of("9"))
        async with asyncio.timeout(60):
            async for seen in orders.watch(action.id or ""):
                ended = seen
        assert (ended.status, ended.error and ended.error.kind) == ("rolled_back", "gate_failed"), ended
        after = await orders.plan(Request(kind="release", service="model", version="9.9.9"))
        assert after.from_ == plan.from_


@pytest.mark.parametrize("kind", KINDS[:1])
async def test_an_order_that_never_arrived_is_given_by_whoever_goes_on(
    services: Callable[[str], Service], tmp_path: Path, kind: str
) -> None:
    at = await asyncio.to_thread(services, kind)
    async with at.orders(tmp_path) as orders:
        at.guard.freeze(BEGINS[at.kind], taken=False)
        version = at.next_version()
        action = await orders.submit(await orders.plan(Request(kind="release", service="model", version=version)), YES)
        orphan = await killed_at("order", orders, at, action)
        await ordered(orders, orphan, "resume")
        await promoted(orders, orphan)
        async with asyncio.timeout(60):
            async for seen in orders.watch(action.id or ""):
                ended = seen
        assert ended.status == "succeeded", ended
