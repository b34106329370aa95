"""An action at work: its lease, its steps and its orders. A strategy writes to the journal through this."""

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from actions.audit import AuditEntry, AuditKind
from actions.ids import now
from actions.journal import Journal
from actions.lease import RENEW_S, SELF_FENCE_S, Hold, LeaseLost
from actions.models import ActionError, ActionStatus, Plan, StepStatus, SwitchReport
from actions.rows import Changes, Command, Event, Told, steps_of
from backends.errors import BackendError

ORDER_POLL_S = 0.1

T = TypeVar("T")


class Ordered(Exception):
    """Somebody ordered something of this action while it ran."""

    def __init__(self, command: Command) -> None:
        super().__init__(f"{command.word} ordered by {command.actor.login}")
        self.command = command


class Work:
    """One action under one lease. Every write carries the fence: LeaseLost ends the runner, never the action."""

    def __init__(self, journal: Journal, hold: Hold, plan: Plan, history: list[Told]) -> None:
        self.plan = plan
        self.action_id = hold.action_id
        self.history = history
        self._journal = journal
        self._hold = hold

        self._renewing = asyncio.create_task(self._renew(), name="lease")

    async def stop(self, *, ended: bool) -> None:
        """Stop renewing; the lease of an action that goes on ends now."""
        self._renewing.cancel()
        await asyncio.gather(self._renewing, return_exceptions=True)
        if not ended:
            await self._journal.let_go(self._hold)

    def remaining_s(self, at_most: float) -> float:
        """Seconds until the action's own deadline, or `at_most`."""
        timeout = self.plan.request.timeout_s
        if timeout is None:
            return at_most
        return max(0.0, min(at_most, timeout - (now() - self.plan.made_at).total_seconds()))

    # ---- telling

    async def begin(self, step: str, detail: str = "") -> None:
        """The step runs; it is the phase of the action."""
        await self._write(Event(step=step, kind="begun", status="running", detail=detail), changes=Changes(phase=step))

    async def progress(self, step: str, detail: str, switch: SwitchReport | None = None) -> None:
        """What a running step sees."""
        changes = Changes(switch=switch) if switch is not None else None
        await self._write(Event(step=step, kind="progress", detail=detail), changes=changes)

    async def end(self, step: str, status: StepStatus, detail: str, **data: Any) -> None:
        """The step is over, and why."""
        event = Event(step=step, kind="verdict", status=status, detail=detail, data=data)
        await self._write(event, audit=[self.entry("verdict", step, result=status, detail=detail)])

    async def intent(self, step: str, before: dict[str, Any], requested: dict[str, Any]) -> None:
        """What will be written, on disk before it is."""
        attempt = 1 + sum(line.event.kind == "intent" and line.event.step == step for line in self.history)
        data = {"before": before, "requested": requested, "attempt": attempt}
        event = Event(step=step, kind="intent", data=data)
        entry = self.entry("intent", step, before=before, requested=requested, attempt=attempt)
        await self._write(event, audit=[entry])
        self.history.append(Told(id=0, at="", fence=self._hold.fence, event=event))

    async def observed(
        self,
        step: str,
        after: dict[str, Any],
        result: str,
        *,
        changes: Changes | None = None,
        undone: str | None = None,
    ) -> None:
        """What was read back after an effect. `undone`: the action that this one has taken back."""
        event = Event(step=step, kind="observed", data={"after": after, "result": result})
        entry = self.entry("observed", step, after=after, result=result)
        await self._write(event, changes=changes, audit=[entry], undone=undone)
        self.history.append(Told(id=0, at="", fence=self._hold.fence, event=event))

    def happened(self, kind: str, step: str) -> Event | None:
        """The newest event of that kind in that step, also of an earlier runner."""
        found = (line.event for line in reversed(self.history) if (line.event.kind, line.event.step) == (kind, step))
        return next(found, None)

    async def set(self, status: ActionStatus, phase: str, error: ActionError | None = None) -> None:
        """An open status: `rolling_back`, `paused`, `conflict`, `in_doubt`."""
        entry = self.entry("verdict", phase, result=status, detail=error.message if error else "")
        await self._journal.write(
            self._hold, changes=Changes(status=status, phase=phase, error=error), audit=[entry]
        )  # fmt: skip

    async def finish(
        self, status: ActionStatus, *, error: ActionError | None = None, skip: tuple[str, ...] = ()
    ) -> bool:
        """The end; steps named in `skip` that have not begun are skipped. False where it can not succeed yet, because
        an order waits."""
        detail = error.message if error else ""
        events = []
        for step in steps_of(await self._journal.history(self.action_id)):
            if step.status == "running":
                events.append(Event(step=step.name, kind="verdict", status="failed", detail=detail))
            elif step.status == "pending" and step.name in skip:
                events.append(Event(step=step.name, kind="verdict", status="skipped"))
        entry = self.entry("result", "", result=status, detail=detail, undo=self.plan.summary.undo)
        changes = Changes(status=status, phase="", error=error)
        return await self._journal.write(self._hold, *events, changes=changes, audit=[entry])

    def entry(self, kind: AuditKind, step: str, **told: Any) -> AuditEntry:
        """An audit record of this action."""
        plan = self.plan
        return AuditEntry(
            kind=kind, step=step, action=self.action_id, order=plan.kind, context=plan.context, target=plan.service,
            fence=self._hold.fence, plan_hash=plan.hash, **told,
        )  # fmt: skip

    # ---- orders

    async def unless_ordered(self, doing: Coroutine[Any, Any, T]) -> T:
        """`doing`, cancelled at its next wait when an order comes, and not begun where one waits already. Raises
        Ordered; writes under way are finished."""
        with contextlib.suppress(BackendError):
            waiting = await self._journal.waiting(self.action_id)
            if waiting:
                doing.close()
                raise Ordered(waiting[0])
        work = asyncio.create_task(doing)
        orders = asyncio.create_task(self._order())
        try:
            await asyncio.wait({work, orders, self._renewing}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            if self._renewing.done():
                raise LeaseLost("the lease could not be renewed")
            raise Ordered(orders.result())
        finally:
            for task in (work, orders):
                task.cancel()
            await asyncio.gather(work, orders, return_exceptions=True)

    async def obeyed(self, command: Command) -> None:
        """The order is being carried out."""
        await self._journal.taken(self._hold, command.id)

    async def _order(self) -> Command:
        while True:
            # A journal that is busy for a moment is asked again; what must be written there says if it is gone.
            with contextlib.suppress(BackendError):
                waiting = await self._journal.waiting(self.action_id)
                if waiting:
                    return waiting[0]
            await asyncio.sleep(ORDER_POLL_S)

    async def _renew(self) -> None:
        renewed = time.monotonic()
        while time.monotonic() - renewed < SELF_FENCE_S:
            await asyncio.sleep(RENEW_S)
            with contextlib.suppress(BackendError):
                self._hold = await self._journal.renew(self._hold)
                renewed = time.monotonic()

    async def _write(
        self,
        event: Event,
        *,
        changes: Changes | None = None,
        audit: list[AuditEntry] | None = None,
        undone: str | None = None,
    ) -> None:
        await self._journal.write(self._hold, event, changes=changes, audit=audit or [], undone=undone)


async def uninterrupted(doing: Coroutine[Any, Any, T]) -> T:
    """`doing` to its end even where the caller is cancelled meanwhile: a write is never left half done by us."""
    task = asyncio.create_task(doing)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        task.exception()  # what went wrong is in the journal; the order that interrupted is what goes on
        raise
