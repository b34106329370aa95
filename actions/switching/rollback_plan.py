"""What a rollback would do: the journal held against what is observed now, nothing written."""

import contextlib
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import msgspec
from msgspec.structs import replace

from actions.expected import SwitchExpected
from actions.guards import Policy
from actions.ids import now
from actions.journal.config_entry import must_be_same_object
from actions.journal.errors import JournalError, making_sense
from actions.journal.journal import Journal
from actions.judging.stages import moves
from actions.kinds import kind_of
from actions.models import Action, ActionError, Finding, Plan, Refused, Request
from actions.orphans import is_frozen, orphaned_since
from actions.switching.by_mark import back_by_mark, named_back
from actions.switching.changes import Change, newest_change, way_back
from actions.switching.leaving import leaving
from actions.switching.other_journal import OTHER_JOURNAL, newest_is_theirs, other_journal, was_left
from actions.switching.recorded import must_make_sense
from actions.switching.standing import forward_again
from actions.switching.switch_plan import (
    CAPACITY,
    UNHEALTHY,
    Evidence,
    Move,
    block,
    evidence_of,
    live_is_bad,
    make_plan,
)
from actions.switching.traffic import patiently
from actions.switching.versions import OnSides
from actions.switching.written_anew import as_the_journal_knows
from actions.targets import SwitchTarget
from actions.telling import phase_words
from backends.command_line import command
from backends.errors import BackendError, ErrorKind
from backends.ports import Deployed, SwitchState, read_stamp
from backends.text import clean, short_id

FLIP = "deploy flip"
OTHER_VERSION, UNKNOWN_VERSION, SLOW = "other-version", "version-unknown", "slow-rollback"
_UNREAD: frozenset[ErrorKind] = frozenset({"unreachable", "timeout", "malformed", "not_found"})


async def plan_rollback(request: Request, policy: Policy, journal: Journal, target: SwitchTarget) -> Plan:
    """The newest change of traffic taken back: the open one, or the last that has ended and still stands.

    Raises Refused (5) where the journal knows none that led to what is live."""
    state = await as_the_journal_knows(await observed(target), journal, policy.context, request.service)
    occupied = await journal.open_action(policy.context, request.service)
    if occupied is not None:
        await must_make_sense(journal, occupied.id or "")
        orphaned = orphaned_since(occupied, journal.location) is not None or is_frozen(occupied)
        if orphaned:  # a new runner would go by this config
            await must_be_of_this_switch(journal, occupied, target)
        move = _take_back_open(occupied, _over(state), orphaned=orphaned)
        findings = list(move.findings)
        evidence = await evidence_of(target, move, forward=False)
        findings += await other_journal(journal, policy.context, state, forward=False)
        findings += evidence.findings + await _left_by_open(journal, occupied, move.to, evidence)
        return make_plan(request, policy, target, move, findings)
    change = await newest_change(journal, policy.context, request.service)
    await _must_know_the_mark(journal, policy.context, state, change)
    others = await other_journal(journal, policy.context, state, forward=False)
    foreign = any(each.code == OTHER_JOURNAL for each in others)
    past = "--override other-journal --reason WHY" if foreign else ""
    theirs = await newest_is_theirs(journal, policy.context, state, change)
    if theirs:
        change = None  # what was written last is the newest change, and this journal knows older ones only
    marked = _by_mark(state, target.settings.colors, foreign=foreign) if change is None else None
    move = marked or await _take_back(change, state, target, request, past, foreign=foreign or theirs)
    findings = list(move.findings)
    if move.already and (bad := await live_is_bad(target, state)) is not None:
        past_it = partial(forward_again, journal, policy.context, request.service)
        findings.append(replace(bad, fix=await leaving(target, state, FLIP, request.service, past=past_it)))
    if not move.already and (move.to or state.live == "unknown"):
        evidence = await evidence_of(target, move, forward=False)
        if change is not None:
            move, evidence = await _as_it_was_left(request, policy, journal, target, move, change, evidence)
        findings += [*others, *evidence.findings]
    return make_plan(request, policy, target, move, findings)


async def must_be_of_this_switch(journal: Journal, occupied: Action, target: SwitchTarget) -> None:
    """Raises BackendError(conflict) where the open action drives another switch than this config names: no runner of
    this config would carry the rollback out."""
    try:
        must_be_same_object((await journal.plan(occupied.id or "")).target, target.entry)
    except BackendError as error:
        if error.kind == "conflict":
            abandon = command("action abandon", occupied.id or "", reason="WHY")
            error.fix += f"; or {abandon}, then roll back what this config names"
        raise


def other_version(color: str, left: str, now_there: str) -> str:
    """That a side does not hold what was left there, in words; empty where it does, or nobody knows."""
    if not left or not now_there or left == now_there:
        return ""
    return f"{color.upper()} runs {now_there} now, and {left} was left there"


