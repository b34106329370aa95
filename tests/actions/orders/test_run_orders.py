"""Orders to pipelines through the gate, on real runs of the `local` adapter."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actions.described import Described
from actions.models import Action, Consent, Refused, Request
from actions.outcome import exit_code
from actions.targets import PipelinesTarget
from backends.errors import BackendError
from backends.models import PipelineRun
from backends.pipelines.local.pipelines import LocalPipelines
from backends.registry import AdapterContext, build
from backends.run_names import run_name
from tests.actions.house import YES, House

PIPELINE = "local/etl"


@pytest.fixture
async def local(tmp_path: Path, house: House, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalPipelines]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    script = 'test "$TEAL_PARAM_MODE" != slow || sleep 30; test "$TEAL_PARAM_MODE" != bad || test -e fixed'
    dag = {"name": "etl", "params": {"mode": "good"}, "tasks": [{"name": "load", "command": ["sh", "-c", script]}]}
    config = {"history": "sqlite:///runs.db", "logs": "logs", "dags": [dag]}
    adapter = build("pipelines", "local", config, AdapterContext("local", tmp_path, tmp_path / "own", house.http))
    told = Described(
        port="pipelines", type="local", name="local", config=config, base_dir=tmp_path, state_dir=tmp_path / "own"
    )
    house.targets.backends["local"] = PipelinesTarget(adapter, told)
    yield adapter
    for run in await adapter.runs():
        if run.state in ("queued", "running"):
            await adapter.cancel(run.pipeline, run.run_id)
    await adapter.aclose()


async def run_of(adapter: LocalPipelines, action: Action, *states: str) -> PipelineRun:
    async with asyncio.timeout(20):
        while True:
            for run in await adapter.runs():
                if run.ref == action.ref and run.state in states:
                    return run
            await asyncio.sleep(0.05)


def trigger(**params: Any) -> Request:
    return Request(kind="trigger", service=PIPELINE, params=params)


async def test_a_trigger_starts_one_run_under_its_own_id(house: House, local: LocalPipelines) -> None:
    ended = await house.order(trigger(mode="good"))
    assert (ended.status, ended.changed, exit_code(ended)) == ("succeeded", True, 0)
    assert ended.ref is not None
    assert ended.ref.startswith("local/etl/manual__")
    assert (await run_of(local, ended, "success")).run_id == ended.ref.rpartition("/")[2]
    assert [step.status for step in ended.steps] == ["succeeded"] * 3


async def test_the_same_key_triggers_once(house: House, local: LocalPipelines) -> None:
    keyed = Consent(confirmed=True, idempotency_key="k")
    first = await house.order(trigger(), keyed)
    second = await house.order(trigger(), keyed)
    assert (first.id, first.ref) == (second.id, second.ref)
    assert len(await local.runs()) == 1


async def test_the_hash_covers_the_params_and_not_the_id(house: House, local: LocalPipelines) -> None:
    first, second = await house.gate.plan(trigger(a=1)), await house.gate.plan(trigger(a=1))
    assert first.hash == second.hash
    assert first.expected.run_id != second.expected.run_id
    assert (await house.gate.plan(trigger(a=2))).hash != first.hash


async def test_a_failed_run_is_retried(house: House, local: LocalPipelines, tmp_path: Path) -> None:
    triggered = await house.order(trigger(mode="bad"))
    failed = await run_of(local, triggered, "failed")
    (tmp_path / "fixed").touch()
    ended = await house.order(Request(kind="retry", service=PIPELINE, ref=failed.ref))
    assert (ended.status, ended.ref) == ("succeeded", failed.ref)
    assert ended.named == f"{failed.pipeline} {run_name(failed.run_id)}"
    await run_of(local, triggered, "success")


async def test_only_what_did_not_succeed_is_retried(house: House, local: LocalPipelines) -> None:
    run = await run_of(local, await house.order(trigger()), "success")
    with pytest.raises(Refused) as caught:
        await house.order(Request(kind="retry", service=PIPELINE, ref=run.ref))
    assert caught.value.exit_code == 3


async def test_a_running_one_is_cancelled_and_an_ended_one_is_already(house: House, local: LocalPipelines) -> None:
    triggered = await house.order(trigger(mode="slow"))
    running = await run_of(local, triggered, "running")
    cancel = Request(kind="cancel", service=PIPELINE, ref=running.ref)
    ended = await house.order(cancel)
    assert (ended.status, ended.changed) == ("succeeded", True)
    await run_of(local, triggered, "cancelled")
    again = await house.order(cancel, Consent())
    assert (again.status, again.changed, exit_code(again)) == ("succeeded", False, 0)


async def test_a_run_that_changed_since_the_plan_is_left_alone(
    house: House, local: LocalPipelines, tmp_path: Path
) -> None:
    run = await run_of(local, await house.order(trigger(mode="bad")), "failed")
    plan = await house.gate.plan(Request(kind="retry", service=PIPELINE, ref=run.ref))
    (tmp_path / "fixed").touch()
    await local.retry("etl", run.run_id)
    with pytest.raises(Refused) as caught:
        await house.gate.submit(plan, YES)
    assert caught.value.exit_code == 6


@pytest.mark.parametrize("kind", ["pause", "unpause"])
async def test_pause_and_unpause(house: House, local: LocalPipelines, kind: Any) -> None:
    await local.set_paused("etl", kind == "unpause")
    ended = await house.order(Request(kind=kind, service=PIPELINE))
    assert (ended.status, ended.changed) == ("succeeded", True)
    assert (await local.pipelines())[0].paused is (kind == "pause")
    assert (await house.order(Request(kind=kind, service=PIPELINE))).changed is False


async def test_what_is_not_there_is_not_found(house: House, local: LocalPipelines) -> None:
    for request in (
        Request(kind="trigger", service="local/nope"),
        Request(kind="retry", service=PIPELINE, ref=f"{PIPELINE}/nope"),
    ):
        with pytest.raises(Refused) as caught:
            await house.gate.plan(request)
        assert caught.value.exit_code == 5
    with pytest.raises(BackendError, match="no backend"):
        await house.gate.plan(Request(kind="trigger", service="other/etl"))


async def test_a_lost_answer_to_a_trigger_is_looked_for(
    house: House, local: LocalPipelines, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = LocalPipelines.trigger

    async def lost(self: LocalPipelines, pipeline: str, run_id: str, params: dict[str, Any]) -> None:
        await original(self, pipeline, run_id, params)
        raise BackendError("timeout", "no answer")

    monkeypatch.setattr(LocalPipelines, "trigger", lost)
    ended = await house.order(trigger())
    assert (ended.status, len(await local.runs())) == ("succeeded", 1)


async def test_a_refused_trigger_says_so(house: House, local: LocalPipelines, monkeypatch: pytest.MonkeyPatch) -> None:
    async def denied(*_: Any) -> None:
        raise BackendError("auth", "HTTP 403")

    monkeypatch.setattr(LocalPipelines, "trigger", denied)
    ended = await house.order(trigger())
    assert (ended.status, ended.changed, exit_code(ended)) == ("aborted", False, 4)
    assert [step.status for step in ended.steps] == ["succeeded", "failed", "skipped"]


async def test_an_order_whose_runner_died_does_not_block_the_next(house: House, local: LocalPipelines) -> None:
    async def never(*_: str) -> None:
        raise OSError("no more processes")

    ended = await house.gate.submit(await house.gate.plan(trigger()), YES, launch=never)
    assert (ended.status, ended.changed) == ("aborted", False)
    assert (await house.order(trigger())).status == "succeeded"


async def test_a_protected_context_wants_it_armed_or_named_with_a_reason(house: House, local: LocalPipelines) -> None:
    house.under(protected=True)
    with pytest.raises(Refused):
        await house.order(trigger())
    armed = Consent(confirmed=True, armed=True, reason="late data")
    assert (await house.order(trigger(), armed)).status == "succeeded"
