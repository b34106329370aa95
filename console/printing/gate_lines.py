"""A gate on one line: what its newest sample says, what it was held to, how the last samples went."""

from actions.judging.words import measured
from actions.models import GateView
from backends.text import counted
from panels.words import sparkline

SPARK_SAMPLES = 20


def gate_line(gate: GateView) -> str:
    """`error rate  PASS  0.8 %  production 0.7 %  limit 2.7 %  312 requests  ▁▂▁▁`."""
    word = gate.sample.upper() + (f" ({gate.reason.replace('_', ' ')})" if gate.reason else "")
    parts = [gate.name + (" (dry run)" if gate.dry_run else ""), word]
    parts += [gate.words] if gate.reason else _numbers(gate)
    values = [value for value in gate.last if value is not None]
    top = max([*values, gate.limit or 0.0])
    parts += [sparkline(values, SPARK_SAMPLES, low=0.0, high=top * 1.05)] if values and top > 0 else []
    return "  ".join(parts)


def _numbers(gate: GateView) -> list[str]:
    found = [measured(gate.value, gate.unit)]
    if gate.production is not None:
        found.append(f"production{' before' if gate.frozen else ''} {measured(gate.production, gate.unit)}")
    if gate.limit is not None:
        found.append(f"limit {measured(gate.limit, gate.unit)}")
    if gate.requests is not None:
        found.append(counted(gate.requests, "request"))
    return found
