"""Grafana: an annotation for each action, a region from its start to its end.

```toml
type = "grafana"
url = "https://grafana.internal"
token = { env = "GRAFANA_TOKEN" }   # may read, create and write annotations
dashboards = ["ab12cd34"]           # UIDs; default: one of the organization, which any dashboard shows by a tag
tags = ["deploy"]
```
API: https://grafana.com/docs/grafana/latest/developers/http_api/annotations/
"""

import re
from html import escape
from typing import Any

from msgspec import Struct

from backends.errors import BackendError
from backends.grafana import OURS, GrafanaAccess, epoch_ms
from backends.http import Answer
from backends.notify.posting import POST_TIMEOUT_S, said_by_label
from backends.ports import ActionEvent
from backends.redaction import quoted
from backends.registry import AdapterContext
from backends.settings import Duration

MAX_TEXT_CHARS = 3000
MAX_DASHBOARDS = 10
_REFERENCE = re.compile(r"[1-9]\d{0,17}(,[1-9]\d{0,17}){0,9}", re.ASCII)


class GrafanaNotifyConfig(GrafanaAccess, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which Grafana, and where its annotations stand.

    dashboards: the UIDs of dashboards, at most 10, each of which gets one; by default one of the organization.
    tags: of each annotation, besides `tealdeck`, the kind, the service, the context and `action:ID`.
    """

    dashboards: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    timeout: Duration = Duration(POST_TIMEOUT_S)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.dashboards) > MAX_DASHBOARDS or not all(each.strip() for each in (*self.dashboards, *self.tags)):
            raise ValueError(f"dashboards, tags: none of them empty, and at most {MAX_DASHBOARDS} dashboards")


class _Made(Struct):
    id: int


class _Known(Struct):
    tags: tuple[str, ...] = ()


class GrafanaNotifier:
    """One annotation an action, or one on each dashboard: it begins with the first event and ends with the last one,
    whose words it has."""

    api = 1
    Config = GrafanaNotifyConfig

    def __init__(self, config: GrafanaNotifyConfig, context: AdapterContext) -> None:
        self._config = config
        self._label = f"notify.{context.name}"
        self._client = config.entered(context)

    async def notify(self, event: ActionEvent) -> None:
        """Raises BackendError."""
        await self._make(event)

    async def follow(self, event: ActionEvent, earlier: str) -> str:
        """`earlier` is the numbers of annotations; those that do not name this action are somebody else's. Where it is
        lost, as with an answer that did not come, they are found by their tags. Raises BackendError."""
        numbers = earlier.split(",") if _REFERENCE.fullmatch(earlier) else []
        if not numbers or not all([await self._is_of(number, event) for number in numbers]):
            numbers = await self._found(event)
        if not numbers:
            return await self._make(event)
        body = {"text": _text(event), "timeEnd": epoch_ms(event.at)}
        for number in numbers:
            await self._ask("PATCH", f"/{number}", json=body)
        return ",".join(numbers)

    async def dry_run(self) -> None:
        """Whether the token is one and may read annotations; whether it may make them, only one tells. Raises
        BackendError."""
        await self._ask("GET", "", params={"limit": 1, "tags": OURS})

    async def aclose(self) -> None:
        """Nothing of its own is open."""

    async def _make(self, event: ActionEvent) -> str:
        return ",".join([str(await self._make_on(dashboard, event)) for dashboard in self._config.dashboards or ("",)])

    async def _make_on(self, dashboard: str, event: ActionEvent) -> int:
        tags = dict.fromkeys([OURS, _mark(event), event.kind, event.service, event.context, *self._config.tags])
        body: dict[str, Any] = {"text": _text(event), "time": epoch_ms(event.at), "tags": [tag for tag in tags if tag]}
        if dashboard:
            body["dashboardUID"] = dashboard
        return (await self._ask("POST", "", json=body)).decode(_Made).id

    async def _found(self, event: ActionEvent) -> list[str]:
        if event.what == "started" or not event.action:
            return []
        asked = {"tags": [OURS, _mark(event)], "type": "annotation", "limit": MAX_DASHBOARDS}
        answer = await self._ask("GET", "", params=asked)
        return [str(number) for number in sorted(made.id for made in answer.decode(list[_Made]))]

    async def _is_of(self, number: str, event: ActionEvent) -> bool:
        """Whether that annotation is there, and of this action."""
        try:
            known = (await self._ask("GET", f"/{number}")).decode(_Known)
        except BackendError as error:
            if error.status == 404:
                return False
            raise
        return {OURS, _mark(event)} <= set(known.tags)

    async def _ask(self, method: str, path: str, **asked: Any) -> Answer:
        url = f"{self._config.base}/api/annotations{path}"
        return await said_by_label(self._client.request(method, url, **asked), url, self._label)


def _mark(event: ActionEvent) -> str:
    return f"action:{event.action}" if event.action else f"paused:{event.service}"


def _text(event: ActionEvent) -> str:
    """Without markup: Grafana shows a text as HTML."""
    return escape(quoted(event.text, MAX_TEXT_CHARS), quote=False)
