"""A release on a loopback API server, with the stand-in for `helm` beside it."""

import asyncio
import dataclasses
import json
import shlex
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from backends.deployments.helm.controller import HelmController
from backends.http import Http
from backends.models import Finding
from backends.ports import Order
from backends.registry import AdapterContext, build
from tests.backends.fake_secrets import NAMESPACE, FakeSecrets
from tests.backends.stand_in_helm import object_of, release_of


@dataclasses.dataclass
class Lab:
    """`adapter` over `server`; `directory` is where the stand-in looks (`hold`, `fail`, `version`, `calls`)."""

    server: FakeSecrets
    directory: Path
    entry: dict[str, Any]
    adapter: HelmController

    def keep(self, *releases: dict[str, Any], kind: str = "secrets") -> None:
        for each in releases:
            self.server.keep(object_of(each, secret=kind == "secrets"), kind)

    def calls(self, word: str = "rollback") -> list[list[str]]:
        """The command lines that the stand-in got, of that word."""
        path = self.directory / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [call for line in lines if (call := json.loads(line))[0] == word]

    async def preflight(self, order: Order) -> dict[str, Finding]:
        found = await self.adapter.preflight(await self.adapter.observe(), order)
        return {each.code: each for each in found}


Make = Callable[..., Awaitable[Lab]]


def stand_in(directory: Path) -> Path:
    """The program, which looks into that directory."""
    directory.mkdir(exist_ok=True)
    path = directory / "helm"
    script = Path(__file__).with_name("stand_in_helm.py")
    words = shlex.join([sys.executable, "-I", "-S", str(script), str(directory)])
    path.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
async def make_helm(http: Http, tmp_path: Path) -> AsyncIterator[Make]:
    made = list[Lab]()

    async def make(*releases: dict[str, Any], kind: str = "secrets", deploy: bool = True, **entry: Any) -> Lab:
        server = FakeSecrets()
        await server.__aenter__()
        helm, kubeconfig = stand_in(tmp_path / "helm"), server.kubeconfig(tmp_path)
        scope = ["--namespace", NAMESPACE, "--kubeconfig", str(kubeconfig), "--kube-context", "fake"]
        given = {
            "release": "model", "kubeconfig": str(kubeconfig), "kube_context": "fake", "namespace": NAMESPACE,
            "binary": str(helm), "timeout": "30s", **entry,
        }  # fmt: skip
        if deploy:
            given["deploy"] = [
                str(helm), "upgrade", "model", *scope, "--reuse-values", "--set", "image.tag={version}", "--wait",
            ]  # fmt: skip
        adapter = build("deployments", "helm", given, AdapterContext("model", tmp_path, tmp_path / "own", http))
        lab = Lab(server, tmp_path / "helm", given, adapter)
        lab.keep(*(releases or (release_of(1, "2.4.0"),)), kind=kind)
        made.append(lab)
        return lab

    yield make
    for each in made:
        await each.adapter.aclose()
        await each.server.stop()


async def waits(lab: Lab, holds: Callable[[Any], object]) -> Any:
    """The state as soon as it `holds`."""
    async with asyncio.timeout(20):
        while not holds(state := await lab.adapter.observe()):
            await asyncio.sleep(0.03)
    return state
