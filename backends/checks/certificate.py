"""How long a certificate is still valid, against limits in days."""

from datetime import timedelta

from backends.checks.findings import Findings, Limits
from backends.settings import Duration

CERTIFICATE_WARN = Duration(21 * 86400)
CERTIFICATE_CRIT = Duration(7 * 86400)
_DAY = timedelta(days=1)


def certificate_limits(warn: Duration, crit: Duration) -> Limits:
    """Lower limits in days. Raises ValueError where the critical one is reached first."""
    if crit > warn:
        raise ValueError("certificate_warn, certificate_crit: warn is not less than crit")
    return Limits(warn / 86400, crit / 86400, at_least=True)


def measure_certificate(findings: Findings, left: timedelta, limits: Limits) -> None:
    """Adds the perfdata `certificate_days`, and words where `left` is below a limit."""
    days = left / _DAY
    words = f"certificate ends in {days:.0f} days" if days >= 0 else f"certificate ended {-days:.0f} days ago"
    findings.measured("certificate_days", round(days, 2), words, limits=limits)
