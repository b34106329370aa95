"""The command line over one real service, with a config and a journal of its own."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.warm import Job, run


class CommandLine:
    """`entry` is the deployment of the config, as plain data; its service is called `analytics`. `env`: what its
    commands find in their environment besides. `cold`: its commands and runners are new interpreters, else they are
    forked from one that has imported all (`tests.warm`). `more`: what the config has besides, as TOML. `journal`: where
    it is, if not in the state directory."""

    def __init__(
        self,
        home: Path,
        entry: dict[str, Any],
        env: dict[str, str] | None = None,
        *,
        cold: bool = False,
        more: str = "",
        journal: dict[str, str] | None = None,
    ) -> None:
        self.cold = cold
        lines = ["[contexts.test]", 'title = "analytics"', *([f"journal = {toml(journal)}"] if journal else [])]
        lines.append("[[contexts.test.deployments]]")
        named = {"name": "analytics", **entry}
        config = home / "config.toml"
        config.write_text("\n".join([*lines, *(f"{key} = {toml(value)}" for key, value in named.items()), more]))
        config.chmod(0o600)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._env = {
            "PATH": path, "HOME": str(home), "TEAL_STATE_DIR": str(home / "state"), "TEAL_CONFIG": str(config),
            "LANG": "C.UTF-8", **(env or {}),
        }  # fmt: skip

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, stdout, stderr."""
        module = "console.cli.main" if self.cold else "tests.warm_teal"
        return await run(Job(module, "main", list(arguments), self._env, cold=self.cold), within_s=240)

    async def action(self, *arguments: str) -> dict[str, Any]:
        """The one action of a writing command, with `exit` and `complaints`."""
        code, output, complaints = await self.run(*arguments, "-o", "json")
        assert output, complaints
        document = json.loads(output)
        items = document["items"] or [{}]
        return {"exit": code, "complaints": complaints, "errors": document["errors"], **items[0]}

    async def held(self, action: str) -> dict[str, Any]:
        """The action once its runner has seen that its controller waits, and has written so: until then there is no
        wait to promote."""
        async with asyncio.timeout(60):
            while not (found := await self.action("action", "show", action))["hold"]:
                await asyncio.sleep(0.1)
        return found


def toml(value: Any) -> str:
    """A value in TOML, on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(list(value) if isinstance(value, tuple) else value)
