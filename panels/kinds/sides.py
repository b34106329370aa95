"""The sides of a deployment: a small table, a row for each color."""

from backends.models import ColorState, Deployment
from panels.columns import Cell, Column, Line, Moment, Tone, fit, row, tone_of
from panels.words import NOTHING, amount


def color_tone(color: str) -> Tone:
    """Blue and green are written in their own hue, since the word is always there too."""
    return tone_of(color, ("blue", "green"), "strong")


def ordered(deployment: Deployment) -> list[tuple[str, ColorState]]:
    """Its sides, the one with the most traffic first."""
    return sorted(deployment.colors.items(), key=lambda pair: (-(pair[1].weight_pct or 0), pair[0]))


def errors(side: ColorState) -> str:
    """`0.4 %`, `100 %`: as many digits as fit beside it on 80 columns; of few requests `1 of 2`, which is no share."""
    if side.few:
        return f"{side.failed} of {side.requests}"
    return amount(side.error_pct, " %", 0 if side.error_pct is not None and side.error_pct >= 99.95 else 1)


class _Side:
    """One color of a deployment as the row of a small table."""

    __slots__ = ("live", "name", "state")

    def __init__(self, name: str, state: ColorState, live: bool) -> None:
        self.name, self.state, self.live = name, state, live


def _ready(side: _Side, _: Moment) -> Cell:
    state = side.state
    if state.ready is not None and state.desired is not None:
        short = state.ready < state.desired or state.healthy is False
        return Cell(f"{state.ready}/{state.desired}", "critical" if short and side.live else "warning" if short else "")
    if state.healthy is None:
        return Cell("?", "unknown")
    return Cell("ready") if state.healthy else Cell("down", "critical" if side.live else "warning")


def _weight(side: _Side, _: Moment) -> Cell:
    return Cell(amount(side.state.weight_pct, " %"), "strong" if side.live else "muted")


def _rps(side: _Side, _: Moment) -> Cell:
    few = 0 < (side.state.rps or 0) < 1
    return _number(side.state.rps, "/s", int(few))


def _errors(side: _Side, _: Moment) -> Cell:
    state = side.state
    if state.beyond and side.live:
        return Cell(errors(state), "warning" if state.few else "critical")
    return Cell(errors(state), "" if state.error_pct else "muted")


def _p95(side: _Side, _: Moment) -> Cell:
    cell = _number(side.state.p95_ms, "ms")
    return Cell(cell.text, "muted") if side.state.few else cell


def _number(value: float | None, unit: str, digits: int = 0) -> Cell:
    return Cell(amount(value, unit, digits), "" if value else "muted")


_SIDE_COLUMNS: tuple[Column[_Side], ...] = (
    Column(title="", cell=lambda side, moment: Cell(moment.symbols.live if side.live else " ", "strong"), max_width=1),
    Column(title="", cell=lambda side, _: Cell(side.name.upper(), color_tone(side.name)), min_width=5, max_width=10),
    # That of the live side stands in the line above: of all that is said here it is missed least.
    Column(
        title="",
        cell=lambda side, _: Cell(side.state.version or NOTHING),
        min_width=5,
        max_width=14,
        flex=True,
        priority=1,
    ),
    Column(title="", cell=_ready, min_width=3, max_width=9),
    Column(title="", cell=_weight, min_width=5, max_width=5, align="right"),
    Column(title="", cell=_rps, min_width=5, max_width=8, align="right", priority=2),
    Column(title="", cell=_errors, min_width=5, max_width=8, align="right"),
    Column(title="", cell=_p95, min_width=5, max_width=7, align="right", priority=3),
)


def side_lines(deployment: Deployment, moment: Moment, width: int) -> list[Line]:
    """A line for each, in `width` cells."""
    sides = [_Side(name, state, state.takes_traffic) for name, state in ordered(deployment)]
    placed = fit(_SIDE_COLUMNS, width, sides, moment)
    return [row(placed, side, moment) for side in sides]
