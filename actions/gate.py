"""The one gate: every order of every front door is planned, guarded, journalled and launched here, and nowhere else."""

import asyncio
import contextlib

from msgspec.structs import replace

from actions import outcome
from actions.controlling.steering import to_its_controller
from actions.doing import Blind, Desk, doing_of
from actions.entry_now import with_entry_now
from actions.guards import Policy, must_be_named, read_only, refusal
from actions.ids import new_id
from actions.journal.audit import NOT_BELIEVED, AuditEntry
from actions.journal.config_entry import FindEntry
from actions.journal.errors import JournalError
from actions.journal.journal import Journal
from actions.journal.noted import noted_once, with_room
from actions.journal.rows import Changes, Draft, Key, KeyUsed, Occupied, may_be_writing
from actions.kinds import kind_of
from actions.models import Action, ActionError, Actor, Consent, Plan, Refused, Request
from actions.orders.freeze_and_reject import held_back, onward_held_back
from actions.orders.records import command_entry, entry_of, override_entries, request_hash
from actions.orders.steering_plan import of_the_same_entry, plan_order
from actions.reading import ActionReader
from actions.starting import Launch, obeyed, start
from actions.switching.left_running import with_its_commands
from actions.switching.switch_plan import PAGE_SOMEONE
from actions.targets import Targets
from actions.unjournalled_order import RunUnjournalled, planned_without_journal, run_where_waited_for
from backends.errors import BackendError
from backends.settings import Duration

WAY_BACK_WAITS_S = 2.0
"""For a journal that another keeps locked; then it is done without."""

WAY_BACK_PLANS_AGAIN = 3
"""Times that a way back is planned anew where an action began or ended between its plan and its order: a canary that
went on to its next stage in that moment refused it (exit 6), and went on to all traffic."""


class Overtaken(Refused):
    """An action began or ended between the plan and the order."""


