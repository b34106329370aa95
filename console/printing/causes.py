"""What has one cause, as lines of text: one a cause."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from console.printing.tables import View
from panels.kinds.cause import Cause
from panels.kinds.causes import words_of
from panels.words import UNICODE

SHOWN = 5
"""So many members are told of below a cause; the JSON has the refs of all."""


def cause_lines(causes: Sequence[Cause], view: View) -> list[str]:
    """One line for each that several things share: `✗ ×40  15m  release analytics 2.4.1: a change of analytics, 2m
    before (37 alerts, 3 runs)`."""
    return [
        f"{UNICODE.of(cause.health)} ×{len(cause.members):,}  {view.ago(cause.first_seen)}  {_words(cause)}"
        for cause in causes if len(cause.members) > 1
    ]  # fmt: skip


def _words(cause: Cause) -> str:
    return f"{cause.likely.text}: {cause.likely.why} ({words_of(cause.counts)})"


def by_cause(
    problems: Sequence[tuple[str, str]], causes: Sequence[Cause], view: View, plain: Callable[[str], str]
) -> list[str]:
    """`problems`, lines of Markdown with the ref that each tells of: those of one cause below a line of their own, up
    to `SHOWN`; what is of no cause comes last. `plain` makes of words from outside words of Markdown."""
    lines: list[str] = []
    for cause in causes:
        refs = {member.ref for member in cause.members}
        told = [line for ref, line in problems if ref in refs]
        if len(cause.members) == 1:
            lines += told
            continue
        shown = told[:SHOWN]
        lines += [f"- {plain(line)}" for line in cause_lines([cause], view)]
        lines += [f"  {line}" for line in shown]
        if more := len(cause.members) - len(shown):
            lines.append(f"  - and {more:,} more")
    of_a_cause = {member.ref for cause in causes for member in cause.members}
    return [*lines, *(line for ref, line in problems if ref not in of_a_cause)]
