"""Verdicts over what the gates of a stage measured. Pure functions: samples in, words out, no clock and no I/O.

A sample is PASS, FAIL or INCONCLUSIVE with a reason; the last is never a success and never by itself a failure.

Chance. With 50 requests and 1 % errors, one window in eleven shows 4 % or more: a limit of 3 % read off such a sample
would take back every second healthy release. So of a share (`MetricGate.is_share`):
- A window with fewer than `min_requests` is joined with those before it in its stage that share no request with it.
  Only where all of them are too few is there no verdict (low_traffic).
- FAIL where even the lower 99 % bound (Wilson; Newcombe over production) is above a limit; PASS where the share itself
  is within all limits; between them chance explains it, and that is INCONCLUSIVE (low_traffic).
- Samples closer than `window` share requests: two FAILs count as two where they do not. One is enough where it is
  gross: twice `max`, and surely above it (1 in 30,000: a canary looks some hundred times).
- A stage has passed where its time is over, its newest three samples pass, and all of its requests together do not
  FAIL: what is bad in every other window is bad.
A value that is no share, say a p95, is compared as it is, since its spread is not known; the two FAILs apart from each
other are what keeps chance out there. `benchmarks/verdicts.py` counts the wrong verdicts of 10,000 canaries.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from actions.judging.metric_gates import MetricGate
from actions.judging.own_requests import counts_own
from actions.judging.proportions import least_difference, wilson
from actions.judging.words import limit_words, number
from backends.text import counted

Word = Literal["pass", "fail", "inconclusive"]
Reason = Literal[
    "", "no_data", "nan", "stale", "low_traffic", "provider_error", "baseline_missing", "identity_unproven", "flapping"
]

SURE_Z = 2.33  # one-sided 1 %
GROSS_Z = 4.0  # one-sided 1 in 30,000
GROSS_TIMES = 2.0
PASSES_NEEDED = 3
PROVIDER_ERRORS = 4
RETRY_S = 10.0


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


class Verdict(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """On one sample. Its evidence reaches from `since` to `at`, and may be joined of several windows; `limit` is the
    lowest that it was held to, in the unit of the value. `gross`: enough to fail by itself."""

    word: Word
    at: datetime
    since: datetime
    reason: Reason = ""
    value: float | None = None
    requests: float | None = None
    production: float | None = None
    limit: float | None = None
    frozen: bool = False
    gross: bool = False
    words: str = ""


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
        """When what a few samples more would mend is waited for no longer."""
        return self.over + timedelta(seconds=self.grace_s)

    @property
    def latest(self) -> datetime:
        """The same where the newest samples are good: one that was not, of the first few, cost them all."""
        return self.over + timedelta(seconds=2 * self.grace_s)


class GateState(Struct, frozen=True, kw_only=True):
    """What a gate says of a stage now: `pass` would let it go on. `passes` is how many of the newest samples in a row
    passed; `outage_since`: when its source had failed too often in a row."""

    gate: str
    word: Word
    reason: Reason = ""
    words: str = ""
    passes: int = 0
    outage_since: datetime | None = None


def judge(gate: MetricGate, readings: Sequence[Reading], stage: Stage) -> Verdict:
    """The verdict on the newest of `readings`, oldest first, all of one stage."""
    newest = readings[-1]
    since = newest.at - timedelta(seconds=gate.window)
    if newest.problem:
        return Verdict(
            word="inconclusive", at=newest.at, since=since, reason=newest.problem, requests=newest.requests,
            words=newest.detail,
        )  # fmt: skip
    return _held_to(gate, _joined(gate, readings, stage, enough=gate.min_requests))


def judge_gate(gate: MetricGate, readings: Sequence[Reading], verdicts: Sequence[Verdict], stage: Stage) -> GateState:
    """What `gate` says of the stage, from all its samples so far and the verdict on each."""
    failed = _failure(verdicts)
    if failed is not None:
        return GateState(gate=gate.name, word="fail", words=failed.words)
    passes = _passes_in_a_row(verdicts, stage)
    outage = _outage_since(verdicts)
    if passes < PASSES_NEEDED:
        newest = verdicts[-1] if verdicts else None
        reason: Reason = newest.reason if newest and newest.word == "inconclusive" else ""
        words = newest.words if newest and newest.word != "pass" else samples_words(passes)
        return GateState(
            gate=gate.name, word="inconclusive", reason=reason, words=words, passes=passes, outage_since=outage
        )
    whole = _held_to(gate, _joined(gate, readings, stage, enough=None))
    if whole.word == "fail":
        words = f"the newest samples pass, all of the stage together fail: {whole.words}"
        return GateState(gate=gate.name, word="inconclusive", reason="flapping", words=words, passes=passes)
    return GateState(gate=gate.name, word="pass", words=verdicts[-1].words, passes=passes)


def samples_words(passes: int) -> str:
    """`2 good samples of the 3 it needs`."""
    return f"{passes} good {'sample' if passes == 1 else 'samples'} of the {PASSES_NEEDED} it needs"


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
    evidence = _joined(gate, usable, stage, enough=None)
    if not evidence.requests or evidence.production_requests is None:
        return None
    failed = evidence.value * evidence.requests if gate.is_share else 0.0
    return Exposure(
        seconds=evidence.windows * float(gate.window),
        taken=evidence.requests, of=evidence.requests + evidence.production_requests, failed=failed,
        own=evidence.own, own_of=evidence.own + evidence.production_own, own_failed=min(evidence.own_failed, failed),
        own_counted=evidence.own_counted,
    )  # fmt: skip


# ---- one sample


class _Evidence(Struct, frozen=True):
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


def _joined(gate: MetricGate, readings: Sequence[Reading], stage: Stage, *, enough: int | None) -> _Evidence:
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
        if reading.problem or reading.candidate is None or reading.at > start - window + _CLOCK:
            continue
        if chosen and (reading.at - window < stage.began - _CLOCK or _are_enough(gate, chosen, enough)):
            break
        chosen.append(reading)
        start = reading.at
    return _Evidence(
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


_CLOCK = timedelta(seconds=0.05)  # two samples that are due a window apart are asked a few ms more or less apart


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


def _held_to(gate: MetricGate, evidence: _Evidence) -> Verdict:
    limits = _limits(gate, evidence)
    lowest = min((limit for _, limit in limits), default=None)

    def verdict(
        word: Word, words: str, reason: Reason = "", *, limit: float | None = lowest, gross: bool = False
    ) -> Verdict:
        return Verdict(
            word=word, at=evidence.at, since=evidence.since, reason=reason, value=evidence.value,
            requests=evidence.requests, production=evidence.production, limit=limit, frozen=evidence.frozen,
            gross=gross, words=words,
        )  # fmt: skip

    shown = number(evidence.value, gate)
    of = "" if evidence.requests is None else f" of {counted(evidence.requests, 'request')}"
    if of and not gate.is_share and not gate.unit:  # 0.49 is no part of them
        of = f" ({of.removeprefix(' of ')})"
    if evidence.users is not None and evidence.users < gate.min_requests:
        among = "" if evidence.own_counted else ", which may be among them"
        own = f" without its own {evidence.own:.0f}{among}" if evidence.own else ""
        words = f"{counted(evidence.requests or 0, 'request')}, {gate.min_requests} are needed{own}"
        return verdict("inconclusive", words, "low_traffic")
    missing = _baseline_missing(gate, evidence)
    for name, limit in limits:
        if _surely_over(gate, evidence, name, limit):
            words = f"{shown}{of}, {limit_words(gate, evidence.production, name, limit, frozen=evidence.frozen)}"
            return verdict("fail", words, limit=limit, gross=_is_gross(gate, evidence))
    if missing:
        return verdict("inconclusive", missing, "baseline_missing")
    over = next(((name, limit) for name, limit in limits if evidence.value > limit), None)
    if over is not None:
        words = f"{shown}{of}: {limit_words(gate, evidence.production, *over, frozen=evidence.frozen)}, but by no more"
        return verdict("inconclusive", f"{words} than chance explains", "low_traffic", limit=over[1])
    return verdict("pass", f"{shown}{of}, limit {number(lowest, gate)}" if lowest is not None else f"{shown}{of}")


def _limits(gate: MetricGate, evidence: _Evidence) -> list[tuple[str, float]]:
    """Each limit that can be held to now, as a value of the gate's unit."""
    limits = [] if gate.max is None else [("max", gate.max)]
    if evidence.production is not None and not _baseline_missing(gate, evidence):
        if gate.max_increase is not None:
            limits.append(("max_increase", evidence.production + gate.max_increase))
        if gate.max_ratio is not None:
            limits.append(("max_ratio", evidence.production * gate.max_ratio))
    return limits


