"""`nginx` on a real nginx: the contract in both modes, and what only it does."""

import asyncio
import contextlib
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from backends.deployments import file_store
from backends.deployments.nginx import force as nginx_force
from backends.deployments.nginx.force import Force
from backends.deployments.nginx.include import accepting_workers
from backends.deployments.nginx.switch import NginxConfig, NginxSwitch
from backends.deployments.switch_format import StampedForm
from backends.errors import BackendError
from backends.http import Http
from backends.registry import AdapterContext, build
from backends.testing.deployments import BLUE, GREEN, Meddle, Sicken, SwitchContract
from tests.live.nginx import Nginx, nginx
from tests.live.process import accepts, until
from tests.load import Load
from tests.two_colors import COLORS, TwoColors

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("nginx")]


def switch_of(service: TwoColors, http: Http, server: Nginx, **config: Any) -> NginxSwitch:
    base = service.directory
    entry = {
        **server.entry({color: service.ports[color] for color in COLORS}),
        "health": {color: service.url(color) for color in COLORS},
        "probe": {"url": server.url, "header": "X-Environment"},
        **config,
    }
    found: NginxSwitch = build("deployments", "nginx", entry, AdapterContext("analytics", base, base / "own", http))
    return found


def form_of(adapter: NginxSwitch) -> StampedForm:
    config: NginxConfig = adapter._config
    return StampedForm(config.colors, "#", config.made().body)


def write(adapter: NginxSwitch, server: Nginx, weights: dict[str, int], stamp: str = "other:1") -> None:
    """Into the file, as another console would; nothing is reloaded."""
    before = server.include.read_bytes() if server.include.exists() else b""
    server.include.write_bytes(form_of(adapter).write(before, weights, stamp, datetime.now(UTC)))


def runs_what_is_written(adapter: NginxSwitch) -> bool:
    with contextlib.suppress(BackendError):
        return not asyncio.run(adapter.observe()).detail
    return False


async def settled(adapter: NginxSwitch) -> None:
    """Until file and process agree."""
    await asyncio.to_thread(until, lambda: runs_what_is_written(adapter), "nginx runs what is written")


def reload(server: Nginx) -> None:
    """As logrotate would, and until it is through."""
    with server.renewing():
        server.reload()


@pytest.fixture
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Nginx]:
    """Not started: it needs the include first."""
    with nginx(tmp_path / "nginx", mode=getattr(request, "param", "upstream")) as server:
        yield server


class _OverNginx(SwitchContract):
    @pytest.fixture
    def meddle(self, adapter: NginxSwitch, server: Nginx) -> Meddle:
        def meddle(weights: dict[str, int]) -> None:
            write(adapter, server, weights)
            reload(server)
            until_in_thread(adapter)

        return meddle

    @pytest.fixture
    def sicken(self, service: TwoColors) -> Sicken:
        return service.sicken


def until_in_thread(adapter: NginxSwitch) -> None:
    """`settled` for a caller inside a running loop, which may be held up for a moment: nginx asks it nothing."""
    import threading

    thread = threading.Thread(target=until, args=(lambda: runs_what_is_written(adapter), "nginx reloaded"))
    thread.start()
    thread.join()


@pytest.mark.parametrize("server", ["upstream"], indirect=True)
class TestUpstream(_OverNginx):
    pass


@pytest.mark.parametrize("server", ["split_clients"], indirect=True)
class TestSplitClients(_OverNginx):
    pass


# ---- what only nginx does


@pytest.fixture
async def adapter(service: TwoColors, http: Http, server: Nginx) -> AsyncIterator[NginxSwitch]:
    adapter = switch_of(service, http, server)
    write(adapter, server, BLUE)
    await asyncio.to_thread(server.start)
    await settled(adapter)
    yield adapter
    await adapter.aclose()


async def error_of(adapter: NginxSwitch, weights: dict[str, int] = GREEN, stamp: str = "A:shift") -> BackendError:
    with pytest.raises(BackendError) as caught:
        await adapter.shift(await adapter.observe(), weights, stamp=stamp)
    assert caught.value.fix
    assert "\n" not in caught.value.message
    return caught.value


