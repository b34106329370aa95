"""`file-switch`: the contract in both formats, and what only a file does: edits by hand, commands, disks, rights."""

import errno
import json
import os
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actions.endings import Conflict, PartialWrite
from backends.deployments import file_store
from backends.deployments.file_store import from_anywhere, start_of
from backends.deployments.file_switch import FileSwitch, FileSwitchConfig
from backends.deployments.pending import PendingMark, between
from backends.deployments.switch_format import JsonForm, TemplateForm, check_weights, template_problem
from backends.errors import BackendError
from backends.http import Http
from backends.ports import SwitchState
from backends.registry import AdapterContext, build
from backends.testing.deployments import BLUE, GREEN, Meddle, Sicken, SwitchContract
from backends.text import clean
from tests.two_colors import COLORS, TwoColors

TEMPLATE = """# who gets the traffic of analytics
{stamp}
upstream analytics {
  server 10.0.0.1:80 weight={blue};
  server 10.0.0.2:80 weight={green};
}
"""


def switch_of(service: TwoColors, http: Http, **config: Any) -> FileSwitch:
    base = service.directory
    found: FileSwitch = build(
        "deployments", "file-switch", service.config(**config), AdapterContext("analytics", base, base / "own", http)
    )
    return found


async def error_of(
    adapter: FileSwitch, weights: dict[str, int] = GREEN, before: SwitchState | None = None
) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await adapter.shift(before or await adapter.observe(), weights, stamp="A:shift")
    return caught.value


class _OverFiles(SwitchContract):
    @pytest.fixture
    def sicken(self, service: TwoColors) -> Sicken:
        return service.sicken


class TestJson(_OverFiles):
    @pytest.fixture
    async def adapter(self, service: TwoColors, http: Http) -> AsyncIterator[FileSwitch]:
        adapter = switch_of(service, http)
        yield adapter
        await adapter.aclose()

    @pytest.fixture
    def meddle(self, service: TwoColors) -> Meddle:
        generations = iter(range(100, 200))
        return lambda weights: service.write(weights, generation=next(generations))


class TestTemplate(_OverFiles):
    @pytest.fixture
    async def adapter(self, service: TwoColors, http: Http, meddle: Meddle) -> AsyncIterator[FileSwitch]:
        # The router of the test follows the JSON beside it: only what stays on blue has a data layer that agrees.
        adapter = switch_of(service, http, path="analytics.conf", format="template", template=TEMPLATE)
        meddle(BLUE)
        yield adapter
        await adapter.aclose()

    @pytest.fixture
    def meddle(self, service: TwoColors) -> Meddle:
        form = TemplateForm(COLORS, TEMPLATE, "#")
        path = service.directory / "analytics.conf"

        def meddle(weights: dict[str, int]) -> None:
            before = path.read_bytes() if path.exists() else b""
            path.write_bytes(form.write(before, weights, "meddler", datetime.now(UTC)))

        return meddle


# ---- what is in the file


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "no object"),
        (b'{"weights": []}', "no object"),
        (b'{"weights": {"purple": 100}}', "unknown color purple"),
        (b'{"weights": {"blue": 0, "green": 0}}', "sum to 0"),
        (b'{"weights": {"blue": 100, "green": 100}}', "sum to 200"),
        (b'{"weights": {"blue": 1e2, "green": 0}}', "whole number"),
        (b'{"weights": {"blue": true}}', "whole number"),
        (b'{"weights": {"\\u001b[31mblue": 100}}', "unknown color"),
    ],
)
async def test_what_can_not_be_trusted_is_unknown_with_the_reason_and_never_written_over(
    service: TwoColors, http: Http, content: bytes, detail: str
) -> None:
    service.switch.write_bytes(content)
    adapter = switch_of(service, http)
    found = await adapter.observe()
    assert (found.weights, found.live) == ({}, "unknown")
    assert detail in found.detail
    assert "\x1b" not in found.detail
    assert (await adapter.deployment()).live == "unknown"
    assert (await error_of(adapter)).kind == "conflict"
    assert service.switch.read_bytes() == content


async def test_a_missing_file_is_unknown_and_says_how_to_begin(service: TwoColors, http: Http) -> None:
    service.switch.unlink()
    adapter = switch_of(service, http)
    found = await adapter.observe()
    assert (found.live, "no such file" in found.detail) == ("unknown", True)
    assert (await error_of(adapter)).kind == "conflict"
    assert not service.switch.exists()
    subprocess.run(adapter.manual_commands(GREEN)[0], shell=True, check=True)
    assert (await adapter.observe()).weights == GREEN


