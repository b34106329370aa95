"""What only the journal knows of a deployment: the action that is open on it, who moved it last, and the way back."""

import contextlib
from datetime import datetime, timedelta

from msgspec.structs import replace

from actions.guards import Policy
from actions.ids import now
from actions.journal import Journal
from actions.living import verified_version
from actions.models import MOVES_FORWARD, MOVES_TRAFFIC, Action
from actions.orphans import orphaned_since
from actions.standing import freeze_of, window_freeze
from actions.targets import Targets
from backends.errors import BackendError
from backends.models import Deployment, LastSwitch, RollbackOffer


async def enriched(deployment: Deployment, policy: Policy, journal: Journal, targets: Targets) -> Deployment:
    """`deployment` with it. Raises BackendError where the journal can not be read."""
    context, service = policy.context, deployment.service
    occupied = await journal.open_action(context, service)
    moved = await journal.last_switch(context, service, tuple(MOVES_TRAFFIC))
    flip = await journal.last_switch(context, service)
    last = None
    if moved is not None and moved[0].started_at is not None:
        by = moved[0].actor.login if moved[0].actor else ""
        at = moved[0].ended_at or moved[0].started_at
        last = LastSwitch(at=at, by=by, from_=moved[0].from_, to=moved[0].to, action=moved[0].id)
    offer = None
    if occupied is not None and occupied.kind in MOVES_FORWARD:
        offer = _offer(deployment, occupied.from_, None)
    elif flip is not None and flip[1] is None and deployment.live != flip[0].from_:
        offer = _offer(deployment, flip[0].from_, await _way_back_until(flip[0], targets))
    frozen = await freeze_of(journal, context, service) or window_freeze(policy, now())
    return replace(
        deployment,
        action=occupied.id if occupied else None,
        orphaned_since=orphaned_since(occupied, journal.location) if occupied else None,
        last_switch=last,
        rollback=offer or deployment.rollback,
        freeze=frozen,
        verified_version=await verified_version(journal, context, service, deployment.live),
    )


async def _way_back_until(flip: Action, targets: Targets) -> datetime | None:
    if flip.ended_at is None:
        return None
    with contextlib.suppress(BackendError):
        target = await targets.switch(flip.service)
        return flip.ended_at + timedelta(seconds=target.settings.rollback_window)
    return None


def _offer(deployment: Deployment, to: str, until: datetime | None) -> RollbackOffer:
    side = deployment.colors.get(to)
    ready = bool(side and side.healthy)
    reason = "" if ready else (side.detail if side else f"no color {to}")
    return RollbackOffer(to=to, ready=ready, instant=ready, until=until, reason=reason)
