"""`make chaos`: kills runners, races journals, hangs phases, takes sides down and edits by hand, on real switches; the
table says what became of each, with the seed that plays it again.

A round that broke nothing but a promise in seconds, on a machine that was late, is played once more; where it does so
again it is counted as "machine too slow". Anything else is a violation.

python -m tests.chaos [--switch file-switch] [--rounds 1000] [--seed N] [--first 1] [--workers 2] [--minutes N]
"""

import argparse
import multiprocessing
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.chaos.benches import BAKE, BENCHES, SHORTENED, STAGE, TIMEOUT_S
from tests.chaos.playing import Table, played, say


def main() -> int:
    """1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--switch", choices=[*BENCHES, "all"], default="all", help="all: side by side")
    parser.add_argument("--rounds", type=int, default=1000, help="of each switch")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--first", type=int, default=1, help="the number of the first round, to play one again")
    parser.add_argument("--workers", type=int, default=2, help="processes of each switch")
    parser.add_argument("--minutes", type=float, default=120, help="no round is begun after that")
    given = parser.parse_args()
    tables = {switch: Table(switch) for switch in (BENCHES if given.switch == "all" else [given.switch])}
    last = given.first + given.rounds
    shares = [
        (switch, range(given.first + each, last, given.workers)) for switch in tables for each in range(given.workers)
    ]
    say(f"{given.rounds} rounds of each switch, seed {given.seed}; times divided by {SHORTENED}: bake {BAKE}, "
        f"stage {STAGE}, --timeout {TIMEOUT_S:g} s")  # fmt: skip
    # Those who play are interrupted, too, and tell how far they came.
    signal.signal(signal.SIGINT, lambda *_: None)
    with ProcessPoolExecutor(len(shares), multiprocessing.get_context("spawn")) as pool:
        playing = [pool.submit(played, *share, given.seed, given.minutes) for share in shares]
        for each in playing:
            tables[each.result().switch].add(each.result())
    for table in tables.values():
        say("\n".join(table.lines()))
    say(f"seed {given.seed}; times divided by {SHORTENED}")
    return 1 if any(table.broken for table in tables.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
