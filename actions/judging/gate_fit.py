"""Whether a gate's window, the distance of its samples and the ranges of its queries fit the stage that they judge."""

import re
from collections.abc import Sequence

from actions.judging.judge import PASSES_NEEDED
from actions.judging.metric_gates import MetricGate
from backends.models import Finding
from backends.settings import Duration

CODE, OWN = "gate-fit", "test-requests"
LOOK_S = 1.0
DEFAULT_MIN_REQUESTS = 50
# A range of PromQL, `[5m]` or `[5m:30s]`: digits and units only, so that no label value is taken for one.
_RANGE = re.compile(r"\[((?:\d+(?:ms|[smhdw]))+)(?::[^\]]*)?\]")


def fit_findings(gates: Sequence[MetricGate], stage_s: float, bake_s: float) -> list[Finding]:
    """One warning for each gate that makes a stage or the bake longer than was written, or whose queries look back
    another time than its window says."""
    return [finding for gate in gates for finding in _of(gate, stage_s, bake_s)]


def _of(gate: MetricGate, stage_s: float, bake_s: float) -> list[Finding]:
    found = []
    ranges = sorted({Duration.parse(text) for query in _queries(gate) for text in _RANGE.findall(query)})
    other = [each for each in ranges if each != gate.window]
    if other:
        words = f"gate {gate.name}: its queries look back {_listed(other)}, its window says {gate.window}"
        fix = f'write window = "{max(ranges)}", or the window into the queries' if gate.window not in ranges else (
            "let all of its queries look back as long as its window")  # fmt: skip
        found.append(
            Finding(level="warning", code=CODE, text=f"{words}: samples are counted as if by the window", fix=fix)
        )
    found += _filled_by_own(gate, bake_s)
    if gate.dry_run:
        return found
    longer = [
        f"{what} of {Duration(seconds)} will take {Duration(round(least, 3))}"
        for what, seconds in (("a stage", stage_s), ("the bake", bake_s))
        if (least := least_s(gate, seconds)) > seconds
    ]
    if longer:
        need = f"{PASSES_NEEDED} samples every {Duration(round(gate.every_s(min(stage_s, bake_s)), 3))}"
        words = f"gate {gate.name}: a window of {gate.window} and {need}: {' and '.join(longer)}"
        fix = "a shorter window (also in its queries) or `every`, or a longer stage_time and bake"
        found.append(Finding(level="warning", code=CODE, text=words, fix=fix))
    return found


def _filled_by_own(gate: MetricGate, bake_s: float) -> list[Finding]:
    """Where `min_requests` was set so low that requests to `probe.url` alone make as many: those of this action are
    left out, those of consoles and of others who ask there are not."""
    alone = int(float(gate.window) / look_every_s(bake_s))
    if not gate.requests or not gate.min_requests <= alone or gate.min_requests >= DEFAULT_MIN_REQUESTS:
        return []
    words = f"gate {gate.name}: test requests alone, {alone} in a window of {gate.window}, make {gate.min_requests}"
    fix = f"min_requests above {alone}, or leave out the User-Agent tealdeck in its queries"
    return [Finding(level="warning", code=OWN, text=f"{words} min_requests: nobody need have used it", fix=fix)]


def look_every_s(watched_s: float) -> float:
    """Seconds between two fresh requests while a stage or a bake of that time is watched."""
    return min(LOOK_S, max(0.05, watched_s / 4))


def least_s(gate: MetricGate, wanted_s: float) -> float:
    """Seconds that a stage of `wanted_s` takes at least: the samples that `gate` needs must lie wholly within it."""
    return float(gate.window) + (PASSES_NEEDED - 1) * gate.every_s(wanted_s)


def _queries(gate: MetricGate) -> tuple[str, ...]:
    return (gate.candidate, gate.production, gate.requests)


def _listed(durations: Sequence[Duration]) -> str:
    return ", ".join(str(each) for each in durations)
