"""What only the journal knows of a deployment: the action that is open on it, who moved it last, and the way back."""

import contextlib
from datetime import datetime, timedelta

from msgspec.structs import replace

from actions.entry_now import with_ways
from actions.guards import Policy
from actions.ids import now
from actions.journal.config_entry import FindEntry
from actions.journal.journal import Journal
from actions.judging.stages import moves
from actions.kinds import kind_of
from actions.models import Action
from actions.orders.freeze_and_reject import window_freeze
from actions.orphans import judged, orphaned_since, stopped_ways, ways_out, why_alone
from actions.switching.by_mark import back_by_mark
from actions.switching.changes import Change, newest_change, way_back
from actions.switching.left_running import verified_version
from actions.switching.moved_since import found_bad, is_meant, moved_since
from actions.switching.other_journal import OTHER_JOURNAL, newest_is_theirs, other_journal
from actions.switching.rollback_plan import must_be_of_this_switch, other_version
from actions.switching.standing import forward_again, freeze_of
from actions.switching.written_anew import as_the_journal_knows
from actions.targets import Targets
from actions.telling import STOPPED_WORDS, hold_end, over_at, what_it_does
from backends.command_line import command
from backends.errors import BackendError
from backends.models import Deployment, LastSwitch, RollbackOffer, SwitchMark
from backends.ports import SwitchState, read_stamp
from backends.text import first_line, short_id, side_name

OBSERVED_WITHIN = timedelta(seconds=1)
"""So long a look at a switch file and at what runs takes."""


class _Looked:
    """What the switch of a service says, asked for once, and only where somebody needs it."""

    def __init__(self, service: str, targets: Targets) -> None:
        self._service, self._targets = service, targets
        self._state: SwitchState | None = None
        self._asked = False

    async def state(self) -> SwitchState | None:
        """None where it can not be read."""
        if not self._asked:
            self._asked = True
            with contextlib.suppress(BackendError):
                self._state = await (await self._targets.switch(self._service)).adapter.observe()
        return self._state

    async def other_switch(self, journal: Journal, occupied: Action) -> str:
        """Why no runner of this config would take an action back: it drives another switch, in words; or nothing."""
        try:
            await must_be_of_this_switch(journal, occupied, await self._targets.switch(self._service))
        except BackendError as error:
            return f"{error.message}: {error.fix}" if error.kind == "conflict" else ""
        return ""

    async def weights(self, deployment: Deployment) -> dict[str, int]:
        """What a plan would go by: of one that is armed, or whose shares nobody knows, that is not what is shown."""
        shown = {name: side.weight_pct for name, side in deployment.colors.items()}
        if not deployment.armed and None not in shown.values():
            return {name: round(share or 0) for name, share in shown.items()}
        state = await self.state()
        return state.weights if state is not None else {}

    async def edited(self) -> bool:
        """Whether a hand's edit is why nobody can say what is live."""
        state = await self.state()
        return state is not None and bool(state.edited)


async def enriched(
    deployment: Deployment, policy: Policy, journal: Journal, targets: Targets, own: FindEntry
) -> Deployment:
    """`deployment` with it. Raises BackendError where the journal can not be read."""
    context, service = policy.context, deployment.service
    occupied, alone = await _open_action(service, policy, journal, own)
    change = await newest_change(journal, context, service)
    looked, driven_here = _Looked(service, targets), deployment.controller is None
    elsewhere, theirs = "", None
    if occupied is None and deployment.mark is not None:
        weights = await looked.weights(deployment)
        elsewhere, theirs = await _elsewhere(journal, context, deployment, deployment.mark, change, weights)
    offer = theirs
    if not driven_here:
        offer = _of_the_controller(deployment, change)
    elif occupied is not None and kind_of(occupied.kind).forward:
        offer = await _of_the_open(
            deployment, occupied, looked, journal, attended=alone is None and not occupied.stopped_pid
        )
    elif change is not None and theirs is None:
        offer = await _offer(deployment, change, looked, targets)
    told = replace(
        deployment,
        action_about=elsewhere,
        last_switch=_last_switch(change),
        rollback=offer or deployment.rollback,
        freeze=await freeze_of(journal, context, service) or window_freeze(policy, now()),
        verified_version=await verified_version(journal, context, service, deployment.live) if driven_here else None,
    )
    control = deployment.truth.control
    if driven_here and control.value == "unknown" and "\n" in control.detail:
        detail = await _written_anew(control.detail, policy, journal, looked, service)
        told = replace(told, truth=replace(deployment.truth, control=replace(control, detail=detail)))
    if occupied is None:
        return await _with_the_past(told, policy, journal, change)
    return _with_action(told, occupied, alone, policy, journal)


