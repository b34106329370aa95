"""Every command of the tree: it has the options that all have, and what it prints as JSON is what `teal schema` says.

A command that is new has to be written down here, with a call that prints its document.
"""

import json
from collections.abc import Iterator
from typing import Any

import click
import msgspec
import pytest

from actions.journal.rows import ORDERS
from backends import registry
from console.cli.commands import teal
from console.cli.ending import run_command
from console.cli.schema import document_schema, items, kinds, status_items
from console.printing.output import SCHEMA_PREFIX, Document, status_shape
from console.sandbox import control, faults
from console.sandbox.load import LoadReport
from tests.console import fixed_adapters

COMMON = {
    "config", "context", "output", "fields", "limit", "watch", "no_color", "timeout", "strict", "quiet", "verbose",
}  # fmt: skip
WRITING = {
    "dry_run", "plan_hash", "yes", "confirm", "reason", "override", "detach", "foreground", "idempotency_key",
    "wait_timeout",
}  # fmt: skip
# They print a text of another language, and know no context.
WITHOUT_OPTIONS = {"schema", "config schema", "completion"}
LOCAL = """
[[contexts.production.pipelines]]
name = "dags"
type = "local"
history = "sqlite:///runs.db"
logs = "logs"
dags = [{ name = "nightly", tasks = [{ name = "one", command = ["true"] }] }]
"""
EMPTY_HERE = ("error", "alert.silences", "deploy.history")
# Command, kind of document, exit code, arguments. `error` for those that find nothing to do in this world.
CALLS: dict[str, tuple[str, int, list[str]]] = {
    "status": ("status", 0, []),
    "check": ("check", 2, []),
    "open": ("alert.show", 0, ["am/42"]),
    "run list": ("run.list", 0, []),
    "run show": ("run.show", 0, ["airflow/production"]),
    "run log": ("run.log", 0, ["customer_360@latest"]),
    "run trigger": ("action", 0, ["nightly", "--dry-run"]),
    "run retry": ("error", 5, ["nothing"]),
    "run cancel": ("error", 5, ["nothing"]),
    "run approve": ("error", 5, ["nothing"]),
    "run pause": ("action", 0, ["nightly", "--dry-run"]),
    "run unpause": ("action", 0, ["nightly", "--dry-run"]),
    "quality list": ("quality.list", 0, []),
    "quality show": ("quality.show", 0, ["transactions"]),
    "alert list": ("alert.list", 0, []),
    "alert show": ("alert.show", 0, ["42"]),
    "alert ack": ("error", 2, ["42"]),
    "alert silence": ("error", 2, ["42"]),
    "alert extend": ("error", 2, ["42"]),
    "alert unsilence": ("error", 2, ["42"]),
    "alert snooze": ("error", 2, ["42"]),
    "alert resolve": ("error", 2, ["42"]),
    "alert escalate": ("error", 2, ["42"]),
    "alert reassign": ("error", 2, ["42", "--to", "bob"]),
    "alert note": ("error", 2, ["42", "on it"]),
    "alert silences": ("alert.silences", 0, []),
    "deploy status": ("deploy.status", 0, []),
    "deploy flip": ("error", 5, ["nothing"]),
    "deploy release": ("error", 5, ["nothing", "--version", "2.4.1"]),
    "deploy retire": ("error", 5, ["nothing"]),
    "deploy rollback": ("error", 5, ["nothing"]),
    "deploy promote": ("error", 5, ["nothing"]),
    "deploy abort": ("error", 5, ["nothing"]),
    "deploy retry": ("error", 5, ["nothing"]),
    "deploy pause": ("error", 5, ["nothing"]),
    "deploy resume": ("error", 5, ["nothing"]),
    "deploy restart": ("error", 5, ["nothing"]),
    "deploy freeze": ("error", 5, ["nothing"]),
    "deploy unfreeze": ("error", 5, ["nothing"]),
    "deploy reject": ("error", 5, ["nothing", "2.5.0"]),
    "deploy accept": ("error", 5, ["nothing", "2.5.0"]),
    "deploy history": ("deploy.history", 0, []),
    "log": ("log", 0, []),
    "trace list": ("trace.list", 0, ["--since", "9000d"]),
    "trace show": ("trace.show", 0, ["a" * 32]),
    "error list": ("error.list", 0, []),
    "error show": ("error.show", 0, ["sentry/ANALYTICS-7"]),
    "oncall": ("oncall", 0, []),
    "action list": ("action.list", 0, []),
    "action show": ("action", 0, ["ACTION"]),
    "action watch": ("action", 0, ["ACTION"]),
    **{f"action {word}": ("action", 3, ["ACTION", "--dry-run"]) for word in ORDERS},
    "note": ("note", 0, ["disk replaced"]),
    "report": ("report", 0, ["--handover"]),
    "timeline": ("timeline", 0, ["--since", "9000d"]),
    "audit list": ("audit.list", 0, []),
    "audit verify": ("audit.verify", 0, []),
    "audit export": ("audit.export", 0, []),
    "context list": ("context.list", 0, []),
    "context show": ("context.show", 0, []),
    "config init": ("config.init", 0, ["-c", "new/config.toml"]),
    "config validate": ("config.validate", 7, []),
    "config show": ("config.show", 0, []),
    "doctor": ("doctor", 0, []),
    "plugins": ("plugins", 0, []),
    "sandbox start": ("sandbox.status", 0, []),
    "sandbox stop": ("sandbox", 0, []),
    "sandbox status": ("sandbox.status", 0, []),
    "sandbox reset": ("sandbox.status", 0, []),
    "sandbox break": ("sandbox", 0, ["bad-data"]),
    "sandbox fix": ("sandbox", 0, []),
    "sandbox load": ("sandbox.load", 0, []),
}


