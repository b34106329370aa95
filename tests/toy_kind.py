"""A toy kind of action: `POKE` is its record, and all that the house has to be told of it."""

from typing import Any

from msgspec.structs import replace

from actions.described import Described
from actions.doing import Desk as PlanningDesk
from actions.doing import Doing, Ground
from actions.facts import Facts, driven, hash_of, shortened
from actions.guards import context_findings
from actions.ids import now
from actions.journal.rows import Changes
from actions.kinds import Kind, Place
from actions.models import Action, Consent, Plan, PlanSummary, Request
from actions.runner import run_action
from actions.work import Work
from tests.actions.every_kind import Desk

REQUEST = Request(kind="poke", service="airflow/etl", ref="airflow/etl/failed")
YES = Consent(confirmed=True)


async def _plan(request: Request, from_desk: PlanningDesk) -> Plan:
    policy, at = from_desk.policy, now()
    entry = (await from_desk.targets.pipelines(request.service.partition("/")[0])).entry
    agreed = hash_of(
        Facts(kind="poke", context=policy.context, service=request.service, to="poked", target=driven(entry))
    )
    return Plan(
        kind="poke", context=policy.context, service=request.service, guard_class="2", protected=policy.protected,
        from_="quiet", to="poked", findings=tuple(context_findings(policy, "2", at)),
        summary=PlanSummary(effects=(f"poke  {request.ref}",), preconditions=(), undo=""),
        hash=shortened(agreed), full_hash=agreed, made_at=at, target=entry.kept(), request=request,
    )  # fmt: skip


async def _run(work: Work, on: Ground) -> None:
    await work.begin("poke")
    await work.intent("poke", {}, {"ref": work.plan.request.ref})
    await work.observed("poke", {"poked": True}, "applied", changes=Changes(changed=True))
    await work.end("poke", "succeeded", f"poked, since {on.reason}")
    await work.finish("succeeded")


POKE = Kind(
    name="poke", port="pipelines", guard_class="2", verb="Poke", button="Poke run", label="poke {pipeline}",
    help="Poke a run.", menu=(Place("run.poke", "z"),), one_order=True, overview="`teal run list`",
    doing=lambda: Doing(plan=_plan, covers=Facts, steps=lambda plan, entry: ("poke",), run=_run),
)  # fmt: skip


class _Pipelines:
    async def aclose(self) -> None:
        """Nothing is held open."""


async def poked(at: Desk, consent: Consent = YES, **policy: Any) -> Action:
    """The toy, ordered through the gate and run to its end."""
    at.gate.policy = replace(at.gate.policy, **policy)

    async def build(_: Described) -> _Pipelines:
        return _Pipelines()

    async def launch(action_id: str, digest: str = "") -> None:
        await run_action(action_id, at.journal, build, at.gate.own, digest=digest)

    await at.gate.submit(await at.gate.plan(REQUEST), consent, launch=launch)
    (action,) = await at.gate.actions()
    return action
