"""The evidence of a stage: what the windows of its samples say together. Pure functions, as `judge`.

Windows are joined that share no request with each other, nor with what was before the stage; our own requests among
them are known, and in doubt left out.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from actions.judging.metric_gates import MetricGate
from actions.judging.own_requests import counts_own

Reason = Literal[
    "", "no_data", "nan", "stale", "low_traffic", "provider_error", "baseline_missing", "identity_unproven", "flapping"
]
CLOCK = timedelta(seconds=0.05)  # two samples that are due a window apart are asked a few ms more or less apart


class Reading(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the queries of one gate said at a time. `problem`: why there is no `candidate`, `detail` in words.

    `requests` and `production_requests` are those that the values are made of, None where no query counts them.
    `frozen`: production is what it was before stage one, since no request goes there now. `own`: requests that the
    action itself sent to the candidate in the window, `own_failed` of them in vain, `production_own` to production:
    whether `requests` holds them is another question.
    """

    at: datetime
    candidate: float | None = None
    requests: float | None = None
    production: float | None = None
    production_requests: float | None = None
    frozen: bool = False
    own: int = 0
    own_failed: int = 0
    production_own: int = 0
    problem: Reason = ""
    detail: str = ""


class Stage(Struct, frozen=True, kw_only=True):
    """A stage: the candidate has had `share` percent of the traffic since `began`, and is watched for `time_s`. For
    `grace_s` more, a gate whose samples are good and too few is waited for."""

    share: int
    began: datetime
    time_s: float
    grace_s: float = 0.0

    @property
    def over(self) -> datetime:
        """When its time is over."""
        return self.began + timedelta(seconds=self.time_s)

    @property
    def late(self) -> datetime:
        """The end of waiting for a few samples more."""
        return self.over + timedelta(seconds=self.grace_s)

    @property
    def latest(self) -> datetime:
        """The end of it where the newest samples are good: a bad one among the first makes all of them count anew."""
        return self.over + timedelta(seconds=2 * self.grace_s)


class Evidence(Struct, frozen=True):
    """What windows say together: the mean of their values, the sums of their requests, from `since` to `at`."""

    value: float
    requests: float | None
    production: float | None
    production_requests: float | None
    since: datetime
    at: datetime
    frozen: bool
    own: float
    own_failed: float
    production_own: float
    own_counted: bool | None
    windows: int

    @property
    def users(self) -> float | None:
        """Requests without our own, which are in doubt taken to be among them; None where nobody counts any."""
        return None if self.requests is None else self.requests - self.own


class Exposure(Struct, frozen=True, kw_only=True):
    """Requests that the candidate took, those of both sides (`of`), and how many of the candidate's failed (0 where the
    gate is no share); `own`: what the action itself sent, which is among them where `own_counted`, and may be where
    that is None. `seconds`: of the windows that this was counted in."""

    seconds: float
    taken: float
    of: float
    failed: float
    own: float
    own_of: float
    own_failed: float
    own_counted: bool | None


def exposure(gate: MetricGate, readings: Sequence[Reading], stage: Stage) -> Exposure | None:
    """Who was hit in the windows of the stage so far; None where nobody counts both sides."""
    usable = [reading for reading in readings if not reading.problem]
    if not usable or usable[-1].frozen:
        return None
    evidence = joined(gate, usable, stage, enough=None)
    if not evidence.requests or evidence.production_requests is None:
        return None
    failed = evidence.value * evidence.requests if gate.is_share else 0.0
    return Exposure(
        seconds=evidence.windows * float(gate.window),
        taken=evidence.requests, of=evidence.requests + evidence.production_requests, failed=failed,
        own=evidence.own, own_of=evidence.own + evidence.production_own, own_failed=min(evidence.own_failed, failed),
        own_counted=evidence.own_counted,
    )  # fmt: skip


def joined(gate: MetricGate, readings: Sequence[Reading], stage: Stage, *, enough: int | None) -> Evidence:
    """The newest window, and as many before it as make `enough` requests (None: all of the stage): those that overlap
    neither each other nor what was before the stage."""
    own_counted = _own_counted(readings)
    if own_counted is False:
        readings = [replace(each, own=0, own_failed=0, production_own=0) for each in readings]
    newest = readings[-1]
    window = timedelta(seconds=gate.window)
    chosen: list[Reading] = []
    start = newest.at + window
    for reading in reversed(readings):
        if reading.problem or reading.candidate is None or reading.at > start - window + CLOCK:
            continue
        if chosen and (reading.at - window < stage.began - CLOCK or _are_enough(gate, chosen, enough)):
            break
        chosen.append(reading)
        start = reading.at
    return Evidence(
        *_mean([(each.candidate, each.requests) for each in chosen]),
        *_mean_or_none([(each.production, each.production_requests) for each in chosen], frozen=newest.frozen),
        since=start - window, at=newest.at, frozen=newest.frozen,
        own=sum(_own(each) for each in chosen), own_failed=sum(each.own_failed for each in chosen),
        production_own=sum(_production_own(each) for each in chosen), own_counted=own_counted, windows=len(chosen),
    )  # fmt: skip


def _own_counted(readings: Sequence[Reading]) -> bool | None:
    """Whether the counts of these readings hold our own requests; one side that shows it tells for both."""
    mine = [(each.requests, each.own) for each in readings if each.requests is not None]
    theirs = [
        (each.production_requests, each.production_own)
        for each in readings
        if each.production_requests is not None and not each.frozen
    ]
    told = counts_own(mine), counts_own(theirs)
    return True if True in told else False if False in told else None


def _own(reading: Reading) -> float:
    """A source that does not count them yet, or never does, is not taken for less than nothing."""
    return min(float(reading.own), reading.requests or 0.0)


def _production_own(reading: Reading) -> float:
    return 0.0 if reading.frozen else min(float(reading.production_own), reading.production_requests or 0.0)


def _are_enough(gate: MetricGate, chosen: Sequence[Reading], enough: int | None) -> bool:
    if enough is None:
        return False
    counted = [chosen[-1].requests, *([] if chosen[-1].frozen else [chosen[-1].production_requests])]
    if all(count is None for count in counted):
        return True  # nobody counts requests: each sample stands for itself
    taken = sum((each.requests or 0) - _own(each) for each in chosen)
    others = [
        each.production_requests - _production_own(each) for each in chosen if each.production_requests is not None
    ]
    return taken >= enough and (not others or chosen[-1].frozen or sum(others) >= enough)


def _mean(pairs: Sequence[tuple[float | None, float | None]]) -> tuple[float, float | None]:
    """Weighted by requests: of shares it is the share of all of them; of a p95 about their p95."""
    values = [(value or 0.0, count) for value, count in pairs]
    counts = [count for _, count in values if count is not None]
    if len(counts) < len(values):
        return sum(value for value, _ in values) / len(values), None
    total = sum(counts)
    return (sum(value * (count or 0) for value, count in values) / total if total else 0.0), total


def _mean_or_none(
    pairs: Sequence[tuple[float | None, float | None]], *, frozen: bool
) -> tuple[float | None, float | None]:
    known = [pair for pair in pairs if pair[0] is not None]
    if not known or pairs[0][0] is None:
        return None, None
    return known[0] if frozen else _mean(known)
