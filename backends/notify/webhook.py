"""Any HTTP endpoint that takes an event as JSON.

```toml
type = "webhook"
url = { env = "HOOK_URL" }
headers = { Authorization = { env = "HOOK_TOKEN" } }
```
"""

from msgspec import Struct, field

from backends.credentials import credentials, refuse_bad_url, refuse_literal_secrets
from backends.notify.posting import POST_TIMEOUT_S, post, reach
from backends.ports import ActionEvent
from backends.redaction import learn
from backends.registry import AdapterContext
from backends.settings import Duration, Secret, reveal


class WebhookConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An endpoint that takes JSON.

    url: a reference where it holds a token; then no message says it.
    headers: sent with every request; a value may be a reference.
    timeout: of one message.
    """

    url: str | Secret
    headers: dict[str, str | Secret] = field(default_factory=dict)
    timeout: Duration = Duration(POST_TIMEOUT_S)

    def __post_init__(self) -> None:
        refuse_bad_url("url", self.url)
        refuse_literal_secrets(self.headers)


class WebhookNotifier:
    """A POST of each event, field for field."""

    api = 1
    Config = WebhookConfig

    def __init__(self, config: WebhookConfig, context: AdapterContext) -> None:
        self._config = config
        self._context = context

    async def notify(self, event: ActionEvent) -> None:
        """Raises BackendError."""
        url, headers = await self._address()
        label = f"notify.{self._context.name}"
        await post(self._context.http, url, event, label=label, headers=headers, timeout=self._config.timeout)

    async def dry_run(self) -> None:
        """Raises BackendError."""
        url, headers = await self._address()
        label = f"notify.{self._context.name}"
        await reach(self._context.http, url, label=label, headers=headers, timeout=self._config.timeout)

    async def _address(self) -> tuple[str, dict[str, str]]:
        base_dir = self._context.base_dir
        url = await reveal(self._config.url, base_dir)
        if isinstance(self._config.url, Secret):
            learn(*url.split("/")[3:])
        return url, dict((await credentials(self._config.headers, None, base_dir)).headers)

    async def aclose(self) -> None:
        """Nothing of its own is open."""
