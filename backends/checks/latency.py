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


def judge_latency(seconds: float, limits: LatencyLimits) -> tuple[Health, str, PerfDatum]:
    """The state for `seconds`, words for it (`1200 ms, over 500ms`), and the perfdata `time` in seconds."""
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
    return state, words if broken is None else f"{words}, over {broken}", perfdata


def _plain(limit: Duration | None) -> str:
    return f"{float(limit):g}" if limit is not None else ""
