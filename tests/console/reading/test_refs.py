"""What is not there, and what only may be: a source that was not heard of is never "not found"."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from console.cli.commands import teal
from console.cli.ending import run_command
from console.errors import CommandError
from console.ports.store import Snapshot, SourceError, SourceKey
from console.reading.refs import find
from console.screens.about import command_of
from tests.console.fakes import alert
from tests.live.process import free_port


@dataclass(frozen=True)
class Thing:
    ref: str


THINGS = [Thing("airflow/dag/1"), Thing("airflow/dag/2")]
ANSWERED = Snapshot(key=SourceKey("pipelines", "airflow"), type="airflow", fetched_at=datetime.now(UTC))
SILENT = Snapshot(key=SourceKey("pipelines", "actions"), type="github")
LOST = Snapshot(
    key=SourceKey("pipelines", "glue"), type="glue", error=SourceError("auth", "token expired", "renew it")
)  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "sources", "exit_code", "words"),
    [
        ("gone", [ANSWERED], 5, 'no run "gone"'),
        ("gone", [ANSWERED, SILENT], 7, "pipelines.actions did not: no answer in time"),
        ("gone", [ANSWERED, LOST], 4, "pipelines.glue did not: token expired"),
        ("airflow/gone", [ANSWERED, LOST], 5, 'no run "airflow/gone"'),
        ("glue/gone", [ANSWERED, SILENT, LOST], 4, "token expired"),
        ("airflow/dag", [ANSWERED, LOST], 5, "means 2 runs"),
    ],
)
def test_only_a_source_that_answered_can_say_that_something_is_not_there(
    wanted: str, sources: list[Snapshot], exit_code: int, words: str
) -> None:
    with pytest.raises(CommandError, match=words) as no:
        find(THINGS, wanted, "run", sources)
    assert no.value.exit_code == exit_code


def test_what_was_found_is_found_whoever_is_lost() -> None:
    assert find(THINGS, "airflow/dag/1", "run", [ANSWERED, LOST, SILENT]) is THINGS[0]


@pytest.fixture
def one_of_two_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"""
default_context = "c"
[contexts.c]
[[contexts.c.pipelines]]
name = "here"
type = "local"
history = "sqlite:///runs.db"
logs = "logs"
[[contexts.c.pipelines.dags]]
name = "nightly"
tasks = [{{ name = "one", command = ["true"] }}]
[[contexts.c.pipelines]]
name = "lost"
type = "airflow"
url = "http://127.0.0.1:{free_port()}"
""")
    config.chmod(0o600)
    monkeypatch.setenv("TEAL_CONFIG", str(config))
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))


@pytest.mark.usefixtures("one_of_two_lost")
@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["run", "show", "nightly@failed"], 7, "pipelines.lost did not"),
        (["run", "show", "lost/nightly/1"], 7, "refused"),
        (["run", "show", "here/nightly/1"], 5, 'no run "here/nightly/1"'),
        (["run", "trigger", "here/nightly", "--dry-run"], 0, ""),
        (["run", "trigger", "nightly", "--dry-run"], 7, "whether lost has nightly is not known"),
        (["run", "trigger", "lost/nightly", "--dry-run"], 7, "refused"),
        (["run", "trigger", "here/other", "--dry-run"], 5, "there are: here/nightly"),
    ],
)
def test_a_lost_backend_is_in_the_way_of_nothing_that_is_named_whole(
    arguments: list[str], exit_code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(teal, arguments) == exit_code
    assert words in capsys.readouterr().err


ALERTS = [
    alert("DataQualityDegradation", "critical", 5, labels={"dataset": "customers", "team": "data"}, fingerprint="1a74"),
    alert("DataQualityDegradation", "critical", 5, labels={"dataset": "invoices", "team": "data"}, fingerprint="4488"),
    alert("InstanceDown", "critical", 5, labels={"instance": "db-1"}, fingerprint="ef1d"),
]


@pytest.mark.parametrize("wanted", ["am/ef1d", "ef1d", "ef", "InstanceDown", "Instance"])
def test_an_alert_goes_by_its_ref_its_name_or_what_either_begins_with(wanted: str) -> None:
    assert find(ALERTS, wanted, "alert") is ALERTS[2]


@pytest.mark.parametrize("wanted", ["DataQualityDegradation", "Data"])
def test_several_of_one_name_are_told_apart_by_the_labels_that_differ(wanted: str) -> None:
    with pytest.raises(CommandError) as no:
        find(ALERTS, wanted, "alert")
    assert no.value.exit_code == 5
    for words in (
        "DataQualityDegradation dataset=customers am/1a74",
        "DataQualityDegradation dataset=invoices am/4488",
    ):
        assert words in no.value.fix
    assert "team" not in no.value.fix


def test_a_whole_name_is_not_the_beginning_of_another() -> None:
    both = [*ALERTS, alert("InstanceDownLong", "critical", 5, fingerprint="0000")]
    assert find(both, "InstanceDown", "alert") is ALERTS[2]


def test_what_is_not_there_is_answered_with_names() -> None:
    with pytest.raises(CommandError) as no:
        find(ALERTS, "gone", "alert")
    assert "InstanceDown" in no.value.fix


def test_a_copied_command_is_quoted() -> None:
    named = replace(alert("A", "critical", 5), ref="-am/$(id)")
    assert command_of(named, "p d") == "teal -C 'p d' alert show -- '-am/$(id)'"


def test_an_option_that_other_tools_call_otherwise_is_told_by_our_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(teal, ["alert", "silence", "-m", "a=b", "--comment", "x"]) == 2
    assert "Did you mean '--reason'?" in capsys.readouterr().err
    assert run_command(teal, ["--help"]) == 0
    assert "silences" in capsys.readouterr().out
