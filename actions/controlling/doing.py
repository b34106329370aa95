"""How orders to controllers are planned and carried out."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from actions.controlling.back_plan import plan_abort, plan_back
from actions.controlling.baking import BAKE
from actions.controlling.control_plan import (
    PAUSE,
    PROMOTE,
    RESTART,
    RESUME,
    RETIRE,
    RETRY,
    plan_release,
    refuse_flip,
)
from actions.controlling.machine import FOLLOWED_WORDS, Controlling
from actions.controlling.smoking import SMOKE
from actions.described import Described
from actions.doing import Ground
from actions.expected import ControlExpected
from actions.guards import Policy
from actions.journal.journal import Journal
from actions.journal.steering import FOLLOWING
from actions.kinds import kind_of
from actions.models import Plan, Request
from actions.switching.conditions import judge_between
from actions.tally import Own
from actions.targets import ControllerTarget
from actions.work import Work
from backends.deployments.common import shared_settings

Planner = Callable[[Request, Policy, Journal, ControllerTarget], Awaitable[Plan]]

PLANNERS: dict[str, Planner] = {
    "flip": refuse_flip, "release": plan_release, "rollback": plan_back, "abort": plan_abort, "retire": RETIRE,
    "promote": PROMOTE, "retry-release": RETRY, "pause-release": PAUSE, "resume-release": RESUME,
    "restart-release": RESTART,
}  # fmt: skip
"""By the kind of action."""


def steps(plan: Plan, entry: Described) -> tuple[str, ...]:
    """Those that an order will go through, in order."""
    word = plan.expecting(ControlExpected).order
    if word not in FOLLOWED_WORDS:
        return ("preflight", word)
    gates = kind_of(plan.kind).forward and (entry.config.get("gates") or entry.config.get("presets"))
    proof = ("verify",) if entry.config.get("probe") else ()
    smoke = (SMOKE,) if word == "release" and shared_settings(entry.config).smoke else ()
    return ("preflight", word, FOLLOWING, *smoke, *proof, *((BAKE,) if gates else ()))


async def run(work: Work, on: Ground) -> None:
    """As `Doing.run`."""
    target = ControllerTarget(on.adapter, on.entry, on.sources, on.edited)
    judge = None
    if kind_of(work.plan.kind).forward:
        versions = {"stable": work.plan.from_, "candidate": work.plan.to}

        def own(side: str, since: datetime, until: datetime) -> Own:
            return work.seen.own(versions[side], since, until)

        judge = judge_between(work.plan, target, "stable", "candidate", versions, own)
    await Controlling(work, target, judge, on.by).run()
