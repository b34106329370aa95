"""Carrying out one order to a system of alerts: look, send once, say who shows it."""

import asyncio
import contextlib
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from actions.beside import unless
from actions.endings import OutOfTime
from actions.journal.rows import Changes
from actions.models import ActionError
from actions.orders.alerts import MAX_MATCHES, counted
from actions.targets import SilencerTarget
from actions.work import Work, uninterrupted
from backends.command_line import command
from backends.errors import BackendError
from backends.models import Matcher
from backends.ports import SilenceResult

HIDES_WITHIN_S = 5.0
NO_REASON = {"ack": "acknowledged with teal", "silence": "silenced with teal"}


class AlertOrder:
    """One order. `reason` becomes the comment of the silence; `run` returns when the action has ended."""

    def __init__(self, work: Work, target: SilencerTarget, reason: str) -> None:
        self._work = work
        self._adapter = target.adapter
        self._request = work.plan.request
        self._backend = self._request.service.partition("/")[0]
        self._expected: dict[str, Any] = work.plan.expected
        self._comment = reason.strip() or NO_REASON.get(self._request.kind, "")

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
        await work.finish("succeeded")

    async def _ordered(self) -> SilenceResult:
        await self._looked()
        return await uninterrupted(self._send())

    async def _looked(self) -> None:
        await self._work.begin("preflight")
        detail = "no preconditions"
        if "matchers" in self._expected:
            found = len(await self._adapter.matching(self._matchers()))
            if found > max(MAX_MATCHES, self._expected["matches"]):
                message = f"it would hide {counted(found)} now, {self._expected['matches']} when it was planned"
                raise BackendError("conflict", message)
            detail = f"it matches {counted(found)}"
        await self._work.end("preflight", "succeeded", detail)

    async def _send(self) -> SilenceResult:
        """A second time, by another runner, it finds what the first one made: the port's orders are idempotent."""
        work = self._work
        await work.begin("order")
        told = {name: value for name, value in self._expected.items() if name != "matches"}
        await work.intent("order", {}, {"kind": self._request.kind, "comment": self._comment, **told})
        result = await self._order()
        ref = f"{self._backend}/{result.id}"
        changes = Changes(changed=result.changed, ref=ref)
        if self._request.kind in ("ack", "silence"):
            changes = replace(changes, undo=command("alert unsilence", ref))
        after = {"id": result.id, "visible_on": result.visible_on, "behind": result.behind, "lost": result.lost}
        await work.observed("order", after, "applied" if result.changed else "already so", changes=changes)
        await work.end("order", "succeeded", f"silence {result.id}{'' if result.changed else ' was so already'}")
        return result

    async def _order(self) -> SilenceResult:
        adapter, expected = self._adapter, self._expected
        match self._request.kind:
            case "ack" | "silence" as kind:
                return await adapter.silence(
                    self._matchers(), until=self._until(), by=expected["by"], comment=self._comment, ack=kind == "ack"
                )
            case "extend":
                return await adapter.extend(expected["silence_id"], self._until())
            case "unsilence":
                return await adapter.expire(expected["silence_id"])
            case other:
                raise BackendError("internal", f"{other} is no order to a system of alerts")

    async def _hidden(self, silence_id: str) -> str:
        with contextlib.suppress(BackendError, TimeoutError):
            async with asyncio.timeout(HIDES_WITHIN_S):
                silences = await self._adapter.silences()
            for silence in silences:
                if silence.id == silence_id and silence.state == "active":
                    return f", hides {counted(silence.matches)}"
        return ""

    def _matchers(self) -> tuple[Matcher, ...]:
        return msgspec.convert(self._expected["matchers"], tuple[Matcher, ...])

    def _until(self) -> datetime:
        return msgspec.convert(self._expected["until"], datetime)


def _visible(result: SilenceResult) -> str:
    words = [f"visible on {len(result.visible_on)}/{len(result.peers)} peers"]
    words += [
        f"{peer} has it as pending: its clock is behind" if peer in result.pending else f"{peer} does not show it"
        for peer in result.behind
    ]
    words += list(result.lost.values())
    return "; ".join(words)
