"""What the config of a service makes a change of it depend on: its gates and what it requires of the platform."""

import asyncio
from typing import Any

import msgspec

from actions.endings import PreconditionFailed
from actions.expected import SwitchExpected
from actions.judging.gate_fit import fit_findings
from actions.judging.gate_plan import LOW_TRAFFIC, SERIES_OVERRIDE, FirstStage, gate_findings
from actions.judging.measuring import BASELINE_OVERRIDE, SOURCE_OVERRIDE, Find, GateJudge
from actions.judging.metric_gates import MetricGate, Subject, gates_of, queries
from actions.judging.stages import DEFAULT_STAGES
from actions.kinds import kind_of
from actions.models import Finding, Plan, Request
from actions.switching.requirements import requirement_findings, requires_of, unmet
from actions.switching.smoke import template_values
from actions.switching.versions import on_sides
from actions.tally import OwnOf, no_own
from actions.targets import ServiceTarget, SwitchTarget
from actions.telling import LIVE_DOWN
from backends.deployments.alb.places import dimensions
from backends.deployments.common import DeploymentConfig
from backends.errors import BackendError
from backends.literals import USE_REFERENCE, KeyPath, literals
from backends.misfits import without_misfits
from backends.ports import Metrics

BROKEN = "gates"
GATE_CODES = frozenset({BROKEN, SERIES_OVERRIDE, SOURCE_OVERRIDE, BASELINE_OVERRIDE, LOW_TRAFFIC})


async def conditions(
    target: ServiceTarget[Any], request: Request, live: str, to: str, first_share: int, versions: dict[str, str]
) -> list[Finding]:
    """What the way from `live` to `to` depends on, looked at now. `versions` are those of the sides, of `to` the one
    that it will run. Never raises BackendError."""
    colors = target.settings.colors
    if live not in colors or to not in colors:
        return []
    required = asyncio.ensure_future(requirements(target, request.service))
    try:
        gates = gates_in(target)
        sides = [_subject(target, request.service, color, versions.get(color, "")) for color in (to, live)]
        asked = {gate.name: queries(gate, *sides) for gate in gates}
    except BackendError as error:
        broken = Finding(level="block", code=BROKEN, text=error.message, fix=error.fix)
        return [broken, *await required]
    written_out = [
        Finding(level="block", code="literal-secret", text=f"{_dotted(at)}: {words}", fix=USE_REFERENCE)
        for at, words in literals(target.entry.config)
    ]
    if misfits := without_misfits("deployments", target.entry.config, DeploymentConfig)[1]:
        fix = "correct it, then run `teal config validate`"
        written_out.append(Finding(level="block", code="config", text=misfits, fix=fix))
    first = _first(target, first_share)
    judged = await gate_findings(gates, asked, _finder(target), [first])
    fit = fit_findings(gates, first.seconds, float(target.settings.bake))
    return [*written_out, *judged, *fit, *await required]


def without_production(findings: list[Finding]) -> list[Finding]:
    """`findings`; where what is live is down, nothing is known of it to compare with: that must not keep traffic there,
    and only the gates' own limits judge."""
    if not any(finding.code == LIVE_DOWN for finding in findings):
        return findings
    return [
        msgspec.structs.replace(each, level="warning", overridable=False) if each.code == BASELINE_OVERRIDE else each
        for each in findings
    ]


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))


async def unjudged(target: SwitchTarget) -> list[Finding]:
    """What would keep its gates from judging now, each query asked once, at the first stage of each strategy. Raises
    BackendError where the switch does not answer; nothing where no side is idle."""
    gates = gates_in(target)
    if not gates:
        return []
    live = (await target.adapter.observe()).live
    others = [color for color in target.settings.colors if color != live]
    if live not in target.settings.colors or not others:
        return []
    service = target.entry.name
    versions = (await on_sides(target, live, others[0])).versions
    sides = [_subject(target, service, color, versions.get(color, "")) for color in (others[0], live)]
    asked = {gate.name: queries(gate, *sides) for gate in gates}
    found = await gate_findings(gates, asked, _finder(target), _firsts(target), of_plan=False)
    return [finding for finding in found if finding.level != "ok" and finding.code in GATE_CODES]


def _firsts(target: SwitchTarget) -> list[FirstStage]:
    """How each strategy begins that can be ordered; those that begin alike are one."""
    stages = {**DEFAULT_STAGES, **target.settings.stages}
    names: dict[int, list[str]] = {}
    for name, shares in stages.items():
        if shares and (target.adapter.can_split or len(shares) == 1):
            names.setdefault(shares[0], []).append(name)
    return [msgspec.structs.replace(_first(target, share), of=", ".join(of)) for share, of in names.items()]


def _first(target: ServiceTarget[Any], share: int) -> FirstStage:
    """The stage of `share` percent, as the first: at 100 percent the bake alone judges it."""
    settings = target.settings
    return FirstStage(share, float(settings.bake if share == 100 else settings.stage_time))


async def requirements(target: ServiceTarget[Any], service: str) -> list[Finding]:
    """What the config requires of the rest of the platform, looked at now. Never raises BackendError."""
    written = target.settings.requires
    if not written:
        return []
    try:
        return await requirement_findings(requires_of(written), target.entry.around, service, target.ask)
    except BackendError as error:
        return [Finding(level="block", code="requires", text=error.message, fix=error.fix)]


async def must_be_met(target: ServiceTarget[Any], plan: Plan) -> None:
    """Raises PreconditionFailed for what the config requires and `plan` does not override, looked at now."""
    if (against := unmet(await requirements(target, plan.service), plan.request.overrides)) is not None:
        raise PreconditionFailed("refused", against.text, against.fix)


def judge_of(plan: Plan, target: SwitchTarget, own: OwnOf = no_own) -> GateJudge | None:
    """The judge of a plan that moves traffic forward; None where its config has no gates. `own`: the action's requests,
    which are no evidence. Raises BackendError."""
    if not kind_of(plan.kind).forward or plan.from_ not in target.settings.colors:
        return None
    return judge_between(plan, target, plan.from_, plan.to, plan.expecting(SwitchExpected).versions, own)


def judge_between(
    plan: Plan, target: ServiceTarget[Any], live: str, to: str, versions: dict[str, str], own: OwnOf = no_own
) -> GateJudge | None:
    """The judge of `to` against `live`; None where its config has no gates. Raises BackendError."""
    gates = gates_in(target)
    if not gates:
        return None
    candidate, production = (_subject(target, plan.service, color, versions.get(color, "")) for color in (to, live))
    overrides = plan.request.overrides
    if any(finding.code == LIVE_DOWN for finding in plan.findings):
        overrides = (*overrides, BASELINE_OVERRIDE)
    return GateJudge(gates, _finder(target), candidate, production, overrides, own)


def gates_in(target: ServiceTarget[Any]) -> tuple[MetricGate, ...]:
    """The gates of its config entry. Raises BackendError(config)."""
    settings = target.settings
    return gates_of(
        settings.gates, settings.presets, stage_time_s=float(settings.stage_time), metrics=settings.metrics,
        labels=settings.preset_labels,
    )  # fmt: skip


def _subject(target: ServiceTarget[Any], service: str, color: str, version: str) -> Subject:
    values = template_values(target, service, color, version) | dimensions(target.entry.config, color)
    return msgspec.convert(values, Subject)


def _finder(target: ServiceTarget[Any]) -> Find:
    async def find(name: str) -> Metrics:
        found: Metrics = await target.ask("metrics", name)
        return found

    return find
