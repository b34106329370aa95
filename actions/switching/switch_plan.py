"""What a flip would do, and what all plans that move traffic share: observed now, nothing written."""

import asyncio
import contextlib

from msgspec import UNSET, Struct
from msgspec.structs import replace

from actions.described import Described
from actions.endings import shares
from actions.entry_now import always, with_ways
from actions.expected import SwitchExpected
from actions.facts import Facts, driven, hash_of, shortened
from actions.guards import Policy, context_findings, with_overrides
from actions.ids import digest, now
from actions.journal.journal import Journal
from actions.judging.stages import stages_of
from actions.kinds import kind_of
from actions.models import ActionError, Finding, Plan, PlanSummary, Refused, Request
from actions.orphans import held_by
from actions.switching.changes import newest_change
from actions.switching.conditions import conditions, without_production
from actions.switching.moved_since import moved_since
from actions.switching.other_journal import CHANGED_SINCE, other_journal
from actions.switching.versions import OnSides, on_sides
from actions.switching.written_anew import as_the_journal_knows
from actions.targets import SwitchTarget
from actions.telling import LIVE_DOWN
from backends.command_line import command
from backends.deployments.common import DeploymentConfig, ProbeResult, own_settings
from backends.errors import BackendError
from backends.models import ColorState
from backends.ports import Deployed, SwitchState
from backends.text import clean, first_line, short_id
from backends.together import together

IDLE_PROBES = 20
SELF_TEST_PROBES = 3
UNKNOWN_TRUTH, UNHEALTHY, CAPACITY = "truth-unknown", "target-unhealthy", "capacity"
RATE_S = 1.0  # between two looks at a count of requests
PAGE_SOMEONE = frozenset({UNKNOWN_TRUTH, UNHEALTHY})


class Move(Struct, frozen=True, kw_only=True):
    """Where traffic would go: `state` is what was observed, `undoes` the flip that a rollback takes back, `queued_to`
    the open action that would do it. `stages` are the shares of the side that gains traffic; `deploys` says what comes
    before in words, `replaces` what runs there until then, `start` is what must be brought up there first and `holds`
    the version that it must then say; `sides` is what runs on them, kept for a way back."""

    state: SwitchState
    to: str
    already: bool = False
    undoes: str = ""
    queued_to: str = ""
    findings: tuple[Finding, ...] = ()
    stages: tuple[int, ...] = (100,)
    deploys: tuple[str, ...] = ()
    replaces: str = ""
    start: Deployed | None = None
    holds: str = ""
    sides: OnSides = OnSides()


class MoveFacts(Facts, frozen=True, kw_only=True, omit_defaults=True):
    """What a move of traffic is agreed to with. `replaces`: what runs on the side until a version is put there;
    `starts`: version and artifact that are put back on it first; `entry` by `agreed_entry`."""

    weights: dict[str, int]
    to_weights: dict[str, int]
    version: str = ""
    replaces: str = ""
    stages: tuple[int, ...] = ()
    starts: tuple[str, str] | None = None
    entry: str = ""


class Evidence(Struct, frozen=True, kw_only=True):
    """What was found of the side that would gain traffic, and the version that it says it runs; None where it says
    none."""

    findings: list[Finding]
    version: str | None = None


async def plan_flip(request: Request, policy: Policy, journal: Journal, target: SwitchTarget) -> Plan:
    """All traffic to `request.to`, or to the other of two colors. Raises Refused for a color that is not known."""
    settings = target.settings
    state = await as_the_journal_knows(await target.adapter.observe(), journal, policy.context, request.service)
    to = _wanted_color(request, settings, state)
    findings: list[Finding] = []
    if policy.protected and not request.to:
        findings.append(block("to", "a protected context wants the color named", f"--to {to.upper() or 'COLOR'}"))
    findings += await in_the_way(policy, journal, target, state)
    stages, unsplit = shares_of(request, target, state)
    move = Move(state=state, to=to, already=bool(to) and state.weights == full(settings, to), stages=stages)
    if state.live == "mixed" and not (state.runs and request.to):  # what is ARMED the preflight says
        findings.append(_mixed(request, state))
    if not move.already:
        findings += unsplit
        evidence, sides = await together(evidence_of(target, move, forward=True), on_sides(target, state.live, to))
        findings += evidence.findings
        findings += await conditions(target, request, state.live, to, stages[0], sides.versions)
        findings = without_production(findings)
        move = replace(move, sides=sides)
    return make_plan(request, policy, target, move, findings)


