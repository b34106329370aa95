"""Amazon SNS: one message of text for each event, to whatever is subscribed to a topic.

```toml
type = "sns"
topic = "arn:aws:sns:eu-central-1:123456789012:data-oncall"
aws = { profile = "data-oncall" }
```
The state is in the attribute `what` of the message (`failed`, `rolled_back` …), by which a subscription may filter.
API: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
"""

import re
from collections.abc import Awaitable
from typing import Any

import msgspec
from msgspec import Struct

from backends.aws.access import AwsAccess
from backends.aws.account import Account, account_of
from backends.errors import BackendError
from backends.notify.posting import POST_TIMEOUT_S, UNSAID_WAIT_S
from backends.ports import ActionEvent
from backends.registry import AdapterContext
from backends.settings import Duration, Secret, reveal

MAX_SUBJECT_CHARS = 100
MAX_MESSAGE_BYTES = 262_144
_TOPIC = re.compile(r"arn:aws[\w-]*:sns:([a-z0-9-]+):\d{12}:[\w-]+(?:\.fifo)?")
_CODE = re.compile(r"[A-Za-z]+|no right [\w-]+:\w+")


class SnsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A topic of SNS.

    topic: its ARN, which may be a reference; the region is in it.
    aws: how AWS is reached.
    timeout: of one message.
    """

    topic: str | Secret
    aws: AwsAccess = AwsAccess()
    timeout: Duration = Duration(POST_TIMEOUT_S)

    def __post_init__(self) -> None:
        if isinstance(self.topic, str) and not _TOPIC.fullmatch(self.topic):
            raise ValueError("topic: wanted: arn:aws:sns:REGION:ACCOUNT:NAME")
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")


class SnsNotifier:
    """One `Publish` for each event, sent once."""

    api = 1
    Config = SnsConfig

    def __init__(self, config: SnsConfig, context: AdapterContext) -> None:
        self._config = config
        self._base_dir = context.base_dir
        self._label = f"notify.{context.name}"
        self._account: Account | None = None

    async def notify(self, event: ActionEvent) -> None:
        """Raises BackendError."""
        topic, account = await self._opened()
        asked: dict[str, Any] = {
            "TopicArn": topic,
            "Message": _cut(event.text),
            "Subject": _subject(event),
            "MessageAttributes": {"what": {"DataType": "String", "StringValue": event.what}},
        }
        if topic.endswith(".fifo"):
            asked |= {"MessageGroupId": event.service or "tealdeck", "MessageDeduplicationId": _once(event)}
        await self._by_label(account.open("sns", writes=True))
        await self._by_label(account.write("sns", "publish", **asked))

    async def dry_run(self) -> None:
        """Whether the topic is there and may be looked at; that it may be published to, only a message tells. Raises
        BackendError."""
        topic, account = await self._opened()
        await self._by_label(account.open("sns"))
        await self._by_label(account.read("sns", "get_topic_attributes", TopicArn=topic))

    async def aclose(self) -> None:
        """The account is shared; nothing of its own is open."""

    async def _opened(self) -> tuple[str, Account]:
        topic = await reveal(self._config.topic, self._base_dir)
        match = _TOPIC.fullmatch(topic)
        if match is None:
            raise BackendError("config", f"{self._label}: `topic` is no ARN of a topic")
        access = self._config.aws
        if not access.region:  # publish only works in the topic's own
            access = msgspec.structs.replace(access, region=match[1])
        self._account = account_of(access, self._base_dir, timeout_s=self._config.timeout)
        return topic, self._account

    async def _by_label(self, asking: Awaitable[Any]) -> None:
        failure: BackendError
        try:
            await asking
        except BackendError as error:
            said = error.message.removeprefix(f"{self._account.where if self._account else ''}: ")
            if error.status is not None:  # what SNS says names the topic
                code = said.partition(": ")[0]
                said = code if _CODE.fullmatch(code) else f"HTTP {error.status}"
            wait_s = UNSAID_WAIT_S if error.kind == "rate_limited" else error.retry_after_s
            failure = BackendError(
                error.kind, f"{self._label}: {said}", fix=error.fix, status=error.status, retry_after_s=wait_s
            )
        else:
            return
        raise failure


def _subject(event: ActionEvent) -> str:
    """ASCII, which is all that a subject of SNS may have."""
    words = f"{event.context}: {event.kind} {event.service} {event.what}".encode("ascii", "replace").decode()
    return "".join(sign if sign.isprintable() else " " for sign in words)[:MAX_SUBJECT_CHARS].strip() or "tealdeck"


def _cut(text: str) -> str:
    return text.encode()[:MAX_MESSAGE_BYTES].decode("utf-8", "ignore")


def _once(event: ActionEvent) -> str:
    return re.sub(r"[^A-Za-z0-9]", "-", f"{event.action or event.service}-{event.what}-{event.at:%Y%m%dT%H%M%S}")[:128]
