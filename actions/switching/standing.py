"""What stands against an open action that goes forward: a freeze of its service, or the rejection of its version, where
nobody has agreed to go on in spite of it."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo

from actions.expected import SwitchExpected
from actions.ids import now, time_of
from actions.journal.journal import Journal
from actions.journal.rows import StoredEvent
from actions.journal.steering import ONWARD
from actions.kinds import kind_of
from actions.models import Finding, Plan
from actions.switching.rejections import Candidate, rejection_of
from backends.command_line import command
from backends.models import Freeze
from backends.times import local_words

FREEZE = "freeze"
LOOKED_THROUGH = 100  # records of one service, the newest first


async def standing_since(plan: Plan, journal: Journal, zone: tzinfo, agreed_at: datetime) -> list[Finding]:
    """What was recorded after `agreed_at` against going on with an action of `plan`; nothing against a way back. What
    is older was agreed to, or overridden, with it. Raises BackendError."""
    kind, found = kind_of(plan.kind), list[Finding]()
    if kind.held_back and (frozen := await freeze_of(journal, plan.context, plan.service, after=agreed_at)) is not None:
        found.append(frozen_finding(plan.service, frozen, zone))
    if kind.gains and isinstance(plan.expected, SwitchExpected):
        rejected = await rejection_of(journal, plan.context, plan.service, candidate(plan), zone, after=agreed_at)
        found += [rejected] if rejected is not None and rejected.level == "block" else []
    return found


def agreed_at(begun_at: datetime, history: Iterable[StoredEvent]) -> datetime:
    """When a person has last agreed that it goes forward: with its plan, or by an order to go on; the gate has let that
    through only past what stood then."""
    orders = (line.event.data for line in history if line.event.kind == "order")
    given = (time_of(data["at"]) for data in orders if data.get("word") in ONWARD and data.get("at"))
    return max((at for at in given), default=begun_at)


def frozen_finding(service: str, frozen: Freeze, zone: tzinfo) -> Finding:
    """A freeze, as what speaks against a plan."""
    until = f" until {local_words(frozen.until, zone)}" if frozen.until else ""
    text = f"{service} is frozen by {frozen.by}{until}" + (f": {frozen.reason}" if frozen.reason else "")
    return Finding(level="block", code=FREEZE, text=text, fix=command("deploy unfreeze", service), overridable=True)


def candidate(plan: Plan) -> Candidate:
    """What gets traffic by `plan`."""
    versions = plan.expecting(SwitchExpected).versions
    version = plan.request.version or versions.get(plan.to, "")
    return Candidate(
        color=plan.to, version=version, production=versions.get(plan.from_, ""), released=bool(plan.request.version)
    )


async def forward_again(journal: Journal, context: str, service: str, color: str, version: str, *past: str) -> str:
    """The flags without which `deploy flip --to COLOR` is refused: the overrides `past`, those of a freeze and of what
    was found bad of `version`, and the place of a reason; empty where nothing is against it. Raises BackendError."""
    serving = Candidate(color=color, version=version)
    rejected = await rejection_of(journal, context, service, serving, UTC)
    codes = [*past, *([rejected.code] if rejected is not None and rejected.level == "block" else [])]
    codes += [FREEZE] if await freeze_of(journal, context, service) is not None else []
    return " ".join([*(f"--override {code}" for code in dict.fromkeys(codes)), "--reason WHY"]) if codes else ""


async def freeze_of(journal: Journal, context: str, service: str, *, after: datetime | None = None) -> Freeze | None:
    """Of the freezes of a service that hold now, of those begun `after` that, the one that holds longest; None where
    there is none."""
    holding = list[Freeze]()
    for action in await journal.of_service(context, service, ("freeze", "unfreeze"), limit=LOOKED_THROUGH):
        if action.kind == "unfreeze" or action.started_at is None:
            break
        until = None if action.for_s is None else action.started_at + timedelta(seconds=action.for_s)
        if (until is None or until > now()) and (after is None or action.started_at > after):
            freeze = Freeze(by=str(action.actor or ""), since=action.started_at, until=until, reason=action.reason)
            holding.append(freeze)
    return max(holding, key=_end, default=None)


def _end(freeze: Freeze) -> datetime:
    return freeze.until or datetime.max.replace(tzinfo=UTC)
