"""`step-functions` pipelines: the contract against the fake, lists that are behind, lost answers, histories."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backends.errors import BackendError
from backends.pipelines.stepfunctions import pipelines as step_functions
from backends.pipelines.stepfunctions.history import tasks_of
from backends.pipelines.stepfunctions.pipelines import StepFunctionsPipelines
from backends.pipelines.stepfunctions.wire import Definition
from backends.testing.pipelines import Names, PipelinesContract, ended, in_state, refused
from tests.backends.aws_fixtures import Connect, aws, connect
from tests.backends.fake_states import FakeMachine, FakeStates
from tests.fake_aws import FakeAws

__all__ = ["aws", "connect"]

pytestmark = pytest.mark.xdist_group("moto")


@pytest.fixture
def states(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> FakeStates:
    monkeypatch.setattr(step_functions, "FOLLOW_S", 0.05)
    return FakeStates().answer_by(aws)


@pytest.fixture
def adapter(connect: Connect, states: FakeStates) -> StepFunctionsPipelines:
    states.add(FakeMachine("succeeds"))
    states.add(FakeMachine("fails", ("works", "breaks"), fails=True))
    states.add(FakeMachine("lasts", fails=None))
    found: StepFunctionsPipelines = connect("pipelines", "step-functions")
    return found


class TestContract(PipelinesContract):
    @pytest.fixture
    def names(self) -> Names:
        return Names()


async def test_the_failing_state_and_its_cause_in_one_line(
    aws: FakeAws, states: FakeStates, adapter: StepFunctionsPipelines
) -> None:
    states.machines["fails"].cause = "no such\x1b[31m table\n  at line 3"
    await adapter.trigger("fails", "r1", {})
    run = await ended(adapter, "fails", "r1")
    assert run.error == "breaks: States.TaskFailed: no such table   at line 3"
    asked = len(aws.called("stepfunctions.GetExecutionHistory"))
    assert (await adapter.runs())[0].error == run.error
    assert len(aws.called("stepfunctions.GetExecutionHistory")) == asked, "what has ended is asked once"
    assert all(each.get("reverseOrder") for each in aws.called("stepfunctions.GetExecutionHistory"))
    tasks = {task.task: task for task in await adapter.tasks("fails", "r1")}
    assert tasks["breaks"].error == "States.TaskFailed: no such table   at line 3"
    assert run.url is not None
    assert "eu-central-1.console.aws.amazon.com/states" in run.url


async def test_an_execution_that_lists_do_not_have_yet_is_not_lost(
    states: FakeStates, adapter: StepFunctionsPipelines
) -> None:
    states.behind_s = 1e9
    await adapter.trigger("succeeds", "r1", {})
    (run,) = await adapter.runs()
    assert (run.run_id, run.state, run.note) == ("r1", "queued", "AWS shows no execution of it yet")
    assert (await adapter.run("succeeds", "r1")).state == "queued"
    states.behind_s = 0
    assert (await ended(adapter, "succeeds", "r1")).state == "success"
    assert len(await adapter.runs()) == 1


@pytest.mark.parametrize("how", ["lost", "close"])
async def test_a_start_whose_answer_is_lost_is_one_execution_or_in_doubt(
    aws: FakeAws, states: FakeStates, adapter: StepFunctionsPipelines, how: Any
) -> None:
    aws.fail("stepfunctions.StartExecution", how=how, times=1)
    if how == "close":
        with pytest.raises(BackendError, match="it is in doubt"):
            await adapter.trigger("succeeds", "r1", {"n": 1})
        assert states.executions == {}
    await adapter.trigger("succeeds", "r1", {"n": 1})
    await adapter.trigger("succeeds", "r1", {"n": 1})
    assert len(states.executions) == 1
    await ended(adapter, "succeeds", "r1")
    await adapter.trigger("succeeds", "r1", {"n": 1})
    assert await refused(adapter.trigger("succeeds", "r1", {"n": 2})) == "conflict"
    assert len(states.executions) == 1


async def test_a_redrive_and_a_stop_whose_answers_are_lost_are_one_each(
    aws: FakeAws, states: FakeStates, adapter: StepFunctionsPipelines
) -> None:
    await adapter.trigger("fails", "r1", {})
    await ended(adapter, "fails", "r1")
    aws.fail("stepfunctions.RedriveExecution", how="lost", times=1)
    await adapter.retry("fails", "r1")
    (each,) = states.executions.values()
    assert each["redrives"] == 1
    again = await ended(adapter, "fails", "r1")
    assert again.note == "redriven once"
    (event,) = await adapter.events(datetime.now(UTC) - timedelta(minutes=1), datetime.now(UTC))
    assert (event.kind, event.text) == ("redrive", "fails r1 redriven (1)")
    await adapter.trigger("lasts", "r2", {})
    await in_state(adapter, "lasts", "r2", "running")
    aws.fail("stepfunctions.StopExecution", how="lost", times=1)
    await adapter.cancel("lasts", "r2")
    assert (await ended(adapter, "lasts", "r2")).state == "cancelled"


async def test_what_can_not_be_redriven_says_why(states: FakeStates, adapter: StepFunctionsPipelines) -> None:
    await adapter.trigger("fails", "r1", {})
    await ended(adapter, "fails", "r1")
    states.not_redrivable = "Execution is older than the redrivable period of 14 days"
    assert await refused(adapter.retry("fails", "r1")) == "conflict"
    assert await refused(adapter.retry_preview("fails", "r1")) == "conflict", "the plan says it already"


async def test_the_input_is_one_json_object(aws: FakeAws, adapter: StepFunctionsPipelines) -> None:
    await adapter.trigger("succeeds", "r1", {"day": "2026-01-01", "rows": [1, 2]})
    (asked,) = aws.called("stepfunctions.StartExecution")
    assert (asked["name"], json.loads(asked["input"])) == ("r1", {"day": "2026-01-01", "rows": [1, 2]})
    assert await refused(adapter.trigger("succeeds", "no name", {})) == "config"


async def test_names_arns_and_a_machine_without_a_rule(states: FakeStates, connect: Connect) -> None:
    for name in ("orders-a", "orders-b", "daily", "other"):
        states.add(FakeMachine(name), schedule="")
    wanted = ["orders-*", states.machines["daily"].arn]
    adapter = connect("pipelines", "step-functions", state_machines=wanted)
    assert [info.pipeline for info in await adapter.pipelines()] == ["daily", "orders-a", "orders-b"]
    assert await refused(adapter.trigger("other", "r1", {})) == "not_found"
    assert await refused(adapter.set_paused("daily", True)) == "config"


async def test_an_unknown_word_is_unknown(aws: FakeAws, states: FakeStates, adapter: StepFunctionsPipelines) -> None:
    await adapter.trigger("succeeds", "r1", {})
    await ended(adapter, "succeeds", "r1")
    next(iter(states.executions.values()))["status"] = "NEW_WORD"
    run = await adapter.run("succeeds", "r1")
    assert (run.state, run.raw_state, run.health) == ("unknown", "NEW_WORD", "unknown")


def test_a_definition_says_what_leads_where_at_any_depth() -> None:
    whole = {
        "StartAt": "a",
        "States": {
            "a": {"Type": "Choice", "Choices": [{"Next": "b"}], "Default": "c"},
            "b": {"Type": "Parallel", "Branches": [{"StartAt": "x", "States": {"x": {"Type": "Pass", "Next": "y"},
                  "y": {"Type": "Pass"}}}], "Next": "d"},
            "c": {"Type": "Map", "ItemProcessor": {"StartAt": "m", "States": {"m": {"Type": "Task"}}},
                  "Catch": [{"Next": "d"}], "End": True},
            "d": {"Type": "Succeed"},
        },
    }  # fmt: skip
    assert Definition(json.dumps(whole)).before() == {
        "a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "x": ("b",), "y": ("x",), "m": ("c",),
    }  # fmt: skip
    assert Definition("no JSON").before() == {}
    assert Definition('{"States": {"a": 1, "b": {"Choices": null}}}').before() == {"b": ()}


def test_states_of_a_map_are_one_each_with_their_visits() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    events: list[dict[str, Any]] = []
    for number, (kind, name) in enumerate([("Entered", "m"), ("Exited", "m"), ("Entered", "m")]):
        details = {f"state{kind}EventDetails": {"name": name}}
        events.append(
            {"timestamp": at + timedelta(seconds=number), "type": f"TaskState{kind}", "id": number, **details}
        )
    (task,) = tasks_of(events, {}, "cancelled", at + timedelta(seconds=9), "", "AWS")
    assert (task.state, task.try_number, task.duration_s) == ("cancelled", 2, 7)


async def test_what_runs_or_was_redriven_is_there_whenever_it_began(
    states: FakeStates, adapter: StepFunctionsPipelines, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list is in the order of begins; here of no more than two."""
    monkeypatch.setattr("backends.pipelines.stepfunctions.reading.EXECUTIONS", 2)
    await adapter.trigger("fails", "old", {})
    await ended(adapter, "fails", "old")
    await adapter.trigger("lasts", "old", {})
    states.machines["fails"].fails = False
    for run in ("a", "b", "c"):
        await adapter.trigger("fails", run, {})
        await ended(adapter, "fails", run)
        await adapter.trigger("lasts", run, {})
        await adapter.cancel("lasts", run)
    states.machines["fails"].fails = True
    again = datetime.now(UTC)
    await adapter.retry("fails", "old")
    await ended(adapter, "fails", "old")
    other = connect("pipelines", "step-functions")  # one that has ordered nothing
    found = {(run.pipeline, run.run_id): run.state for run in await other.runs(since=again)}
    assert (found.get(("fails", "old")), found.get(("lasts", "old"))) == ("failed", "running")


