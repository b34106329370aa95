"""Orders to CloudWatch alarms through the gate: what a mute does besides is in the plan; what it would stop forbids."""

from pathlib import Path

import pytest

from actions.described import Described
from actions.models import Consent, Refused, Request
from actions.targets import SilencerTarget
from backends.alerts.cloudwatch.alarms import CloudWatchAlarms
from tests.actions.house import YES, House
from tests.backends.aws_fixtures import Connect, aws, connect
from tests.backends.fake_cloudwatch_alarms import TOPIC, FakeAlarms
from tests.fake_aws import FakeAws
from tests.live.moto import REGION

__all__ = ["aws", "connect"]

pytestmark = pytest.mark.xdist_group("moto")


@pytest.fixture
def alarms(aws: FakeAws) -> FakeAlarms:
    return FakeAlarms().answer_by(aws)


@pytest.fixture
def adapter(house: House, connect: Connect, aws: FakeAws, alarms: FakeAlarms, tmp_path: Path) -> CloudWatchAlarms:
    found: CloudWatchAlarms = connect("alerts", "cloudwatch")
    config = {"aws": {"endpoint_url": aws.endpoint_url, "region": REGION}}
    told = Described(
        port="alerts", type="cloudwatch", name="mine", config=config, base_dir=tmp_path, state_dir=tmp_path
    )
    house.targets.silencers["mine"] = SilencerTarget(found, told)
    return found


async def ack_of(adapter: CloudWatchAlarms, name: str) -> Request:
    ref = next(alert.ref for alert in await adapter.alerts() if alert.name == name)
    return Request(kind="ack", service=ref, ref=ref)


async def test_an_acknowledgement_says_what_a_mute_does_and_has_the_action_in_its_name(
    house: House, alarms: FakeAlarms, adapter: CloudWatchAlarms
) -> None:
    alarms.put("red")
    alarms.put_composite("above", "ALARM(red)")
    request = await ack_of(adapter, "red")
    plan = await house.gate.plan(request)
    said = "\n".join(plan.summary.effects)
    assert "notifies again at the end" in said
    assert "still notify: above" in said
    ended = await house.order(request, Consent(confirmed=True, reason="on it"))
    assert (ended.status, ended.changed) == ("succeeded", True), ended.error
    assert list(alarms.rules) == [f"teal-ack-{ended.id}"]
    states = {alert.name: (alert.state, alert.ack and alert.ack.reason) for alert in await adapter.alerts()}
    assert states == {"red": ("acknowledged", "on it"), "above": ("firing", None)}
    back = await house.order(Request(kind="unsilence", service=request.ref, ref=request.ref), YES)
    assert (back.status, back.changed) == ("succeeded", True)
    assert {alert.state for alert in await adapter.alerts()} == {"firing"}


async def test_an_alarm_that_does_more_than_tell_is_not_acknowledged(
    house: House, alarms: FakeAlarms, adapter: CloudWatchAlarms
) -> None:
    alarms.put("red", AlarmActions=[TOPIC, "arn:aws:lambda:eu-central-1:123456789012:function:heal"])
    request = await ack_of(adapter, "red")
    with pytest.raises(Refused) as caught:
        await house.order(request, YES)
    assert caught.value.exit_code == 3
    plan = await house.gate.plan(request)
    (finding,) = [finding for finding in plan.findings if finding.level == "block"]
    assert (finding.code, "function:heal" in finding.text) == ("stops-actions", True)
    assert alarms.rules == {}
