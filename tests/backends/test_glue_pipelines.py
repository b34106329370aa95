"""`glue` pipelines: the contract against the fake, the same runs as a script, calls that are counted, lost answers."""

import gc
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from backends.errors import BackendError
from backends.pipelines.glue import orders as glue_orders
from backends.pipelines.glue import pipelines as glue_pipelines
from backends.pipelines.glue.pipelines import GluePipelines
from backends.pipelines.turns import Turns
from backends.testing.pipelines import Names, PipelinesContract, ended, in_state, refused
from tests.backends.aws_fixtures import Connect, aws, connect
from tests.backends.fake_glue import FakeGlue, FakeJob
from tests.fake_aws import FakeAws
from tests.own_time import slowness

__all__ = ["aws", "connect"]

pytestmark = pytest.mark.xdist_group("moto")


@pytest.fixture
def glue(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> FakeGlue:
    monkeypatch.setattr(glue_pipelines, "FOLLOW_S", 0.05)
    monkeypatch.setattr(glue_orders, "LOOK_EVERY_S", 0.05)
    return FakeGlue().answer_by(aws)


@pytest.fixture
def adapter(connect: Connect, glue: FakeGlue) -> GluePipelines:
    glue.add(FakeJob("succeeds"))
    glue.add(FakeJob("works"), schedule="")
    glue.add(FakeJob("breaks", ends="FAILED", waits_for="works", error="KeyError: 'amount'"))
    glue.add(FakeJob("lasts", ends=None))
    found: GluePipelines = connect("pipelines", "glue", jobs=["succeeds", "breaks", "lasts"])
    return found


class TestContract(PipelinesContract):
    @pytest.fixture
    def names(self) -> Names:
        return Names(fails="breaks")


def now() -> datetime:
    return datetime.now(UTC)


# ---- reading


async def test_every_state_has_its_meaning(glue: FakeGlue, connect: Connect) -> None:
    meant = {
        "STARTING": "queued", "WAITING": "queued", "RUNNING": "running", "STOPPING": "running", "STOPPED": "cancelled",
        "SUCCEEDED": "success", "FAILED": "failed", "ERROR": "failed", "TIMEOUT": "failed", "EXPIRED": "failed",
        "NEW_WORD": "unknown",
    }  # fmt: skip
    for state in meant:
        glue.add(FakeJob(state.lower()))
        glue.ran(state.lower(), state, now() - timedelta(minutes=5), StateDetail="because")
    found = {run.pipeline: run for run in await connect("pipelines", "glue").runs()}
    assert {run.raw_state: run.state for run in found.values()} == meant
    assert found["stopping"].note == "is being stopped; because"
    assert found["waiting"].note == "waits in the queue of its job; because"
    assert found["timeout"].error == "timeout: TIMEOUT"
    assert found["new_word"].health == "unknown"


async def test_attempts_are_one_row_with_what_was_before(glue: FakeGlue, connect: Connect) -> None:
    glue.add(FakeJob("orders"))
    began = now() - timedelta(hours=2)
    first = glue.ran("orders", "FAILED", began, ErrorMessage="lost", DPUSeconds=1234.4)
    again = {"Id": f"{first}_attempt_1", "Attempt": 1, "PreviousRunId": first}
    glue.ran("orders", "SUCCEEDED", began + timedelta(hours=1), 90, TriggerName="nightly", DPUSeconds=4321.4, **again)
    (run,) = await connect("pipelines", "glue").runs()
    assert (run.run_id, run.state, run.duration_s, run.trigger) == (first, "success", 90, "nightly")
    assert run.note == "attempt 2, before it failed; 4,321 DPU s"
    assert run.history == ("success",)
    assert run.url is not None
    assert run.url.endswith(f"#/job/orders/run/{first}_attempt_1")


async def test_the_same_runs_as_a_script(aws: FakeAws, glue: FakeGlue, connect: Connect) -> None:
    began = now() - timedelta(hours=5)
    for number in range(7):
        glue.add(FakeJob(f"job {number}"))
        for hour in range(number):
            glue.ran(f"job {number}", "SUCCEEDED" if hour % 2 else "FAILED", began + timedelta(minutes=hour + number))
    client = aws.client("glue")
    script = [
        (run["Id"], run["JobRunState"])
        for name in client.list_jobs()["JobNames"]
        for page in client.get_paginator("get_job_runs").paginate(JobName=name)
        for run in page["JobRuns"]
    ]
    found = await connect("pipelines", "glue").runs()
    assert sorted((run.run_id, run.raw_state) for run in found) == sorted(script)
    assert [run.started_at for run in found] == sorted(
        (run.started_at for run in found if run.started_at), reverse=True
    )


async def test_two_hundred_jobs_cost_few_calls_and_little_of_the_loop(
    aws: FakeAws, glue: FakeGlue, connect: Connect, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    began = now() - timedelta(days=2)
    for number in range(200):
        glue.add(FakeJob(f"job-{number:03}", ends=None), schedule="")
        for hour in range(50 if number < 190 else 0):  # ten that never run
            glue.ran(
                f"job-{number:03}",
                "SUCCEEDED",
                began + timedelta(minutes=hour * 50 + number % 40, seconds=number // 40),
            )
    glue.ran("job-007", "RUNNING", now() - timedelta(minutes=1))
    adapter = connect("pipelines", "glue")
    used = [await cpu_ms(adapter.runs(limit=1000))]
    gc.collect()
    gc.freeze()  # as the console does once it is drawn: what the fake has is not looked through at our cost
    request.addfinalizer(gc.unfreeze)
    clock = [time.monotonic()]
    monkeypatch.setattr("backends.pipelines.turns.time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr("backends.pipelines.glue.reading.time", SimpleNamespace(monotonic=lambda: clock[0]))
    ran = [f"job-{number:03}" for number in range(190)]
    read_at = dict.fromkeys(ran, clock[0])
    slow = [slowness()]
    for turn in range(16):  # four minutes
        clock[0] += 15
        aws.calls.clear()
        glue.ran(f"job-{turn:03}", "FAILED", now() - timedelta(seconds=90 - turn), 9)
        used.append(await cpu_ms(adapter.runs(limit=1000)))
        slow.append(slowness())
        jobs = [asked["JobName"] for asked in aws.called("glue.GetJobRuns")]
        assert len(aws.calls) <= 25
        assert "job-007" in jobs, "what runs is read each time"
        assert not any(job not in read_at for job in jobs), "what never ran costs nothing meanwhile"
        read_at |= dict.fromkeys(jobs, clock[0])
        assert clock[0] - min(read_at.values()) <= 135
    found = await adapter.runs(limit=1000)
    ages = {run.pipeline: run.note for run in found if run.pipeline != "job-007"}
    assert any(note.startswith("as of 1m") for note in ages.values())
    assert len({run.pipeline for run in found}) == 190
    usual = [each / max(slow[turn : turn + 2]) for turn, each in enumerate(used[1:])]
    assert max(usual) <= 50, [round(each) for each in usual]
    for _ in range(9):  # a full turn in which nothing new happens
        clock[0] += 15
        found = await adapter.runs(limit=1000)
    every = [run for runs in glue.runs.values() for run in runs]
    every.sort(key=lambda run: run["StartedOn"], reverse=True)
    script, last = {run["Id"] for run in every[:1000]}, {runs[0]["Id"] for runs in glue.runs.values()}
    assert {run.run_id for run in found} == script | last


async def cpu_ms(work: Awaitable[Any]) -> float:
    """Of the thread that the event loop has, whoever else is busy meanwhile."""
    began = time.thread_time()
    await work
    return (time.thread_time() - began) * 1000


async def test_throttled_every_second_time_is_still_read(aws: FakeAws, glue: FakeGlue, connect: Connect) -> None:
    for number in range(5):
        glue.add(FakeJob(f"job-{number}"))
        glue.ran(f"job-{number}", "SUCCEEDED", now() - timedelta(minutes=5))
    aws.fail("glue", "ThrottlingException", every=2)
    assert len(await connect("pipelines", "glue").runs()) == 5


async def test_params_are_typed_by_their_defaults_and_sent_as_text(
    aws: FakeAws, glue: FakeGlue, adapter: GluePipelines
) -> None:
    glue.jobs["succeeds"].arguments = {
        "--rows": "500", "--ratio": "0.5", "--full": "true", "--day": "2026-01-01", "--code": "007", "--empty": "",
    }  # fmt: skip
    glue.jobs["succeeds"].most = 1
    info = await adapter.pipeline("succeeds")
    assert {param.name: (param.type, param.default) for param in info.params} == {
        "code": ("string", "007"), "day": ("string", "2026-01-01"), "empty": ("string", ""),
        "full": ("boolean", True), "ratio": ("number", 0.5), "rows": ("integer", 500),
    }  # fmt: skip
    assert info.note == "1 run at a time, more of them are refused"
    assert info.schedule == "cron(0 2 * * ? *)"
    await adapter.trigger("succeeds", "r1", {"rows": 9, "full": False, "day": "2026-02-02"})
    (asked,) = aws.called("glue.StartJobRun")
    assert asked["Arguments"] == {"--rows": "9", "--full": "false", "--day": "2026-02-02", "--teal_run_id": "r1"}


async def test_crawlers_are_events(glue: FakeGlue, adapter: GluePipelines) -> None:
    at = now() - timedelta(minutes=5)
    glue.crawlers = [
        {"Name": "lake", "LastCrawl": {"Status": "FAILED", "ErrorMessage": "no access", "StartTime": at}},
        {"Name": "never"},
        {"Name": "old", "LastCrawl": {"Status": "SUCCEEDED", "StartTime": at - timedelta(days=3)}},
    ]
    (event,) = await adapter.events(now() - timedelta(hours=1), now())
    assert (event.text, event.health, event.kind) == ("crawler lake failed: no access", "critical", "crawl")


async def test_what_a_trigger_starts_is_one_event(glue: FakeGlue, connect: Connect) -> None:
    at = now().replace(microsecond=0) - timedelta(minutes=30)
    for number in range(7):
        glue.add(FakeJob(f"job-{number}"))
        glue.ran(f"job-{number}", "SUCCEEDED", at + timedelta(seconds=number), TriggerName="nightly")
    later = glue.ran("job-0", "FAILED", at + timedelta(minutes=9), TriggerName="after job-6")
    again = {"Id": f"{later}_attempt_1", "Attempt": 1, "PreviousRunId": later}
    glue.ran("job-0", "SUCCEEDED", at + timedelta(minutes=12), TriggerName="after job-6", **again)
    glue.ran("job-1", "SUCCEEDED", at - timedelta(days=1), TriggerName="nightly")
    glue.ran("job-2", "SUCCEEDED", at + timedelta(minutes=1))
    events = await connect("pipelines", "glue").events(at - timedelta(hours=1), now())
    assert [(event.at, event.kind, event.text) for event in events] == [
        (at, "trigger", "trigger nightly started job-0, job-1, job-2, job-3, job-4 and 2 more"),
        (at + timedelta(minutes=9), "trigger", "trigger after job-6 started job-0"),
    ]
    assert events[1].ref == f"mine/job-0/{later}"


# ---- orders


async def test_a_start_whose_answer_is_lost_is_one_run(aws: FakeAws, glue: FakeGlue, adapter: GluePipelines) -> None:
    aws.fail("glue.StartJobRun", how="lost", times=1)
    await adapter.trigger("succeeds", "r1", {"day": "x"})
    assert len(glue.runs["succeeds"]) == len(aws.called("glue.StartJobRun")) == 1
    assert (await ended(adapter, "succeeds", "r1")).state == "success"
    await adapter.trigger("succeeds", "r1", {"day": "x"})
    assert len(glue.runs["succeeds"]) == 1


async def test_a_start_that_nobody_knows_of_is_in_doubt(
    aws: FakeAws, glue: FakeGlue, adapter: GluePipelines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glue_orders, "LOOK_EVERY_S", 0.01)
    aws.fail("glue.StartJobRun", how="close", times=1)
    with pytest.raises(BackendError, match="it is in doubt") as caught:
        await adapter.trigger("succeeds", "r1", {})
    assert caught.value.kind == "unreachable"
    assert len(aws.called("glue.StartJobRun")) == 0
    assert "before it is started again" in caught.value.fix


async def test_a_retry_whose_answer_is_lost_is_one_attempt(
    aws: FakeAws, glue: FakeGlue, adapter: GluePipelines
) -> None:
    await adapter.trigger("breaks", "r1", {})
    await ended(adapter, "breaks", "r1")
    aws.fail("glue.StartJobRun", how="lost", times=1)
    await adapter.retry("breaks", "r1")
    assert len(glue.runs["breaks"]) == 2


async def test_as_many_as_may_is_a_conflict(glue: FakeGlue, adapter: GluePipelines) -> None:
    glue.jobs["lasts"].most = 1
    await adapter.trigger("lasts", "r1", {})
    assert await refused(adapter.trigger("lasts", "r2", {})) == "conflict"
    assert len(glue.runs["lasts"]) == 1


async def test_a_stop_that_is_refused_in_a_200_is_an_error(
    aws: FakeAws, glue: FakeGlue, adapter: GluePipelines
) -> None:
    await adapter.trigger("lasts", "r1", {})
    await in_state(adapter, "lasts", "r1", "running")
    glue.refuses_stops = True
    with pytest.raises(BackendError, match="is not stopped: InternalServiceException: try again later"):
        await adapter.cancel("lasts", "r1")
    glue.refuses_stops = False
    aws.fail("glue.BatchStopJobRun", how="lost", times=1)
    await adapter.cancel("lasts", "r1")
    assert (await ended(adapter, "lasts", "r1")).state == "cancelled"


async def test_a_job_without_a_schedule_has_none_to_pause(glue: FakeGlue, connect: Connect) -> None:
    glue.add(FakeJob("by-hand"), schedule="")
    with pytest.raises(BackendError, match="no trigger starts by-hand by the clock") as caught:
        await connect("pipelines", "glue").set_paused("by-hand", True)
    assert caught.value.kind == "config"


async def test_only_jobs_of_the_config_are_driven(aws: FakeAws, adapter: GluePipelines) -> None:
    assert await refused(adapter.trigger("works", "r1", {})) == "not_found"
    assert aws.called("glue.StartJobRun") == []


async def test_a_log_has_the_driver_of_each_attempt_and_no_executor(glue: FakeGlue, adapter: GluePipelines) -> None:
    await adapter.trigger("breaks", "r1", {})
    await ended(adapter, "breaks", "r1")
    await adapter.retry("breaks", "r1")
    await ended(adapter, "breaks", "r1")
    found = await adapter.task_log("breaks", "r1", "breaks")
    said = [(entry.labels["log"], entry.message) for entry in found]
    assert said.count(("output", "breaks output begins")) == said.count(("error", "breaks error begins")) == 2
    assert not any("executor" in message for _, message in said)


@pytest.mark.parametrize("config", [{"jobs": []}, {"jobs": [""]}, {"timeout": "0s"}])
def test_a_config_that_makes_no_sense_is_refused(connect: Connect, config: dict[str, Any]) -> None:
    with pytest.raises(BackendError):
        connect("pipelines", "glue", **config)


async def test_html_is_no_answer(aws: FakeAws, adapter: GluePipelines) -> None:
    aws.fail(how="html")
    with pytest.raises(BackendError) as caught:
        await adapter.runs()
    assert caught.value.kind == "malformed"


async def test_who_may_not_see_triggers_may_still_start_a_job(aws: FakeAws, adapter: GluePipelines) -> None:
    aws.fail("glue.GetTriggers", "AccessDeniedException", message="not authorized to perform: glue:GetTriggers")
    info = await adapter.pipeline("succeeds")
    assert "what starts it is not known: " in info.note
    assert "no right glue:GetTriggers" in info.note
    await adapter.trigger("succeeds", "r1", {})
    assert (await ended(adapter, "succeeds", "r1")).state == "success"


def test_of_many_that_run_each_has_its_turn() -> None:
    turns, names = Turns[str](), [f"job-{number:02}" for number in range(60)]
    for name in names:
        turns.read(name, is_open=True, is_empty=False)
    seen: set[str] = set()
    for _ in range(3):
        due = turns.due(names)
        assert len(due) == 24
        seen |= set(due)
        for name in due:
            turns.read(name, is_open=True, is_empty=False)
    assert seen == set(names)
