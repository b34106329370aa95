"""An action that was started over SSH does not end with the connection: a real sshd, cut in the middle of a flip."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.live.ssh import SshServer, ssh_server
from tests.two_colors import TwoColors

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("ssh")]

TEAL = str(Path(sys.executable).parent / "teal")
CONFIG = """
[contexts.bastion]
title = "analytics"
[[contexts.bastion.deployments]]
name = "analytics"
type = "file-switch"
path = "{switch}"
probe = {{ url = "{router}", header = "X-Environment" }}
health = {{ blue = "{blue}", green = "{green}" }}
bake = "20s"
probe_timeout = "20s"
"""


@pytest.fixture
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[TwoColors]:
    async with TwoColors(tmp_path) as service:
        yield service


class Bastion:
    """`teal` on the other side of the connection."""

    def __init__(self, directory: Path, sshd: SshServer, service: TwoColors) -> None:
        self.sshd = sshd
        config = directory / "config.toml"
        urls = {name: service.url(name) for name in ("router", "blue", "green")}
        config.write_text(CONFIG.format(switch=service.switch, **urls))
        config.chmod(0o600)
        self._env = [f"TEAL_CONFIG={config}", f"TEAL_STATE_DIR={directory / 'state'}", "NO_COLOR=1"]

    async def begin(self, *arguments: str) -> asyncio.subprocess.Process:
        return await self.sshd.ssh("env", *self._env, TEAL, *arguments)

    async def ask(self, *arguments: str) -> tuple[int | None, str]:
        process = await self.begin(*arguments)
        output, _ = await asyncio.wait_for(process.communicate(), 120)
        return process.returncode, output.decode()


async def test_a_flip_outlives_the_connection_that_started_it(
    tmp_path: Path, sshd: SshServer, service: TwoColors
) -> None:
    bastion = Bastion(tmp_path, sshd, service)
    flip = await bastion.begin("deploy", "flip", "analytics", "-y", "--reason", "over ssh")
    assert flip.stdout is not None
    seen = ""
    async with asyncio.timeout(120):
        while "shift" not in seen:
            line = await flip.stdout.readline()
            assert line, seen
            seen += line.decode()
    assert sshd.cut() > 0
    rest, _ = await asyncio.wait_for(flip.communicate(), 60)
    assert flip.returncode == 255, rest  # ssh's own word for a lost connection

    code, listed = await bastion.ask("action", "list", "--open", "-o", "json")
    assert code == 0, listed
    document = json.loads(listed)
    assert [(item["kind"], item["service"]) for item in document["items"]] == [("flip", "analytics")], listed
    assert document["items"][0]["actor"]["ssh_source"] == "127.0.0.1"

    code, watched = await bastion.ask("action", "watch", document["items"][0]["id"])
    assert code == 0, watched
    assert re.search(r"flip analytics blue → green: succeeded", watched), watched
    assert service.weights() == {"blue": 0, "green": 100}
    code, verified = await bastion.ask("audit", "verify")
    assert (code, "the chain holds" in verified) == (0, True)
