"""The four numbers of DORA as Markdown: pure."""

from collections.abc import Sequence
from datetime import datetime, tzinfo

from actions.dora import GOAL_FAILED, GOAL_LEAD_S, GOAL_PER_DAY, GOAL_RESTORE_S, Dora
from panels.words import NOTHING, zone_name

_HEAD = ("service", "deployments", "per day", "lead time", "failed", "time to restore")


def dora_lines(title: str, rows: Sequence[Dora], since: datetime, until: datetime, zone: tzinfo) -> list[str]:
    """One row a service, the goal below; a number that misses its goal is marked."""
    first, last = (at.astimezone(zone).strftime("%Y-%m-%d %H:%M") for at in (since, until))
    lines = [f"# {title}: deliveries, {first} to {last} {zone_name(until, zone)}", ""]
    lines += [f"| {' | '.join(_HEAD)} |", "|---|--:|--:|--:|--:|--:|"]
    lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    lines.append(
        f"| goal | | {GOAL_PER_DAY:g} or more | under {_took(GOAL_LEAD_S)} | under {GOAL_FAILED:.0%} "
        f"| under {_took(GOAL_RESTORE_S)} |"
    )
    return [
        *lines,
        "",
        "From the journal of this context. A deployment is a release or flip that moved traffic; lead time is from its "
        "order to the end of its bake (the journal knows of no commit), the median; failed is what went back, by a "
        "gate, by hand or by a later rollback; time to restore is from the decision to go back to the old side "
        "verified, the median. `!` misses the goal.",
    ]


def _cells(row: Dora) -> tuple[str, ...]:
    rate = row.change_failure_rate
    failed = NOTHING if rate is None else f"{row.failed} ({rate:.1%})" + _mark(rate >= GOAL_FAILED)
    return (
        row.service,
        str(row.deployments),
        f"{row.per_day:.2f}" + _mark(row.per_day < GOAL_PER_DAY),
        _timed(row.lead_time_s, GOAL_LEAD_S),
        failed,
        _timed(row.time_to_restore_s, GOAL_RESTORE_S),
    )


def _timed(seconds: float | None, goal_s: float) -> str:
    return NOTHING if seconds is None else _took(seconds) + _mark(seconds >= goal_s)


def _mark(missed: bool) -> str:
    return " !" if missed else ""


def _took(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds % 1 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
