"""PagerDuty, Events API v2: an incident where an action failed, resolved by the next one that went well.

```toml
type = "pagerduty"
routing_key = { env = "PAGERDUTY_ROUTING_KEY" }
```
"""

import hashlib
from typing import Any

import msgspec
from msgspec import Struct

from backends.credentials import refuse_bad_url
from backends.notify.posting import POST_TIMEOUT_S, post, reach
from backends.ports import ActionEvent, EventKind
from backends.registry import AdapterContext
from backends.settings import Duration, Secret
from backends.text import clean

MAX_DEDUP_CHARS = 255
MAX_SUMMARY_CHARS = 1024
_SEVERITY: dict[EventKind, str] = {"held": "warning", "failed": "error", "rollback_failed": "critical"}
_RESOLVING: frozenset[EventKind] = frozenset({"succeeded", "rolled_back"})


class PagerDutyConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One service of PagerDuty.

    routing_key: of an integration of type Events API v2.
    url: of the service region, or of a proxy to it.
    timeout: of one event.
    """

    routing_key: Secret
    url: str = "https://events.pagerduty.com/v2/enqueue"
    timeout: Duration = Duration(POST_TIMEOUT_S)

    def __post_init__(self) -> None:
        refuse_bad_url("url", self.url)


class PagerDutyNotifier:
    """Triggers and resolves one incident a service; a start is nobody's page."""

    api = 1
    Config = PagerDutyConfig

    def __init__(self, config: PagerDutyConfig, context: AdapterContext) -> None:
        self._config = config
        self._context = context

    async def notify(self, event: ActionEvent) -> None:
        """Raises BackendError."""
        if event.what not in _SEVERITY and event.what not in _RESOLVING:
            return
        body: dict[str, Any] = {
            "routing_key": await self._config.routing_key.resolve(self._context.base_dir),
            "event_action": "resolve" if event.what in _RESOLVING else "trigger",
            "dedup_key": dedup_key(event),
        }
        if event.what in _SEVERITY:
            body["payload"] = {
                "summary": clean(event.text, MAX_SUMMARY_CHARS),
                "source": f"{event.context}/{event.service}",
                "severity": _SEVERITY[event.what],
                "timestamp": event.at,
                "component": event.service,
                "custom_details": msgspec.to_builtins(event),
            }
        label = f"notify.{self._context.name}"
        await post(self._context.http, self._config.url, body, label=label, timeout=self._config.timeout)

    async def dry_run(self) -> None:
        """Raises BackendError. Whether the key is one, only an event would tell."""
        await self._config.routing_key.resolve(self._context.base_dir)
        label = f"notify.{self._context.name}"
        await reach(self._context.http, self._config.url, label=label, timeout=self._config.timeout)

    async def aclose(self) -> None:
        """Nothing of its own is open."""


def dedup_key(event: ActionEvent) -> str:
    """The same for every action on a service of a context, so that the next good one resolves what a bad one began."""
    key = f"tealdeck:{event.context}/{event.service}"
    if len(key) <= MAX_DEDUP_CHARS:
        return key
    return "tealdeck:" + hashlib.sha256(key.encode()).hexdigest()
