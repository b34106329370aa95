"""`cloudwatch` alerts: both contracts against the fake, what alarms do not say by themselves, and lost answers."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backends.alerts.cloudwatch.alarms import CloudWatchAlarms
from backends.errors import BackendError
from backends.models import Alert, Matcher
from backends.testing.alerts import NAME, AlertsContract, Lose, RaiseAlerts, Raised
from backends.testing.silences import ALICE, SilencerContract, in_hours
from tests.backends.aws_fixtures import Connect, aws, connect
from tests.backends.fake_cloudwatch_alarms import ARN, TOPIC, FakeAlarms
from tests.fake_aws import FakeAws

__all__ = ["aws", "connect"]

pytestmark = pytest.mark.xdist_group("moto")

BY_NAME = "(?P<alertname>[A-Za-z]+)( .*)?"


@pytest.fixture
def alarms(aws: FakeAws) -> FakeAlarms:
    return FakeAlarms().answer_by(aws)


@pytest.fixture
def adapter(connect: Connect, alarms: FakeAlarms) -> CloudWatchAlarms:
    found: CloudWatchAlarms = connect("alerts", "cloudwatch", labels_from_name=BY_NAME)
    return found


@pytest.fixture
def raise_alerts(alarms: FakeAlarms) -> RaiseAlerts:
    def raised(alerts: list[Raised]) -> None:
        for name in alarms.alarms:
            if name not in [f"{NAME} {hash(alert.dataset)}" for alert in alerts]:
                alarms.put(name, "OK")
        for alert in alerts:
            reason = f"1 datapoint {alert.score} was less than the threshold"
            alarms.put(f"{NAME} {hash(alert.dataset)}", "ALARM", {"dataset": alert.dataset}, StateReason=reason)

    return raised


@pytest.fixture
def lose(aws: FakeAws) -> Lose:
    return aws.stop


class TestAlerts(AlertsContract):
    """Everything that tealdeck wants of a system of alerts."""


class TestSilences(SilencerContract):
    """And of one that keeps them quiet."""


async def only(adapter: CloudWatchAlarms) -> Alert:
    (alert,) = await adapter.alerts()
    return alert


async def test_an_alarm_as_its_names_and_dimensions_say_it(alarms: FakeAlarms, connect: Connect) -> None:
    alarms.put(
        "analytics-errors-warning", dimensions={"service": "web"}, StateReason="Threshold Crossed",
        AlarmDescription="too many errors, see https://runbooks.internal/errors",
    )  # fmt: skip
    pattern = "(?P<app>[a-z]+)-(?P<alertname>.*?)-(?P<severity>warning|critical)"
    alert = await only(connect("alerts", "cloudwatch", labels_from_name=pattern))
    assert (alert.name, alert.severity, alert.health, alert.targets) == ("errors", "warning", "warning", ("oncall",))
    assert alert.labels == {
        "alertname": "errors", "alarm": "analytics-errors-warning", "app": "analytics", "severity": "warning",
        "service": "web", "metric": "DataQualityScore", "namespace": "Platform",
    }  # fmt: skip
    assert alert.summary == "too many errors, see https://runbooks.internal/errors: Threshold Crossed"
    assert alert.runbook_url == "https://runbooks.internal/errors"
    assert "eu-central-1.console.aws.amazon.com" in (alert.source_url or "")


async def test_what_does_not_know_is_unknown_and_loud(alarms: FakeAlarms, adapter: CloudWatchAlarms) -> None:
    alarms.put("blind", "INSUFFICIENT_DATA", StateReason="no data for 3 periods")
    alarms.put("odd", "NEW_STATE")
    alarms.put("broken", "OK", EvaluationState="EVALUATION_ERROR")
    alarms.put("partly", "ALARM", EvaluationState="PARTIAL_DATA")
    found = {alert.name: alert for alert in await adapter.alerts()}
    assert (found["blind"].state, found["blind"].health, found["blind"].summary) == (
        "unknown", "unknown", "no data for 3 periods"
    )  # fmt: skip
    assert (found["odd"].state, found["odd"].raw_state) == ("unknown", "NEW_STATE")
    assert (found["broken"].state, found["broken"].summary) == ("unknown", "it can not be evaluated")
    assert (found["partly"].state, "a part of its data" in found["partly"].summary) == ("firing", True)


async def test_composite_alarms_are_there_and_those_that_are_suppressed(
    alarms: FakeAlarms, adapter: CloudWatchAlarms, connect: Connect
) -> None:
    alarms.put("child")
    alarms.put_composite("above", 'ALARM("child") OR ALARM(other)')
    alarms.put_composite(
        "held", 'ALARM("child")', ActionsSuppressedBy="Alarm", ActionsSuppressedReason="Suppressed by maintenance"
    )
    found = {alert.name: alert for alert in await adapter.alerts()}
    assert {name: alert.state for name, alert in found.items()} == {
        "child": "firing", "above": "firing", "held": "inhibited",
    }  # fmt: skip
    assert "Suppressed by maintenance" in found["held"].summary
    only_composite = await connect("alerts", "cloudwatch", composite_only=True).alerts()
    assert {alert.name for alert in only_composite} == {"above", "held"}


async def test_alarms_that_tell_nobody_are_a_finding(alarms: FakeAlarms, adapter: CloudWatchAlarms) -> None:
    for number in range(7):
        alarms.put(f"off-{number}", "OK", ActionsEnabled=False)
    alert = await only(adapter)
    assert (alert.name, alert.health, alert.since) == ("CloudWatchActionsDisabled", "warning", None)
    assert alert.summary == (
        "the actions of 7 alarms are disabled, they tell nobody: off-0, off-1, off-2, off-3, off-4, …"
    )
    with pytest.raises(BackendError, match="no alarm of CloudWatch"):
        adapter.ack_matchers(alert)
    alarms.put("off-0", "ALARM", ActionsEnabled=False)
    found = {alert.name: alert for alert in await adapter.alerts()}
    assert "nobody is told" in found["off-0"].summary


async def test_since_is_asked_of_the_history_once(aws: FakeAws, alarms: FakeAlarms, adapter: CloudWatchAlarms) -> None:
    alarms.put("old")
    del alarms.alarms["old"]["StateTransitionedTimestamp"]
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
    alarms.history["old"] = [
        {"AlarmName": "old", "Timestamp": began - timedelta(days=1), "HistoryItemType": "StateUpdate"},
        {"AlarmName": "old", "Timestamp": began, "HistoryItemType": "StateUpdate"},
        {"AlarmName": "old", "Timestamp": began + timedelta(hours=1), "HistoryItemType": "Action"},
    ]
    assert (await only(adapter)).since == began
    assert (await only(adapter)).since == began
    assert len(aws.called("cloudwatch.DescribeAlarmHistory")) == 1


async def test_history_is_events_of_the_timeline(
    aws: FakeAws, alarms: FakeAlarms, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms.page = 3
    adapter = connect("alerts", "cloudwatch", prefix="prod-", labels_from_name="prod-(?P<dataset>[a-z]+)-.*")
    until = datetime.now(UTC).replace(microsecond=0)
    since, minute = until - timedelta(hours=1), timedelta(minutes=1)
    alarms.put("prod-orders-red", "ALARM", {"dataset": "orders"})
    alarms.turned("prod-orders-red", "ALARM", since + minute, "0.71 was less than 0.8")
    alarms.turned("prod-orders-red", "INSUFFICIENT_DATA", since + 3 * minute, before="ALARM")
    alarms.turned("prod-orders-red", "OK", since + 4 * minute, before="INSUFFICIENT_DATA")
    alarms.turned("prod-orders-red", "ALARM", since + 9 * minute, "0.5 was less than 0.8")
    alarms.turned("prod-gone-red", "ALARM", since + 5 * minute)
    alarms.turned("prod-orders-red", "ALARM", since - minute, "before the window")
    alarms.turned("test-orders-red", "ALARM", since + minute, "not looked at")
    failed = "Failed to execute action arn:aws:sns:eu-central-1:123456789012:oncall"
    data = '{"actionState": "Failed", "error": "no such topic"}'
    alarms.tell("prod-orders-red", "Action", since + 10 * minute, failed, data)
    alarms.tell("prod-orders-red", "Action", since + 2 * minute, "Successfully executed action arn")
    alarms.tell("prod-gone-red", "ConfigurationUpdate", since + 8 * minute, "deleted", '{"type": "Delete"}')
    events = await adapter.events(since, until)
    assert [(event.kind, event.health, event.text) for event in events] == [
        ("alert", "critical", "prod-orders-red orders fired for 2m: 0.71 was less than 0.8"),
        ("alert", "unknown", "prod-orders-red orders did not know for 1m"),
        ("alert", "critical", "prod-gone-red gone fired for 3m"),
        ("alarm-changed", "ok", "alarm prod-gone-red was deleted"),
        ("alert", "critical", "prod-orders-red orders fired: 0.5 was less than 0.8"),
        ("action-failed", "warning", f"alarm prod-orders-red: {failed}: no such topic"),
    ]
    now = {alert.labels["alarm"]: alert.ref for alert in await adapter.alerts()}
    first, last = events[0], events[-2]
    assert (first.ref, first.subject, first.until) == (
        now["prod-orders-red"],
        "prod-orders-red orders",
        since + 3 * minute,
    )
    assert (last.ref, last.going_on, last.until) == (now["prod-orders-red"], True, None)
    asked = len(aws.called("cloudwatch.DescribeAlarmHistory"))
    assert asked == 3, "one question for all alarms, page by page"
    monkeypatch.setattr("backends.alerts.cloudwatch.history.PAGES", 1)
    cut, *kept = await adapter.events(since, until)
    assert (cut.kind, cut.at, cut.until) == ("unwatched", since, kept[0].at)
    assert "nothing before is read" in cut.text


async def test_prefix_names_and_pages(aws: FakeAws, alarms: FakeAlarms, connect: Connect) -> None:
    alarms.page = 3
    for number in range(10):
        alarms.put(f"prod-{number}")
        alarms.put(f"test-{number}")
    found = await connect("alerts", "cloudwatch", prefix="prod-").alerts()
    assert sorted(alert.name for alert in found) == [f"prod-{number}" for number in range(10)]
    found = await connect("alerts", "cloudwatch", names=["*-1", "prod-2"]).alerts()
    assert sorted(alert.name for alert in found) == ["prod-1", "prod-2", "test-1"]


@pytest.mark.parametrize("fault", [{"code": "AccessDeniedException"}, {"code": "InternalFailure", "status": 500}])
async def test_mute_rules_that_can_not_be_read_are_said(
    aws: FakeAws, alarms: FakeAlarms, adapter: CloudWatchAlarms, fault: dict[str, Any]
) -> None:
    alarms.put("red")
    aws.fail("cloudwatch.ListAlarmMuteRules", **fault)
    found = {alert.name: alert for alert in await adapter.alerts()}
    assert found["red"].state == "firing"
    said = found["CloudWatchMuteRules"]
    assert (said.state, "what is muted is not known" in said.summary) == ("unknown", True)


# ---- mutes


async def ack(adapter: CloudWatchAlarms, name: str, hours: float = 1, **more: Any) -> Any:
    given = {"by": ALICE, "comment": "looking", "ack": True, **more}
    return await adapter.silence((Matcher(name="alarm", value=name),), until=in_hours(hours), **given)


async def test_the_name_of_a_rule_is_of_the_order_and_nobodys_rule_is_overwritten(
    alarms: FakeAlarms, adapter: CloudWatchAlarms
) -> None:
    alarms.put("red")
    made = await ack(adapter, "red", order="01ACTION")
    assert made.id == "teal-ack-01ACTION"
    again = await ack(adapter, "red", order="01ACTION")
    assert (again.id, again.changed) == (made.id, False)
    alarms.rules["teal-ack-01OTHER"] = {**alarms.rules[made.id], "Description": "mine", "Name": "teal-ack-01OTHER"}
    alarms.updated["teal-ack-01OTHER"] = datetime.now(UTC)
    with pytest.raises(BackendError, match="is there already, and is another one") as caught:
        await ack(adapter, "red", by="bob@laptop", order="01OTHER")
    assert caught.value.kind == "conflict"
    assert alarms.rules["teal-ack-01OTHER"]["Description"] == "mine"


async def test_an_answer_that_is_lost_is_looked_for_and_never_sent_again(
    aws: FakeAws, alarms: FakeAlarms, adapter: CloudWatchAlarms
) -> None:
    alarms.put("red")
    aws.fail("cloudwatch.PutAlarmMuteRule", how="lost", times=1)
    made = await ack(adapter, "red", order="1")
    assert (made.changed, made.visible_on) == (True, ("AWS eu-central-1",))
    assert len(aws.called("cloudwatch.PutAlarmMuteRule")) == 1
    aws.fail("cloudwatch.PutAlarmMuteRule", how="lost", times=1)
    assert (await adapter.extend(made.id, in_hours(3))).visible_on
    aws.fail("cloudwatch.PutAlarmMuteRule", how="lost", times=1)
    assert (await adapter.expire(made.id)).visible_on
    assert len(aws.called("cloudwatch.PutAlarmMuteRule")) == 3


async def test_an_order_that_did_not_arrive_is_an_error(
    aws: FakeAws, alarms: FakeAlarms, adapter: CloudWatchAlarms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.alerts.cloudwatch.mutes.SHOWN_WITHIN_S", 0.3)
    alarms.put("red")
    aws.fail("cloudwatch.PutAlarmMuteRule", how="close")
    with pytest.raises(BackendError) as caught:
        await ack(adapter, "red")
    assert caught.value.kind == "unreachable"
    assert alarms.rules == {}


async def test_a_rule_that_begins_later_is_no_rule_yet(
    alarms: FakeAlarms, adapter: CloudWatchAlarms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.alerts.cloudwatch.mutes.SHOWN_WITHIN_S", 0.3)
    alarms.put("red")
    alarms.begins_later = True
    made = await ack(adapter, "red")
    assert (made.visible_on, made.pending) == ((), made.peers)


async def test_where_aws_takes_no_end_in_the_past_the_rule_is_deleted(
    alarms: FakeAlarms, adapter: CloudWatchAlarms
) -> None:
    alarms.put("red")
    made = await ack(adapter, "red")
    alarms.refuses_past_ends = True
    ended = await adapter.expire(made.id)
    assert (ended.changed, ended.visible_on, alarms.rules) == (True, ended.peers, {})
    assert (await only(adapter)).state == "firing"


async def test_somebody_elses_window_that_recurs_is_left_alone(alarms: FakeAlarms, adapter: CloudWatchAlarms) -> None:
    alarms.put("red")
    rule = {"Schedule": {"Expression": "cron(0 2 * * *)", "Duration": "PT4H", "Timezone": "Europe/Berlin"}}
    alarms.put_rule({"Name": "nightly", "Rule": rule, "MuteTargets": {"AlarmNames": ["red"]}})
    (silence,) = await adapter.silences()
    assert (silence.id, silence.state, silence.ends_at, silence.matchers) == (
        "nightly", "pending", None, (Matcher(name="alarm", value="red"),)
    )  # fmt: skip
    for order in (adapter.extend("nightly", in_hours(1)), adapter.expire("nightly")):
        with pytest.raises(BackendError, match="recurs"):
            await order
    assert alarms.rules["nightly"]["Rule"] == rule


async def test_a_rule_of_a_person_keeps_what_it_says_when_it_is_extended(
    alarms: FakeAlarms, adapter: CloudWatchAlarms
) -> None:
    alarms.put("red")
    alarms.put("green", "OK")
    begin = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=1)
    rule = {"Schedule": {"Expression": f"at({begin:%Y-%m-%dT%H:%M})", "Duration": "PT2H"}}
    alarms.put_rule(
        {"Name": "move", "Description": "the move", "Rule": rule, "MuteTargets": {"AlarmNames": ["red", "green"]}}
    )
    (silence,) = await adapter.silences()
    assert (silence.state, silence.comment, silence.created_by, silence.matches) == ("active", "the move", "", 1)
    assert silence.ends_at == begin + timedelta(hours=2)
    assert (await only(adapter)).state == "silenced"
    until = in_hours(3)
    assert (await adapter.extend("move", until)).visible_on
    after = alarms.rules["move"]
    assert (after["Description"], after["MuteTargets"]) == ("the move", {"AlarmNames": ["red", "green"]})
    assert after["Rule"]["Schedule"]["Expression"] == rule["Schedule"]["Expression"]
    (silence,) = await adapter.silences()
    assert silence.ends_at is not None
    assert abs(silence.ends_at - until) < timedelta(seconds=1)


async def test_limits_of_a_rule_are_said_before_it_is_sent(
    aws: FakeAws, alarms: FakeAlarms, adapter: CloudWatchAlarms
) -> None:
    for number in range(101):
        alarms.put(f"red {number}")
    everything = (Matcher(name="alertname", value="red"),)
    with pytest.raises(BackendError, match="it matches 101 alarms, and a mute rule takes 100"):
        await adapter.silence(everything, until=in_hours(1), by=ALICE, comment="", ack=False)
    assert [finding.code for finding in (await adapter.effects(everything, ack=False)).findings] == ["too-many"]
    with pytest.raises(BackendError, match="15 days at most"):
        await ack(adapter, "red 1", hours=16 * 24)
    with pytest.raises(BackendError, match="it matches no alarm"):
        await ack(adapter, "nothing")
    assert aws.called("cloudwatch.PutAlarmMuteRule") == []


async def test_matchers_that_are_too_many_for_a_description_are_told_by_the_alarms(
    alarms: FakeAlarms, adapter: CloudWatchAlarms
) -> None:
    alarms.put("red", dimensions={f"label{number}": "x" * 60 for number in range(20)})
    matchers = adapter.ack_matchers(await only(adapter))
    await adapter.silence(matchers, until=in_hours(1), by=ALICE, comment="c" * 900, ack=True)
    alert = await only(adapter)
    assert alert.ack is not None
    assert (alert.state, alert.ack.by) == ("acknowledged", ALICE)
    (silence,) = await adapter.silences()
    assert silence.matchers == (Matcher(name="alarm", value="red"),)


async def test_what_a_mute_does_besides_is_said(alarms: FakeAlarms, adapter: CloudWatchAlarms) -> None:
    scaling = "arn:aws:autoscaling:eu-central-1:123456789012:scalingPolicy:x:autoScalingGroupName/web"
    alarms.put("child", AlarmActions=[TOPIC])
    alarms.put("scales", AlarmActions=[TOPIC], OKActions=[scaling])
    alarms.put_composite("above", f'ALARM("child") AND NOT OK("{ARN}:alarm:scales")')
    child = await adapter.effects((Matcher(name="alarm", value="child"),), ack=True)
    assert child.findings == ()
    assert "still notify: above, composite alarms above" in child.says
    assert any("notifies again at the end" in words for words in child.says)
    assert any("an OK reaches nobody" in words for words in child.says)
    (finding,) = (await adapter.effects((Matcher(name="alarm", value="scales"),), ack=True)).findings
    assert (finding.level, finding.code, finding.overridable) == ("block", "stops-actions", False)
    assert scaling[:100] in finding.text
    (finding,) = (await adapter.effects((Matcher(name="alarm", value="scales"),), ack=False)).findings
    assert finding.level == "warning"
    above = await adapter.effects((Matcher(name="alarm", value="above"),), ack=True)
    assert "not muted: child, scales, which the composite alarm is made of" in above.says


async def test_html_is_no_answer(aws: FakeAws, alarms: FakeAlarms, adapter: CloudWatchAlarms) -> None:
    aws.fail(how="html")
    with pytest.raises(BackendError) as caught:
        await adapter.alerts()
    assert caught.value.kind == "malformed"


async def test_the_same_alarms_as_a_script(aws: FakeAws, alarms: FakeAlarms, adapter: CloudWatchAlarms) -> None:
    alarms.page = 7
    for number in range(40):
        alarms.put(f"alarm {number}", ("ALARM", "OK", "INSUFFICIENT_DATA")[number % 3])
    alarms.put_composite("all", 'ALARM("alarm 0")')
    client, script = aws.client("cloudwatch"), []
    for page in client.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm", "CompositeAlarm"]):
        told = page["MetricAlarms"] + page["CompositeAlarms"]
        script += [(each["AlarmName"], each["StateValue"]) for each in told if each["StateValue"] != "OK"]
    found = await adapter.alerts()
    assert sorted((alert.labels["alarm"], alert.raw_state) for alert in found) == sorted(script)


async def test_throttled_every_second_time_is_still_read(
    aws: FakeAws, alarms: FakeAlarms, adapter: CloudWatchAlarms
) -> None:
    alarms.put("red")
    aws.fail(code="ThrottlingException", every=2)
    assert (await only(adapter)).name == "red"


async def test_a_pattern_of_names_that_never_ends_is_cut_off(
    alarms: FakeAlarms, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.patterns.SEARCH_S", 0.2)
    alarms.put("x" * 250 + "w!", "ALARM")
    async with asyncio.timeout(20):
        with pytest.raises(BackendError, match="takes more than"):
            await connect("alerts", "cloudwatch", labels_from_name="(?P<a>(?:x|xx)+)y?z").alerts()


@pytest.mark.parametrize("config", [{"labels_from_name": "("}, {"names": [""]}, {"timeout": "0s"}])
def test_a_config_that_makes_no_sense_is_refused(connect: Connect, config: dict[str, Any]) -> None:
    with pytest.raises(BackendError) as caught:
        connect("alerts", "cloudwatch", **config)
    assert caught.value.kind == "config"