async def test_a_file_that_is_written_and_not_read_is_armed_and_is_finished_or_undone(
    adapter: NginxSwitch, server: Nginx
) -> None:
    """The crash between rename and reload."""
    write(adapter, server, GREEN, stamp="A:shift")
    armed = await adapter.observe()
    assert (armed.live, armed.stamp) == ("mixed", "A:shift")
    assert armed.detail.startswith("ARMED: ")
    assert "nginx runs BLUE 100 %" in armed.detail
    found = await adapter.deployment()
    assert (found.live, found.health, found.truth.data.value) == ("blue", "critical", "blue")
    assert {name: side.weight_pct for name, side in found.colors.items()} == {"blue": 100.0, "green": 0.0}
    assert found.armed == "any reload goes to GREEN 100 %"
    assert adapter.describe_shift(armed, BLUE)[:2] == [
        f"control  {server.include}: ARMED → blue", "traffic  BLUE 100 % → 100 %   GREEN 0 % → 0 %",
    ]  # fmt: skip
    assert found.truth.control.detail == armed.detail
    assert [f.code for f in await adapter.preflight(armed, GREEN) if f.level != "ok"] == ["nginx-armed"]
    finished = await adapter.shift(armed, GREEN, stamp="A:shift")
    assert (finished.live, finished.detail) == ("green", "")
    write(adapter, server, BLUE, stamp="A:shift-back")
    armed = await adapter.observe()
    undone = await adapter.shift(armed, GREEN, stamp="B:shift")
    assert (undone.live, undone.detail) == ("green", "")


async def test_the_next_reload_of_anybody_completes_what_is_armed(adapter: NginxSwitch, server: Nginx) -> None:
    write(adapter, server, GREEN, stamp="A:shift")
    await asyncio.to_thread(reload, server)
    await settled(adapter)
    assert (await adapter.observe()).live == "green"


async def test_a_config_that_does_not_parse_is_never_reloaded(
    service: TwoColors, http: Http, server: Nginx, adapter: NginxSwitch
) -> None:
    live = list(adapter._config.servers["blue"])
    broken = switch_of(service, http, server, servers={"blue": live, "green": ["127.0.0.1:1 wieght=2"]})
    before = server.include.read_bytes()
    error = await error_of(broken)
    assert error.kind == "failed"
    assert 'invalid parameter "wieght=2"' in error.message
    assert error.message.endswith("the old file is back in place")
    assert server.include.read_bytes() == before
    assert (await adapter.observe()).live == "blue"


async def test_a_config_that_is_broken_already_is_said_before_anything_is_changed(
    adapter: NginxSwitch, server: Nginx
) -> None:
    server.write_config("proxy_pas http://nowhere;")
    found = await adapter.preflight(await adapter.observe(), GREEN)
    assert [(f.level, f.code) for f in found] == [("block", "nginx-config")]
    assert "proxy_pas" in found[0].text
    assert "before any change" in found[0].text
    assert (await error_of(adapter)).kind == "failed"
    assert (await adapter.observe()).live == "blue"


