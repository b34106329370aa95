"""What every adapter of the port `Pipelines` does. An adapter's test class inherits this and gives two fixtures:

`adapter` (a fresh one, closed afterwards) and `names`: pipelines that succeed, fail, and take long enough to cancel.
The failing one has a task `works` and a task `breaks` that depends on it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import pytest

from backends.errors import BackendError
from backends.models import PipelineRun
from backends.ports import Pipelines, comparable

T = TypeVar("T")


class Names(NamedTuple):
    succeeds: str = "succeeds"
    fails: str = "fails"
    lasts: str = "lasts"


async def until(look: Callable[[], Awaitable[T | None]], seconds: float = 20) -> T:
    """What `look` finds, asked until it finds something."""
    async with asyncio.timeout(seconds):
        while (found := await look()) is None:
            await asyncio.sleep(0.03)
    return found


async def run_of(adapter: Pipelines, pipeline: str, run_id: str) -> PipelineRun:
    return next(run for run in await adapter.runs() if (run.pipeline, run.run_id) == (pipeline, run_id))


async def ended(adapter: Pipelines, pipeline: str, run_id: str) -> PipelineRun:
    async def look() -> PipelineRun | None:
        run = await run_of(adapter, pipeline, run_id)
        return run if run.ended_at is not None else None

    return await until(look)


async def in_state(adapter: Pipelines, pipeline: str, run_id: str, state: str) -> PipelineRun:
    async def look() -> PipelineRun | None:
        run = await run_of(adapter, pipeline, run_id)
        return run if run.state == state else None

    return await until(look)


async def refused(order: Awaitable[Any]) -> str:
    """The kind of error that an order ends with."""
    with pytest.raises(BackendError) as caught:
        await order
    assert caught.value.message
    assert caught.value.fix
    return caught.value.kind


class PipelinesContract:
    async def test_no_runs_yet(self, adapter: Pipelines, names: Names) -> None:
        assert await adapter.runs() == []
        known = await adapter.pipelines()
        assert {info.pipeline for info in known} >= set(names)
        assert not any(info.paused for info in known)
        assert (await adapter.pipeline(names.fails)).pipeline == names.fails
        assert await refused(adapter.pipeline("nope")) == "not_found"

    async def test_a_run_succeeds(self, adapter: Pipelines, names: Names) -> None:
        await adapter.trigger(names.succeeds, "r1", {})
        run = await ended(adapter, names.succeeds, "r1")
        assert (run.state, run.health, run.error) == ("success", "ok", None)
        assert run.ref == f"{run.backend}/{names.succeeds}/r1"
        assert run.tasks_done == run.tasks_total
        assert run.history == ("success",)
        assert run.started_at is not None
        assert run.ended_at is not None
        assert run.started_at.tzinfo is not None
        assert run.duration_s == pytest.approx((run.ended_at - run.started_at).total_seconds(), abs=0.01)

    async def test_the_same_id_is_no_second_run(self, adapter: Pipelines, names: Names) -> None:
        await asyncio.gather(*(adapter.trigger(names.succeeds, "r1", {"n": 1}) for _ in range(3)))
        await ended(adapter, names.succeeds, "r1")
        await adapter.trigger(names.succeeds, "r1", {"n": 1})
        assert len(await adapter.runs()) == 1
        assert await refused(adapter.trigger(names.succeeds, "r1", {"n": 2})) == "conflict"

    async def test_a_failure_names_its_task_and_is_retried(self, adapter: Pipelines, names: Names) -> None:
        await adapter.trigger(names.fails, "r1", {})
        run = await ended(adapter, names.fails, "r1")
        assert (run.state, run.health) == ("failed", "critical")
        assert (run.error or "").startswith("breaks: ")
        tasks = {task.task: task for task in await adapter.tasks(names.fails, "r1")}
        assert list(tasks).index("works") < list(tasks).index("breaks")
        assert tasks["breaks"].depends_on == ("works",)
        assert (tasks["works"].state, tasks["breaks"].state) == ("success", "failed")
        assert set(await adapter.retry_preview(names.fails, "r1")) >= {"breaks"}
        assert "works" not in await adapter.retry_preview(names.fails, "r1")
        assert await adapter.run(names.fails, "r1") == run, "a preview changes nothing"
        await adapter.retry(names.fails, "r1")
        await ended(adapter, names.fails, "r1")
        again = {task.task: task for task in await adapter.tasks(names.fails, "r1")}
        assert again["works"].try_number == tasks["works"].try_number
        assert again["breaks"].try_number > tasks["breaks"].try_number
        assert len(await adapter.runs()) == 1

    async def test_logs_of_one_task_and_of_all(self, adapter: Pipelines, names: Names) -> None:
        await adapter.trigger(names.fails, "r1", {})
        await ended(adapter, names.fails, "r1")
        whole = await adapter.task_log(names.fails, "r1")
        part = await adapter.task_log(names.fails, "r1", "breaks")
        assert part
        assert len(part) < len(whole)
        times = [entry.at for entry in whole if entry.at]
        assert times == sorted(times)

    async def test_a_log_is_followed_to_the_end_of_its_run(self, adapter: Pipelines, names: Names) -> None:
        await adapter.trigger(names.succeeds, "r1", {})
        async with asyncio.timeout(60):
            followed = [entry async for entry in adapter.follow_log(names.succeeds, "r1")]
        assert (await adapter.run(names.succeeds, "r1")).state == "success"
        key = [(entry.at_ns, entry.message) for entry in await adapter.task_log(names.succeeds, "r1")]
        assert sorted((entry.at_ns, entry.message) for entry in followed) == sorted(key)
        assert key

    async def test_nothing_waits_for_an_approval(self, adapter: Pipelines, names: Names) -> None:
        await adapter.trigger(names.succeeds, "r1", {})
        await ended(adapter, names.succeeds, "r1")
        assert await adapter.approvals(names.succeeds, "r1") == []
        assert await refused(adapter.approve(names.succeeds, "r1", "looks good")) == "conflict"
        assert await adapter.retry_preview(names.succeeds, "r1") == []

    async def test_events_are_within_their_bounds_and_in_order(self, adapter: Pipelines, names: Names) -> None:
        began = datetime.now(UTC)
        await adapter.set_paused(names.succeeds, True)
        await adapter.set_paused(names.succeeds, False)
        until = datetime.now(UTC)
        found = await adapter.events(began, until)
        times = [event.at for event in found]
        assert times == sorted(times)
        assert all(began <= at <= until for at in times)
        assert all(event.text and event.ref for event in found)

    async def test_cancel_while_it_runs(self, adapter: Pipelines, names: Names) -> None:
        await adapter.trigger(names.lasts, "r1", {})
        await in_state(adapter, names.lasts, "r1", "running")
        assert await refused(adapter.retry(names.lasts, "r1")) == "conflict"
        assert await refused(adapter.retry_preview(names.lasts, "r1")) == "conflict"
        await adapter.cancel(names.lasts, "r1")
        run = await ended(adapter, names.lasts, "r1")
        assert (run.state, run.health) == ("cancelled", "warning")
        await adapter.cancel(names.lasts, "r1")
        assert await run_of(adapter, names.lasts, "r1") == run

    async def test_pause_is_remembered(self, adapter: Pipelines, names: Names) -> None:
        for paused in (True, True, False):
            await adapter.set_paused(names.fails, paused)
            assert {info.pipeline for info in await adapter.pipelines() if info.paused} == (
                {names.fails} if paused else set()
            )

    async def test_newest_first_and_always_the_last_of_each(self, adapter: Pipelines, names: Names) -> None:
        for pipeline, run_id in ((names.fails, "f"), (names.succeeds, "a"), (names.succeeds, "b")):
            await adapter.trigger(pipeline, run_id, {})
            await ended(adapter, pipeline, run_id)
        assert [run.run_id for run in await adapter.runs()] == ["b", "a", "f"]
        assert [run.run_id for run in await adapter.runs(limit=1)] == ["b", "f"]
        last = await run_of(adapter, names.succeeds, "b")
        assert [run.run_id for run in await adapter.runs(since=last.started_at)] == ["b", "f"]
        assert last.history == ("success", "success")

    async def test_what_is_not_there(self, adapter: Pipelines, names: Names) -> None:
        assert await refused(adapter.trigger("nope", "r1", {})) == "not_found"
        assert await refused(adapter.set_paused("nope", True)) == "not_found"
        assert await refused(adapter.approve(names.succeeds, "nope", "")) == "not_found"
        for order in (adapter.run, adapter.retry_preview, adapter.retry, adapter.cancel, adapter.approvals):
            assert await refused(order(names.succeeds, "nope")) == "not_found"
        with pytest.raises(BackendError, match="nope"):
            await adapter.tasks(names.succeeds, "nope")

    async def test_close_twice(self, adapter: Pipelines) -> None:
        await adapter.runs()
        await adapter.aclose()
        await adapter.aclose()

    async def test_a_run_can_be_held_against_the_good_ones_before_it(self, adapter: Pipelines, names: Names) -> None:
        """Where the adapter has `good_before`: newest first, none of another pipeline, none that failed, not itself."""
        asked = comparable(adapter)
        if asked is None:
            pytest.skip("its runs can not be compared")
        await adapter.trigger(names.succeeds, "r1", {})
        await ended(adapter, names.succeeds, "r1")
        await adapter.trigger(names.fails, "f1", {})
        await ended(adapter, names.fails, "f1")
        await adapter.trigger(names.succeeds, "r2", {})
        await ended(adapter, names.succeeds, "r2")
        await adapter.trigger(names.succeeds, "r3", {})
        await ended(adapter, names.succeeds, "r3")
        assert [run.run_id for run in await asked.good_before(names.succeeds, "r3")] == ["r2", "r1"]
        assert [run.run_id for run in await asked.good_before(names.succeeds, "r3", limit=1)] == ["r2"]
        assert await asked.good_before(names.succeeds, "r1") == []
        assert await asked.good_before(names.fails, "f1") == []
        (good,) = await asked.good_before(names.succeeds, "r2")
        assert (good.ref, good.state) == (f"{good.backend}/{names.succeeds}/r1", "success")
        assert await asked.inputs(names.succeeds, "r1") == await asked.inputs(names.succeeds, "r2")
        for question in (asked.good_before(names.succeeds, "nope"), asked.inputs(names.succeeds, "nope")):
            assert await refused(question) == "not_found"
