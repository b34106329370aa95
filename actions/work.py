"""An action at work: its lease, its steps and its orders. A strategy writes to the journal through this."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

import msgspec
from msgspec.structs import replace

from actions.beside import Guard, unless
from actions.deadlines import ending_in, left_s
from actions.endings import OutOfTime
from actions.hold import ToldHold, held_for
from actions.ids import now, time_text
from actions.journal.audit import AuditEntry, AuditKind
from actions.journal.journal import Journal
from actions.journal.lease import Lease, LeaseLost, steady_clock
from actions.journal.patience import patient, within
from actions.journal.rows import Changes, Command, Event, StoredEvent, steps_of
from actions.journal.steering import STOPPING, Steering, begun_back
from actions.kinds import kind_of
from actions.models import ActionError, ActionStatus, Plan, StepStatus, SwitchReport
from actions.renewing import renewing
from actions.tally import Tally, Times
from actions.told_steps import ToldSteps
from backends.command_line import command
from backends.errors import BackendError
from backends.settings import Duration

ORDER_POLL_S = 0.1
DEADLINE_POLL_S = 0.2
LET_GO_S = 5.0

T = TypeVar("T")


class Ordered(Exception):
    """Somebody ordered something of this action while it ran."""

    def __init__(self, command: Command) -> None:
        super().__init__(f"{command.word} ordered by {command.actor.person}")
        self.command = command


class Parked(Exception):
    """Whoever runs this action was told to end: the action waits, and its lease is free."""


class Work:
    """One action under one lease. Every write carries the fence: LeaseLost ends the runner, never the action."""

    def __init__(
        self,
        journal: Journal,
        lease: Lease,
        plan: Plan,
        history: list[StoredEvent],
        *,
        park: asyncio.Event | None = None,
        stopped: Callable[[str], None] = lambda why: None,
        seen: SwitchReport | None = None,
    ) -> None:
        """`park`, once set, makes the runner leave the action to another at the next safe point. `stopped` is told why,
        where the action stands and nobody ordered it to. `seen`: what fresh requests of an earlier runner saw."""
        self.plan = plan
        self.action_id = lease.action_id
        self.history = history
        self.hold = ToldHold(history)
        self.steps = ToldSteps(history)
        self.steering = Steering(history)
        self.seen = Tally(seen, new=plan.to)
        self.ended = False
        self.all_there = False
        self.blind = False
        self._journal = journal
        self._lease = lease
        self._park = park or asyncio.Event()
        self._stopped = stopped
        self._shown: tuple[ActionStatus, ActionError | None] | None = None
        self._way: ActionStatus = "rolling_back" if begun_back(history) else "running"
        # A clock that is set from here on makes the action's own deadline no other one.
        self._made_s = steady_clock() - max(0.0, (now() - plan.made_at).total_seconds())
        self._renewing = asyncio.create_task(renewing(journal, lease), name="lease")

    async def stop(self, *, ended: bool) -> None:
        """Stop renewing; the lease of an action that goes on ends now, or by itself where its journal does not answer
        in `LET_GO_S`."""
        self._renewing.cancel()
        await asyncio.gather(self._renewing, return_exceptions=True)
        if not ended:
            with contextlib.suppress(LeaseLost):
                await within(LET_GO_S, self._journal.let_go(self._lease))

    @property
    def fence(self) -> int:
        """The number that every write carries which can: a newer runner's is higher."""
        return self._lease.fence

    @property
    def journal_id(self) -> str:
        """The journal whose number the fence is."""
        return self._lease.journal

    @property
    def journal(self) -> Journal:
        """What others have recorded is read there; what this action does is written through it alone."""
        return self._journal

    def remaining_s(self, at_most: float) -> float:
        """Seconds until the action's own deadline, or `at_most`."""
        timeout = self.plan.request.timeout_s
        if timeout is None:
            return at_most
        return max(0.0, min(at_most, timeout - (steady_clock() - self._made_s)))

    @property
    def late(self) -> bool:
        """Whether the action's own deadline has come."""
        return self.remaining_s(1.0) <= 0

    async def in_time(self) -> NoReturn:
        """A guard: raises OutOfTime at the action's own deadline, unless `all_there` or `blind`: then only evidence is
        missing, or nothing can be read, and who looks for that holds the action."""
        while True:
            if self.late and not (self.all_there or self.blind):
                raise OutOfTime(f"out of time (--timeout {Duration(self.plan.request.timeout_s or 0.0)})")
            await asyncio.sleep(self.remaining_s(60.0) or DEADLINE_POLL_S)

    # ---- telling

    async def begin(self, step: str, detail: str = "", *, lasts_s: float | None = None) -> float:
        """The step runs; it is the phase of the action. Returns the seconds that are left of `lasts_s`: the end of a
        step that an earlier runner began stays where it was."""
        data = {} if lasts_s is None else ending_in(lasts_s)
        if data and (begun := self.steps.unfinished(step)) is not None:
            data = {"lasts_s": lasts_s, **begun.data} if "until" in begun.data else data
        event = Event(step=step, kind="begun", status="running", detail=detail, data=data)
        if self.steps.happened("begun", step) is None:
            self.steering.next_stage()  # what was ordered meanwhile was meant for the step before
        self.seen.phase = step
        await self._write(event, changes=Changes(phase=step))
        return left_s(data) or 0.0

    async def progress(
        self, step: str, detail: str, times: Times | None = None, data: dict[str, Any] | None = None
    ) -> None:
        """What a running step sees; `times`: when which side answered."""
        if times is not None:
            self.seen.timed(times)
        await self._write(Event(step=step, kind="progress", detail=detail, data=data or {}))

    async def end(self, step: str, status: StepStatus, detail: str, **data: Any) -> None:
        """The step is over, and why. After one that failed the action goes on by itself, whatever held or paused it:
        in the same transaction, since whoever reads it in between would leave it to a person."""
        events = [Event(step=step, kind="verdict", status=status, detail=detail, data=data)]
        changes = None
        if status == "failed" and self._stands:
            events += self.hold.released(detail)
            changes = Changes(status=self._way, error=None)
        await self._write(*events, changes=changes, audit=[self.entry("verdict", step, result=status, detail=detail)])
        if changes is not None:
            self._shown = (self._way, None)

    async def break_off(self, why: str) -> str:
        """What runs was ended by something beside it: no step is left running. Returns `why` with what ran, and what it
        saw last."""
        ran = [step for step in steps_of(self.history) if step.status == "running"]
        for step in ran:
            await self.end(step.name, "failed", f"{why}: {step.detail}" if step.detail else why)
        if not ran:
            return f"{why}, paused" if self.steering.paused else why
        return f"{ran[-1].name} failed: {why}" + (f": {ran[-1].detail}" if ran[-1].detail else "")

    async def intent(
        self, step: str, before: dict[str, Any], requested: dict[str, Any], *, late_s: float = 0.0
    ) -> None:
        """What will be written, on disk before it is. When this returns, the lease outlasts a write that begins now
        and takes effect `late_s` late. Raises LeaseLost."""
        attempt = 1 + self.steps.attempts(step)
        data = {"before": before, "requested": requested, "attempt": attempt}
        event = Event(step=step, kind="intent", data=data)
        entry = self.entry("intent", step, before=before, requested=requested, attempt=attempt)
        await self._write(event, audit=[entry])
        if self._journal.unsure_in_s(self._lease) <= late_s:  # it stood still between the journal and the write
            self._lease = await self._journal.renew(self._lease)

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

    async def commands_of_service(self) -> list[StoredEvent]:
        """When commands of any action on this service began and ended; not asked for again."""
        with patient(None):
            return await self._journal.commands_of(self.plan.context, self.plan.service)

    async def record(self, event: Event) -> None:
        """An event of its history that changes nothing of the action. Raises LeaseLost."""
        await self._write(event)

    async def note(self, changes: Changes) -> None:
        """Change the action itself, with no event."""
        await self._journal.write(self._lease, changes=changes)

    async def set(
        self,
        status: ActionStatus,
        phase: str | None = None,
        error: ActionError | None = None,
        *,
        released: str = "",
        **data: Any,
    ) -> None:
        """An open status: `running`, `rolling_back`, `paused`, `conflict`, `in_doubt`; the phase stays where none is
        given. `released`: why a hold is over with it. `data` is for whoever takes it over."""
        detail = error.message if error else ""
        entry = self.entry("verdict", phase or "", result=status, detail=detail)
        event = Event(step="", kind="status", detail=status, data={**data, "why": detail})
        self.seen.phase = phase or self.seen.phase
        changes = Changes(status=status, error=error, phase=msgspec.UNSET if phase is None else phase)
        self._way = "rolling_back" if status == "rolling_back" else self._way
        await self._write(*(self.hold.released(released) if released else []), event, changes=changes, audit=[entry])
        self._shown = (status, error)
        if error is not None and (status == "paused" or error.kind == "held"):
            self._stopped(detail)

    async def held(self, why: str, seconds: float | None, kind: str = "held") -> None:
        """Evidence is missing: nothing moves forward, for at most `seconds` (None: until somebody decides). `kind`: of
        what it waits for."""
        await self._write(held_for(why, seconds, kind))

    async def leave(self) -> None:
        """Its runner was told to end: it stands as it is until somebody resumes it."""
        words = "its runner was told to end: nobody goes on with it"
        fix = command("action resume", self.action_id)
        if kind_of(self.plan.kind).forward:
            fix += f", or {command('deploy rollback', self.plan.service)}"
        await self.set("paused", None, ActionError(kind="parked", message=words, fix=fix))

    async def released(self, why: str) -> None:
        """The hold is over, and the action stands for it no more."""
        if self.hold.left_s() is not None:
            paused = self.steering.paused and self._way == "running"
            await self.set("paused" if paused else self._way, released=why)

    async def no_way_on(self, why: str) -> None:
        """An order to go on can not be carried out now: it is dropped, since it was given for what is now, and not for
        what may be when that has passed."""
        if word := self.steering.onward:
            self.steering.next_stage()
            await self.progress(self.seen.phase, f"{word} not carried out, and not later either: {why}")

    async def stand(self, error: ActionError | None = None) -> None:
        """Say whether it goes on, is paused by an operator or is held (`error` says why)."""
        status: ActionStatus = "paused" if error is not None or self.steering.paused else "running"
        if self._shown != (status, error):
            await self.set(status, None, error)

    async def safe_point(self) -> None:
        """Wait here while an operator has paused the action. Nothing is half done at this point."""
        await self.stand()
        await self.steering.going.wait()
        await self.stand()

    async def finish(self, status: ActionStatus, *, error: ActionError | None = None) -> bool:
        """The end; steps that have not begun are skipped. False where it can not succeed yet, because an order
        waits."""
        detail = error.message if error else ""
        events = []
        for step in steps_of(await self._journal.history(self.action_id)):
            if step.status == "running":
                events.append(Event(step=step.name, kind="verdict", status="failed", detail=detail))
            elif step.status == "pending":
                events.append(Event(step=step.name, kind="verdict", status="skipped"))
        undo = "" if status in ("rolled_back", "aborted") else self.plan.summary.undo
        entry = self.entry("result", "", result=status, detail=detail, undo=undo)
        changes = Changes(status=status, phase="", error=error)
        self.ended = await self._written(*events, changes=changes, audit=[entry])
        return self.ended

    def entry(self, kind: AuditKind, step: str, **told: Any) -> AuditEntry:
        """An audit record of this action."""
        plan = self.plan
        return AuditEntry(
            kind=kind, step=step, action=self.action_id, order=plan.kind, context=plan.context, target=plan.service,
            fence=self._lease.fence, plan_hash=plan.hash, **told,
        )  # fmt: skip

    @property
    def hold_end(self) -> str:
        """`; it goes back by itself in 10m`: what comes of the hold that it is in; empty where it is in none."""
        return self.hold.end(back=self._way == "rolling_back" or kind_of(self.plan.kind).back)

    @property
    def _stands(self) -> bool:
        """Whether its row says, or may say, that it is held or paused."""
        shown = self._shown is not None and self._shown[0] == "paused"
        return shown or self.steering.paused or self.hold.left_s() is not None

    # ---- orders

    async def unless_ordered(self, doing: Coroutine[Any, Any, T], *guards: Guard) -> T:
        """`doing`, cancelled at its next wait when an order to stop comes or one of `guards` raises, and not begun
        where an order waits; those that steer are obeyed beside it. Raises Ordered, Parked or what a guard raised;
        writes under way are finished."""
        try:
            if (waiting := await self._look_for_orders()) is not None:
                raise Ordered(waiting)
        except BaseException:
            for each in (doing, *guards):
                each.close()
            raise
        return await unless(doing, self._owned(), self._order(), self._parked(), *guards)

    async def obeyed(self, command: Command) -> None:
        """The order is being carried out: told first, then marked, so that it is not lost between the two."""
        data = {"id": command.id, "at": command.at, "word": command.word}
        data |= {"by": command.actor.person, "reason": command.reason}
        detail = f"{command.word} ordered by {command.actor.person}"
        if not self.steering.obeyed(command):
            await self._write(Event(step="", kind="order", detail=detail, data=data))
        await self._journal.taken(self._lease, command.id)

    async def abandoned(self, order: Ordered, truth: str) -> None:
        """A person closes it as it is; what is true then is written down."""
        asked = order.command
        reason = f" ({asked.reason})" if asked.reason else ""
        words = f"abandoned by {asked.actor.person}{reason}; {truth}"
        await self.finish("abandoned", error=ActionError(kind="abandoned", message=words))

    async def _owned(self) -> NoReturn:
        await asyncio.wait({self._renewing})
        self._renewing.result()
        raise LeaseLost("the lease is not renewed any more")

    async def _parked(self) -> NoReturn:
        await self._park.wait()
        raise Parked

    async def _order(self) -> NoReturn:
        while True:
            await asyncio.sleep(ORDER_POLL_S)
            # A journal that is busy for a moment is asked again; what must be written there says if it is gone.
            with contextlib.suppress(BackendError):
                if (found := await self._look_for_orders()) is not None:
                    raise Ordered(found)

    async def _look_for_orders(self) -> Command | None:
        """The first order that stops the action; those before it that steer are obeyed."""
        for order in await self._journal.waiting(self.action_id):
            if order.word in STOPPING:
                return order
            await self.obeyed(order)
            self.steering.obey(order)
        return None

    async def _write(
        self,
        *events: Event,
        changes: Changes | None = None,
        audit: list[AuditEntry] | None = None,
        undone: str | None = None,
    ) -> None:
        await self._written(*events, changes=changes, audit=audit or [], undone=undone)
        at = time_text(now())
        self.history += [StoredEvent(id=0, at=at, fence=self._lease.fence, event=event) for event in events]

    async def _written(
        self, *events: Event, changes: Changes | None, audit: list[AuditEntry], undone: str | None = None
    ) -> bool:
        """With what fresh requests have seen by now: an action never tells less than it knows."""
        news = self.seen.news()
        if news is not None:
            changes = replace(changes or Changes(), switch=news)
        done = await self._journal.write(self._lease, *events, changes=changes, audit=audit, undone=undone)
        if news is not None and done:
            self.seen.told(news)
        return done
