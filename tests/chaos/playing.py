"""Plays rounds of a seed on one switch, and counts what became of them."""

import asyncio
import contextlib
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from msgspec import Struct, field

from tests.chaos import rounds
from tests.chaos.benches import BENCHES
from tests.chaos.harness import Bench, Outcome
from tests.chaos.lateness import Clock, TooLate
from tests.chaos.rounds import Fault
from tests.chaos.stage import Stage

COLD_EVERY = 25
"""Of so many rounds the first has new interpreters for runners; those of the others are forked (`tests.warm`)."""


class Table(Struct):
    """What became of the rounds of one switch. `ends`: how often each kind ended so; `missing`: why none was played;
    `late_ms`: how late the machine was, of each round; `again`: the rounds that were played once more because a promise
    in seconds was broken on a late machine, and `slow` those of them where it was so again."""

    switch: str
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    asked: int = 0
    lost: int = 0
    minutes: float = 0.0
    late_ms: list[int] = field(default_factory=list)
    again: int = 0
    slow: int = 0
    missing: str = ""

    def add(self, other: "Table") -> None:
        """What another process has played of the same switch."""
        self.ends += other.ends
        self.broken += other.broken
        self.asked, self.lost = self.asked + other.asked, self.lost + other.lost
        self.late_ms += other.late_ms
        self.again, self.slow = self.again + other.again, self.slow + other.slow
        self.minutes = max(self.minutes, other.minutes)
        self.missing = self.missing or other.missing

    def lines(self) -> list[str]:
        """For a person."""
        if self.missing:
            return [f"{self.switch}: not run: {self.missing}"]
        kinds = [f"  {kind:16} {status:14} {times:5}" for (kind, status), times in sorted(self.ends.items())]
        count = self.ends.total() + self.slow + len(self.broken)
        late = sorted(self.late_ms) or [0]
        said = [
            f"{count} rounds, {len(self.broken)} violations",
            f"{self.again} played again on a late machine, {self.slow} of them: machine too slow",
            f"late by {late[len(late) // 2]} ms (half of the rounds), {late[-1]} ms at most",
            f"{self.asked} requests, {self.lost} lost with a dead side",
            f"{self.minutes:.0f} min",
        ]
        return [f"{self.switch}: {'; '.join(said)}", *kinds, *self.broken]


class Player:
    """Plays rounds of a seed on one bench, its journals in `directory`, and counts them in `table`."""

    def __init__(self, table: Table, bench: Bench, directory: Path, seed: int) -> None:
        self._table, self._bench, self._directory, self._seed = table, bench, directory, seed
        self._stages = 1
        self._stage = Stage(bench, directory)

    async def aclose(self) -> None:
        """Close the journals."""
        await self._stage.aclose()

    async def play(self, number: int) -> None:
        """One round, which is said; once more where a promise in seconds was broken while the machine was late."""
        with Clock() as clock:
            found = await self._tried(number)
            if isinstance(found, TooLate) and clock.is_late:
                self._table.again += 1
                say(f"{self._table.switch} {number} once more, the machine was {clock.words}: {found}")
                clock.begin()
                found = await self._tried(number)
        self._count(number, found, clock)

    async def _tried(self, number: int) -> tuple[Fault, Outcome] | AssertionError | TooLate:
        self._stage.mine.cold = self._stage.theirs.cold = number % COLD_EVERY == 1
        try:
            return await rounds.play(self._stage, number, self._seed)
        except (AssertionError, TooLate) as error:
            await self._anew()
            return error

    def _count(self, number: int, found: tuple[Fault, Outcome] | AssertionError | TooLate, clock: Clock) -> None:
        table = self._table
        table.late_ms.append(round(clock.late_s * 1000))
        if isinstance(found, TooLate) and clock.is_late:
            table.slow += 1
            say(f"{table.switch} {number} machine too slow, {clock.words}: {found}")
        elif isinstance(found, Exception):
            table.broken.append(f"{table.switch} {number} BROKEN ({clock.words}) {str(found)[:1000]}")
            say(table.broken[-1])
        else:
            fault, end = found
            table.ends[fault.name, end.status] += 1
            table.asked, table.lost = table.asked + end.asked, table.lost + end.lost
            said = f"{fault.name:16} {end.killed_at or 'lived':34} {end.rescue:9} {end.status:13}"
            counts = f"{end.asked:5} asked {end.lost:3} lost  {end.seconds:5.1f} s  {clock.words}"
            say(f"{table.switch:11} {number:5}  {said} {counts}")

    async def _anew(self) -> None:
        """An action may be open: it goes on with fresh journals."""
        await self._stage.aclose()
        self._stage = Stage(self._bench, self._directory / f"after-{self._stages}")
        self._stages += 1


async def play(table: Table, bench: Bench, directory: Path, numbers: Iterable[int], seed: int, minutes: float) -> None:
    """Play those rounds of a seed, its journals in `directory`; none is begun after so many minutes."""
    began = time.monotonic()
    async with contextlib.aclosing(Player(table, bench, directory, seed)) as player:
        for number in numbers:
            if time.monotonic() - began > minutes * 60:
                break
            await player.play(number)
            table.minutes = (time.monotonic() - began) / 60


def played(switch: str, numbers: Iterable[int], seed: int, minutes: float) -> Table:
    """`play` on a bench of its own, in a process of its own; as far as it came where it is interrupted."""
    table = Table(switch)

    async def on_a_bench() -> None:
        # A runner of a round that was interrupted may write there still: that breaks no promise.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            async with BENCHES[switch](Path(name)) as bench:
                await play(table, bench, Path(name), numbers, seed, minutes)

    try:
        asyncio.run(on_a_bench())
    except KeyboardInterrupt:
        say(f"{switch}: interrupted")
    except pytest.skip.Exception as missing:
        table.missing = str(missing)
    except Exception:  # is what the table is for: the other switches go on
        table.broken.append(f"{switch} BROKEN {traceback.format_exc()}")
    return table


def say(line: str) -> None:
    """A line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
