"""Whether the entry that something was planned with is still the one that its runner will go by.

A console is open for days, and a runner reads the config when it starts: what was planned with an entry that was edited
since is begun by nobody.
"""

from msgspec.structs import replace

from actions.described import Described, KeptEntry
from actions.journal.config_entry import FindEntry, same_entry
from actions.journal.journal import Journal
from actions.kinds import kind_of
from actions.models import Action, Finding, Plan
from backends.errors import BackendError

EDITED = "entry-edited"


async def with_entry_now(plan: Plan, own: FindEntry) -> Plan:
    """`plan`, forbidden where its entry was edited since it was read here; the way back goes all the same."""
    if plan.already or not plan.target.port or kind_of(plan.kind).back:
        return plan
    words = f"the entry of {plan.service} was edited since this config was read here: no runner would begin"
    try:
        if same_entry(plan.target, await own(plan.target)):
            return plan
    except BackendError as error:
        words = f"{words} ({error.message})"
    fix = "open the console anew (or run the command in a shell), and plan anew"
    return replace(plan, findings=(*plan.findings, Finding.block(EDITED, words, fix)))


def always(entry: Described) -> FindEntry:
    """`FindEntry` of who has it."""

    async def own(_: KeptEntry) -> Described:
        return entry

    return own


async def with_ways(action: Action, journal: Journal, own: FindEntry) -> Action:
    """`action`, which nobody runs, with why no new runner would go on with it forward."""
    if action.id is None or kind_of(action.kind).back:
        return action
    words = "its entry in the config is not the one that it was agreed to with"
    try:
        agreed = (await journal.plan(action.id)).target
        if not agreed.port or same_entry(agreed, await own(agreed)):
            return action
    except BackendError as error:
        if error.kind not in ("not_found", "config", "conflict"):
            return action  # nobody can say
        words = error.message
    return replace(action, no_way_on=words)
