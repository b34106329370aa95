"""What a plan says of its gates before anything moves: do their sources answer, do their metrics exist, is there enough
of production to compare with, and will the first stage see enough requests to be judged at all."""

from collections.abc import Sequence

from msgspec import Struct

from actions.judging.decision import stage_time_s
from actions.judging.measuring import BASELINE_OVERRIDE, SOURCE_OVERRIDE, Find, baseline_problem, low_traffic_problem
from actions.judging.metric_gates import MetricGate, Queries
from actions.judging.sampling import Frozen, newest
from actions.judging.words import number
from backends.errors import BackendError
from backends.models import Finding
from backends.ports import Metrics
from backends.settings import Duration
from backends.together import together

SERIES_OVERRIDE, LOW_TRAFFIC = "gate-series", "low-traffic"


class FirstStage(Struct, frozen=True):
    """The first stage of a strategy, or of several that begin alike: its share in percent and its seconds. `of` names
    them where it is not plain which is meant."""

    share: int
    seconds: float
    of: str = ""


async def gate_findings(
    gates: Sequence[MetricGate],
    asked: dict[str, Queries],
    find: Find,
    firsts: Sequence[FirstStage],
    *,
    of_plan: bool = True,
) -> list[Finding]:
    """One finding for each thing that is wrong, else one for each gate that says what it is held to. Nothing is
    written; a gate on trial (`dry_run`) only warns. Where it is not of a plan, so does a production with few requests
    now: the gate is right."""
    firsts = [FirstStage(first.share, stage_time_s(gates, first.seconds), first.of) for first in firsts]
    found = await together(*(_of(gate, asked[gate.name], find, firsts, of_plan) for gate in gates))
    return [finding for findings in found for finding in findings]


async def _of(
    gate: MetricGate, asked: Queries, find: Find, firsts: Sequence[FirstStage], of_plan: bool
) -> list[Finding]:
    try:
        source = await find(gate.metrics)
        missing = await _missing_series(source, asked)
        if missing:
            words = f"gate {gate.name}: {gate.metrics} has no series {', '.join(missing)} (misspelt, or no traffic yet)"
            return [_against(gate, SERIES_OVERRIDE, words, "correct the name in its query")]
        production = await newest(gate, asked, source)
    except BackendError as error:
        words = f"gate {gate.name}: {error.message}"
        return [_against(gate, SOURCE_OVERRIDE, words, error.fix or "see that the metrics source answers")]
    problem = baseline_problem(gate, production) if gate.is_relative else ""
    if problem and not of_plan and low_traffic_problem(gate, production):
        fix = "nothing, where it is a quiet hour; else fewer min_requests or a longer window"
        return [Finding(level="warning", code=LOW_TRAFFIC, text=f"gate {gate.name}: {problem}", fix=fix)]
    if problem:
        return [_against(gate, BASELINE_OVERRIDE, f"gate {gate.name}: {problem}", "see what its query finds now")]
    return [_held_to(gate, production), *_few_requests(gate, production, firsts)]


async def _missing_series(source: Metrics, asked: Queries) -> list[str]:
    queries = (asked.candidate, asked.production, asked.requests)
    names = dict.fromkeys(name for query in queries if query for name in source.names(query))
    exist = await together(*(source.series_exist(name) for name in names))
    return [name for name, there in zip(names, exist, strict=True) if not there]


def _held_to(gate: MetricGate, production: Frozen) -> Finding:
    limits = [] if gate.max is None else [f"at most {number(gate.max, gate)}"]
    if gate.max_increase is not None:
        room = f"{gate.max_increase * 100:.3g} points" if gate.is_share else number(gate.max_increase, gate)
        limits.append(f"at most {room} over production ({number(production.value, gate)} now)")
    if gate.max_ratio is not None:
        limits.append(f"at most {gate.max_ratio:g} × production ({number(production.value, gate)} now)")
    dry = ", a dry run: shown and not counted" if gate.dry_run else ""
    return Finding(level="ok", code="gate", text=f"gate {gate.name}: {' and '.join(limits)}{dry}")


def _few_requests(gate: MetricGate, production: Frozen, firsts: Sequence[FirstStage]) -> list[Finding]:
    """Held for want of requests is a stage that could have been foreseen."""
    if production.requests is None:
        return []
    found = []
    for first in firsts:
        expected = production.requests / float(gate.window) * first.seconds * first.share / 100
        if expected >= gate.min_requests:
            continue
        strategy = f"{first.of}: " if first.of else ""
        words = (
            f"gate {gate.name}: {strategy}at {first.share} % the new side gets about {expected:.0f} requests in "
            f"{Duration(round(first.seconds, 3))}, {gate.min_requests} are needed: the stage will be held"
        )
        longer = "a longer bake" if first.share == 100 else "a longer stage_time, a larger first stage"
        found.append(Finding(level="warning", code=LOW_TRAFFIC, text=words, fix=f"{longer}, or fewer min_requests"))
    return found


def _against(gate: MetricGate, code: str, words: str, fix: str) -> Finding:
    if gate.dry_run:
        return Finding(level="warning", code=code, text=f"{words} (dry run)", fix=fix)
    return Finding(level="block", code=code, text=words, fix=fix, overridable=True)
