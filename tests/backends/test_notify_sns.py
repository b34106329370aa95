"""`sns` notifications: what a queue that is subscribed to the topic gets (moto), and every fault before it."""

import json
from typing import Any

import msgspec
import pytest

from backends.errors import BackendError
from backends.notify.delivery import deliver
from backends.testing.notify import SECRET, NotifierContract, event, says_nothing_secret
from tests.backends.aws_fixtures import Connect, aws, connect
from tests.fake_aws import FakeAws
from tests.live.moto import REGION

__all__ = ["aws", "connect"]

pytestmark = pytest.mark.xdist_group("moto")


class Topic:
    """A topic, and a queue that is subscribed to it."""

    def __init__(self, aws: FakeAws, name: str = SECRET, **attributes: str) -> None:
        self.aws = aws
        self.arn = str(aws.client("sns").create_topic(Name=name, Attributes=attributes)["TopicArn"])
        queue = {"FifoQueue": "true"} if attributes else {}
        name = "told.fifo" if attributes else "told"
        self._queue = str(aws.client("sqs").create_queue(QueueName=name, Attributes=queue)["QueueUrl"])
        endpoint = f"arn:aws:sqs:{REGION}:123456789012:{name}"
        aws.client("sns").subscribe(TopicArn=self.arn, Protocol="sqs", Endpoint=endpoint)

    def messages(self) -> list[dict[str, Any]]:
        client, found = self.aws.client("sqs"), []
        while messages := client.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                client.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
                found.append(json.loads(message["Body"]))
        return found

    def arrived(self) -> list[str]:
        return [message["Message"] for message in self.messages()]

    def fail(self, how: str) -> None:
        self.aws.heal()
        if how == "refuse":
            self.aws.fail("sns", "InternalFailure", status=500, message=f"{self.arn} is broken")
        elif how:
            self.aws.fail("sns", how="hang" if how == "hang" else "close")

    async def stop(self) -> None:
        self.aws.stop()


class TestSns(NotifierContract):
    @pytest.fixture
    def system(self, aws: FakeAws) -> Topic:
        return Topic(aws)

    @pytest.fixture
    async def notifier(self, connect: Connect, system: Topic, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setenv("TOPIC", system.arn)
        return connect("notify", "sns", topic={"env": "TOPIC"})

    @pytest.fixture
    async def hasty(self, connect: Connect, system: Topic, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setenv("TOPIC", system.arn)
        return connect("notify", "sns", topic={"env": "TOPIC"}, timeout="1s")

    async def test_the_state_is_an_attribute_and_the_subject_is_ascii(self, notifier: Any, system: Topic) -> None:
        await notifier.notify(event("rolled_back", context="production ü", service="x" * 200))
        (message,) = system.messages()
        assert message["MessageAttributes"]["what"]["Value"] == "rolled_back"
        assert message["Subject"].startswith("production ?: flip xxx")
        assert (message["Subject"].isascii(), len(message["Subject"])) == (True, 100)

    async def test_a_topic_that_is_not_there(self, connect: Connect, system: Topic) -> None:
        topic = f"arn:aws:sns:{REGION}:123456789012:{SECRET}2"
        for asked in (notifier := connect("notify", "sns", topic=topic)).notify(event()), notifier.dry_run():
            with pytest.raises(BackendError) as caught:
                await asked
            says_nothing_secret(caught.value)
            assert caught.value.kind == "not_found"

    async def test_who_is_limited_is_told_once_more(
        self, notifier: Any, system: Topic, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def heal(_: float) -> None:
            aws.heal()

        monkeypatch.setattr("backends.notify.delivery.sleep", heal)
        aws.fail("sns", "Throttling", status=400, message="Rate exceeded")
        await deliver(notifier, event(), timeout_s=4.0)
        assert system.arrived() == [event().text]

    async def test_a_dry_run_tells_nobody(self, notifier: Any, system: Topic) -> None:
        await notifier.dry_run()
        assert system.arrived() == []

    async def test_a_fifo_topic_has_its_group(self, aws: FakeAws, connect: Connect) -> None:
        topic = Topic(aws, "told.fifo", FifoTopic="true")
        await connect("notify", "sns", topic=topic.arn).notify(event())
        assert topic.arrived() == [event().text]


@pytest.mark.parametrize("topic", ["data-oncall", "arn:aws:sqs:eu-central-1:123456789012:x", ""])
def test_what_is_no_topic_is_refused(connect: Connect, topic: str) -> None:
    with pytest.raises(BackendError, match="topic: wanted: arn:aws:sns:REGION:ACCOUNT:NAME"):
        connect("notify", "sns", topic=topic)


async def test_the_region_is_that_of_the_topic(aws: FakeAws, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    topic = Topic(aws)
    notifier = connect("notify", "sns", topic=topic.arn, aws={"endpoint_url": aws.endpoint_url})
    await notifier.notify(event())
    assert topic.arrived() == [event().text]
    assert msgspec.structs.asdict(notifier._config)["aws"].region == ""