async def in_the_way(policy: Policy, journal: Journal, target: SwitchTarget, state: SwitchState) -> list[Finding]:
    """What of the past forbids anything new: an open action, a rollback that failed, another journal at work; and that
    somebody moved the traffic outside, which only is told."""
    service = target.entry.name
    occupied = await journal.open_action(policy.context, service)
    if occupied is not None:
        occupied = await with_ways(occupied, journal, always(target.entry))
        return [block("open-action", *held_by(occupied, journal.location, policy.zone, "watch"))]
    change = await newest_change(journal, policy.context, service, forward=True)
    if change is not None and change.status == "rollback_failed":
        text = f"the rollback of {change.action} failed: {change.error}"
        fix = "see that production is as it should be"
        return [Finding(level="block", code="rollback-failed", text=text, fix=fix, overridable=True)]
    found = await other_journal(journal, policy.context, state)
    if not found and (words := await moved_since(journal, policy.context, service, change, _of_users(state), {})):
        found = [Finding(level="warning", code=CHANGED_SINCE, text=first_line(words), fix="see who changed it")]
    return found


def _of_users(state: SwitchState) -> dict[str, int]:
    """What users get; of what is written and not in force yet that, too: somebody wrote it."""
    return state.weights if state.pending and not state.parts else state.served


def shares_of(request: Request, target: SwitchTarget, state: SwitchState) -> tuple[tuple[int, ...], list[Finding]]:
    """The stages of the strategy, and why they can not be. Raises Refused for a strategy that is not known."""
    try:
        stages = stages_of(request.strategy, target.settings.stages)
    except ValueError as error:
        raise Refused(2, ActionError(kind="usage", message=str(error))) from None
    if len(stages) == 1 and stages[0] == 100:
        return stages, []
    if not target.adapter.can_split:
        text = f"{request.service} can not split traffic: no {request.strategy}"
        return stages, [block("no-weights", text, "--strategy blue-green")]
    if state.live not in target.settings.colors:
        return (100,), [block("mixed", "it does not come from one color: no stages", "--strategy blue-green")]
    return stages, []


def staged(settings: DeploymentConfig, from_: str, to: str, share: int) -> dict[str, int]:
    """`share` percent on `to`, the rest on `from_`; all of it on `to` where it does not come from one color."""
    if share >= 100 or from_ not in settings.colors:
        return full(settings, to)
    return {**dict.fromkeys(settings.colors, 0), from_: 100 - share, to: share}


def full(settings: DeploymentConfig, color: str) -> dict[str, int]:
    """All traffic on `color`."""
    return {name: 100 if name == color else 0 for name in settings.colors}


def _wanted_color(request: Request, settings: DeploymentConfig, state: SwitchState) -> str:
    if request.to:
        to = request.to.lower()
        if to not in settings.colors:
            message = f'{request.service} has no color "{clean(to, 64)}"'
            raise Refused(5, ActionError(kind="not_found", message=message, fix=f"known: {', '.join(settings.colors)}"))
        return to
    others = [color for color in settings.colors if color != state.live]
    return others[0] if state.live in settings.colors and len(others) == 1 else ""


async def evidence_of(target: SwitchTarget, move: Move, *, forward: bool) -> Evidence:
    """Health of where traffic would go, and whether the probe proves what is live now: no proof of the present, no
    proof of the future. A rollback only warns of the latter: the side that it leaves may be what is broken."""
    if move.state.live == "unknown" and not (move.state.over and move.to in target.settings.colors):
        known = not forward and move.to in target.settings.colors
        commands = target.adapter.manual_commands(full(target.settings, move.to)) if known else []
        back = f"go back to {move.to.upper()} by hand: {' && '.join(commands)}" if commands else ""
        return Evidence(findings=[live_unknown(move.state, back)])
    if not move.to:  # of a split it is said already
        several = block("to", "several other colors could take the traffic", "say where to: --to COLOR")
        return Evidence(findings=[] if move.state.live == "mixed" else [several])
    if move.to not in target.settings.colors:
        return Evidence(findings=[])
    weights = staged(target.settings, move.state.live, move.to, move.stages[0])
    health, probe, own = await together(
        target.adapter.color_health(move.to),
        probe_self_test(target, move.state.live),
        target.adapter.preflight(move.state, weights),
    )
    if (
        forward
        and (probe.level, probe.code) in (("block", "probe"), ("warning", LIVE_DOWN))
        and (down := await live_is_down(target, move.state))
    ):
        probe = replace(down, fix=f"no rollback goes back there before {move.state.live.upper()} is healthy again")
    if not forward:
        if move.state.over:  # nobody says what it should prove: the edit is told by the switch
            probe = Finding(level="ok", code="probe", text="what answers now is not asked for on the way back")
        probe, *own = (_as_warning(one) if one is probe or one.overridable else one for one in (probe, *own))
    return Evidence(findings=[_health_finding(move.to, health), probe, *own], version=health.version)


