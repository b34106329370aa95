"""The way back where the journal can not be used: by a copy of it, by the mark on the switch, by what a person names.

A journal that can be read and not written (a full disk, a lock, a file system that is read-only) is read from a copy in
memory. Without one, what is known is the traffic, the `ACTION:step` of the last write, and which runners of this host
live, since each keeps a file beside the journal locked. Back is never forward: where the mark does not say which side
the traffic came from, the operator does.
"""

import contextlib
from collections.abc import Sequence

from msgspec.structs import replace

from actions.expected import SwitchExpected
from actions.guards import Policy
from actions.journal.errors import JournalError
from actions.journal.file_copy import copied
from actions.journal.journal import Journal
from actions.journal.lease import living
from actions.journal.location import JournalLocation
from actions.models import ActionError, Finding, Plan, Refused, Request
from actions.switching.by_mark import Back, back_by_mark, named_back
from actions.switching.leaving import leaving
from actions.switching.rollback_plan import observed, plan_rollback
from actions.switching.switch_plan import Move, block, evidence_of, make_plan
from actions.targets import SwitchTarget
from backends.command_line import command
from backends.ports import SwitchState, read_stamp
from backends.text import clean

NO_JOURNAL, RUNNER_LIVES = "no-journal", "runner-lives"
_WITHOUT = "it is done without, its records kept in a file"


async def plan_without_journal(
    request: Request, policy: Policy, journal: Journal, target: SwitchTarget, error: JournalError
) -> Plan:
    """The rollback that writes no journal. Raises Refused (5) for a color that is not known, BackendError."""
    plan = None if request.to else await _by_copy(request, policy, journal.location, target)
    if plan is None or plan.expected.queued_to:
        occupied = "" if plan or request.to else await _open_in(journal, policy.context, request.service, error)
        plan = await _written_here(request, policy, target, plan, occupied, journal.location)
    elif not plan.already:
        runners = _runners(journal.location, plan.expecting(SwitchExpected).stamp)
        plan = replace(plan, findings=(*runners, *plan.findings))
    unwritten = Finding(
        level="warning", code=NO_JOURNAL,
        text=f"{error.message}: {'nothing has to be done' if plan.already else _WITHOUT}",
        fix=f"by the command line only: {command('deploy rollback', request.service, flags='-y')}",
    )  # fmt: skip
    expected = replace(plan.expecting(SwitchExpected), queued_to="", without_journal=error.message)
    return replace(plan, findings=(unwritten, *plan.findings), expected=expected)


def agreeing(request: Request, plan: Plan) -> Plan:
    """`plan`, made by the journal. Raises Refused (2) where the operator names another color than it does, or where it
    names none and nothing forbids it."""
    if request.to and request.to.lower() != plan.to:
        if not plan.to and any(finding.level == "block" for finding in plan.findings):
            return plan  # what forbids it says why nobody knows where back is
        text = "back is to no single color here; --to is for a journal that can not be read"
        if plan.to:
            text = f"the journal says that back is {plan.to.upper()}; --to is for a journal that can not be read"
        fix = f"without --to; or {command('deploy flip', request.service, to=request.to.upper())}"
        raise Refused(2, ActionError(kind="usage", message=clean(text, 200), fix=clean(fix, 200)))
    return plan


async def _by_copy(request: Request, policy: Policy, location: JournalLocation, target: SwitchTarget) -> Plan | None:
    """What the journal said last; None where it can not even be copied and read."""
    try:
        async with copied(location) as journal:
            return await plan_rollback(request, policy, journal, target)
    except (JournalError, Refused):  # it knows of no switch, or none that led to what is live: the mark may
        return None


async def _open_in(journal: Journal, context: str, service: str, error: JournalError) -> str:
    """The id of the open action, of which nothing else can be believed."""
    with contextlib.suppress(JournalError):  # then a copy may say it
        if error.kind == "malformed":
            return await journal.open_id(context, service)
    with contextlib.suppress(JournalError):  # then nobody knows
        async with copied(journal.location) as copy:
            return await copy.open_id(context, service)
    return ""


async def _written_here(
    request: Request,
    policy: Policy,
    target: SwitchTarget,
    queued: Plan | None,
    occupied: str,
    location: JournalLocation,
) -> Plan:
    """`queued` would be an order to an action that is open: it can not be given, and its runner may be dead. `occupied`
    is open, and its row or its history can not be gone by: an older change than its own is not taken back.

    Where the traffic is there already and a runner may live, it is written once more, as it is: that runner sees the
    write and goes no further. A release that was about to move traffic did so a second after "back already"."""
    state = await observed(target)
    colors = target.settings.colors
    if request.to:
        back = named_back(request, state, colors)
    elif queued is not None:
        back = _before_the_open(queued, state, colors)
    else:
        back = back_by_mark(state, colors)
        if back.to and occupied and read_stamp(state.stamp).action != occupied:
            why = (
                f"{occupied} is open, and the last write on the switch is not its own: which side is back is not known"
            )
            back = Back(why=why)
    findings = _runners(location, state.stamp)
    stops = back.already and bool(findings)
    move = Move(state=state, to=state.live if back.already else back.to, already=back.already and not stops)
    if back.already and queued is not None:
        opened = queued.expected.queued_to
        ends = command("action abandon", opened, reason="WHY")
        fix = f"once the journal can be written, {command('deploy rollback', request.service)} ends it, or {ends}"
        findings.append(Finding(level="warning", code="open-action", text=f"{opened} stays open", fix=fix))
    if back.to or back.already:
        kept = f"; {state.live.upper()} is written once more, so that no runner takes the traffic from there"
        text = f"{back.why}{kept if stops else ''}"
        findings.append(Finding(level="ok" if move.already else "warning", code="by-the-mark", text=text))
    elif state.live != "unknown":
        named = await leaving(target, state, "deploy rollback", request.service)
        findings.append(block("to", back.why, f"look, then name it: {named}"))
    if not back.already and (back.to or state.live == "unknown"):
        findings += (await evidence_of(target, move, forward=False)).findings
    return make_plan(request, policy, target, move, findings)


def _before_the_open(queued: Plan, state: SwitchState, colors: Sequence[str]) -> Back:
    action = queued.expected.queued_to
    if queued.to not in colors:
        return Back(why=f"{action} is open, and came from a split: which side is back is not known")
    if state.live == queued.to:
        return Back(to=queued.to, already=True, why=f"{queued.to.upper()} has all traffic already; {action} is open")
    return Back(to=queued.to, why=f"{action} is open and can not be ordered back: traffic goes to {queued.to.upper()}")


def _runners(location: JournalLocation, stamp: str) -> list[Finding]:
    """Which runners of this host live, that of the last write first."""
    wrote = read_stamp(stamp).action
    try:
        found = living(location.directory)
    except OSError as error:
        text = f"whether a runner lives is not known: {location.directory}: {error.strerror or error}"
        return [Finding(level="warning", code=RUNNER_LIVES, text=text)]
    texts = []
    for action_id in sorted(found, key=lambda each: each != wrote):
        of = "which wrote the switch last" if action_id == wrote else "of this or another service"
        texts.append(f"the runner of {action_id} lives, {of}: where it works on this switch, it sees the write and")
    if location.path is None:
        texts.append("whether a runner lives on another host is not known: one that does sees the write and")
    return [
        Finding(level="warning", code=RUNNER_LIVES, text=f"{text} ends in conflict, writing nothing more")
        for text in texts
    ]
