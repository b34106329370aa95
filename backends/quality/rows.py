"""Rows of quality evaluations, whatever system they come from, as `QualityScore`s."""

import itertools
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from backends.json_text import decode_python
from backends.models import FailedExpectation, Health, QualityScore, TrendPoint
from backends.settings import Duration
from backends.text import clean
from backends.times import parse_time

MAX_FAILURES = 100
POINTS_FOR_CADENCE = 3
LEAST_CADENCE_S = 60.0
CLOCK_SKEW = timedelta(minutes=5)


class Limits(Struct, frozen=True):
    """What scores mean: limits, lower ones on 0..1 unless `better` or `unit` say otherwise, what to divide a score by,
    points of trend, the cadence where known."""

    warn: float
    crit: float
    scale: float = 1.0
    history: int = 24
    cadence_s: float | None = None
    better: Literal["higher", "lower"] = "higher"
    unit: str = ""


def score_of(
    backend: str, dataset: str, rows: Sequence[Mapping[str, Any]], limits: Limits, now: datetime
) -> QualityScore:
    """The score of one dataset from its rows (columns score, evaluated_at, passed, total, failures, run_ref).

    Their order does not matter. What cannot be judged is `unknown`, and `reason` says why. One that is old is `unknown`
    where it was good; where it was bad it stays so, since nobody has seen it better.
    """
    timed = sorted(
        ((parse_time(row["evaluated_at"]), row) for row in rows),
        key=lambda pair: pair[0] or datetime.min.replace(tzinfo=UTC),
    )[-limits.history :]
    at, newest = timed[-1]
    score, reason = _read_score(newest["score"], limits)
    if reason is None:
        reason = _why_no_time(at, newest["evaluated_at"], now)
    judged = score is not None and at is not None and reason is None
    if judged and at is not None:
        reason = _why_old(at, [time for time, _ in timed if time], limits, now)
    failures, trouble = _read_failures(newest.get("failures"))
    run_ref = newest.get("run_ref")
    found = QualityScore(
        ref=f"{backend}/{dataset}",
        backend=backend,
        dataset=dataset,
        score=score,
        warn=limits.warn,
        crit=limits.crit,
        state="unknown",
        evaluated_at=at,
        age_s=max(0.0, (now - at).total_seconds()) if at else None,
        passed=_count(newest.get("passed")),
        total=_count(newest.get("total")),
        failures=failures,
        trend=tuple(_trend(timed, limits)),
        run_ref=clean(str(run_ref), 300) if run_ref else None,
        reason="; ".join(filter(None, (reason, trouble))) or None,
        better=limits.better,
        unit=limits.unit,
    )
    if not judged or score is None:
        return found
    state = found.judged(score)
    return replace(found, state=outdated(state) if reason is not None else state)


def outdated(state: Health) -> Health:
    """What a judgement is once it is old: a good one says nothing any more, a bad one was not taken back."""
    return "unknown" if state == "ok" else state


def as_column(failures: Sequence[FailedExpectation]) -> list[dict[str, str]]:
    """As the column `failures` has them; of too many the last one says how many more there are."""
    shown = list(failures)
    if len(shown) > MAX_FAILURES:
        shown[MAX_FAILURES - 1 :] = [FailedExpectation(f"and {len(shown) - MAX_FAILURES + 1} more", "")]
    return [{"check": failure.check, "detail": failure.detail} for failure in shown]


def _trend(timed: list[tuple[datetime | None, Mapping[str, Any]]], limits: Limits) -> list[TrendPoint]:
    points = ((at, _read_score(row["score"], limits)[0]) for at, row in timed)
    return [TrendPoint(at, score) for at, score in points if at is not None and score is not None]


def _read_score(value: Any, limits: Limits) -> tuple[float | None, str | None]:
    """The score on 0..1, or in its unit, or why there is none."""
    if value is None or value == "":
        return None, "no data"
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None, "score is not a number"
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None, f"score is not a number: {clean(str(value), 40)}"
    if math.isnan(number):
        return None, "score is NaN"
    if math.isinf(number):
        return None, "score is infinite"
    score = number / limits.scale
    if limits.unit:
        return score, None
    if not -1e-9 <= score <= 1 + 1e-9:
        return None, f"score {number:g} is outside 0..{limits.scale:g}"
    return min(1.0, max(0.0, score)), None


def _why_no_time(at: datetime | None, raw: Any, now: datetime) -> str | None:
    if at is None:
        return "evaluated_at is empty" if raw is None else f"evaluated_at is not a time: {clean(str(raw), 40)}"
    if at - now > CLOCK_SKEW:
        return f"evaluated {in_words((at - now).total_seconds())} in the future: is evaluated_at UTC?"
    return None


def _why_old(at: datetime, times: list[datetime], limits: Limits, now: datetime) -> str | None:
    cadence = limits.cadence_s or _cadence(times)
    if cadence is not None and (now - at).total_seconds() > 2 * cadence:
        return f"older than twice its cadence of {in_words(cadence)}"
    return None


def _cadence(times: list[datetime]) -> float | None:
    """The median interval; not less than a minute, since a few runs by hand in a row are no schedule."""
    distinct = sorted(set(times))
    if len(distinct) < POINTS_FOR_CADENCE:
        return None
    from statistics import median  # decimals and fractions come with it, and the first paint needs none

    intervals = [(after - before).total_seconds() for before, after in itertools.pairwise(distinct)]
    return max(LEAST_CADENCE_S, median(intervals))


def in_words(seconds: float) -> str:
    """A duration as people say it: `42s`, `5m`, `26h`."""
    step = 1 if seconds < 600 else 60 if seconds < 86400 else 3600
    return str(Duration(round(seconds / step) * step))


def _count(value: Any) -> int | None:
    try:
        number = None if value is None or isinstance(value, bool) else int(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return number if number is not None and number >= 0 else None


def _read_failures(value: Any) -> tuple[tuple[FailedExpectation, ...], str | None]:
    """Failed checks, and what is wrong with the column, if anything."""
    if value is None or value == "":
        return (), None
    if isinstance(value, str | bytes):
        try:
            value = decode_python(value)
        except msgspec.DecodeError:
            return (), "failures is not JSON"
    if not isinstance(value, list):
        return (), "failures is not a list" if value is not None else None
    found = []
    for entry in value[:MAX_FAILURES]:
        if isinstance(entry, str):
            found.append(FailedExpectation(clean(entry, 200), ""))
        elif isinstance(entry, dict) and isinstance(entry.get("check"), str):
            found.append(FailedExpectation(clean(entry["check"], 200), clean(str(entry.get("detail", "")), 500)))
    unread = len(value[:MAX_FAILURES]) - len(found)
    words = [f"{unread} of its failures are not {{check, detail}}"] if unread else []
    if len(value) > MAX_FAILURES:
        words.append(f"{len(value) - MAX_FAILURES} more failures")
    return tuple(found), "; ".join(words) or None