async def observed(target: SwitchTarget) -> SwitchState:
    """What can not be read is unknown: a rollback then pages someone, whatever the reason is."""
    try:
        return await patiently(target.adapter.observe)
    except BackendError as error:
        if error.kind not in _UNREAD:
            raise
        return SwitchState(weights={}, revision="", detail=error.message)


def _over(state: SwitchState) -> SwitchState:
    """Nobody's edit is in the way of the way back: where it hides who is live, that is written over."""
    return replace(state, over=bool(state.edited)) if not state.weights else state


def _take_back_open(occupied: Action, state: SwitchState, *, orphaned: bool) -> Move:
    to = occupied.from_ if kind_of(occupied.kind).forward else occupied.to
    doing = phase_words(occupied.phase) or occupied.status.replace("_", " ")
    which = f"{occupied.actor or 'somebody'}'s {occupied.kind} {short_id(occupied.id or '')}"
    text = f"{which} is open, {doing}: it takes itself back"
    if orphaned:
        text = f"{'the runner of ' if is_frozen(occupied) else 'nobody runs '}{which}"
        text += f"{' is stopped' if is_frozen(occupied) else ''}: a new runner takes it back"
    queued = Finding(level="ok", code="open-action", text=text)
    return Move(state=state, to=to, queued_to=occupied.id or "", findings=(queued,))


async def _take_back(
    change: Change | None, state: SwitchState, target: SwitchTarget, request: Request, past: str, *, foreign: bool
) -> Move:
    settings = target.settings
    way = way_back(change, state.weights, settings.colors)
    if foreign and way.word == "never":
        way = replace(way, text=back_by_mark(state, settings.colors).why)
    if way.word == "already":
        done = Finding(level="ok", code="undone", text=way.text)
        return Move(state=state, to=state.live, already=True, findings=(done,))
    if way.word == "never" and foreign and request.to:
        return _named(request, state, settings.colors)
    if way.word in ("never", "elsewhere"):
        fix = await leaving(target, state, FLIP, request.service, past)
        raise Refused(5, ActionError(kind="not_found", message=way.text, fix=fix))
    if change is None or way.word == "unknown":
        return Move(state=_over(state) if way.to else state, to=way.to, undoes=change.undoes if change else "")
    if way.word == "split":
        flip = command(FLIP, request.service, to="COLOR", flags=past)  # either may be the bad one
        split = block("split", way.text, f"see which side is well, then {flip}")
        return Move(state=state, to="", undoes=change.undoes, findings=(split,))
    findings = []
    if way.text:
        findings.append(Finding(level="warning", code="tried-again", text=way.text))
    if way.since and not state.armed:  # that, and what runs, the preflight says
        findings.append(Finding(level="warning", code="changed-since", text=way.since))
    elif not change.back and change.at is not None and now() - change.at > timedelta(seconds=settings.rollback_window):
        text = f"the rollback window of {settings.rollback_window} is over: {way.to.upper()} may be smaller now"
        findings.append(Finding(level="warning", code="rollback-window", text=text))
    return Move(state=state, to=way.to, undoes=change.undoes, findings=tuple(findings))


def _named(request: Request, state: SwitchState, colors: Sequence[str]) -> Move:
    """The side that the operator names, of what an action moved of which neither journal nor mark say where back is."""
    back = named_back(request, state, colors)
    found = Finding(level="ok" if back.already else "warning", code="by-the-mark", text=back.why)
    return Move(state=state, to=back.to, already=back.already, findings=(found,))


def _by_mark(state: SwitchState, colors: Sequence[str], *, foreign: bool) -> Move | None:
    """Where this journal knows nothing: what the mark of another says; None where that is nothing. An action that has
    ended, and left no split (`foreign`), left all traffic on one side: where its mark does not say which, a hand may
    have moved it since."""
    back = back_by_mark(state, colors)
    if state.live == "unknown" or not (back.to or back.already):
        return None
    if state.ended and not (back.already or back.sure or foreign):
        return None
    found = Finding(level="ok" if back.already else "warning", code="by-the-mark", text=back.why)
    return Move(state=state, to=state.live if back.already else back.to, already=back.already, findings=(found,))


async def _must_know_the_mark(journal: Journal, context: str, state: SwitchState, change: Change | None) -> None:
    """Raises JournalError where an action of this journal wrote the switch after the newest change that it tells of: a
    row was edited or taken away, or the file is an older copy."""
    stamp = read_stamp(state.stamp)
    action = stamp.action
    if not moves(stamp.step) or (change is not None and action == change.action):
        return
    of_context = await journal.context_of(action)
    if change is not None and not of_context and was_left(state, change):
        return  # a write that may leave no mark
    if change is not None and await journal.is_later(change.action, action):
        return
    if of_context not in ("", context):  # it is told of there
        return
    if of_context or (state.journal and state.journal == await journal.identity()):
        text = f"the switch was written by {clean(state.stamp, 64)} of this journal, which tells of no such change"
        raise JournalError("malformed", f"journal {journal.location.name}: {text}", fix="see who edited it")