async def test_other_keys_of_the_document_are_kept(service: TwoColors, http: Http) -> None:
    service.write(BLUE, owner="data-platform", generation=7)
    adapter = switch_of(service, http)
    await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    found = json.loads(service.switch.read_text())
    assert (found["owner"], found["generation"], found["stamp"]) == ("data-platform", 8, "A:shift")


async def test_a_template_says_its_weights_and_shows_an_edit_by_hand(service: TwoColors, http: Http) -> None:
    adapter = switch_of(service, http, path="t.conf", format="template", template=TEMPLATE)
    path = service.directory / "t.conf"
    subprocess.run(adapter.manual_commands(BLUE)[0], shell=True, check=True)
    after = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    text = path.read_text()
    assert "weight=100;\n}" in text
    assert "10.0.0.1:80 weight=0;" in text
    assert after.weights == GREEN
    path.write_text(text.replace("weight=0", "weight=50"))
    edited = await adapter.observe()
    assert (edited.weights, "by hand" in edited.detail) == ({}, True)
    assert (await error_of(adapter, BLUE, after)).kind == "conflict"


async def test_a_template_of_the_live_color_alone_can_not_split(service: TwoColors, http: Http) -> None:
    template = 'map "" $color {\n  {stamp}\n  default {live};\n}\n'
    adapter = switch_of(service, http, path="map.conf", format="template", template=template)
    subprocess.run(adapter.manual_commands(BLUE)[0], shell=True, check=True)
    before = (service.directory / "map.conf").read_bytes()
    assert "split" in (await error_of(adapter, {"blue": 50, "green": 50})).message
    assert (service.directory / "map.conf").read_bytes() == before
    await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    assert "default green;" in (service.directory / "map.conf").read_text()


@pytest.mark.parametrize(
    "template", ["", "{blue} {green}", "{stamp}\n{blue}", "{stamp}\n{stamp}\n{live}", "{stamp} {live}"]
)
def test_a_template_that_can_not_work_is_a_config_error(template: str) -> None:
    assert template_problem(template, COLORS)
    with pytest.raises(ValueError, match=r"template|stamp"):
        FileSwitchConfig(path="x", format="template", template=template, health=dict.fromkeys(COLORS, "http://x"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 100), st.text(max_size=20), st.sampled_from(["json", "template"]))
def test_what_is_written_is_what_is_read(share: int, stamp: str, format_: str) -> None:
    form = JsonForm(COLORS) if format_ == "json" else TemplateForm(COLORS, TEMPLATE, "#")
    weights = {"blue": share, "green": 100 - share}
    content = form.write(b"", weights, clean(stamp), datetime.now(UTC))
    found = form.read(content)
    assert (found.weights, found.stamp, found.detail) == (weights, clean(stamp), "")
    again = form.write(content, weights, clean(stamp), datetime.now(UTC))
    assert form.read(again).revision != found.revision


@given(st.dictionaries(st.sampled_from(["blue", "green", "purple"]), st.integers(-200, 200)))
def test_only_whole_shares_of_known_colors_that_sum_to_100_can_be(weights: dict[str, int]) -> None:
    shares = weights.values()
    possible = set(weights) <= set(COLORS) and sum(shares) == 100 and all(0 <= share <= 100 for share in shares)
    assert (check_weights(weights, COLORS) == "") is possible


@given(st.binary(max_size=200))
def test_no_content_breaks_the_reader(content: bytes) -> None:
    for form in (JsonForm(COLORS), TemplateForm(COLORS, TEMPLATE, "#")):
        found = form.read(content)
        assert not found.weights or sum(found.weights.values()) == 100


# ---- commands


async def test_validate_and_reload_run_in_order_with_the_new_file_in_place(service: TwoColors, http: Http) -> None:
    def says(word: str) -> list[str]:
        return ["sh", "-c", f"echo {word} >> ran; cat switch.json >> ran"]

    adapter = switch_of(service, http, validate=says("validate"), reload=says("reload"))
    await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    ran = (service.directory / "ran").read_text()
    assert ran.index("validate") < ran.index("reload")
    assert ran.count("validate\n{") == ran.count("reload\n{") == 1
    assert (ran.count('"stamp": "A:shift",\n  "at"'), ran.count('"generation": 2')) == (2, 2)
    assert adapter.describe_shift(await adapter.observe(), BLUE)[2].startswith("validate  sh -c")


