"""What the past of a service still does to it: commands that live on, and a live version that nobody verified."""

import asyncio

from msgspec.structs import replace

from actions.guards import Policy
from actions.journal.command_events import LeftoverCommand, left_in, unreadable_in
from actions.journal.errors import JournalError
from actions.journal.journal import Journal
from actions.kinds import kind_of
from actions.models import Action, Finding, Plan
from actions.orphans import is_frozen, orphaned_since
from actions.switching.commands import lives
from actions.targets import SwitchTarget
from backends.command_line import command as command_line
from backends.errors import BackendError
from backends.processes import fate, is_vouched

RUNNING, UNREADABLE, UNVERIFIED = "command-running", "command-unreadable", "unverified-version"
MEND = "see that no such command runs, then restore the journal or delete that event"


async def with_living(plan: Plan, policy: Policy, journal: Journal, target: SwitchTarget) -> Plan:
    """`plan` with it. A command forbids what goes forward on its service; a way back is only told, and ends it."""
    if plan.already:
        return plan
    forward = kind_of(plan.kind).held_back
    attended = await _attended(journal, policy.context, plan.service)
    found = [
        _under_way(left, plan.service, blocks=forward) if left.command.mark in attended
        else await _running(left, blocks=forward)
        for left in await living(journal, policy.context, plan.service)
    ]  # fmt: skip
    if forward and (unreadable := unreadable_in(await journal.commands_of(policy.context, plan.service))):
        found.append(Finding(level="block", code=UNREADABLE, text=unreadable, fix=MEND))
    if forward:  # the side that a way back leaves may be what hangs: it is not asked for its version
        found += await _unverified(plan, policy, journal, target)
    return replace(plan, findings=(*plan.findings, *found)) if found else plan


async def with_its_commands(plan: Plan, journal: Journal, action: Action) -> Plan:
    """The plan of an order to `action`, with the commands of it that a dead runner has left."""
    try:
        left = left_in(await journal.history(action.id or ""))
    except JournalError as error:
        if error.kind != "malformed" or plan.request.order != "abandon":
            raise
        text = "its history makes no sense: whether a command of it still runs is not known"
        unknown = Finding(level="warning", code="history-odd", text=text, fix=error.message)
        return replace(plan, findings=(*plan.findings, unknown))
    found = [await _running(one, blocks=False) for one in left if await asyncio.to_thread(lives, one.command)]
    return replace(plan, findings=(*plan.findings, *found)) if found else plan


async def living(journal: Journal, context: str, service: str) -> list[LeftoverCommand]:
    """The commands of any action on a service that run, or may."""
    left = left_in(await journal.commands_of(context, service))
    return [one for one in left if await asyncio.to_thread(lives, one.command)]


async def verified_version(journal: Journal, context: str, service: str, live: str) -> str | None:
    """The version that was proven on `live` when it took the traffic that it has; None where that is not known."""
    verified = await journal.verified(context, service)
    side = {} if verified is None else verified.get("side", {})
    return side.get("version") if side.get("color") == live else None


async def _unverified(plan: Plan, policy: Policy, journal: Journal, target: SwitchTarget) -> list[Finding]:
    verified = await verified_version(journal, policy.context, plan.service, plan.from_)
    if verified is None:
        return []
    try:
        runs = (await target.adapter.color_health(plan.from_)).version
    except BackendError:
        return []
    if runs is None or runs == verified:
        return []
    text = f"{plan.from_.upper()} runs {runs}, and {verified} was verified there: somebody changed it since"
    return [Finding(level="warning", code=UNVERIFIED, text=text, fix="find out who deployed it")]


async def _attended(journal: Journal, context: str, service: str) -> set[str]:
    """The marks of the commands of an open action that somebody runs: its runner ends them."""
    opened = await journal.open_action(context, service)
    if opened is None or orphaned_since(opened, journal.location) is not None or is_frozen(opened):
        return set()
    return {left.command.mark for left in left_in(await journal.history(opened.id or ""))}


def _under_way(left: LeftoverCommand, service: str, *, blocks: bool) -> Finding:
    text = f"the {left.step} command of the open action runs: {left.command}"
    fix = f"wait for it; or {command_line('deploy rollback', service)} ends it"
    return Finding(level="block" if blocks else "warning", code=RUNNING, text=text, fix=fix)


async def _running(left: LeftoverCommand, *, blocks: bool) -> Finding:
    command = left.command
    here = await asyncio.to_thread(fate, command) == "here"
    text = f"a {left.step} command still runs: {command}"
    fix = f"end it on {command.host}, or wait"
    if here and await asyncio.to_thread(is_vouched, command):
        fix = f"end it: kill -- -{command.pid}, on {command.host}"
    elif here:
        text += f"; process {command.pid} does not carry its mark, so it is not ended from here"
        fix = f"see what it is (ps -fp {command.pid}, on {command.host}): the journal may name another's; else wait"
    return Finding(level="block" if blocks else "warning", code=RUNNING, text=text, fix=fix)
