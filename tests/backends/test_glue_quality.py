"""`glue` quality: the contract against a fake of Glue Data Quality, names of datasets, what is asked once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backends.errors import BackendError
from backends.quality.glue import GlueQuality
from backends.testing.quality import MINUTE, Evaluate, Evaluation, Lose, QualityContract, now
from tests.backends.aws_fixtures import Connect, aws, connect
from tests.backends.fake_data_quality import FakeDataQuality
from tests.backends.fake_glue import FakeGlue, FakeJob
from tests.fake_aws import FakeAws

__all__ = ["aws", "connect"]

pytestmark = pytest.mark.xdist_group("moto")


@pytest.fixture
def fake(aws: FakeAws) -> FakeDataQuality:
    return FakeDataQuality(aws)


@pytest.fixture
def adapter(connect: Connect, fake: FakeDataQuality) -> GlueQuality:
    found: GlueQuality = connect("quality", "glue")
    return found


@pytest.fixture
def evaluate(fake: FakeDataQuality) -> Evaluate:
    def put(evaluation: Evaluation) -> None:
        rules = [{"Name": name, "Result": "FAIL"} for name in evaluation.failed_checks]
        fake.put(evaluation.score, evaluation.at, ("lake", evaluation.dataset), RuleResults=rules)

    return put


@pytest.fixture
def lose(aws: FakeAws) -> Lose:
    return aws.stop


class TestGlueQuality(QualityContract):
    """Everything that tealdeck wants of a source of scores."""


async def test_rules_that_failed_and_rules_without_a_verdict(fake: FakeDataQuality, connect: Connect) -> None:
    rules = [
        {"Name": "Rule_1", "Description": 'IsComplete "id"', "Result": "PASS"},
        {"Name": "Rule_2", "Description": 'ColumnValues "amount" > 0', "Result": "FAIL",
         "EvaluationMessage": "Value: 0.71 does not meet the constraint requirement!"},
        {"Name": "Rule_3", "Result": "ERROR", "EvaluationMessage": "no such column"},
    ]  # fmt: skip
    fake.put(0.5, now(), RulesetName="orders-basic", RuleResults=rules, JobName="load", JobRunId="jr_1")
    (score,) = await connect("quality", "glue", pipelines="glue").scores()
    assert (score.dataset, score.suite, score.ref) == ("orders", "orders-basic", "mine/orders/orders-basic")
    assert (score.passed, score.total, score.state) == (1, 3, "critical")
    assert [(each.check, each.detail) for each in score.failures] == [
        ('ColumnValues "amount" > 0', "Value: 0.71 does not meet the constraint requirement!")
    ]
    assert [(each.check, each.detail) for each in score.errors] == [("Rule_3", "no such column")]
    assert score.run_ref == "glue/load/jr_1"


async def test_a_score_names_its_run_as_the_pipelines_entry_calls_it(
    aws: FakeAws, fake: FakeDataQuality, connect: Connect
) -> None:
    """One that was started from here by its own id, and of one that was tried again the run and not the attempt."""
    glue = FakeGlue().answer_by(aws)
    glue.add(FakeJob("load"))
    ours = glue.ran("load", "SUCCEEDED", now() - 3 * MINUTE, Arguments={"--teal_run_id": "nightly-7"})
    root = glue.ran("load", "FAILED", now() - 2 * MINUTE)
    again = glue.ran("load", "SUCCEEDED", now() - MINUTE, Id=f"{root}_attempt_1", Attempt=1, PreviousRunId=root)
    gone = "jr_gone_attempt_2"
    for table, run_id in (("a", ours), ("b", again), ("c", gone)):
        fake.put(1, now(), ("lake", table), JobName="load", JobRunId=run_id)
    adapter = connect("quality", "glue", pipelines="mine")
    runs = {run.ref for run in await connect("pipelines", "glue").runs()}
    scores = {score.dataset: score.run_ref for score in await adapter.scores()}
    assert scores == {"a": "mine/load/nightly-7", "b": f"mine/load/{root}", "c": "mine/load/jr_gone"}
    assert set(scores.values()) - {"mine/load/jr_gone"} == runs
    before = len(aws.called("glue.GetJobRun"))
    assert await adapter.scores()
    assert aws.called("glue.GetJobRun")[before:] == [], "each is asked for once"
    aws.fail("glue.GetJobRun", "AccessDeniedException")
    refused = await connect("quality", "glue", pipelines="mine", warn=0.9).scores()
    assert next(score.run_ref for score in refused) == f"mine/load/{ours}"
    aws.calls.clear()
    await connect("quality", "glue").scores()
    assert aws.called("glue.GetJobRun") == [], "nobody wants to know"


async def test_what_a_dataset_is_called(fake: FakeDataQuality, connect: Connect) -> None:
    fake.put(1, now(), ("lake", "orders"), RulesetName="a")
    fake.put(1, now(), ("lake", "orders"), RulesetName="b")
    fake.put(1, now(), ("raw", "orders"), RulesetName="a")
    fake.put(1, now(), ("raw", "events"), RulesetName="a")
    fake.put(1, now(), None, EvaluationContext="EvaluateDataQuality_node1", JobName="load")
    fake.put(1, now(), None, JobName="load", RulesetName="z")
    found = await connect("quality", "glue").scores()
    assert sorted((score.dataset, score.suite) for score in found) == [
        ("EvaluateDataQuality_node1", ""), ("events", "a"), ("lake.orders", "a"), ("lake.orders", "b"), ("load", "z"),
        ("raw.orders", "a"),
    ]  # fmt: skip
    found = await connect("quality", "glue", rulesets=["b", "z"]).scores()
    assert [score.suite for score in found] == ["z", "b"] or [score.suite for score in found] == ["b", "z"]


async def test_a_result_is_asked_for_once_and_old_ones_not_at_all(
    aws: FakeAws, fake: FakeDataQuality, connect: Connect
) -> None:
    fake.put(0.1, now() - timedelta(days=9))
    for age in range(15):
        fake.put(0.9, now() - age * MINUTE)
    adapter = connect("quality", "glue")
    await adapter.scores()
    assert len(aws.called("glue.BatchGetDataQualityResult")) == 1
    fake.put(0.7, now())
    (score,) = await adapter.scores()
    assert (score.score, len(score.trend)) == (0.7, 16)
    assert aws.called("glue.BatchGetDataQualityResult")[1:] == [{"ResultIds": ["dqresult-16"]}]


async def test_the_same_scores_as_a_script(aws: FakeAws, fake: FakeDataQuality, connect: Connect) -> None:
    for number in range(30):
        fake.put(number / 30, now() - number * MINUTE, ("lake", f"table-{number % 4}"), RulesetName="rules")
    client, script = aws.client("glue"), {}
    listed: dict[str, Any] = {"Filter": {"StartedAfter": now() - timedelta(days=1)}}
    while True:
        page = client.list_data_quality_results(**listed)
        for one in page["Results"]:
            (result,) = client.batch_get_data_quality_result(ResultIds=[one["ResultId"]])["Results"]
            name = result["DataSource"]["GlueTable"]["TableName"]
            script[name] = max(
                script.get(name, (datetime.min.replace(tzinfo=UTC), 0.0)), (result["CompletedOn"], result["Score"])
            )
        if "NextToken" not in page:
            break
        listed["NextToken"] = page["NextToken"]
    aws.fail("glue", "ThrottlingException", every=2)
    found = {score.dataset: score.score for score in await connect("quality", "glue").scores()}
    assert found == {name: score for name, (_, score) in script.items()}


async def test_html_is_no_answer(aws: FakeAws, adapter: GlueQuality) -> None:
    aws.fail(how="html")
    with pytest.raises(BackendError) as caught:
        await adapter.scores()
    assert caught.value.kind == "malformed"


@pytest.mark.parametrize("config", [{"rulesets": []}, {"warn": 0.5}, {"history": 0}, {"window": "1s"}])
def test_a_config_that_makes_no_sense_is_refused(connect: Connect, config: dict[str, Any]) -> None:
    with pytest.raises(BackendError):
        connect("quality", "glue", **config)
