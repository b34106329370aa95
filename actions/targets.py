"""What an action drives: an adapter handed in, and the description from which a runner builds it again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from msgspec import Struct

from actions.described import Described, KeptEntry
from backends.deployments.common import DeploymentConfig, ProbeResult, fresh_probe, shared_settings
from backends.errors import BackendError
from backends.ports import Pipelines, Silencer, Switch

Ask = Callable[[str, str], Awaitable[Any]]
"""The adapter of a port and a name that an action may ask, as its metrics. Raises BackendError: not_found, or what is
wrong with it."""

Build = Callable[[Described], Awaitable[Any]]
"""Makes the adapter of an entry, its secrets resolved when it needs them. Raises BackendError(config)."""


async def nobody(port: str, name: str) -> Any:
    """An `Ask` that knows none."""
    raise BackendError("not_found", f'no {port} source "{name}" was handed to this action')


class SwitchTarget(Struct, frozen=True):
    """The switch of one service, and its entry; `ask` hands out what it is judged by.
    `edited`: the entry is not the one that the action was agreed to with, so no command of it is run."""

    adapter: Switch
    entry: Described
    ask: Ask = nobody
    edited: bool = False

    @property
    def settings(self) -> DeploymentConfig:
        """Colors, probe and times of its config entry. Raises BackendError(config)."""
        return shared_settings(self.entry.config)

    async def probe(self) -> ProbeResult | None:
        """One fresh request through the load balancer; None where no probe is configured."""
        settings = self.settings
        if settings.probe is None:
            return None
        return await fresh_probe(settings.probe, float(settings.probe_timeout))


class PipelinesTarget(Struct, frozen=True):
    """One pipelines backend, and its entry."""

    adapter: Pipelines
    entry: Described


class SilencerTarget(Struct, frozen=True):
    """One system of alerts that can silence, and its entry; `watchdog` names its alert that always fires."""

    adapter: Silencer
    entry: Described
    watchdog: str = ""


class Sources:
    """The `Ask` of a runner: builds from descriptions what is asked for, once."""

    def __init__(self, described: Iterable[Described], build: Build) -> None:
        self._described = {(told.port, told.name): told for told in described}
        self._build = build
        self._built: dict[tuple[str, str], Any] = {}
        self._building = asyncio.Lock()

    async def __call__(self, port: str, name: str) -> Any:
        """As `Ask`."""
        told = self._described.get((port, name))
        if told is None:
            return await nobody(port, name)
        async with self._building:
            if (port, name) not in self._built:
                self._built[port, name] = await self._build(told)
        return self._built[port, name]

    async def aclose(self) -> None:
        """Close what was built."""
        for adapter in self._built.values():
            await adapter.aclose()
        self._built.clear()


class Targets(Protocol):
    """Where the gate gets its adapters from. Raises BackendError(not_found) naming what there is."""

    async def switch(self, service: str) -> SwitchTarget:
        """The switch of that service."""

    async def pipelines(self, backend: str) -> PipelinesTarget:
        """The pipelines backend of that name."""

    async def silencer(self, backend: str) -> SilencerTarget:
        """The system of alerts of that name. Raises BackendError(config) for one that cannot silence."""


async def described(targets: Targets, row: KeptEntry) -> Described:
    """What `targets` have for a row of the journal. Raises BackendError."""
    asked: dict[str, Callable[[str], Awaitable[SwitchTarget | PipelinesTarget | SilencerTarget]]] = {
        "deployments": targets.switch, "pipelines": targets.pipelines, "alerts": targets.silencer,
    }  # fmt: skip
    if row.port not in asked:
        raise BackendError("config", f"nothing of {row.port} is ever ordered", fix="look at the journal")
    return (await asked[row.port](row.name)).entry
