"""How states, ages and amounts are written: one vocabulary for screen and headless tables. Never imports Textual.

Every state is a symbol and a word or place, so it reads on a monochrome terminal; hue only repeats it (SCREENS).
"""

from datetime import datetime, tzinfo

from msgspec import Struct

SPARK_BARS = "▁▂▃▄▅▆▇█"
NOTHING = "–"
PLAIN = str.maketrans(
    "─━═╌┄▔▁│┃║╎┆▏▕▎▊▌▐╭╮╰╯┌┐└┘├┤┬┴┼█▇▆▅▄▃▂░▒▓•·–—…→←↑↓▶▸◀▲▼●○◌✓✗×⏎⇥⌫‘’“”",
    "------_|||||||||||+++++++++++++#######.:#*.--~><^v>><^voo.vXx<><''\"\"",
)
"""The symbols of screens and tables, one ASCII character for each."""


class Symbols(Struct, frozen=True):
    """One character per state. `bars` are eight heights, lowest first."""

    ok: str = "✓"
    warning: str = "▲"
    critical: str = "✗"
    unknown: str = "?"
    running: str = "…"
    acknowledged: str = "◌"
    live: str = "▶"
    not_yet: str = "·"
    bars: str = SPARK_BARS
    ellipsis: str = "…"
    arrow: str = "→"
    dot: str = "·"

    def of(self, word: str) -> str:
        """The symbol for a health, a run state, an alert state or a step status; a word that is not known is `?`."""
        return str(getattr(self, _SYMBOL_NAME.get(word, "unknown")))

    def legend(self) -> list[tuple[str, str]]:
        """Each symbol with what it says, wherever it stands."""
        return [
            (self.ok, "well: ok, succeeded, healthy"),
            (self.warning, "a warning: late, cancelled, held, paused, something to know"),
            (self.critical, "wrong: critical, failed, down"),
            (self.unknown, "not known: no answer, too old, or nobody could look"),
            (self.running, "goes on: running, waiting"),
            (self.acknowledged, "quiet: acknowledged, silenced, inhibited"),
            (self.not_yet, "not yet, or left out: queued, pending, skipped"),
            (self.live, "live: has the traffic"),
            ("@", "an open action: @ shows it"),
            (self.bars[0] + self.bars[-1], "a trend, from low to high, the newest at the right"),
        ]


UNICODE = Symbols()
ASCII = Symbols(".", "!", "X", "?", "~", "a", ">", "-", "_.:-=+*#", "~", "->", "-")

_SYMBOL_NAME = {
    "ok": "ok", "success": "ok", "succeeded": "ok", "warning": "warning", "late": "warning", "cancelled": "warning",
    "stopped": "warning",
    "critical": "critical", "failed": "critical", "error": "critical", "unknown": "unknown", "running": "running",
    "queued": "not_yet", "waiting": "running", "skipped": "not_yet", "pending": "not_yet", "firing": "critical",
    "silenced": "acknowledged", "inhibited": "acknowledged", "acknowledged": "acknowledged",
}  # fmt: skip


def ago(seconds: float | None) -> str:
    """An age in its largest unit: `4s`, `2m`, `3h`, `5d`."""
    if seconds is None:
        return NOTHING
    whole = max(0, int(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if whole >= size * (2 if unit == "d" else 1):
            return f"{whole // size}{unit}"
    return f"{whole}s"


def took(seconds: float | None) -> str:
    """A duration in its two largest units: `0.3s`, `12s`, `4m12s`, `2h05m`."""
    if seconds is None:
        return NOTHING
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def clock(at: datetime | None, zone: tzinfo, *, milliseconds: bool = False) -> str:
    """The time of day in the operator's zone: `14:00:19`, or `14:00:19.204`."""
    if at is None:
        return NOTHING
    local = at.astimezone(zone)
    return local.strftime("%H:%M:%S") + (f".{local.microsecond // 1000:03d}" if milliseconds else "")


def dated(at: datetime | None, zone: tzinfo, today: datetime) -> str:
    """As `clock`, behind its day where that is another one than that of `today`: `2026-11-28 14:00:19`."""
    if at is None or at.astimezone(zone).date() == today.astimezone(zone).date():
        return clock(at, zone)
    return f"{at.astimezone(zone):%Y-%m-%d} {clock(at, zone)}"


def zone_name(at: datetime, zone: tzinfo) -> str:
    """The zone's name at that time: `CET`, `CEST`, `UTC`."""
    return at.astimezone(zone).tzname() or "UTC"


def amount(value: float | None, unit: str = "", digits: int = 0) -> str:
    """A number with its unit, or a dash where there is none."""
    return NOTHING if value is None else f"{value:.{digits}f}{unit}"


def sparkline(values: list[float], width: int, *, low: float, high: float, bars: str = SPARK_BARS) -> str:
    """The last `width` values as bars between `low` and `high`; values outside are clipped."""
    span = (high - low) or 1.0
    shown = values[-width:]
    return "".join(bars[min(len(bars) - 1, max(0, int((value - low) / span * len(bars))))] for value in shown)
