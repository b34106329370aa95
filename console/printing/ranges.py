"""Threshold ranges of the monitoring plugins, and a check judged by one.

Source: https://www.monitoring-plugins.org/doc/guidelines.html#THRESHOLDFORMAT.
"""

import math
import re

from msgspec import Struct
from msgspec.structs import replace

from backends.models import CheckResult, Health, PerfDatum, worst

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"(@?)(?:(~|{_NUMBER}|):)?({_NUMBER})?", re.ASCII)


class Range(Struct, frozen=True):
    """`start:end` as it was written. A value outside of it alerts; with `@` one inside of it, ends included."""

    text: str
    start: float
    end: float
    inside: bool

    def alerts(self, value: float) -> bool:
        """Is `value` where it should not be?"""
        return (self.start <= value <= self.end) == self.inside


def parse_range(text: str) -> Range:
    """`10` (0 to 10), `10:` (10 and more), `~:10` (10 and less), `10:20`, `@10:20`. Raises ValueError."""
    match = _RANGE.fullmatch(text)
    if match is None or not text.strip("@"):
        raise ValueError(f'"{text}" is not a range: write 10, 10:, ~:10, 10:20 or @10:20')
    inside, start, end = match.groups()
    low = -math.inf if start == "~" else float(start or 0)
    high = math.inf if end is None else float(end)
    if low > high:
        raise ValueError(f'"{text}" is not a range: it starts after its end')
    return Range(text, low, high, bool(inside))


def judged_by(result: CheckResult, warning: Range | None, critical: Range | None) -> CheckResult:
    """`result` with its first perfdatum held against the ranges too; what was wrong already stays wrong.

    A check that says it is fine and has measured nothing is unknown.
    """
    if not result.perfdata or result.perfdata[0].value is None:
        if result.state != "ok":
            return result
        return replace(
            result, state="unknown", message=f"nothing was measured to hold against a range: {result.message}"
        )
    datum, *others = result.perfdata
    own: tuple[tuple[Health, Range | None], ...] = (("critical", critical), ("warning", warning))
    broken = next(((state, limit) for state, limit in own if limit and limit.alerts(datum.value or 0.0)), None)
    limits = {name: limit.text for name, limit in (("warn", warning), ("crit", critical)) if limit is not None}
    shown = replace(result, perfdata=(replace(datum, **limits), *others))
    if broken is None:
        return shown
    state, limit = broken
    words = f"{datum.label} {measured(datum)} is {'inside' if limit.inside else 'outside'} {limit.text}"
    return replace(shown, state=worst([result.state, state]), message=f"{words}; {result.message}")


def measured(datum: PerfDatum) -> str:
    """A value with its unit as perfdata writes it: no exponent below a quadrillion, `U` where it was not determined."""
    return "U" if datum.value is None else f"{datum.value:.15g}{datum.unit}"
