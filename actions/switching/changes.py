"""The newest change of traffic of a service, from the journal, and what a rollback of it means now.

A rollback goes back, never forward and never further than one change: what it would do follows from what that change
was and from what is observed. Aborted actions, retirements, freezes and rejections are no change of traffic.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct

from actions.expected import SwitchExpected
from actions.journal.errors import JournalError, making_sense
from actions.journal.journal import Journal
from actions.journal.rows import StoredEvent
from actions.judging.stages import BACK_STEPS, is_shift
from actions.kinds import kind_of
from actions.models import Action, ActionKind, ActionStatus, Plan
from backends.ports import Deployed


class Change(Struct, frozen=True, kw_only=True):
    """A change of traffic. `home` is the side (or `mixed`, of a split) that had the traffic before it went forward, and
    that it goes back to, `before` the weights in percent then; `away` are the sides that a way back takes it from
    (empty: all others). `back`: the last thing that it did was to go back; `failed`: it did not get there. `left` are
    the weights in percent that it left (empty: nobody saw). `versions` is what each side ran then, as its health says;
    `deployed` the same as its deployer says it; `undoes` the id of the forward change that it took back; `moved` from
    where to where traffic went last."""

    action: str
    kind: ActionKind
    status: ActionStatus
    home: str
    before: dict[str, int] = {}
    away: tuple[str, ...] = ()
    back: bool = False
    failed: bool = False
    left: dict[str, int] = {}
    versions: dict[str, str] = {}
    deployed: dict[str, Deployed] = {}
    undoes: str = ""
    moved: tuple[str, str] = ("", "")
    at: datetime | None = None
    by: str = ""
    error: str = ""


class WayBack(Struct, frozen=True, kw_only=True):
    """What a rollback would do: go `back` to `to`; nothing (`already`); or it can not be said where to (`unknown`: what
    is live; `never`: no change is known; `split`: it came from one; `elsewhere`: neither side of the change has the
    traffic). `text` says why, `since` what was changed since by somebody else."""

    word: Literal["back", "already", "unknown", "never", "split", "elsewhere"]
    to: str = ""
    text: str = ""
    since: str = ""


async def newest_change(journal: Journal, context: str, service: str, *, forward: bool = False) -> Change | None:
    """The newest change of traffic that the journal knows; of an action that is still open, only one that was seen to
    move any. None where there is none. Raises BackendError, `malformed` for an edited row; what goes `forward` passes
    one by that was noted as not believed, where the way back goes by the mark on the switch."""
    for action in await journal.moved(context, service):
        try:
            plan = await journal.plan(action.id or "")  # what is behind the newest one is in nobody's way
        except JournalError as error:
            if forward and error.kind == "malformed" and await journal.not_believed(action.id or ""):
                continue
            raise
        told = await journal.history(action.id or "") if action.status not in _TOLD_BY_STATUS else []
        with making_sense(journal.location.name):
            change = change_of(action, plan, told)
        if change is not None:
            return change
    return None


_TOLD_BY_STATUS: frozenset[ActionStatus] = frozenset({"succeeded", "rolled_back", "rollback_failed"})


def change_of(action: Action, plan: Plan, history: Sequence[StoredEvent]) -> Change | None:
    """What `action` did to the traffic; None where it did nothing. The history is looked at where the status does not
    say it: of what was abandoned, or is open."""
    expected = plan.expecting(SwitchExpected)
    forward = kind_of(action.kind).forward
    back, failed, left = False, False, dict(expected.to_weights)
    match action.status:
        case "succeeded":
            back = not forward
        case "rolled_back":
            back, left = True, dict(expected.runs or expected.weights)
        case "rollback_failed":
            back, failed, left = True, True, {}
        case _:
            writes = _writes(history)
            if not writes:
                return None
            step, left = writes[-1]
            back = failed = step in BACK_STEPS or not forward
    home, there = (action.from_, action.to) if forward else (action.to, action.from_)
    return Change(
        action=action.id or "", kind=action.kind, status=action.status, home=home, before=dict(expected.weights),
        away=() if there in ("", "mixed", "unknown", home) else (there,),
        moved=(there, home) if back else (home, there), back=back, failed=failed, left=left,
        versions=expected.versions, deployed=expected.deployed,
        undoes=(action.id or "") if forward else expected.undoes,
        at=action.ended_at or action.started_at, by=str(action.actor or ""),
        error=action.error.message if action.error else "",
    )  # fmt: skip


def way_back(change: Change | None, weights: Mapping[str, int], colors: Sequence[str]) -> WayBack:
    """What a rollback would do where the control object says `weights`: percent by color, empty where that is not
    known."""
    taking = [color for color in colors if weights.get(color, 0) > 0]
    if not taking:
        return WayBack(word="unknown", to=change.home if change is not None and change.home in colors else "")
    if change is None:
        return WayBack(
            word="never", text="the journal knows no switch of this service: what to go back to is not known"
        )
    what = f"{change.kind} {change.action}"
    if change.back and not change.failed and dict(weights) == change.left:
        return WayBack(word="already", to=change.home, text=f"back already: {_has(taking)}; {_gone_back(change)}")
    away = change.away or tuple(color for color in colors if color != change.home)
    stands = change.failed or any(color in away for color in taking)
    if not stands and (change.home not in colors or taking == [change.home]):
        text = f"back already: {_has(taking)}; the last change, {what}, does not stand any more"
        return WayBack(word="already", to=change.home, text=text)
    if change.home not in colors:
        text = (
            f"the last change, {what}, came from a split of {_shares(change.before)}: which side is back is not known"
        )
        return WayBack(word="split", to=change.home, text=text)
    if not stands:
        text = f"the last change, {what}, does not stand any more: {_has(taking)}"
        return WayBack(word="elsewhere", text=text)
    since = ""
    if change.left and dict(weights) != change.left:
        since = f"{what} left {_shares(change.left)}, and now it is {_shares(weights)}: somebody changed it since"
    text = f"the way back of {what} failed, and is tried again: {change.error}".rstrip(": ") if change.failed else ""
    return WayBack(word="back", to=change.home, text=text, since=since)


def _writes(history: Sequence[StoredEvent]) -> list[tuple[str, dict[str, int]]]:
    """The writes of an action in order: the step, and the weights that were seen after it; empty where nobody saw."""
    writes: list[tuple[str, dict[str, int]]] = []
    requested: dict[str, int] = {}
    for line in history:
        event = line.event
        if not (is_shift(event.step) or event.step == BACK_STEPS[0]):
            continue
        if event.kind == "intent":
            writes.append((event.step, {}))
            requested = dict(event.data.get("requested", {}).get("weights", {}))
        elif event.kind == "observed" and writes and writes[-1] == (event.step, {}):
            writes.pop()
        if event.kind == "observed" and event.data.get("result") == "applied":
            writes.append((event.step, dict(event.data["after"]["weights"])))
        elif event.kind == "observed" and event.data.get("result") == "applied in part":  # somebody changed the rest
            writes.append((event.step, requested))
    return writes


def _gone_back(change: Change) -> str:
    if kind_of(change.kind).forward:
        return f"{change.kind} {change.action} went back"
    return f"{change.undoes or 'the last change'} was taken back by {change.kind} {change.action}"


def _has(taking: Sequence[str]) -> str:
    if len(taking) == 1:
        return f"{taking[0].upper()} has all traffic"
    return f"{' and '.join(color.upper() for color in taking)} share the traffic"


def _shares(weights: Mapping[str, int]) -> str:
    return ", ".join(f"{color.upper()} {weight} %" for color, weight in weights.items() if weight) or "nothing"
