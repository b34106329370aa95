"""The judge of an action's stages over real sources of metrics: samples are taken, verdicts come from `judge`."""

import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from actions.ids import now
from actions.judging.decision import decide, grace_s, hold_s, stage_time_s
from actions.judging.evidence import Reading, Stage, exposure
from actions.judging.judge import RETRY_S, GateState, Verdict, judge, judge_gate, samples_words
from actions.judging.metric_gates import MetricGate, Queries, Subject, queries
from actions.judging.sampling import Frozen, baseline, take
from actions.judging.stages import StageVerdict
from actions.tally import OwnOf, no_own
from backends.errors import BackendError
from backends.ports import Metrics
from backends.settings import Duration
from backends.text import counted
from backends.together import together

SHOWN_SAMPLES = 20
SOURCE_OVERRIDE, BASELINE_OVERRIDE = "metrics", "baseline"

Find = Callable[[str], Awaitable[Metrics]]
"""The metrics source of that name. Raises BackendError."""


class GateJudge:
    """`stages.Judge` by the gates of a deployment. `overrides`: what an operator said may be missing."""

    def __init__(
        self,
        gates: Sequence[MetricGate],
        find: Find,
        candidate: Subject,
        production: Subject,
        overrides: Collection[str] = (),
        own: OwnOf = no_own,
    ) -> None:
        self._own = own
        self._sides = candidate.color, production.color
        self._gates = tuple(gates)
        self._find = find
        self._asked = {gate.name: queries(gate, candidate, production) for gate in gates}
        self._overrides = overrides

    async def baseline(self) -> dict[str, Any]:
        """Production now, by gate, as `stage` takes it. Raises BackendError where a source does not answer, or a gate
        that counts and compares finds nothing to compare with."""
        found = await together(*(self._baseline(gate) for gate in self._gates if gate.is_relative))
        return {name: msgspec.to_builtins(frozen) for name, frozen in found}

    def stage(self, share: int, seconds: float, baseline: dict[str, Any]) -> "GateStage":
        """As the protocol says."""
        frozen = {name: msgspec.convert(told, Frozen) for name, told in baseline.items()}
        time_s, late_s = stage_time_s(self._gates, seconds), grace_s(self._gates, seconds)
        stage = Stage(share=share, began=now(), time_s=time_s, grace_s=late_s)
        return GateStage(self._gates, self._find, self._asked, self._sides, stage, seconds, frozen, self._own)

    async def _baseline(self, gate: MetricGate) -> tuple[str, Frozen]:
        try:
            frozen = await baseline(gate, self._asked[gate.name], await self._find(gate.metrics))
        except BackendError as error:
            if gate.dry_run or SOURCE_OVERRIDE in self._overrides:
                return gate.name, Frozen()
            raise BackendError(error.kind, f"{gate.name}: {error.message}", fix=error.fix) from None
        problem = baseline_problem(gate, frozen)
        if problem and not gate.dry_run and BASELINE_OVERRIDE not in self._overrides:
            fix = "see that its query finds production's traffic, by `teal config validate` and on the source's page"
            raise BackendError("not_found", f"{gate.name}: {problem}", fix=fix)
        return gate.name, frozen


class GateStage:
    """`stages.StageJudge` of one stage: a sample of each gate when it is due, and what all of them come to."""

    def __init__(
        self,
        gates: Sequence[MetricGate],
        find: Find,
        asked: Mapping[str, Queries],
        sides: tuple[str, str],
        stage: Stage,
        seconds: float,
        frozen: Mapping[str, Frozen],
        own: OwnOf,
    ) -> None:
        """`sides`: the colors of candidate and production."""
        self._find, self._asked, self._frozen, self._own = find, asked, frozen, own
        self._color, self._other = sides
        self._stage = stage
        self._series = [_Series(gate, gate.every_s(seconds)) for gate in gates]

    @property
    def due_s(self) -> float:
        """That of the gate that is due first."""
        return min((series.due_s for series in self._series), default=RETRY_S)

    @property
    def hold_s(self) -> float:
        """That of the most impatient gate."""
        return hold_s([series.gate for series in self._series])

    @property
    def least_s(self) -> float:
        """Seconds that the stage takes at least: its gates need as many samples that lie within it."""
        return self._stage.time_s

    async def look(self) -> StageVerdict:
        """As the protocol says; a gate that is not due keeps its last sample."""
        await together(*(self._sample(series) for series in self._series if series.due_s <= 0))
        gates = [series.gate for series in self._series]
        states = [series.state(self._stage) for series in self._series]
        decision = decide(gates, states, self._stage, now())
        told = [series.told(state) for series, state in zip(self._series, states, strict=True)]
        shown = "; ".join(_line(series.gate, state) for series, state in zip(self._series, states, strict=True))
        detail = shown
        if decision.word == "fail":
            by_blame = sorted(
                zip(self._series, states, strict=True),
                key=lambda pair: pair[1].word != "fail" or pair[0].gate.dry_run,
            )
            exposed = next((words for each, _ in by_blame if (words := each.exposed(self._stage, self._color))), "")
            detail = "; ".join(part for part in (decision.words, exposed) if part)
        return StageVerdict(word=decision.word, detail=detail, data={"gates": told})

    async def _sample(self, series: "_Series") -> None:
        gate = series.gate
        # At 100 percent no request goes to production: it is what it was before the first stage.
        frozen = self._frozen.get(gate.name, Frozen()) if self._stage.share == 100 and gate.is_relative else None
        try:
            source = await self._find(gate.metrics)
        except BackendError as error:
            reading = Reading(at=now(), problem="provider_error", detail=error.message)
        else:
            reading = await take(gate, self._asked[gate.name], source, self._color, frozen)
            reading = self._with_own(gate, reading)
        series.add(reading, self._stage)

    def _with_own(self, gate: MetricGate, reading: Reading) -> Reading:
        """With what of it the action itself has sent: an error that names no side is taken for the candidate's."""
        since = reading.at - timedelta(seconds=gate.window)
        mine, theirs = (self._own(color, since, reading.at) for color in (self._color, self._other))
        return replace(
            reading, own=mine.taken + mine.unnamed, own_failed=mine.failed + mine.unnamed, production_own=theirs.taken
        )


