"""What a run says of itself, as rows: what is wrong first, then what it is, and what comes of it. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING

from textual.content import Content

from backends.errors import BackendError
from backends.models import PipelineRun
from backends.ports import Approval
from console.printing.comparison_lines import against_good
from console.reading.comparison import Comparison
from console.screens.parts import MUTED, Row, row, seconds_since, style_of
from panels.columns import wrapped
from panels.kinds.pipelines import in_words
from panels.words import Symbols, ago, clock, took, zone_name

if TYPE_CHECKING:
    from console.reading.triage import Triage  # its patterns take 10 ms to compile

ERROR_LINES = 2


def about_run(
    run: PipelineRun,
    *,
    beside: Comparison | None,
    found: Triage | None,
    waits: Sequence[Row],
    impact: Sequence[str],
    zone: tzinfo,
    width: int,
    of: Symbols,
) -> list[Row]:
    """`beside`: it next to the last good run; `found`: what kind of trouble it is in; `impact`: who is downstream;
    `width`: columns of the screen."""
    started = f"{clock(run.started_at, zone)} {zone_name(run.started_at, zone)}" if run.started_at else ""
    rows = []
    if run.state == "unknown" and run.raw_state:
        rows.append(row("state", f"{run.backend} says {run.raw_state}", style_of("unknown")))
    if run.error:
        # In full it stands in the log below.
        lines = wrapped(in_words(run.error), max(20, width - 15), ERROR_LINES, of.ellipsis)
        rows.append(row("error", " ".join(lines), style_of("critical")))
    if run.note:
        rows.append(row("note", run.note))
    rows += waits
    if found is not None:
        rows.append(row("diagnosis", found.meaning, style_of("warning")))
    rows.append(row("run", run_line(run, started)))
    if beside is not None:
        rows.append(row("last good", against_good(beside, zone)))
    if found is not None:
        shown = (line for line in found.evidence if line not in f"{run.error}\n{run.note}")
        rows += [row("", line, MUTED) for line in shown]
    if impact:
        rows.append(row("impact", "; ".join(impact)))
    return rows


def waiting_for(approvals: Sequence[Approval]) -> list[Row]:
    """What of a run that waits needs a person's yes."""
    return [row("waits", approval_line(each), style_of("warning")) for each in approvals]


def waiting_unknown(error: BackendError) -> list[Row]:
    """The same where nobody could look."""
    return [row("waits", f"for what can not be read: {error.message}", style_of("unknown"))]


def approval_line(approval: Approval) -> str:
    """`production (ops team), for 12m: x v approves it`."""
    detail = f" ({approval.detail})" if approval.detail else ""
    since = f", for {ago(seconds_since(approval.since))}" if approval.since else ""
    return f"{approval.name}{detail}{since}: {'x v approves it' if approval.mine else 'not to be approved from here'}"


def run_line(run: PipelineRun, zone_clock: str) -> Content:
    """`started 14:00:19 CET   took 4m12s, usually 3m00s   by schedule`."""
    seconds = run.duration_s if run.duration_s is not None else seconds_since(run.started_at)
    parts: list[tuple[str, str]] = [(f"started {zone_clock}" if run.started_at else "not started", "")]
    if run.started_at is not None:
        length = f"{'took' if run.ended_at else 'running for'} {took(seconds)}"
        if run.usual_s is not None:
            length += f", usually {took(run.usual_s)}"
        parts.append((length, style_of("warning") if run.late else ""))
    if run.trigger:
        parts.append((f"by {run.trigger}", ""))
    return Content("   ").join(Content.styled(text, style) for text, style in parts)
