"""Carrying out one order to a system of alerts: look, send once, say who shows it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
from msgspec.structs import replace

from actions.beside import uninterrupted, unless
from actions.doing import Desk, Doing, Ground
from actions.endings import OutOfTime
from actions.expected import KnownSilence, LinkedAck, NewSilence, SilenceExpected
from actions.guards import with_overrides
from actions.journal.rows import Changes
from actions.models import ActionError, Plan, Request
from actions.orders.alerts import (
    MAX_MATCHES,
    AlertFacts,
    Look,
    acknowledgement,
    counted,
    end_of_silence,
    extension,
    new_silence,
    plan_alert,
)
from actions.orders.linked_acks import acknowledge, linked, steps_of
from actions.work import Work
from backends.command_line import command
from backends.errors import BackendError
from backends.ports import Silencer, SilenceResult

HIDES_WITHIN_S = 5.0
HOUR_S = 3600.0
STEPS = ("preflight", "order", "verify")

Send = Callable[["AlertOrder"], Awaitable[SilenceResult]]


class AlertOrder:
    """One order, which `send` gives to its adapter. The reason becomes the comment of the silence, or else `unsaid`;
    `makes` one, and then it is what is ended to undo it. `run` returns when the action has ended."""

    def __init__(self, work: Work, on: Ground, send: Send, unsaid: str, *, makes: bool) -> None:
        self.adapter: Silencer = on.adapter
        self.plan = work.plan
        self.expected = work.plan.expecting(SilenceExpected)
        self.comment = on.reason.strip() or unsaid
        self.action_id = work.action_id
        self._work, self._on = work, on
        self._send_it, self._makes = send, makes
        self._backend = work.plan.service.partition("/")[0]

    async def run(self) -> None:
        """Raises LeaseLost."""
        work = self._work
        try:
            result = await unless(self._ordered(), work.in_time())
        except BackendError as error:
            failed = ActionError(kind=error.kind, message=error.message, fix=error.fix)
            await work.finish("aborted", error=failed)
            return
        except OutOfTime as late:
            await work.finish("aborted", error=ActionError(kind="deadline", message=await work.break_off(str(late))))
            return
        await work.begin("verify")
        words = _visible(result)
        if result.behind or not result.visible_on:
            message = f"silence {result.id} was ordered, and {words}"
            fix = "look at the peers' cluster: what one does not show, it does not do"
            if result.pending:
                fix = "set the clocks of the peers right: until then it hides nothing, and they notify"
            unseen = ActionError(kind="verify_failed", message=message, fix=fix)
            await work.finish("aborted", error=unseen)
            return
        await work.end("verify", "succeeded", words + await self._hidden(result.id))
        refused = await acknowledge(work, self._on, _also(self.plan), self.comment)
        await work.finish("aborted" if refused else "succeeded", error=refused)

    async def _ordered(self) -> SilenceResult:
        await self._looked()
        return await uninterrupted(self._send())

    async def _looked(self) -> None:
        await self._work.begin("preflight")
        detail = "no preconditions"
        if isinstance(self.expected, NewSilence):
            found = len(await self.adapter.matching(self.expected.matchers))
            if found > max(MAX_MATCHES, self.expected.matches):
                message = f"it would hide {counted(found)} now, {self.expected.matches} when it was planned"
                raise BackendError("conflict", message)
            detail = f"it matches {counted(found)}"
        await self._work.end("preflight", "succeeded", detail)

    async def _send(self) -> SilenceResult:
        """A second time, by another runner, it finds what the first one made: the port's orders are idempotent."""
        work = self._work
        await work.begin("order")
        told = {name: value for name, value in msgspec.to_builtins(self.expected).items() if name != "matches"}
        await work.intent("order", {}, {"kind": work.plan.kind, "comment": self.comment, **told})
        result = await self._send_it(self)
        ref = f"{self._backend}/{result.id}"
        changes = Changes(changed=result.changed, ref=ref)
        if self._makes and not (isinstance(self.expected, NewSilence) and self.expected.extends):
            changes = replace(changes, undo=command("alert unsilence", ref))
        after = {"id": result.id, "visible_on": result.visible_on, "behind": result.behind, "lost": result.lost}
        await work.observed("order", after, "applied" if result.changed else "already so", changes=changes)
        await work.end("order", "succeeded", f"silence {result.id}{'' if result.changed else ' was so already'}")
        return result

    async def _hidden(self, silence_id: str) -> str:
        with contextlib.suppress(BackendError, TimeoutError):
            async with asyncio.timeout(HIDES_WITHIN_S):
                silences = await self.adapter.silences()
            for silence in silences:
                if silence.id == silence_id and silence.state == "active":
                    return f", hides {counted(silence.matches)}"
        return ""


def _visible(result: SilenceResult) -> str:
    words = [f"visible on {len(result.visible_on)}/{len(result.peers)} peers"]
    words += [
        f"{peer} has it as pending: its clock is behind" if peer in result.pending else f"{peer} does not show it"
        for peer in result.behind
    ]
    words += list(result.lost.values())
    return "; ".join(words)


async def _acknowledge(order: AlertOrder) -> SilenceResult:
    return await _silence(order, ack=True)


async def _silence(order: AlertOrder, *, ack: bool = False) -> SilenceResult:
    new = order.plan.expecting(NewSilence)
    return await order.adapter.silence(
        new.matchers, until=new.until, by=new.by, comment=order.comment, ack=ack, order=order.action_id
    )


async def _extend(order: AlertOrder) -> SilenceResult:
    known = order.plan.expecting(KnownSilence)
    return await order.adapter.extend(known.silence_id or "", known.until, exactly=bool(known.exactly))


async def _expire(order: AlertOrder) -> SilenceResult:
    return await order.adapter.expire(order.plan.expecting(KnownSilence).silence_id or "")


def _doing(look: Look, usual_s: float | None, send: Send, unsaid: str = "", *, makes: bool = False) -> Doing:
    async def run(work: Work, on: Ground) -> None:
        await AlertOrder(work, on, send, unsaid, makes=makes).run()

    return Doing(
        plan=partial(plan_alert, look, usual_s), covers=AlertFacts,
        steps=lambda plan, entry: (*STEPS, *steps_of(_also(plan))), run=run,
    )  # fmt: skip


def _also(plan: Plan) -> tuple[LinkedAck, ...]:
    expected = plan.expecting(SilenceExpected)
    return (expected.also or ()) if isinstance(expected, NewSilence) else ()


async def _plan_ack(request: Request, desk: Desk) -> Plan:
    """With the incident that the alert opened, where the front door says so."""
    plan, besides = await plan_alert(acknowledgement, HOUR_S, request, desk), await linked(request, desk)
    if not besides.acks or not isinstance(plan.expected, NewSilence):
        return plan
    return replace(
        plan, already=False, expected=replace(plan.expected, also=besides.acks),
        findings=(*plan.findings, *with_overrides(besides.findings, request.overrides)),
        summary=replace(plan.summary, effects=(*plan.summary.effects, *besides.effects)),
    )  # fmt: skip


ACK = replace(_doing(acknowledgement, HOUR_S, _acknowledge, "acknowledged with teal", makes=True), plan=_plan_ack)
SILENCE = _doing(new_silence, 2 * HOUR_S, _silence, "silenced with teal", makes=True)
EXTEND = _doing(extension, HOUR_S, _extend)
UNSILENCE = _doing(end_of_silence, None, _expire)
