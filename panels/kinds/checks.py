"""Health checks as rows."""

from backends.models import CheckResult, severity_rank
from panels.columns import Cell, Column, Kind, Tone
from panels.words import amount


def tone(result: CheckResult) -> Tone:
    """The hue of a check: none where it is fine."""
    return "" if result.state == "ok" else result.state


CHECKS: Kind[CheckResult] = Kind(
    name="checks",
    columns=(
        Column(title="", cell=lambda result, moment: Cell(moment.symbols.of(result.state), tone(result)), max_width=1),
        Column(title="CHECK", cell=lambda result, _: Cell(result.name), min_width=8, max_width=32),
        Column(
            title="SAYS",
            cell=lambda result, _: Cell(result.message, tone(result)),
            min_width=10,
            max_width=200,
            flex=True,
        ),
        Column(
            title="TOOK",
            cell=lambda result, _: Cell(amount(result.latency_ms, "ms"), "muted"),
            max_width=8,
            align="right",
            priority=1,
        ),
    ),
    key=lambda result: result.ref,
    health=lambda result: result.state,
    sort_key=lambda result: (severity_rank(result.state), result.name),
    counted=lambda result: ((result.state, tone(result)),),
    count_order=("critical", "unknown", "warning"),
    text=lambda result: f"{result.name} {result.state} {result.message}",
    fields=lambda result: {"state": result.state, "name": result.name},
    empty="No checks configured",
)