async def test_a_reload_that_silently_keeps_the_old_config_is_noticed_and_undone(
    service: TwoColors, http: Http, adapter: NginxSwitch, server: Nginx, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check passes, the master can not bind: it logs `[emerg]` and goes on with what it had, exit status 0."""
    monkeypatch.setattr(nginx_force, "PROVEN_S", 3.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server.write_config("", also=f"listen 127.0.0.1:{taken.getsockname()[1]};")
        error = await error_of(switch_of(service, http, server, validate=["true"]))
    assert "nginx kept what it ran" in error.message
    assert "the old file is back in place and runs" in error.message
    assert not error.taken_back
    found = await adapter.observe()
    assert (found.live, found.detail) == ("blue", "")


async def test_what_ran_until_it_was_put_back_was_in_force(
    adapter: NginxSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nginx runs the new file, and an old worker keeps taking connections: it goes back, and had moved."""
    monkeypatch.setattr(nginx_force, "PROVEN_S", 1.5)

    async def workers(_: Force) -> set[int]:
        return {1}

    monkeypatch.setattr(Force, "_workers", workers)
    error = await error_of(adapter)
    monkeypatch.undo()
    assert "an old worker still takes connections" in error.message
    assert error.taken_back
    found = await adapter.observe()
    assert (found.live, found.detail) == ("blue", "")


async def test_a_reload_command_that_fails_puts_the_old_file_back(
    service: TwoColors, http: Http, server: Nginx, adapter: NginxSwitch
) -> None:
    before = server.include.read_bytes()
    error = await error_of(switch_of(service, http, server, reload=["sh", "-c", "echo not permitted; exit 1"]))
    assert "not permitted" in error.message
    assert error.taken_back  # nobody knows what the command did before it failed
    assert server.include.read_bytes() == before
    assert (await adapter.observe()).detail == ""


@pytest.mark.parametrize("broken", ["reload", "validate"])
async def test_a_file_that_leads_to_what_runs_stays_whatever_fails(
    service: TwoColors, http: Http, server: Nginx, adapter: NginxSwitch, broken: str
) -> None:
    """A runner died between rename and reload: the file says GREEN, and nginx runs BLUE. Who orders BLUE then must not
    find GREEN after the next start, only since nginx could not be told."""
    blue = server.include.read_bytes()
    await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    green = server.include.read_bytes()
    with server.renewing():
        server.include.write_bytes(blue)
        server.reload()
    server.include.write_bytes(green)
    armed = await adapter.observe()
    assert (armed.serving, armed.weights) == ("blue", {"blue": 50, "green": 50})
    if broken == "validate":
        server.write_config(more="no_such_directive;")
    fails = ["sh", "-c", "echo kill failed >&2; exit 1"]
    mute = switch_of(service, http, server, **({"reload": fails} if broken == "reload" else {}))
    back = replace(armed, over=True)
    assert [one.level for one in await mute.preflight(back, BLUE)] == ["warning"]
    with pytest.raises(BackendError) as caught:
        await mute.shift(back, BLUE, stamp="B:shift")
    assert (caught.value.kind, "a restart keeps the traffic" in caught.value.message) == ("unreachable", True)
    found = await mute.observe()
    assert (found.serving, found.weights) == ("blue", BLUE)
    server.write_config()
    server.reload()
    await settled(adapter)
    assert (await adapter.observe()).weights == BLUE


async def test_the_file_of_a_way_back_stays_where_no_master_is_left_to_read_it(
    server: Nginx, adapter: NginxSwitch
) -> None:
    """Its worker serves on, as after a kill for want of memory: the next start of nginx served the bad version."""
    assert server.process is not None
    bad = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    workers = accepting_workers(server.pid_file)
    pid = server.pid_file.read_text()
    server.process.kill()
    await asyncio.to_thread(server.process.wait)
    server.pid_file.write_text(pid)
    try:
        with pytest.raises(BackendError, match="the next start of nginx goes back") as caught:
            await adapter.shift(replace(bad, over=True), BLUE, stamp="B:shift")
        assert (caught.value.kind, " && sleep 1 && " in caught.value.fix) == ("unreachable", True)
        found = await adapter.observe()
        assert (found.serving, bool(found.armed)) == ("green", True)
        assert f"kill -QUIT {' '.join(map(str, sorted(workers)))} && sleep 1 && " in found.detail
        assert "any reload" not in found.detail
    finally:
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        server.pid_file.unlink(missing_ok=True)
    until(lambda: not accepts(server.port), "its workers have ended")
    server.stop()
    await asyncio.to_thread(server.start)
    await settled(adapter)
    assert (await adapter.observe()).weights == BLUE


async def test_a_master_that_is_gone_is_named_and_keeps_nobody_from_the_way_back(
    server: Nginx, adapter: NginxSwitch
) -> None:
    there = server.pid_file.read_text()
    gone = subprocess.Popen(["true"])
    gone.wait()
    server.pid_file.write_text(f"{gone.pid}\n")
    try:
        found = await adapter.observe()
        for back, level in ((False, "block"), (True, "warning")):
            said = await adapter.preflight(replace(found, over=back), GREEN)
            assert [(one.level, one.overridable) for one in said if one.code == "nginx-master"] == [(level, True)]
        seen = await adapter.deployment()
        assert (seen.live, f"nginx's master (pid {gone.pid}) is gone" in seen.stuck, seen.health) == (
            "blue",
            True,
            "warning",
        )
    finally:
        server.pid_file.write_text(there)


@pytest.mark.parametrize("what", ["validate", "reload"])
async def test_an_edit_by_hand_before_a_command_fails_stays(
    service: TwoColors, http: Http, server: Nginx, adapter: NginxSwitch, what: str
) -> None:
    edit = ["sh", "-c", f"echo '# by hand' >> {server.include}; exit 1"]
    error = await error_of(switch_of(service, http, server, **{what: edit}))
    assert (error.kind, "that stays" in error.message) == ("conflict", True)
    assert "# by hand" in server.include.read_text()


async def test_a_reload_that_does_not_end_has_worked_where_nginx_runs_the_new_file(
    service: TwoColors, http: Http, server: Nginx, adapter: NginxSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_store, "COMMAND_TIMEOUT_S", 2.0)
    config = switch_of(service, http, server)._config
    hangs = switch_of(service, http, server, reload=["sh", "-c", f"{shlex.join(config.reload)}; exec sleep 60"])
    assert (await hangs.shift(await hangs.observe(), GREEN, stamp="A:shift")).weights == GREEN


async def test_somebody_who_edits_the_include_between_plan_and_write_is_not_written_over(
    adapter: NginxSwitch, server: Nginx
) -> None:
    before = await adapter.observe()
    edited = server.include.read_bytes().replace(b"server 127.0.0.1", b"server  127.0.0.1", 1)
    server.include.write_bytes(edited)
    with pytest.raises(BackendError) as caught:
        await adapter.shift(before, GREEN, stamp="A:shift")
    assert (caught.value.kind, "by hand" in caught.value.message) == ("conflict", True)
    assert server.include.read_bytes() == edited
    assert (await adapter.deployment()).live == "blue", "a space moves no traffic"


async def test_a_stamped_endpoint_that_is_not_there_leaves_the_truth_unknown(
    service: TwoColors, http: Http, server: Nginx, adapter: NginxSwitch
) -> None:
    for url, kind in (("http://127.0.0.1:1/__color", "unreachable"), (server.url, "malformed")):
        blind = switch_of(service, http, server, stamp_url=url)
        with pytest.raises(BackendError) as caught:
            await blind.observe()
        assert (caught.value.kind, "include the file" in caught.value.fix) == (kind, True)
        found = await blind.deployment()
        assert (found.live, found.health) == ("unknown", "unknown")
    await asyncio.to_thread(server.stop)
    with pytest.raises(BackendError):
        await adapter.observe()


async def test_a_missing_include_says_how_to_begin_and_can_be_begun_so(
    service: TwoColors, http: Http, server: Nginx
) -> None:
    adapter = switch_of(service, http, server)
    found = await adapter.observe()
    assert (found.live, "no such file" in found.detail) == ("unknown", True)
    assert [f.level for f in await adapter.preflight(found, GREEN)] == ["block"]
    begin = adapter.manual_commands(BLUE)[0]
    assert begin.partition("gen")[0].partition("tealdeck:")[0] in found.detail
    assert len(found.detail.splitlines()) == 3, "what is wrong, and how it is begun with either side: nobody serves"
    subprocess.run(begin, shell=True, check=True)
    await asyncio.to_thread(server.start)
    await settled(adapter)
    with server.renewing():
        for line in adapter.manual_commands(GREEN)[:3]:
            await asyncio.to_thread(subprocess.run, line, shell=True, check=True)
    await settled(adapter)
    assert (await adapter.observe()).weights == GREEN


async def test_the_way_back_of_a_dead_nginx_starts_it(adapter: NginxSwitch, server: Nginx) -> None:
    await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    await asyncio.to_thread(server.stop)
    with pytest.raises(BackendError) as caught:
        await adapter.observe()
    assert caught.value.fix.startswith("start nginx, where it does not run; else ")
    *lines, _ = adapter.manual_commands(BLUE)
    try:
        await asyncio.to_thread(subprocess.run, " && ".join(lines), shell=True, check=True)
        await settled(adapter)
        assert (await adapter.observe()).weights == BLUE
    finally:  # it is its own daemon now
        os.kill(int(server.pid_file.read_text()), signal.SIGTERM)
        until(lambda: not server.pid_file.exists(), "nginx has ended")


@pytest.mark.usefixtures("bound_by_modes")
async def test_a_directory_that_may_not_be_written_is_a_matter_of_rights(adapter: NginxSwitch, server: Nginx) -> None:
    before = await adapter.observe()
    server.include.parent.chmod(0o500)
    try:
        with pytest.raises(BackendError) as caught:
            await adapter.preflight(before, GREEN)
        assert (caught.value.kind, (await error_of(adapter)).kind) == ("auth", "auth")
    finally:
        server.include.parent.chmod(0o700)


async def test_the_workers_that_take_connections_are_new_ones_after_a_shift(
    adapter: NginxSwitch, server: Nginx
) -> None:
    pid_file = server.pid_file
    before = accepting_workers(pid_file)
    await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    after = accepting_workers(pid_file)
    assert (len(before), len(after), before & after) == (2, 2, set())
    assert accepting_workers(server.directory / "nowhere") == set()


@pytest.mark.parametrize("server", ["split_clients"], indirect=True)
async def test_the_shares_of_clients_are_the_planned_ones(adapter: NginxSwitch, server: Nginx) -> None:
    await adapter.shift(await adapter.observe(), {"blue": 75, "green": 25}, stamp="A:shift[25]")
    async with Load(server.url, 200) as load:
        while len(load.seen) < 400:
            await asyncio.sleep(0.05)
    assert load.lost == []
    share = load.colors()["green"] / len(load.seen)
    assert abs(share - 0.25) < 4 * (0.25 * 0.75 / len(load.seen)) ** 0.5 + 0.01


async def test_a_flip_and_a_rollback_under_load_lose_no_request(
    adapter: NginxSwitch, server: Nginx, capsys: pytest.CaptureFixture[str]
) -> None:
    state = await adapter.observe()
    async with Load(server.url, 200) as load:
        await asyncio.sleep(1)
        state = await adapter.shift(state, GREEN, stamp="A:shift")
        await asyncio.sleep(1)
        pressed = time.monotonic()
        await adapter.shift(state, BLUE, stamp="A:shift-back")
        took = time.monotonic() - pressed
        await asyncio.sleep(1)
    back_s = load.last_of("green", pressed)
    with capsys.disabled():
        print(f"\nnginx: {len(load.seen)} requests, {len(load.lost)} lost", end="; ")
        print(f"rollback: all old {back_s:.3f} s after the call, which took {took:.3f} s")
    assert load.lost == []
    assert set(load.colors()) == set(COLORS)
    assert back_s < 20


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"servers": {"blue": ["a;b"], "green": ["c"]}}, "without ; and braces"),
        ({"servers": {"blue": ["a"]}}, "two colors"),
        ({"stamp_url": "https://x/__color"}, "stamp_url"),
        ({"stamp_url": "http://127.0.0.1:80"}, "stamp_url"),
        ({"upstream": "a b"}, "upstream"),
        ({"split_key": "${x};"}, "split_key"),
        ({"reload": []}, "neither may be empty"),
        ({"health": {"red": "http://x"}}, "the same colors"),
    ],
)
def test_a_config_that_could_write_anything_into_nginx_is_refused(
    tmp_path: Path, config: dict[str, Any], words: str
) -> None:
    entry = {
        "include": "x.conf", "upstream": "analytics", "stamp_url": "http://127.0.0.1:8099/__color",
        "servers": {"blue": ["127.0.0.1:1"], "green": ["127.0.0.1:2"]}, **config,
    }  # fmt: skip
    with pytest.raises(BackendError, match=words):
        build("deployments", "nginx", entry, AdapterContext("analytics", tmp_path, tmp_path, Http()))


