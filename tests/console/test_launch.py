"""How the console starts on a terminal and how it ends: symbols, arming, clipboard, a defect without secrets."""

import os
import stat
import sys
from pathlib import Path

import pytest

from console.app import TealApp
from console.arming import IDLE_S, LONGEST_S, Arming
from console.clipboard import MAX_BYTES, copy
from console.symbols import terminal_symbols
from panels.words import ASCII, UNICODE, Symbols
from tests.console.fakes import NOW, incident


@pytest.mark.parametrize(
    ("environ", "encoding", "symbols"),
    [
        ({"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}, "utf-8", UNICODE),
        ({"TERM": "xterm-256color", "LANG": "C.UTF-8"}, "UTF8", UNICODE),
        ({"TERM": "linux", "LANG": "en_US.UTF-8"}, "utf-8", ASCII),
        ({"TERM": "dumb", "LANG": "en_US.UTF-8"}, "utf-8", ASCII),
        ({"LANG": "en_US.UTF-8"}, "utf-8", ASCII),
        ({"TERM": "xterm", "LC_ALL": "C"}, "utf-8", ASCII),
        ({"TERM": "xterm", "LANG": "de_DE.ISO-8859-1"}, "iso-8859-1", ASCII),
        ({"TERM": "xterm", "LANG": "ja_JP.UTF-8"}, "utf-8", ASCII),
    ],
)
def test_symbols_follow_terminal_and_locale(environ: dict[str, str], encoding: str, symbols: Symbols) -> None:
    assert terminal_symbols(environ, encoding) is symbols


def test_armed_ends_with_idleness_and_after_an_hour() -> None:
    now = [0.0]
    arming = Arming(lambda: now[0])
    arming.arm()
    now[0] = IDLE_S - 1
    arming.touch()
    now[0] += IDLE_S - 1
    was = arming.armed
    now[0] += 1
    arming.touch()
    assert (was, arming.armed) == (True, False), "a key after the time is up must not bring it back"
    arming.arm()
    started = now[0]
    while now[0] - started < LONGEST_S:
        assert arming.armed
        now[0] += IDLE_S / 2
        arming.touch()
    assert not arming.armed
    arming.arm()
    arming.disarm()
    assert not arming.armed


async def test_what_a_terminal_takes_is_sent_there_and_more_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path))
    sent: list[str] = []
    assert "OSC 52" in await copy("é" * (MAX_BYTES // 2), sent.append, {})
    assert sent == ["é" * (MAX_BYTES // 2)]
    said = await copy("é" * MAX_BYTES + "\nlast", sent.append, {})
    (saved,) = (tmp_path / "saved").iterdir()
    assert str(saved) in said
    assert saved.read_text().endswith("é\nlast\n")
    assert saved.stat().st_mode & 0o777 == 0o600
    assert len(sent) == 1


async def test_tmux_is_handed_the_text_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "tmux"
    fake.write_text(f'#!/bin/sh\ncat > "{tmp_path}/got"\necho "$@" > "{tmp_path}/args"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    sent: list[str] = []
    assert "tmux" in await copy("row", sent.append, {"TMUX": "/tmp/x"})
    assert not sent
    assert (tmp_path / "got").read_text() == "row"
    assert (tmp_path / "args").read_text().split() == ["load-buffer", "-w", "-"]
    fake.write_text("#!/bin/sh\nexit 1\n")
    assert "OSC 52" in await copy("row", sent.append, {"TMUX": "/tmp/x"})
    assert sent == ["row"]


async def test_a_defect_is_one_line_and_a_file_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path))
    app = TealApp(incident(), now=lambda: NOW)

    def broken() -> None:
        token = "s3cr3t-in-a-local"
        raise RuntimeError(f"s3cr3t-in-a-message {len(token)}")

    async def run() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause(0.1)
            app.call_later(broken)
            await pilot.pause(0.3)

    with pytest.raises(RuntimeError):
        await run()
    assert app.return_code == 70
    (crash,) = tmp_path.glob("crash-*.txt")
    assert stat.S_IMODE(crash.stat().st_mode) == 0o600
    said = capsys.readouterr()
    everything = crash.read_text() + said.out + said.err
    assert "s3cr3t" not in everything
    assert "broken" in crash.read_text()
    assert crash.name in said.err.replace("\n", "")


def test_panels_that_headless_tables_use_load_no_textual() -> None:
    import subprocess

    modules = "panels.columns, panels.rows, panels.sources, panels.words, panels.kinds.pipelines, panels.kinds.quality"
    more = "panels.kinds.alerts, panels.kinds.deployments, panels.kinds.checks, panels.kinds.timeline, console.launch"
    found = "any(name.split('.')[0] in ('textual', 'rich') for name in sys.modules)"
    check = f"import sys, {modules}, {more}; sys.exit({found})"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