async def live_is_down(target: SwitchTarget, state: SwitchState) -> Finding | None:
    """That the side with all traffic says itself that it is down; None where it does not. No fresh request can prove it
    then, and that must not keep traffic there: the side that gains it is proven as ever."""
    if state.live not in target.settings.colors:
        return None
    health = await target.adapter.color_health(state.live)
    if health.healthy is not False:
        return None
    text = f"{state.live.upper()}, which has all traffic, is down: {health.detail}"
    return Finding(level="warning", code=LIVE_DOWN, text=text)


async def live_is_bad(target: SwitchTarget, state: SwitchState) -> Finding | None:
    """That the side with all traffic is down, answers fresh requests with an error, or fails too many of those of
    others; None where it does not, or nobody can say."""
    if state.live not in target.settings.colors:
        return None
    if (down := await live_is_down(target, state)) is not None:
        return down
    probe = await probe_self_test(target, state.live)
    if probe.code == LIVE_DOWN:
        return probe
    with contextlib.suppress(BackendError):  # the probe has said what there is
        side = (await target.adapter.deployment()).colors.get(state.live)
        if side is not None and side.rates_pending:
            await asyncio.sleep(RATE_S)
            side = (await target.adapter.deployment()).colors.get(state.live)
        if side is not None and side.beyond:
            text = f"{state.live.upper()}, which has all traffic: {side.errors}"
            return Finding(level="warning", code=LIVE_DOWN, text=text)
    return None


def _as_warning(finding: Finding) -> Finding:
    return replace(finding, level="warning") if finding.level == "block" else finding


async def probe_self_test(target: SwitchTarget, live: str) -> Finding:
    """Whether the probe proves what is live now."""
    probes = await together(*(target.probe() for _ in range(SELF_TEST_PROBES)))
    return probe_finding(live, set(target.settings.colors) if live == "mixed" else {live}, probes)


def probe_finding(live: str, wanted: set[str], probes: list[ProbeResult | None]) -> Finding:
    """What fresh requests say of `live`."""
    wrong = [seen for seen in probes if seen is None or seen.color not in wanted]
    if not wrong:
        return Finding(level="ok", code="probe", text=_answered(live, probes))
    if wrong[0] is None:
        fix = "add `probe` to the deployment in the config"
        return block("probe", "no probe: a switch could not be proven", fix)
    if all(seen is not None and seen.color is None and seen.named in wanted for seen in wrong):
        text = f"{wrong[0].named.upper()}, which has traffic, answers fresh requests with an error: {wrong[0].error}"
        return Finding(level="warning", code=LIVE_DOWN, text=text)  # what is live it says all the same
    if wrong[0].color is None:
        text = f"the probe can not prove what is live: {wrong[0].error}"
        fix = "see that the probe's URL answers"
        return Finding(level="block", code="probe", text=text, fix=fix, overridable=True)
    text = f"the layers disagree: control says {live.upper()}, a fresh request says {wrong[0].color.upper()}"
    return block("layers", text, "wait until they agree, or put the control object right")


def _answered(live: str, probes: list[ProbeResult | None]) -> str:
    if live != "mixed":
        return f"a fresh request proves {live.upper()} now"
    sides = sorted({seen.color.upper() for seen in probes if seen is not None and seen.color})
    many = "a fresh request was" if len(probes) == 1 else "fresh requests were"
    return f"{many} answered by {' and '.join(sides)}: so few prove no split"


def _health_finding(color: str, health: ColorState) -> Finding:
    if health.healthy:
        version = f" {health.version}" if health.version else ""
        return Finding(level="ok", code="health", text=f"{color.upper()}{version} is healthy")
    word = "is not known to be healthy" if health.healthy is None else "is unhealthy"
    return block(UNHEALTHY, f"{color.upper()} {word}: {health.detail}", f"make {color.upper()} healthy first")


def live_unknown(state: SwitchState, back: str = "") -> Finding:
    """That nobody knows what is live; its fix is the command that the adapter has for it. `back`: how to
    go back by hand, for whoever ordered that: what the adapter has would leave traffic where it was."""
    why, _, how = state.detail.partition("\n")
    then = back or how or "put it right by hand"
    fix = f"look at the control object, then {then}"
    return block(UNKNOWN_TRUTH, f"what is live is unknown: {why or 'no weights'}", fix)


