"""`teal doctor` of entries that reach AWS: as whom, where, by which clock, and which rights are missing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.cli.commands import teal
from console.cli.ending import run_command
from console.printing.diagnosis import Diagnosis
from tests.fake_aws import FakeAws, fake_aws
from tests.live.moto import KEYS, REGION, MotoServer

pytestmark = pytest.mark.xdist_group("moto")
ME = "arn:aws:sts::123456789012:user/moto"


@pytest.fixture
def aws(moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeAws]:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    moto_server.reset()
    moto_server.client("sqs").create_queue(QueueName="orders")
    with fake_aws(moto_server.endpoint_url) as found:
        yield found


@pytest.fixture
def config(aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def write(*entries: str, more: str = "") -> None:
        access = f'aws = {{ {more}region = "{REGION}", endpoint_url = "{aws.endpoint_url}" }}'
        path = tmp_path / "config.toml"
        path.write_text("[contexts.c]\n" + "".join(f"{each}\n{access}\n" for each in entries))
        path.chmod(0o600)
        monkeypatch.setenv("TEAL_CONFIG", str(path))

    return write


def entry(port: str, kind: str, more: str = "", name: str = "mine") -> str:
    return f'[[contexts.c.{port}]]\nname = "{name}"\ntype = "{kind}"\n{more}\n'


SQS = entry("checks", "sqs", 'queue = "orders"')


def diagnosed(capsys: pytest.CaptureFixture[str]) -> dict[str, Diagnosis]:
    capsys.readouterr()
    run_command(teal, ["doctor", "-o", "json"])
    items = json.loads(capsys.readouterr().out)["items"]
    return {each.name: each for each in msgspec.convert(items, list[Diagnosis])}


def test_an_entry_says_as_whom_and_where(config, capsys):
    config(SQS)
    found = diagnosed(capsys)["mine"]
    assert (found.health, found.account, found.identity, found.region) == ("ok", "123456789012", ME, REGION)
    assert found.missing_rights == ()
    assert found.clock_skew_s == pytest.approx(0, abs=2)
    run_command(teal, ["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[-3:] == ["AWS", "AS", "DETAIL"]
    assert f"123456789012 {REGION} user/moto" in "\n".join(lines)


def test_what_reaches_no_aws_says_nothing_of_it(config, capsys, tmp_path, monkeypatch):
    (tmp_path / "config.toml").write_text("[contexts.c]\n" + entry("checks", "tcp", 'host = "127.0.0.1"\nport = 1'))
    (tmp_path / "config.toml").chmod(0o600)
    monkeypatch.setenv("TEAL_CONFIG", str(tmp_path / "config.toml"))
    found = diagnosed(capsys)["mine"]
    assert (found.account, found.identity, found.region, found.missing_rights) == ("", "", "", ())


def test_entries_of_one_profile_are_asked_for_once_who_they_are(config, capsys, aws):
    config(
        SQS,
        entry("checks", "sqs", 'queue = "orders"\ntimeout = "9s"', name="slow"),
        entry("alerts", "cloudwatch", name="alarms"),
        entry("metrics", "cloudwatch", name="numbers"),
    )
    found = diagnosed(capsys)
    assert {found[name].identity for name in ("mine", "slow", "alarms", "numbers")} == {ME}
    assert len(aws.called("sts.GetCallerIdentity")) == 1


def test_an_account_that_all_must_be_of_is_asked_for_once(config, capsys, aws):
    other = 'account = "111122223333", '
    config(
        SQS,
        entry("checks", "sqs", 'queue = "orders"\ntimeout = "9s"', name="slow"),
        entry("alerts", "cloudwatch", name="alarms"),
        more=other,
    )
    found = diagnosed(capsys)
    for name in ("mine", "slow", "alarms"):
        each = found[name]
        assert (each.health, each.account, each.identity, each.region) == ("critical", "123456789012", ME, REGION)
        assert "nothing was read" in each.detail
    assert [name for name, _ in aws.calls] == ["sts.GetCallerIdentity"]


@pytest.mark.parametrize(("ahead", "health"), [(20, "warning"), (-300, "critical")])
def test_the_clock_of_aws_is_held_against_ours(ahead, health, config, capsys, aws):
    aws.ahead_s = ahead
    config(SQS)
    found = diagnosed(capsys)["mine"]
    assert found.health == health
    assert found.clock_skew_s == pytest.approx(ahead, abs=2)
    assert "its clock is" in found.detail


def test_the_clock_is_known_also_where_every_request_is_refused_for_it(config, capsys, aws):
    aws.ahead_s = 900
    aws.fail("", "RequestExpired", status=400)
    config(entry("alerts", "cloudwatch"))
    found = diagnosed(capsys)["mine"]
    assert (found.health, found.authorized) == ("critical", False)
    assert found.clock_skew_s == pytest.approx(900, abs=2)
    assert found.region == REGION


@pytest.mark.parametrize(
    ("what", "made", "right"),
    [
        ("cloudwatch.GetMetricData", SQS, "cloudwatch:GetMetricData"),
        ("cloudwatch.DescribeAlarmHistory", entry("alerts", "cloudwatch"), "cloudwatch:DescribeAlarmHistory"),
        ("cloudwatch.ListAlarmMuteRules", entry("alerts", "cloudwatch"), "cloudwatch:ListAlarmMuteRules"),
        ("cloudwatch.GetMetricData", entry("metrics", "cloudwatch"), "cloudwatch:GetMetricData"),
        ("glue.GetCrawlers", entry("pipelines", "glue"), "glue:GetCrawlers"),
        ("stepfunctions.ListStateMachines", entry("pipelines", "step-functions"), "states:ListStateMachines"),
        ("glue.ListDataQualityResults", entry("quality", "glue"), "glue:ListDataQualityResults"),
    ],
)
def test_each_right_that_is_missing_is_named(what, made, right, config, capsys, aws):
    aws.answers.setdefault("cloudwatch.ListAlarmMuteRules", lambda _: {"AlarmMuteRuleSummaries": []})
    aws.answers.setdefault("glue.ListDataQualityResults", lambda _: {"Results": []})
    aws.fail(what, "AccessDenied", status=403)
    config(made)
    found = diagnosed(capsys)["mine"]
    assert found.health in ("warning", "critical", "unknown")
    assert found.missing_rights == (right,)
    assert right in found.detail
    assert "docs/aws.md" in found.fix


@pytest.mark.parametrize(
    ("what", "right"),
    [
        ("stepfunctions.DescribeStateMachine", "states:DescribeStateMachine"),
        ("events.ListRuleNamesByTarget", "events:ListRuleNamesByTarget"),
    ],
)
def test_what_only_the_details_need_is_asked_of_the_first(what, right, config, capsys, aws, moto_server):
    moto_server.client("stepfunctions").create_state_machine(
        name="orders", definition='{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}',
        roleArn="arn:aws:iam::123456789012:role/states",
    )  # fmt: skip
    aws.fail(what, "AccessDeniedException", status=400)
    config(entry("pipelines", "step-functions"))
    found = diagnosed(capsys)["mine"]
    assert (found.health, found.missing_rights, found.detail) == ("warning", (right,), f"no right {right}")


def test_all_that_are_missing_are_named_at_once(config, capsys, aws):
    aws.fail("sqs.GetQueueUrl", "AccessDeniedException", status=403)
    aws.fail("cloudwatch.GetMetricData", "AccessDenied", status=403)
    config(SQS)
    found = diagnosed(capsys)["mine"]
    assert set(found.missing_rights) == {"sqs:GetQueueUrl", "cloudwatch:GetMetricData"}
    assert all(right in found.detail for right in found.missing_rights)


def test_the_right_is_the_one_that_aws_names_and_not_the_one_to_ask_who_one_is(config, capsys, aws):
    words = "User: arn:aws:iam::123456789012:user/x is not authorized to perform: sqs:getqueueattributes on resource: x"
    aws.fail("sqs.GetQueueAttributes", "AccessDeniedException", message=words, status=403)
    aws.fail("sts", "AccessDenied", status=403)
    config(SQS)
    found = diagnosed(capsys)["mine"]
    assert found.missing_rights == ("sqs:getqueueattributes",)
    assert (found.account, found.identity, found.region) == ("", "", REGION)
