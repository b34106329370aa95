"""Whose the last write of a switch is: of this journal, or of another that may be at work there, on this host or not.

Two journals know nothing of each other's leases. What both see is the mark on the switch itself.
"""

from actions.journal.journal import Journal
from actions.models import Finding
from backends.models import FindingLevel
from backends.ports import SwitchState

OTHER_JOURNAL = "other-journal"


async def other_journal(journal: Journal, state: SwitchState, *, forward: bool = True) -> list[Finding]:
    """What forbids a way forward, until somebody overrides it: the last write is of an action of another journal that
    has no end, or that left a split. For a way back (`forward` is false) it is a warning."""
    if state.odd_mark:
        text = f"the switch has a mark that this program can not read ({state.odd_mark}): a newer one may be at work"
        return [_finding(text, "see who wrote it: another version of teal, or somebody by hand", forward=forward)]
    action, colon, _ = state.stamp.partition(":")
    if not action or not colon:  # written by hand, or by nobody yet
        return []
    if (state.ended and state.live not in ("mixed", "unknown")) or await journal.knows(action):
        return []
    # A program before 0.2 that writes over our mark leaves the journal's id there: an action is ours that we know.
    named = state.journal not in ("", await journal.identity())
    whose = f"journal {state.journal}" if named else "another journal"
    what = "left a split" if state.ended else "has not said that it is over"
    text = f"the switch was last written by action {action} of {whose}, unknown to this one, and it {what}"
    return [
        _finding(text, "see with whoever keeps that journal what it does (`teal action list` there)", forward=forward)
    ]


def _finding(text: str, fix: str, *, forward: bool) -> Finding:
    level: FindingLevel = "block" if forward else "warning"
    return Finding(level=level, code=OTHER_JOURNAL, text=text, fix=fix, overridable=forward)