def leaves(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None, f"{path} {name}"
        yield from leaves(inner, f"{path} {name}".lstrip())


TREE = dict(leaves(teal))


@pytest.fixture
def world(tmp_path, monkeypatch):
    config = tmp_path / "config.toml"
    config.write_text(fixed_adapters.CONFIG.replace("protected = true", "") + LOCAL)
    config.chmod(0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEAL_CONFIG", str(config))
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(registry, "ADAPTERS", {**registry.ADAPTERS, **fixed_adapters.ADAPTERS})
    info = control.SandboxInfo(
        pid=1, boot_id="b", version="0", url="http://127.0.0.1:1", config="c", started_at="2026-11-21T13:02:31Z"
    )
    report = LoadReport(requests=2, errors=0, by_color={"blue": 2}, p95_ms=1.5, seconds=1.0, reasons={})
    answers = {"ensure_running": info, "running": info, "reset": info, "stop": True, "load": report}
    for place, found in ((control, answers), (faults, {"inject": "broken", "fix": "fixed"})):
        for name, answer in found.items():
            monkeypatch.setattr(place, name, lambda *_, answer=answer, **__: answer)


def an_action(capsys: pytest.CaptureFixture[str]) -> str:
    assert run_command(teal, ["run", "pause", "nightly", "-y", "--foreground", "-o", "json"]) == 0
    found: str = json.loads(capsys.readouterr().out)["items"][0]["id"]
    return found


def as_printed(value: Any) -> Any:
    return json.loads(msgspec.json.encode(value))


def test_every_command_is_called_here_and_no_other():
    assert set(CALLS) == set(TREE) - WITHOUT_OPTIONS


@pytest.mark.parametrize("name", sorted(set(TREE) - WITHOUT_OPTIONS))
def test_a_command_has_the_options_that_all_have(name):
    options = {option.name: option for option in TREE[name].params}
    assert set(options) >= COMMON
    assert {"json", "jsonl"} <= set(options["output"].type.choices)
    assert not WRITING & set(options) or set(options) >= WRITING
    assert TREE[name].help, "a line of help"


def test_what_needs_a_confirmation_is_what_changes_something():
    writing = {name for name in TREE if "dry_run" in {option.name for option in TREE[name].params}}
    assert writing == {
        *(f"run {word}" for word in ("trigger", "retry", "cancel", "approve", "pause", "unpause")),
        *(f"alert {word}" for word in ("ack", "silence", "extend", "unsilence")),
        *(f"alert {word}" for word in ("snooze", "resolve", "escalate", "reassign", "note")),
        *(
            f"deploy {word}"
            for word in ("flip", "release", "rollback", "retire", "freeze", "unfreeze", "reject", "accept")
        ),
        *(f"deploy {word}" for word in ("promote", "abort", "retry", "pause", "resume", "restart")),
        *(f"action {word}" for word in ORDERS),
    }


@pytest.mark.parametrize("name", CALLS)
def test_its_json_is_what_the_schema_says(name, world, capsys, monkeypatch):
    kind, expected_code, arguments = CALLS[name]
    if name.startswith(("action", "audit")):
        done = an_action(capsys)
        arguments = [done if word == "ACTION" else word for word in arguments]
    call = [*name.split(), "-o", "json", *arguments]
    monkeypatch.setattr("sys.argv", ["teal", *call])
    code = run_command(teal, call)
    printed = capsys.readouterr().out
    document = json.loads(printed)
    assert (code, document["schema"]) == (expected_code, SCHEMA_PREFIX + kind), printed
    shape: type = status_shape() if kind == "status" else Document
    lists = status_items() if kind == "status" else {"items": items()[kind]}
    envelope = msgspec.convert(document, shape, strict=True)
    assert as_printed(envelope) == document, "no key more, no key less"
    properties = document_schema(kind)["$defs"][shape.__name__]["properties"]
    assert set(properties) == set(document)
    for key, item in lists.items():
        assert properties[key]["type"] == "array"
        for each in document[key]:
            assert as_printed(msgspec.convert(each, item)) == each
    if kind not in EMPTY_HERE:
        assert all(document[key] for key in lists if key not in ("actions", "on")), (
            "without items it proves nothing of them"
        )


def test_every_kind_has_a_schema_and_the_list_names_it(capsys):
    assert run_command(teal, ["schema"]) == 0
    assert capsys.readouterr().out.split() == list(kinds())
    for kind in kinds():
        assert run_command(teal, ["schema", SCHEMA_PREFIX + kind]) == 0
        found = json.loads(capsys.readouterr().out)
        envelope = found["$defs"][found["$ref"].rpartition("/")[2]]
        assert envelope["properties"]["schema"] == {"const": SCHEMA_PREFIX + kind}
    assert {kind for kind, _, _ in CALLS.values()} == set(kinds())
    assert run_command(teal, ["schema", "nothing"]) == 5


def with_one_empty(command: click.Command, empty: click.Parameter) -> list[str]:
    """The words of a call in which `empty` is there, and says nothing."""
    words: list[str] = []
    for param in command.params:
        if isinstance(param, click.Argument):
            some = param.type.choices[0] if isinstance(param.type, click.Choice) else "x"
            words.append("" if param is empty else some)
        elif param is empty or param.required:
            words += [param.opts[-1], "" if param is empty else "1"]
    return words


EMPTY = {
    f"{name} {param.name}": [*name.split(), *with_one_empty(command, param)]
    for name, command in leaves(teal)
    if name not in WITHOUT_OPTIONS
    for param in command.params
    if param.type is click.STRING
} | {"root config": ["-c", "", "status"], "root context": ["-C", "", "deploy", "flip", "x"]}


@pytest.mark.parametrize("arguments", EMPTY.values(), ids=EMPTY.keys())
def test_a_variable_of_a_script_that_is_unset_lifts_no_limit(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """`--plan-hash "$H"` with an empty H moved the traffic."""
    wrong = 3 if arguments[0] == "check" else 2  # whoever calls that takes 2 for critical
    assert run_command(teal, arguments) == wrong
    assert "it is empty" in capsys.readouterr().err


def test_those_that_set_a_limit_are_among_them() -> None:
    assert {"deploy flip plan_hash", "deploy rollback confirm", "status context"} <= EMPTY.keys()
