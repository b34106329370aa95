"""The end of an action that has moved no traffic: the idle side is put back, and the live one proven untouched."""

from msgspec.structs import replace

from actions.endings import Conflict, PreconditionFailed
from actions.journal.rows import Changes
from actions.models import ActionError
from actions.switching.commands import Commands
from actions.switching.deploying import Deploying
from actions.switching.proof import OTHER_VERSION, Proof
from actions.switching.traffic import Traffic, same
from actions.targets import SwitchTarget
from actions.work import Work
from backends.ports import SwitchState

UNTOUCHED_PROBES = 5


class Unmoved:
    """Undoes what this action did beside the traffic. `end` ends the action."""

    def __init__(
        self, work: Work, target: SwitchTarget, traffic: Traffic, proof: Proof, commands: Commands, deploying: Deploying
    ) -> None:
        self._work, self._adapter, self._to = work, target.adapter, work.plan.to
        self._traffic, self._proof = traffic, proof
        self._commands, self._deploying = commands, deploying

    async def end(self, error: ActionError, found: SwitchState | None = None) -> None:
        """`error`: why; `found`: the control object as it was seen since. The idle side is put back where something was
        deployed, and the live one proven untouched there, and where commands of the adapter failed: one that says so
        may have worked all the same."""
        work = self._work
        error = self._of_somebody_else(error, found)
        words = [error.message]
        words += [f"{one} could not be ended: what it does there is not known" for one in await self._commands.end()]
        ran = error.kind == "failed" and self._traffic.tried
        if not (self._deploying.touched or ran):
            await work.finish("aborted", error=replace(error, message="; ".join(words)))
            return
        words += [restored] if self._deploying.touched and (restored := await self._deploying.restore(self._to)) else []
        await work.begin("untouched")
        try:
            proof = await self._proof.untouched(UNTOUCHED_PROBES)
        except PreconditionFailed as doubt:
            await work.end("untouched", "failed", str(doubt))
            words.append(str(doubt))
            if doubt.error.kind == OTHER_VERSION:  # a deploy command that wrote to the wrong side
                await work.note(Changes(changed=True))
                error = replace(error, fix=doubt.error.fix)
            if ran:
                await work.observed("untouched", {}, "in doubt", changes=Changes(changed=True))
                before = self._traffic.home
                fix = "; ".join(self._adapter.manual_commands(before)) if before else error.fix
                error = replace(error, fix=fix)
        else:
            await work.end("untouched", "succeeded", proof)
            words.append(f"production is unchanged: {proof}")
        await work.finish("aborted", error=ActionError(kind=error.kind, message="; ".join(words), fix=error.fix))

    def _of_somebody_else(self, error: ActionError, found: SwitchState | None) -> ActionError:
        """A probe or a health check that failed while somebody else moved the traffic says nothing by itself."""
        before = self._traffic.before
        if found is None or not found.weights or error.kind == "conflict" or self._traffic.is_ours(found):
            return error
        # Who orders it to stop does not ask what else was written there meanwhile, only where traffic goes.
        as_it_was = found.weights == before.weights if error.kind == "ordered" else same(found, before)
        if as_it_was:
            return error
        message = f"{error.message}; {Conflict(found)}"
        return ActionError(kind="conflict", message=message, fix="look again, then plan anew")
