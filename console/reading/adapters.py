"""The adapters of one context: built when first asked for, closed together."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from backends.errors import BackendError
from backends.registry import AdapterContext, build
from console.config.load import Context
from console.paths import state_dir
from console.ports.entry import Entry
from console.ports.metrics import METRICS
from console.ports.pipelines import PIPELINES
from console.ports.record import Port
from console.ports.table import PORTS
from console.zones import zone_of

if TYPE_CHECKING:
    from backends.http import Http

P = TypeVar("P")


class Adapters:
    """Builds what the config names. An entry with a problem raises it again each time it is asked for."""

    def __init__(self, context: Context, http: Http | None = None) -> None:
        self.context = context
        self._given = http
        self._built: dict[tuple[str, str], Any] = {}

    @cached_property
    def http(self) -> Http:
        """The client that all of them share, made when the first one asks."""
        from backends.http import Http

        return self._given or Http()

    @property
    def read_only(self) -> bool:
        """Whether nothing is written from this context."""
        return self.context.config.read_only

    def of(self, port: Port[P, Any], name: str) -> P:
        """The adapter of that name. Raises BackendError: not_found, or the problem of its entry."""
        return cast(P, self.named(port.name, name))

    def named(self, port: str, name: str) -> Any:
        """The same, of a port that is known by its name."""
        if (port, name) not in self._built:
            entry = self.entry(port, name)
            if entry.problem:
                raise BackendError("config", f"{port}.{name}: {entry.problem}")
            self._built[port, name] = build(port, entry.type, entry.data, self.context_of(entry))
        return self._built[port, name]

    def _referred(self, port: Port[P, Any], name: str) -> P:
        """The same as an entry of the config names it: one that is not there is a mistake of the config."""
        try:
            return self.of(port, name)
        except BackendError as error:
            if error.kind != "not_found":
                raise
            raise BackendError("config", error.message, fix=error.fix) from None

    def entry(self, port: str, name: str) -> Entry:
        """The entry of that name. Raises BackendError(not_found) with the names that there are."""
        entry = self.context.entry(port, name)
        if entry is None:
            known = ", ".join(entry.name for entry in self.context.entries[port]) or "none"
            noun = PORTS[port].noun_of_entry or f"{port} source"
            raise BackendError("not_found", f'no {noun} "{name}" in context {self.context.name}', fix=f"known: {known}")
        return entry

    async def aclose(self) -> None:
        """Close every adapter that was built, and the HTTP client."""
        for adapter in self._built.values():
            await adapter.aclose()
        self._built.clear()
        await self.http.aclose()

    def context_of(self, entry: Entry) -> AdapterContext:
        """What an adapter is given besides its config."""
        own_state = state_dir() / "adapters" / self.context.name / entry.port
        return AdapterContext(
            entry.name, self.context.base_dir, own_state, self.http,
            watchdog=self.context.config.watchdog,
            metrics=partial(self._referred, METRICS), pipelines=partial(self._referred, PIPELINES),
            zone=zone_of(zone) if (zone := self.context.config.timezone) else None,
        )  # fmt: skip
