"""A few of the canaries of `benchmarks/verdicts.py`: what `make bench` counts stays true between two of its runs."""

import pytest

from benchmarks.verdicts import CASES, Case, canary

SEEDS = range(6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_handful_of_canaries(case: Case) -> None:
    outcomes = {canary(case, seed) for seed in SEEDS}
    assert outcomes == ({"promoted"} if case.healthy else {"rolled back"})


def test_the_same_seed_is_the_same_canary() -> None:
    close = Case("error-rate", 0.05, 0.01, 20.0)
    assert [canary(close, seed) for seed in SEEDS] == [canary(close, seed) for seed in SEEDS]
