"""How every writing command goes: plan, show, confirm, submit, watch the journal, print the action."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable

from actions.beside import uninterrupted
from actions.guards import must_be_named, way_past
from actions.journal.errors import JournalError
from actions.kinds import kind_of
from actions.models import Action, Consent, Plan, Refused, Request, SwitchReport, is_starting
from actions.orphans import died_unsaid
from actions.outcome import exit_code, preview, refused_action
from actions.overrides import idle, is_known, words_of
from actions.telling import failed_words, is_noop, is_once_more, outcome, standing, title, unmended, way
from backends.command_line import command
from backends.errors import BackendError
from backends.models import Health, Panel
from backends.text import counted, side_name, with_fix
from console.cli.confirming import NOT_AGREED, asked
from console.cli.ending import EXIT_STILL_OPEN, Ending, say_why
from console.cli.following import (
    as_runner,
    closed,
    first,
    follow,
    in_force,
    looked_around,
    needs_a_page,
    not_taken,
    taken,
)
from console.cli.options import Common, Writing
from console.cli.reading import chosen
from console.cli.showing import Answer, show
from console.errors import EXIT_REFUSED, EXIT_USAGE, CommandError
from console.going_back import GoingBack, goes_back
from console.loop import run as run_loop
from console.ports.pipelines import PIPELINES
from console.printing.output import document
from console.session import Session, opened
from console.streams import forgive, say
from panels.words import UNICODE, took

RUN_POLL_S = 0.5
LOST_POLL_S = 3.0
NOT_YET = "ordered, not in force yet: "
_PASSING = frozenset({"unreachable", "timeout", "rate_limited"})
WRITING_PANELS: tuple[Panel, ...] = ("pipelines",)

STEERING = frozenset({"pause", "resume", "promote", "accept", "takeover", "abandon"})
"""Orders that are done when they are obeyed, however long the action goes on."""

RequestMaker = Callable[[Session], Awaitable[Request]]
Wanted = Request | RequestMaker
"""What is ordered, or how that is found in a session."""


def act(
    common: Common,
    writing: Writing,
    wanted: Wanted,
    *,
    wait_for_run: bool = False,
    panels: tuple[Panel, ...] = WRITING_PANELS,
) -> int:
    """One order through the gate; returns the exit code (docs/contract.md). Raises Refused, CommandError, BackendError.

    `panels`: those that `wanted` may read, to find what is meant.
    """
    begun: list[Action] = []
    forgive()
    try:
        return run_loop(_act(common, writing, wanted, panels, wait_for_run, begun))
    except (KeyboardInterrupt, Exception) as error:
        if not begun:
            raise
        # The runner is detached: what came in between ended the watching, not the action.
        if not isinstance(error, KeyboardInterrupt):
            say_why(error)
        lost = isinstance(error, JournalError) or (isinstance(error, BackendError) and error.kind == "not_found")
        goes_on = "may go on, that is not known" if lost else "goes on"
        say(f"teal: {title(begun[0])} {goes_on}: {command('action watch', begun[0].id or '')}")
        return EXIT_STILL_OPEN


async def _act(
    common: Common,
    writing: Writing,
    wanted: Wanted,
    panels: tuple[Panel, ...],
    wait_for_run: bool,
    begun: list[Action],
) -> int:
    due = None if common.timeout_s is None else time.monotonic() + common.timeout_s
    selection = chosen(common, order=True)
    async with opened(Session(selection, panels=panels)) as session:
        request, plan = await _planned(common, writing, session, wanted)
        _tell_idle(plan, writing.overrides)
        if writing.dry_run:
            return _shown(common, writing, session, plan)
        consent = _consent(writing, plan)
        answers = not consent.confirmed and not consent.typed_context and _can_ask(plan)
        if answers:
            consent = asked(plan, consent, plan_lines(plan))
        with as_runner(session, begun) if writing.foreground else contextlib.nullcontext():
            try:
                submitting = session.orders.submit(plan, consent, foreground=writing.foreground, tell=_unjournalled)
                action = await uninterrupted(_noted(submitting, begun))
            except Refused as refusal:
                action = refused_action(plan, refusal, actor=session.orders.actor)
                no = answers and not consent.confirmed and not consent.typed_context
                _print_action(common, session, action, [NOT_AGREED] if no else refusal_lines(refusal))
                return refusal.exit_code
            try:
                steers = request.order in STEERING and not writing.foreground and not (writing.detach and action.open)
                if steers and not (goes_back(request) and died_unsaid(action)):
                    return await _steered(common, session, action, plan)
                return await _follow(common, writing, session, action, request, wait_for_run, consent, due)
            finally:
                await session.orders.run_out()


def _tell_idle(plan: Plan, overrides: tuple[str, ...]) -> None:
    """Say of overrides what they go past, where that is nothing. Raises CommandError (2) for a word that no finding is
    ever called, unless the plan is refused anyway, or is the way back, which no misspelt word stops."""
    order = plan.request.order
    back = kind_of("rollback" if order in ("abort", "rollback") else plan.kind).back
    for word in idle(plan, overrides):
        words = words_of(plan, word)
        if not is_known(word) and not back and not plan.blocked:
            raise CommandError(EXIT_USAGE, "usage", words, fix="leave it out, or name what the plan has")
        if not is_known(word) or not plan.already:
            say(f"teal: {words}")


def _shown(common: Common, writing: Writing, session: Session, plan: Plan) -> int:
    """A dry run: what would be done, and whether it would be refused."""
    _print_action(common, session, preview(plan, actor=session.orders.actor), plan_lines(plan))
    try:
        if writing.plan_hash:
            must_be_named(plan, writing.plan_hash)
    except Refused as refusal:
        for line in refusal_lines(refusal):
            say(line)
        return refusal.exit_code
    return EXIT_REFUSED if plan.blocked else 0


async def _planned(common: Common, writing: Writing, session: Session, wanted: Wanted) -> tuple[Request, Plan]:
    """What is meant, and the plan of it, within `--timeout` in all: nothing has an effect yet."""
    from msgspec.structs import replace

    scope = asyncio.timeout(common.timeout_s)
    try:
        async with scope:
            made = wanted if isinstance(wanted, Request) else await wanted(session)
            request = replace(made, timeout_s=common.timeout_s, overrides=writing.overrides or made.overrides)
            return request, await session.plan(request)
    except TimeoutError:
        if not scope.expired():
            raise
        words = "planning was not done within --timeout; nothing changed"
        raise BackendError("timeout", words, fix="raise --timeout, or see which source does not answer") from None


async def _noted(submitting: Awaitable[Action], begun: list[Action]) -> Action:
    """What is begun is known before anything can interrupt: the exit code must not say that nothing was."""
    action = await submitting
    if action.open:
        begun.append(action)
        Ending.after_effect()
    return action


def _say(words: str) -> None:
    say(f"teal: {words}")


def _unjournalled(record: str) -> None:
    """The journal can not be used: what it would have kept is on stderr, for whoever keeps it."""
    say(f"teal: not in the journal: {record}")


async def _follow(
    common: Common, writing: Writing, session: Session, action: Action, request: Request, wait_for_run: bool,
    consent: Consent, due: float | None,
) -> int:  # fmt: skip
    from msgspec.structs import replace

    if writing.detach and action.open and not (goes_back(request) and died_unsaid(action)):
        goes_on = action.owner is not None and action.orphaned_since is None
        lines = [f"{title(action)} goes on as {action.id}"] if goes_on else action_lines(action)
        _print_action(common, session, action, lines)
        return EXIT_STILL_OPEN
    deadline = None if writing.wait_timeout_s is None else time.monotonic() + writing.wait_timeout_s
    ordered = "rollback" if request.order in ("abort", "rollback") else request.kind
    back = kind_of(ordered).back
    action = await _watched(common, writing, session, action, deadline, due, back)
    if goes_back(request) and died_unsaid(action):
        way_back = GoingBack(session.orders, request, consent, say=_say, kept=_unjournalled)
        with as_runner(session, [action]):
            action = await way_back.once_more(action)
            here = replace(writing, foreground=True)
            action = await way_back.ended(await _watched(common, here, session, action, deadline, due, back))
    why = not_taken(action) if back else ""
    shown = replace(action, undo="") if back and action.open else action  # what is to go back has nothing to undo
    _print_action(common, session, shown, [*action_lines(shown), *([f"{UNICODE.critical} {why}"] if why else [])])
    code = exit_code(action, ordered=ordered)
    if code == 0 and wait_for_run and action.ref:
        return await _wait_for_run(session, action.ref, first(deadline, due))
    return code


async def _steered(common: Common, session: Session, action: Action, plan: Plan) -> int:
    """An order that is done when it is obeyed. A runner that was started for it looks at what is true first: what it
    finds in the way is what became of the order."""
    order = plan.request.order
    if order == "abandon":
        return await _abandoned(common, session, action)
    if order == "takeover" or any(each.code == "orphaned" for each in plan.findings):
        action = await looked_around(session, action)
    elif action.open and not in_force(order, action):
        action = await taken(session, action, order)
    stopped = action.open and action.stopped_pid != 0  # whatever it shows, its runner does nothing about it
    yet = NOT_YET if stopped or (order != "takeover" and action.open and not in_force(order, action)) else ""
    stuck = action.orphaned_since is not None or action.status in ("conflict", "in_doubt") or needs_a_page(action)
    lines = action_lines(action)
    rest = lines[1:] if stuck or stopped else _watch_line(action)
    _print_action(common, session, action, [f"{order}: {yet}{lines[0]}", *rest])
    if stopped and not stuck:
        return EXIT_STILL_OPEN
    return exit_code(action) if stuck or not action.open else 0


async def _abandoned(common: Common, session: Session, action: Action) -> int:
    """Its runner closes it in a moment; one that it has closed is what was ordered, and there is nothing to undo."""
    from msgspec.structs import replace

    if action.open:
        action = await closed(session, action)
    done = action.status == "abandoned"
    lines = action_lines(replace(action, undo="") if done else action)
    _print_action(common, session, action, [f"abandon: {lines[0]}", *lines[1:]])
    return 0 if done else exit_code(action)


async def _watched(
    common: Common,
    writing: Writing,
    session: Session,
    action: Action,
    deadline: float | None,
    due: float | None,
    back: bool,
) -> Action:
    if action.id in session.orders.unjournalled:  # it was run here, to its end, and no journal can be watched
        return action
    return await follow(common, session, action, deadline, due, foreground=writing.foreground, back=back)


async def _wait_for_run(session: Session, ref: str, deadline: float | None) -> int:
    backend, pipeline, run_id = ref.split("/", 2)
    while deadline is None or time.monotonic() < deadline:
        try:
            run = await session.adapters.of(PIPELINES, backend).run(pipeline, run_id)
        except BackendError as error:
            if error.kind not in _PASSING:
                raise
            await asyncio.sleep(LOST_POLL_S)  # the run goes on: to lose sight of it for a while says nothing of it
            continue
        if run.state not in ("queued", "running", "waiting"):
            say(f"{UNICODE.of(run.state)} {run.ref} {run.state} in {took(run.duration_s)}")
            return 0 if run.state == "success" else 1
        await asyncio.sleep(RUN_POLL_S)
    return EXIT_STILL_OPEN


def _consent(writing: Writing, plan: Plan) -> Consent:
    return Consent(
        confirmed=writing.yes or bool(writing.confirm),
        typed_context=writing.confirm,
        armed=False,
        reason=writing.reason,
        plan_hash=writing.plan_hash,
        idempotency_key=writing.idempotency_key,
        interactive=_has_terminal(),
    )


def _has_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _can_ask(plan: Plan) -> bool:
    return _has_terminal() and not plan.already and not plan.blocked


def _watch_line(action: Action) -> list[str]:
    return [command("action watch", action.id or "")] if action.open else []


def refusal_lines(refusal: Refused) -> list[str]:
    """Why it was refused: each finding that forbids it, and what to do."""
    blocks = [finding for finding in refusal.findings if finding.level == "block"]
    reasons = [(finding.text, way_past(finding)) for finding in blocks] or [(refusal.error.message, refusal.error.fix)]
    return ["refused, nothing changed", *(f"  {UNICODE.critical} {with_fix(*reason)}" for reason in reasons)]


def plan_lines(plan: Plan) -> list[str]:
    """A plan as a person reads it: what unmended first, what will be sent, how to undo."""
    arrow = f"   {' → '.join(side for side in dict.fromkeys((plan.from_, plan.to)) if side)}".rstrip()
    order = f"{plan.request.order}: " if plan.request.order else ""
    lines = [f"{order}{title(plan)}{arrow}   ({plan.context}{', PROTECTED' if plan.protected else ''})"]
    symbols = {"block": UNICODE.critical, "warning": UNICODE.warning, "ok": UNICODE.ok}
    ordered = sorted(plan.findings, key=lambda finding: ("block", "warning", "ok").index(finding.level))
    lines += [f"  {symbols[finding.level]} {with_fix(finding.text, way_past(finding))}" for finding in ordered]
    lines += [f"  {effect}" for effect in plan.summary.effects]
    lines += ["  nothing to do: it is so already"] if plan.already and not plan.blocked else []
    lines += [f"  undo  {plan.summary.undo}"] if plan.summary.undo and not plan.blocked else []
    return [*lines, f"  plan  {plan.hash}"]


def action_lines(action: Action) -> list[str]:
    """An action as a person reads it, one line, and a second where traffic moved."""
    change = "" if action.changed or action.open or is_noop(action) else " (nothing changed)"
    arrow = way(action, capitals=False)
    orphaned = next((finding for finding in action.findings if finding.code in ("orphaned", "stopped")), None)
    in_words = is_noop(action) or is_once_more(action) or action.paused is not None
    status = outcome(action) if in_words else action.status
    if orphaned is not None and action.open:
        status = f"{status}, {orphaned.text}"
    if orphaned is None and action.id is not None and is_starting(action):
        status = f"{action.status}, not started yet"
    lines = [f"{title(action)}{arrow}: {status}{change}  {action.id or ''}".rstrip()]
    lines += [f"{UNICODE.critical} {orphaned.fix}"] if orphaned is not None and action.open else []
    if action.switch is not None:
        lines.append(_seen_words(action, action.switch))
    if action.error is not None:
        lines.append(with_fix(action.error.message, action.error.fix))
    lines += [finding.text for finding in action.findings if finding.code == "undone"]
    told = [each for each in action.findings if each.code in ("no-match", "open-action") and each.level == "warning"]
    worries = dict.fromkeys([*told, *unmended(action)])  # of what had nothing to do they are among the others
    lines += [f"{UNICODE.warning} {with_fix(finding.text, finding.fix)}" for finding in worries]
    if action.ref:
        lines.append(f"{'run' if kind_of(action.kind).port == 'pipelines' else 'ref'} {action.ref}")
    if action.undo and action.changed:
        lines.append(f"undo: {action.undo}")
    return lines


def _seen_words(action: Action, report: SwitchReport) -> str:
    new = side_name(action.to)
    old = "another side" if action.from_ in ("", "mixed", "unknown", action.to) else side_name(action.from_)
    first = f"{new} answered, since when is not known" if report.new_seen else f"none of them was answered by {new}"
    if report.first_new_s is not None:
        first = f"{new} answered after {report.first_new_s:.2f} s"
    last = f", {old} last after {report.last_old_s:.2f} s" if report.last_old_s is not None else ""
    failed = f"{report.errors} failed{failed_words(report)}"
    return f"{counted(report.requests, 'test request')} during the switch, {failed}; {first}{last}"


def _print_action(common: Common, session: Session, action: Action, lines: tuple[str, ...] | list[str]) -> None:
    shown = document("action", [action], context=session.context.name, health=action_health(action))
    show(common, Answer(shown, lambda: lines))


def action_health(action: Action) -> Health:
    """How an action stands; one that goes on is ok."""
    found = standing(action)
    return "ok" if found == "running" else found
