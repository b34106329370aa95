"""Executions of Express machines by their log group: what became of them, which state failed, what is not logged."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backends.pipelines.stepfunctions.pipelines import StepFunctionsPipelines
from backends.testing.pipelines import refused
from tests.backends.aws_fixtures import Connect, aws, connect
from tests.backends.fake_cloudwatch_logs import FakeLogs
from tests.backends.fake_states import HERE, FakeMachine, FakeStates
from tests.fake_aws import FakeAws

__all__ = ["aws", "connect"]

pytestmark = pytest.mark.xdist_group("moto")

GROUP = "/aws/vendedlogs/states/fast"
ARN = f"arn:aws:logs:{HERE}:log-group:{GROUP}"


class Express:
    """One machine and its log group."""

    def __init__(self, aws: FakeAws) -> None:
        self.states, self.logs = FakeStates().answer_by(aws), FakeLogs().answer_by(aws)
        self.machine = self.states.add(FakeMachine("fast", ("parse", "load"), type="EXPRESS", log_group=GROUP), "")
        self.logs.groups[ARN] = []

    def ran(self, name: str, began: datetime, *events: tuple[str, dict[str, Any]], machine: str = "fast") -> str:
        """An execution whose events lie a second apart; its id."""
        run_id = f"{name}:{name}-uuid"
        for number, (kind, details) in enumerate(events):
            at = round(began.timestamp() * 1000) + number * 1000
            line = {
                "id": str(number + 1), "type": kind, "details": details, "previous_event_id": str(number),
                "event_timestamp": str(at), "execution_arn": f"arn:aws:states:{HERE}:express:{machine}:{run_id}",
            }  # fmt: skip
            self.logs.put(ARN, at, json.dumps(line))
        return run_id


BEGUN = ("ExecutionStarted", {"input": "{}"})
ENDED = ("ExecutionSucceeded", {"output": "{}"})
SAID = {"error": "States.TaskFailed", "cause": "no such table"}
FAILED = (
    BEGUN, ("PassStateEntered", {"name": "parse"}), ("PassStateExited", {"name": "parse"}),
    ("TaskStateEntered", {"name": "load"}), ("TaskFailed", SAID), ("ExecutionFailed", SAID),
)  # fmt: skip


@pytest.fixture
def express(aws: FakeAws) -> Express:
    return Express(aws)


@pytest.fixture
def adapter(connect: Connect, express: Express) -> StepFunctionsPipelines:
    found: StepFunctionsPipelines = connect("pipelines", "step-functions")
    return found


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


async def test_executions_are_what_the_log_group_has_of_them(express: Express, adapter: StepFunctionsPipelines) -> None:
    well = express.ran("a", now() - timedelta(minutes=30), BEGUN, ENDED)
    bad = express.ran("b", now() - timedelta(minutes=20), *FAILED)
    lost = express.ran("c", now() - timedelta(minutes=15), BEGUN)
    goes_on = express.ran("d", now() - timedelta(seconds=3), BEGUN)
    express.ran("e", now() - timedelta(minutes=2), BEGUN, ENDED, machine="other")
    express.ran("f", now() - timedelta(days=3), BEGUN, ENDED)
    express.logs.put(ARN, round(now().timestamp() * 1000), "no JSON")
    found = {run.run_id: run for run in await adapter.runs()}
    assert {run_id: (run.state, run.raw_state) for run_id, run in found.items()} == {
        goes_on: ("running", "RUNNING"), lost: ("unknown", "NO_END_IS_LOGGED"), bad: ("failed", "FAILED"),
        well: ("success", "SUCCEEDED"),
    }  # fmt: skip
    assert list(found) == [goes_on, lost, bad, well], "newest first"
    assert (found[well].duration_s, found[bad].error) == (1, "load: States.TaskFailed: no such table")
    assert found[well].url is not None
    assert "#/express-executions/details/arn:aws:states" in found[well].url
    assert (await adapter.run("fast", bad)).error == found[bad].error
    tasks = {task.task: (task.state, task.depends_on) for task in await adapter.tasks("fast", bad)}
    assert tasks == {"parse": ("success", ()), "load": ("failed", ("parse",))}
    lines = [entry.message for entry in await adapter.task_log("fast", bad, "load")]
    assert lines[1] == "TaskFailed: States.TaskFailed: no such table"
    assert await refused(adapter.run("fast", "b:nobody")) == "not_found"


async def test_who_asks_for_more_than_a_day_is_told_where_it_ends(
    express: Express, adapter: StepFunctionsPipelines
) -> None:
    """At the oldest that is shown, also where the window of the console is wider than what is looked at."""
    express.states.add(FakeMachine("kept"))
    await adapter.trigger("kept", "r1", {})
    express.ran("old", now() - timedelta(days=3), BEGUN, ENDED)
    first = express.ran("a", now() - timedelta(hours=20), BEGUN, ENDED)
    express.ran("b", now() - timedelta(hours=1), BEGUN, ENDED)
    asked = {run.run_id: run.note for run in await adapter.runs(since=now() - timedelta(days=4))}
    assert {run_id: note for run_id, note in asked.items() if "24 h" in note} == {
        first: "Express: what is older than 24 h is not seen"
    }
    assert not [run for run in await adapter.runs(since=now() - timedelta(hours=21)) if run.note]


async def test_a_failure_is_seen_behind_any_number_of_successes(
    express: Express, adapter: StepFunctionsPipelines
) -> None:
    bad = express.ran("bad", now() - timedelta(hours=2), *FAILED)
    for number in range(150):
        express.ran(f"n{number}", now() - timedelta(minutes=5, seconds=number), BEGUN, ENDED)
    found = {run.run_id: run.state for run in await adapter.runs(limit=1000)}
    assert (found.pop(bad), set(found.values())) == ("failed", {"success"})
    assert 99 <= len(found) <= 100


async def test_of_a_level_below_all_only_what_failed_is_there(
    express: Express, adapter: StepFunctionsPipelines
) -> None:
    express.machine.level = "ERROR"
    bad = express.ran("b", now() - timedelta(minutes=20), FAILED[-1])
    (run,) = await adapter.runs()
    assert (run.run_id, run.state, run.started_at, run.duration_s) == (bad, "failed", None, None)
    assert run.note == "its begin is not known"
    note = (await adapter.pipeline("fast")).note
    assert note == "Express: only those that failed are logged (level ERROR), of the last 24 h"


async def test_what_can_not_be_seen_is_said(aws: FakeAws, express: Express, connect: Connect) -> None:
    denied = "not authorized to perform: logs:FilterLogEvents on resource x"
    express.states.add(FakeMachine("kept"))
    aws.fail("logs.FilterLogEvents", "AccessDeniedException", message=denied)
    adapter = connect("pipelines", "step-functions")
    await adapter.trigger("kept", "r1", {})
    assert [run.pipeline for run in await adapter.runs()] == ["kept"], "the others go on"
    note = (await adapter.pipeline("fast")).note
    assert note.startswith("Express: its executions are not known: ")
    assert "no right logs:FilterLogEvents" in note
    express.machine.log_group = ""
    adapter = connect("pipelines", "step-functions", timeout="21s")
    assert "Express: it logs nothing" in (await adapter.pipeline("fast")).note


@pytest.mark.parametrize("order", ["trigger", "retry", "retry_preview", "cancel"])
async def test_no_order_is_given_to_them(
    aws: FakeAws, express: Express, adapter: StepFunctionsPipelines, order: str
) -> None:
    bad = express.ran("b", now() - timedelta(minutes=20), *FAILED)
    asked = ("fast", bad, {}) if order == "trigger" else ("fast", bad)
    assert await refused(getattr(adapter, order)(*asked)) == "config"
    assert not [name for name, _ in aws.calls if name.endswith(("StartExecution", "StopExecution", "RedriveExecution"))]
