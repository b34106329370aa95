"""Plays rounds of a seed on one switch, and counts what became of them."""

import asyncio
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
from tests.chaos.harness import Bench
from tests.chaos.stage import Stage


class Table(Struct):
    """What became of the rounds of one switch. `ends`: how often each kind ended so; `missing`: why none was played."""

    switch: str
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    asked: int = 0
    lost: int = 0
    minutes: float = 0.0
    missing: str = ""

    def add(self, other: "Table") -> None:
        """What another process has played of the same switch."""
        self.ends += other.ends
        self.broken += other.broken
        self.asked, self.lost = self.asked + other.asked, self.lost + other.lost
        self.minutes = max(self.minutes, other.minutes)
        self.missing = self.missing or other.missing

    def lines(self) -> list[str]:
        """For a person."""
        if self.missing:
            return [f"{self.switch}: not run: {self.missing}"]
        kinds = [f"  {kind:16} {status:14} {times:5}" for (kind, status), times in sorted(self.ends.items())]
        count = self.ends.total() + len(self.broken)
        said = (
            f"{count} rounds, {len(self.broken)} violations; {self.asked} requests, {self.lost} lost with a dead side"
        )
        return [f"{self.switch}: {said}; {self.minutes:.0f} min", *kinds, *self.broken]


async def play(table: Table, bench: Bench, directory: Path, numbers: Iterable[int], seed: int, minutes: float) -> None:
    """Play those rounds of a seed, its journals in `directory`; none is begun after so many minutes."""
    began = time.monotonic()
    stage = Stage(bench, directory)
    try:
        for number in numbers:
            if time.monotonic() - began > minutes * 60:
                break
            try:
                fault, found = await rounds.play(stage, number, seed)
            except AssertionError as error:
                table.broken.append(f"{table.switch} {number} BROKEN {str(error)[:1000]}")
                say(table.broken[-1])
                await stage.aclose()  # an action may be open: it goes on with fresh journals
                stage = Stage(bench, directory / f"after-{number}")
            else:
                table.ends[fault.name, found.status] += 1
                table.asked, table.lost = table.asked + found.asked, table.lost + found.lost
                say(f"{table.switch:11} {number:5}  {fault.name:16} {found.killed_at or 'lived':34} {found.rescue:9} "
                    f"{found.status:13} {found.asked:5} asked {found.lost:3} lost  {found.seconds:5.1f} s")  # fmt: skip
            table.minutes = (time.monotonic() - began) / 60
    finally:
        await stage.aclose()


def played(switch: str, numbers: Iterable[int], seed: int, minutes: float) -> Table:
    """`play` on a bench of its own, in a process of its own; as far as it came where it is interrupted."""
    table = Table(switch)

    async def on_a_bench() -> None:
        with tempfile.TemporaryDirectory() as name:
            async with BENCHES[switch](Path(name)) as bench:
                await play(table, bench, Path(name), numbers, seed, minutes)

    try:
        asyncio.run(on_a_bench())
    except KeyboardInterrupt:
        say(f"{switch}: interrupted")
    except pytest.skip.Exception as missing:
        table.missing = str(missing)
    except Exception:
        table.broken.append(f"{switch} BROKEN {traceback.format_exc()}")
    return table


def say(line: str) -> None:
    """A line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