@pytest.mark.parametrize("command", [["sh", "-c", "echo 'unknown directive' >&2; exit 1"], ["/nonexistent", "-t"]])
@pytest.mark.parametrize("what", ["validate", "reload"])
async def test_a_command_that_fails_puts_the_old_file_back(
    service: TwoColors, http: Http, what: str, command: list[str]
) -> None:
    before = service.switch.read_bytes()
    adapter = switch_of(service, http, **{what: command})
    error = await error_of(adapter)
    assert error.kind == "failed"  # what is wrong with a process is no mistake of the config
    assert error.message.startswith(what)
    assert "back in place" in error.message
    # It may have done its work before it failed; without a reload a file is in force while it is validated.
    assert error.taken_back == (what == "validate" or command[0] == "sh")
    assert service.switch.read_bytes() == before
    assert not [path for path in service.directory.iterdir() if path.name.startswith(".")]


async def test_what_validate_says_of_the_file_as_it_is_is_known_before_anything_is_written(
    service: TwoColors, http: Http
) -> None:
    """It came up in the middle of an action, and a way back was called ready at once until then."""
    before = service.switch.read_bytes()
    adapter = switch_of(service, http, validate=["sh", "-c", "echo 'unknown directive' >&2; exit 1"])
    (finding,) = await adapter.preflight(await adapter.observe(), GREEN)
    assert (finding.level, finding.code, finding.overridable) == ("block", "switch-validate", True)
    assert "unknown directive" in finding.text
    assert service.switch.read_bytes() == before
    assert await switch_of(service, http, validate=["true"]).preflight(await adapter.observe(), GREEN) == []


async def test_a_command_that_hangs_is_ended(service: TwoColors, http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_store, "COMMAND_TIMEOUT_S", 0.2)
    before = service.switch.read_bytes()
    assert "no end in 0.2 s" in (await error_of(switch_of(service, http, reload=["sleep", "60"]))).message
    assert service.switch.read_bytes() == before


class Killed(Exception):
    """The process that writes is gone."""


def dies(*_: Any) -> Any:
    raise Killed


