"""What somebody changed in a switch file: read where it can not have moved traffic, else said with what to do."""

import subprocess

import pytest
from msgspec.structs import replace

from backends.deployments.file_switch import FileSwitch
from backends.deployments.nginx.edits import as_written, same_servers
from backends.deployments.nginx.include import Include, Mode
from backends.errors import BackendError
from backends.http import Http
from backends.ports import SwitchState
from tests.backends.test_file_switch import BLUE, GREEN, TEMPLATE, switch_of
from tests.two_colors import COLORS, TwoColors

SERVERS = {"blue": ("10.0.0.1:80", "10.0.0.3:80"), "green": ("10.0.0.2:80 weight=2",)}


def made(mode: Mode, **weights: int) -> str:
    include = Include(
        upstream="web", servers=SERVERS, mode=mode, split_key="$request_id", options=("keepalive 16",),
        stamp_url="http://127.0.0.1:8099/__color",
    )  # fmt: skip
    return include.body({color: weights.get(color, 0) for color in COLORS}, "A:shift", 7).replace("{stamp}", "", 1)


@pytest.mark.parametrize("mode", ["upstream", "split_clients"])
@pytest.mark.parametrize(
    ("before", "after", "harmless"),
    [
        ("10.0.0.1:80;", "10.0.0.1:80 max_fails=0;", True),
        ("server 10.0.0.1:80;", "server  10.0.0.1:80; # by hand", True),
        ("  server 10.0.0.3:80;\n", "", True),
        ("10.0.0.3:80;", "10.0.0.3:80 down;", True),
        ("keepalive 16;", "keepalive 32;\n  zone web 64k;", True),
        ("10.0.0.1:80;", "10.0.0.9:80;", False),
        ("10.0.0.1:80;", "10.0.0.2:80;", False),
        ("10.0.0.1:80;\n  server 10.0.0.3:80;", "10.0.0.1:80 down;\n  server 10.0.0.3:80 backup;", False),
        ("keepalive 16;", "include other.conf;", False),
        ("upstream web", "upstream webs", False),
        ("return 200", "return 201", False),
        ("server {", "server {\n listen 80;", False),
        ("keepalive 16;", "keepalive 16", False),
        ("10.0.0.1:80;", "10.0.0.1:80; }", False),
    ],
)
def test_only_what_can_not_move_traffic_passes(mode: Mode, before: str, after: str, harmless: bool) -> None:
    text = made(mode, blue=90, green=10) if mode == "split_clients" else made(mode, blue=100)
    assert before in text
    assert as_written(text.replace(before, after, 1), text) is harmless


def test_a_share_that_was_changed_or_a_block_more_is_not_known() -> None:
    text = made("split_clients", blue=90, green=10)
    assert not as_written(text.replace("90%", "10%"), text)
    assert not as_written(text + "server { listen 80; }\n", text)
    assert as_written(text.replace("10.0.0.2:80 weight=2", "10.0.0.2:80 weight=2 max_fails=0"), text)


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("10.0.0.1:80;", "10.0.0.9:80;", False),
        ("  server 10.0.0.3:80;\n", "", True),  # the config names one more: who is live is the same
        ("  server 10.0.0.3:80;\n", "  server 10.0.0.3:80;\n  server 10.0.0.4:80;\n", False),
        ("upstream web", "upstream webs", False),
        ("$request_id", "$remote_addr", False),
        ("access_log off", "access_log on", True),  # another version's words: no traffic goes by these
    ],
)
def test_an_include_of_another_config_is_that_of_its_servers(before: str, after: str, same: bool) -> None:
    text = made("split_clients", blue=90, green=10)
    assert before in text
    assert same_servers(text.replace(before, after, 1), text) is same


async def test_a_file_that_an_older_config_wrote_is_not_called_live(service: TwoColors, http: Http) -> None:
    """It says GREEN, at the addresses that the template had then; health and probe ask where the config says now."""
    adapter = switch_of(service, http, path="t.conf", format="template", template=TEMPLATE)
    await adapter.shift(await begin(adapter), GREEN, stamp="A:shift")
    assert "10.0.0.1" in TEMPLATE
    moved = switch_of(
        service, http, path="t.conf", format="template", template=TEMPLATE.replace("10.0.0.1", "10.0.0.9")
    )
    found = await moved.observe()
    assert (found.live, "written before its entry in the config was changed" in found.detail) == ("unknown", True)
    assert (await moved.deployment()).live == "unknown"
    # Nobody changed that file: the way back goes over it, and writes what the config says now.
    (told,) = await moved.preflight(replace(found, over=True), BLUE)
    assert (told.code, told.level) == ("changed-since", "warning")
    assert told.text.endswith("says now: this write makes it as the config says now")
    assert ("dropped" in told.text, "who changed it" in told.fix) == (False, False)
    after = await moved.shift(replace(found, over=True), BLUE, stamp="B:back")
    assert after.weights == BLUE
    assert "10.0.0.9" in (service.directory / "t.conf").read_text()


