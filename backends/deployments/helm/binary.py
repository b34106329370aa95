"""The `helm` program: its version, and its command lines.

Source: https://helm.sh/docs/helm/helm_rollback/, for Helm 3 and 4
"""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from backends.commands import run_bounded
from backends.errors import BackendError
from backends.kubernetes.api import KubernetesApi
from backends.ownership import command_problem
from backends.paths import path_of

VERSION_S = 10.0
_VERSION = re.compile(r"v(\d+)\.(\d+)\.\d+\S*")
_KNOWN = {3: "--wait", 4: "--wait=watcher"}
"""How each major version is told to wait until what it wrote is ready."""


class HelmVersion(Struct, frozen=True):
    """`words`: as it says it."""

    major: int
    words: str


class Binary:
    """`program` of a config whose paths start at `directory`; `env`: variables that it gets besides. What it is told of
    the cluster is what `api` reached."""

    def __init__(
        self, program: str, directory: Path, api: KubernetesApi, *, kubeconfig: str, driver: str, env: tuple[str, ...]
    ) -> None:
        self.program = program
        self.directory = directory
        self._api = api
        self._kubeconfig = kubeconfig
        self._environment = {} if driver in ("secret", "secrets") else {"HELM_DRIVER": driver}
        self._env = env if kubeconfig else (*env, "KUBECONFIG")  # as it was looked for from here

    @property
    def environment(self) -> Mapping[str, str]:
        """Where it is to look for releases, unless that is as usual."""
        return self._environment

    @property
    def inherited(self) -> tuple[str, ...]:
        """The variables that it gets besides."""
        return self._env

    def problem(self) -> tuple[str, str] | None:
        """Why it can not be started, and what to do; None where it can. Blocks."""
        return command_problem((self.program,), self.directory)

    async def version(self) -> HelmVersion:
        """Raises BackendError(config) where it is none that is known."""
        command = [self.program, "version", "--short"]
        ended = await run_bounded(command, self.directory, timeout_s=VERSION_S, env=self._env)
        if ended.why:
            raise BackendError("config", f"{self.program} does not say its version: {ended.why}", fix="`binary`")
        found = next((match for line in ended.output if (match := _VERSION.search(line))), None)
        if found is None:
            said = ended.output[0] if ended.output else "nothing"
            raise BackendError("config", f"{self.program} says no version: {said}", fix="`binary` names Helm 3 or 4")
        version = HelmVersion(int(found[1]), found[0])
        if version.major not in _KNOWN:
            words = f"{self.program} is Helm {version.words}: how it rolls back is not known here"
            raise BackendError("config", words, fix="`binary` names Helm 3 or 4")
        return version

    async def rollback(self, release: str, revision: str, *, major: int, timeout_s: float, hooks: bool) -> list[str]:
        """The command; `major`: 0 where it is not known. Raises BackendError where the cluster is not known."""
        return [
            self.program, "rollback", release, revision, *await self.scope(), _KNOWN.get(major, "--wait"),
            "--timeout", f"{timeout_s:.0f}s", *([] if hooks else ["--no-hooks"]),
        ]  # fmt: skip

    async def scope(self) -> list[str]:
        """Where: the context that is read from here, whatever is chosen elsewhere meanwhile."""
        access = await self._api.access()
        file = ["--kubeconfig", str(path_of(self._kubeconfig, self.directory))] if self._kubeconfig else []
        context = ["--kube-context", access.context] if access.files else []
        return ["--namespace", await self._api.namespace(), *file, *context]

    def shown(self, command: list[str]) -> str:
        """As a person types it."""
        return " ".join([*(f"{name}={value}" for name, value in self._environment.items()), shlex.join(command)])
