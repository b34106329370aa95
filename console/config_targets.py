"""What the orders of one context drive: its adapters, and the descriptions of its entries that a journal keeps."""

from typing import Any, cast

from msgspec.structs import replace

from actions.described import Described
from actions.targets import (
    ControllerTarget,
    IncidentsTarget,
    PipelinesTarget,
    SilencerTarget,
    SwitchTarget,
    moved_by_itself,
)
from backends.errors import BackendError
from backends.ports import Controller, Switch, is_controller
from backends.ports.incidents import Incidents
from console.config.evidence import around, sources
from console.config.load import Context
from console.ports.alerts import ALERTS, silencer
from console.ports.deployments import DEPLOYMENTS
from console.ports.entry import Entry
from console.ports.pipelines import PIPELINES
from console.reading.adapters import Adapters


class ConfigTargets:
    """The `Targets` of a context."""

    def __init__(self, context: Context, adapters: Adapters) -> None:
        self._context, self._adapters = context, adapters

    async def switch(self, service: str) -> SwitchTarget:
        """The `Targets` of the gate. Raises BackendError: not_found with the services that there are; config."""
        adapter = self._adapters.of(DEPLOYMENTS, service)
        if is_controller(adapter):
            raise moved_by_itself(service, self._adapters.entry("deployments", service).type)
        return SwitchTarget(cast(Switch, adapter), self._moved(service), self._ask)

    async def controller(self, service: str) -> ControllerTarget | None:
        """As `switch`."""
        adapter = self._adapters.of(DEPLOYMENTS, service)
        if not is_controller(adapter):
            return None
        return ControllerTarget(cast(Controller, adapter), self._moved(service), self._ask)

    def _moved(self, service: str) -> Described:
        return replace(
            self._driven("deployments", service),
            moves=self._adapters.of(DEPLOYMENTS, service).object_id,
            sources=tuple(
                self._with_metrics(asked)
                for asked in sources(self._context, self._adapters.entry("deployments", service))
            ),
            around=around(self._context, service),
        )

    async def pipelines(self, backend: str) -> PipelinesTarget:
        """As `switch`."""
        return PipelinesTarget(self._adapters.of(PIPELINES, backend), self._driven("pipelines", backend))

    async def silencer(self, backend: str) -> SilencerTarget:
        """As `switch`; also BackendError(config) for a source of alerts that cannot silence."""
        watchdog = self._adapters.entry("alerts", backend).data.get("watchdog", self._context.config.watchdog)
        return SilencerTarget(silencer(self._adapters, backend), self._acked(backend), str(watchdog or ""))

    async def incidents(self, backend: str) -> IncidentsTarget | None:
        """As `switch`; None for a source of alerts alone."""
        adapter = self._adapters.of(ALERTS, backend)
        if not hasattr(adapter, "order_incident"):
            return None
        return IncidentsTarget(cast(Incidents, adapter), self._acked(backend))

    def _acked(self, backend: str) -> Described:
        """With the sources in which something may be acknowledged with it."""
        entries = self._context.entries["alerts"]
        linking = [entry.name for entry in entries if entry.data.get("ack_links") is True]
        others = tuple(
            self._described(entry, self._harmless(entry))
            for entry in entries
            if entry.name != backend and (backend in linking or entry.name in linking)
        )
        return replace(self._driven("alerts", backend), sources=others)

    def _driven(self, port: str, name: str) -> Described:
        entry = self._adapters.entry(port, name)
        return replace(self._described(entry, entry.data), notify=self.notify())

    def notify(self) -> tuple[Described, ...]:
        """Those whom this context tells of its actions."""
        return tuple(self._described(entry, self._harmless(entry)) for entry in self._context.entries["notify"])

    async def _ask(self, port: str, name: str) -> Any:
        return self._adapters.named(port, name)

    def _with_metrics(self, entry: Entry) -> Described:
        """A source that may itself read metrics, as scores and some checks do."""
        told = self._described(entry, self._harmless(entry))
        if entry.port == "metrics":
            return told
        metrics = (self._described(each, self._harmless(each)) for each in self._context.entries["metrics"])
        return replace(told, sources=tuple(metrics))

    def _described(self, entry: Entry, data: dict[str, Any]) -> Described:
        context = self._adapters.context_of(entry)
        return Described(
            port=entry.port, type=entry.type, name=entry.name, config=data,
            base_dir=context.base_dir, state_dir=context.state_dir,
        )  # fmt: skip

    def _harmless(self, entry: Entry) -> dict[str, Any]:
        """The data of an entry; none of a broken one, which may hold a secret written out: no journal keeps it, and the
        runner says that it is broken."""
        try:
            self._adapters.named(entry.port, entry.name)
        except BackendError:
            return {}
        return entry.data
