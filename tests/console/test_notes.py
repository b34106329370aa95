"""`teal note` and `teal completion`: words kept for the others, words completed for a shell."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from console.cli.commands import commands, teal
from console.cli.ending import run_command


@pytest.fixture(autouse=True)
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[contexts.night]\nread_only = true\n[contexts.day]\n")
    config.chmod(0o600)
    monkeypatch.setenv("TEAL_CONFIG", str(config))
    monkeypatch.setenv("TEAL_CONTEXT", "night")
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))


def test_a_note_is_in_the_audit_with_who_and_where(capsys):
    assert run_command(teal, ["note", "disk", "replaced\x1b[31m on\ndb-2"]) == 0
    assert capsys.readouterr().out.endswith(": disk replaced on db-2\n")
    assert run_command(teal, ["audit", "list", "-o", "json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)["items"]
    assert (record["kind"], record["context"], record["detail"]) == ("note", "night", "disk replaced on db-2")
    assert record["actor"]["login"]
    assert run_command(teal, ["audit", "list"]) == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert row.endswith("disk replaced on db-2")
    assert f" {record['actor']['login']}@{record['actor']['host']} " in row
    assert run_command(teal, ["audit", "verify"]) == 0


def test_what_happens_in_one_context_is_no_event_of_another(capsys):
    """Several share the journal of a host: the sandbox told of what had gone wrong in production, and put T0 there."""
    assert run_command(teal, ["note", "disk replaced", "-C", "day"]) == 0
    for context, seen in (("day", True), ("night", False)):
        for command in (["timeline", "--since", "1h"], ["report", "--since", "1h"]):
            capsys.readouterr()
            run_command(teal, [*command, "-C", context])
            assert ("disk replaced" in capsys.readouterr().out) == seen, (context, command)


def test_a_window_of_the_log_that_ends_before_it_begins_is_a_mistake(capsys):
    assert run_command(teal, ["log", "--since", "2026-01-02T12:00Z", "--until", "2026-01-02T11:00Z"]) == 2
    assert "--since is not before --until" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], [""], ["\x1b[31m", " \n"]])
def test_a_note_without_words_is_a_mistake(words, capsys):
    assert run_command(teal, ["note", *words]) == 2
    assert capsys.readouterr().out == ""
    assert run_command(teal, ["audit", "list", "-o", "jsonl"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_a_shell_is_a_script_for_teal(shell, capfd, tmp_path):
    assert run_command(teal, ["completion", shell]) == 0
    script = capfd.readouterr().out
    assert f"_TEAL_COMPLETE={shell}_complete" in script
    if program := shutil.which(shell):
        path = tmp_path / "teal-completion"
        path.write_text(script)
        subprocess.run([program, "-n", str(path)], check=True, timeout=30)


def test_a_shell_is_told_the_commands(capsys, monkeypatch):
    monkeypatch.setenv("COMP_WORDS", "teal ")
    monkeypatch.setenv("COMP_CWORD", "1")
    monkeypatch.setenv("_TEAL_COMPLETE", "bash_complete")
    with pytest.raises(SystemExit) as ending:
        teal.main([], prog_name="teal", standalone_mode=False)
    assert ending.value.code == 0
    assert capsys.readouterr().out.split() == [f"plain,{name}" for name in commands()]


def test_an_unknown_shell_is_a_mistake():
    assert run_command(teal, ["completion", "tcsh"]) == 2
