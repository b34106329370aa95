"""The drills of docs/drills.md, played on a sandbox of their own: something breaks; the screen says what and where."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.terminal.conftest import TEAL, Opener, Sandbox

pytestmark = pytest.mark.xdist_group("drills")
LONG_S = 60.0  # a busy machine draws late; nothing here is about speed
ANEW = ("--override", "rejected", "--reason", "a drill")  # of the version that an earlier drill has found bad


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    found = Sandbox(tmp_path_factory.mktemp("drills"))
    found.teal("sandbox", "start")
    yield found
    found.teal("sandbox", "stop")


@pytest.fixture
def broken(sandbox: Sandbox) -> Iterator[Sandbox]:
    yield sandbox
    sandbox.teal("sandbox", "fix")


@pytest.fixture
def long_bake(sandbox: Sandbox) -> str:
    """The sandbox's own config, with time to break something while a flip is watched."""
    config = sandbox.state / "sandbox" / "config.toml"
    text = config.read_text()
    assert 'bake = "2s"' in text
    copy = config.with_name("drill.toml")
    copy.write_text(text.replace('bake = "2s"', 'bake = "10m"'))
    copy.chmod(0o600)
    return str(copy)


def action_of(sandbox: Sandbox, *words: str, code: int) -> dict[str, Any]:
    document = msgspec.json.decode(sandbox.teal(*words, "-o", "json", code=code))
    items: list[dict[str, Any]] = document["items"]
    return items[0]


def live(sandbox: Sandbox) -> str:
    weights: dict[str, int] = msgspec.json.decode(sandbox.switch)["weights"]
    return next(color for color, weight in weights.items() if weight == 100)


def test_a_task_fails(broken: Sandbox, console: Opener) -> None:
    broken.teal("sandbox", "break", "failing-task")
    with console() as screen:
        screen.shows("production_data_pipeline", "validate_transactions_data", timeout_s=LONG_S)
        screen.send("1\r")
        screen.shows("validate_transactions_data", "failed", timeout_s=LONG_S)


def test_bad_data_behind_a_green_run(broken: Sandbox, console: Opener) -> None:
    broken.teal("sandbox", "break", "bad-data")
    with console() as screen:
        screen.shows("transactions", "< 0.80", "DataQualityDegradation", timeout_s=LONG_S)
        screen.send("2\r")
        screen.shows("transactions", "transaction_amount", timeout_s=LONG_S)


def test_a_bad_release_before_a_flip(broken: Sandbox, console: Opener) -> None:
    broken.teal("sandbox", "break", "bad-release")
    before = broken.switch
    with console() as screen:
        screen.shows("Deployments", "analytics", timeout_s=LONG_S)
        screen.send("4")
        screen.hides("1 Pipelines", timeout_s=LONG_S)
        screen.shows("down", timeout_s=LONG_S)
        screen.send("x")
        screen.shows("GREEN is not healthy", timeout_s=LONG_S)
    action_of(broken, "deploy", "flip", "analytics", "-y", code=3)
    assert broken.switch == before


def test_a_bad_release_after_a_flip_goes_back_by_itself(broken: Sandbox, long_bake: str) -> None:
    before = live(broken)
    begun = action_of(broken, "deploy", "flip", "analytics", "-y", "-c", long_bake, "--detach", code=8)
    wait_for(broken, begun["id"], "bake")
    broken.teal("sandbox", "break", "crash-color:live")
    ended = action_of(broken, "action", "watch", begun["id"], "-c", long_bake, code=1)
    assert (ended["status"], live(broken)) == ("rolled_back", before)


def test_a_slow_color_is_said(broken: Sandbox, console: Opener) -> None:
    broken.teal("sandbox", "break", "slow-color")
    with console() as screen:
        screen.shows("over 500ms", timeout_s=LONG_S)


def test_a_dead_backend_is_never_green(broken: Sandbox, console: Opener) -> None:
    broken.teal("sandbox", "break", "dead-backend")
    with console() as screen:
        screen.shows("? scores", "? rules", timeout_s=LONG_S)  # stale, or without data where nothing was read before
        screen.send("s")
        screen.shows("Sources", "scores", timeout_s=LONG_S)


def test_five_thousand_alerts_are_one_row(broken: Sandbox, console: Opener) -> None:
    broken.teal("sandbox", "break", "alert-flood")
    with console() as screen:
        screen.shows("DeadLetters ×5000", timeout_s=LONG_S)
        screen.send("3")
        screen.shows("DeadLetters", timeout_s=LONG_S)


def test_of_two_operators_one_wins_and_the_other_is_told(sandbox: Sandbox, long_bake: str) -> None:
    words = [TEAL, "deploy", "flip", "analytics", "-y", *ANEW, "-c", long_bake, "--detach", "-o", "json"]
    both = [subprocess.Popen(words, env=sandbox.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) for _ in "ab"]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert sorted(process.returncode for process in both) == [6, 8]
    (lost,) = (text for process, text in zip(both, said, strict=True) if process.returncode == 6)
    error = msgspec.json.decode(lost)["items"][0]["error"]
    assert ("flip" in error["message"], f"teal -c {long_bake} action watch" in error["fix"]) == (True, True)
    action_of(sandbox, "deploy", "rollback", "analytics", "-y", "-c", long_bake, code=0)


def test_a_killed_runner_is_seen_and_taken_over(sandbox: Sandbox, long_bake: str, console: Opener) -> None:
    before = live(sandbox)
    begun = action_of(sandbox, "deploy", "flip", "analytics", "-y", *ANEW, "-c", long_bake, "--detach", code=8)
    wait_for(sandbox, begun["id"], "bake")
    owner = action_of(sandbox, "action", "show", begun["id"], code=0)["owner"]
    os.kill(owner["pid"], signal.SIGKILL)
    with console() as screen:
        screen.shows("flip analytics", timeout_s=LONG_S)
    ended = action_of(sandbox, "deploy", "rollback", "analytics", "-y", "-c", long_bake, code=0)
    assert (ended["status"], live(sandbox)) == ("rolled_back", before)


def wait_for(sandbox: Sandbox, action_id: str, phase: str) -> None:
    for _ in range(120):
        if action_of(sandbox, "action", "show", action_id, code=0)["phase"] == phase:
            return
    raise AssertionError(f"{action_id} never came to {phase}")


def test_the_page_names_every_fault() -> None:
    from console.sandbox.control import FAULTS

    page = (Path(__file__).parents[2] / "docs" / "drills.md").read_text()
    assert [fault for fault in FAULTS if f"`teal sandbox break {fault}" not in page] == []
