"""How actions of a kind are planned and carried out: the half of its record that is loaded when one is ordered."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from msgspec import Struct

from actions.described import Described
from actions.facts import Facts
from actions.guards import Policy
from actions.journal.errors import JournalError
from actions.journal.journal import Journal
from actions.kinds import TABLE
from actions.models import Actor, Plan, Request
from actions.targets import Sources, Targets
from actions.work import Work
from backends.errors import BackendError
from backends.text import clean


class Blind(Struct):
    """Why the journal could not be read, and until when, by the loop's clock, no way back asks it again."""

    until: float = 0.0
    error: JournalError | None = None


class Desk(Struct, frozen=True, kw_only=True):
    """What a plan is made from. `blind` outlives it: a plan on a screen is made anew."""

    policy: Policy
    journal: Journal
    targets: Targets
    actor: Actor
    blind: Blind


class Ground(Struct, frozen=True, kw_only=True):
    """What an action is carried out on: the adapter of its entry; `by` whom it was ordered;
    `edited`: that is not what it was agreed to with."""

    adapter: Any
    entry: Described
    sources: Sources
    reason: str = ""
    by: str = ""
    edited: bool = False


async def _nothing(work: Work, on: Ground) -> None:
    raise BackendError("internal", f"{work.plan.kind} is done when it is recorded: there is nothing to run")


class Doing(Struct, frozen=True, kw_only=True):
    """`plan` observes, and writes nothing; raises Refused or BackendError. `covers`: the facts that its hash is of.
    `steps`: those that an action of a plan on an entry will go through, in order. `run` returns when the action has
    ended or waits for a person; raises LeaseLost."""

    plan: Callable[[Request, Desk], Awaitable[Plan]]
    covers: type[Facts]
    steps: Callable[[Plan, Described], tuple[str, ...]] = lambda plan, entry: ()
    run: Callable[[Work, Ground], Awaitable[None]] = _nothing


def doing_of(kind: str) -> Doing:
    """How a kind is done. Raises BackendError(config) for one that only a later version knows."""
    if kind not in TABLE:
        raise BackendError("config", f"this version knows no {clean(kind, 64)}", fix="run the version that began it")
    return cast(Doing, TABLE[kind].doing())