async def _left_by_open(journal: Journal, occupied: Action, to: str, evidence: Evidence) -> list[Finding]:
    """The way back of an open action is asked nothing: what is odd is only said."""
    with contextlib.suppress(BackendError):
        left = (await journal.plan(occupied.id or "")).expecting(SwitchExpected).versions.get(to, "")
        if text := other_version(to, left, evidence.version or ""):
            return [Finding(level="warning", code=OTHER_VERSION, text=text)]
    return []


async def _as_it_was_left(
    request: Request, policy: Policy, journal: Journal, target: SwitchTarget, move: Move, change: Change,
    evidence: Evidence,
) -> tuple[Move, Evidence]:  # fmt: skip
    """The side as it was left. Another version, or nothing after a retirement, is put right first where the adapter
    can: slower than a rollback should be. Where it can not, a version that is not the one that was left forbids."""
    to, left, found = move.to, change.versions.get(move.to, ""), evidence.version or ""
    if to not in target.settings.colors or move.state.live == "unknown":
        return move, evidence
    recorded: Deployed | None = None
    unfit = any(finding.code == UNHEALTHY for finding in evidence.findings)
    kept = change.deployed.get(to, Deployed(version=None))
    if unfit and found != left and await _same_artifact(target, to, kept):
        found = left  # what is down does not speak for itself, and its system may call the same version otherwise
    text = other_version(to, left, found)
    if text:
        recorded = kept if kept.artifact or kept.version == left else None
    elif unfit:
        recorded = await _before_retirement(journal, policy.context, request.service, to)
        if recorded is not None and left and recorded.version not in (None, left):
            recorded = kept if kept.version == left else recorded  # something else was put there since
    deployer, takes_traffic = target.adapter.deployer, move.state.weights.get(to, 0) > 0
    if deployer is None or recorded is None or takes_traffic or OTHER_VERSION in request.overrides:
        now_there = OnSides(versions=_known({**change.versions, to: found or left}), deployed=change.deployed)
        said = _version_findings(to, left, found)
        return replace(move, sides=now_there), replace(evidence, findings=[*evidence.findings, *said])
    version = recorded.version or ""
    what = version or recorded.artifact or "what was there"
    why = f"{text}: it is restored first" if text else f"{to.upper()} is at zero and must start first, {what}"
    slow = Finding(level="warning", code=SLOW, text=f"slow: {why}")
    kept_findings = [finding for finding in evidence.findings if finding.code not in (UNHEALTHY, CAPACITY)]
    sides = OnSides(versions=_known({**change.versions, to: left}), deployed=change.deployed)
    lines = tuple(deployer.describe_deploy(to, version))
    started = replace(move, start=recorded, holds=left, deploys=lines, sides=sides)
    return started, replace(evidence, findings=[slow, *kept_findings])


async def _same_artifact(target: SwitchTarget, color: str, kept: Deployed) -> bool:
    if (deployer := target.adapter.deployer) is None or not kept.artifact:
        return False
    with contextlib.suppress(BackendError):
        return (await deployer.deployed(color)).artifact == kept.artifact
    return False


def _known(versions: dict[str, str]) -> dict[str, str]:
    return {color: version for color, version in versions.items() if version}


def _version_findings(to: str, left: str, found: str) -> list[Finding]:
    if text := other_version(to, left, found):
        fix = f"put {left} back on {to.upper()}"
        return [Finding(level="block", code=OTHER_VERSION, text=text, fix=fix, overridable=True)]
    if left and found:
        return []
    was = f"{left} was left there" if left else "what was left there is not recorded"
    said = f"runs {found}" if found else "does not say which version it runs"
    return [Finding(level="warning", code=UNKNOWN_VERSION, text=f"{to.upper()} {said}, and {was}")]


async def _before_retirement(journal: Journal, context: str, service: str, color: str) -> Deployed | None:
    """What a retirement found on the side that it took down; None where the newest one did not take that side down."""
    retired = await journal.of_service(context, service, ("retire",), limit=1)
    if not retired or retired[0].to != color:
        return None
    events = (line.event for line in await journal.history(retired[0].id or ""))
    intents = (event.data["before"] for event in events if (event.kind, event.step) == ("intent", "retire"))
    with making_sense(journal.location.name):
        found = next(intents, None)
        return None if found is None else msgspec.convert(found, Deployed)
