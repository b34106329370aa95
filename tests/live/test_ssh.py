"""An action that was started over SSH does not end with the connection: a real sshd, cut in the middle of a shift."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
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
deploy = ["sh", "-c", "echo $1 > $0.version", "{{color}}", "{{version}}"]
validate = ["sleep", "5"]
bake = "5s"
probe_timeout = "20s"
"""


@pytest.fixture
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server


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


async def test_a_release_outlives_the_connection_that_started_it(
    tmp_path: Path, sshd: SshServer, service: TwoColors
) -> None:
    bastion = Bastion(tmp_path, sshd, service)
    release = await bastion.begin("deploy", "release", "analytics", "--version", "2.5.0", "-y", "--reason", "over ssh")
    assert release.stdout is not None
    seen = ""
    async with asyncio.timeout(120):
        while not re.search(r"shift +running", seen):
            line = await release.stdout.readline()
            assert line, seen
            seen += line.decode()
    assert sshd.cut() > 0
    rest, _ = await asyncio.wait_for(release.communicate(), 60)
    assert release.returncode == 255, rest  # ssh's own word for a lost connection

    code, listed = await bastion.ask("action", "list", "--open", "-o", "json")
    assert code == 0, listed
    document = json.loads(listed)
    (begun,) = document["items"]
    assert (begun["kind"], begun["service"], begun["phase"]) == ("release", "analytics", "shift"), listed
    assert begun["actor"]["ssh_source"] == "127.0.0.1"

    code, watched = await bastion.ask("action", "watch", begun["id"])
    assert code == 0, watched
    assert re.search(r"release analytics \S+ blue > green: succeeded", watched), watched
    assert watched.isascii(), "this terminal has no name: it shows ASCII"
    assert (service.weights(), service.version("green")) == ({"blue": 0, "green": 100}, "2.5.0")
    code, verified = await bastion.ask("audit", "verify")
    assert (code, "the chain holds" in verified) == (0, True)
