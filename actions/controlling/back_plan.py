"""What an abort and a rollback of a controller would do: which it is depends on the moment, and the plan says which."""

from msgspec.structs import replace

from actions.controlling.control_plan import Ordering, make_plan, refused, self_test
from actions.guards import Policy
from actions.journal.errors import JournalError
from actions.journal.journal import Journal
from actions.kinds import kind_of
from actions.models import Action, ActionError, Finding, Plan, Refused, Request
from actions.orphans import orphaned_since
from actions.switching.changes import Change, newest_change
from actions.targets import ControllerTarget
from backends.command_line import command
from backends.models import Revision
from backends.ports import ControllerState, Operation, Order
from backends.ports.controllers import TO
from backends.redaction import quoted
from backends.settings import Duration

NO_JOURNAL, SLOW = "no-journal", "slow-rollback"
_LEFT = frozenset({"stopped", "failed", "unknown"})


async def plan_abort(request: Request, policy: Policy, journal: Journal, target: ControllerTarget) -> Plan:
    """What is under way ended, back to the stable version. Raises Refused (5) where nothing is under way."""
    return await _plan(request, policy, journal, target, only_open=True)


async def plan_back(request: Request, policy: Policy, journal: Journal, target: ControllerTarget) -> Plan:
    """What is under way ended; where nothing is, a new change to the version that was stable before, or to the revision
    that `request.to` names."""
    return await _plan(request, policy, journal, target, only_open=False)


async def _plan(
    request: Request, policy: Policy, journal: Journal, target: ControllerTarget, *, only_open: bool
) -> Plan:
    """By the journal; where that can not be read, without it: the controller knows itself where back is."""
    state = await target.adapter.observe()
    lost: JournalError | None = None
    occupied: Action | None = None
    change: Change | None = None
    try:
        occupied = await journal.open_action(policy.context, request.service)
        change = await newest_change(journal, policy.context, request.service)
    except JournalError as error:
        lost = error
    ordering = _named(request, target, state) if request.to else _abort(state, change)
    ordering = ordering or (None if only_open else _return(state, change))
    if ordering is None:
        raise _nowhere(request, target, state, only_open)
    back = ordering.already
    if occupied is not None and kind_of(occupied.kind).forward:
        alone = orphaned_since(occupied, journal.location) is not None
        if alone or not back:  # its way back goes on without it, and somebody has to see the end of it
            ordering = _queued(replace(ordering, already=False), occupied, alone=alone)
    findings: list[Finding] = []
    if not back:
        findings += refused(state, ordering.order.order, ordering.order.how)
        if not findings:
            findings += [_as_warning(each) for each in await target.adapter.preflight(state, ordering.order)]
            findings += await self_test(target, state, forward=False)
    plan = make_plan(request, policy, target, state, ordering, findings)
    return plan if lost is None else without_journal(plan, lost)


def without_journal(plan: Plan, error: JournalError) -> Plan:
    """`plan`, to be carried out without a journal: why is `error`."""
    unwritten = Finding(
        level="warning", code=NO_JOURNAL, text=f"{error.message}: it is done without, its records kept in a file",
        fix=f"by the command line only: {command('deploy rollback', plan.service, flags='-y')}",
    )  # fmt: skip
    expected = replace(plan.expected, queued_to="", without_journal=error.message)
    return replace(plan, findings=(unwritten, *plan.findings), expected=expected)


def _named(request: Request, target: ControllerTarget, state: ControllerState) -> Ordering:
    """To the revision that is named, by its number or by its version. Raises Refused: 2 where revisions have no names
    here, 5 for one that is not there, or of which there are several."""
    if not state.past and TO in state.view.offer("rollback").forms:
        words = f"{request.service}: no revision is known that is older than what runs"
        raise Refused(5, ActionError(kind="not_found", message=words, fix=command("deploy status", request.service)))
    if not state.past:
        words = f"{target.entry.type} knows where back is: --to is not for it"
        raise Refused(2, ActionError(kind="usage", message=words, fix="without --to"))
    wanted = {each.id: each for name, each in state.past.items() if request.to in (name, each.version, each.id)}
    if len(wanted) != 1:
        known = ", ".join(f"{name} ({each.words})" if each.version else name for name, each in state.past.items())
        words = f"{request.service}: {'no' if not wanted else 'more than one'} revision {quoted(request.to, 64)}"
        raise Refused(5, ActionError(kind="not_found", message=words, fix=f"known: {quoted(known)}"))
    (found,) = wanted.values()
    stable = state.view.stable
    here = stable.words if stable else ""
    order = Order(order="rollback", revision=found.id, version=found.version or "", how=TO)
    ordering = Ordering(order=order, from_=here, to=found.words, home=found.id)
    if stable is not None and stable.id == found.id and not (state.newest is not None and state.newest.still_wanted):
        done = Finding(level="ok", code="undone", text=f"{here} is stable and has all traffic already")
        return replace(ordering, already=True, findings=(done,))
    return ordering


