"""The adapters of one context: built when first asked for, closed together."""

from typing import Any, cast

from backends.errors import BackendError
from backends.http import Http
from backends.ports import Alerts, Check, Logs, Metrics, Notifier, Pipelines, Quality, Silencer, Switch
from backends.registry import AdapterContext, build
from console.config.load import Context, Entry
from console.config.model import Port
from console.paths import state_dir


class Adapters:
    """Builds what the config names. An entry with a problem raises it again each time it is asked for."""

    def __init__(self, context: Context, http: Http | None = None) -> None:
        self.context = context
        self.http = http or Http()
        self._built: dict[tuple[Port, str], Any] = {}

    def pipelines(self, name: str) -> Pipelines:
        """The pipelines backend of that name. Raises BackendError: not_found, or the problem of its entry."""
        return cast(Pipelines, self._get("pipelines", name))

    def quality(self, name: str) -> Quality:
        """As `pipelines`."""
        return cast(Quality, self._get("quality", name))

    def alerts(self, name: str) -> Alerts:
        """As `pipelines`."""
        return cast(Alerts, self._get("alerts", name))

    def silencer(self, name: str) -> Silencer:
        """The source of alerts of that name, where it can silence; else BackendError(config). As `pipelines`."""
        found = self._get("alerts", name)
        if not hasattr(found, "silence"):
            words = f"alerts.{name} only reads: nothing is acknowledged or silenced there"
            raise BackendError("config", words, fix="do it in the system that its alerts come from")
        return cast(Silencer, found)

    def switch(self, name: str) -> Switch:
        """The switch of the service of that name; as `pipelines`."""
        return cast(Switch, self._get("deployments", name))

    def logs(self, name: str) -> Logs:
        """As `pipelines`."""
        return cast(Logs, self._get("logs", name))

    def metrics(self, name: str) -> Metrics:
        """As `pipelines`."""
        return cast(Metrics, self._get("metrics", name))

    def check(self, name: str) -> Check:
        """As `pipelines`."""
        return cast(Check, self._get("checks", name))

    def any(self, port: Port, name: str) -> Any:
        """The adapter of any port; as `pipelines`."""
        return self._get(port, name)

    def notifier(self, name: str) -> Notifier:
        """As `pipelines`."""
        return cast(Notifier, self._get("notify", name))

    def entry(self, port: Port, name: str) -> Entry:
        """The entry of that name. Raises BackendError(not_found) with the names that there are."""
        entry = self.context.entry(port, name)
        if entry is None:
            known = ", ".join(entry.name for entry in self.context.entries[port]) or "none"
            noun = "service" if port == "deployments" else f"{port} source"
            raise BackendError("not_found", f'no {noun} "{name}" in context {self.context.name}', fix=f"known: {known}")
        return entry

    async def aclose(self) -> None:
        """Close every adapter that was built, and the HTTP client."""
        for adapter in self._built.values():
            await adapter.aclose()
        self._built.clear()
        await self.http.aclose()

    def _get(self, port: Port, name: str) -> Any:
        if (port, name) not in self._built:
            entry = self.entry(port, name)
            if entry.problem:
                raise BackendError("config", f"{port}.{name}: {entry.problem}")
            self._built[port, name] = build(port, entry.type, entry.data, self.context_of(entry))
        return self._built[port, name]

    def context_of(self, entry: Entry) -> AdapterContext:
        """What an adapter is given besides its config."""
        own_state = state_dir() / "adapters" / self.context.name / entry.port
        return AdapterContext(
            entry.name, self.context.base_dir, own_state, self.http,
            watchdog=self.context.config.watchdog, metrics=self.metrics,
            pipelines=self.pipelines,
        )  # fmt: skip
