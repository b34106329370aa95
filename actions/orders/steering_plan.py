"""What an order to an open action would do."""

from msgspec.structs import replace

from actions.facts import Facts, hash_of, shortened
from actions.guards import Policy, context_findings
from actions.ids import now
from actions.journal.audit import NOT_BELIEVED
from actions.journal.config_entry import EDITED, FindEntry, same_entry
from actions.journal.journal import Journal
from actions.journal.steering import STOPPING, no_way_on, possible_orders
from actions.judging.stages import is_shift
from actions.kinds import kind_of
from actions.models import ORDER_CLASS, Action, Finding, OrderWord, Plan, PlanSummary, Request
from actions.switching.recorded import must_make_sense
from actions.telling import outcome, phase_told, share_words, title
from backends.command_line import command
from backends.errors import BackendError
from backends.text import first_line

_WORDS = {
    "pause": "it stops at the next safe point; judging goes on, and what is bad still goes back",
    "resume": "it goes on from where it is, after a look at what is true",
    "promote": "the rest of this stage's wait is skipped",
    "accept": "the missing evidence of this stage is taken for good",
    "abort": "traffic that has moved goes back; else nothing is touched any more",
    "rollback": "traffic goes back where it is healthy",
    "takeover": "a new runner goes on with it, after a look at what is true",
    "abandon": "it is closed as it is: nothing is moved, nobody watches it any more",
}
_NOTED = "it is noted that its row is not believed: nothing that goes forward asks it any more; no traffic moves"
_WANTS_REASON = {
    "accept": "missing evidence is only accepted with a reason",
    "abandon": "an action is only abandoned with a reason",
}
# What was agreed to must still be what is waited for; a pause or the way back is right in every phase.
_OF_THE_MOMENT = frozenset({"promote", "accept"})


class OrderFacts(Facts, frozen=True, kw_only=True, omit_defaults=True):
    """What an order to an open action is agreed to with."""

    order: str
    action: str
    moment: tuple[str, ...] = ()


def plan_order(request: Request, policy: Policy, action: Action, *, orphaned: bool, edited: str = "") -> Plan:
    """`request.order` to `action`, with the reason where it is not possible now. `edited`: why the row of one that has
    ended is not believed; to abandon it has that noted."""
    word = request.order
    assert word
    why_not = "" if edited else possible_orders(action, orphaned=orphaned)[word]
    guard_class = ORDER_CLASS[word]
    findings = list(context_findings(policy, guard_class, now()))
    findings = [finding for finding in findings if finding.code != "freeze"]  # what is open was let in before
    if why_not:
        findings.append(Finding(level="block", code="order", text=f"{word}: {why_not}", fix=_instead(action, word)))
    elif edited:
        findings.append(Finding(level="warning", code="row-edited", text=edited))
    elif orphaned and word not in ("takeover", "abandon"):
        text = "nobody runs it: a new runner is started for this"
        findings.append(Finding(level="ok", code="orphaned", text=text))
    if word == "promote" and not why_not and (missing := _unproven(action)):
        text = f"evidence is missing, and promote goes on without it: {missing}"
        fix = command("deploy rollback", action.service)
        findings.append(Finding(level="warning", code="unproven", text=text, fix=fix))
    agreed = hash_of(
        OrderFacts(
            kind=action.kind, context=policy.context, service=action.service, order=word, action=action.id or "",
            moment=(NOT_BELIEVED,) if edited else (action.phase, action.status) if word in _OF_THE_MOMENT else (),
        )
    )  # fmt: skip
    where = phase_told(action.phase) or outcome(action)
    then = _NOTED if edited else _stays_paused(action) if word == "takeover" and action.paused else _WORDS[word]
    effects: tuple[str, ...] = (
        f"order    {word} to {action.id} ({title(action)}, {where})",
        f"then     {then}",
    )
    if word == "promote" and (onward := _onward(action)):
        effects += (f"traffic  {onward}",)
    return Plan(
        kind=action.kind, context=policy.context, service=action.service, guard_class=guard_class,
        protected=policy.protected, from_=action.from_, to=action.to, findings=tuple(findings),
        summary=PlanSummary(effects=effects, preconditions=(), undo=""),
        hash=shortened(agreed), full_hash=agreed, made_at=now(), request=request,
        needs_reason=_WANTS_REASON.get(word, ""),
    )  # fmt: skip


async def of_the_same_entry(plan: Plan, action: Action, journal: Journal, own: FindEntry) -> Plan:
    """The plan of an order that a new runner will obey: nothing goes forward where the entry was edited since. Raises
    JournalError where the row of the action was edited, or its history makes no sense: it is only abandoned then."""
    if plan.request.order == "abandon":
        return plan
    agreed = (await journal.plan(action.id or "")).target
    await must_make_sense(journal, action.id or "")
    if plan.request.order in STOPPING or kind_of(action.kind).back:
        return plan
    words = f"the entry of {action.service} in this config is not the one that {action.kind} was agreed to with"
    try:
        if same_entry(agreed, await own(agreed)):
            return plan
    except BackendError as error:
        words = error.message
    fix = command("deploy rollback", action.service)
    found = Finding(level="block", code="entry-edited", text=f"{words}: {EDITED}", fix=fix)
    return replace(plan, findings=(*plan.findings, found))


def _stays_paused(action: Action) -> str:
    """What a person ordered to stand, stands until a person orders it to go on."""
    who = action.paused.by if action.paused else ""
    resume = command("action resume", action.id or "")
    return f"a new runner watches it, and it stays paused, as {who} ordered; to go on, past a block too: {resume}"


def _unproven(action: Action) -> str:
    """What nobody knows of the stage that is left early: why it is held, and each gate that has not passed."""
    held = [first_line(action.hold.why)] if action.hold is not None else []
    gates = [
        f"{gate.name}: {gate.words or gate.reason or gate.word}"
        for gate in action.gates
        if gate.word != "pass" and not gate.dry_run
    ]
    return "; ".join(gates or held)


def _onward(action: Action) -> str:
    """`GREEN 25 % → 50 %`: where the traffic goes next; empty where this phase moves none after it."""
    names = [step.name for step in action.steps]
    if action.phase not in names or not action.to:
        return ""
    now_at = share_words(action.phase)
    shares = (share_words(name) or "100 %" for name in names[names.index(action.phase) + 1 :] if is_shift(name))
    onward = next(shares, "")
    return f"{action.to.upper()} {now_at} → {onward}" if onward and now_at else ""


def _instead(action: Action, word: OrderWord) -> str:
    """What can be done with it: of a hold that no order ends what does; of one that has ended its undo, where there is
    anything left to undo."""
    if word in _OF_THE_MOMENT and action.error is not None and action.error.fix and no_way_on(action):
        return action.error.fix
    return action.undo if action.undo and not action.open else command("action show", action.id or "")
