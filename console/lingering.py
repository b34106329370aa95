"""Whether logind ends a runner with the login session that started it, and the way out of that where there is one."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from actions.models import Finding
from actions.who import login_name
from backends.environment import without_secrets

ASK_S = 3.0
_CGROUP = Path("/proc/self/cgroup")


class LogoutFate(Struct, frozen=True):
    """What becomes of a runner at logout. `wrap` goes before its command, `finding` says that nothing helps."""

    wrap: tuple[str, ...] = ()
    finding: Finding | None = None


async def fate_of_runners(env: Mapping[str, str], cgroup: Path = _CGROUP) -> LogoutFate:
    """Asks logind, where this process is part of a login session at all.

    `loginctl show-user` without a user tells of the manager (`KillUserProcesses`), with one of the user (`Linger`):
    https://www.freedesktop.org/software/systemd/man/latest/loginctl.html
    """
    if not _in_login_session(cgroup):
        return LogoutFate()
    user = login_name()
    manager = await _properties(env, "KillUserProcesses", "KillOnlyUsers", "KillExcludeUsers")
    only, spared = manager.get("KillOnlyUsers", "").split(), manager.get("KillExcludeUsers", "").split()
    if manager.get("KillUserProcesses") != "yes" or user in spared or (only and user not in only):
        return LogoutFate()
    lingers = (await _properties(env, "Linger", of=user)).get("Linger") == "yes"
    if lingers and shutil.which("systemd-run", path=env.get("PATH")):
        return LogoutFate(wrap=("systemd-run", "--user", "--scope", "--quiet", "--collect"))
    why = "" if lingers else f": lingering is off for {user}"
    text = f"this host ends the processes of a user at logout, and the runner with them{why}"
    fix = "install systemd-run" if lingers else f"loginctl enable-linger {user}"
    return LogoutFate(finding=Finding(level="warning", code="killed-at-logout", text=text, fix=fix, overridable=True))


def _in_login_session(cgroup: Path) -> bool:
    try:
        return any("/session-" in line and ".scope" in line for line in cgroup.read_text().splitlines())
    except OSError:
        return False


async def _properties(env: Mapping[str, str], *names: str, of: str = "") -> dict[str, str]:
    """What logind says; nothing where it does not answer."""
    command = ["loginctl", "show-user", *([of] if of else []), *(f"--property={name}" for name in names)]
    path = shutil.which(command[0], path=env.get("PATH"))
    if path is None:
        return {}
    with contextlib.suppress(OSError, TimeoutError):  # then nothing is known of it
        process = await asyncio.create_subprocess_exec(
            path, *command[1:], stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, env={**without_secrets({**os.environ, **env}), "LC_ALL": "C"},
        )  # fmt: skip
        try:
            async with asyncio.timeout(ASK_S):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        pairs = (line.partition("=") for line in output.decode(errors="replace").splitlines())
        return {name: value for name, _, value in pairs}
    return {}
