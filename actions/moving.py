"""How what moves the traffic of a service is planned and carried out: by us over its switch, or by its controller."""

from actions.controlling import doing as controlling
from actions.controlling.control_plan import ControlFacts
from actions.described import Described
from actions.doing import Desk, Doing, Ground
from actions.expected import ControlExpected
from actions.kinds import kind_of
from actions.models import ActionError, Plan, Refused, Request
from actions.switching import doing as switching
from actions.work import Work
from backends.command_line import command


def _by_whoever_moves_it(kind: str, switch: Doing) -> Doing:
    async def plan(request: Request, desk: Desk) -> Plan:
        if (target := await desk.targets.controller(request.service)) is not None:
            return await controlling.PLANNERS[kind](request, desk.policy, desk.journal, target)
        return await switch.plan(request, desk)

    def steps(plan: Plan, entry: Described) -> tuple[str, ...]:
        by = controlling.steps if isinstance(plan.expected, ControlExpected) else switch.steps
        return by(plan, entry)

    async def run(work: Work, on: Ground) -> None:
        by = controlling.run if isinstance(work.plan.expected, ControlExpected) else switch.run
        await by(work, on)

    return Doing(plan=plan, covers=switch.covers, steps=steps, run=run)


def _of_a_controller(kind: str) -> Doing:
    async def refuse(request: Request, desk: Desk) -> Plan:
        word = kind_of(kind).command or kind
        words = f"{request.service} has no controller to {word}: its traffic is moved from here"
        fix = f"`teal action {word} ID` is for an open action; or {command('deploy rollback', request.service)}"
        raise Refused(3, ActionError(kind="refused", message=words, fix=fix))

    return _by_whoever_moves_it(
        kind, Doing(plan=refuse, covers=ControlFacts, steps=controlling.steps, run=controlling.run)
    )


FLIP = _by_whoever_moves_it("flip", switching.FLIP)
RELEASE = _by_whoever_moves_it("release", switching.RELEASE)
ROLLBACK = _by_whoever_moves_it("rollback", switching.ROLLBACK)
RETIRE = _by_whoever_moves_it("retire", switching.RETIRE)
PROMOTE = _of_a_controller("promote")
ABORT = _of_a_controller("abort")
RETRY_RELEASE = _of_a_controller("retry-release")
PAUSE_RELEASE = _of_a_controller("pause-release")
RESUME_RELEASE = _of_a_controller("resume-release")
RESTART_RELEASE = _of_a_controller("restart-release")