def _abort(state: ControllerState, change: Change | None) -> Ordering | None:
    """The end of what is under way; None where nothing is. A way back of ours that has all traffic may be under way for
    as long as the system keeps what it came from: to end that would go forward."""
    operation = state.open
    if operation is None:
        return None
    to = operation.source.words if operation.source else ""
    order = Order(order="abort", operation=operation.id)
    ordering = Ordering(order=order, from_=operation.target.words, to=to, home=_id(operation))
    if operation.back or state.returned or _is_back(change, operation.target.words):
        goal = to if operation.back else operation.target.words
        text = f"on its way back already, to {goal}: {operation.name}, {operation.detail}"
        done = Finding(level="ok", code="undone", text=text)
        return replace(ordering, already=True, to=goal, findings=(done,))
    text = f"{operation.name} is under way: it is stopped and goes back, at once"
    return replace(ordering, findings=(Finding(level="ok", code="moment", text=text),))


def _return(state: ControllerState, change: Change | None) -> Ordering | None:
    """After the end: a new change to the version before; None where the system knows none."""
    stable, before, newest = state.view.stable, state.before, state.newest
    here = stable.words if stable else ""
    if newest is not None and newest.still_wanted and newest.source is not None:
        return _unwanted(newest, newest.source)
    if state.returned or _is_back(change, here) or (newest is not None and newest.state == "rolled_back"):
        gone = f"{newest.name} went back" if newest is not None else "the last change was a way back"
        done = Finding(
            level="ok", code="undone", text=f"back already: {here or 'the stable version'} has all traffic; {gone}"
        )
        return Ordering(order=Order(order="rollback"), from_=here, to=here, already=True, findings=(done,))
    if newest is not None and newest.state in _LEFT:
        return _left(newest)
    if before is None:
        return None
    took = f", {Duration(round(newest.took_s))} the last time" if newest is not None and newest.took_s else ""
    text = f"not instant: nothing is under way, so {before.words} is put out anew, with stages, hooks and bake{took}"
    text += "; a pause there is continued at once"
    moment = Finding(level="warning", code=SLOW, text=text)
    if state.at_once:
        moment = Finding(level="ok", code="moment", text=f"{before.words}: {state.at_once}")
    undoes = change.action if change is not None and not change.back and change.moved[1] == here else ""
    return Ordering(
        order=Order(order="rollback", revision=before.id, version=before.version or ""), from_=here, to=before.words,
        home=before.id, undoes=undoes, findings=(moment,),
    )  # fmt: skip


def _is_back(change: Change | None, to: str) -> bool:
    """Whether the newest change that the journal knows was a way back there."""
    return change is not None and change.back and not change.failed and change.moved[1] == to


def _unwanted(newest: Operation, source: Revision) -> Ordering:
    """Of a change that went back while the system is still told to run it: it is told what has the traffic."""
    order = Order(order="rollback", revision=source.id, version=source.version or "")
    text = f"{source.words} has all traffic: what is wanted is put back to it from {newest.target.words}"
    moment = Finding(level="ok", code="moment", text=text)
    return Ordering(order=order, from_=newest.target.words, to=source.words, home=source.id, findings=(moment,))


def _left(newest: Operation) -> Ordering | None:
    """Of a change that was ended where it was: back to what it came from, never further."""
    if newest.source is None:
        return None
    source, target = newest.source, newest.target.words
    order = Order(order="rollback", revision=source.id, version=source.version or "")
    ordering = Ordering(order=order, from_=target, to=source.words, home=source.id)
    if not newest.moved:
        text = f"back already: {newest.name} was ended before any traffic moved to {target}"
        return replace(ordering, already=True, findings=(Finding(level="ok", code="undone", text=text),))
    share = newest.shares["candidate"]
    text = f"{newest.name} was ended with {share} % on {target} ({newest.detail}): it is put right anew"
    return replace(ordering, findings=(Finding(level="warning", code=SLOW, text=text),))


def _queued(ordering: Ordering, occupied: Action, *, alone: bool) -> Ordering:
    who = occupied.actor or "somebody"
    text = f"the {occupied.kind} {occupied.id} by {who} is open; it carries this out"
    if alone:
        text = f"nobody runs the {occupied.kind} {occupied.id} by {who}: a new runner takes it back"
    found = Finding(level="ok", code="open-action", text=text)
    return replace(ordering, queued_to=occupied.id or "", findings=(*ordering.findings, found))


def _nowhere(request: Request, target: ControllerTarget, state: ControllerState, only_open: bool) -> Refused:
    what = state.newest.detail if state.newest is not None else "no change is known"
    words = f"{request.service}: nothing is under way ({what})"
    if only_open:
        return Refused(5, ActionError(kind="not_found", message=words, fix=command("deploy rollback", request.service)))
    words += f", and {target.entry.type} knows no version that was stable before"
    fix = command("deploy release", request.service, flags="--version VERSION")
    return Refused(5, ActionError(kind="not_found", message=words, fix=fix))


def _id(operation: Operation) -> str:
    return operation.source.id if operation.source else ""


def _as_warning(finding: Finding) -> Finding:
    return replace(finding, level="warning") if finding.level == "block" and finding.overridable else finding
