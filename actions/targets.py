"""What an action drives: an adapter handed in, and the description from which a runner builds it again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from actions.described import Described, KeptEntry
from backends.command_line import command
from backends.deployments.common import (
    DeploymentConfig,
    ProbeResult,
    fresh_probe,
    fresh_version,
    shared_settings,
)
from backends.errors import BackendError
from backends.models import CONTROLLER_SIDES
from backends.ports import Controller, Pipelines, Silencer, Switch
from backends.ports.incidents import Incidents

A = TypeVar("A")

Ask = Callable[[str, str], Awaitable[Any]]
"""The adapter of a port and a name that an action may ask, as its metrics. Raises BackendError: not_found, or what is
wrong with it."""

Build = Callable[[Described], Awaitable[Any]]
"""Makes the adapter of an entry, its secrets resolved when it needs them. Raises BackendError(config)."""


async def nobody(port: str, name: str) -> Any:
    """An `Ask` that knows none."""
    raise BackendError("not_found", f'no {port} source "{name}" was handed to this action')


class ServiceTarget(Struct, Generic[A], frozen=True):
    """What moves the traffic of one service, and its entry; `ask` hands out what it is judged by.
    `edited`: the entry is not the one that the action was agreed to with, so no command of it is run."""

    adapter: A
    entry: Described
    ask: Ask = nobody
    edited: bool = False

    @property
    def settings(self) -> DeploymentConfig:
        """Colors, probe and times of its config entry. Raises BackendError(config)."""
        return shared_settings(self.entry.config)


class SwitchTarget(ServiceTarget[Switch], frozen=True):
    """The switch of one service."""

    async def probe(self) -> ProbeResult | None:
        """One fresh request through the load balancer; None where no probe is configured."""
        settings = self.settings
        if settings.probe is None:
            return None
        return await fresh_probe(settings.probe, float(settings.probe_timeout))


class ControllerTarget(ServiceTarget[Controller], frozen=True):
    """The controller of one service."""

    @property
    def settings(self) -> DeploymentConfig:
        """As of any service; its colors are the sides of a controller."""
        return shared_settings(self.entry.config, CONTROLLER_SIDES)

    async def probe(self) -> ProbeResult | None:
        """Which version answers one fresh request, as its color; None where no probe is configured."""
        settings = self.settings
        if settings.probe is None:
            return None
        return await fresh_version(settings.probe, float(settings.probe_timeout))


class PipelinesTarget(Struct, frozen=True):
    """One pipelines backend, and its entry."""

    adapter: Pipelines
    entry: Described


class SilencerTarget(Struct, frozen=True):
    """One system of alerts that can silence, and its entry; `watchdog` names its alert that always fires."""

    adapter: Silencer
    entry: Described
    watchdog: str = ""


class IncidentsTarget(Struct, frozen=True):
    """One system of incidents, and its entry."""

    adapter: Incidents
    entry: Described


_AnyTarget = ServiceTarget[Any] | PipelinesTarget | SilencerTarget | IncidentsTarget


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
        """The switch of that service. Raises BackendError(config) where it has a controller."""

    async def controller(self, service: str) -> ControllerTarget | None:
        """Its controller; None where it has a switch."""

    async def pipelines(self, backend: str) -> PipelinesTarget:
        """The pipelines backend of that name."""

    async def silencer(self, backend: str) -> SilencerTarget:
        """The system of alerts of that name. Raises BackendError(config) for one that cannot silence."""

    async def incidents(self, backend: str) -> IncidentsTarget | None:
        """The system of incidents of that name; None where it is one of alerts alone."""


async def mover(targets: Targets, service: str) -> SwitchTarget | ControllerTarget:
    """What moves the traffic of that service: its controller, or we over its switch."""
    return await targets.controller(service) or await targets.switch(service)


def moved_by_itself(service: str, kind: str) -> BackendError:
    """That it has no switch, since a controller of that type moves its traffic."""
    words = f"the traffic of {service} is moved by {kind} itself: nothing else writes where it goes"
    return BackendError(
        "config", words, fix=f"{command('deploy release', service)}, promote, abort and rollback order it"
    )


async def _alerts(targets: Targets, backend: str) -> SilencerTarget | IncidentsTarget:
    return await targets.incidents(backend) or await targets.silencer(backend)


async def described(targets: Targets, row: KeptEntry) -> Described:
    """What `targets` have for a row of the journal. Raises BackendError."""
    asked: dict[str, Callable[[str], Awaitable[_AnyTarget]]] = {
        "deployments": partial(mover, targets), "pipelines": targets.pipelines,
        "alerts": partial(_alerts, targets),
    }  # fmt: skip
    if row.port not in asked:
        raise BackendError("config", f"nothing of {row.port} is ever ordered", fix="look at the journal")
    return (await asked[row.port](row.name)).entry
