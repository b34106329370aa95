"""What an open action wants of a person: how bad that is, why, and the commands that are the ways out."""

from datetime import tzinfo

from actions.journal.steering import HELD_BACK, no_way_on, possible_orders
from actions.kinds import kind_of
from actions.models import Action
from actions.orphans import frozen_words, is_frozen, orphan_words, ways_out
from actions.outcome import EXIT_PAGE_SOMEONE, exit_code
from actions.telling import pause_words, title
from backends.command_line import command
from backends.models import Health
from backends.text import first_line
from backends.times import local_words


def waits(action: Action, zone: tzinfo) -> tuple[Health, str]:
    """How bad it is, and in words; `ok` and nothing where it goes on by itself. `action` was judged by
    `actions.orphans`."""
    state, words = _why(action, zone)
    return state, f"{title(action)} {words}" if words else ""


def _why(action: Action, zone: tzinfo) -> tuple[Health, str]:
    status = action.status.replace("_", " ")
    if action.orphaned_since is not None:
        return "critical", f"{status}, {orphan_words(action, zone)}: {ways_out(action)}"
    if is_frozen(action):
        return "critical", f"{status}: {frozen_words(action)}"
    if not action.open or (action.status in ("planned", "running") and action.hold is None):
        return "ok", ""
    pages = exit_code(action) == EXIT_PAGE_SOMEONE or action.status == "conflict"
    return "critical" if pages else "warning", f"{_stands(action, status, zone)}: {_ways(action)}"


def _stands(action: Action, status: str, zone: tzinfo) -> str:
    if action.hold is not None:
        until = f" until {local_words(action.hold.until, zone)}" if action.hold.until is not None else ""
        return f"held{until} ({first_line(action.hold.why)})"
    if said := pause_words(action, zone):
        return said
    return f"{status} ({first_line(action.error.message)})" if action.error is not None else status


def _ways(action: Action) -> str:
    if action.error is not None and action.error.fix and no_way_on(action):
        return action.error.fix
    if action.error is not None and action.error.kind == HELD_BACK:
        return action.error.fix
    possible, ref = possible_orders(action, orphaned=False), action.id or ""
    ways = [command("action accept", ref, reason="WHY")] if not possible["accept"] else []
    if not possible["resume"] and (action.hold is None or action.paused is not None):  # else nobody paused it
        ways.append(command("action resume", ref))
    if not possible["rollback"] and kind_of(action.kind).moves:
        ways.append(command("deploy rollback", action.service))
    elif not possible["abort"]:
        ways.append(command("action abort", ref))
    if action.status in ("conflict", "in_doubt") and not possible["abandon"]:
        ways.append(command("action abandon", ref, reason="WHY"))
    return ", or ".join(ways) or command("action watch", ref)
