"""Slack's incoming webhooks, also Mattermost's and Rocket.Chat's, which take the same body.

```toml
type = "slack"
webhook = { env = "SLACK_WEBHOOK_URL" }
```
"""

from msgspec import Struct

from backends.notify.posting import POST_TIMEOUT_S, post, reach
from backends.ports import ActionEvent
from backends.redaction import learn
from backends.registry import AdapterContext
from backends.settings import Duration, Secret


class SlackConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whoever knows the webhook's URL may write to its channel: it is a secret.

    webhook: of the channel; also Mattermost's and Rocket.Chat's.
    timeout: of one message.
    """

    webhook: Secret
    timeout: Duration = Duration(POST_TIMEOUT_S)


class SlackNotifier:
    """One line of text for each event."""

    api = 1
    Config = SlackConfig

    def __init__(self, config: SlackConfig, context: AdapterContext) -> None:
        self._config = config
        self._context = context

    async def notify(self, event: ActionEvent) -> None:
        """Raises BackendError."""
        url = await self._config.webhook.resolve(self._context.base_dir)
        learn(*url.split("/")[3:])
        body = {"text": escaped(event.text)}
        label = f"notify.{self._context.name}"
        await post(self._context.http, url, body, label=label, timeout=self._config.timeout)

    async def dry_run(self) -> None:
        """Raises BackendError."""
        url = await self._config.webhook.resolve(self._context.base_dir)
        learn(*url.split("/")[3:])
        label = f"notify.{self._context.name}"
        await reach(self._context.http, url, label=label, timeout=self._config.timeout)

    async def aclose(self) -> None:
        """Nothing of its own is open."""


def escaped(text: str) -> str:
    """`text` without markup of links and mentions: a reason that says `<!channel>` calls nobody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
