"""How a flip, a release, a rollback and a retirement are planned and carried out."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from actions.described import Described
from actions.doing import Desk, Doing, Ground
from actions.expected import SwitchExpected
from actions.guards import Policy
from actions.journal.errors import JournalError
from actions.journal.journal import Journal
from actions.judging.stages import moving_steps
from actions.models import Plan, Request
from actions.switching.conditions import judge_of
from actions.switching.left_running import with_living
from actions.switching.machine import Switching
from actions.switching.release_plan import RetireFacts, plan_release, plan_retire
from actions.switching.retiring import Retiring
from actions.switching.rollback_plan import plan_rollback
from actions.switching.switch_plan import MoveFacts, plan_flip
from actions.switching.unjournalled_plan import agreeing, plan_without_journal
from actions.targets import SwitchTarget
from actions.work import Work
from backends.deployments.common import shared_settings

BLIND_S = 15.0

_Planner = Callable[[Request, Policy, Journal, SwitchTarget], Awaitable[Plan]]


async def _plan(planner: _Planner, request: Request, desk: Desk) -> Plan:
    target = await desk.targets.switch(request.service)
    made = await planner(request, desk.policy, desk.journal, target)
    return await with_living(made, desk.policy, desk.journal, target)


async def _plan_back(request: Request, desk: Desk) -> Plan:
    """By the journal; where that can not be read, without it. Raises Refused (2) for another color than it says."""
    target = await desk.targets.switch(request.service)
    clock, blind = asyncio.get_running_loop().time, desk.blind
    try:
        if blind.error is not None and clock() < blind.until:
            raise blind.error
        made = await plan_rollback(request, desk.policy, desk.journal, target)
        made = await with_living(made, desk.policy, desk.journal, target)
    except JournalError as error:
        if clock() >= blind.until:
            blind.until, blind.error = clock() + BLIND_S, error
        return await plan_without_journal(request, desk.policy, desk.journal, target, error)
    return agreeing(request, made)


def _moving(plan: Plan) -> tuple[str, ...]:
    return moving_steps(plan.expecting(SwitchExpected).stages)


def _flip_steps(plan: Plan, entry: Described) -> tuple[str, ...]:
    return ("preflight", *_moving(plan), "bake")


def _release_steps(plan: Plan, entry: Described) -> tuple[str, ...]:
    smoke = ("smoke",) if shared_settings(entry.config).smoke else ()
    return ("preflight", "deploy", "health", *smoke, *_moving(plan), "bake")


def _rollback_steps(plan: Plan, entry: Described) -> tuple[str, ...]:
    start = ("start", "health") if plan.expecting(SwitchExpected).start else ()
    return ("preflight", *start, *_moving(plan))


async def _switch(work: Work, on: Ground) -> None:
    target = SwitchTarget(on.adapter, on.entry, on.sources, on.edited)
    await Switching(work, target, judge_of(work.plan, target, work.seen.own)).run()


async def _take_down(work: Work, on: Ground) -> None:
    await Retiring(work, SwitchTarget(on.adapter, on.entry)).run()


FLIP = Doing(plan=partial(_plan, plan_flip), covers=MoveFacts, steps=_flip_steps, run=_switch)
RELEASE = Doing(plan=partial(_plan, plan_release), covers=MoveFacts, steps=_release_steps, run=_switch)
ROLLBACK = Doing(plan=_plan_back, covers=MoveFacts, steps=_rollback_steps, run=_switch)
RETIRE = Doing(
    plan=partial(_plan, plan_retire),
    covers=RetireFacts,
    steps=lambda plan, entry: ("preflight", "retire"),
    run=_take_down,
)
