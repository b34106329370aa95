"""Too many calls, and credentials that end, in the midst of an order: what was taken is not told as failed, what was
not taken goes again, and nothing is ordered twice."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backends.aws import lost
from backends.aws.web_console import console_of
from backends.errors import BackendError
from backends.logs.cloudwatch import insights
from backends.models import Matcher
from backends.pipelines.glue import orders as glue_orders
from backends.testing.pipelines import ended
from tests.backends.aws_fixtures import Connect, aws, connect
from tests.backends.fake_cloudwatch_alarms import FakeAlarms
from tests.backends.fake_glue import FakeGlue, FakeJob
from tests.backends.fake_states import FakeMachine, FakeStates
from tests.fake_aws import FakeAws

__all__ = ["aws", "connect"]

pytestmark = pytest.mark.xdist_group("moto")
BURST = 3
"""So often is a read tried: so many refusals are one look that failed."""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(glue_orders, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(insights, "POLL_S", 0.01)


def after(aws: FakeAws, write: str, then: Callable[[], None]) -> None:
    """`then`, once, when `write` has had its effect."""
    answer = aws.answers[write]

    def answered(asked: dict[str, Any]) -> dict[str, Any]:
        aws.answers[write] = answer
        found = answer(asked)
        then()
        return found

    aws.answers[write] = answered


def until() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


async def _glue(aws: FakeAws, connect: Connect) -> Any:
    glue = FakeGlue().answer_by(aws)
    glue.add(FakeJob("job", ends=None))
    adapter = connect("pipelines", "glue")
    await adapter.trigger("job", "there", {})
    return adapter


async def _states(aws: FakeAws, connect: Connect) -> Any:
    states = FakeStates().answer_by(aws)
    states.add(FakeMachine("fails", fails=True))
    states.add(FakeMachine("lasts", fails=None))
    adapter = connect("pipelines", "step-functions")
    await adapter.trigger("lasts", "there", {})
    await adapter.trigger("fails", "there", {})
    await ended(adapter, "fails", "there")
    return adapter


async def _alarms(aws: FakeAws, connect: Connect) -> Any:
    alarms = FakeAlarms(refuses_past_ends=True).answer_by(aws)
    alarms.put("errors")
    alarms.put("more")
    adapter = connect("alerts", "cloudwatch")
    await mute(adapter, "errors", "A1")
    return adapter


def mute(adapter: Any, alarm: str, order: str) -> Awaitable[Any]:
    matchers = (Matcher(name="alarm", value=alarm),)
    found: Awaitable[Any] = adapter.silence(matchers, until=until(), by="me", comment="x", ack=False, order=order)
    return found


ORDERS: dict[str, tuple[Any, str, tuple[str, ...], Callable[[Any], Awaitable[Any]]]] = {
    "start a job": (_glue, "glue.StartJobRun", ("glue.GetJobRuns",), lambda a: a.trigger("job", "r1", {})),
    "stop a job": (_glue, "glue.BatchStopJobRun", ("glue.GetJobRuns",), lambda a: a.cancel("job", "there")),
    "pause a job": (_glue, "glue.StopTrigger", ("glue.GetTriggers",), lambda a: a.set_paused("job", paused=True)),
    "redrive": (
        _states, "stepfunctions.RedriveExecution", ("stepfunctions.DescribeExecution",),
        lambda a: a.retry("fails", "there"),
    ),
    "stop an execution": (
        _states, "stepfunctions.StopExecution", ("stepfunctions.DescribeExecution",),
        lambda a: a.cancel("lasts", "there"),
    ),
    "pause a machine": (
        _states, "events.DisableRule", ("events.ListRuleNamesByTarget",), lambda a: a.set_paused("lasts", paused=True),
    ),
    "mute": (
        _alarms, "cloudwatch.PutAlarmMuteRule", ("cloudwatch.GetAlarmMuteRule",), lambda a: mute(a, "more", "A2"),
    ),
    "end a mute": (
        _alarms, "cloudwatch.DeleteAlarmMuteRule", ("cloudwatch.GetAlarmMuteRule",),
        lambda a: a.expire("teal-silence-A1"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("is_lost", [False, True], ids=["answered", "lost"])
@pytest.mark.parametrize("name", ORDERS)
async def test_an_order_that_was_taken_is_done_where_the_look_after_it_is_throttled(
    aws: FakeAws, connect: Connect, name: str, is_lost: bool
) -> None:
    made, write, reads, order = ORDERS[name]
    adapter = await made(aws, connect)
    before = len(aws.called(write))
    if is_lost:
        aws.fail(write, how="lost", times=1)

    def burst() -> None:
        for read in reads:
            aws.fail(read, "ThrottlingException", times=BURST)

    after(aws, write, burst)
    await order(adapter)
    assert len(aws.called(write)) - before == 1, "nothing is ordered twice"


@pytest.mark.parametrize("name", [name for name, each in ORDERS.items() if each[0] is not _alarms])
async def test_what_nobody_can_look_for_is_in_doubt(aws: FakeAws, connect: Connect, name: str) -> None:
    """The credentials have ended in the midst of it: what it says is the order, not only the look."""
    made, write, reads, order = ORDERS[name]
    adapter = await made(aws, connect)
    before = len(aws.called(write))
    aws.fail(write, how="lost", times=1)

    def end() -> None:
        for read in reads:
            aws.fail(read, "ExpiredTokenException")

    after(aws, write, end)
    with pytest.raises(BackendError, match="in doubt") as caught:
        await order(adapter)
    assert (caught.value.kind, "ExpiredToken" in caught.value.message) == ("unreachable", True)
    assert len(aws.called(write)) - before == 1


async def test_credentials_that_ended_are_had_anew_and_what_was_refused_for_them_goes_again(
    aws: FakeAws, connect: Connect
) -> None:
    states = FakeStates().answer_by(aws)
    states.add(FakeMachine("only", fails=None))
    adapter = connect("pipelines", "step-functions")
    aws.fail("stepfunctions.ListStateMachines", "ExpiredTokenException", times=1)
    aws.fail("stepfunctions.StartExecution", "ExpiredTokenException", times=1)
    await adapter.trigger("only", "r1", {})
    assert (len(states.executions), len(aws.called("stepfunctions.StartExecution"))) == (1, 1)
    aws.fail("stepfunctions.StartExecution", "ExpiredTokenException")
    with pytest.raises(BackendError, match="ExpiredToken") as caught:
        await adapter.trigger("only", "r2", {})
    assert (caught.value.kind, "get new ones" in caught.value.fix) == ("auth", True)
    assert len(states.executions) == 1


@pytest.mark.parametrize(("looks", "ends"), [(2, True), (9, False)])
async def test_a_query_goes_on_where_a_look_at_it_is_throttled(
    aws: FakeAws, connect: Connect, looks: int, ends: bool
) -> None:
    """It is paid by what it scans, whether somebody has seen what it found or not."""
    stopped: list[str] = []
    aws.answers["logs.StartQuery"] = lambda asked: {"queryId": "q-1"}
    aws.answers["logs.GetQueryResults"] = lambda asked: {"status": "Complete", "results": []}

    def stop(asked: dict[str, Any]) -> dict[str, Any]:
        stopped.append(asked["queryId"])
        return {"success": True}

    aws.answers["logs.StopQuery"] = stop
    adapter = connect("logs", "cloudwatch", groups=["/ecs/analytics"])
    aws.fail("logs.GetQueryResults", "ThrottlingException", times=looks * BURST)
    search = adapter.search("fields @message", since=datetime.now(UTC) - timedelta(hours=1), until=until(), limit=9)
    if ends:
        assert [state.done async for state in search] == [True]
    else:
        with pytest.raises(BackendError, match="ThrottlingException"):
            _ = [state async for state in search]
    assert stopped == ([] if ends else ["q-1"])


EMPTY: dict[str, tuple[Any, str, str, Callable[[Any], Awaitable[Any]]]] = {
    "runs of a job": (_glue, "glue.GetJobRuns", "JobRuns", lambda a: a.runs()),
    "executions": (_states, "stepfunctions.ListExecutions", "executions", lambda a: a.runs()),
    "rules": (_states, "events.ListRuleNamesByTarget", "RuleNames", lambda a: a.pipelines()),
    "jobs": (_glue, "glue.ListJobs", "JobNames", lambda a: a.runs()),
    "alarms": (_alarms, "cloudwatch.DescribeAlarms", "MetricAlarms", lambda a: a.alerts()),
    "mute rules": (_alarms, "cloudwatch.ListAlarmMuteRules", "AlarmMuteRuleSummaries", lambda a: a.silences()),
}


@pytest.mark.parametrize("name", EMPTY)
async def test_an_empty_page_is_not_the_end(aws: FakeAws, connect: Connect, name: str) -> None:
    made, call, key, look = EMPTY[name]
    await made(aws, connect)
    answer, token = aws.answers[call], "nextToken" if key == "executions" else "NextToken"

    def paged(asked: dict[str, Any]) -> dict[str, Any]:
        page = int(asked.get(token, "0"))
        return answer({key: each for key, each in asked.items() if key != token}) if page > 1 else {
            key: [], token: str(page + 1),
        }  # fmt: skip

    port, kind = {"glue": ("pipelines", "glue"), "cloudwatch": ("alerts", "cloudwatch")}.get(
        call.partition(".")[0], ("pipelines", "step-functions")
    )
    whole = await look(connect(port, kind))
    aws.answers[call] = paged
    found = await look(connect(port, kind))
    assert len(found) == len(whole) > 0
    if name == "rules":
        assert [each.schedule for each in found] == [each.schedule for each in whole]


@pytest.mark.parametrize(
    ("region", "page"),
    [
        ("eu-central-1", "https://eu-central-1.console.aws.amazon.com"),
        ("cn-north-1", "https://cn-north-1.console.amazonaws.cn"),
        ("us-gov-west-1", "https://us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_a_partition_has_a_console_of_its_own(region: str, page: str) -> None:
    assert console_of(region) == page
