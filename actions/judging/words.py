"""Numbers of a gate and its limits in words that are read at night."""

from actions.judging.metric_gates import MetricGate


def number(value: float | None, gate: MetricGate) -> str:
    """`value` of a gate, as `measured`."""
    return measured(value, "share" if gate.is_share else gate.unit or "")


def measured(value: float | None, unit: str) -> str:
    """`4.2 %` of a share, `820 ms` of seconds, else the plain number; `–` for none."""
    if value is None:
        return "–"
    if unit == "share":
        return f"{value * 100:.3g} %"
    if unit == "s":
        return f"{value * 1000:.0f} ms" if value < 10 else f"{value:.3g} s"
    return f"{value:.4g}"


def limit_words(gate: MetricGate, production: float | None, name: str, limit: float, *, frozen: bool) -> str:
    """`over the limit of 5 %`, `more than 2 points over production (1.1 %)`, `more than 1.5 × production (210 ms)`."""
    if name == "max" or production is None:
        return f"over the limit of {number(limit, gate)}"
    theirs = f"production {'before' if frozen else 'now'} ({number(production, gate)})"
    if name == "max_increase":
        room = f"{(gate.max_increase or 0) * 100:.3g} points" if gate.is_share else number(gate.max_increase, gate)
        return f"more than {room} over {theirs}"
    return f"more than {gate.max_ratio:g} × {theirs}"
