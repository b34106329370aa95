"""Limits on how long an answer may take, and the perfdata of it."""

from msgspec import Struct

from backends.models import Health, PerfDatum
from backends.settings import Duration


class LatencyLimits(Struct, frozen=True):
    """Upper limits; None for none."""

    warn: Duration | None = None
    crit: Duration | None = None

    def __post_init__(self) -> None:
        if self.warn is not None and self.crit is not None and self.warn > self.crit:
            raise ValueError("warn, crit: warn is not more than crit")


def judge_latency(seconds: float, limits: LatencyLimits, *, late_s: float = 0.0) -> tuple[Health, str, PerfDatum]:
    """The state for what an answer took at least, words for it (`1200 ms, over 500ms`), and the perfdata `time` in
    seconds. `late_s`: what this host was late by meanwhile; a limit that only this may have broken is not judged, and
    that is said."""
    state: Health = "ok"
    words = f"{seconds * 1000:.0f} ms"
    broken = None
    if limits.crit is not None and seconds > limits.crit:
        state, broken = "critical", limits.crit
    elif limits.warn is not None and seconds > limits.warn:
        state, broken = "warning", limits.warn
    perfdata = PerfDatum(
        label="time", value=round(seconds, 6), unit="s", warn=_plain(limits.warn), crit=_plain(limits.crit), min=0
    )
    if broken is not None:
        return state, f"{words}, over {broken}", perfdata
    missed = [limit for limit in (limits.crit, limits.warn) if limit is not None and seconds + late_s > limit]
    if missed:
        words += f", not judged by {missed[0]}: this host was late by {late_s * 1000:.0f} ms"
    return state, words, perfdata


def _plain(limit: Duration | None) -> str:
    return f"{float(limit):g}" if limit is not None else ""
