"""An open action that nobody runs: how that is known, since when, what to do, and telling it, once.

On the host of its runner a free lock file proves that the runner is gone; elsewhere a lease that is over does. One
without an owner is being started, for a moment.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from msgspec.structs import replace

from actions.described import Described
from actions.ids import now
from actions.journal.audit import AuditEntry
from actions.journal.journal import Journal
from actions.journal.lease import LeaseTimes, is_held, last_words, owner_file
from actions.journal.location import JournalLocation
from actions.journal.steering import possible_orders
from actions.kinds import kind_of
from actions.models import Action, Actor, Finding
from actions.notices import Notices
from actions.targets import Build
from actions.telling import STOPPED_WORDS, phase_words
from actions.who import host_name
from backends.command_line import command
from backends.processes import is_stopped
from backends.times import local_words

STARTS_WITHIN_S = 5.0
"""A runner of this host locks the file of its action as soon as it lives; until then it is only being started."""
STARTS_ELSEWHERE_S = 15.0
TOLD_AFTER_S = 15.0
TOLD, CODE, STOPPED = "orphan-told", "orphaned", "stopped"
_TOLD_BY_ITS_RUNNER = frozenset({"conflict", "in_doubt"})


def orphaned_since(action: Action, location: JournalLocation) -> datetime | None:
    """The last sign of whoever ran `action`, where nobody runs it any more though it is open; else None."""
    if not action.open or action.id is None or action.started_at is None:
        return None
    owner = action.owner
    if owner is None:
        return _known_since(action) if _apart(action.started_at) > _may_start_for(action, location) else None
    if owner.lease_over or (owner.host == host_name() and owner.lock != "" and not is_held(Path(owner.lock))):
        return _known_since(action)
    return None


def _known_since(action: Action) -> datetime | None:
    return min(now(), max([at for at in (action.started_at, *_signs(action)) if at is not None], default=now()))


def _apart(at: datetime) -> timedelta:
    """How far `at` is from now, before or after: a time that lies ahead was taken before a clock was set back."""
    return abs(now() - at)


def is_frozen(action: Action) -> bool:
    """Whether its runner is a process of this host that is stopped (Ctrl-Z, SIGSTOP), and its lease is not over yet."""
    owner = action.owner
    here = owner is not None and not owner.lease_over and owner.host == host_name()
    return action.open and here and owner is not None and is_stopped(owner.pid)


def frozen_words(action: Action) -> str:
    """What is done about one: a runner that goes on in time obeys; one that is late gives up, and obeys nothing."""
    pid = action.owner.pid if action.owner is not None else 0
    late = f"later than {LeaseTimes().self_fence_s:g} s after it was stopped it gives up, and nobody runs it"
    return f"{STOPPED_WORDS} (kill -CONT {pid} or kill -9 {pid}, here); {late}: then {ways_out(action)}"


def stopped_ways(action: Action) -> str:
    """The commands that go on with one whose runner is stopped, or end it."""
    return ", or ".join([f"kill -CONT {action.stopped_pid} or kill -9 {action.stopped_pid}, here", *_way_back(action)])


def since_words(since: datetime, zone: tzinfo, why: str = "") -> str:
    """`nobody runs it since 12:03 CET`, with the date where that was not today, and `why` its runner ended."""
    return f"nobody runs it since {local_words(since, zone)}" + (f" ({why})" if why else "")


def held_by(action: Action, location: JournalLocation, zone: tzinfo, word: str) -> tuple[str, str]:
    """Who holds a service, with what, since when, and where nobody runs it, that; and what to do: of one that goes on
    `teal action WORD`, or the way back of one that moves traffic."""
    who = str(action.actor) if action.actor else "somebody"
    begun = local_words(action.started_at, zone) if action.started_at else "?"
    phase = phase_words(action.phase) or action.status.replace("_", " ")
    words = f"{action.kind} {action.id} of {who} is open on {action.service} since {begun}, {phase}"
    since = orphaned_since(action, location)
    if since is None:
        return words, ", or ".join([command(f"action {word}", action.id or ""), *_way_back(action)])
    return f"{words}; {since_words(since, zone, why_alone(action, location))}", ways_out(action)


def orphan_words(action: Action, zone: tzinfo) -> str:
    """Since when nobody runs an action, and why, as it was `judged`; empty where somebody does."""
    told = next((finding.text for finding in action.findings if finding.code == CODE), "")
    return told or (since_words(action.orphaned_since, zone) if action.orphaned_since is not None else "")


def why_alone(action: Action, location: JournalLocation) -> str:
    """Why nobody runs it (`why_orphaned`), and why no new runner would go on with it."""
    return "; ".join(filter(None, (why_orphaned(action, location), action.no_way_on)))


def why_orphaned(action: Action, location: JournalLocation) -> str:
    """Why its last runner of this host ended before it, or before it owned it, in its own words; where it left none,
    that there is no room for them, or nothing: it was killed."""
    room = location.room()
    full = room.words if room is not None and room.health == "critical" else ""
    owner = action.owner
    if owner is None:
        return last_words(owner_file(location.directory, str(action.id))) or full
    if owner.host != host_name() or not owner.lock:
        return full
    return last_words(Path(owner.lock)) or full


def judged(action: Action, location: JournalLocation, zone: tzinfo) -> Action:
    """What a reader must know of it beyond its rows: that nobody runs it, since when, or that its runner is stopped,
    and what to do."""
    since = orphaned_since(action, location)
    if since is None and is_frozen(action) and action.owner is not None:
        pid = action.owner.pid
        stopped = Finding(
            level="warning", code=STOPPED, text=STOPPED_WORDS, fix=stopped_ways(replace(action, stopped_pid=pid))
        )
        return replace(action, stopped_pid=pid, findings=(stopped, *action.findings))
    if since is None:
        return action
    words = since_words(since, zone, why_alone(action, location))
    finding = Finding(level="warning", code=CODE, text=words, fix=ways_out(action))
    return replace(action, orphaned_since=since, findings=(finding, *action.findings))


def ways_out(action: Action) -> str:
    """The commands that will be taken and go on with it or end it; else the one that shows what came of it."""
    possible = possible_orders(action, orphaned=True)
    stuck = action.status == "conflict" and kind_of(action.kind).forward  # to look again finds the same
    ways = [] if possible["resume"] or stuck else [command("action resume", action.id or "")]
    ways += _way_back(action)
    if stuck:
        ways.append(command("action abandon", action.id or "", reason="WHY"))
    return ", or ".join(ways) or command("action show", action.id or "")


def _way_back(action: Action) -> list[str]:
    """The command of the way back, where there is one."""
    return [command("deploy rollback", action.service)] if kind_of(action.kind).moves else []


async def tell(
    journal: Journal,
    actions: Iterable[Action],
    context: str,
    notify: Sequence[Described],
    build: Build,
    *,
    actor: Actor,
    zone: tzinfo,
) -> None:
    """Tell those of `notify` that nobody runs `actions` of a context, unless somebody has. Who tells claims it in the
    journal first. Raises BackendError where that can not be written."""
    for action in actions:
        if action.id is None or not _is_news(action) or not notify:
            continue
        words = f"{orphan_words(action, zone)}: {ways_out(action)}"
        entry = AuditEntry(
            kind="note", context=context, action=action.id, order=action.kind, target=action.service, actor=actor,
            result="orphaned", detail=words,
        )  # fmt: skip
        if await journal.claim(action.id, TOLD, lambda seen: _is_orphan(seen, journal.location), audit=[entry]):
            async with Notices(journal, context, notify, build) as notices:
                notices.held(action, words)


def died_unsaid(action: Action) -> bool:
    """Whether nobody runs it, and its last runner did not end because a person must look, or was told to."""
    told = action.status in _TOLD_BY_ITS_RUNNER or (action.error is not None and action.error.kind == "parked")
    return action.open and action.orphaned_since is not None and not told


def _is_news(action: Action) -> bool:
    """Whether its runner may have died without a word, and is not just being followed by another."""
    if not died_unsaid(action):
        return False
    began = action.started_at or now()
    return action.owner is not None or _apart(began) > timedelta(seconds=TOLD_AFTER_S)


def _is_orphan(action: Action, location: JournalLocation) -> bool:
    return orphaned_since(action, location) is not None


def _may_start_for(action: Action, location: JournalLocation) -> timedelta:
    own = owner_file(location.directory, str(action.id))
    # By a server's journal, another user of this host keeps such files in a directory of their own.
    known = location.path is not None or own.exists()
    here = known and action.actor is not None and action.actor.host == host_name()
    if here and is_held(own):
        return timedelta.max
    return timedelta(seconds=STARTS_WITHIN_S if here else STARTS_ELSEWHERE_S)


def _signs(action: Action) -> list[datetime]:
    owner = action.owner
    known = [at for step in action.steps for at in (step.started_at, step.ended_at) if at is not None]
    if owner is not None and (seen := owner.seen_at or (owner.lease_expires_at if owner.lease_over else None)):
        known.append(seen)
    return known