async def test_the_same_executions_as_a_script(aws: FakeAws, states: FakeStates, connect: Connect) -> None:
    adapter = connect("pipelines", "step-functions")
    for number in range(4):
        states.add(FakeMachine(f"machine-{number}", fails=bool(number % 2)))
    for number in range(4):
        for run in range(number):
            await adapter.trigger(f"machine-{number}", f"r{run}", {})
            await ended(adapter, f"machine-{number}", f"r{run}")
    client = aws.client("stepfunctions")
    script = [
        (machine["name"], each["name"], each["status"])
        for machine in client.list_state_machines()["stateMachines"]
        for each in client.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    ]
    found = await adapter.runs()
    assert sorted((run.pipeline, run.run_id, run.raw_state) for run in found) == sorted(script)


async def test_throttled_every_second_time_is_still_read(
    aws: FakeAws, states: FakeStates, adapter: StepFunctionsPipelines
) -> None:
    await adapter.trigger("succeeds", "r1", {})
    aws.fail("stepfunctions", "ThrottlingException", every=2)
    assert (await ended(adapter, "succeeds", "r1")).state == "success"


async def test_html_is_no_answer(aws: FakeAws, adapter: StepFunctionsPipelines) -> None:
    aws.fail(how="html")
    with pytest.raises(BackendError) as caught:
        await adapter.runs()
    assert caught.value.kind == "malformed"


async def test_who_may_not_see_rules_may_still_start_a_machine(
    aws: FakeAws, states: FakeStates, adapter: StepFunctionsPipelines
) -> None:
    aws.fail("events", "AccessDeniedException", message="not authorized to perform: events:ListRuleNamesByTarget")
    info = await adapter.pipeline("succeeds")
    assert "no right events:ListRuleNamesByTarget" in info.note
    await adapter.trigger("succeeds", "r1", {})
    assert (await ended(adapter, "succeeds", "r1")).state == "success"