async def _open_action(
    service: str, policy: Policy, journal: Journal, own: FindEntry
) -> tuple[Action | None, datetime | None]:
    """The action that is open on it, and since when nobody runs that."""
    occupied = await journal.open_action(policy.context, service)
    if occupied is not None and orphaned_since(occupied, journal.location) is not None:
        # It may have ended between the look at its row and that at its runner.
        occupied = await journal.open_action(policy.context, service)
    if occupied is None:
        return None, None
    alone = orphaned_since(occupied, journal.location)
    if alone is not None:
        return await with_ways(occupied, journal, own), alone
    return judged(occupied, journal.location, policy.zone), None


def _last_switch(change: Change | None) -> LastSwitch | None:
    if change is None or change.at is None:
        return None
    from_, to = change.moved
    return LastSwitch(at=change.at, by=change.by.partition("@")[0], from_=from_, to=to, action=change.action)


async def _with_the_past(deployment: Deployment, policy: Policy, journal: Journal, change: Change | None) -> Deployment:
    """`deployment` on which nothing is open: what was moved since `change`, the newest, and what is bad of it."""
    context, service, moved, failed = policy.context, deployment.service, "", None
    if deployment.controller is None:  # what a controller does is its own, whoever ordered it
        shares = {color: round(side.weight_pct or 0) for color, side in deployment.colors.items()}
        versions = {color: side.version or "" for color, side in deployment.colors.items()}
        moved = await moved_since(journal, context, service, change, shares, versions)
        failed = None if change is None else await _failed(journal, context, change, deployment)
    bad = await found_bad(journal, context, deployment, policy.zone, moved=bool(moved))
    blocks = bad is not None and bad.level == "block"
    return replace(
        deployment,
        changed_since="; ".join(filter(None, (moved, bad.text if bad and not blocks else ""))) or None,
        rollback_failed=failed,
        rejected=f"live {bad.text}\nwhere that is meant: {bad.fix}" if bad and blocks else None,
    )


def _with_action(
    deployment: Deployment, occupied: Action, alone: datetime | None, policy: Policy, journal: Journal
) -> Deployment:
    """`deployment` with the action that is open on it. `alone`: since when nobody runs that."""
    told = replace(
        deployment,
        action=occupied.id,
        action_about=what_it_does(occupied),
        action_by=occupied.actor.person if occupied.actor else "",
        orphaned_since=alone,
        action_stopped=STOPPED_WORDS if occupied.stopped_pid else "",
        ways_out=_ways_out(occupied) if alone is not None or occupied.stopped_pid else "",
    )
    if alone is not None:
        return replace(told, orphaned_why=why_alone(occupied, journal.location))
    told = replace(
        told,
        action_until=over_at(occupied),
        action_then=hold_end(occupied, policy.zone),
        action_held=first_line(occupied.hold.why) if occupied.hold else "",
    )
    if not _is_writing(occupied, deployment):
        return told
    # Between two contents, and soon at one of them.
    control = deployment.truth.control
    value = "mixed" if control.value == "unknown" else control.value
    control = replace(control, value=value, detail="it is being written by the open action")
    live = "mixed" if deployment.live == "unknown" else deployment.live
    return replace(told, truth=replace(deployment.truth, control=control), live=live, armed="")


def _is_writing(occupied: Action, deployment: Deployment) -> bool:
    """Whether what waits for its reload was seen in the midst of a write of that action, which a runner is at: it ends
    with that write."""
    mark, seen_at = deployment.mark, deployment.truth.control.at
    if not deployment.armed or mark is None or read_stamp(mark.stamp).action != occupied.id:
        return False
    if occupied.status not in ("running", "rolling_back") or occupied.hold is not None or occupied.stopped_pid:
        return False
    begun = seen_at - OBSERVED_WITHIN if seen_at is not None else now()
    return any(
        moves(step.name) and (step.status == "running" or (step.ended_at is not None and begun <= step.ended_at))
        for step in occupied.steps
    )


def _ways_out(occupied: Action) -> str:
    return stopped_ways(occupied) if occupied.stopped_pid else ways_out(occupied)


async def _written_anew(said: str, policy: Policy, journal: Journal, looked: _Looked, service: str) -> str:
    """What is `said` of a control object that nobody can read, with the command for the side that the journal knows."""
    state = await looked.state()
    if state is None or not state.anew:
        return said
    known = await as_the_journal_knows(state, journal, policy.context, service)
    return known.detail if known != state else said


async def _failed(journal: Journal, context: str, change: Change, deployment: Deployment) -> str | None:
    """That the newest change is a way back that failed, and how it is tried again; None where it is not."""
    service = deployment.service
    if change.status != "rollback_failed" or await is_meant(journal, context, service, change, deployment.live):
        return None
    text = f"the rollback of {short_id(change.action)} failed: {first_line(change.error)}".removesuffix(": ")
    home = change.moved[1]
    side = deployment.colors.get(home)
    again = f"again, once {home.upper()} is healthy" if side and side.healthy is False else "again"
    text = f"{text}\n{again}: {command('deploy rollback', service)}"
    others = [color for color, other in deployment.colors.items() if color != home and other.healthy]
    if deployment.live != home or not others:
        return text
    # The traffic is there, and to go there again changes nothing: where it fails its users, the way out is the other.
    version = deployment.colors[others[0]].version or ""
    past = await forward_again(journal, context, service, others[0], version, "rollback-failed")
    out = command("deploy flip", service, to=others[0].upper(), flags=past)
    return f"{text}\nwhere {home.upper()} fails its users: {out}"


