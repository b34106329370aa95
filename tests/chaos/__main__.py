"""`make chaos`: kills runners, races journals, hangs phases and edits by hand on real switches; prints what became of
each, with the seed.

python -m tests.chaos [--switch file-switch] [--rounds 200] [--seed N]
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos import rounds
from tests.chaos.benches import BAKE, BENCHES, SHORTENED, STAGE, TIMEOUT_S


async def play(switch: str, count: int, seed: int, first: int = 1) -> int:
    """Prints the table; the number of rounds in which a promise was broken."""
    broken, asked, lost = 0, 0, 0
    ends = Counter[tuple[str, str]]()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        async with BENCHES[switch](Path(directory)) as bench:
            stage = rounds.Stage(bench, Path(directory))
            say(f"{switch}: {count} rounds, seed {seed}; times divided by {SHORTENED}: bake {BAKE}, "
                f"stage {STAGE}, --timeout {TIMEOUT_S:g} s")  # fmt: skip
            for number in range(first, first + count):
                try:
                    fault, found = await rounds.play(stage, number, seed)
                except AssertionError as error:
                    broken += 1
                    say(f"{number:5}  BROKEN {error}")
                    await stage.aclose()  # an action may be open: it goes on with fresh journals
                    stage = rounds.Stage(bench, Path(directory) / f"after-{number}")
                    continue
                ends[fault.name, found.status] += 1
                asked, lost = asked + found.asked, lost + found.lost
                say(f"{number:5}  {fault.name:16} {found.killed_at or 'lived':34} {found.rescue:9} {found.status:12} "
                    f"{found.asked:5} asked {found.lost} lost  {found.seconds:5.1f} s")  # fmt: skip
            await stage.aclose()
    for (name, status), times in sorted(ends.items()):
        say(f"{switch}: {name:16} {status:12} {times:5}")
    minutes = (time.monotonic() - began) / 60
    say(f"{switch}: {count} rounds, {broken} violations; {asked} requests, {lost} lost; seed {seed}; {minutes:.0f} min")
    return broken


def say(line: str) -> None:
    """A line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--switch", choices=[*BENCHES, "all"], default="all")
    parser.add_argument("--rounds", type=int, default=200, help="of each switch")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--first", type=int, default=1, help="the number of the first round, to play one again")
    given = parser.parse_args()
    switches = list(BENCHES) if given.switch == "all" else [given.switch]
    broken = 0
    for switch in switches:
        try:
            broken += asyncio.run(play(switch, given.rounds, given.seed, given.first))
        except pytest.skip.Exception as missing:
            say(f"{switch}: not run: {missing}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
