"""Traces and their spans in words."""

from backends.models import Span
from panels.words import NOTHING, took


def lasted(seconds: float | None) -> str:
    """A duration down to microseconds: `350µs`, `12ms`, `1.23s`, `4m12s`."""
    if seconds is None:
        return NOTHING
    if seconds == 0:
        return "0"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f}µs"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.2f}s" if seconds < 10 else took(seconds)


def waited(span: Span) -> str:
    """How long the trace waited for this span itself; empty where it is not on the critical path."""
    return lasted(span.critical_s) if span.critical_s > 0 else ""


def fault(span: Span) -> str:
    """What is wrong with it; that of the first one that failed says so. Empty where it did not fail."""
    if span.state != "critical":
        return ""
    head = "first error" if span.first_error else "failed"
    return f"{head}: {span.error}" if span.error else head
