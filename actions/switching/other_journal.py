"""Whose the last write of a switch is: of this journal, or of another that may be at work there, on this host or not.

Two journals know nothing of each other's leases. What both see is the mark on the switch itself.
"""

from actions.journal.journal import Journal
from actions.judging.stages import share_of
from actions.models import Finding
from actions.switching.changes import Change
from backends.models import FindingLevel
from backends.ports import SwitchState, read_stamp

OTHER_JOURNAL, CHANGED_SINCE, NEW_JOURNAL = "other-journal", "changed-since", "new-journal"


async def other_journal(journal: Journal, context: str, state: SwitchState, *, forward: bool = True) -> list[Finding]:
    """What forbids a way forward, until somebody overrides it: the last write is of an action of another journal, or of
    another context of this one, that has no end, or that may have left a split. What a hand wrote since is of no
    journal, and is only told. For a way back (`forward` is false) it is a warning."""
    if state.odd_mark:
        text = f"the switch has a mark that this program can not read ({state.odd_mark}): a newer one may be at work"
        return [_finding(text, "see who wrote it: another version of teal, or somebody by hand", forward=forward)]
    action = read_stamp(state.stamp).action
    if not action:  # written by hand, or by nobody yet
        return []
    of_context = await journal.context_of(action)
    if of_context == context:
        return []
    if state.ended and state.live not in ("mixed", "unknown"):
        return await _told_where_new(journal, context, action, state.journal) if forward else []
    # A program before 0.2 that writes over our mark leaves the journal's id there: an action is ours that we know.
    own = await journal.identity()
    named = state.journal not in ("", own)
    whose = f"journal {state.journal}" if named else "another journal"
    fix = "see with whoever keeps that journal what it does (`teal action list` there)"
    if state.journal == own != "" and not of_context:
        whose = "this very journal, which does not know it (was an older copy of it restored?)"
        fix = "see whether its runner lives, and what is live"
    whose = f"context {of_context} of this journal" if of_context else whose
    by_hand = by_hand_since(state)
    if by_hand and state.ended:
        text = f"the switch was changed by hand since {action} of {whose} ended: {by_hand}"
        return [Finding(level="warning", code=CHANGED_SINCE, text=text, fix="see who changed it")]
    theirs = "an action that this journal does not know"
    what = f"traffic is split since {theirs}" if state.ended else f"{theirs} has not said that it is over"
    if state.ended and state.live == "unknown":
        what = f"what is live is unknown since {theirs}"
    text = f"{what}: action {action} of {whose} wrote the switch last"
    if by_hand:
        text += f"; it was changed by hand since: {by_hand}"
    return [_finding(text, fix, forward=forward)]


async def _told_where_new(journal: Journal, context: str, action: str, theirs: str) -> list[Finding]:
    """That a switch which others have moved is moved by a journal that remembers nothing: it may not be the one that
    was here, as where its file system is not mounted."""
    if not theirs or await journal.actions(context, limit=1):
        return []
    text = f"this journal knows of no action yet, and action {action} of journal {theirs} moved this switch last"
    fix = "go on where others keep that one; else see whether its file system is mounted, or `journal` names it"
    return [Finding(level="warning", code=NEW_JOURNAL, text=text, fix=fix)]


async def newest_is_theirs(journal: Journal, context: str, state: SwitchState, change: Change | None) -> bool:
    """Whether the newest change of traffic is of an action that this journal does not know, or knows of another
    context, ended or not: the last write names one, and `change`, the newest of this context, did not leave the traffic
    as it is since."""
    action = read_stamp(state.stamp).action
    if not action or state.odd_mark or state.live == "unknown":
        return False
    if (change is not None and change.action == action) or await journal.context_of(action) == context:
        return False
    return change is None or not was_left(state, change)


def was_left(state: SwitchState, change: Change) -> bool:
    """Whether the traffic is as `change` left it, and not as the write did whose mark is there: it has left none."""
    return state.wrote not in ({}, state.weights) and change.left == state.weights


def by_hand_since(state: SwitchState) -> str:
    """What of the weights is not what the write of the mark made, in words; empty where they may be its own. Where the
    mark does not say what that was its step does; after a way back any weights may be, split or not."""
    share = share_of(read_stamp(state.stamp).step)
    if not state.weights or state.armed:
        return ""
    if state.wrote:
        edited = f"it gave {_words(state.wrote)}, and now it is {_words(state.weights)}"
        return "" if state.wrote == state.weights else edited
    if share is None:
        return ""
    written = share or 100
    if any(abs(weight - written) <= 1 for weight in state.weights.values()):  # a balancer rounds
        return ""
    return f"it gave {written} % to one side, and now it is {_words(state.weights)}"


def _words(weights: dict[str, int]) -> str:
    return ", ".join(f"{color.upper()} {weight} %" for color, weight in weights.items())


def _finding(text: str, fix: str, *, forward: bool) -> Finding:
    level: FindingLevel = "block" if forward else "warning"
    return Finding(level=level, code=OTHER_JOURNAL, text=text, fix=fix, overridable=forward)