class _Series:
    """The samples of one gate in one stage."""

    def __init__(self, gate: MetricGate, every_s: float) -> None:
        self.gate = gate
        self._every_s = every_s
        self._readings: list[Reading] = []
        self._verdicts: list[Verdict] = []
        self._began = time.monotonic()
        self._due = self._began

    @property
    def due_s(self) -> float:
        return self._due - time.monotonic()

    def add(self, reading: Reading, stage: Stage) -> None:
        self._readings.append(reading)
        self._verdicts.append(judge(self.gate, self._readings, stage))
        self._due = self._next_due()
        if reading.problem == "provider_error":
            self._due = min(self._due, time.monotonic() + RETRY_S)

    def _next_due(self) -> float:
        """On a grid through the end of the first window that lies in the stage: else the last of the samples that it
        needs comes when its time is over, by as much as all of them were late."""
        first = self._began + float(self.gate.window)
        return first + (math.floor((time.monotonic() - first) / self._every_s) + 1) * self._every_s

    def state(self, stage: Stage) -> GateState:
        return judge_gate(self.gate, self._readings, self._verdicts, stage)

    def exposed(self, stage: Stage, color: str) -> str:
        """Who was hit by what this stage tried; empty where nobody counts that."""
        told = exposure(self.gate, self._readings, stage)
        if told is None:
            return ""
        when = f"in the {Duration(max(1, round(told.seconds)))} that {self.gate.name} measured"
        words = f"{when}, {color.upper()} took {told.taken:.0f} of {told.of:.0f} requests ({told.taken / told.of:.1%})"
        if told.failed:
            words += f", {told.failed:.0f} of them failed ({told.failed / told.of:.2%} of all)"
        if not told.own_of:
            return words
        if not told.own_counted:
            return f"{words}; its own test requests may be among them: {told.own:.0f} of {told.own_of:.0f}"
        users = f"{told.taken - told.own:.0f} of {told.of - told.own_of:.0f}"
        failed = f", {told.failed - told.own_failed:.0f} of them failed" if told.failed else ""
        return f"{words}; of users, without its own test requests: {users}{failed}"

    def told(self, state: GateState) -> dict[str, Any]:
        """What the journal and the screens get: the newest sample, and the values of the last ones."""
        gate, newest = self.gate, self._verdicts[-1]
        return {
            "name": gate.name, "word": state.word, "sample": newest.word, "reason": newest.reason, "words": state.words,
            "unit": "share" if gate.is_share else gate.unit or "", "value": newest.value, "limit": newest.limit,
            "production": newest.production, "frozen": newest.frozen, "requests": newest.requests,
            "passes": state.passes, "dry_run": gate.dry_run, "at": newest.at.isoformat(),
            "last": [verdict.value for verdict in self._verdicts[-SHOWN_SAMPLES:]],
        }  # fmt: skip


def baseline_problem(gate: MetricGate, frozen: Frozen) -> str:
    """Why `frozen` is nothing to compare with; empty where it is."""
    if frozen.value is None:
        return "nothing is known of production to compare with"
    return low_traffic_problem(gate, frozen)


def low_traffic_problem(gate: MetricGate, frozen: Frozen) -> str:
    """Why production has too few requests to be compared with; empty where it has enough, or nobody counts them."""
    if frozen.requests is not None and frozen.requests < gate.min_requests:
        reached = counted(frozen.requests, "request")
        return f"only {reached} reached production; {gate.min_requests} are needed to compare"
    return ""


def _line(gate: MetricGate, state: GateState) -> str:
    dry = " (dry run)" if gate.dry_run else ""
    if state.word == "inconclusive" and not state.reason:
        return f"waiting: {gate.name}{dry} has {samples_words(state.passes)}"
    return f"{gate.name}{dry} {state.word.upper()}: {state.words}"
