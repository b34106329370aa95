"""What becomes of a stage: the verdicts of its gates taken together. Pure, as `judge`.

How long missing evidence is borne is for whoever watches: below 100 percent `hold_s`, then traffic goes back; at 100
percent until a person decides.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct

from actions.judging.evidence import Reason, Stage
from actions.judging.gate_fit import least_s
from actions.judging.judge import PASSES_NEEDED, GateState
from actions.judging.metric_gates import MetricGate

HOLD_S = 600.0
LATE_SAMPLE_S = 2.0  # a query, and the look that asks it, take a moment
_MENDED_BY_SAMPLES: frozenset[Reason] = frozenset({"", "low_traffic", "flapping"})


class Decision(Struct, frozen=True, kw_only=True):
    """`pass`: the stage may end. `waiting`: go on looking, nothing is amiss. `inconclusive`: evidence is missing, no
    step forward. `fail`: back."""

    word: Literal["pass", "waiting", "inconclusive", "fail"]
    words: str = ""


def stage_time_s(gates: Sequence[MetricGate], wanted_s: float) -> float:
    """Seconds that a stage takes at least: three samples of each gate must lie wholly within it."""
    return max([wanted_s, *(least_s(gate, wanted_s) for gate in gates if not gate.dry_run)])


def grace_s(gates: Sequence[MetricGate], wanted_s: float) -> float:
    """Seconds after a stage within which each gate can take as many good samples as it needs."""
    return (
        max((PASSES_NEEDED * gate.every_s(wanted_s) for gate in gates if not gate.dry_run), default=0) + LATE_SAMPLE_S
    )


def hold_s(gates: Sequence[MetricGate]) -> float:
    """Seconds for which the most impatient gate bears missing evidence."""
    return min((float(gate.hold) for gate in gates if not gate.dry_run), default=HOLD_S)


def decide(gates: Sequence[MetricGate], states: Sequence[GateState], stage: Stage, now: datetime) -> Decision:
    """From the states of `gates`, in their order; a dry run is not counted.

    Missing evidence is no trouble before the time of the stage is over, except where a source does not answer; nor
    for a moment after it where a few samples more would be enough, and for as long again where the newest are good:
    the next one or two end it, and a hold wakes somebody.
    """
    counted = [(gate, state) for gate, state in zip(gates, states, strict=True) if not gate.dry_run]
    failed = next((state for _, state in counted if state.word == "fail"), None)
    if failed is not None:
        return Decision(word="fail", words=f"{failed.gate}: {failed.words}")
    over = now >= stage.over
    missing = [state for _, state in counted if state.word != "pass"]
    holding = [
        state for state in missing
        if now >= (stage.latest if _is_nearly_there(state) else stage.late)
        or state.outage_since is not None or (over and state.reason not in _MENDED_BY_SAMPLES)
    ]  # fmt: skip
    if holding:
        return Decision(word="inconclusive", words=_words(holding))
    if missing or not over:
        return Decision(word="waiting", words=_words(missing))
    return Decision(word="pass", words=_words([state for _, state in counted]))


def _is_nearly_there(state: GateState) -> bool:
    return state.reason == "" and 0 < state.passes < PASSES_NEEDED


def _words(states: Sequence[GateState]) -> str:
    return "; ".join(f"{state.gate}: {state.words or state.reason}" for state in states)
