"""A version put on a side by a command of the config: for systems that have no deployments of their own.

The command is run with {color}, {version} and {service} filled in, and returns when the version is started or handed
over; that it runs is known when the side's health URL says that version. The same command again is harmless.
What was deployed here, and by which action, is kept in a file beside the other state: a health URL can not say it.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from backends.commands import filled, run_bounded
from backends.deployments.common import DeploymentConfig
from backends.deployments.file_store import locked, replace_file
from backends.errors import BackendError
from backends.json_text import decode_text
from backends.literals import shown_command
from backends.models import ColorState, Finding
from backends.ownership import command_problem
from backends.ports import Deployed, Rollout, SwitchState
from backends.registry import AdapterContext
from backends.state_file import StateFile, state_file
from backends.together import together

DEPLOY_S = 600.0
MAX_BYTES = 64 * 1024


class _Note(Struct, frozen=True):
    """What this program last did to one side."""

    version: str
    stamp: str = ""


def command_deployer(
    config: DeploymentConfig,
    context: AdapterContext,
    *,
    health: Callable[[str], Awaitable[ColorState]],
    observe: Callable[[], Awaitable[SwitchState]],
) -> "CommandDeployer | None":
    """The deployer of an entry with a `deploy` command; None where it has none. `health` and `observe` are those of the
    adapter."""
    if not config.deploy:
        return None
    notes = state_file(context.state_dir, context.name, config.writes(context.base_dir), "deployed.json")
    return CommandDeployer(
        context.name, config.deploy, retire=config.retire, directory=context.base_dir, notes=notes, health=health,
        observe=observe, urls=config.health, env=config.env,
    )  # fmt: skip


class CommandDeployer:
    """The `Deployer` of one service over the commands `deploy` and `retire` of its entry."""

    def __init__(
        self,
        service: str,
        deploy: tuple[str, ...],
        *,
        retire: tuple[str, ...],
        directory: Path,
        notes: StateFile,
        health: Callable[[str], Awaitable[ColorState]],
        observe: Callable[[], Awaitable[SwitchState]],
        urls: dict[str, str],
        env: tuple[str, ...] = (),
    ) -> None:
        """`directory`: where the commands run; `notes`: the file that is kept; `urls`: health URLs by color; `env`: the
        variables that the commands get besides."""
        self._service = service
        self._deploy, self._retire = deploy, retire
        self._directory = directory
        self._notes = notes
        self._health = health
        self._observe = observe
        self._urls = urls
        self._env = env

    async def deployed(self, color: str) -> Deployed:
        """What its health URL says, else what was last put there. Raises BackendError where the notes are damaged."""
        health, notes = await together(self._health(color), asyncio.to_thread(self._read))
        note = notes.get(color, _Note(version=""))
        if note.version == "" and note.stamp and health.version is None:
            return Deployed(version=None, desired=0, ready=0, revision=f":{note.stamp}", stamp=note.stamp)
        version = health.version or note.version or None
        # What a side says of itself comes and goes with its health: only what was done to it is its revision.
        return Deployed(
            version=version, artifact=version or "", ready=1 if health.healthy else 0,
            revision=f"{note.version}:{note.stamp}", stamp=note.stamp, detail=health.detail,
        )  # fmt: skip

    async def deploy_preflight(self, color: str, version: str) -> list[Finding]:
        """Whether the command is there, and whether the side can say what it runs."""
        found = []
        if color not in self._urls:
            text = f'no health URL for "{color}": nothing could say which version runs there'
            found.append(Finding(level="block", code="health-url", text=text, fix="add it to `health`"))
        elif (health := await self._health(color)).healthy and not health.version:
            text = f"{color.upper()} says no version: unless what is deployed does, nobody sees it arrive"
            fix = f'"version": "{version}" in the JSON of its health URL'
            found.append(Finding(level="warning", code="health-version", text=text, fix=fix))
        if problem := await asyncio.to_thread(command_problem, self._deploy, self._directory):
            found.append(Finding(level="block", code="deploy-command", text=f"deploy: {problem[0]}", fix=problem[1]))
        return found

    async def deploy(
        self, expected: Deployed, color: str, version: str, *, replicas: int | None, stamp: str, fence: int = 0
    ) -> Deployed:
        """Run the command. Raises `conflict` where the side takes traffic or is not as expected, `unreachable` with the
        last line of the command where it failed."""
        return await self._run(self._deploy, expected, color, version, stamp, "deploy")

    async def rollout(self, color: str, version: str) -> Rollout:
        """Complete when the health URL says that version; whether it is healthy is asked after that."""
        health = await self._health(color)
        if health.version == version:
            return Rollout(state="complete", detail=f"{color.upper()} says {version}")
        said = f"{color.upper()} says {health.version}" if health.version else health.detail
        if health.healthy and not health.version:
            said = f'{color.upper()} is healthy and says no version: "version": "{version}" is wanted in its JSON'
        return Rollout(state="progressing", detail=said)

    async def restore(
        self, expected: Deployed, color: str, recorded: Deployed, *, stamp: str, fence: int = 0
    ) -> Deployed:
        """The recorded version again. Raises `failed` where none was recorded."""
        if not recorded.version:
            raise BackendError("failed", f"what ran on {color.upper()} is not known", fix="deploy a version there")
        return await self._run(self._deploy, expected, color, recorded.version, stamp, "deploy")

    async def retire(self, expected: Deployed, color: str, *, stamp: str, fence: int = 0) -> Deployed:
        """Run the command that takes the side down. Raises `config` where there is none."""
        if not self._retire:
            fix = "add `retire` to the deployment, a command that takes {color} down"
            raise BackendError("config", f"no command takes {color.upper()} down", fix=fix)
        await self._run(self._retire, expected, color, "", stamp, "retire")
        return Deployed(version=None, desired=0, ready=0, revision=f":{stamp}", stamp=stamp)

    def describe_deploy(self, color: str, version: str) -> list[str]:
        """The command."""
        return [f"runs     {shown_command(self._filled(self._deploy, color, version))}"]

    def describe_retire(self, color: str) -> list[str]:
        """The command."""
        return [f"runs     {shown_command(self._filled(self._retire, color, ''))}"] if self._retire else []

    async def _run(
        self, command: tuple[str, ...], expected: Deployed, color: str, version: str, stamp: str, what: str
    ) -> Deployed:
        control = await self._observe()
        if not control.weights or control.weights.get(color, 0) > 0:
            raise BackendError("conflict", f"{color.upper()} takes traffic, or that is not known: no {what} there")
        before = await self.deployed(color)
        if before.revision != expected.revision:
            words = f"{color.upper()} is not as it was: {before.version or 'nothing'}, {before.stamp or 'by hand'}"
            raise BackendError("conflict", words)
        filled_in = self._filled(command, color, version)
        ended = await run_bounded(filled_in, self._directory, timeout_s=DEPLOY_S, env=self._env)
        if ended.why:
            raise BackendError("unreachable", f"{what}: {ended.why}", fix="run the command by hand to see why")
        await asyncio.to_thread(self._write, color, _Note(version=version, stamp=stamp))
        return replace(await self.deployed(color), stamp=stamp)

    def _filled(self, command: tuple[str, ...], color: str, version: str) -> list[str]:
        return filled(command, {"color": color, "version": version, "service": self._service})

    def _read(self) -> dict[str, _Note]:
        try:
            content = self._notes.read(MAX_BYTES)
        except OSError as error:
            raise BackendError("unreachable", f"{self._notes.path}: {error.strerror}") from None
        if content is None:
            return {}
        try:
            return decode_text(content, dict[str, _Note])
        except msgspec.DecodeError as error:
            fix = "take the file away: what is deployed is then what the health URLs say"
            raise BackendError("malformed", f"{self._notes.path}: {error}", fix=fix) from None

    def _write(self, color: str, note: _Note) -> None:
        try:
            path = self._notes.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with locked(path):
                notes = {**self._read(), color: note}
                replace_file(path, json.dumps(msgspec.to_builtins(notes)).encode(), mode=0o644)
        except OSError as error:
            raise BackendError("unreachable", f"{self._notes.path}: {error.strerror}") from None