class Gate(ActionReader):
    """Plans and submits orders of one context. `launch` starts the runner of an action, outside of this process.
    `entry_now`: the entries that it will go by; by default those of `targets`."""

    def __init__(
        self, policy: Policy, journal: Journal, targets: Targets, actor: Actor, launch: Launch,
        entry_now: FindEntry | None = None,
    ) -> None:  # fmt: skip
        super().__init__(policy, journal, targets, entry_now)
        self.actor = actor
        self._launch = launch
        self._blind = Blind()

    # ---- orders

    async def plan(self, request: Request) -> Plan:
        """What would be done, from what is observed now. Raises Refused or BackendError, `timeout` where that takes as
        long as the action may; writes nothing."""
        scope = asyncio.timeout(request.timeout_s)
        try:
            async with scope:
                made = await self._planned(request)
        except TimeoutError:
            if not scope.expired():
                raise
            if not request.timeout_s:
                words = "--timeout 0s leaves no time to plan: nothing was asked, nothing changed"
                raise BackendError("timeout", words, fix="leave --timeout out, or give it some seconds") from None
            words = f"planning was not done within --timeout {Duration(request.timeout_s)}; nothing changed"
            raise BackendError("timeout", words, fix="raise --timeout, or see which source does not answer") from None
        if not made.summary.undo or not (made.blocked or made.already):
            return made
        return replace(made, summary=replace(made.summary, undo=""))  # nothing will be done that could be undone

    async def _planned(self, request: Request) -> Plan:
        if request.order:
            action = await self.action(request.ref)
            edited = await self._edited(action) if request.order == "abandon" and not action.open else ""
            orphaned = self.orphaned(action)
            asked = replace(action, no_way_on="")  # that is looked at anew below
            order = plan_order(request, self.policy, asked, orphaned=orphaned, edited=edited)
            order = await to_its_controller(order, action, self.journal, self._targets, orphaned=orphaned)
            order = await onward_held_back(order, action, self.policy, self.journal)
            if not self.orphaned(action):
                return order
            order = await with_its_commands(order, self.journal, action)
            return await of_the_same_entry(order, action, self.journal, self.own)
        desk = Desk(
            policy=self.policy, journal=self.journal, targets=self._targets, actor=self.actor, blind=self._blind
        )
        kind = kind_of(request.kind)
        made = await doing_of(request.kind).plan(request, desk)
        if kind.held_back or kind.moves:
            made = await held_back(made, self.policy, self.journal)
        if self.policy.read_only and not any(finding.code == "read-only" for finding in made.findings):
            made = replace(made, findings=(*made.findings, read_only(self.policy)))
        if kind.back:
            return made
        if self._entry_now is not None:
            made = await with_entry_now(made, self._entry_now)
        return await noted_once(with_room(made, self.journal.location), self.policy.notes, self.journal)

    async def submit(
        self,
        plan: Plan,
        consent: Consent,
        *,
        launch: Launch | None = None,
        without_journal: RunUnjournalled | None = None,
    ) -> Action:
        """Observe again, guard, journal, launch. Returns the open action, or one that has ended with nothing to do.

        Raises Refused, with nothing changed: 3 by a guard, 6 where the plan no longer holds, the service is held or the
        key was used otherwise, 9 where a rollback has no healthy or known side to go to. Raises BackendError.
        `without_journal` runs a rollback that the journal can not take.
        """
        try:
            if (recorded := await self._recorded(plan, consent)) is not None:
                return recorded
            return await self._submit(plan, consent, launch or self._launch, without_journal)
        except KeyUsed as used:
            if used.same:
                return self._judged(used.action)
            message = f"this idempotency key belongs to {used.action.id}, another request"
            raise Refused(6, ActionError(kind="conflict", message=message, fix="use another key")) from None

    async def _submit(
        self, plan: Plan, consent: Consent, launch: Launch, without_journal: RunUnjournalled | None
    ) -> Action:
        """Raises also KeyUsed, where the same request came in beside this one."""
        try:
            if plan.request.order:
                return await self._order(plan, consent, launch)
            times = WAY_BACK_PLANS_AGAIN if kind_of(plan.kind).back else 0
            for _ in range(times):
                with contextlib.suppress(Overtaken):
                    return await self._carried_out(plan, consent, launch, without_journal)
            return await self._carried_out(plan, consent, launch, without_journal)
        except Refused as no:
            await self._tell_refusal(plan, consent, no)
            raise

    async def _carried_out(
        self, plan: Plan, consent: Consent, launch: Launch, without_journal: RunUnjournalled | None
    ) -> Action:
        """By an action of its own, or as an order to the open one. Raises Overtaken, as Refused."""
        fresh = await self._agreed(plan, consent)
        if queued_to := fresh.expected.queued_to:
            return await self._queue(fresh, consent, queued_to, launch, without_journal)
        return await self._begin(fresh, consent, launch, without_journal)

    # ---- inside

    async def _edited(self, action: Action) -> str:
        """Why the row of an action is not believed, where that was not noted yet."""
        try:
            await self.journal.plan(action.id or "")
        except JournalError as error:
            noted = error.kind == "malformed" and await self.journal.not_believed(action.id or "")
            return error.message if error.kind == "malformed" and not noted else ""
        return ""

    async def _recorded(self, plan: Plan, consent: Consent) -> Action | None:
        """What the key brought about already. Raises KeyUsed for another request's."""
        key = "" if plan.expected.without_journal else consent.idempotency_key
        known = await self.journal.by_key(self.policy.context, key) if key else None
        if known is None:
            return None
        action, requested = known
        if requested != request_hash(plan.request):
            raise KeyUsed(action, same=False)
        return self._judged(action)

    async def _agreed(self, plan: Plan, consent: Consent) -> Plan:
        """The plan as it is now, which nothing is in the way of. Raises Refused."""
        alone = not kind_of(plan.kind).back and not kind_of(plan.kind).recorded
        if alone:
            await self._free(plan)  # who holds it says more than that it has changed
        try:
            fresh = await self._same_plan(plan, consent)
            if not fresh.already or self.policy.read_only:
                self._guard(fresh, consent)
        except Refused:
            if alone:
                await self._free(plan)  # who has begun meanwhile says more than what is seen of his work
            raise
        return fresh

    async def _same_plan(self, plan: Plan, consent: Consent) -> Plan:
        """The plan as it is now. One to go back may have changed in all but where it leads, and what it drives: it is
        what was seen that was agreed to, and a canary goes on while somebody reads."""
        fresh = await self.plan(plan.request)
        back = kind_of(plan.kind).back and not plan.request.order
        alike = back and (fresh.to, fresh.target) == (plan.to, plan.target)
        if not alike:
            must_be_named(fresh, plan.full_hash or plan.hash)
        if consent.plan_hash:
            must_be_named(plan if alike else fresh, consent.plan_hash)
        return fresh

    async def _free(self, plan: Plan) -> None:
        """Raises Refused (6) where the service has an open action; one of a run that nobody runs is closed."""
        occupied = await self.journal.open_action(plan.context, plan.service)
        if occupied is None:
            return
        if kind_of(occupied.kind).one_order and occupied.id is not None and self.orphaned(occupied):
            fix = f"{kind_of(occupied.kind).overview} shows what came of it"
            error = ActionError(kind="orphaned", message="its runner died", fix=fix)
            entry = entry_of("takeover", plan, self.actor, "abandoned", action=occupied.id)
            await self.journal.close_orphan(occupied.id, Changes(status="abandoned", error=error), audit=[entry])
            return
        raise Refused(6, await self._held(occupied), findings=plan.findings)

    def _guard(self, plan: Plan, consent: Consent) -> None:
        error = refusal(self.policy, plan, consent)
        if error is None:
            return
        page = kind_of(plan.kind).back and any(
            finding.level == "block" and finding.code in PAGE_SOMEONE for finding in plan.findings
        )
        raise Refused(outcome.EXIT_PAGE_SOMEONE if page else outcome.EXIT_REFUSED, error, findings=plan.findings)

    async def _begin(
        self, plan: Plan, consent: Consent, launch: Launch, without_journal: RunUnjournalled | None
    ) -> Action:
        done = plan.already or kind_of(plan.kind).recorded
        word = "already so" if plan.already else "done" if done else "begun"
        draft = Draft(
            id=new_id(), plan=plan, request_hash=request_hash(plan.request), actor=self.actor, reason=consent.reason,
            idempotency_key=consent.idempotency_key or new_id(), status="succeeded" if done else "planned",
            steps=() if done else doing_of(plan.kind).steps(plan, await self.own(plan.target)),
            changed=done and not plan.already, alone=plan.already and kind_of(plan.kind).moves,
        )  # fmt: skip
        audit = [
            command_entry(plan, consent, self.actor, word, draft.id),
            *override_entries(plan, consent, self.actor, draft.id),
        ]
        if plan.expected.without_journal:
            lost = JournalError("unreachable", plan.expected.without_journal)
            return await run_where_waited_for(draft, audit, without_journal, lost)
        try:
            wait_s = WAY_BACK_WAITS_S if kind_of(plan.kind).back else None
            action = await self.journal.begin(draft, audit=audit, wait_s=wait_s)
        except Occupied as held:
            raise Overtaken(6, await self._held(held.action), findings=plan.findings) from None
        except JournalError as error:
            if not kind_of(plan.kind).back:
                raise
            return await run_where_waited_for(draft, audit, without_journal, error)
        if not done:
            action = await start(draft.id, launch, self.journal, self.action, draft.digest)
        if kind_of(plan.kind).back and action.open and action.owner is None:  # no room for its runner, perhaps
            return await self._queue(plan, consent, draft.id, launch, without_journal)
        return action

    async def back_without(
        self, request: Request, consent: Consent, error: JournalError, without_journal: RunUnjournalled
    ) -> Action:
        """A rollback that no runner can own by the journal, though it took the order: why is `error`. Raises Refused,
        BackendError."""
        return await self._begin_without(await self.plan(request), consent, self._launch, error, without_journal)

    async def _begin_without(
        self, plan: Plan, consent: Consent, launch: Launch, lost: JournalError, without_journal: RunUnjournalled | None
    ) -> Action:
        direct = await planned_without_journal(plan, self.policy, self.journal, self._targets, lost)
        if not direct.already:
            self._guard(direct, consent)
        return await self._begin(direct, consent, launch, without_journal)

    async def _queue(
        self, plan: Plan, consent: Consent, action_id: str, launch: Launch, without_journal: RunUnjournalled | None
    ) -> Action:
        """A rollback of an open action is an order to it; where its runner died, another takes it over. Where the
        journal can not take the order, traffic is moved without."""
        try:
            occupied = await self.action(action_id)
            alone = self.orphaned(occupied) or await self._is_superseded(occupied)
            is_back = kind_of(occupied.kind).back
            if alone or not is_back:
                entry = command_entry(plan, consent, self.actor, "queued", action_id)
                word = "takeover" if is_back else "rollback"
                await self._enqueue(plan, consent, action_id, word, entry, wait_s=WAY_BACK_WAITS_S)
        except JournalError as error:
            return await self._begin_without(plan, consent, launch, error, without_journal)
        return await start(action_id, launch, self.journal, self.action) if alone else occupied

    async def _is_superseded(self, occupied: Action) -> bool:
        """Whether another runner can take it over: its own is stopped, and between two writes."""
        return occupied.stopped_pid != 0 and not may_be_writing(await self.journal.history(occupied.id or ""))

    async def _order(self, plan: Plan, consent: Consent, launch: Launch) -> Action:
        """An order to an open action, which its runner obeys; where nobody runs it, a new one is started for it."""
        fresh = await self._same_plan(plan, consent)
        self._guard(fresh, consent)
        action = await self.action(plan.request.ref)
        action_id, word = action.id or "", plan.request.order
        if not action.open:  # to abandon one whose row was edited
            reason, noted = consent.reason, NOT_BELIEVED
            await self.journal.audit(entry_of("note", fresh, self.actor, noted, action=action_id, reason=reason))
            return action
        if kind_of(action.kind).back and word == "rollback":  # it is the way back: all that it lacks is a runner
            word = "takeover"
        over = override_entries(fresh, consent, self.actor, action_id)
        if word == "takeover" and over and action.paused is None:  # the runner must know that it may go on
            word = "resume"
        entry = command_entry(fresh, consent, self.actor, "queued", action_id)
        await self._enqueue(plan, consent, action_id, word, entry, *over)
        if self.orphaned(action):
            if word != "abandon" or kind_of(action.kind).goes_on:
                action = await start(action_id, launch, self.journal, self.action)
            if word == "abandon" and self.orphaned(action):
                why = "no runner starts: what is live is unknown"
                words = f"abandoned by {self.actor.person} ({consent.reason}); {why}"
                closed = Changes(status="abandoned", error=ActionError(kind="abandoned", message=words))
                await self.journal.close_orphan(action_id, closed, audit=[entry])
        if not await obeyed(action_id, self.journal, self.action):  # its runner died before it had the lease
            return await start(action_id, launch, self.journal, self.action)
        return await self.action(action_id)

    async def _enqueue(
        self, plan: Plan, consent: Consent, action_id: str, word: str, *audit: AuditEntry, wait_s: float | None = None
    ) -> None:
        """Raises Overtaken (6) where it has ended."""
        key = consent.idempotency_key
        asked = Key(self.policy.context, key, request_hash(plan.request)) if key else None
        said = self.journal.enqueue(
            action_id, word, self.actor, consent.reason, audit=audit, key=asked, wait_s=wait_s
        )  # fmt: skip
        if not await said:
            ended = ActionError(kind="conflict", message=f"{action_id} has just ended", fix="look at it")
            raise Overtaken(6, ended)

    async def _tell_refusal(self, plan: Plan, consent: Consent, no: Refused) -> None:
        if plan.expected.without_journal or self.policy.read_only:
            return
        why = no.error.message
        entry = entry_of("refused", plan, self.actor, f"exit {no.exit_code}", detail=why, reason=consent.reason)
        # A refusal stands whether or not it could be written down.
        with contextlib.suppress(BackendError):
            await self.journal.audit(entry)
