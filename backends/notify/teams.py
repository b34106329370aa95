"""Microsoft Teams: one Adaptive Card for each event, posted by a workflow to its chat or channel.

```toml
type = "teams"
webhook = { env = "TEAMS_WEBHOOK_URL" }
```
The workflow is made from the template "Send webhook alerts to a channel". It answers 202 before anything is posted:
where its owner may no longer write to the channel, it fails afterwards, and only its run history in Power Automate says
so. A card that was posted is never edited.
API: https://learn.microsoft.com/connectors/teams/#microsoft-teams-webhook, https://adaptivecards.io/explorer/
"""

from http import HTTPStatus
from typing import Any

from msgspec import Struct

from backends.errors import BackendError
from backends.notify.posting import POST_TIMEOUT_S, post, reach
from backends.ports import ActionEvent, EventKind
from backends.redaction import learn, quoted
from backends.registry import AdapterContext
from backends.settings import Duration, Secret

MAX_TEXT_CHARS = 1800
MAX_REASON_CHARS = 300
"""Both together stay below the 28 KB of a message, also where each character is written as two escapes of six."""
_COLOR: dict[EventKind, str] = {
    "started": "Accent", "held": "Warning", "succeeded": "Good",
    "failed": "Attention", "rolled_back": "Warning", "rollback_failed": "Attention",
}  # fmt: skip
_FIX = "wanted: 202, by which a workflow of Teams accepts; a connector of Office 365 is another thing, and is retired"


class TeamsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whoever knows the URL of the workflow may write by it: it is a secret.

    webhook: of the workflow's trigger "When a Teams webhook request is received".
    timeout: of one message.
    """

    webhook: Secret
    timeout: Duration = Duration(POST_TIMEOUT_S)


class TeamsNotifier:
    """One card for each event: the begin, whatever holds it, and the end."""

    api = 1
    Config = TeamsConfig

    def __init__(self, config: TeamsConfig, context: AdapterContext) -> None:
        self._config = config
        self._context = context
        self._label = f"notify.{context.name}"

    async def notify(self, event: ActionEvent) -> None:
        """Returns when the workflow has accepted it, which is not yet a card in the channel. Raises BackendError;
        malformed where the answer is not a workflow's."""
        url, body = await self._url(), message(event)
        answer = await post(self._context.http, url, body, label=self._label, timeout=self._config.timeout)
        if answer.status != HTTPStatus.ACCEPTED:
            words = f"{self._label}: HTTP {answer.status} is no answer of a workflow"
            raise BackendError("malformed", words, fix=_FIX, status=answer.status)

    async def dry_run(self) -> None:
        """Raises BackendError. Whether the workflow posts, only a card would tell."""
        await reach(self._context.http, await self._url(), label=self._label, timeout=self._config.timeout)

    async def aclose(self) -> None:
        """Nothing of its own is open."""

    async def _url(self) -> str:
        url = await self._config.webhook.resolve(self._context.base_dir)
        learn(*url.split("/")[3:])
        return url


def message(event: ActionEvent) -> dict[str, Any]:
    """What the trigger takes: a message with one card. Its texts are runs, which know no Markdown: a reason that says
    `[here](https://evil)` stays text."""
    reason = quoted(event.reason, MAX_REASON_CHARS)
    lines: list[dict[str, Any]] = [
        {"type": "TextRun", "text": quoted(event.text, MAX_TEXT_CHARS), "color": _COLOR[event.what]}
    ]
    if reason and event.what != "started":  # what is told of a start says it
        lines.append({"type": "TextRun", "text": f"{event.by}: {reason}" if event.by else reason, "isSubtle": True})
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": [{"type": "RichTextBlock", "inlines": [line]} for line in lines],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}
