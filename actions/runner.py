"""Executes one journalled action: takes its lease, builds what it drives from the journal, follows its strategy."""

import asyncio
import contextlib

from msgspec.structs import replace

from actions.doing import Doing, Ground, doing_of
from actions.journal.config_entry import EDITED, FindEntry, must_be_same_object, same_entry
from actions.journal.errors import JournalError
from actions.journal.journal import Journal
from actions.journal.lease import (
    Lease,
    LeaseHeld,
    LeaseLost,
    handed_over,
    leave_words,
    owner_file,
    release,
    steady_clock,
    take,
    why_ended,
)
from actions.journal.patience import patient
from actions.journal.steering import STOPPING, begun_back
from actions.kinds import kind_of
from actions.models import ENDED, Action, ActionStatus, Owner, Plan
from actions.notices import Notices
from actions.switching.recorded import must_make_sense
from actions.targets import Build, Sources
from actions.who import runner_owner
from actions.work import Work
from backends.command_line import command
from backends.errors import BackendError
from backends.ports import Closable


async def run_action(
    action_id: str,
    journal: Journal,
    build: Build,
    own: FindEntry,
    *,
    park: asyncio.Event | None = None,
    digest: str = "",
    lock: int = -1,
) -> Action | None:
    """Run an action to its end, or to an open state that waits for a person; None where another runner has it.

    `own` finds the entry of the action in the config of whoever runs it, and `build` makes the adapter from that, both
    before the lease. Where the entry was edited since the action was agreed to, only the way back is gone. Raises
    BackendError, with nothing begun; JournalError where the plan in the journal is not the one that was agreed to, by
    the audit and by the `digest` that whoever started this runner told it, or where what was recorded makes no sense.
    What an earlier runner has done is read from the journal and looked for, never done again unseen. `park`, once set,
    leaves the action at the next safe point to whoever resumes it. `lock` is the file of the action, which whoever
    started this process may have opened and locked: it is released here.
    """
    path = owner_file(journal.location.directory, action_id)
    descriptor = lock if handed_over(lock, path) else None
    with contextlib.suppress(OSError):  # a disk without room keeps nobody from running; then only the lease counts
        # First of all: while it has no lease yet, this says that it lives.
        descriptor = descriptor if descriptor is not None else await asyncio.to_thread(take, path)
    # Who holds the file lives, but may be stopped: then its lease has run out, and that is what counts.
    owner = runner_owner("" if descriptor is None else str(path))
    found: Action | None = None
    try:
        found = await _run(action_id, owner, journal, build, own, park, digest)
    except Exception as error:
        if descriptor is not None:
            leave_words(descriptor, why_ended(error))
        raise
    finally:
        if descriptor is not None:
            release(descriptor, path, ended=found is not None and found.status in ENDED)
    return found


async def _run(
    action_id: str,
    owner: Owner,
    journal: Journal,
    build: Build,
    own: FindEntry,
    park: asyncio.Event | None,
    digest: str,
) -> Action | None:
    until = steady_clock() + journal.times.self_fence_s
    with patient(lambda: until - steady_clock()):
        agreed = await journal.plan(action_id, digest=digest)
        doing = doing_of(agreed.kind)
        await must_make_sense(journal, action_id)
        described = await own(agreed.target)
        edited = not same_entry(agreed.target, described)
        if edited:
            must_be_same_object(agreed.target, described)
            await _must_go_back(agreed, action_id, journal)
    adapter: Closable = await build(described)
    sources = Sources(described.sources, build)
    async with Notices(journal, agreed.context, described.notify, build) as notices:
        try:
            with patient(lambda: until - steady_clock()):
                lease = await journal.acquire(action_id, owner)
            ground = Ground(adapter=adapter, entry=described, sources=sources, edited=edited)
            with patient(lambda: journal.unsure_in_s(lease)):
                await _run_owned(lease, journal, agreed, doing, ground, notices, park)
                found = await journal.action(agreed.context, action_id)
        except (LeaseHeld, LeaseLost):
            return None
        finally:
            await sources.aclose()
            await adapter.aclose()
    return found[0] if found else None


async def _run_owned(
    lease: Lease,
    journal: Journal,
    plan: Plan,
    doing: Doing,
    ground: Ground,
    notices: Notices,
    park: asyncio.Event | None,
) -> None:
    action_id = lease.action_id
    history = await journal.history(action_id)
    (begun,) = await journal.action(plan.context, action_id)

    def lost(why: str) -> None:
        notices.held(begun, why)

    def stopped(why: str) -> None:
        if not _is_told(begun, begun.status, why):
            notices.held(begun, f"{why}{work.hold_end}")

    async with journal.keeping(action_id, plan.context, lost):
        work = Work(journal, lease, plan, history, park=park, stopped=stopped, seen=begun.switch)
        ended = False
        try:
            if not any(line.event.kind == "begun" for line in history):  # else an earlier runner has told it
                notices.started(begun)
            await doing.run(work, replace(ground, reason=begun.reason, by=str(begun.actor or "")))
            found = await journal.action(plan.context, action_id)
            ended = bool(found) and found[0].status in ENDED
            if found and not _is_told(begun, found[0].status, found[0].error.message if found[0].error else ""):
                notices.ended(found[0])
        except JournalError as error:
            notices.held(begun, f"nobody goes on with it: {error.message}")
            raise
        finally:
            await work.stop(ended=ended)


def _is_told(begun: Action, status: ActionStatus, why: str) -> bool:
    """Whether an earlier runner has left it standing like this, and said so: who looks again finds no news."""
    return begun.open and begun.status == status and begun.error is not None and begun.error.message == why


async def _must_go_back(plan: Plan, action_id: str, journal: Journal) -> None:
    """Raises BackendError(conflict) where it would go forward."""
    ordered = {command.word for command in await journal.waiting(action_id)}
    if kind_of(plan.kind).back or ordered & STOPPING or begun_back(await journal.history(action_id)) is not None:
        return
    words = f"the entry of {plan.service} was edited since {plan.kind} {action_id} was agreed to: {EDITED}"
    raise BackendError("conflict", words, fix=command("deploy rollback", plan.service))
