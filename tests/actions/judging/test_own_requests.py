"""Requests that the action itself sent are no evidence of users, and taken off only where they were counted."""

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from actions.judging.evidence import Reading, exposure
from actions.judging.judge import judge
from actions.judging.measuring import GateJudge
from actions.judging.metric_gates import MetricGate, Subject
from actions.tally import Own
from backends.ports import Metrics
from backends.ports.metrics import Sample
from tests.actions.judging.test_judge import ERRORS, STAGE, seen

GATE = MetricGate(name="errors", candidate="c{color}", requests="r{color}", unit="share", max=0.05, metrics="prom")


def test_they_fill_no_min_requests() -> None:
    whole = judge(ERRORS, [seen(60, 0.0, requests=60.0)], STAGE)
    own = judge(ERRORS, [seen(60, 0.0, requests=60.0, own=12)], STAGE)
    assert (whole.word, own.word, own.reason) == ("pass", "inconclusive", "low_traffic")
    assert own.words == "60 requests, 50 are needed without its own 12, which may be among them"


def test_they_make_no_window_enough_and_no_production() -> None:
    windows = [seen(60, 0.0, requests=60.0, own=40), seen(120, 0.0, requests=60.0, own=20)]
    assert judge(ERRORS, windows, STAGE).words.startswith("0 % of 120 requests")
    few = judge(ERRORS, [seen(60, 0.0, production_requests=60.0, production_own=20)], STAGE)
    assert (few.reason, few.words.startswith("only 40 requests reached")) == ("baseline_missing", True)


def test_more_of_them_than_are_counted_are_not_less_than_nothing() -> None:
    assert judge(ERRORS, [seen(60, 0.0, requests=10.0, own=25)], STAGE).words.startswith("10 requests, 50 are needed")


def windows(*counted: tuple[float, int]) -> list[Reading]:
    return [seen(15.0 * n, 0.4, requests=count, own=own) for n, (count, own) in enumerate(counted, 1)]


def test_a_count_that_moved_with_ours_holds_them() -> None:
    told = exposure(ERRORS, windows((260.0, 200), (250.0, 190), (200.0, 130), (120.0, 60)), STAGE)
    assert told is not None
    assert (told.own_counted, told.taken - told.own) == (True, 60)


def test_a_count_that_never_was_what_we_sent_holds_none_of_them_and_starves_nobody() -> None:
    readings = windows((60.0, 200), (60.0, 190), (60.0, 130), (60.0, 60))
    told = exposure(ERRORS, readings, STAGE)
    assert told is not None
    assert (told.own_counted, told.own, told.taken) == (False, 0, 60)
    assert judge(replace(ERRORS, max_increase=None, max=0.5), readings, STAGE).word == "pass", "60 users are enough"


def test_of_a_count_that_may_hold_ours_nothing_is_taken_off() -> None:
    told = exposure(ERRORS, windows((288.0, 25), (290.0, 25), (285.0, 24)), STAGE)
    assert told is not None
    assert told.own_counted is None


class Said:
    """A source that says the same of everything that is asked."""

    def __init__(self, **numbers: float) -> None:
        self.numbers = numbers

    async def instant(self, query: str, *, at: datetime) -> list[Sample]:
        return [Sample(value=self.numbers[query], at=at, labels={})]


async def test_a_stage_knows_its_own_and_says_who_was_hit() -> None:
    source: Any = Said(cgreen=0.4, rgreen=20.0, cblue=0.0, rblue=377.0)

    async def find(name: str) -> Metrics:
        found: Metrics = source
        return found

    def own(color: str, since: datetime, until: datetime) -> Own:
        assert (until - since).total_seconds() == GATE.window
        return Own(taken=5, unnamed=7) if color == "green" else Own(taken=108)

    sides = (Subject(service="s", color=color) for color in ("green", "blue"))
    judging = GateJudge([replace(GATE, max_increase=0.02, min_requests=5)], find, *sides, own=own)
    stage = judging.stage(10, 60.0, {})
    for series in stage._series:
        series._due = 0.0
    verdict = await stage.look()
    assert verdict.word == "fail"
    assert "in the 1m that errors measured, GREEN took 20 of 397 requests (5.0%), 8 of them failed" in verdict.detail
    assert verdict.detail.endswith("; its own test requests may be among them: 12 of 120")


async def test_who_was_hit_is_said_by_the_gate_that_failed() -> None:
    source: Any = Said(cgreen=0.0, rgreen=200.0, cblue=0.0, rblue=377.0, sgreen=9.0, sblue=1.0)

    async def find(name: str) -> Metrics:
        found: Metrics = source
        return found

    slow = MetricGate(name="slow", candidate="s{color}", requests="r{color}", unit="s", max_ratio=2.0, max=3.0)
    gates = [replace(GATE, max_increase=0.02), replace(slow, metrics="prom")]
    stage = GateJudge(gates, find, *(Subject(service="s", color=color) for color in ("green", "blue"))).stage(
        10, 60.0, {}
    )
    for series in stage._series:
        series._due = 0.0
    verdict = await stage.look()
    assert (verdict.word, "that slow measured" in verdict.detail) == ("fail", True), verdict
