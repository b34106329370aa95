"""Taking the side that has no traffic down to nothing."""

from actions.endings import Conflict, OutOfTime, PreconditionFailed
from actions.journal.rows import Changes
from actions.models import ActionError
from actions.switching.commands import Commands
from actions.switching.deploying import Deploying
from actions.switching.outside import ExternalEdits
from actions.switching.traffic import Traffic, same
from actions.targets import SwitchTarget
from actions.work import Ordered, Parked, Work
from backends.errors import BackendError


class Retiring:
    """One retirement. `run` returns when the action has ended."""

    def __init__(self, work: Work, target: SwitchTarget) -> None:
        self._work = work
        self._adapter = target.adapter
        self._traffic = Traffic(work, target)
        self._commands = Commands(work)
        self._deploying = Deploying(work, target, self._traffic, self._commands)
        self._outside = ExternalEdits(work, target, self._traffic)

    async def run(self) -> None:
        """Raises LeaseLost."""
        work = self._work
        try:
            await work.unless_ordered(self._take_down(), self._outside.watch(), work.in_time())
            await work.finish("succeeded")
        except Ordered as order:
            await work.obeyed(order.command)
            await self._commands.end()
            await work.finish("abandoned", error=ActionError(kind="ordered", message=str(order)))
        except Parked:
            await work.leave()
        except Conflict as conflict:
            words = await work.break_off(str(conflict))
            await work.finish("aborted", error=ActionError(kind="conflict", message=words, fix="look at it by hand"))
        except OutOfTime as late:
            await work.finish("aborted", error=ActionError(kind="deadline", message=await work.break_off(str(late))))
        except PreconditionFailed as unmet:
            await work.finish("aborted", error=unmet.error)
        except BackendError as error:
            failed = ActionError(kind=error.kind, message=error.message, fix=error.fix)
            await work.finish("aborted", error=failed)

    async def _take_down(self) -> None:
        work = self._work
        await self._commands.settle()
        await work.begin("preflight")
        found = await self._adapter.observe()
        if not same(found, self._traffic.before):
            await work.end("preflight", "failed", str(Conflict(found)))
            raise PreconditionFailed("conflict", str(Conflict(found)), "look again, then plan anew")
        await work.end("preflight", "succeeded", f"{work.plan.to.upper()} takes no traffic")
        await work.begin("retire")
        detail = await self._deploying.retire(work.plan.to)
        await work.end("retire", "succeeded", detail)
        await work.note(Changes(changed=True))
