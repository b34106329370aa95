"""The smoke test: a command of the config that is pointed at the idle side before traffic gets there."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from actions.switching.commands import Commands
from actions.targets import ServiceTarget
from backends.commands import CommandEnd, filled, run_bounded
from backends.literals import shown_command

SMOKE_S = 600.0


class Smoke:
    """The command of one service, filled in with `values`."""

    def __init__(self, target: ServiceTarget[Any], commands: Commands, values: Mapping[str, str]) -> None:
        self._commands = commands
        self._env = target.settings.env
        self._directory = target.entry.base_dir
        self._command = filled(target.settings.smoke, values)

    @property
    def configured(self) -> bool:
        """Whether there is one."""
        return bool(self._command)

    async def run(self, step: str, *, timeout_s: float = SMOKE_S) -> CommandEnd:
        """Run it; it is ended with all that it started at the deadline, or when the caller is cancelled."""
        running = run_bounded(self._command, self._directory, timeout_s=timeout_s, env=self._env)
        return await self._commands.run(step, running, at_most_s=timeout_s)

    async def problem(self, step: str) -> str:
        """Run it; what went wrong, empty where nothing did."""
        return (await self.run(step)).why


def smoke_lines(target: ServiceTarget[Any], values: Mapping[str, str]) -> list[str]:
    """The command, as a plan names it; nothing where there is none."""
    command = filled(target.settings.smoke, values)
    return [f"smoke    {shown_command(command)}"] if command else []


def template_values(target: ServiceTarget[Any], service: str, color: str, version: str) -> dict[str, str]:
    """What a command of the config may name. `url` is the base URL of the color."""
    url = base_url(target.settings.health.get(color, ""))
    return {"color": color, "version": version, "url": url, "service": service}


def base_url(url: str) -> str:
    """Scheme, host and port of `url`; empty for none."""
    found = urlsplit(url)
    return f"{found.scheme}://{found.netloc}" if found.netloc else ""