def _of_the_controller(deployment: Deployment, change: Change | None) -> RollbackOffer | None:
    """What it offers itself, unless our newest change was the way back to what is stable."""
    offer, view = deployment.rollback, deployment.controller
    stable = view.stable.words if view is not None and view.stable is not None else ""
    if offer is None or offer.instant or change is None or not change.back or change.moved[1] != stable:
        return offer
    return RollbackOffer(to=None, ready=False, reason=f"back already: {change.kind} {change.action} went back")


async def _elsewhere(
    journal: Journal, context: str, deployment: Deployment, mark: SwitchMark, change: Change | None,
    weights: dict[str, int],
) -> tuple[str, RollbackOffer | None]:  # fmt: skip
    """That an action of another journal may be at work on this switch, in words, and the way back by its mark where the
    newest change is one of those, also of an action that has ended; nothing where it is not."""
    state = SwitchState(
        weights=weights, revision="", stamp=mark.stamp, journal=mark.journal, wrote=mark.wrote, ended=mark.ended,
        odd_mark=mark.odd, armed=deployment.armed,
    )  # fmt: skip
    told = next((each.text for each in await other_journal(journal, context, state) if each.code == OTHER_JOURNAL), "")
    if not await newest_is_theirs(journal, context, state, change):
        return told, None
    back = back_by_mark(state, tuple(deployment.colors))
    unsaid = RollbackOffer(to=None, ready=False, reason=back.why)
    return told, _ready(deployment, back.to) if back.to else unsaid


async def _of_the_open(
    deployment: Deployment, occupied: Action, looked: _Looked, journal: Journal, *, attended: bool
) -> RollbackOffer:
    """`attended`: whether a runner is at it, which knows its switch; a new one may drive another."""
    other = "" if attended else await looked.other_switch(journal, occupied)
    if other:
        return RollbackOffer(to=None, ready=False, reason=other)
    if occupied.from_ == "mixed":
        return RollbackOffer(
            to=None, ready=False, reason=f"{short_id(occupied.id or '')} came from a split, and goes back to it"
        )
    if deployment.live == occupied.from_ and not deployment.armed:
        side, mine = side_name(occupied.from_), short_id(occupied.id or "")
        return RollbackOffer(to=None, ready=False, reason=f"{side} has all traffic: a rollback only ends {mine}")
    if deployment.live == "unknown" and not (deployment.armed or await looked.edited()):
        return RollbackOffer(to=occupied.from_, ready=False, reason="what is live is unknown")
    return _ready(deployment, occupied.from_)


async def _offer(deployment: Deployment, change: Change, looked: _Looked, targets: Targets) -> RollbackOffer:
    way = way_back(change, await looked.weights(deployment), tuple(deployment.colors))
    if way.word == "unknown" and way.to and await looked.edited():
        return _ready(deployment, way.to, left=change.versions.get(way.to, ""))  # it is written over
    if way.word == "unknown":
        return RollbackOffer(to=way.to or None, ready=False, reason="what is live is unknown")
    if way.word != "back":
        return RollbackOffer(to=None, ready=False, reason=way.text)
    offer = _ready(deployment, way.to, left=change.versions.get(way.to, ""))
    return offer if change.back else replace(offer, until=await _way_back_until(change, deployment.service, targets))


async def _way_back_until(change: Change, service: str, targets: Targets) -> datetime | None:
    if change.at is None:
        return None
    with contextlib.suppress(BackendError):  # then no end of it is known
        target = await targets.switch(service)
        return change.at + timedelta(seconds=target.settings.rollback_window)
    return None


def _ready(deployment: Deployment, to: str, *, left: str = "") -> RollbackOffer:
    """`left` is the version that was left there; empty where that is not known."""
    side = deployment.colors.get(to)
    if side is None:
        return RollbackOffer(to=to, ready=False, reason=f"no color {to}")
    if deployment.stuck:
        return RollbackOffer(to=to, ready=False, reason=deployment.stuck)
    if side.healthy and (reason := other_version(to, left, side.version or "")):
        return RollbackOffer(to=to, ready=False, reason=reason)
    unknown = f"it does not say its version, {left} was left there" if left and not side.version else ""
    ready = bool(side.healthy)
    return RollbackOffer(to=to, ready=ready, instant=ready, reason=unknown if ready else side.detail)
