"""Scores of datasets as rows: the score against its limit, the trend, which check failed."""

from datetime import tzinfo

from backends.models import Freshness, QualityScore, severity_rank
from panels.columns import Cell, Column, Kind, Moment, Tone
from panels.words import NOTHING, ago, clock, sparkline, zone_name

TREND = 13
_COUNTED = ("critical", "unknown", "warning", "ok")


def tone(score: QualityScore) -> Tone:
    """The hue of a score: none where it is fine."""
    return "" if score.state == "ok" else score.state


def score_words(score: QualityScore) -> str:
    """A breached limit shows both numbers (`0.71 < 0.80`), an intact one only the score."""
    return score.words


def freshness_words(freshness: Freshness, zone: tzinfo) -> str:
    """`critical: newest row of 2026-01-01 00:00:00 UTC, limits 12h / 1d, looked at 10:00:00`."""
    words = []
    if (row := freshness.loaded_at) is not None:
        words.append(f"newest row of {row.astimezone(zone):%Y-%m-%d} {clock(row, zone)} {zone_name(row, zone)}")
    limits = [ago(limit) for limit in (freshness.warn_after_s, freshness.error_after_s) if limit is not None]
    words += ["limits " + " / ".join(limits)] if limits else []
    words += [f"looked at {clock(freshness.checked_at, zone)}"] if freshness.checked_at is not None else []
    return f"{freshness.state}: " + (", ".join(words) or "not measured")


def reason(score: QualityScore) -> str:
    """Why it is not fine: the source's words, or the first check that failed."""
    if score.state == "ok":
        return ""
    if score.failures and score.state != "unknown":
        first, more = score.failures[0], len(score.failures) - 1
        words = f"{first.check}: {first.detail}" if first.detail else first.check
        words += f"  (+{more} more)" if more else ""
        return f"{score.reason}; {words}" if score.reason else words
    return score.reason or ""


def why(score: QualityScore) -> str:
    """A dataset, its score and what is wrong with it, in one line: `orders 0.71 < 0.80: not_null id: 3 rows`."""
    measured, words = score_words(score), reason(score)
    return f"{score.named} {measured}" + (f": {words}" if words and words != measured else "")


def trend(score: QualityScore, width: int, bars: str) -> str:
    """The last measurements as bars; the floor lies below the critical limit, so that a breach is seen as a fall. Where
    lower is better, a breach is seen as a rise."""
    values = [point.score for point in score.trend]
    if score.better == "lower" or score.unit:
        top = max([score.crit, score.warn, *values[-width:]])
        return sparkline(values, width, low=min([0.0, *values[-width:]]), high=1.08 * top or 1.0, bars=bars)
    floor = min([max(0.0, score.crit - 0.2), *values[-width:]])
    return sparkline(values, width, low=floor, high=1.08, bars=bars)


def _age(score: QualityScore, moment: Moment) -> Cell:
    return Cell(ago(moment.since(score.evaluated_at)), "muted")


def _passed(score: QualityScore, _: Moment) -> Cell:
    return Cell(NOTHING if score.total is None else f"{score.passed} of {score.total}", "muted")


def _limits(score: QualityScore) -> str:
    return f"{score.warn:.4g} / {score.crit:.4g}" if score.unit else f"{score.warn:.2f} / {score.crit:.2f}"


def _goodness(score: QualityScore) -> float:
    if score.score is None:
        return 1.0
    return -score.score if score.better == "lower" else score.score


QUALITY: Kind[QualityScore] = Kind(
    name="quality",
    columns=(
        Column(title="", cell=lambda score, moment: Cell(moment.symbols.of(score.state), tone(score)), max_width=1),
        Column(
            title="DATASET",
            cell=lambda score, _: Cell(score.dataset, "strong" if score.state == "critical" else ""),
            min_width=10,
            max_width=40,
            flex=True,
        ),
        Column(
            title="SUITE",
            cell=lambda score, _: Cell(score.suite, "muted"),
            max_width=24,
            priority=2,
            when=lambda scores: len({score.dataset for score in scores}) < len(scores),
        ),
        Column(title="SCORE", cell=lambda score, _: Cell(score_words(score), tone(score)), min_width=11, max_width=11),
        Column(
            title="SOURCE",
            cell=lambda score, _: Cell(score.backend, "muted"),
            max_width=12,
            priority=6,
            when=lambda scores: len({score.backend for score in scores}) > 1,
        ),
        Column(
            title="LIMITS",
            cell=lambda score, _: Cell(_limits(score), "muted"),
            max_width=11,
            priority=4,
        ),
        Column(title="CHECKS", cell=_passed, max_width=12, align="right", priority=6),
        Column(
            title="TREND",
            cell=lambda score, moment: Cell(trend(score, TREND, moment.symbols.bars), "muted"),
            min_width=6,
            max_width=TREND,
            flex=True,
            tail=True,
            priority=3,
        ),
        Column(title="AGO", cell=_age, min_width=4, max_width=4, align="right", priority=1),
    ),
    key=lambda score: score.ref,
    health=lambda score: score.state,
    sort_key=lambda score: (severity_rank(score.state), _goodness(score), score.dataset),
    counted=lambda score: ((score.state, tone(score)),),
    count_order=_COUNTED,
    reason=reason,
    text=lambda score: f"{score.named} {score.state} {score.backend}",
    fields=lambda score: {
        "state": score.state,
        "dataset": score.dataset,
        "source": score.backend,
        "backend": score.backend,
    },
    empty="No scores yet",
)
