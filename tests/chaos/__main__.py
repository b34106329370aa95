"""`make chaos`: kills runners at random instants on real switches, and prints what became of each, with the seed.

python -m tests.chaos [--switch file-switch] [--rounds 200] [--seed N] [--kind release|flip]
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

from actions.models import Request
from tests.chaos.benches import BENCHES
from tests.chaos.harness import Chaos, Outcome, random_rounds


async def play(switch: str, rounds: int, seed: int, kind: str) -> int:
    """Prints the table; the number of rounds in which a promise was broken."""
    broken = 0
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as directory:
        async with BENCHES[switch](Path(directory)) as bench:
            chaos = Chaos(bench, Path(directory) / "journal")
            version = "2.5.0" if kind == "release" else ""
            request = Request(kind="release" if version else "flip", service=bench.service, version=version)
            instants = await chaos.instants(request)
            say(f"{switch}: {kind}, {len(instants)} instants, {rounds} kills, seed {seed}")
            for number, round_ in enumerate(random_rounds(request, len(instants), rounds, seed), 1):
                try:
                    outcome = await chaos.play(round_)
                except (AssertionError, TimeoutError) as error:
                    broken += 1
                    say(f"{number:4}  BROKEN at {instants[round_.instant - 1]}, {round_.rescue}: {error}")
                    continue
                outcomes.append(outcome)
                say(f"{number:4}  {outcome.killed_at or 'lived':34} {outcome.rescue:9} {outcome.status:12} "
                    f"{outcome.asked:5} asked {outcome.lost} lost  {outcome.seconds:5.1f} s")  # fmt: skip
            await chaos.aclose()
    ends = ", ".join(f"{count} {status}" for status, count in Counter(found.status for found in outcomes).items())
    asked, lost = sum(found.asked for found in outcomes), sum(found.lost for found in outcomes)
    say(f"{switch}: {len(outcomes)} of {rounds} converged ({ends}); {asked} requests, {lost} lost; seed {seed}")
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
    parser.add_argument("--kind", choices=["release", "flip"], default="release")
    given = parser.parse_args()
    switches = list(BENCHES) if given.switch == "all" else [given.switch]
    broken = 0
    for switch in switches:
        try:
            broken += asyncio.run(play(switch, given.rounds, given.seed, given.kind))
        except pytest.skip.Exception as missing:
            say(f"{switch}: not run: {missing}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