def _mixed(request: Request, state: SwitchState) -> Finding:
    text = first_line(state.detail) if state.armed else f"traffic is split now: {shares(state)}"
    if state.armed and not state.runs:  # a way back from there could only guess
        return block("mixed", text, "see which side serves, and finish that; then plan anew")
    if request.to:
        after = "" if state.armed else ": no rollback of this leads back to it"
        return Finding(level="warning", code="mixed", text=text + after)
    return block("mixed", text, "say where to: --to COLOR")


def block(code: str, text: str, fix: str) -> Finding:
    """A finding that forbids."""
    return Finding(level="block", code=code, text=text, fix=fix)


def make_plan(request: Request, policy: Policy, target: SwitchTarget, move: Move, findings: list[Finding]) -> Plan:
    """The plan of `move`."""
    settings, state = target.settings, move.state
    weights = full(settings, move.to) if move.to in settings.colors else {}
    effects: tuple[str, ...] = ()
    if not move.already and weights:
        effects = (*move.deploys, *target.adapter.describe_shift(state, weights), *_stage_lines(settings, move))
    if move.queued_to:
        effects = (*effects, f"order  the open action {short_id(move.queued_to)} takes itself back")
    guard_class = kind_of(request.kind).guard_class
    if not move.already:
        findings += [*context_findings(policy, guard_class, now()), *policy.notes]
    agreed = hash_of(_facts(request, policy, target, move, weights))
    return Plan(
        kind=request.kind,
        context=policy.context,
        service=request.service,
        guard_class=guard_class,
        protected=policy.protected,
        from_=state.serving if state.runs else state.live,
        to=move.to,
        findings=with_overrides(list(dict.fromkeys(findings)), request.overrides),
        summary=PlanSummary(
            effects=effects,
            preconditions=() if move.already else _preconditions(request, state, move.to),
            undo="" if move.already or _leaves_a_dead_side(findings) else _undo(request, settings, state, move.to),
        ),
        hash=shortened(agreed),
        full_hash=agreed,
        made_at=now(),
        already=move.already,
        expected=SwitchExpected(
            weights=state.weights, revision=state.revision, stamp=state.stamp, runs=state.runs or UNSET,
            to_weights=weights, undoes=move.undoes, queued_to=move.queued_to, stages=move.stages,
            start=UNSET if move.start is None else move.start, holds=move.holds or UNSET,
            versions=move.sides.versions, deployed=move.sides.deployed,
        ),
        target=target.entry.kept(),
        request=request,
    )  # fmt: skip


def _facts(request: Request, policy: Policy, target: SwitchTarget, move: Move, weights: dict[str, int]) -> MoveFacts:
    """The same whoever carries it out: this action, or the open one that it is ordered of."""
    start = None if move.already else move.start
    return MoveFacts(
        kind=request.kind, context=policy.context, service=request.service, target=driven(target.entry),
        weights=move.state.weights, to_weights=weights, version=request.version,
        replaces=move.replaces,
        stages=() if move.already or len(move.stages) == 1 else move.stages,
        starts=None if start is None else (start.version or "", start.artifact),
        entry=agreed_entry(request, target.entry),
    )  # fmt: skip


def agreed_entry(request: Request, entry: Described) -> str:
    """The digest of what of a config entry is agreed to: all of it, with its commands, stages and gates, without which
    nothing goes forward; for a way back, only what its adapter is told."""
    if kind_of(request.kind).forward:
        return entry.digest
    return digest(own_settings(entry.config), chars=64)


def _stage_lines(settings: DeploymentConfig, move: Move) -> tuple[str, ...]:
    if len(move.stages) == 1:
        return ()
    shares = " → ".join(f"{share} %" for share in move.stages)
    return (f"stages   {shares}, {settings.stage_time} each, then bake {settings.bake}",)


def _preconditions(request: Request, state: SwitchState, to: str) -> tuple[str, ...]:
    probes = SELF_TEST_PROBES if kind_of(request.kind).back else IDLE_PROBES
    says = "is ARMED" if state.armed else f"says {state.live.upper()}"
    return (
        f"the control object still {says}, unchanged since it was read",
        f"{to.upper()} is healthy in {probes} of {probes} probes before traffic moves",
    )


def _leaves_a_dead_side(findings: list[Finding]) -> bool:
    """Whether the finding of what is left says that no rollback goes back there as it is."""
    return any(each.code == LIVE_DOWN and each.fix for each in findings)


def _undo(request: Request, settings: DeploymentConfig, state: SwitchState, to: str) -> str:
    if state.serving not in settings.colors or state.serving == to:
        return ""  # of a split no command of one word is the way back
    if kind_of(request.kind).forward:
        return command("deploy rollback", request.service)
    return command("deploy flip", request.service, to=state.serving)
