"""How old the newest thing is, against limits."""

from backends.checks.findings import Findings, Limits
from backends.settings import Duration

AHEAD_S = 60.0


def age_limits(warn: Duration, crit: Duration) -> Limits:
    """Upper limits in seconds. Raises ValueError where the critical one is reached first, or there is none."""
    if not 0 < warn <= crit:
        raise ValueError("warn, crit: more than 0s, warn not more than crit")
    return Limits(float(warn), float(crit))


def measure_age(findings: Findings, age_s: float, what: str, limits: Limits) -> str:
    """Adds the perfdata `age`, and words where it is beyond a limit; returns words for the age."""
    if age_s < -AHEAD_S:
        findings.fault("unknown", f"{what} is {Duration(round(-age_s))} in the future: a clock or a zone is wrong")
    age_s = max(0.0, age_s)
    words = f"{what} is {Duration(round(age_s))} old"
    limit = limits.broken_by(age_s)
    over = "" if limit is None else f", over {Duration(limit)}"
    findings.measured("age", round(age_s, 3), words + over, limits=limits, unit="s")
    return words
