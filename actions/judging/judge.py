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

from actions.judging.evidence import CLOCK, Evidence, Reading, Reason, Stage, joined
from actions.judging.metric_gates import MetricGate
from actions.judging.proportions import least_difference, wilson
from actions.judging.words import limit_words, number
from backends.text import counted

Word = Literal["pass", "fail", "inconclusive"]

SURE_Z = 2.33  # one-sided 1 %
GROSS_Z = 4.0  # one-sided 1 in 30,000
GROSS_TIMES = 2.0
PASSES_NEEDED = 3
PROVIDER_ERRORS = 4
RETRY_S = 10.0


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
    return _held_to(gate, joined(gate, readings, stage, enough=gate.min_requests))


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
    whole = _held_to(gate, joined(gate, readings, stage, enough=None))
    if whole.word == "fail":
        words = f"the newest samples pass, all of the stage together fail: {whole.words}"
        return GateState(gate=gate.name, word="inconclusive", reason="flapping", words=words, passes=passes)
    return GateState(gate=gate.name, word="pass", words=verdicts[-1].words, passes=passes)


def samples_words(passes: int) -> str:
    """`2 good samples of the 3 it needs`."""
    return f"{passes} good {'sample' if passes == 1 else 'samples'} of the {PASSES_NEEDED} it needs"


# ---- one sample


def _held_to(gate: MetricGate, evidence: Evidence) -> Verdict:
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


def _limits(gate: MetricGate, evidence: Evidence) -> list[tuple[str, float]]:
    """Each limit that can be held to now, as a value of the gate's unit."""
    limits = [] if gate.max is None else [("max", gate.max)]
    if evidence.production is not None and not _baseline_missing(gate, evidence):
        if gate.max_increase is not None:
            limits.append(("max_increase", evidence.production + gate.max_increase))
        if gate.max_ratio is not None:
            limits.append(("max_ratio", evidence.production * gate.max_ratio))
    return limits


def _baseline_missing(gate: MetricGate, evidence: Evidence) -> str:
    if not gate.is_relative:
        return ""
    if evidence.production is None:
        return "nothing is known of production to compare with"
    taken = evidence.production_requests
    taken = None if taken is None else taken - evidence.production_own
    if taken is not None and taken < gate.min_requests:
        return f"only {counted(taken, 'request')} reached production; {gate.min_requests} are needed to compare"
    return ""


def _surely_over(gate: MetricGate, evidence: Evidence, name: str, limit: float) -> bool:
    value, requests = evidence.value, evidence.requests
    if value <= limit or not gate.is_share or requests is None:
        return value > limit
    if name == "max_increase" and evidence.production is not None:
        room = limit - evidence.production
        return least_difference(value, requests, evidence.production, evidence.production_requests, SURE_Z) > room
    return wilson(value, requests, SURE_Z)[0] > limit


def _is_gross(gate: MetricGate, evidence: Evidence) -> bool:
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
        elif verdict.at <= last.since + CLOCK:
            return last
    return None


def _passes_in_a_row(verdicts: Sequence[Verdict], stage: Stage) -> int:
    """Of the newest samples; one whose window reaches back before the stage says nothing of the stage."""
    passes = 0
    for verdict in reversed(verdicts):
        if verdict.word != "pass" or verdict.since < stage.began - CLOCK:
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