def _baseline_missing(gate: MetricGate, evidence: _Evidence) -> str:
    if not gate.is_relative:
        return ""
    if evidence.production is None:
        return "nothing is known of production to compare with"
    taken = evidence.production_requests
    taken = None if taken is None else taken - evidence.production_own
    if taken is not None and taken < gate.min_requests:
        return f"only {counted(taken, 'request')} reached production; {gate.min_requests} are needed to compare"
    return ""


def _surely_over(gate: MetricGate, evidence: _Evidence, name: str, limit: float) -> bool:
    value, requests = evidence.value, evidence.requests
    if value <= limit or not gate.is_share or requests is None:
        return value > limit
    if name == "max_increase" and evidence.production is not None:
        room = limit - evidence.production
        return least_difference(value, requests, evidence.production, evidence.production_requests, SURE_Z) > room
    return wilson(value, requests, SURE_Z)[0] > limit


def _is_gross(gate: MetricGate, evidence: _Evidence) -> bool:
    if gate.max is None or evidence.value <= gate.max or evidence.value < GROSS_TIMES * gate.max:
        return False
    if not gate.is_share or evidence.requests is None:
        return evidence.requests is not None
    return wilson(evidence.value, evidence.requests, GROSS_Z)[0] > gate.max


# ---- many samples


def _failure(verdicts: Sequence[Verdict]) -> Verdict | None:
    """The FAIL that ends a stage: a gross one, or a second one that shares no request with the first; a PASS between
    them begins anew, what is inconclusive does not."""
    last: Verdict | None = None
    for verdict in reversed(verdicts):
        if verdict.word == "pass":
            return None
        if verdict.word != "fail":
            continue
        if verdict.gross:
            return verdict
        if last is None:
            last = verdict
        elif verdict.at <= last.since + _CLOCK:
            return last
    return None


def _passes_in_a_row(verdicts: Sequence[Verdict], stage: Stage) -> int:
    """Of the newest samples; one whose window reaches back before the stage says nothing of the stage."""
    passes = 0
    for verdict in reversed(verdicts):
        if verdict.word != "pass" or verdict.since < stage.began - _CLOCK:
            break
        passes += 1
    return passes


def _outage_since(verdicts: Sequence[Verdict]) -> datetime | None:
    """When the source had failed for the fourth time in a row; None where it has not."""
    row: list[Verdict] = []
    for verdict in reversed(verdicts):
        if verdict.reason != "provider_error":
            break
        row.append(verdict)
    return row[-PROVIDER_ERRORS].at if len(row) >= PROVIDER_ERRORS else None
