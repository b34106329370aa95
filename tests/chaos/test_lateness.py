"""When a round is played once more, and what is never excused."""

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.chaos import lateness, playing
from tests.chaos.harness import Bench, Outcome
from tests.chaos.lateness import LATE_S, Clock, TooLate
from tests.chaos.playing import Table, play
from tests.chaos.rounds import FAULTS

WELL = (FAULTS[0], Outcome("", "resume", "succeeded", 10, 0, 1.0))


@pytest.mark.parametrize(
    ("came", "late_s", "counts"),
    [
        ([WELL], 1.0, (0, 0, 0)),
        ([TooLate("6 s"), WELL], 1.0, (0, 1, 0)),
        ([TooLate("6 s"), TooLate("7 s")], 1.0, (0, 1, 1)),
        ([TooLate("6 s"), AssertionError("lost a request")], 1.0, (1, 1, 0)),
        ([AssertionError("wrong side")], 1.0, (1, 0, 0)),
        ([TooLate("6 s")], LATE_S / 2, (1, 0, 0)),
    ],
    ids=["well", "well then", "too slow", "lost then", "wrong side", "in time"],
)
async def test_only_a_promise_in_seconds_on_a_late_machine_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, came: list[Any], late_s: float, counts: tuple[int, int, int]
) -> None:
    left = list(came)

    async def round_(*_: object) -> Any:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(playing.rounds, "play", round_)
    monkeypatch.setattr(Clock, "late_s", property(lambda self: late_s, lambda self, _: None), raising=False)
    table = Table("file-switch")
    await play(table, cast("Bench", SimpleNamespace(targets=None)), tmp_path, [1], 1, 1.0)
    assert (len(table.broken), table.again, table.slow, left) == (*counts, [])
    assert f"1 rounds, {counts[0]} violations; {counts[1]} played again" in table.lines()[0]


def test_a_tick_that_comes_late_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    came = threading.Event()

    def sleeps_too_long(seconds: float) -> None:
        came.wait(seconds + 2 * LATE_S)

    monkeypatch.setattr(lateness, "time", SimpleNamespace(**{**vars(time), "sleep": sleeps_too_long}))
    with Clock() as clock:
        until = time.monotonic() + 60
        while not clock.is_late and time.monotonic() < until:
            came.wait(0.01)
        assert clock.is_late
