"""Watching an action from the command that ordered it, and being its runner with `--foreground`."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator
from datetime import tzinfo

from actions.kinds import kind_of
from actions.models import Action, Consent, Refused, Request
from actions.orphans import frozen_words, is_frozen
from actions.telling import STOPPED_WORDS, hold_end, step_status
from backends.command_line import command
from backends.errors import BackendError
from console.cli.options import Common
from console.printing.output import print_lines
from console.session import Session
from console.streams import say
from panels.words import UNICODE

MOMENT_S = 1.0
OVERDUE_S = 20.0
LOOKS_S = 3.0
_ENDING = ("restore", "untouched")


async def follow(
    common: Common,
    session: Session,
    action: Action,
    deadline: float | None,
    due: float | None,
    *,
    foreground: bool,
    back: bool = False,
) -> Action:
    """Say each step as it comes, until the action has ended or only a person can go on with it, or the deadline; in the
    foreground, where this process is the runner, until it has ended or is left. `back`: it was ordered to go back, so
    that a pause which its runner has not left yet is none. `due`: when the action's own time is over (`--timeout`).
    What stands then stays so; a runner that is stopped, an order to go back that was not taken by then, and what its
    runner should have ended long since are not waited for.
    """
    if foreground:
        deadline = due = None
    said: set[str] = set()
    clock = time.monotonic
    until = first(deadline, None if due is None else due + MOMENT_S)
    while action.open and action.id is not None:
        action, late = await _watched(common, session, action, until, said, back=back, alone=not foreground)
        if not late or due is None or until == deadline or action.status == "paused":
            return action
        goes_back = action.status == "rolling_back" or action.phase in _ENDING
        patience_s = 0.0 if back and not kind_of(action.kind).back else OVERDUE_S  # a way back ends itself in time
        if is_frozen(action) or (not goes_back and clock() > due + patience_s):
            return action
        until = first(deadline, clock() + MOMENT_S)
    return action


async def _watched(
    common: Common, session: Session, action: Action, until: float | None, said: set[str], *, back: bool, alone: bool
) -> tuple[Action, bool]:
    """The action when it waits for a person, where that is enough (`alone`), when nobody runs it, or at `until`; and
    whether it was that."""
    try:
        async with asyncio.timeout(None if until is None else max(0.0, until - time.monotonic())):
            async for seen in session.watch(action.id or ""):
                if common.output == "jsonl":
                    print_lines([seen] if seen.open and seen != action else [])
                elif not common.quiet:
                    _say_steps(seen, said, session.context.zone)
                action = seen
                if alone and (needs_a_page(action) if back else waits_for_a_person(action)):
                    break
    except TimeoutError:
        return action, True
    return action, False


async def looked_around(session: Session, action: Action) -> Action:
    """The action once the runner that goes on with it has looked at what is true: an edit from outside ends it within
    `LOOKS_S`. Sooner where it has ended, or stands where a person must look."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LOOKS_S):
            async for seen in session.watch(action.id or ""):
                action = seen
                if seen.orphaned_since is not None or needs_a_page(seen):
                    break
    return action


def in_force(order: str, action: Action) -> bool:
    """Whether what the action shows is what the order to it makes of it."""
    if order == "pause":
        return action.status != "running"
    return action.status != "paused" or (order == "resume" and action.hold is not None)  # only evidence is missing


async def taken(session: Session, action: Action, order: str) -> Action:
    """The action once the order is in force, within `LOOKS_S`: it is obeyed at once, and stands or goes on at the next
    safe point."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LOOKS_S):
            async for seen in session.watch(action.id or ""):
                action = seen
                if in_force(order, seen):
                    break
    return action


async def closed(session: Session, action: Action) -> Action:
    """The action once it has ended, within `LOOKS_S`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LOOKS_S):
            async for seen in session.watch(action.id or ""):
                action = seen
                if not seen.open:
                    break
    return action


def first(*at: float | None) -> float | None:
    """The earliest of some instants; None where there is none."""
    return min((each for each in at if each is not None), default=None)


def not_taken(action: Action) -> str:
    """Why an order to go back does not go on; empty where its runner is at it, it has ended or waits for a person."""
    if not action.open or action.owner is None or action.status in ("paused", "conflict", "in_doubt"):
        return ""
    if is_frozen(action):
        return f"its runner has not taken the order: {frozen_words(action)}"
    taken = kind_of(action.kind).back or action.status == "rolling_back" or action.phase in _ENDING
    return "" if taken else "its runner has not taken the order yet"


def waits_for_a_person(action: Action) -> bool:
    """Whether it stands and will not go on by itself, or somebody should know of it now."""
    if action.status != "paused":
        return False
    return needs_a_page(action) or action.hold is None or action.hold.until is None


def needs_a_page(action: Action) -> bool:
    """Whether its way back is held, since the side that it leads to is not healthy."""
    return action.status == "paused" and action.error is not None and action.error.kind == "target_unhealthy"


def _say_steps(action: Action, said: set[str], zone: tzinfo) -> None:
    for step in action.steps:
        mark = f"{step.name} {step.status}"
        if mark not in said and step.status != "pending":
            said.add(mark)
            status = step_status(action, step)
            say(f"{UNICODE.of(status)} {step.name:10} {status:10} {step.detail}".rstrip())
    standing = f"{action.status} {action.hold.why if action.hold else ''}".rstrip()
    if action.stopped_pid and STOPPED_WORDS not in said:
        said.add(STOPPED_WORDS)
        say(f"{UNICODE.critical} {frozen_words(action)}")
    if action.status in ("paused", "conflict", "in_doubt") and standing not in said:
        said.add(standing)
        why = action.error.message if action.error else "by an order"
        say("; ".join(filter(None, (f"{UNICODE.warning} {action.status}: {why}", hold_end(action, zone)))))


@contextlib.contextmanager
def as_runner(session: Session, begun: list[Action]) -> Iterator[None]:
    """For `--foreground`, where this process runs what is `begun`: Ctrl-C pauses the action at its next safe point; a
    second one, SIGTERM and SIGHUP leave it paused to whoever resumes it, as does the first where it only begins."""
    loop, tasks, pressed = asyncio.get_running_loop(), set[asyncio.Task[None]](), 0

    def interrupt() -> None:
        nonlocal pressed
        pressed += 1
        if pressed > 1 or not begun:
            leave()
            return
        (action,) = begun
        ways = f"{command('action resume', action.id or '')}, or {command('deploy rollback', action.service)}"
        how = f"{ways}; Ctrl-C again leaves it paused"
        say(f"teal: pausing at the next safe point ({how})")
        task = asyncio.ensure_future(_pause(session, action))
        tasks.add(task)

    def leave() -> None:
        what = f"it paused: {command('action resume', begun[0].id or '')}" if begun else "it as soon as it has begun"
        say(f"teal: leaving {what}")
        session.orders.park()

    handlers = {signal.SIGINT: interrupt, signal.SIGTERM: leave, signal.SIGHUP: leave}
    before = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number, was in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, was)  # the loop knows only the system's own: a signal would end it half told
        for task in tasks:
            task.cancel()


async def _pause(session: Session, action: Action) -> None:
    order = Request(kind=action.kind, service=action.service, ref=action.id or "", order="pause")
    try:
        await session.orders.submit(await session.orders.plan(order), Consent(confirmed=True, reason="Ctrl-C"))
    except (Refused, BackendError) as no:
        words = no.error.message if isinstance(no, Refused) else no.message
        say(f"teal: not paused: {words}")
