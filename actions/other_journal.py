"""Whose the last write of a switch is: of this journal, or of another that may be at work there, on this host or not.

Two journals know nothing of each other's leases. What both see is the mark on the switch itself.
"""

from actions.journal import Journal
from actions.models import Finding
from backends.ports import SwitchState

OTHER_JOURNAL = "other-journal"


async def other_journal(journal: Journal, state: SwitchState, *, forward: bool = True) -> list[Finding]:
    """What forbids a way forward, until somebody overrides it: the last write is of an action of another journal that
    has no end, or that left a split. For a way back (`forward` is false) it is a warning."""
    action, colon, _ = state.stamp.partition(":")
    if not action or not colon:  # written by hand, or by nobody yet
        return []
    if state.journal and state.journal == await journal.identity():
        return []
    if (state.ended and state.live not in ("mixed", "unknown")) or await journal.knows(action):
        return []
    whose = f"journal {state.journal}" if state.journal else "another journal"
    what = "left a split" if state.ended else "has not said that it is over"
    return [
        Finding(
            level="block" if forward else "warning",
            code=OTHER_JOURNAL,
            text=f"the switch was last written by action {action} of {whose}, which is not this one, and it {what}",
            fix="see with whoever keeps that journal what it does (`teal action list` there)",
            overridable=forward,
        )
    ]
