"""`make bench`: the budgets as ratios, ours and its peer in one run; the judge's wrong verdicts. Exit 1
where one is over. `make bench BENCH="--base REV"`: start-up beside that of a commit before, and nothing else."""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import before_after, causes, idle, kubeconfig, logs, peers, refresh, soak, startup, switching, verdicts
from benchmarks.timing import environment


def main() -> int:
    """Print one line a budget."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--base", metavar="REV", help="a commit of this repository to measure beside this tree")
    base = parser.parse_args().base
    print(f"{'':5} {'budget':44} {'ours':>9} {base[:9] if base else 'peer':>9}  ratio")
    with tempfile.TemporaryDirectory(prefix="teal-bench-") as name, startup.health_server() as url:
        directory = Path(name)
        if base:
            return 0 if before_after.report(directory, url, base) else 1
        env = environment(directory)
        measurements = [*startup.measure(env, directory, url), kubeconfig.measure(env, directory)]
        for measurement in measurements:
            print(measurement)
        within = [
            refresh.report(),
            causes.report(),
            idle.report(env, directory, url),
            logs.report(env, directory),
            switching.report(env),
            soak.report(env),
        ]
        peers.report(env, directory)
    print(f"verdicts of {verdicts.RUNS:,} canaries: no bad one promoted, under 1 % of the healthy rolled back")
    within.append(verdicts.report())
    return 0 if all(within) and all(measurement.within for measurement in measurements) else 1


if __name__ == "__main__":
    sys.exit(main())