@pytest.mark.parametrize("reload", [["true"], []])
async def test_an_edit_that_a_reload_puts_in_force_is_critical(
    service: TwoColors, http: Http, reload: list[str]
) -> None:
    adapter = switch_of(service, http, path="t.conf", format="template", template=TEMPLATE, reload=reload)
    path = service.directory / "t.conf"
    await adapter.shift(await begin(adapter), GREEN, stamp="A:shift")
    path.write_text(path.read_text() + "server 10.0.0.9;\n")
    seen = await adapter.deployment()
    armed = bool(reload)
    assert (seen.live, seen.health) == ("unknown", "critical" if armed else "unknown")
    assert seen.truth.control.detail.startswith("ARMED: ") is armed
    assert (await adapter.observe()).edited


async def test_a_comment_in_a_template_leaves_its_word(service: TwoColors, http: Http) -> None:
    adapter = switch_of(service, http, path="t.conf", format="template", template=TEMPLATE)
    path = service.directory / "t.conf"
    begun = await adapter.shift(await begin(adapter), GREEN, stamp="A:shift")
    path.write_text(path.read_text().replace("upstream", "# asked alice\nupstream"))
    edited = await adapter.observe()
    assert (edited.weights, edited.stamp, edited.detail) == (GREEN, "A:shift", "")
    assert edited.revision != begun.revision
    (told,) = await adapter.preflight(edited, BLUE)
    assert (told.code, told.level, "edited by hand" in told.text) == ("changed-since", "warning", True)
    assert "edited by hand" in (await adapter.deployment()).truth.control.detail
    assert (await adapter.shift(edited, BLUE, stamp="B:shift")).weights == BLUE
    assert "asked alice" not in path.read_text()


async def begin(adapter: FileSwitch) -> SwitchState:
    subprocess.run(adapter.manual_commands(BLUE)[0], shell=True, check=True)
    return await adapter.observe()


@pytest.mark.parametrize("live", COLORS)
async def test_the_command_writes_what_answers_now(service: TwoColors, http: Http, live: str) -> None:
    service.router_says = (200, live)
    service.switch.write_text('{"weights": {"green": 1}}')
    found = await switch_of(service, http).observe()
    why, _, how = found.detail.partition("\n")
    assert how.startswith(f"write it anew, say with {live.upper()}: ")
    assert f"a fresh request says {live.upper()}: written so, no traffic moves" in why


@pytest.mark.parametrize("text", ['{"weights": {"green": 1}}', "garbage", None])
async def test_where_nobody_answers_no_side_is_proposed(service: TwoColors, http: Http, text: str | None) -> None:
    service.router_says = (502, "")
    service.switch.unlink() if text is None else service.switch.write_text(text)
    found = await switch_of(service, http).observe()
    why, *ways = found.detail.splitlines()
    assert "no fresh request proves which side is live" in why
    assert [way.partition(", ")[2].partition(": ")[0] for way in ways] == [
        "only where BLUE serves", "only where GREEN serves"
    ]  # fmt: skip
    assert set(found.anew) == set(COLORS)


@pytest.mark.parametrize("live", COLORS)
async def test_a_missing_file_is_begun_with_what_answers_now(service: TwoColors, http: Http, live: str) -> None:
    service.router_says = (200, live)
    service.switch.unlink()
    why, how = (await switch_of(service, http).observe()).detail.splitlines()
    assert how.startswith(f"begin it, say with {live.upper()}: "), why


async def test_only_a_way_back_writes_over_it(service: TwoColors, http: Http) -> None:
    service.switch.write_text('{"weights": {"green": 1}}')
    adapter = switch_of(service, http)
    found = await adapter.observe()
    with pytest.raises(BackendError):
        await adapter.shift(found, GREEN, stamp="A:shift")
    service.switch.write_text('{"weights": {"green": 2}}')
    with pytest.raises(BackendError) as caught:
        await adapter.shift(replace(found, over=True), GREEN, stamp="A:shift-back")
    assert caught.value.kind == "conflict", "it was edited once more since it was read"
    found = await adapter.observe()
    assert (await adapter.shift(replace(found, over=True), GREEN, stamp="A:shift-back")).weights == GREEN
