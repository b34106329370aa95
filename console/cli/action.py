"""`teal action`: what was ordered, by whom, and how far it is."""

import asyncio
from collections.abc import AsyncIterator

import click

from actions.ids import now
from actions.journal.errors import JournalError
from actions.models import Action, OrderWord, Request
from actions.outcome import exit_code
from actions.telling import pause_words, step_status, title
from backends.models import worst
from console.cli.options import Common, Writing, common_options, writing_options
from console.cli.reading import chosen, read
from console.cli.showing import Answer
from console.cli.showing import show as show_answer
from console.cli.whole_help import WholeCommand, WholeHelp
from console.cli.writing import act, action_health, action_lines
from console.errors import EXIT_NOT_FOUND, CommandError
from console.loop import run as run_loop
from console.printing.gate_lines import gate_line
from console.printing.output import document, print_lines
from console.printing.tables import View, item_table
from console.session import Session, opened
from console.streams import say, tell
from panels.words import UNICODE, clock, dated


@click.group(cls=WholeHelp)
def action() -> None:
    """Actions."""


@action.command("list")
@common_options()
@click.option("--open", "open_only", is_flag=True, help="Show only those that have not ended.")
def list_(common: Common, open_only: bool) -> int:
    """Actions of this context, newest first."""

    async def answer(session: Session) -> Answer:
        actions = await session.actions(open_only=open_only, limit=500)
        limit = 50 if common.limit is None else common.limit
        health = worst(["ok", *(action_health(found) for found in actions if found.open)])
        found = document("action.list", actions, context=session.context.name, limit=limit, health=health)
        return Answer(found, lambda: item_table(Action, found.items, View.at_now(session.context.zone)))

    return read(common, (), answer)


@action.command()
@common_options()
@click.argument("action_id", metavar="[ID]", required=False)
def show(common: Common, action_id: str | None) -> int:
    """One action with its steps; without ID the open one. ID may be its beginning, or its last six characters as
    screens show them."""

    async def answer(session: Session) -> Answer:
        found = await session.orders.action(action_id or (await _only_open(session)).id or "")
        shown = document("action", [found], context=session.context.name, health=action_health(found))
        return Answer(shown, lambda: _lines(session, found))

    return read(common, (), answer)


@action.command()
@common_options()
@click.argument("action_id", metavar="[ID]", required=False)
def watch(common: Common, action_id: str | None) -> int:
    """Follow an action to its end; without ID the open one. Exit 8 at --timeout."""
    return run_loop(_watch(common, action_id))


_ORDERS: dict[OrderWord, str] = {
    "pause": "Stop an action at its next safe point; judging goes on.",
    "resume": "Go on with an action that is paused, or that nobody runs.",
    "promote": "End the wait of the present stage now; its gates still judge.",
    "accept": "Let a held stage pass without the evidence that is missing.",
    "abort": "End an action: traffic that has moved goes back.",
    "rollback": "Take an action back, in one step.",
    "takeover": "Start a new runner for an action that nobody runs.",
    "abandon": "Close an action as it is; no traffic moves.",
}


def _order_command(word: OrderWord, words: str) -> click.Command:
    @common_options()
    @writing_options
    @click.argument("action_id", metavar="ID")
    def order(common: Common, writing: Writing, action_id: str) -> int:
        async def request(session: Session) -> Request:
            try:
                found = await session.orders.action(action_id)
            except JournalError as error:
                if word in ("rollback", "abort"):
                    error.fix = "`teal deploy rollback SERVICE -y` does it without the journal"
                raise
            return Request(kind=found.kind, service=found.service, ref=found.id or "", order=word)

        return act(common, writing, request, panels=())

    order.__doc__ = words
    return click.command(word, cls=WholeCommand)(order)


for _word, _words in _ORDERS.items():
    action.add_command(_order_command(_word, _words))


async def _watch(common: Common, action_id: str | None) -> int:
    async with opened(Session(chosen(common), panels=())) as session:
        found = await session.orders.action(action_id) if action_id else await _only_open(session)
        said: set[str] = set()
        try:
            async with asyncio.timeout(common.timeout_s):
                async for frame in _frames(session, found):
                    found = frame
                    _say_frame(common, session, found, said)
        except TimeoutError:
            say(f"teal: {found.id} is still open: not watched any longer (--timeout)")
        if common.output != "jsonl":
            ended = document("action", [found], context=session.context.name, health=action_health(found))
            show_answer(common, Answer(ended, lambda: action_lines(found)))
        return exit_code(found)


def _say_frame(common: Common, session: Session, found: Action, said: set[str]) -> None:
    if common.output == "table":
        # Of one that has ended all is new at once: its steps say in which order it went.
        for say_new in (_say_new_samples, _say_new_steps) if found.open else (_say_new_steps, _say_new_samples):
            say_new(session, found, said)
    elif common.output == "jsonl":
        print_lines([found])


async def _frames(session: Session, found: Action) -> AsyncIterator[Action]:
    if found.id is None or not found.open:
        yield found
        return
    async for seen in session.watch(found.id):
        yield seen


async def _only_open(session: Session) -> Action:
    actions = await session.actions(open_only=True)
    if len(actions) == 1:
        return actions[0]
    if not actions:
        raise CommandError(EXIT_NOT_FOUND, "not_found", "no open action", fix="`teal action list`")
    names = ", ".join(f"{found.id} ({title(found)})" for found in actions)
    raise CommandError(EXIT_NOT_FOUND, "ambiguous", f"{len(actions)} open actions", fix=f"name one: {names}")


def _say_new_steps(session: Session, found: Action, said: set[str]) -> None:
    """One line for each step that begins or ends, and for each time that the action stands still."""
    standing = found.error.message if found.error and found.open else found.status
    if found.open and found.status not in ("planned", "running") and standing not in said:
        said.add(standing)
        why = f"{found.status}: {standing}" if standing != found.status else found.status
        tell(f"{clock(now(), session.context.zone)} {UNICODE.warning} {why}")
    for step in found.steps:
        mark = f"{step.name} {step.status}"
        if step.status != "pending" and mark not in said:
            said.add(mark)
            at = clock(step.ended_at or step.started_at, session.context.zone)
            status = step_status(found, step)
            tell(f"{at} {UNICODE.of(status)} {step.name:10} {status:10} {step.detail}".rstrip())


def _say_new_samples(session: Session, found: Action, said: set[str]) -> None:
    for gate in found.gates:
        mark = f"{gate.name} {gate.at}"
        if gate.at is not None and mark not in said:
            said.add(mark)
            tell(f"{clock(gate.at, session.context.zone)}   {gate_line(gate)}")


def _lines(session: Session, found: Action) -> list[str]:
    zone, today = session.context.zone, now()
    who = str(found.actor) if found.actor else ""
    lines = [*action_lines(found), f"by {who}  at {dated(found.started_at, zone, today)}  plan {found.plan_hash}"]
    lines += [f"reason: {found.reason}"] if found.reason else []
    lines += [words] if (words := pause_words(found, zone)) else []
    for step in found.steps:
        at = dated(step.ended_at or step.started_at, zone, today)
        lines.append(f"{UNICODE.of(step_status(found, step))} {step.name:10} {at}  {step.detail}".rstrip())
    lines += [f"  {gate_line(gate)}" for gate in found.gates]
    return lines
