"""Where logind ends what a login session leaves behind: asked of a stub that answers as `loginctl` does."""

import os
from datetime import UTC
from pathlib import Path

import pytest

from actions.guards import Policy, context_findings
from actions.ids import now
from actions.who import login_name
from console.lingering import LogoutFate, fate_of_runners
from console.runners import launch_detached
from tests.actions.journals import here

IN_A_SESSION = "0::/user.slice/user-1000.slice/session-3.scope\n"


class Host:
    """A PATH with a `loginctl` and, where wanted, a `systemd-run` that writes down how it was called."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.env = {"PATH": f"{directory}:/usr/bin:/bin"}
        self.cgroup = directory / "cgroup"
        self.cgroup.write_text(IN_A_SESSION)

    def program(self, name: str, script: str) -> None:
        path = self.directory / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def logind(self, *, kills: str = "yes", linger: str = "no", only: str = "", spared: str = "") -> None:
        manager = f"KillUserProcesses={kills}\\nKillOnlyUsers={only}\\nKillExcludeUsers={spared}\\n"
        user = login_name()
        self.program(
            "loginctl",
            f'if [ "$1 $2" = "show-user {user}" ]; then printf "Linger={linger}\\n"; else printf "{manager}"; fi',
        )

    async def fate(self) -> LogoutFate:
        return await fate_of_runners(self.env, self.cgroup)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    directory = tmp_path / "bin"
    directory.mkdir()
    return Host(directory)


async def test_without_lingering_it_is_said_and_how_to_turn_it_on(host: Host) -> None:
    host.logind()
    fate = await host.fate()
    assert fate.wrap == ()
    assert fate.finding is not None
    assert fate.finding.code == "killed-at-logout"
    assert fate.finding.fix == f"loginctl enable-linger {login_name()}"


async def test_with_lingering_the_runner_gets_a_scope_of_its_own(host: Host, tmp_path: Path) -> None:
    host.logind(linger="yes")
    called = tmp_path / "called"
    host.program("systemd-run", f'echo "$@" > {called}; exit 0')
    fate = await host.fate()
    assert (fate.finding, fate.wrap[:3]) == (None, ("systemd-run", "--user", "--scope"))
    await launch_detached(
        "A", here(tmp_path), tmp_path / "c.toml", "c", (str(host.directory / "systemd-run"), *fate.wrap[1:])
    )
    assert called.read_text().startswith("--user --scope --quiet --collect ")
    assert called.read_text().endswith("-P -m console.runner A\n")


async def test_with_lingering_and_no_systemd_run_it_is_said(host: Host) -> None:
    host.logind(linger="yes")
    host.env["PATH"] = str(host.directory)
    host.program("loginctl", (host.directory / "loginctl").read_text().replace("printf", "/usr/bin/printf"))
    fate = await host.fate()
    assert fate.finding is not None
    assert fate.finding.fix == "install systemd-run"


@pytest.mark.parametrize("logind", [{"kills": "no"}, {"spared": f"root {login_name()}"}, {"only": "somebody-else"}])
async def test_where_nobody_is_killed_nothing_is_done(host: Host, logind: dict[str, str]) -> None:
    host.logind(**logind)
    assert await host.fate() == LogoutFate()


async def test_nor_outside_of_a_login_session_or_without_logind(host: Host) -> None:
    assert await host.fate() == LogoutFate()
    host.program("loginctl", 'echo "System has not been booted with systemd" >&2; exit 1')
    assert await host.fate() == LogoutFate()
    host.logind()
    host.cgroup.write_text("0::/system.slice/cron.service\n")
    assert await host.fate() == LogoutFate()
    host.cgroup.unlink()
    assert await host.fate() == LogoutFate()


async def test_it_blocks_what_goes_forward_in_a_protected_context_and_warns_elsewhere(host: Host) -> None:
    host.logind()
    finding = (await host.fate()).finding
    assert finding is not None
    policy = Policy(context="test", zone=UTC, host=(finding,), shared_journal=True)
    assert [found.level for found in context_findings(policy, "3", now())] == ["warning"]
    protected = Policy(context="test", zone=UTC, host=(finding,), shared_journal=True, protected=True)
    assert [found.level for found in context_findings(protected, "3", now())] == ["block"]
    assert context_findings(protected, "R", now()) == []
    assert os.environ["PATH"] != host.env["PATH"]