@pytest.mark.parametrize("kept", ["gone", "of another write", "what runs"])
async def test_an_undo_leads_to_what_nginx_runs_and_keeps_the_mode(
    adapter: NginxSwitch, server: Nginx, kept: str
) -> None:
    """It moved the file before the last write into place, whatever nginx ran, and with a mode of its own."""
    runs = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    server.include.chmod(0o644)
    previous = server.include.with_name(server.include.name + ".previous")
    if kept == "gone":
        previous.unlink()
    if kept == "what runs":
        previous.write_bytes(server.include.read_bytes())
        previous.chmod(0o600)
    server.include.write_bytes(form_of(adapter).write(b"", BLUE, "hand:1", datetime.now(UTC)))
    armed = await adapter.observe()
    assert (armed.live, str(previous) in armed.detail) == ("mixed", kept == "what runs")
    mark = "undo: " if kept == "what runs" else "which runs: "
    await asyncio.to_thread(subprocess.run, armed.detail.partition(mark)[2], shell=True, check=True, cwd="/")
    after = await adapter.observe()
    assert (after.live, after.detail, after.stamp) == ("green", "", runs.stamp)
    assert server.include.stat().st_mode & 0o777 == 0o644


async def test_an_include_edited_by_hand_says_how_it_is_written_anew_with_what_runs(
    adapter: NginxSwitch, server: Nginx
) -> None:
    await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    server.include.write_text(server.include.read_text() + "server { listen 127.0.0.1:1; }\n")
    unknown = await adapter.observe()
    how = unknown.detail.partition("\n")[2]
    assert (unknown.weights, how.split(": ")[0]) == ({}, "write it anew, say with GREEN")
    assert unknown.detail.startswith("ARMED: ")
    assert "any reload puts the edit in force" in unknown.detail
    seen = await adapter.deployment()
    assert (seen.live, seen.health) == ("unknown", "critical")
    await asyncio.to_thread(subprocess.run, how.partition(": ")[2], shell=True, check=True, cwd="/")
    await settled(adapter)
    assert (await adapter.observe()).live == "green"
