"""The judge: what users of other tools ran into, and what must hold for any series."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actions.judging.decision import Decision, decide, grace_s, hold_s, stage_time_s
from actions.judging.evidence import Reading, Reason, Stage
from actions.judging.judge import GateState, Verdict, judge, judge_gate
from actions.judging.metric_gates import MetricGate
from actions.judging.proportions import least_difference, wilson
from backends.settings import Duration

ZERO = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
STAGE = Stage(share=25, began=ZERO, time_s=600)
ERRORS = MetricGate(
    name="errors", candidate="c{color}", requests="r", on_no_data="zero", max=0.05, max_increase=0.02, metrics="prom"
)
P95 = MetricGate(name="p95", candidate="c{color}", requests="r", unit="s", max=2.0, max_ratio=1.5, metrics="prom")


def at(seconds: float) -> datetime:
    return ZERO + timedelta(seconds=seconds)


def seen(seconds: float, candidate: float | None, production: float | None = 0.01, **more: Any) -> Reading:
    known = {"requests": 600.0, "production_requests": 1800.0, **more}
    return Reading(at=at(seconds), candidate=candidate, production=production, **known)


def missing(seconds: float, problem: Reason, detail: str = "") -> Reading:
    return Reading(at=at(seconds), problem=problem, detail=detail or problem)


def course(gate: MetricGate, readings: Sequence[Reading], stage: Stage = STAGE) -> tuple[list[Verdict], GateState]:
    verdicts = [judge(gate, readings[: end + 1], stage) for end in range(len(readings))]
    return verdicts, judge_gate(gate, readings, verdicts, stage)


def outcome(
    gate: MetricGate, readings: Sequence[Reading], stage: Stage = STAGE, *, now: float | None = None
) -> Decision:
    state = course(gate, readings, stage)[1]
    moment = at(now) if now is not None else readings[-1].at
    return decide([gate], [state], stage, moment)


def every(seconds: float, until: float, make: Any) -> list[Reading]:
    return [make(seconds * step) for step in range(1, int(until / seconds) + 1)]


# ---- what users of other tools ran into


def good(t: float) -> Reading:
    return seen(t, 0.01)


def down(t: float) -> Reading:
    return missing(t, "provider_error", "prometheus: connection refused")


UNSURE = "inconclusive"

CASES: list[tuple[str, MetricGate, list[Reading], Stage, str, str]] = [
    # (what happened there, gate, the samples of the stage, the stage, the decision at the last of them, its words)
    ("a stage of passes", ERRORS, every(30, 600, good), STAGE, "pass", "errors: 1 % of 600 requests, limit 3 %"),
    ("passes before its time is over", ERRORS, every(30, 570, good), STAGE, "waiting", ""),
    ("argo: a run that measured nothing is Successful", ERRORS, [], STAGE, UNSURE, "0 good samples of the 3 it needs"),
    ("#4479: Successful though every measurement errored", ERRORS, every(30, 600, down), STAGE, UNSURE, "refused"),
    ("too few valid samples", ERRORS, [missing(t, "no_data") for t in range(30, 570, 30)] + [good(570), good(600)],
     STAGE, UNSURE, "2 good samples of the 3 it needs"),
    ("#180: NaN", ERRORS, every(30, 600, lambda t: missing(t, "nan", "0/0 is NaN")), STAGE, UNSURE, "NaN"),
    ("#1466: an empty answer", ERRORS, every(30, 600, lambda t: missing(t, "no_data", "no series")), STAGE,
     UNSURE, "no series"),
    ("a value of long ago", ERRORS, every(30, 600, lambda t: missing(t, "stale", "4 min old")), STAGE, UNSURE, "old"),
    ("#2488: the answer was of the old pods", ERRORS,
     every(30, 600, lambda t: missing(t, "identity_unproven", "says blue")), STAGE, UNSURE, "says blue"),
    ("#2101: nobody uses it", ERRORS, every(60, 600, lambda t: seen(t, 0.0, requests=2.0)), STAGE,
     UNSURE, "20 requests, 50 are needed"),
    ("little traffic, joined over the stage", ERRORS, every(60, 600, lambda t: seen(t, 0.0, requests=20.0)), STAGE,
     "pass", ""),
    ("production is not there", ERRORS, every(60, 600, lambda t: seen(t, 0.01, None)), STAGE,
     UNSURE, "nothing is known of production"),
    ("production took too few", ERRORS, every(60, 600, lambda t: seen(t, 0.01, production_requests=1.0)), STAGE,
     UNSURE, "only 10 requests reached production"),
    ("a breach of the limit while production is not there", ERRORS,
     every(60, 120, lambda t: seen(t, 0.09, None)), STAGE, "fail", "over the limit of 5 %"),
    ("one bad window", ERRORS, [good(60), seen(120, 0.08), good(180)], STAGE, "waiting", ""),
    ("a bad window seen twice", ERRORS, [good(60), seen(90, 0.08), seen(120, 0.08)], STAGE, "waiting", ""),
    ("two bad windows", ERRORS, [good(60), seen(120, 0.08), seen(180, 0.08)], STAGE, "fail", "8 % of 600 requests"),
    ("two bad windows, a lost sample between", ERRORS, [seen(60, 0.08), down(90), seen(120, 0.08)], STAGE,
     "fail", "over the limit of 5 %"),
    ("2 points over production, below the limit", ERRORS, [seen(60, 0.049), seen(120, 0.049)], STAGE,
     "fail", "more than 2 points over production now (1 %)"),
    ("20 % errors: at once", ERRORS, [seen(10, 0.2)], STAGE, "fail", "20 % of 600 requests"),
    ("20 % of too few requests", ERRORS, [seen(10, 0.2, requests=10.0)], STAGE, "waiting", ""),
    ("chance: 4 % of 50", ERRORS, every(60, 600, lambda t: seen(t, 0.04, requests=50.0)), STAGE,
     UNSURE, "chance explains"),
    ("flapping: every other window is bad", ERRORS, every(60, 600, lambda t: seen(t, 0.08 if t % 120 else 0.0)), STAGE,
     UNSURE, ""),
    ("flapping slowly: its last three samples pass", ERRORS,
     every(60, 600, lambda t: seen(t, 0.09 if t in (60, 180, 300, 420) else 0.0)), STAGE, UNSURE, "all of the stage"),
    ("a p95 over 1.5 times production's", P95, every(60, 120, lambda t: seen(t, 0.4, 0.25)), STAGE,
     "fail", "400 ms of 600 requests, more than 1.5 × production now (250 ms)"),
    ("a p95 within", P95, every(60, 600, lambda t: seen(t, 0.3, 0.25)), STAGE, "pass", ""),
    ("a p95 of 4 s: at once", P95, [seen(10, 4.0, 3.9)], STAGE, "fail", "over the limit of 2000 ms"),
    ("the source is down at 25 %", ERRORS, [*every(10, 100, good), *(down(100 + 10 * n) for n in range(1, 5))],
     STAGE, UNSURE, "refused"),
    ("the source fails three times", ERRORS, [*every(10, 100, good), *(down(100 + 10 * n) for n in range(1, 4))],
     STAGE, "waiting", ""),
    ("the source is back", ERRORS,
     [*every(10, 500, good), *(down(500 + 10 * n) for n in range(1, 8)), *(good(570 + 10 * n) for n in range(1, 4))],
     STAGE, "pass", ""),
    ("missing data at 100 %", ERRORS, every(30, 3000, down), replace(STAGE, share=100), UNSURE, "refused"),
    ("a breach at 100 %", ERRORS, [seen(60, 0.08, frozen=True), seen(120, 0.08, frozen=True)],
     replace(STAGE, share=100), "fail", "over the limit"),
    ("production before, where none is now", ERRORS, [seen(t, 0.045, requests=6000.0, frozen=True) for t in (60, 120)],
     replace(STAGE, share=100), "fail", "production before (1 %)"),
    ("windows that reach back before the stage", ERRORS, [good(599), good(600), good(601)],
     Stage(share=25, began=at(590), time_s=10), UNSURE, "0 good samples of the 3"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "gate", "readings", "stage", "word", "words"), CASES, ids=[case[0] for case in CASES])
def test_what_others_ran_into(
    case: str, gate: MetricGate, readings: list[Reading], stage: Stage, word: str, words: str
) -> None:
    now = None if readings else stage.time_s
    decision = outcome(gate, readings, stage, now=now)
    assert (decision.word, words in decision.words) == (word, True), decision


def test_a_breach_while_paused_still_fails() -> None:
    """Who waits for a person goes on judging; a hold is no shelter."""
    held = [*every(60, 600, good), *(down(600 + 10 * n) for n in range(1, 9))]
    assert outcome(ERRORS, held).word == "inconclusive"
    assert outcome(ERRORS, [*held, seen(700, 0.09), seen(760, 0.09)]).word == "fail"


def test_a_dry_run_is_measured_and_not_counted() -> None:
    bad = every(60, 600, lambda t: seen(t, 0.3))
    dry = replace(ERRORS, dry_run=True)
    state = course(dry, bad)[1]
    assert state.word == "fail"
    assert decide([dry], [state], STAGE, at(600)).word == "pass"
    assert stage_time_s([replace(dry, window=Duration(900))], 600) == 600


def test_all_gates_must_pass_and_one_that_fails_decides() -> None:
    (_, passed), (_, failed) = course(ERRORS, every(30, 600, good)), course(P95, every(60, 120, lambda t: seen(t, 3.9)))
    assert decide([ERRORS, P95], [passed, failed], STAGE, at(600)).word == "fail"
    (_, nothing) = course(P95, every(30, 600, lambda t: missing(t, "no_data", "no series")))
    held = decide([ERRORS, P95], [passed, nothing], STAGE, at(600))
    assert (held.word, held.words) == ("inconclusive", "p95: no series")


def test_no_gate_is_only_time() -> None:
    assert decide([], [], STAGE, at(599)).word == "waiting"
    assert decide([], [], STAGE, at(600)).word == "pass"


def test_the_most_impatient_gate_says_how_long_missing_evidence_is_borne() -> None:
    assert hold_s([ERRORS, replace(P95, hold=Duration(60)), replace(P95, hold=Duration(5), dry_run=True)]) == 60
    assert hold_s([]) == 600


def test_a_stage_is_as_long_as_three_samples_need() -> None:
    assert stage_time_s([ERRORS], 600) == 600
    assert stage_time_s([ERRORS], 20) == 60 + 2 * 5


@pytest.mark.parametrize(
    ("readings", "now", "word"),
    [
        ([good(590), good(600)], 600, "waiting"),
        ([good(590), good(600)], 631, "waiting"),
        ([good(590), good(600)], 663, "waiting"),  # the newest are good: the next one ends it
        ([good(590), good(600)], 664, UNSURE),
        ([], 600, "waiting"),
        ([], 632, UNSURE),
        ([good(590), good(600), seen(610, 0.04, requests=50.0)], 632, UNSURE),
        ([*every(30, 570, good), seen(600, 0.04, requests=50.0)], 600, "waiting"),
        ([*every(30, 570, good), missing(600, "no_data")], 600, UNSURE),
        ([*every(30, 560, good), *(down(560 + 10 * n) for n in range(1, 5))], 600, UNSURE),
        ([*every(30, 570, good), seen(600, 0.3)], 600, "fail"),
    ],
)
def test_what_a_few_samples_would_mend_is_waited_for(readings: list[Reading], now: float, word: str) -> None:
    stage = replace(STAGE, grace_s=grace_s([ERRORS, replace(P95, every=Duration(3600), dry_run=True)], 600))
    assert stage.grace_s == 32
    assert outcome(ERRORS, readings, stage, now=now).word == word


# ---- what must hold for any series

shares = st.floats(0, 1)
counts = st.integers(0, 5000).map(float)
problems: st.SearchStrategy[Any] = st.sampled_from(["no_data", "nan", "stale", "provider_error", "identity_unproven"])
sound = st.tuples(shares, counts, shares, counts).map(
    lambda told: seen(0, told[0], told[2], requests=told[1], production_requests=told[3])
)
series = st.lists(st.one_of(sound, problems.map(lambda problem: missing(0, problem))), max_size=25).map(
    lambda told: [replace(reading, at=at(30 * (index + 1))) for index, reading in enumerate(told)]
)


@given(series)
@settings(max_examples=300)
def test_success_needs_three_valid_passes_and_the_time(readings: list[Reading]) -> None:
    verdicts, state = course(ERRORS, readings)
    for now in (0, 300, 600, 900, 1500):
        decision = decide([ERRORS], [state], STAGE, at(now))
        if decision.word == "pass":
            assert now >= 600
            assert len(verdicts) >= 3
            assert {verdict.word for verdict in verdicts[-3:]} == {"pass"}


@given(series)
@settings(max_examples=300)
def test_no_evidence_alone_is_no_failure(readings: list[Reading]) -> None:
    verdicts, state = course(ERRORS, readings)
    decision = decide([ERRORS], [state], STAGE, at(100_000))
    if not any(verdict.word == "fail" for verdict in verdicts):
        assert decision.word != "fail"


@given(series)
def test_a_pass_is_within_every_limit_and_a_fail_is_over_one(readings: list[Reading]) -> None:
    for verdict in course(ERRORS, readings)[0]:
        if verdict.word == "inconclusive":
            assert verdict.reason
            continue
        assert verdict.value is not None
        assert verdict.requests is not None
        assert verdict.requests >= ERRORS.min_requests
        limits = [0.05] if verdict.production is None else [0.05, verdict.production + 0.02]
        if verdict.word == "pass":
            assert verdict.production is not None
            assert verdict.value <= min(limits)
        else:
            assert any(verdict.value > limit for limit in limits)


@given(series, st.floats(0.15, 1))
def test_a_gross_breach_of_many_requests_fails_whatever_came_before(readings: list[Reading], value: float) -> None:
    last = seen(30 * (len(readings) + 1), value, requests=1000.0)
    assert outcome(ERRORS, [*readings, last]).word == "fail"


@given(shares, st.integers(1, 100_000), st.floats(0.5, 5))
def test_the_bounds_are_around_the_share_and_close_with_more_requests(share: float, n: int, z: float) -> None:
    lower, upper = wilson(share, n, z)
    assert 0 <= lower <= share + 1e-9
    assert share - 1e-9 <= upper <= 1
    assert wilson(share, n * 10, z)[0] >= lower - 1e-9
    assert least_difference(share, n, share, n, z) <= 0
    exact, counted = least_difference(share, n, 0.0, None, z), least_difference(share, n, 0.0, n, z)
    assert counted <= exact + 1e-9


def test_wilson_as_published() -> None:
    """Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29, at 95 % two-sided."""
    for share, n, bounds in ((81 / 263, 263, (0.2553, 0.3662)), (15 / 148, 148, (0.0624, 0.1605)), (0, 20, (0, 0.1611)),
                             (1 / 29, 29, (0.0061, 0.1718))):  # fmt: skip
        assert wilson(share, n, 1.95996) == pytest.approx(bounds, abs=5e-5)


def test_newcombe_as_published() -> None:
    """Newcombe 1998 II, method 10, case (a): 56/70 - 48/80 at 95 % two-sided is 0.0524 … 0.3339."""
    assert least_difference(56 / 70, 70, 48 / 80, 80, 1.95996) == pytest.approx(0.0524, abs=5e-5)


@given(st.lists(counts, min_size=2, max_size=20))
def test_windows_are_joined_only_where_they_share_no_request(requests: list[float]) -> None:
    readings = [seen(20 * (index + 1), 0.0, requests=count) for index, count in enumerate(requests)]
    verdict = judge(ERRORS, readings, STAGE)
    used = round((verdict.at - verdict.since).total_seconds() / 60)
    assert used * 60 == (verdict.at - verdict.since).total_seconds()
    apart = [reading.requests or 0 for reading in reversed(readings)][::3][:used]
    if verdict.requests is not None:
        assert verdict.requests == pytest.approx(sum(apart))
    assert all(one >= other for one, other in pairwise([verdict.at, verdict.since]))


def test_the_limit_of_a_failure_is_the_one_that_it_was_over() -> None:
    failed = judge(ERRORS, [seen(60, 0.2, production=0.0)], STAGE)
    assert (failed.word, failed.limit, "over the limit of 5 %" in failed.words) == ("fail", 0.05, True)
    close = judge(ERRORS, [seen(60, 0.055, production=0.04)], STAGE)
    assert (close.reason, close.limit, "over the limit of 5 %" in close.words) == ("low_traffic", 0.05, True)


def test_a_number_without_a_unit_is_no_part_of_the_requests() -> None:
    plain = MetricGate(name="queue", candidate="c{color}", requests="r", max=0.05, metrics="prom")
    assert judge(plain, [seen(60, 0.49, requests=430.0)], STAGE).words.startswith("0.49 (430 requests)")
