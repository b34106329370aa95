"""A real sshd on loopback with keys of its own, and connections to it that can be cut."""

import asyncio
import contextlib
import os
import pwd
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.live.process import accepts, free_port, run, started
from tests.live.require import program

_CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {directory}/host_key
PidFile none
AuthorizedKeysFile {directory}/user_key.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
"""
_PRIVILEGE_SEPARATION = Path("/run/sshd")


class SshServer:
    """`ssh(...)` runs a command over a connection; `cut` ends the server's side of every connection at once."""

    def __init__(self, directory: Path, pid: int, port: int) -> None:
        self.directory = directory
        self.pid = pid
        self.port = port

    async def ssh(self, *command: str) -> asyncio.subprocess.Process:
        """With a terminal, as a person has one: a cut connection hangs it up."""
        user = pwd.getpwuid(os.getuid()).pw_name
        options = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
        return await asyncio.create_subprocess_exec(
            program("ssh"), "-F", "none", "-tt", "-i", str(self.directory / "user_key"), "-p", str(self.port),
            *(part for option in options for part in ("-o", option)), f"{user}@127.0.0.1", shlex.join(command),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    def cut(self) -> int:
        """Kill the processes that serve connections; how many those were."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        serving = [*children, *(grandchild for child in children for grandchild in _children(child))]
        for pid in serving:
            # The shell that a session has started is not one of them: it finds out by its hangup.
            if Path(f"/proc/{pid}/comm").read_text().startswith("sshd"):
                os.kill(int(pid), signal.SIGKILL)
        return len(children)


@contextlib.contextmanager
def ssh_server(directory: Path) -> Iterator[SshServer]:
    """Running on a free port; gone at the end of the block."""
    sshd = program("sshd", "/usr/sbin/sshd")
    for name in ("host_key", "user_key"):
        run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)])
    if os.geteuid() == 0:
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    (directory / "sshd_config").write_text(_CONFIG.format(port=port, directory=directory))
    command = [sshd, "-D", "-e", "-f", str(directory / "sshd_config")]
    with started(command, directory / "sshd.log", lambda: accepts(port)) as process:
        yield SshServer(directory, process.pid, port)


def _children(pid: str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
