"""`python -m tests.terminal.drills` (`make drills`): each drill with exactly its documented keys, at 80×24; a table."""

import math
import os
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from docs.drills import DRILLS, FORTY, MOST_KEYS, MOST_S, ON_AWS, Drill
from tests.terminal.aws_drill import OnAws, bad_data_on_aws
from tests.terminal.conftest import TEAL, Sandbox
from tests.terminal.forty_drill import Forty, forty_red_rows
from tests.terminal.harness import Terminal

COLUMNS, ROWS = 80, 24
LATE_S = 60.0  # a fault shows with the next read of its source, and a busy machine draws late
_STROKES = {"Enter": "\r", "Tab": "\t", "Esc": "\x1b"}
_TAKEN = {"deploy": (8, 6), "sandbox": (0,)}
_SHIFTING = ("preflight", "deploy", "health", "smoke", "shift", "verify")


def inject(sandbox: Sandbox, drill: Drill) -> None:
    """Give its commands, one after the other; a second one waits until what the first began bakes."""
    for number, command in enumerate(drill.inject):
        if number and (begun := _open_action(sandbox)) is not None:
            _until_it_bakes(sandbox, begun["id"])
        if command == "kill":
            begun = _open_action(sandbox)
            assert begun is not None, "the action has ended before its runner could be killed"
            os.kill(begun["owner"]["pid"], signal.SIGKILL)
        else:
            words = shlex.split(command)[1:]
            sandbox.teal(*words, code=_TAKEN[words[0]][min(number, 1) if words[0] == "deploy" else 0])


def play(sandbox: Sandbox | OnAws | Forty, drill: Drill) -> float:
    """Type its keys; the seconds from the first one to the answer. Raises AssertionError where a key brings something
    else."""
    with Terminal([TEAL], sandbox.env, columns=COLUMNS, rows=ROWS) as screen:
        screen.shows(*drill.before, timeout_s=LATE_S)
        screen.settle()
        began = time.monotonic()
        for key in drill.keys:
            screen.send(_STROKES.get(key.typed, key.typed))
            if key.shows:
                screen.shows(*key.shows, timeout_s=LATE_S)
            else:
                screen.settle()
            screen.rest(key.read_s)
        return time.monotonic() - began


def clear(sandbox: Sandbox) -> None:
    """Make everything well again: no fault, and traffic back where an action of the drill left it elsewhere."""
    sandbox.teal("sandbox", "fix")
    if _open_action(sandbox) is not None or live(sandbox) != "blue":
        sandbox.teal("deploy", "rollback", "analytics", "-C", "sandbox", "-y")


def live(sandbox: Sandbox) -> str:
    """The color that has the traffic."""
    weights: dict[str, int] = msgspec.json.decode(sandbox.switch)["weights"]
    return next(color for color, weight in weights.items() if weight == 100)


def _open_action(sandbox: Sandbox) -> dict[str, Any] | None:
    items = msgspec.json.decode(sandbox.teal("action", "list", "--open", "-o", "json"))["items"]
    return items[0] if items else None


def _until_it_bakes(sandbox: Sandbox, action_id: str) -> None:
    ends = time.monotonic() + LATE_S
    while (found := msgspec.json.decode(sandbox.teal("action", "show", action_id, "-o", "json"))["items"][0])[
        "phase"
    ] in _SHIFTING:
        assert time.monotonic() < ends, found


def main() -> int:
    """All of them on a sandbox of their own, that is as `teal sandbox start` makes it."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="teal-drills-") as state:
        sandbox = Sandbox(Path(state))
        sandbox.teal("sandbox", "start")
        try:
            sys.stdout.write(f"{'':5} {'drill':32} {'keys':24} {'count':>5} {'seconds':>8}\n")
            for drill in DRILLS:
                failed += not _said(sandbox, drill)
            with bad_data_on_aws(sandbox.state, sandbox.env) as platform:
                failed += not _played(platform, ON_AWS)
            with forty_red_rows(sandbox) as rows:
                failed += not _played(rows, FORTY)
        finally:
            sandbox.teal("sandbox", "stop")
    return 1 if failed else 0


def _said(sandbox: Sandbox, drill: Drill) -> bool:
    """Break it, play it, and make all well again; whether it was well."""
    try:
        inject(sandbox, drill)
        return _played(sandbox, drill)
    except AssertionError as failure:
        sys.stdout.write(f"DEAD  {drill.name}: {failure}\n")
        return False
    finally:
        clear(sandbox)


def _played(where: Sandbox | OnAws | Forty, drill: Drill) -> bool:
    """Play it and write its line; whether it was well."""
    took, wrong = math.nan, ""
    try:
        took = play(where, drill)
    except AssertionError as failure:
        wrong = str(failure)
    well = not wrong and drill.strokes <= MOST_KEYS and took <= MOST_S
    verdict = "ok" if well else "DEAD" if wrong else "OVER"
    sys.stdout.write(f"{verdict:5} {drill.name:32} {drill.typed:24} {drill.strokes:5} {took:8.1f}\n{wrong}")
    sys.stdout.flush()
    return well


if __name__ == "__main__":
    sys.exit(main())
