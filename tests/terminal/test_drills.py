"""The drills of docs/drills.md, played with exactly its keys at 80×24: the screen says what broke and where."""

import shlex
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from docs.drills import ANEW, DRILLS, FLIP, MOST_KEYS, Drill
from tests.terminal.conftest import TEAL, Sandbox
from tests.terminal.drills import clear, inject, live, play
from tests.terminal.harness import Terminal

pytestmark = pytest.mark.xdist_group("drills")
LONG_S = 60.0  # a busy machine draws late; `make drills` is about speed


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    found = Sandbox(tmp_path_factory.mktemp("drills"), bake="2m")
    found.teal("sandbox", "start")
    yield found
    found.teal("sandbox", "stop")


@pytest.fixture
def broken(sandbox: Sandbox) -> Iterator[Sandbox]:
    yield sandbox
    clear(sandbox)


def drill_of(name: str) -> Drill:
    return next(drill for drill in DRILLS if drill.name == name)


def action_of(sandbox: Sandbox, *words: str, code: int) -> dict[str, Any]:
    document = msgspec.json.decode(sandbox.teal(*words, "-o", "json", code=code))
    items: list[dict[str, Any]] = document["items"]
    return items[0]


@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.name)
def test_a_drill_is_played_with_its_documented_keys(drill: Drill, broken: Sandbox) -> None:
    inject(broken, drill)
    play(broken, drill)
    assert drill.strokes <= MOST_KEYS


def test_a_bad_release_is_refused_on_the_command_line_too(broken: Sandbox) -> None:
    inject(broken, drill_of("A bad release before a flip"))
    action_of(broken, "deploy", "flip", "analytics", "-y", code=3)
    assert live(broken) == "blue"


def test_a_bad_release_after_a_flip_goes_back_by_itself(broken: Sandbox) -> None:
    flip = drill_of("A bad release after a flip").inject[0]
    begun = action_of(broken, *shlex.split(f"{flip} {ANEW}")[1:], code=8)
    wait_for(broken, begun["id"], "bake")
    broken.teal("sandbox", "break", "crash-color:live")
    ended = action_of(broken, "action", "watch", begun["id"], code=1)
    assert (ended["status"], live(broken)) == ("rolled_back", "blue")


def test_of_two_operators_the_other_is_told(broken: Sandbox) -> None:
    words = shlex.split(f"{FLIP} {ANEW}")[1:]
    action_of(broken, *words, code=8)
    error = action_of(broken, *words, code=6)["error"]
    assert ("flip" in error["message"], "teal -C sandbox action watch" in error["fix"]) == (True, True)


def test_a_killed_runner_rings_the_terminal_once_and_is_taken_over(broken: Sandbox) -> None:
    inject(broken, drill_of("The runner is killed"))
    told = b"\x1b]777;notify;teal;sandbox: flip analytics: nobody runs it\a"
    with Terminal([TEAL], broken.env, columns=80, rows=24) as screen:
        screen.until(lambda: told in screen.raw, LONG_S)
        screen.rest(2.5)
        assert screen.raw.count(told) == 1
        assert screen.raw.count(b"\x1b]9;teal sandbox: flip analytics: nobody runs it\a") == 1
    ended = action_of(broken, "deploy", "rollback", "analytics", "-y", code=0)
    assert (ended["status"], live(broken)) == ("rolled_back", "blue")


def wait_for(sandbox: Sandbox, action_id: str, phase: str) -> None:
    for _ in range(120):
        if action_of(sandbox, "action", "show", action_id, code=0)["phase"] == phase:
            return
    raise AssertionError(f"{action_id} never came to {phase}")


def test_the_drills_break_everything_that_can_be_broken() -> None:
    from console.sandbox.control import FAULTS

    injected = " ".join(command for drill in DRILLS for command in drill.inject)
    assert [fault for fault in FAULTS if f"teal sandbox break {fault}" not in injected] == []
