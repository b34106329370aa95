"""Wrong verdicts of the judge, counted over 10,000 canaries on generated series, each from its own seed.

Requests arrive by chance (Poisson), each fails by chance. A p95 is drawn as that of so many log-normal answers. The
stages, limits and windows are the defaults; samples are 20 s apart so that this takes minutes, not hours.
"""

import math
import multiprocessing
import random
from collections import Counter, deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from statistics import NormalDist
from typing import Literal

from msgspec import Struct

from actions.judging.decision import decide, hold_s, stage_time_s
from actions.judging.evidence import Reading, Stage
from actions.judging.judge import judge, judge_gate
from actions.judging.metric_gates import gates_of

RUNS = 10_000
SHARES = (5, 10, 25, 50, 100)
STAGE_S, EVERY_S, WINDOW_S = 600, 20, 60
BASELINE_S = 600
PATIENCE_S = 3600  # at 100 % a hold waits for a person; here nobody comes
LOW, HIGH = 5.0, 500.0  # requests a second in all: at 5 % the low one is 15 a minute
SPREAD = 0.5  # of the logarithm of an answer's seconds
NORMAL, P95 = NormalDist(), 0.95
P95_Z = NORMAL.inv_cdf(P95)
ZERO = datetime(2026, 1, 1, tzinfo=UTC)

Outcome = Literal["promoted", "rolled back", "held"]


class Case(Struct, frozen=True):
    """A candidate and its production: the share of requests that fail, or the median seconds of an answer."""

    preset: Literal["error-rate", "latency-p95"]
    candidate: float
    production: float
    per_second: float

    @property
    def healthy(self) -> bool:
        """As good as production."""
        return self.candidate <= self.production

    def __str__(self) -> str:
        shown = (
            f"{self.candidate:5.1%} / {self.production:.1%} errors"
            if self.preset == "error-rate"
            else f"{self.candidate * 1000:3.0f} / {self.production * 1000:.0f} ms median"
        )
        return f"{'healthy' if self.healthy else 'bad':8} {shown:22} {self.per_second:5.0f} requests/s"


CASES = tuple(
    Case(preset, candidate, production, rate)
    for rate in (LOW, HIGH)
    for preset, candidate, production in (
        ("error-rate", 0.005, 0.005), ("error-rate", 0.02, 0.02), ("latency-p95", 0.1, 0.1),
        ("error-rate", 0.10, 0.0), ("error-rate", 0.14, 0.04),
    )
)  # fmt: skip


def report(runs: int = RUNS) -> bool:
    """Print and judge one line a case: no promotion of a bad candidate, under 1 % rollbacks of a healthy one."""
    each = runs // len(CASES)
    within = True
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        jobs = [(case, seed) for case in CASES for seed in range(each)]
        outcomes = pool.map(_outcome, jobs, chunksize=50)
    for number, case in enumerate(CASES):
        count = Counter(outcomes[number * each : (number + 1) * each])
        good = count["rolled back"] < each / 100 if case.healthy else count["promoted"] == 0
        within = within and good
        told = ", ".join(f"{count[word]} {word}" for word in ("promoted", "rolled back", "held"))
        print(f"{'ok' if good else 'OVER':5} {case}: {told} of {each}")
    return within


def canary(case: Case, seed: int) -> Outcome:
    """What becomes of one release. The same seed is the same series."""
    (gate,) = gates_of([], [case.preset], stage_time_s=STAGE_S, metrics="generated")
    traffic = Traffic(case, random.Random(f"{case.preset} {seed}"))
    frozen = traffic.baseline()
    at_s = 0
    for share in SHARES:
        stage = Stage(share=share, began=ZERO + timedelta(seconds=at_s), time_s=stage_time_s([gate], STAGE_S))
        held_until_s = at_s + stage.time_s + hold_s([gate])
        readings, verdicts = [], []
        while True:
            at_s += EVERY_S
            traffic.flow(share)
            readings.append(traffic.reading(at_s, frozen if share == 100 else None))
            verdicts.append(judge(gate, readings, stage))
            state = judge_gate(gate, readings, verdicts, stage)
            decision = decide([gate], [state], stage, readings[-1].at)
            if decision.word == "pass":
                break
            if decision.word == "fail" or (share < 100 and at_s >= held_until_s):
                return "rolled back"
            if at_s >= held_until_s + PATIENCE_S:
                return "held"
    return "promoted"


class Traffic:
    """What a source of metrics would say of two sides, window after window."""

    def __init__(self, case: Case, chance: random.Random) -> None:
        self._case = case
        self._chance = chance
        slots = WINDOW_S // EVERY_S
        self._sides: tuple[deque[tuple[int, float]], ...] = (deque(maxlen=slots), deque(maxlen=slots))

    def baseline(self) -> tuple[float, float]:
        """Production before stage one: its value, and of how many requests."""
        count = _poisson(self._chance, self._case.per_second * BASELINE_S)
        return self._value([(count, self._slot(count, self._case.production))], self._case.production), count

    def flow(self, share: int) -> None:
        """The traffic of the next `EVERY_S` seconds."""
        truths = (self._case.candidate, self._case.production)
        for side, part, truth in zip(self._sides, (share, 100 - share), truths, strict=True):
            count = _poisson(self._chance, self._case.per_second * EVERY_S * part / 100)
            side.append((count, self._slot(count, truth)))

    def reading(self, at_s: float, frozen: tuple[float, float] | None) -> Reading:
        """Both sides over the window that ends now."""
        (mine, theirs), case = self._sides, self._case
        count, others = sum(count for count, _ in mine), sum(count for count, _ in theirs)
        production, of = frozen or (self._value(theirs, case.production) if others else None, others)
        return Reading(
            at=ZERO + timedelta(seconds=at_s), candidate=self._value(mine, case.candidate) if count else 0.0,
            requests=count, production=production, production_requests=of, frozen=frozen is not None,
        )  # fmt: skip

    def _slot(self, count: int, truth: float) -> float:
        """Failed requests, or how far the p95 is off, in standard errors."""
        if self._case.preset == "error-rate":
            return min(count, _poisson(self._chance, count * truth))
        return self._chance.gauss(0, 1) * math.sqrt(count)

    def _value(self, slots: Iterable[tuple[int, float]], truth: float) -> float:
        found = list(slots)
        count, told = sum(count for count, _ in found), sum(told for _, told in found)
        if self._case.preset == "error-rate":
            return told / count
        # The p95 of n answers is about normal in their logarithm, with a spread of √(p(1-p)/n) over the density there.
        error = math.sqrt(P95 * (1 - P95) / count) / NORMAL.pdf(P95_Z) * told / math.sqrt(count)
        return truth * math.exp(SPREAD * (P95_Z + error))


def _poisson(chance: random.Random, mean: float) -> int:
    if mean > 50:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, chance.random()
    while product > limit:
        count, product = count + 1, product * chance.random()
    return count


def _outcome(job: tuple[Case, int]) -> Outcome:
    return canary(*job)
