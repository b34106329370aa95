"""One sample of one gate: its queries asked now, and what stands in the way of a value said in one word."""

import asyncio
from datetime import datetime, timedelta

from msgspec import Struct

from actions.ids import now
from actions.judging.evidence import Reading, Reason
from actions.judging.metric_gates import MetricGate, Queries
from actions.judging.words import number
from backends.errors import BackendError
from backends.ports import Metrics
from backends.together import together

STALE_WINDOWS = 3
BASELINE_WINDOWS = 10
AT_ONCE = 4


class Frozen(Struct, frozen=True, kw_only=True):
    """What production was before the first stage: a value (None: not known), of how many requests (None: nobody
    counts them)."""

    value: float | None = None
    requests: float | None = None


class _Number(Struct, frozen=True):
    """What a query came to: a value, or why it has none."""

    value: float | None
    reason: Reason = ""
    words: str = ""


async def take(gate: MetricGate, asked: Queries, metrics: Metrics, color: str, frozen: Frozen | None = None) -> Reading:
    """One sample; never raises BackendError. `color` is the candidate's. With `frozen`, production is not asked."""
    at = now()
    theirs, their_count = ("", "") if frozen is not None else (asked.production, asked.production_requests)
    wanted = (asked.candidate, asked.requests, theirs, their_count)
    value, count, production, others = await together(
        *(_number(metrics, query, gate, at, color if index == 0 else "") for index, query in enumerate(wanted))
    )
    errors = [found for found in (value, count, production, others) if found.reason == "provider_error"]
    mine, problem = _settled(gate, value, count)
    if errors:
        problem = errors[0]
    if problem is not None:
        return Reading(at=at, requests=count.value, problem=problem.reason, detail=problem.words)
    if frozen is None:
        frozen_value, frozen_count = _settled(gate, production, others)[0], others.value
    else:
        frozen_value, frozen_count = frozen.value, frozen.requests
    return Reading(
        at=at, candidate=mine, requests=count.value, production=frozen_value, production_requests=frozen_count,
        frozen=frozen is not None,
    )  # fmt: skip


async def baseline(gate: MetricGate, asked: Queries, metrics: Metrics) -> Frozen:
    """Production as it was over the last ten windows, joined: one alone would make chance the yardstick of the last
    stage. Raises BackendError where the source does not answer."""
    moment, lane = now(), asyncio.Semaphore(AT_ONCE)

    async def window(back: int) -> tuple[float | None, float | None]:
        at = moment - timedelta(seconds=back * float(gate.window))
        async with lane:
            value, count = await together(
                *(_number(metrics, query, gate, at, "") for query in (asked.production, asked.production_requests))
            )
        for found in (value, count):
            if found.reason == "provider_error":
                raise BackendError("unreachable", found.words)
        return _settled(gate, value, count)[0], count.value

    told = await together(*(window(back) for back in range(BASELINE_WINDOWS)))
    known = [(value, count) for value, count in told if value is not None]
    if not known:
        return Frozen()
    counts = [count for _, count in known if count is not None]
    if len(counts) < len(known):
        return Frozen(value=sum(value for value, _ in known) / len(known))
    total = sum(counts)
    if not total:
        return Frozen(requests=0.0)
    return Frozen(value=sum(value * (count or 0) for value, count in known) / total, requests=total)


async def newest(gate: MetricGate, asked: Queries, metrics: Metrics) -> Frozen:
    """Production now: one window. Raises BackendError where the source does not answer."""
    at = now()
    value, count = await together(
        _number(metrics, asked.production, gate, at, ""), _number(metrics, asked.production_requests, gate, at, "")
    )
    for found in (value, count):
        if found.reason == "provider_error":
            raise BackendError("unreachable", found.words)
    return Frozen(value=_settled(gate, value, count)[0], requests=count.value)


async def _number(metrics: Metrics, query: str, gate: MetricGate, at: datetime, color: str) -> _Number:
    """`query` at a time; an empty one is not asked. With `color`, an answer that names another one is not taken."""
    if not query:
        return _Number(None)
    try:
        samples = await metrics.instant(query, at=at)
    except BackendError as error:
        return _Number(None, "provider_error", error.message)
    if not samples:
        return _Number(None, "no_data", "no data")
    if len(samples) > 1:
        return _Number(None, "identity_unproven", f"{len(samples)} series where one number is wanted: aggregate them")
    (sample,) = samples
    if sample.warnings:
        return _Number(None, "provider_error", f"the answer may be incomplete: {sample.warnings[0]}")
    named = sample.labels.get("color", color)
    if color and named.casefold() != color.casefold():
        return _Number(None, "identity_unproven", f"the answer is of {named.upper()}, not of {color.upper()}")
    if sample.value is None:
        return _Number(None, "nan", f"the value is {sample.reason}")
    age_s = (at - sample.at).total_seconds()
    if age_s > STALE_WINDOWS * float(gate.window):
        return _Number(None, "stale", f"the newest value is {age_s:.0f} s old")
    if -age_s > STALE_WINDOWS * float(gate.window):
        return _Number(None, "stale", f"the newest value is {-age_s:.0f} s ahead of this host's clock")
    return _Number(sample.value)


def _settled(gate: MetricGate, value: _Number, count: _Number) -> tuple[float | None, _Number | None]:
    """The value, or what stands in its way. No requests at all are an empty window: 0 of 0, to be joined with others;
    no failed request is zero only where that was said and requests are counted."""
    if gate.requests and count.value is None:
        return None, _Number(None, count.reason, f"requests: {count.words}")
    if value.value is not None and value.value < 0 and (gate.is_share or gate.unit):
        return None, _Number(None, "nan", f"the value is {number(value.value, gate)}, which can not be")
    if value.value is not None:
        return value.value, None
    empty = count.value == 0 and value.reason in ("nan", "no_data")
    if empty or (value.reason == "no_data" and gate.on_no_data == "zero"):
        return 0.0, None
    return None, value