@pytest.mark.parametrize("format_", ["json", "template"])
async def test_a_write_whose_commands_nobody_saw_end_is_neither_and_is_written_again(
    service: TwoColors, http: Http, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    form = {} if format_ == "json" else {"path": "t.conf", "format": "template", "template": TEMPLATE}
    ran = ["sh", "-c", "echo ran >> ran"]
    adapter = switch_of(service, http, validate=ran, reload=ran, **form)
    if form:
        subprocess.run(adapter.manual_commands(BLUE)[0], shell=True, check=True)
    before = await adapter.observe()
    with monkeypatch.context() as patch:
        patch.setattr(FileSwitch, "_run", dies)
        with pytest.raises(Killed):
            await adapter.shift(before, GREEN, stamp="A:shift", fence=1)
    armed = await switch_of(service, http, validate=ran, reload=ran, **form).observe()
    assert (armed.live, armed.stamp, armed.detail.split(":")[0]) == ("mixed", "A:shift", "ARMED")
    seen = await adapter.deployment()
    assert (seen.live, seen.health, [side.weight_pct for side in seen.colors.values()]) == (
        "unknown", "critical", [None, None]
    )  # fmt: skip
    assert seen.armed == "which side serves is not known, any reload goes to GREEN 100 %"
    assert adapter.describe_shift(armed, GREEN)[1] == "traffic  BLUE unknown → 0 %   GREEN unknown → 100 %"
    assert [finding.code for finding in await adapter.preflight(armed, GREEN)] == ["switch-armed"]
    assert (await error_of(adapter, before=before)).kind == "conflict"
    after = await adapter.shift(armed, GREEN, stamp="A:shift", fence=2)
    assert (after, after.weights, after.detail) == (await adapter.observe(), GREEN, "")
    assert (service.directory / "ran").read_text().split() == ["ran"] * 2


@pytest.mark.parametrize(("fault", "still"), [("", "mixed"), ("mv", "unknown")])
async def test_what_is_armed_says_how_to_finish_it(
    service: TwoColors, http: Http, monkeypatch: pytest.MonkeyPatch, fault: str, still: str
) -> None:
    adapter = switch_of(service, http, reload=["sh", "-c", "touch reloaded"])
    with monkeypatch.context() as patch:
        patch.setattr(FileSwitch, "_run", dies)
        with pytest.raises(Killed):
            await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    if fault:
        (service.directory / ".switch.json.pending").write_text("{")
        with pytest.raises(BackendError, match="no mark"):
            await adapter.observe()
        assert (await adapter.deployment()).truth.control.value == still
        return
    armed = await adapter.observe()
    assert armed.live == still
    with pytest.raises(BackendError, match="changed") as refused:
        await adapter.shift(replace(armed, revision="another"), BLUE, stamp="B:shift")
    for kept in (refused.value.message, str(Conflict(armed)), str(PartialWrite(armed, "no answer"))):
        assert "touch" not in kept, "what is kept in a journal outlives what the command was true of"
    subprocess.run(armed.detail.partition("Finish: ")[2], shell=True, check=True, cwd="/")
    assert ((await adapter.observe()).weights, (service.directory / "reloaded").exists()) == (GREEN, True)


async def test_a_mark_of_a_write_that_was_written_over_says_nothing(
    service: TwoColors, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = switch_of(service, http, reload=["true"])
    with monkeypatch.context() as patch:
        patch.setattr(FileSwitch, "_run", dies)
        with pytest.raises(Killed):
            await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    service.write(BLUE, generation=77)
    assert ((found := await adapter.observe()).weights, found.detail) == (BLUE, "")


async def test_a_reload_that_leaves_something_with_its_output_open_has_worked(
    service: TwoColors, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_store, "COMMAND_TIMEOUT_S", 5.0)
    adapter = switch_of(service, http, reload=["sh", "-c", "setsid sleep 20 & echo $! > child"])
    assert (await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")).weights == GREEN
    os.kill(int((service.directory / "child").read_text()), signal.SIGKILL)


async def test_a_reload_that_may_have_worked_is_reloaded_with_the_old_file_or_armed(
    service: TwoColors, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_store, "COMMAND_TIMEOUT_S", 0.3)
    once = ["sh", "-c", "test -e hung || { touch hung; exec sleep 60; }"]
    error = await error_of(adapter := switch_of(service, http, reload=once))
    assert (error.kind, error.taken_back, (await adapter.observe()).weights) == ("failed", True, BLUE)
    error = await error_of(adapter := switch_of(service, http, reload=["sleep", "60"]))
    armed = await adapter.observe()
    assert (error.kind, "ARMED" in error.message, armed.live, armed.stamp) == ("unreachable", True, "mixed", "A:shift")


@pytest.mark.parametrize("what", ["validate", "reload"])
async def test_an_edit_by_hand_before_a_command_fails_stays(service: TwoColors, http: Http, what: str) -> None:
    edit = ["sh", "-c", "sed s/switch/hand/ switch.json > new; echo >> new; mv new switch.json; exit 1"]
    error = await error_of(adapter := switch_of(service, http, **{what: edit}))
    assert (error.kind, "that stays" in error.message) == ("conflict", True)
    assert (await adapter.observe()).weights == GREEN


# ---- the disk


async def test_mode_owner_and_symbolic_link_are_kept(service: TwoColors, http: Http) -> None:
    real = service.directory / "real" / "switch.json"
    real.parent.mkdir()
    service.switch.rename(real)
    service.switch.symlink_to(real)
    real.chmod(0o640)
    if os.getuid() == 0:
        os.chown(real, 12345, 12345)
    before = real.stat()
    adapter = switch_of(service, http)
    await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    after = real.stat()
    assert service.switch.is_symlink()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino
    assert json.loads(real.read_text())["weights"] == GREEN


@pytest.mark.parametrize("failing", ["fsync", "replace", "fchmod"])
async def test_a_disk_that_fails_changes_nothing(
    service: TwoColors, http: Http, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    before = service.switch.read_bytes()
    adapter = switch_of(service, http)
    seen = await adapter.observe()
    monkeypatch.setattr(os, failing, full)
    error = await error_of(adapter, before=seen)
    monkeypatch.undo()
    assert (error.kind, "No space left" in error.message) == ("unreachable", True)
    assert service.switch.read_bytes() == before
    assert not [path for path in service.directory.iterdir() if path.name.startswith(".switch")]


@pytest.mark.parametrize("commands", [{}, {"reload": ["true"]}])
async def test_a_way_back_needs_no_room(
    service: TwoColors, http: Http, monkeypatch: pytest.MonkeyPatch, commands: dict[str, list[str]]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    adapter = switch_of(service, http, **commands)
    seen = await adapter.shift(await adapter.observe(), GREEN, stamp="A:shift")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(BackendError, match="No space left"):
        await adapter.shift(seen, BLUE, stamp="B:shift")
    back = await adapter.shift(replace(seen, over=True), BLUE, stamp="B:shift")
    assert back.weights == BLUE
    await adapter.mark_ended(back)
    monkeypatch.undo()
    assert (await adapter.observe()).ended
    assert json.loads(service.switch.read_bytes())["weights"] == BLUE
    assert (await adapter.observe()).weights == BLUE


async def test_a_way_back_from_what_was_not_in_force_stays_in_the_file(service: TwoColors, http: Http) -> None:
    """The one before would send all traffic forward with the next reload of anybody."""
    well = switch_of(service, http, reload=["true"])
    before = await well.observe()
    await well.shift(before, GREEN, stamp="A:shift")
    written = JsonForm(COLORS).read(service.switch.read_bytes())
    PendingMark(service.switch.resolve()).write(between(before, written))  # its writer died before the reload
    armed = await well.observe()
    assert armed.armed
    mute = switch_of(service, http, reload=["sh", "-c", "echo nobody there >&2; exit 1"])
    with pytest.raises(BackendError, match="nobody there") as caught:
        await mute.shift(replace(armed, over=True), BLUE, stamp="B:shift")
    assert (caught.value.kind, "ARMED" in caught.value.message) == ("unreachable", True)
    assert json.loads(service.switch.read_bytes())["weights"] == BLUE
    assert (await well.shift(replace(await well.observe(), over=True), BLUE, stamp="C:shift")).weights == BLUE


@pytest.mark.usefixtures("bound_by_modes")
async def test_a_directory_that_may_not_be_written_is_a_matter_of_rights(service: TwoColors, http: Http) -> None:
    adapter = switch_of(service, http)
    service.directory.chmod(0o500)
    try:
        assert (await error_of(adapter)).kind == "auth"
    finally:
        service.directory.chmod(0o700)


async def test_no_right_to_keep_the_owner_is_a_matter_of_rights(
    service: TwoColors, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    before = service.switch.read_bytes()
    adapter = switch_of(service, http)
    seen = await adapter.observe()
    monkeypatch.setattr(os, "fchmod", denied)
    assert (await error_of(adapter, before=seen)).kind == "auth"
    assert service.switch.read_bytes() == before


async def test_a_writer_that_keeps_the_lock_is_waited_for_and_then_named(
    service: TwoColors, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = switch_of(service, http)
    seen = await adapter.observe()
    monkeypatch.setattr(file_store, "LOCK_WAIT_S", 0.1)
    with file_store.locked(service.switch):
        error = await error_of(adapter, before=seen)
    assert (error.kind, "held by another writer" in error.message) == ("timeout", True)
    assert (await adapter.shift(seen, GREEN, stamp="A:shift")).weights == GREEN


async def test_a_file_system_without_locks_is_an_error_in_words(
    service: TwoColors, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(descriptor: int, wait_s: float) -> bool:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    adapter = switch_of(service, http)
    seen = await adapter.observe()
    monkeypatch.setattr(file_store, "lock_within", no_locks)
    error = await error_of(adapter, before=seen)
    assert (error.kind, error.message.endswith(".lock: No locks available")) == ("unreachable", True)
    assert (await adapter.observe()) == seen


async def test_a_reader_sees_the_old_or_the_new_file_and_nothing_between(service: TwoColors, http: Http) -> None:
    reader = (
        "import json, sys\n"
        f"path = {str(service.switch)!r}\n"
        "print('ready', flush=True)\n"
        "seen = 0\n"
        "while (found := json.load(open(path)))['stamp'] != 'end':\n"
        "    assert sum(found['weights'].values()) == 100\n"
        "    seen += 1\n"
        "print(seen)\n"
    )
    process = subprocess.Popen(["python3", "-W", "ignore", "-c", reader], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    adapter = switch_of(service, http)
    state = await adapter.observe()
    for number in range(60):
        stamp = "end" if number == 59 else f"A:{number}"
        state = await adapter.shift(state, GREEN if number % 2 else BLUE, stamp=stamp)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert int(output) > 0


async def test_the_layers_are_shown_as_they_are_where_they_disagree(service: TwoColors, http: Http) -> None:
    service.router_frozen = "green"
    found = await switch_of(service, http).deployment()
    assert (found.truth.control.value, found.truth.data.value, found.live) == ("blue", "green", "mixed")
    service.router_frozen, service.router_status = None, 502
    found = await switch_of(service, http).deployment()
    assert (found.truth.data.value, "502" in found.truth.data.detail) == ("unknown", True)


def test_a_link_to_nothing_stays_a_link_when_it_is_begun_by_hand(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "switch.json"
    link.symlink_to(tmp_path / "real" / "switch.json")
    config = FileSwitchConfig(path="switch.json", health=dict.fromkeys(COLORS, "http://x"))
    [begin] = FileSwitch(config, AdapterContext("s", tmp_path, tmp_path, Http())).manual_commands(GREEN)
    subprocess.run(begin, shell=True, check=True)
    assert link.is_symlink()
    assert json.loads((tmp_path / "real" / "switch.json").read_text())["weights"] == GREEN


async def test_what_a_link_leads_to_and_is_no_switch_is_never_told_to_be_overwritten(
    service: TwoColors, http: Http
) -> None:
    secret = service.directory / "shadow"
    secret.write_text("root:x:1\n")
    service.switch.unlink()
    service.switch.symlink_to(secret)
    adapter = switch_of(service, http)
    detail = (await adapter.observe()).detail
    assert f"{service.switch} is a link to {secret.resolve()}, which is no switch file" in detail.partition("\n")[0]
    command = adapter.manual_commands(GREEN)[0]
    subprocess.run(command, shell=True, check=True)
    assert secret.read_text() == "root:x:1\n"
    assert (await adapter.observe()).weights == GREEN
    assert service.switch.with_name(service.switch.name + ".aside").is_symlink(), "put aside, as a directory is"


@pytest.mark.parametrize(
    ("reload", "start"),
    [
        ("nginx -s reload", "nginx"),
        ("sudo /usr/sbin/nginx -c /etc/n.conf -s reload", "sudo /usr/sbin/nginx -c /etc/n.conf"),
        ("systemctl reload traefik", "systemctl start traefik"),
        ("sudo systemctl --user reload envoy", "sudo systemctl --user start envoy"),
        ("service nginx reload", "service nginx start"),
        ("docker exec web nginx -s reload", ""),
        ("systemctl reload-or-restart nginx", ""),
        ("nginx -t", ""),
        ("./reload.sh", ""),
        ("reload", ""),
        ("sudo", ""),
    ],
)
def test_what_a_reload_is_for_may_be_dead_and_is_started_by_the_printed_command(reload: str, start: str) -> None:
    """The way back of a dead nginx ended in `nginx -s reload`, which can only fail then."""
    assert start_of(reload.split()) == tuple(start.split())
    line = from_anywhere(Path("/etc"), reload.split())
    assert line == f"cd /etc && {f'{{ {reload} || {start}; }}' if start else reload}"


def test_manual_commands_survive_a_shell(tmp_path: Path) -> None:
    health = dict.fromkeys(COLORS, "http://x")
    config = FileSwitchConfig(path="it's here/switch.json", health=health, reload=("echo", "a b"))
    (tmp_path / "it's here").mkdir()
    adapter = FileSwitch(config, AdapterContext("s", tmp_path, tmp_path, Http()))
    first, *rest = adapter.manual_commands(GREEN)
    subprocess.run(first, shell=True, check=True)
    assert json.loads((tmp_path / "it's here" / "switch.json").read_text())["weights"] == GREEN
    assert [shlex.split(line) for line in rest] == [["cd", str(tmp_path), "&&", "echo", "a b"]]


async def test_a_file_edited_by_hand_says_how_it_is_written_anew_from_any_directory(
    service: TwoColors, http: Http
) -> None:
    form = {"path": "t.conf", "format": "template", "template": TEMPLATE}
    adapter = switch_of(service, http, reload=["sh", "-c", "touch reloaded"], **form)
    subprocess.run(adapter.manual_commands(GREEN)[0], shell=True, check=True)
    file = service.directory / "t.conf"
    file.chmod(0o640)
    file.write_text(file.read_text().replace("10.0.0.1", "10.0.0.9"))
    unknown = await adapter.observe()
    why, _, how = unknown.detail.partition("\n")
    assert (unknown.weights, "edited by hand" in why, how.split(": ")[0]) == ({}, True, "write it anew, say with BLUE")
    assert "BLUE unknown → 100 %" in adapter.describe_shift(unknown, BLUE)[1]
    assert "\n" not in (await error_of(adapter)).message
    subprocess.run(how.partition(": ")[2], shell=True, check=True, cwd="/")
    assert ((await adapter.observe()).weights, (service.directory / "reloaded").exists()) == (BLUE, True)
    assert file.stat().st_mode & 0o777 == 0o640
