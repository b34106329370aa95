"""Executes one journalled action: takes its lease, builds what it drives from the journal, follows its strategy."""

import asyncio
from typing import Any

from actions.alert_order import AlertOrder
from actions.alerts import ALERT_KINDS
from actions.ids import now
from actions.journal import Journal
from actions.lease import TTL_S, LeaseHeld, LeaseLost, owner_file, release, take
from actions.models import ENDED, Action, Plan
from actions.notices import Notices
from actions.retiring import Retiring
from actions.runs import RUN_KINDS, RunOrder
from actions.switching import Switching
from actions.targets import Build, PipelinesTarget, SilencerTarget, SwitchTarget
from actions.who import runner_owner
from actions.work import Work
from backends.ports import Closable


async def run_action(
    action_id: str, journal: Journal, build: Build, *, park: asyncio.Event | None = None
) -> Action | None:
    """Run an action to its end, or to an open state that waits for a person; None where another runner has it.

    `build` makes the adapter from the target that the journal keeps, its secrets resolved: that comes before the lease.
    What an earlier runner has done is read from the journal and looked for, never done again unseen. `park`, once set,
    leaves the action at the next safe point to whoever resumes it.
    """
    plan = await journal.plan(action_id)
    adapter = await build(plan.target)
    path = owner_file(journal.location.directory, action_id)
    descriptor = await asyncio.to_thread(take, path)
    if descriptor is None:
        await adapter.aclose()
        return None
    async with Notices(journal, plan, build) as notices:
        ended = False
        try:
            ended = await _run_owned(action_id, journal, plan, adapter, notices, park)
        except (LeaseHeld, LeaseLost):
            return None
        finally:
            await adapter.aclose()
            release(descriptor, path, ended=ended)
    found = await journal.action(plan.context, action_id)
    return found[0] if found else None


async def _run_owned(
    action_id: str, journal: Journal, plan: Plan, adapter: Closable, notices: Notices, park: asyncio.Event | None
) -> bool:
    hold = await journal.acquire(action_id, runner_owner(TTL_S, now()))
    history = await journal.history(action_id)
    work = Work(journal, hold, plan, history, park=park)
    ended = False
    try:
        (begun,) = await journal.action(plan.context, action_id)
        if not any(line.event.kind == "begun" for line in history):  # else an earlier runner has told it
            notices.started(begun)
        await _strategy(work, plan, adapter, begun.reason)
        found = await journal.action(plan.context, action_id)
        ended = bool(found) and found[0].status in ENDED
        if found:
            notices.ended(found[0])
    finally:
        await work.stop(ended=ended)
    return ended


async def _strategy(work: Work, plan: Plan, adapter: Any, reason: str) -> None:
    if plan.kind in RUN_KINDS:
        await RunOrder(work, PipelinesTarget(adapter, plan.target), reason).run()
    elif plan.kind in ALERT_KINDS:
        await AlertOrder(work, SilencerTarget(adapter, plan.target), reason).run()
    elif plan.kind == "retire":
        await Retiring(work, SwitchTarget(adapter, plan.target)).run()
    else:
        await Switching(work, SwitchTarget(adapter, plan.target)).run()
