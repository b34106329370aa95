"""Requests that the action itself sent are no evidence of users, and no user was hit by them."""

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from actions.judging.judge import exposure, judge
from actions.judging.measuring import GateJudge
from actions.judging.metric_gates import MetricGate, Subject
from actions.switching.impact import impact_words
from actions.tally import Own
from backends.ports import Metrics
from backends.ports.metrics import Sample
from tests.actions.judging.test_judge import ERRORS, STAGE, seen
from tests.actions.switching.test_impact import moved, told

GATE = MetricGate(name="errors", candidate="c{color}", requests="r{color}", unit="share", max=0.05, metrics="prom")


def test_they_fill_no_min_requests() -> None:
    whole = judge(ERRORS, [seen(60, 0.0, requests=60.0)], STAGE)
    own = judge(ERRORS, [seen(60, 0.0, requests=60.0, own=12)], STAGE)
    assert (whole.word, own.word, own.reason) == ("pass", "inconclusive", "low_traffic")
    assert own.words == "60 requests, 50 are needed without its own 12"


def test_they_make_no_window_enough_and_no_production() -> None:
    windows = [seen(60, 0.0, requests=60.0, own=40), seen(120, 0.0, requests=60.0, own=20)]
    assert judge(ERRORS, windows, STAGE).words.startswith("0 % of 120 requests")
    few = judge(ERRORS, [seen(60, 0.0, production_requests=60.0, production_own=20)], STAGE)
    assert (few.reason, few.words.startswith("only 40 requests reached")) == ("baseline_missing", True)


def test_more_of_them_than_are_counted_are_not_less_than_nothing() -> None:
    assert judge(ERRORS, [seen(60, 0.0, requests=10.0, own=25)], STAGE).words.startswith("10 requests, 50 are needed")


def test_who_was_hit_is_said_of_users() -> None:
    reading = seen(60, 0.4, requests=20.0, production_requests=377.0, own=12, own_failed=7, production_own=108)
    told = exposure(ERRORS, [reading], STAGE)
    assert told is not None
    assert (told.taken - told.own, told.of - told.own_of, told.failed - told.own_failed) == (8, 277, 1)


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
    assert verdict.detail.endswith("; of users, without its own test requests: 8 of 277, 1 of them failed")


def test_the_count_of_a_way_back_is_of_users_too() -> None:
    history = [
        moved(101, "shift", 100),
        told(100, "verify", kind="progress", data={"requests": {"blue": 900, "green": 30}}),
        moved(1, "shift-back", 0),
    ]
    words = impact_words(history, "green", {"green": 90}, lambda color, since, until: Own(taken=40))
    assert words.endswith(": 20 requests")
