"""What operators ordered of a running action, and which orders are possible in which state."""

import asyncio
from collections.abc import Iterable
from typing import get_args

from actions.journal.rows import Command, StoredEvent
from actions.kinds import kind_of
from actions.models import Action, ActionError, OrderWord, is_starting
from backends.command_line import command
from backends.text import first_line

STOPPING: frozenset[str] = frozenset({"abort", "rollback", "abandon"})
"""The words that end the way forward; the others only steer it."""

ONWARD: frozenset[str] = frozenset({"resume", "promote", "accept", "takeover"})
"""The words that let it go on."""

FOLLOWING = "follow"
"""The phase in which a controller makes the change, and a hold is where that waits."""
NO_WAY_ON: frozenset[str] = frozenset({"target_unhealthy", "unreachable", "command-running"})
"""The kinds of a hold that no order ends: what is missing is no evidence, but what the action needs to go on."""
HELD_BACK = "held_back"
"""The kind of a hold by a freeze or a rejection that came since: its own words say what ends it."""
_SKIPPABLE = ("analyse", "bake")


def begun_back(history: Iterable[StoredEvent]) -> tuple[ActionError, bool] | None:
    """The way back that an earlier runner was on, or had been ordered to take: why, and whether by a person."""
    for line in history:
        data = line.event.data
        if line.event.kind == "status" and "by_hand" in data:
            return ActionError(kind=data["kind"], message=data["why"]), data["by_hand"]
        if line.event.kind == "order" and data["word"] in ("abort", "rollback"):
            return ActionError(kind="ordered", message=line.event.detail), True
    return None


class Steering:
    """The orders that were obeyed, folded from the journal: whoever takes the action over steers as they say."""

    def __init__(self, history: Iterable[StoredEvent]) -> None:
        self.going = asyncio.Event()
        self.going.set()
        self.promoted = False
        self.accepted = False
        self._obeyed: set[int] = set()
        for line in history:
            if line.event.kind == "order":
                self._obeyed.add(line.event.data.get("id", 0))
                if line.event.data["word"] == "pause":
                    self.going.clear()
                elif line.event.data["word"] in ("resume", "promote"):
                    self.going.set()

    @property
    def paused(self) -> bool:
        """Whether it waits at the next safe point."""
        return not self.going.is_set()

    def obeyed(self, command: Command) -> bool:
        """Whether an earlier runner obeyed it, and died before it could mark it so."""
        return command.id in self._obeyed

    def obey(self, command: Command) -> None:
        """Steer by an order that stops nothing."""
        self._obeyed.add(command.id)
        match command.word:
            case "pause":
                self.going.clear()
            case "resume":
                self.going.set()
            case "promote":
                self.promoted = True
                self.going.set()
            case "accept":
                self.accepted = True

    @property
    def onward(self) -> str:
        """The order to go on that waits to take effect; empty where none does."""
        return "promote" if self.promoted else "accept" if self.accepted else ""

    def next_stage(self) -> None:
        """A promotion or an acceptance was meant for the stage that is over now."""
        self.promoted = self.accepted = False


def possible_orders(action: Action, *, orphaned: bool) -> dict[OrderWord, str]:
    """Each order with the reason why it can not be given now; empty where it can. For menus and the command line."""
    return {word: _why_not(word, action, orphaned) for word in get_args(OrderWord)}


def _why_not(word: OrderWord, action: Action, orphaned: bool) -> str:
    if not action.open:
        return f"it has ended: {action.status}"
    if word == "abandon" and orphaned:
        return ""  # whatever its row says of it, and somebody may have edited that
    if action.no_way_on and word in ONWARD:
        return action.no_way_on
    if not kind_of(action.kind).forward:
        return _of_another_kind(word, action, orphaned)
    if word in ("rollback", "abort"):
        return "it is on its way back already" if action.status == "rolling_back" and not orphaned else ""
    stopped = action.status in ("conflict", "in_doubt")
    if word == "takeover":
        return "" if orphaned else f"{_who_runs(action)}: order it to pause, abort or roll back"
    if word == "abandon":
        wait = "it runs: pause it, abort it or roll it back"
        return "" if orphaned or action.status == "paused" or stopped else wait
    if action.status == "rolling_back":
        return "it is on its way back"
    if word == "resume":
        return "" if orphaned or action.status == "paused" else _starting(action) or "it is not paused"
    if stopped:
        why = "the traffic is not as it left it" if action.status == "conflict" else "what is live must be known first"
        return f"{why}: resume looks again, rollback takes it back"
    if word == "pause":
        if orphaned:
            return "nobody runs it: it moves nothing"
        return "it is paused already" if action.status == "paused" and action.hold is None else ""
    if word in ("promote", "accept") and (why := no_way_on(action)):
        return why
    if word == "promote":
        waits = action.phase == FOLLOWING and action.hold is not None  # its controller does
        skips = waits or action.phase.partition("[")[0] in _SKIPPABLE
        return "" if skips else f"there is no wait to skip in {action.phase or 'this phase'}"
    if action.phase == FOLLOWING:
        return "its controller judges: there is no evidence to accept; promote goes on"
    return "" if action.hold is not None else "no evidence is missing: there is nothing to accept"


def no_way_on(action: Action) -> str:
    """Why its hold is none that an order ends, and what comes first; empty where one does."""
    error = action.error
    if action.status != "paused" or action.hold is None or error is None or error.kind not in NO_WAY_ON:
        return ""
    return f"{first_line(error.message.removeprefix('held: '))}: that must be mended first, and ends the hold by itself"


def _of_another_kind(word: OrderWord, action: Action, orphaned: bool) -> str:
    if word in ("takeover", "resume", "abandon") and kind_of(action.kind).goes_on:
        return "" if orphaned else _who_runs(action)
    if kind_of(action.kind).back:
        if orphaned:
            return "" if word == "rollback" else "it is the way back, in one step"
        return f"it is the way back, in one step; {_who_runs(action)}"
    return f"{action.kind} is one step: there is nothing to steer"


def _who_runs(action: Action) -> str:
    owner = action.owner
    return _starting(action) or f"its runner lives ({f'{owner.user}@{owner.host} pid {owner.pid}' if owner else '?'})"


def _starting(action: Action) -> str:
    if not is_starting(action):
        return ""
    return f"it has not started yet: if that takes more than a few seconds, {command('action resume', action.id or '')}"
