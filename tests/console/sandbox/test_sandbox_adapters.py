"""The sandbox through the ordinary adapters: quiet when it is well, and each kind of trouble where it belongs."""

import asyncio
import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.ports import LogQuery
from backends.registry import AdapterContext, build
from console.sandbox import control, faults, settings
from console.sandbox.control import SandboxInfo

Adapters = dict[str, Any]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxInfo]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEAL_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        yield control.ensure_running()
        control.stop()


@pytest.fixture
async def adapters(up: SandboxInfo, tmp_path: Path) -> AsyncIterator[Adapters]:
    """What the config of the sandbox names, by `port` or, for checks, by name."""
    context = tomllib.loads(up.config_path.read_text())["contexts"][settings.CONTEXT]
    http, found = Http(), {}
    for port in ("pipelines", "quality", "alerts", "deployments", "logs", "checks"):
        for entry in context[port]:
            kind = entry.pop("type")
            name = entry.pop("name", kind)
            where = AdapterContext(name, up.config_path.parent, tmp_path, http)
            found[name if port == "checks" else port] = build(port, kind, entry, where)
    yield found
    for adapter in found.values():
        await adapter.aclose()
    await http.aclose()


async def inject(fault: str) -> None:
    await asyncio.to_thread(faults.inject, fault)


async def fix() -> None:
    await asyncio.to_thread(faults.fix, None)


async def firing(adapters: Adapters) -> set[str]:
    return {alert.name for alert in await adapters["alerts"].alerts()}


async def test_a_healthy_platform_is_quiet(adapters: Adapters) -> None:
    runs = {run.pipeline: run for run in await adapters["pipelines"].runs()}
    assert set(runs) == set(settings.DAGS)
    assert {run.health for run in runs.values()} == {"ok"}
    scores = {score.dataset: score for score in await adapters["quality"].scores()}
    assert set(scores) == {"customers", "transactions", "products", "events"}
    assert {score.state for score in scores.values()} == {"ok"}
    assert scores["transactions"].run_ref == runs[settings.PRODUCTION].ref
    assert await firing(adapters) == set()
    deployment = await adapters["deployments"].deployment()
    assert (deployment.live, deployment.health, deployment.truth.data.value) == ("blue", "ok", "blue")
    assert {color: state.version for color, state in deployment.colors.items()} == {"blue": "2.4.0", "green": "2.4.1"}
    for name in ("router", "analytics-blue", "analytics-green", "warehouse", "ingress"):
        assert (await adapters[name].run()).state == "ok"
    lines = await adapters["logs"].query(LogQuery(limit=100))
    assert {"info"} == {line.level for line in lines}
    assert {line.at is None for line in lines} == {False}
    tasks = await adapters["pipelines"].tasks(settings.PRODUCTION, runs[settings.PRODUCTION].run_id)
    assert {task.state for task in tasks} == {"success"}
    assert len(tasks) == 15


async def test_bad_data_is_a_green_job_a_critical_score_and_an_alert(adapters: Adapters) -> None:
    await inject("bad-data")
    try:
        newest = next(run for run in await adapters["pipelines"].runs() if run.pipeline == settings.PRODUCTION)
        assert newest.state == "success"
        scores = {score.dataset: score for score in await adapters["quality"].scores()}
        assert (scores["transactions"].state, scores["transactions"].score) == ("critical", 0.7)
        assert await firing(adapters) == {"DataQualityDegradation"}
    finally:
        await fix()
    assert await firing(adapters) == set()


async def test_a_failing_task_is_a_failed_run_and_an_alert(adapters: Adapters) -> None:
    await inject("failing-task")
    try:
        newest = next(run for run in await adapters["pipelines"].runs() if run.pipeline == settings.PRODUCTION)
        assert newest.state == "failed"
        assert "amount_eur" in (newest.error or "")
        assert await firing(adapters) == {"PipelineFailureRate"}
    finally:
        await fix()
    assert await firing(adapters) == set()


async def test_a_dead_warehouse_makes_scores_and_alerts_unknown(adapters: Adapters) -> None:
    await adapters["quality"].scores()  # a connection that is open already must not hide it
    await adapters["alerts"].alerts()
    await inject("dead-backend")
    try:
        with pytest.raises(BackendError) as quality:
            await adapters["quality"].scores()
        with pytest.raises(BackendError) as alerts:
            await adapters["alerts"].alerts()
        assert (quality.value.kind, alerts.value.kind) == ("unreachable", "unreachable")
        assert (await adapters["warehouse"].run()).state == "critical"
        assert (await adapters["router"].run()).state == "ok"
    finally:
        await fix()
    assert {score.state for score in await adapters["quality"].scores()} == {"ok"}
    assert (await adapters["warehouse"].run()).state == "ok"


@pytest.mark.parametrize(("fault", "check"), [("bad-release", "critical"), ("crash-color", "critical"),
                                              ("slow-color", "warning")])  # fmt: skip
async def test_faults_of_the_idle_color_are_seen_at_it_alone(adapters: Adapters, fault: str, check: str) -> None:
    await inject(fault)
    try:
        assert (await adapters["analytics-green"].run()).state == check
        assert (await adapters["analytics-blue"].run()).state == "ok"
        deployment = await adapters["deployments"].deployment()
        assert deployment.live == "blue"
        assert deployment.colors["green"].healthy is (fault == "slow-color")
    finally:
        await fix()
    assert (await adapters["analytics-green"].run()).state == "ok"
